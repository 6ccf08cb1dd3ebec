package linux

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/collect/host/hosttest"
	"swab/internal/row"
)

func TestFilesOfHostFactsAreCopied(t *testing.T) {
	out := gather(t, System(), hosttest.New(t, hosttest.Files{
		"etc/os-release": "-> ../usr/lib/os-release", "usr/lib/os-release": "ID=debian\n",
		"etc/passwd": "root:x:0:0::/root:/bin/sh\nlocked:!:5:5::/:/bin/false\n", "etc/group": "root:x:0:\n", "etc/hostname": "host1\n",
		"etc/localtime": "-> /usr/share/zoneinfo/Europe/Zurich", "usr/share/zoneinfo/Europe/Zurich": "TZif2",
		"etc/shadow": "root:$6$salt$hash:19000:0:99999:7:::\n", "etc/hosts": "::1 localhost\nfe80::1:2:3:4 router\n",
		"etc/ssh/ssh_host_ed25519_key": "whatever",
	}))
	want := map[string]string{
		"/etc/os-release": "ID=debian\n", "/usr/lib/os-release": "ID=debian\n", "/etc/hostname": "host1\n", "/etc/localtime": "TZif2",
		"/etc/passwd": "root:x:0:0::/root:/bin/sh\nlocked:!:5:5::/:/bin/false\n", "/etc/group": "root:x:0:\n",
		"/etc/hosts": "::1 localhost\nfe80::1:2:3:4 router\n",
	}
	if d := cmp.Diff(want, out.originals); d != "" {
		t.Errorf("copied (-want +got):\n%s", d)
	}
	facts := rowsOf[row.SystemFact](out, "system")
	if got := value(facts, "Links", "/etc/localtime"); got != "/usr/share/zoneinfo/Europe/Zurich" {
		t.Errorf("the link of the time zone leads to %q", got)
	}
	if len(out.missing) != 0 {
		t.Errorf("misses: %v", out.missing)
	}
	note := "Not there, so not copied: /etc/debian_version, /etc/redhat-release, /etc/machine-id, /etc/resolv.conf, "
	if len(out.notes) != 1 || !strings.HasPrefix(out.notes[0], note) {
		t.Errorf("notes %q, want %q…", out.notes, note)
	}
}

