package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"swab/client"
	"swab/internal/store/storetest"
	"swab/test/installation"
)

// Threat P8. A backup is made while packages are asked for, and restored after
// more were made: the device refuses the shorter log until the recovery key says
// that it was restored, and obeys it then. What the backup holds is authentic.
func TestBackupIsRestoredAndDevicesGoOnWithIt(t *testing.T) {
	in, c, device := install(t)
	way := embedded(t, in)
	if in.Database != "" {
		way = dumped(t, in)
	}
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
	for range 3 { // the later ones bring it up to date
		way.backup()
	}
	stop()
	load.Wait()
	settle(t, c)
	lost := succeed(t, c, device)

	must(t, in.Server.Stop())
	must(t, os.Rename(in.Data, in.Data+"-lost"))
	restore := func() {
		t.Helper()
		way.restore()
		for _, name := range []string{"master.key", "bootstrap.json"} {
			data, err := os.ReadFile(filepath.Join(put, name))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(in.Data, name), data, 0o600))
		}
	}
	rebase := func() (int, string) {
		return swab(t, in, "audit", "rebase", "--data", in.Data, "--key", filepath.Join(put, "recovery.key"))
	}
	restore()
	must(t, in.StartServer(within(t, 30*time.Second)))
	settle(t, c) // what ran when the backup was made
	a, err := c.Collect(within(t, 10*time.Second), device, client.CollectRequest{Comment: "before the rebase"})
	must(t, err)
	if a, err = c.Wait(within(t, 60*time.Second), a.ID); err != nil || a.Status != client.Failed || !strings.Contains(a.Trouble, "audit log") {
		t.Errorf("before the rebase the action is %s: %s, %v", a.Status, a.Trouble, err)
	}
	if code, out := rebase(); code == 0 || !strings.Contains(out, "locked") {
		t.Errorf("rebase beside a server that runs: exit %d: %s", code, out)
	}
	must(t, in.Server.Stop())

	must(t, os.RemoveAll(in.Data))
	restore()
	if code, out := rebase(); code != 0 || !strings.Contains(out, "go on with the audit log") {
		t.Fatalf("rebase: exit %d: %s", code, out)
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
	for _, line := range in.Server.Lines() {
		if strings.Contains(line, `"level":"ERROR"`) {
			t.Errorf("the restored server says %s", line)
		}
	}
}

// way is how an installation is backed up and restored; restore makes its data
// directory, but for what the operator put away.
type way struct{ backup, restore func() }

// embedded is the way of the database in the data directory.
func embedded(t *testing.T, in *installation.Installation) way {
	dir := filepath.Join(in.Dir, "backup")
	run := func(args ...string) {
		t.Helper()
		if code, out := swab(t, in, args...); code != 0 {
			t.Fatalf("swab %v: exit %d: %s", args, code, out)
		}
	}
	return way{
		backup: func() {
			run("backup", "--data", in.Data, "--to", dir)
			for _, name := range []string{"master.key", "recovery.key", "bootstrap.json"} {
				if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
					t.Errorf("the backup has %s in it", name)
				}
			}
		},
		restore: func() { run("restore", "--from", dir, "--data", in.Data) },
	}
}

// TestRestoreDoesAllAtOnce: with the two keys that were put away a restored server
// needs nothing more; without what a backup holds there is none.
func TestRestoreDoesAllAtOnce(t *testing.T) {
	t.Setenv(storetest.Variable, "") // it is for the database in the data directory
	in := server(t)
	must(t, in.Server.Stop())
	backup, fresh := filepath.Join(in.Dir, "backup"), filepath.Join(in.Dir, "fresh")
	restore := []string{"restore", "--from", backup, "--data", fresh, "--master-key", filepath.Join(in.Data, "master.key"), "--key", filepath.Join(in.Data, "recovery.key")}
	refused := func(why string, args ...string) {
		t.Helper()
		if code, out := swab(t, in, args...); code != 1 || !strings.Contains(out, why) {
			t.Errorf("swab %v: exit %d, want 1 and %q: %s", args, code, why, out)
		}
	}
	refused("did not come to its end", restore...)
	if code, out := swab(t, in, "backup", "--data", in.Data, "--to", backup); code != 0 {
		t.Fatalf("backup: exit %d: %s", code, out)
	}
	if code, out := swab(t, in, restore...); code != 0 || !strings.Contains(out, "go on with the audit log") {
		t.Fatalf("restore: exit %d: %s", code, out)
	}
	refused("an empty directory", restore...)
	refused("no file of one", "audit", "rebase", "--data", fresh, "--key", filepath.Join(in.Data, "ca.pem"))
	other := filepath.Join(in.Dir, "other.key")
	must(t, os.WriteFile(other, []byte(strings.Repeat("A", 43)+"=\n"), 0o600))
	refused("not this installation's recovery key", "audit", "rebase", "--data", fresh, "--key", other)
	must(t, os.Truncate(filepath.Join(backup, "swab.db"), 4096))
	must(t, os.RemoveAll(fresh))
	refused("was changed", restore...)

	must(t, os.RemoveAll(fresh))
	must(t, os.RemoveAll(backup))
	if code, out := swab(t, in, "backup", "--data", in.Data, "--to", backup); code != 0 {
		t.Fatalf("backup: exit %d: %s", code, out)
	}
	if code, out := swab(t, in, restore...); code != 0 {
		t.Fatalf("restore: exit %d: %s", code, out)
	}
	must(t, os.Rename(in.Data, in.Data+"-lost"))
	must(t, os.Rename(fresh, in.Data))
	must(t, in.StartServer(within(t, 30*time.Second)))
}

// dumped is the way of docs/backup.md for PostgreSQL.
func dumped(t *testing.T, in *installation.Installation) way {
	dir := filepath.Join(in.Dir, "backup")
	must(t, os.Mkdir(dir, 0o700))
	shell := func(text string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", text)
		cmd.Env = append(os.Environ(), "SWAB_DATABASE="+in.Database, "DATA="+in.Data, "BACKUP="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", text, err, out)
		}
	}
	return way{
		backup: func() {
			shell(`pg_dump --format=custom --file="$BACKUP/swab.dump.new" "$SWAB_DATABASE" && mv "$BACKUP/swab.dump.new" "$BACKUP/swab.dump"
				cp -a -u "$DATA/packages" "$DATA/quarantine" "$DATA/uploads" "$BACKUP/" || test $? = 1`)
		},
		restore: func() {
			in.Database = storetest.Postgres(t)
			t.Setenv("SWAB_DATABASE", in.Database)
			shell(`pg_restore --no-owner --clean --if-exists --exit-on-error --dbname="$SWAB_DATABASE" "$BACKUP/swab.dump"
				mkdir -p "$DATA" && cp -a "$BACKUP/packages" "$BACKUP/quarantine" "$BACKUP/uploads" "$DATA/"`)
		},
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
