package proctable_test

import (
	"context"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/collect/host"
	"swab/internal/collect/host/hosttest"
	"swab/internal/collect/linux/proctable"
)

const stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 1 0 250 1000 200 18446744073709551615 " +
	"1 1 1 1 1 0 0 0 0 0 0 0 17 1 0 0 0 0 0 1 1 1 1 1 1 1 0\n"

func TestSnapshotReadsWhatAProcessIsAndHolds(t *testing.T) {
	h := hosttest.New(t, hosttest.Files{
		"proc/7/stat":    stat,
		"proc/7/status":  "Name:\ta b) c\nUid:\t0\t1\t2\t3\nGid:\t0\t0\t0\t0\n",
		"proc/7/cmdline": "a\x00b\x00",
		"proc/7/exe":     "-> /usr/bin/a",
		"proc/7/ns/net":  "-> net:[4026531840]",
		"proc/7/fd/0":    "-> /dev/null",
		"proc/7/fd/3":    "-> socket:[81]",
		"proc/7/fd/4":    "-> pipe:[82]",
		"proc/7/fd/5":    "-> anon_inode:[eventpoll]",
		"proc/7/fd/6":    "-> mnt:[83]",
		"proc/self":      "-> 7",
		"proc/uptime":    "1 1\n",
		"proc/8/":        "",
	})
	ps, err := proctable.Snapshot(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := proctable.Snapshot(t.Context(), h)
	if ps != again {
		t.Error("two snapshots in one package")
	}
	if len(ps.List) != 2 {
		t.Fatalf("%d processes, want 2", len(ps.List))
	}
	p, _ := ps.Process(7)
	if p.Name() != "a b) c" || p.Start != 250 || p.Exe != "/usr/bin/a" || string(p.Cmdline) != "a\x00b\x00" || p.NetNS != 4026531840 {
		t.Errorf("process = %+v", p)
	}
	var got []string
	for _, fd := range p.FDs {
		got = append(got, strconv.Itoa(int(fd.Number))+" "+fd.Target())
	}
	slices.Sort(got)
	want := []string{"0 /dev/null", "3 socket:[81]", "4 pipe:[82]", "5 anon_inode:[eventpoll]", "6 mnt:[83]"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	wantOwners := []proctable.Owner{{PID: 7, FD: 3, Name: "a b) c", EntityID: p.EntityID}}
	if d := cmp.Diff(wantOwners, ps.Owners(81)); d != "" || ps.Owners(80) != nil || ps.Owners(82) != nil {
		t.Error(d)
	}
	if gone, _ := ps.Process(8); !gone.Exited {
		t.Error("a process without stat counts as alive")
	}
}

func TestSnapshotOfThisHostHasThisProcess(t *testing.T) {
	h, err := host.Live(host.Options{Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ps, err := proctable.Snapshot(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	p, ok := ps.Process(os.Getpid())
	if !ok {
		t.Fatal("this process is not in the table")
	}
	if exe, _ := os.Executable(); p.Exe != exe {
		t.Errorf("executable = %q, want %q", p.Exe, exe)
	}
	i := slices.IndexFunc(p.FDs, func(fd proctable.FD) bool { return fd.Number == int32(f.Fd()) })
	if i < 0 || p.FDs[i].Target() != os.DevNull {
		t.Errorf("descriptor %d is not listed as %s: %+v", f.Fd(), os.DevNull, p.FDs)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	h, err := host.Live(host.Options{Clock: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	for b.Loop() {
		n, err := h.Renew()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := proctable.Snapshot(context.Background(), n); err != nil {
			b.Fatal(err)
		}
	}
}