// Who can write /etc must not be able to have a secret taken from the device.
func TestSecretsAreNotCopiedUnderOtherNames(t *testing.T) {
	const shadow = "root:*:19000:0:99999:7:::\n"
	for name, files := range map[string]hosttest.Files{
		"a link to shadow":              {"etc/hosts": "-> /etc/shadow", "etc/shadow": shadow},
		"a link to a link to shadow":    {"etc/hosts": "-> ../x/y", "x/y": "-> /etc/shadow", "etc/shadow": shadow},
		"a link to a link to itself":    {"etc/hosts": "-> other", "etc/other": "-> hosts"},
		"a folder that leads to shadow": {"etc/hosts": "-> /x/shadow", "x": "-> /etc", "etc/shadow": shadow},
		"a link to a private key":       {"etc/hosts": "-> /key", "key": "-----BEGIN OPENSSH PRIVATE KEY-----\n"},
		"a link to an environment":      {"etc/hosts": "-> /proc/1/environ", "proc/1/environ": "TOKEN=x"},
		"hashes in passwd":              {"etc/hosts": "root:$y$j9T$x$y:0:0::/root:/bin/sh\n"},
		"old hashes, locked":            {"etc/hosts": "a:x:1:\nb:!abJnggxhB/yWI:0:0::/:/bin/sh\n"},
	} {
		files["proc/stat"] = "btime 1\n"
		files["proc/loadavg"] = "0\n"
		out := gather(t, System(), hosttest.New(t, files))
		if got := out.originals["/etc/hosts"]; got != "" {
			t.Errorf("%s is copied: %q", name, got)
		}
		if err := out.missing["copy of /etc/hosts"]; !errors.Is(err, collect.ErrExcluded) {
			t.Errorf("%s: the miss is %v, want ErrExcluded", name, err)
		}
	}
	dir := hosttest.Write(t, hosttest.Files{"etc/shadow": shadow, "proc/stat": "btime 1\n", "proc/loadavg": "0\n"})
	if err := os.Link(filepath.Join(dir, "etc/shadow"), filepath.Join(dir, "etc/hosts")); err != nil {
		t.Fatal(err)
	}
	h, err := host.Fixture(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	if out := gather(t, System(), h); out.originals["/etc/hosts"] != "" {
		t.Errorf("a second name of shadow is copied")
	}
}

// Nor may a fact's text be a secret's.
func TestFactOfALinkToASecretIsLeftOut(t *testing.T) {
	const shadow = "root:$6$salt$hash:19000:0:99999:7:::\n"
	dir := hosttest.Write(t, hosttest.Files{
		"etc/hostname": "-> shadow", "etc/shadow": shadow, "proc/stat": "btime 1\n", "proc/loadavg": "0\n",
	})
	if err := os.Link(filepath.Join(dir, "etc/shadow"), filepath.Join(dir, "etc/timezone")); err != nil {
		t.Fatal(err)
	}
	h, err := host.Fixture(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	out := gather(t, System(), h)
	for _, f := range rowsOf[row.SystemFact](out, "system") {
		if strings.Contains(f.Value, "$6$") {
			t.Errorf("a fact tells a hash: %+v", f)
		}
	}
	for _, name := range []string{"/etc/hostname", "/etc/timezone"} {
		if !errors.Is(out.missing[name], collect.ErrExcluded) {
			t.Errorf("%s: the miss is %v, want ErrExcluded", name, out.missing[name])
		}
	}
}

// The kernel's own files say that they have no bytes.
func TestNoFileOfTheKernelIsAnOriginal(t *testing.T) {
	h := running(t)
	proc := *h
	proc.Root = h.Proc
	if err := copyOriginal(&proc, &recorder{}, "self/environ"); !errors.Is(err, collect.ErrExcluded) {
		t.Errorf("an environment by a name that tells nothing: %v, want ErrExcluded", err)
	}
}

func FuzzHoldsHash(f *testing.F) {
	f.Add([]byte("root:x:0:0::/root:/bin/sh\n"))
	f.Add([]byte("::1 localhost\nfe80::1:2:3:4 router\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if !holdsHash(append(append([]byte{}, b...), "\nroot:$6$salt$hash:19000:0:99999:7:::\n"...)) {
			t.Errorf("a hash after %q is not seen", b)
		}
	})
}

func TestFilesOfSessionsAreCopiedWithinTheirBound(t *testing.T) {
	record := strings.Repeat("\x00", 384)
	files := hosttest.Files{"run/utmp": record, "run/systemd/users/1000": "NAME=alice\n"}
	for i := range maxOriginals + 3 {
		files[fmt.Sprintf("run/systemd/sessions/%03d", i)] = "UID=1000\nUSER=alice\n"
	}
	out := gather(t, Sessions(), hosttest.New(t, files))
	if len(out.originals) != maxOriginals+2 || out.originals["/run/utmp"] != record || out.originals["/run/systemd/users/1000"] == "" {
		t.Errorf("%d files are copied, want %d: sessions, a user, utmp", len(out.originals), maxOriginals+2)
	}
	if len(out.truncated) != 1 || !strings.Contains(out.truncated[0], "/run/systemd/sessions: 3 were left out") {
		t.Errorf("truncated: %q", out.truncated)
	}
}

func TestFileThatMayNotBeCopiedIsAMiss(t *testing.T) {
	out := gather(t, System(), hosttest.New(t, hosttest.Files{"etc/hostname/": "", "proc/stat": "btime 1\n", "proc/loadavg": "0\n"}))
	if err := out.missing["copy of /etc/hostname"]; !errors.Is(err, host.ErrNotRegular) {
		t.Errorf("a folder in a file's place: %v", err)
	}
}
