package host

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWithoutOpenat2NamesAreWalked(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"a/b/f", "out"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, "tree", f)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "tree", f), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("b", filepath.Join(dir, "tree/a/link")); err != nil {
		t.Fatal(err)
	}
	h, err := Fixture(filepath.Join(dir, "tree/a"))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	h.Root.handle.walk = true
	if b, err := h.Root.ReadFile("b/f", 10); err != nil || string(b) != "x" {
		t.Errorf("b/f reads %q, %v", b, err)
	}
	for _, name := range []string{"link/f", "../out", "b/../../out", "b/none", ""} {
		if b, err := h.Root.ReadFile(name, 10); err == nil {
			t.Errorf("%q reads %q", name, b)
		}
	}
}

func FuzzDirents(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24, 0, 8, 'a', 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		eachDirent(b, func(e Dirent) error {
			if n++; n > len(b)/20 {
				t.Fatalf("%d entries in %d bytes", n, len(b))
			}
			return nil
		})
	})
}

func TestLinesAreCutAndWhole(t *testing.T) {
	dir := t.TempDir()
	long := make([]byte, maxLine+10)
	for i := range long {
		long[i] = 'x'
	}
	for name, content := range map[string]string{
		"empty": "", "one": "a", "two": "a\nb\n", "blank": "a\n\nb", "long": string(long) + "\nb\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h, err := Fixture(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for name, want := range map[string][]int{"empty": nil, "one": {1}, "two": {1, 1}, "blank": {1, 0, 1}, "long": {maxLine, 10, 1}} {
		var b Buffer
		var got []int
		if err := b.Lines(h.Root, name, 1<<20, func(line []byte) error { got = append(got, len(line)); return nil }); err != nil {
			t.Error(err)
		}
		if len(got) != len(want) {
			t.Errorf("%s: lines of %v, want %v", name, got, want)
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: lines of %v, want %v", name, got, want)
			}
		}
	}
	var b Buffer
	if err := b.Lines(h.Root, "long", 100, func([]byte) error { return nil }); err == nil {
		t.Error("a file over the bound is read whole")
	}
}
