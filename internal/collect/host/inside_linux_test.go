package host_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"swab/internal/collect/host"
	"swab/internal/collect/host/hosttest"
)

func TestOnlyANamespaceOpensAsOne(t *testing.T) {
	h := live(t)
	ns, err := h.Proc.OpenNamespace(strconv.Itoa(os.Getpid()) + "/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	ns.Close()

	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{fifo, "/etc/passwd", "/dev/null"} {
		if _, err := h.Root.OpenNamespace(name); !errors.Is(err, host.ErrNoNamespace) {
			t.Errorf("OpenNamespace(%s) = %v, want ErrNoNamespace", name, err)
		}
	}
}

func TestInsideIsTheFileSystemOfTheProcess(t *testing.T) {
	h := live(t)
	in, err := h.Proc.Inside(strconv.Itoa(os.Getpid()) + "/root")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	got, err := in.Lstat("etc")
	if err != nil {
		t.Fatal(err)
	}
	want, err := h.Root.Lstat("etc")
	if err != nil {
		t.Fatal(err)
	}
	if !got.Same(want) {
		t.Errorf("etc inside = %+v, want %+v", got, want)
	}

	fixture := hosttest.New(t, hosttest.Files{"proc/7/root": "-> /jail", "jail/etc/x": "1"})
	in, err = fixture.Proc.Inside("7/root")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if b, err := in.ReadFile("etc/x", 10); err != nil || strings.TrimSpace(string(b)) != "1" {
		t.Errorf("a fixture's process reads %q, %v", b, err)
	}
}

func TestUsageIsThatOfStatfs(t *testing.T) {
	u, err := live(t).Root.Usage(".")
	if err != nil {
		t.Fatal(err)
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs("/", &s); err != nil {
		t.Fatal(err)
	}
	if want := s.Blocks * uint64(s.Frsize); u.Total != want || u.Free > u.Total {
		t.Errorf("usage = %+v, want a total of %d", u, want)
	}
}
