package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

func TestDownloadTakesNoFilesPlace(t *testing.T) {
	for _, name := range []string{"web1.zip", "web1.zip.part"} {
		dir := t.TempDir()
		precious := filepath.Join(dir, name)
		if err := os.WriteFile(precious, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		err := create(filepath.Join(dir, "web1.zip"), func(w io.Writer) error {
			_, err := w.Write([]byte("new"))
			return err
		})
		if taken := name == "web1.zip"; errors.Is(err, fs.ErrExist) != taken || err != nil && !taken {
			t.Errorf("beside %s: %v", name, err)
		}
		if got, err := os.ReadFile(precious); err != nil || string(got) != "precious" {
			t.Errorf("%s now holds %q, %v", name, got, err)
		}
	}
}

func TestDownloadThatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	cut := errors.New("cut")
	err := create(filepath.Join(dir, "web1.zip"), func(w io.Writer) error {
		_, err := w.Write([]byte("half"))
		return errors.Join(err, cut)
	})
	left, globErr := filepath.Glob(filepath.Join(dir, "*"))
	if !errors.Is(err, cut) || globErr != nil || len(left) != 0 {
		t.Errorf("%v, and %q is left", err, left)
	}
}

// As on a file system without links.
func TestClaimedNameIsNobodyElses(t *testing.T) {
	dir := t.TempDir()
	part, name := filepath.Join(dir, "part"), filepath.Join(dir, "web1.zip")
	if err := os.WriteFile(part, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := claim(part, name); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want the owner's alone", info.Mode(), err)
	}
	if err := os.WriteFile(part, []byte("newer"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := claim(part, name); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a name that is taken: %v", err)
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != "new" {
		t.Errorf("the file holds %q, %v", got, err)
	}
	other := filepath.Join(dir, "other.zip")
	if err := claim(filepath.Join(dir, "missing"), other); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a part: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || slices.Contains(left, other) {
		t.Errorf("%q are left, %v", left, err)
	}
}
