//go:build unix

package store_test

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFileIsForItsOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made for it")
	s := open(t, filepath.Join(dir, "swab.db"))
	newTenant(t, s)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 3 { // the write-ahead log and its index beside it
		t.Fatalf("%v, %v; want three files", files, err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want 0600", f.Name(), info.Mode(), err)
		}
	}
}
