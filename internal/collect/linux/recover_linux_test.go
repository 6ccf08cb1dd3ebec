package linux

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"swab/internal/collect"
	"swab/internal/row"
)

// A process with a deleted executable holds a private key and files beyond every
// bound open. The key stays where it is, the files cost neither time nor the
// place of the executables, also of those that come after.
func TestRecoveryTakesExecutablesFirstAndNoKeys(t *testing.T) {
	dir := t.TempDir()
	var held []*os.File
	hold := func(name, content string, size int64) {
		f, err := os.Create(filepath.Join(dir, name))
		if err == nil {
			_, err = f.WriteString(content)
		}
		if err == nil && size > 0 {
			err = f.Truncate(size)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		held = append(held, f)
	}
	for i := range 8 {
		hold(fmt.Sprint("big", i), "x", 500<<20)
	}
	hold("notes.txt", "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n", 0)
	hold("id_ed25519", "whatever", 0)
	hold("plain", "an open file", 0)
	hold("unlinked", "another", 0)

	decoy, later := filepath.Join(dir, "decoy"), filepath.Join(dir, "later")
	program(t, decoy)
	program(t, later)
	cmd := exec.Command(decoy)
	cmd.Args, cmd.ExtraFiles = []string{"cat", "-"}, held
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	pidLater := start(t, later)
	if err := errors.Join(os.Remove(decoy), os.Remove(later), os.Remove(filepath.Join(dir, "unlinked"))); err != nil {
		t.Fatal(err)
	}

	out := gather(t, Processes(), running(t))
	rows := map[string]row.Recovered{}
	for _, r := range rowsOf[row.Recovered](out, "recovered") {
		rows[fmt.Sprintf("%d %s", r.PID, r.Via)] = r
	}
	for _, pid := range []int{cmd.Process.Pid, pidLater} {
		if r := rows[fmt.Sprintf("%d exe", pid)]; r.Entry == "" || r.SHA256 == "" {
			t.Errorf("the executable of %d is not recovered: %+v", pid, r)
		}
	}
	seen := map[string]bool{}
	for _, r := range rows {
		switch base := filepath.Base(r.Path); {
		case base == "notes.txt" || base == "id_ed25519":
			seen[base] = true
			if r.Entry != "" || r.SHA256 != "" {
				t.Errorf("a private key is taken: %+v", r)
			}
		case strings.HasPrefix(base, "big"):
			if r.SHA256 != "" {
				t.Errorf("a file of 500 MiB was read whole: %+v", r)
			}
		case base == "plain":
			seen[base] = true
			if r.Deleted {
				t.Errorf("a file that has its name is told to be deleted: %+v", r)
			}
		case base == "unlinked":
			seen[base] = true
			if !r.Deleted {
				t.Errorf("a file whose name is gone is not told so: %+v", r)
			}
		}
		if r.Via == "exe" && !r.Deleted {
			t.Errorf("a deleted executable is not told so: %+v", r)
		}
	}
	if len(seen) != 4 {
		t.Errorf("rows of the key files and the plain ones: %v", seen)
	}
	if err := out.missing["an open file that may hold a secret"]; !errors.Is(err, collect.ErrExcluded) {
		t.Errorf("the keys' miss: %v, want ErrExcluded", err)
	}
}
