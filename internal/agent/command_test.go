package agent

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"swab/internal/agent/state"
	"swab/internal/catalog"
	"swab/internal/command"
	"swab/internal/command/commandtest"
	"swab/internal/evidence"
	"swab/internal/wire"
)

func program(ctx context.Context, args []string, env command.Env) int {
	return command.Main(ctx, args, env, "swab-agent", Command.Verbs)
}

func TestBadSettingsAreReportedAllAtOnce(t *testing.T) {
	got := commandtest.Call(t.Context(), program, []string{"SWAB_TOKEN=x"},
		"run", "--server", "http://h", "--state", "s", "--memory", "1", "--package-bytes", "2", "--deadline", "1ms", "--profile", "none", "--token-file", "f")
	for _, want := range []string{"--server", "--memory", "--package-bytes", "--deadline", "--profile", "--token-file"} {
		if got.Code != command.ExitUsage || !strings.Contains(got.Stderr, want) {
			t.Errorf("exit %d, and no word of %s:\n%s", got.Code, want, got.Stderr)
		}
	}
}

func TestFilesThatTheSettingsNameAreNamedInErrors(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--ca", filepath.Join(dir, "none")}, "--ca"},
		{[]string{"--ca", empty}, "holds no certificate"},
		{[]string{"--token-file", filepath.Join(dir, "none")}, "--token-file"},
		{[]string{"--token-file", dir}, "is no file"},
	} {
		got := commandtest.Call(t.Context(), program, nil,
			append([]string{"run", "--server", "https://h", "--state", filepath.Join(dir, "state")}, c.flags...)...)
		if got.Code != command.ExitFailure || !strings.Contains(got.Stderr, c.want) {
			t.Errorf("%v: exit %d, %s", c.flags, got.Code, got.Stderr)
		}
	}
}

// The command as it is run: settings, a CA file, a token file, the real host.
func TestRunCollectsFromThisHost(t *testing.T) {
	p, dir := newPeer(t), t.TempDir()
	ca, token := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "token")
	for name, b := range map[string][]byte{
		ca: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.http.Certificate().Raw}), token: []byte(testToken + "\n"),
	} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan commandtest.Result, 1)
	go func() {
		done <- commandtest.Call(ctx, program, nil, "run", "--server", p.http.URL, "--ca", ca, "--token-file", token, "--state", filepath.Join(dir, "state"))
	}()
	r := &rig{t: t, peer: p, log: &journal{}}
	c := r.connected()
	c.order(1, 1, 0)
	expect[wire.Begun](c)
	until(t, "the package is there", func() bool { return delivered(p) != nil })
	check := evidence.NewChecker(evidence.DefaultLimits())
	check.Write(delivered(p).data)
	if report := check.Close(); report.Class != evidence.Intact {
		t.Errorf("package is %v: %v", report.Class, report.Flaws)
	}
	cancel()
	if got := <-done; got.Code != 0 || strings.Contains(got.Stderr, testToken) {
		t.Errorf("exit %d:\n%s", got.Code, got.Stderr)
	}
}

func TestCollectMakesAPackageWithoutAServer(t *testing.T) {
	dir := t.TempDir()
	file, kept := filepath.Join(dir, "p.zip"), filepath.Join(dir, "state")
	st, err := state.Open(kept) // an agent that runs beside it keeps its state
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	got := commandtest.Call(t.Context(), program, nil, "collect", "--output", file, "--profile", "volatile", "--state", kept, "--json")
	if got.Code != 0 {
		t.Fatalf("exit %d: %s", got.Code, got.Stderr)
	}
	var r Result
	if err := json.Unmarshal([]byte(got.Stdout), &r); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	report := evidence.CheckFile(f, r.Bytes, evidence.DefaultLimits())
	if report.Class != evidence.Intact || report.SHA256 != r.SHA256 || report.Manifest.Device.ID != st.Identity().Device() ||
		r.Device != st.Identity().Device() || report.Manifest.ActionID != "" || r.Plan != testPlan("volatile").Digest() {
		t.Errorf("%v %v, result %+v", report.Class, report.Flaws, r)
	}
	items := 0
	for _, n := range r.Outcomes {
		items += n
	}
	if items != len(testPlan("volatile").Items) {
		t.Errorf("outcomes %v do not account for every item", r.Outcomes)
	}

	again := commandtest.Call(t.Context(), program, nil, "collect", "--output", file)
	if again.Code != command.ExitFailure || !strings.Contains(again.Stderr, "exists") {
		t.Errorf("a file that exists: exit %d, %s", again.Code, again.Stderr)
	}
}

func TestCollectWritesToStandardOutput(t *testing.T) {
	got := commandtest.Call(t.Context(), program, nil, "collect", "-o", "-")
	if got.Code != 0 || !strings.Contains(got.Stderr, "SHA-256") {
		t.Fatalf("exit %d: %s", got.Code, got.Stderr)
	}
	check := evidence.NewChecker(evidence.DefaultLimits())
	check.Write([]byte(got.Stdout))
	if report := check.Close(); report.Class != evidence.Intact {
		t.Errorf("package is %v: %v", report.Class, report.Flaws)
	}
}

func TestVersionNamesTheCatalogue(t *testing.T) {
	got := commandtest.Call(t.Context(), program, nil, "version", "--json")
	var v Version
	if err := json.Unmarshal([]byte(got.Stdout), &v); err != nil {
		t.Fatal(err)
	}
	if v.Release != catalog.Current().Release || v.Catalog != catalog.Current().Digest() || v.Profiles["triage"] != testPlan("triage").Digest() {
		t.Errorf("version %+v", v)
	}
	if got := commandtest.Call(t.Context(), program, nil, "version"); !strings.Contains(got.Stdout, "swab-agent "+v.Release) {
		t.Errorf("version prints %q", got.Stdout)
	}
}
