package host_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"swab/internal/collect/host"
	"swab/internal/collect/host/hosttest"
)

func live(t testing.TB) *host.Host {
	t.Helper()
	h, err := host.Live(host.Options{Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func TestFixtureTakesItsBootFromItsFiles(t *testing.T) {
	h := hosttest.New(t, hosttest.Files{
		"proc/stat":                           "cpu 1 2 3\nbtime 1700000000\n",
		"proc/uptime":                         "100.50 20.00\n",
		"proc/sys/kernel/random/boot_id":      "0f0e\n",
		"proc/7/exe":                          "-> /bin/sh",
		"bin/sh":                              "#!",
		"etc/os-release":                      "-> /usr/lib/os-release",
		"usr/lib/os-release":                  "ID=x\n",
		"sys/devices/virtual/dmi/id/sys_name": "x",
	})
	if h.Boot.ID != "0f0e" || !h.Boot.At(250).Equal(time.Unix(1700000002, 5e8)) {
		t.Errorf("boot = %+v, At(250) = %v", h.Boot, h.Boot.At(250))
	}
	if got := h.Clock(); !got.Equal(time.Unix(1700000100, 5e8)) {
		t.Errorf("clock = %v", got)
	}
	b, err := h.Root.ReadFile("etc/os-release", 100)
	if err != nil || string(b) != "ID=x\n" {
		t.Errorf("an absolute link inside the root reads %q, %v", b, err)
	}
	f, err := h.Proc.OpenLink("7/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, _ := io.ReadAll(f); string(b) != "#!" || f.Path() != "/bin/sh" {
		t.Errorf("the executable of a fixture's process reads %q of %s", b, f.Path())
	}
}

func TestNothingLeadsOutOfATree(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("no"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := hosttest.New(t, hosttest.Files{"a/link": "-> " + outside, "a/up": "-> ../../../../../../../.." + outside, "b": "x"})
	for _, name := range []string{"a/link", "a/up", "../../../../.." + outside, "../" + filepath.Base(filepath.Dir(outside))} {
		if b, err := h.Root.ReadFile(name, 10); err == nil {
			t.Errorf("%s reads %q from outside", name, b)
		}
	}
	if _, err := h.Root.Open("a/link"); err == nil {
		t.Error("Open followed a link")
	}
}

func TestReadsAreBounded(t *testing.T) {
	h := hosttest.New(t, hosttest.Files{"f": strings.Repeat("x", 9000), "d/1": "", "d/2": "", "d/3": ""})
	for _, max := range []int64{0, 1, 4096, 8999} {
		b, err := h.Root.ReadFile("f", max)
		if !errors.Is(err, host.ErrTruncated) || int64(len(b)) != max {
			t.Errorf("ReadFile(f, %d) = %d bytes, %v", max, len(b), err)
		}
	}
	for _, max := range []int64{9000, 1 << 40} {
		if b, err := h.Root.ReadFile("f", max); err != nil || len(b) != 9000 {
			t.Errorf("ReadFile(f, %d) = %d bytes, %v", max, len(b), err)
		}
	}
	if l, err := h.Root.ReadDir("d", 2); !errors.Is(err, host.ErrTruncated) || len(l) != 2 {
		t.Errorf("ReadDir(d, 2) = %v, %v", l, err)
	}
	if l, err := h.Root.ReadDir("d", 3); err != nil || len(l) != 3 {
		t.Errorf("ReadDir(d, 3) = %v, %v", l, err)
	}
	if _, err := h.Root.ReadFile("none", 1); !errors.Is(err, fs.ErrNotExist) || !host.Gone(err) {
		t.Errorf("a missing file: %v", err)
	}
}
