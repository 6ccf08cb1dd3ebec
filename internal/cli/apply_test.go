package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"swab/internal/accessfile"
	"swab/internal/command/commandtest"
)

// desk is where commands run for a server of its own.
type desk struct {
	*testing.T
	*service
	dir       string   // with the files that the server leaves
	variables []string // of the commands
	ctx       context.Context
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{T: t, service: startService(newFixture()), dir: t.TempDir(), ctx: t.Context()}
	t.Cleanup(d.Close)
	d.files(d.dir)
	d.variables = []string{"SWAB_CREDENTIALS=" + filepath.Join(d.dir, "bootstrap.json")}
	return d
}

func (d *desk) call(args ...string) commandtest.Result {
	return commandtest.Call(d.ctx, swab, d.variables, args...)
}

// file writes a file and returns its name.
func (d *desk) file(text string) string {
	d.Helper()
	name := filepath.Join(d.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		d.Fatal(err)
	}
	return name
}

// Pipelines branch on these.
func TestExitCodesOfApply(t *testing.T) {
	d := newDesk(t)
	groups, refused := d.file("userGroups: [{name: Tier 1}]"), d.file("roles: [{name: Refused}]")
	for _, tc := range []struct {
		args string
		code int
	}{
		{"apply -f " + groups + " --dry-run", 3},
		{"apply -f " + groups + " --dry-run --json", 3},
		{"apply -f " + groups, 2},
		{"apply -f " + groups + " --json", 2},
		{"apply -f " + groups + " --yes", 0},
		{"apply -f " + groups + " --dry-run", 0},
		{"apply -f " + groups, 0}, // nobody need be asked
		{"apply -f " + refused + " --yes", 1},
		{"apply -f " + refused + " --yes --json", 1},
		{"apply -f " + d.file("role: []") + " --yes", 1},
		{"apply --yes", 2},
	} {
		if got := d.call(strings.Fields(tc.args)...); got.Code != tc.code {
			t.Errorf("swab %s: exit code %d, want %d\n%s%s", tc.args, got.Code, tc.code, got.Stdout, got.Stderr)
		}
	}
}

// The guide's example is what people begin with.
func TestTheExampleOfTheGuideCanBeApplied(t *testing.T) {
	guide, err := os.ReadFile("../../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(guide), "```yaml\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok || strings.Contains(rest[len(example)+3:], "```yaml") {
		t.Fatal("docs/access.md has no example in YAML, or more than one")
	}
	d := newDesk(t)
	name := d.file(example)
	if got := d.call("user", "create", "ann@contoso.example", "--administrator"); got.Code != 0 {
		t.Fatalf("the first administrator: %s", got.Stderr)
	}
	first, second := d.call("apply", "-f", name, "--yes"), d.call("apply", "-f", name)
	if first.Code != 0 || !strings.Contains(first.Stdout, " changes made\n") || second.Code != 0 || second.Stdout != "Nothing differs\n" {
		t.Errorf("once: %d\n%s%s\ntwice: %d\n%s%s", first.Code, first.Stdout, first.Stderr, second.Code, second.Stdout, second.Stderr)
	}
	for _, form := range [][]string{nil, {"--json"}} {
		exported := filepath.Join(t.TempDir(), "exported.yaml")
		if got := d.call(append([]string{"access", "export", "-o", exported}, form...)...); got.Code != 0 {
			t.Fatal(got.Stderr)
		}
		if text, err := os.ReadFile(exported); err != nil || json.Valid(text) != (form != nil) {
			t.Errorf("access export %v: %v\n%s", form, err, text)
		}
		if got := d.call("apply", "-f", exported); got.Code != 0 || got.Stdout != "Nothing differs\n" {
			t.Errorf("what was exported by %v: %d\n%s%s", form, got.Code, got.Stdout, got.Stderr)
		}
	}
}

func TestTheExamplesOfOtherIssuersAreAccessFiles(t *testing.T) {
	guide, err := os.ReadFile("../../docs/issuers.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(guide), "```yaml\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("docs/issuers.md has no example in YAML")
	}
	for _, b := range blocks {
		text, _, _ := strings.Cut(b, "```")
		f, err := accessfile.Parse([]byte(text))
		if err != nil || len(f.Issuers) == 0 {
			t.Errorf("%v, %d issuers, in:\n%s", err, len(f.Issuers), text)
		}
	}
}

// A password that was made is in no other answer: whatever comes after it, it is
// shown.
func TestInitialPasswordsAreShownThoughAChangeFails(t *testing.T) {
	d := newDesk(t)
	name := d.file("users: [{principal: ann@contoso.example}]\nroles: [{name: Refused}]")
	got := d.call("apply", "-f", name, "--yes")
	if got.Code != 1 || !strings.Contains(got.Stdout, "ann@contoso.example  init1al-") || !strings.Contains(got.Stderr, "swab: + role Refused: Somebody ") {
		t.Errorf("%d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
}

func TestAnInterruptedApplySaysHowFarItCame(t *testing.T) {
	d := newDesk(t)
	d.ctx, d.interrupt = context.WithCancel(t.Context())
	defer d.interrupt()
	got := d.call("apply", "-f", d.file("userGroups: [{name: Tier 1}]\nroles: [{name: Interrupted}, {name: Later}]"), "--yes")
	want := `swab: + role Interrupted: interrupted; it may have been made all the same
swab: made: + user group Tier 1
swab: not made: + role Later
`
	if got.Code != 1 || got.Stderr != want {
		t.Errorf("%d\n%s", got.Code, got.Stderr)
	}
}

// Who applies a file stays able to, or a mistake could not be mended.
func TestApplyDoesNotShutOutWhoAppliesIt(t *testing.T) {
	d := newDesk(t)
	for _, args := range []string{"app create pipeline --role Swab.Administer", "user create ann@contoso.example --administrator", "user create bob@contoso.example"} {
		if got := d.call(strings.Fields(args)...); got.Code != 0 {
			t.Fatal(got.Stderr)
		}
	}
	d.variables = append(d.variables, "SWAB_CLIENT_ID="+appID)
	empty, everybody := d.file("applications: []"), d.file("users: [{principal: bob@contoso.example}]")
	got := d.call("apply", "-f", empty, "--yes", "--revoke-missing")
	if want := "swab: " + empty + ": it would revoke the application pipeline, by which it is applied: name that, or apply it as another\n"; got.Code != 1 || got.Stderr != want || got.Stdout != "" {
		t.Errorf("%d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
	if got := d.call("apply", "-f", empty, "--yes"); got.Code != 0 {
		t.Errorf("without --revoke-missing: %d %s", got.Code, got.Stderr)
	}
	signIn := d.file(fmt.Sprintf(`{"apiBase":%q,"authority":%q,"clientId":"x","caFile":%q,"grant":{"accessToken":"t","expires":"2126-01-01T00:00:00Z","principal":"ann@contoso.example"}}`,
		d.URL, d.URL+"/"+tenant, filepath.Join(d.dir, "ca.pem")))
	d.variables = []string{"SWAB_SIGN_IN=" + signIn}
	got = d.call("apply", "-f", everybody, "--yes")
	if want := "swab: " + everybody + ": it would disable ann@contoso.example, who applies it: name them, or let somebody else apply it\n"; got.Code != 1 || got.Stderr != want || got.Stdout != "" {
		t.Errorf("%d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
}
