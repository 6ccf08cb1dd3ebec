//go:build unix

package state

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func openDirState(t *testing.T, dir string) *State {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStateOnDiskIsThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "state")
	s := openDirState(t, dir)
	if err := s.Enrolled(pins()); err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(id(1), 1, head(1), time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "another agent uses it") {
		t.Errorf("a second agent: %v, want a refusal", err)
	}
	i, err := ReadIdentity(dir)
	if err != nil || i.Device() != s.Identity().Device() {
		t.Errorf("ReadIdentity beside the agent: device %s, %v", i.Device(), err)
	}
	s.Close()
	same(t, "opened again", openDirState(t, dir), s)
	for name, want := range map[string]os.FileMode{dir: 0o700, s.Path(): 0o600} {
		st, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", name, st.Mode().Perm(), want)
		}
	}
	if st, _ := os.Stat(s.Path()); st.Size() != Size {
		t.Errorf("file has %d bytes, want %d", st.Size(), Size)
	}
}

func TestReadIdentityMakesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if _, err := ReadIdentity(dir); err == nil {
		t.Error("an identity is read where there is none")
	}
	if _, err := os.Lstat(dir); err == nil {
		t.Error("the folder was made")
	}
}

// Threat N3: what somebody else may have put in the agent's way.
func TestAFolderOrFileThatOthersCanReachIsRefused(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, dir string){
		"folder is a link": func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir+".real", 0o700), os.Symlink(dir+".real", dir))
		},
		"folder is a file":        func(t *testing.T, dir string) { must(t, os.WriteFile(dir, nil, 0o600)) },
		"folder is open to group": func(t *testing.T, dir string) { must(t, os.Mkdir(dir, 0o700), os.Chmod(dir, 0o750)) },
		"file is a link": func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir, 0o700), os.Symlink("/etc/passwd", filepath.Join(dir, Name)))
		},
		"file is a link to nothing": func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir, 0o700), os.Symlink(dir+".new", filepath.Join(dir, Name)))
		},
		"file has two names": func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, Name), nil, 0o600),
				os.Link(filepath.Join(dir, Name), dir+".second"))
		},
		"file is readable": func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, Name), nil, 0o600), os.Chmod(filepath.Join(dir, Name), 0o644))
		},
		"file is a folder": func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir, 0o700), os.Mkdir(filepath.Join(dir, Name), 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			prepare(t, dir)
			for _, slash := range []string{"", "/"} {
				if s, err := Open(dir + slash); err == nil {
					s.Close()
					t.Errorf("Open(%q) takes it", dir+slash)
				}
				if _, err := ReadIdentity(dir + slash); err == nil {
					t.Errorf("ReadIdentity(%q) takes it", dir+slash)
				}
			}
			if _, err := os.Lstat(dir + ".new"); err == nil {
				t.Error("a file was made behind the link")
			}
		})
	}
}

func TestAFolderOfAnotherUserIsRefused(t *testing.T) {
	dir := "/" // root's, for a test that does not run as root
	if os.Geteuid() == 0 {
		dir = filepath.Join(t.TempDir(), "state")
		must(t, os.Mkdir(dir, 0o700), os.Chown(dir, 65534, 65534))
	}
	s, err := Open(dir)
	if err == nil {
		s.Close()
		t.Fatal("taken")
	}
	if !strings.Contains(err.Error(), "belongs to user") {
		t.Errorf("Open: %v, want one that names the owner", err)
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
