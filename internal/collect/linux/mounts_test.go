package linux

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/collect/host/hosttest"
	"swab/internal/row"
)

func TestMountsOfEveryNamespaceAreCollected(t *testing.T) {
	out := gather(t, Mounts(), hosttest.New(t, aHost(hosttest.Files{
		"proc/7/ns/mnt": "-> mnt:[100]",
		"proc/7/mountinfo": `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:50 / /mnt/a\040b rw,nosuid - nfs4 server:/export rw,vers=4.2
24 22 0:51 / /proc/4242 rw - tmpfs none rw
rubbish
`,
		"proc/8/stat": "8" + stat, "proc/8/status": "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n", "proc/8/cmdline": "x",
		"proc/8/ns/mnt": "-> mnt:[100]", "proc/8/mountinfo": "99 1 254:0 / /never rw - ext4 /dev/vda rw\n",
		"proc/9/stat": "9" + stat, "proc/9/status": "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n", "proc/9/cmdline": "x",
		"proc/9/ns/mnt": "-> mnt:[200]", "proc/9/mountinfo": "30 1 0:4 net:[4026532001] /run/netns/blue rw shared:9 - nsfs nsfs rw\n",
	})))
	want := []row.Mount{
		{
			Point: "/", Source: "/dev/vda", Type: "ext4", Options: "rw,relatime", Super: "rw", Root: "/", Propagation: "shared:1", ID: 22, Parent: 1,
			Device: "254:0", NotAsked: "not a running system", MountNS: 100, PID: 7, Process: "nginx",
		},
		{
			Point: "/mnt/a b", Source: "server:/export", Type: "nfs4", Options: "rw,nosuid", Super: "rw,vers=4.2", Root: "/", ID: 23, Parent: 22,
			Device: "0:50", NotAsked: "network or user-space file system: it may never answer", MountNS: 100, PID: 7, Process: "nginx",
		},
		{
			Point: "/proc/4242", Source: "none", Type: "tmpfs", Options: "rw", Super: "rw", Root: "/", ID: 24, Parent: 22, Device: "0:51",
			NotAsked: "not a running system", MountNS: 100, PID: 7, Process: "nginx", Flag: true,
			Note: "covers a process in /proc: whoever looks there sees what is mounted instead",
		},
		{
			Point: "/run/netns/blue", Source: "nsfs", Type: "nsfs", Options: "rw", Super: "rw", Root: "net:[4026532001]", Propagation: "shared:9",
			ID: 30, Parent: 1, Device: "0:4", MountNS: 200, PID: 9, Process: "nginx",
		},
	}
	if d := cmp.Diff(want, rowsOf[row.Mount](out, "mounts")); d != "" {
		t.Error(d)
	}
	if out.missing["line of a mount table"] == nil {
		t.Error("a line that can't be read was not recorded")
	}
}

func TestMountsOfATreeThatTellsNoNamespacesAreThoseOfItsFirstProcess(t *testing.T) {
	out := gather(t, Mounts(), hosttest.New(t, aHost(hosttest.Files{
		"proc/7/mountinfo": "22 1 254:0 / / rw - ext4 /dev/vda rw\n",
		"proc/8/stat":      "8" + stat, "proc/8/status": "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n", "proc/8/cmdline": "x",
		"proc/8/mountinfo": "22 1 254:0 / / rw - ext4 /dev/vda rw\n",
	})))
	if n := len(out.rows["mounts"]); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

func TestMountsAreAbsentWithoutProcfs(t *testing.T) {
	for _, files := range []hosttest.Files{{"etc/passwd": ""}} {
		if err := Mounts().Collect(t.Context(), hosttest.New(t, files), &recorder{}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v, want fs.ErrNotExist", err)
		}
	}
}

// TestMountsAgreeWithTheKernel reads the same mounts another way: the old table
// of /proc, and statfs on each.
func TestMountsAgreeWithTheKernel(t *testing.T) {
	if _, err := os.Stat("/proc/self/mounts"); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	out := gather(t, Mounts(), running(t))
	after, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	link, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	ns, err := strconv.ParseUint(strings.Trim(link, "mnt:[]"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	rows := slices.DeleteFunc(rowsOf[row.Mount](out, "mounts"), func(m row.Mount) bool { return m.MountNS != ns })
	for line := range strings.Lines(string(before)) {
		f := strings.Fields(line)
		if !strings.Contains(string(after), line) || strings.Contains(f[1], `\`) {
			continue
		}
		if !slices.ContainsFunc(rows, func(m row.Mount) bool { return m.Point == f[1] && m.Type == f[2] }) {
			t.Errorf("/proc/self/mounts has %s, the table has not", strings.TrimSpace(line))
		}
	}
	if !slices.ContainsFunc(rows, func(m row.Mount) bool { return m.Point == "/" && (m.Total.N > 0 || m.NotAsked != "") }) {
		t.Errorf("how full / is was neither told nor refused: %+v", rows)
	}
}
