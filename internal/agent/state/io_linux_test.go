package state

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An action costs a device that may be evidence itself at most 16 KiB of
// writing, by the kernel's own account.
func TestAnActionWritesLittle(t *testing.T) {
	s := openDirState(t, t.TempDir()+"/state")
	before := writeBytes(t)
	const actions = 10
	for n := range actions {
		if err := s.Begin(id(n), 1, head(1), time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := s.End(id(n)); err != nil {
			t.Fatal(err)
		}
	}
	wrote := (writeBytes(t) - before) / actions
	t.Logf("%d bytes an action", wrote)
	if wrote > 16<<10 {
		t.Errorf("an action writes %d bytes, over 16 KiB", wrote)
	}
}

func writeBytes(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\nwrite_bytes: ")
	n, _, _ := strings.Cut(rest, "\n")
	v, err := strconv.ParseInt(n, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
