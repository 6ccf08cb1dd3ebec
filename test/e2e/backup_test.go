package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"swab/client"
)

// Threat P8. A backup is made while packages are asked for, and restored after
// more were made: the device refuses the shorter log until the recovery key says
// that it was restored, and obeys it then. What the backup holds is authentic.
func TestBackupIsRestoredAndDevicesGoOnWithIt(t *testing.T) {
	if os.Getenv("SWAB_TEST_STORE") == "postgres" {
		t.Skip("swab backup is for the database in the data directory; docs/backup.md tells of PostgreSQL's")
	}
	in, c, device := install(t)
	put := filepath.Join(in.Dir, "put away") // what an operator keeps apart
	must(t, os.Mkdir(put, 0o700))
	must(t, os.Rename(filepath.Join(in.Data, "recovery.key"), filepath.Join(put, "recovery.key")))
	for _, name := range []string{"master.key", "bootstrap.json"} {
		data, err := os.ReadFile(filepath.Join(in.Data, name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(put, name), data, 0o600))
	}
	kept := succeed(t, c, device)

	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	load.Go(func() {
		for ctx.Err() == nil {
			if a, err := c.Collect(ctx, device, client.CollectRequest{Comment: "load"}); err == nil {
				c.Wait(ctx, a.ID)
			}
		}
	})
	backup := filepath.Join(in.Dir, "backup")
	for range 3 { // the later ones bring it up to date
		if code, out := swab(t, in, "backup", "--data", in.Data, "--to", backup); code != 0 {
			t.Fatalf("backup: exit %d: %s", code, out)
		}
	}
	stop()
	load.Wait()
	settle(t, c)
	lost := succeed(t, c, device)
	for _, name := range []string{"master.key", "recovery.key", "bootstrap.json"} {
		if _, err := os.Stat(filepath.Join(backup, name)); err == nil {
			t.Errorf("the backup has %s in it", name)
		}
	}

	must(t, in.Server.Stop())
	must(t, os.Rename(in.Data, in.Data+"-lost"))
	restore := func(more ...string) string {
		t.Helper()
		code, out := swab(t, in, append([]string{"restore", "--from", backup, "--data", in.Data, "--master-key", filepath.Join(put, "master.key")}, more...)...)
		if code != 0 {
			t.Fatalf("restore: exit %d: %s", code, out)
		}
		data, err := os.ReadFile(filepath.Join(put, "bootstrap.json"))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(in.Data, "bootstrap.json"), data, 0o600))
		return out
	}
	if out := restore(); !strings.Contains(out, "swab audit rebase") {
		t.Errorf("restore does not say what comes next: %s", out)
	}
	must(t, in.StartServer(within(t, 30*time.Second)))
	settle(t, c) // what ran when the backup was made
	a, err := c.Collect(within(t, 10*time.Second), device, client.CollectRequest{Comment: "before the rebase"})
	must(t, err)
	if a, err = c.Wait(within(t, 60*time.Second), a.ID); err != nil || a.Status != client.Failed || !strings.Contains(a.Trouble, "audit log") {
		t.Errorf("before the rebase the action is %s: %s, %v", a.Status, a.Trouble, err)
	}
	if code, out := swab(t, in, "audit", "rebase", "--data", in.Data, "--key", filepath.Join(put, "recovery.key")); code == 0 || !strings.Contains(out, "locked") {
		t.Errorf("rebase beside a server that runs: exit %d: %s", code, out)
	}
	must(t, in.Server.Stop())

	must(t, os.RemoveAll(in.Data))
	if out := restore("--key", filepath.Join(put, "recovery.key")); !strings.Contains(out, "go on with the audit log") {
		t.Errorf("restore with the recovery key: %s", out)
	}
	must(t, in.StartServer(within(t, 30*time.Second)))
	settle(t, c)
	fresh := succeed(t, c, device)
	for _, id := range []string{kept.ID, fresh.ID} {
		name := keep(t, c, id)
		if code, out := swab(t, in, "verify", name, "--trust", filepath.Join(in.Data, "bootstrap.json"), "--require", "authentic"); code != 0 {
			t.Errorf("package of %s: exit %d: %s", id, code, out)
		}
	}
	if _, err := c.Action(within(t, 10*time.Second), lost.ID); err == nil {
		t.Errorf("action %s, made after the backup, is there", lost.ID)
	}
	if code, out := swab(t, in, "audit", "verify"); code != 0 {
		t.Errorf("audit verify: exit %d: %s", code, out)
	}
	if code, out := swab(t, in, "audit", "list", "--act", "log.rebase"); code != 0 || !strings.Contains(out, "log.rebase") {
		t.Errorf("the rebase in the log: exit %d: %s", code, out)
	}
}

// settle waits until no action runs.
func settle(t *testing.T, c *client.Client) {
	t.Helper()
	for a, err := range c.AllActions(within(t, 60*time.Second), client.Page{}) {
		must(t, err)
		_, err = c.Wait(within(t, 60*time.Second), a.ID)
		must(t, err)
	}
}
