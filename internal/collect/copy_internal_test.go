package collect

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"swab/internal/catalog"
	"swab/internal/collect/host"
	"swab/internal/evidence"
)

// copying is a sink and an open file of its host, which has grown to size bytes
// since it was opened with opened of them.
func copying(t *testing.T, opened, size int) (*sink, *host.File) {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	if err := os.WriteFile(name, []byte(strings.Repeat("x", opened)), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := host.Fixture(dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := h.Root.Open("f")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close(); h.Close() })
	if size != opened {
		if err := os.WriteFile(name, []byte(strings.Repeat("x", size)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := &runner{Options: Options{Plan: catalog.Plan{System: "linux"}}, w: evidence.NewWriter(io.Discard, time.Now)}
	return &sink{r: r, item: catalog.Item{Name: "linux.x", Folder: "X"}, streams: map[*evidence.Stream]bool{}}, f
}

func TestCopiedBytesAreCountedNotWhatTheFileSaidBefore(t *testing.T) {
	s, f := copying(t, 10, 1000)
	_ = s.Original(f, 0) // it changed, and the entry says so
	if s.copied != 1000 || s.line.Bytes != 1000 {
		t.Errorf("%d bytes count, the entry has %d; want 1000", s.copied, s.line.Bytes)
	}
}

func TestBoundThatCutACopyIsNamed(t *testing.T) {
	for _, c := range []struct {
		name   string
		max    int64
		copied int64
		whole  int64
		want   string
		left   int64
	}{
		{"a file's", 30, 0, 0, "at most 30 bytes a file", 70},
		{"the item's", 30, MaxCopied - 20, 0, "copies of more than 268435456 bytes in an item", 80},
		{"the package's", 30, MaxCopied - 20, reserve + 10, "the package's bound of 1048586 bytes", 90},
		{"the item's, reached", 30, MaxCopied, 0, "copies of more than 268435456 bytes in an item", 100},
		{"the package's, reached", 30, 0, reserve, "the package's bound of 1048576 bytes", 100},
	} {
		s, f := copying(t, 100, 100)
		s.copied, s.r.Bounds.PackageBytes = c.copied, c.whole
		_ = s.Original(f, c.max)
		if !strings.Contains(s.cut, c.want) || s.line.Left.Bytes != c.left {
			t.Errorf("%s bound: cause %q, %d bytes left out; want %q, %d", c.name, s.cut, s.line.Left.Bytes, c.want, c.left)
		}
	}
}
