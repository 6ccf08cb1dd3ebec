package e2e

import (
	"archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"swab/client"
	"swab/test/installation"
	"swab/test/postgres"
)

func TestWholeRoad(t *testing.T) {
	in, c, device := install(t)
	a := succeed(t, c, device)
	name := keep(t, c, a.ID)
	trust := filepath.Join(in.Data, "bootstrap.json")

	code, out := swab(t, in, "verify", name, "--trust", trust, "--require", "authentic")
	if code != 0 || !strings.Contains(out, "authentic") {
		t.Errorf("verify: exit %d: %s", code, out)
	}
	r, err := zip.OpenReader(name)
	must(t, err)
	defer r.Close()
	have := map[string]bool{}
	for _, f := range r.File {
		have[f.Name] = true
	}
	for _, want := range []string{
		"README.txt", "Processes/processes.csv", "Processes/processes.jsonl", "Network connections/active_connections.jsonl", "File/open_files.jsonl",
		"Disk volume/mounts.csv", "System Information/system.csv", "System Information/agent.jsonl", "CollectionSummaryReport.xls",
		"Forensics Collection Summary.csv", "plan.json", "manifest.json", "manifest.dsse",
	} {
		if !have[want] {
			t.Errorf("the package has no %s", want)
		}
	}
	if code, out := swab(t, in, "audit", "verify", "--package", name); code != 0 {
		t.Errorf("audit verify: exit %d: %s", code, out)
	}

	// The second collection of the same device, by its name.
	machine, err := c.Machine(t.Context(), device)
	must(t, err)
	again := succeed(t, c, machine.Name)
	if again.ID == a.ID {
		t.Error("two collections are one action")
	}
	actions, err := c.Actions(t.Context(), client.Page{})
	must(t, err)
	if len(actions) != 2 || actions[0].ID != again.ID {
		t.Errorf("%d actions, the newest first: %+v", len(actions), actions)
	}
}

func TestFlippedBitIsTold(t *testing.T) {
	in, c, device := install(t)
	name := keep(t, c, succeed(t, c, device).ID)
	trust := filepath.Join(in.Data, "bootstrap.json")
	for _, file := range []string{name, name + ".receipt"} {
		whole, err := os.ReadFile(file)
		must(t, err)
		for _, at := range []int{0, len(whole) / 3, len(whole) / 2, len(whole) - 1} {
			whole[at] ^= 0x10
			must(t, os.WriteFile(file, whole, 0o600))
			if code, out := swab(t, in, "verify", name, "--trust", trust, "--require", "authentic"); code == 0 {
				t.Errorf("%s with a bit flipped at %d verifies: %s", filepath.Base(file), at, out)
			}
			whole[at] ^= 0x10
		}
		must(t, os.WriteFile(file, whole, 0o600))
	}
	if code, out := swab(t, in, "verify", name, "--trust", trust, "--require", "authentic"); code != 0 {
		t.Errorf("the package put right: exit %d: %s", code, out)
	}
}

func TestAnotherServersPackageIsNotTrusted(t *testing.T) {
	in, c, device := install(t)
	name := keep(t, c, succeed(t, c, device).ID)
	other := server(t)
	code, out := swab(t, in, "verify", name, "--trust", filepath.Join(other.Data, "bootstrap.json"), "--require", "authentic")
	if code == 0 {
		t.Errorf("another server's package with its own receipt is authentic: %s", out)
	}
}

func TestPendingUntilTheDeviceComes(t *testing.T) {
	in, c, device := install(t)
	must(t, in.Agents["a"].Kill())
	a, err := c.Collect(t.Context(), device, client.CollectRequest{Comment: "while it is away"})
	must(t, err)
	if _, err := c.Collect(t.Context(), device, client.CollectRequest{Comment: "once more"}); err == nil {
		t.Error("a second action beside a pending one")
	}
	must(t, in.StartAgent("a"))
	a, err = c.Wait(within(t, 60*time.Second), a.ID)
	must(t, err)
	if a.Status != client.Succeeded {
		t.Errorf("action is %s: %s", a.Status, a.Trouble)
	}
}

// A server whose log was put back to an earlier state is not obeyed.
func TestRewrittenLogIsRefused(t *testing.T) {
	in, c, device := install(t)
	must(t, in.Server.Stop())
	restore := snapshot(t, in)
	must(t, in.StartServer(within(t, 30*time.Second)))
	succeed(t, c, device)
	must(t, in.Server.Stop())
	restore()
	must(t, in.StartServer(within(t, 30*time.Second)))

	a, err := c.Collect(within(t, 10*time.Second), device, client.CollectRequest{Comment: "after the rewrite"})
	must(t, err)
	a, err = c.Wait(within(t, 60*time.Second), a.ID)
	must(t, err)
	if a.Status != client.Failed || !strings.Contains(a.Trouble, "log") {
		t.Errorf("action is %s: %q, want Failed because of the log", a.Status, a.Trouble)
	}
}

// snapshot keeps the database of a server that is stopped, and returns what
// brings it back.
func snapshot(t *testing.T, in *installation.Installation) (restore func()) {
	t.Helper()
	if in.Database != "" {
		server, err := postgres.Shared()
		must(t, err)
		kept, _, err := postgres.Create(server, postgres.Name(in.Database))
		must(t, err)
		return func() { must(t, postgres.Replace(server, postgres.Name(in.Database), kept)) }
	}
	files := map[string][]byte{}
	list := func() []string {
		names, err := filepath.Glob(filepath.Join(in.Data, "swab.db*"))
		must(t, err)
		return names
	}
	for _, n := range list() {
		var err error
		files[n], err = os.ReadFile(n)
		must(t, err)
	}
	return func() {
		for _, n := range list() {
			must(t, os.Remove(n))
		}
		for n, b := range files {
			must(t, os.WriteFile(n, b, 0o600))
		}
	}
}
