package proctable_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"swab/internal/collect/host"
	"swab/internal/collect/host/hosttest"
	"swab/internal/collect/linux/proctable"
)

// process adds what every process has.
func process(files hosttest.Files, pid int, cmdline string) {
	dir := fmt.Sprintf("proc/%d/", pid)
	files[dir+"stat"] = strings.Replace(stat, "7 ", fmt.Sprintf("%d ", pid), 1)
	files[dir+"status"] = "Name:\ta\n"
	files[dir+"cmdline"] = cmdline
	files[dir+"fd/"] = ""
}

// size is the bytes of texts that a table keeps.
func size(ps *proctable.Processes) (n int) {
	for _, p := range ps.List {
		n += len(p.Cmdline) + len(p.Exe)
		for _, fd := range p.FDs {
			if fd.Kind != proctable.Socket {
				n += len(fd.Target())
			}
		}
	}
	return n
}

func TestTargetsHaveABound(t *testing.T) {
	const processes, each = 4, 800
	files := hosttest.Files{"proc/uptime": "1 1\n"}
	long := strings.Repeat("/"+strings.Repeat("d", 250), 15)
	for pid := 10; pid < 10+processes; pid++ {
		process(files, pid, "a\x00")
		for fd := range each {
			files[fmt.Sprintf("proc/%d/fd/%d", pid, fd)] = fmt.Sprintf("-> %s/%d-%d", long, pid, fd)
		}
	}
	process(files, 99, "b\x00") // is read last, and keeps what is its own
	files["proc/99/fd/0"] = "-> /etc/passwd"
	files["proc/99/fd/1"] = "-> socket:[81]"
	root := hosttest.Write(t, files)
	h, err := host.Fixture(root)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	ps, err := proctable.Snapshot(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if n := size(ps); n > proctable.MaxTexts {
		t.Errorf("%d bytes of texts, want %d at most", n, proctable.MaxTexts)
	}
	left := 0
	for _, p := range ps.List[:processes] {
		if len(p.FDs) != each || p.FDsErr != nil {
			t.Errorf("process %d has %d descriptors, %v; want all %d", p.PID, len(p.FDs), p.FDsErr, each)
		}
		for _, fd := range p.FDs {
			if !fd.Left {
				continue
			}
			left++
			again, err := p.Target(fd)
			if want := fmt.Sprintf("%s/%d-%d", long, p.PID, fd.Number); err != nil || again != want {
				t.Fatalf("descriptor %d of %d read again: %.20q…, %v", fd.Number, p.PID, again, err)
			}
			if fd.Target() != "" || fd.Kind != proctable.Path {
				t.Errorf("what was left out: %+v", fd)
			}
		}
	}
	if left == 0 {
		t.Error("nothing was left out")
	}
	last, _ := ps.Process(99)
	if len(last.FDs) != 2 || last.FDs[0].Target() != "/etc/passwd" || last.FDs[1].Inode != 81 || string(last.Cmdline) != "b\x00" {
		t.Errorf("a process among those that take all room: %+v", last)
	}

	if err := os.RemoveAll(filepath.Join(root, "proc/10")); err != nil {
		t.Fatal(err)
	}
	for _, fd := range ps.List[0].FDs {
		if _, err := ps.List[0].Target(fd); fd.Left && err == nil {
			t.Fatal("the target of a descriptor that is gone")
		}
	}
}

func TestCommandLinesHaveABound(t *testing.T) {
	const processes = 40
	files := hosttest.Files{"proc/uptime": "1 1\n"}
	for pid := 10; pid < 10+processes; pid++ {
		process(files, pid, fmt.Sprintf("cmd-%d ", pid)+strings.Repeat("x", proctable.MaxCmdline-100))
	}
	process(files, 99, "short\x00")
	ps, err := proctable.Snapshot(t.Context(), hosttest.New(t, files))
	if err != nil {
		t.Fatal(err)
	}
	if n := 3 * size(ps); n > proctable.MaxTexts {
		t.Errorf("%d bytes of texts, want %d at most", n, proctable.MaxTexts)
	}
	var cut, bytes int64
	for _, p := range ps.List[:processes] {
		if !strings.HasPrefix(string(p.Cmdline), fmt.Sprintf("cmd-%d ", p.PID)) {
			t.Errorf("process %d has lost the beginning of its command line", p.PID)
		}
		if errors.Is(p.CmdlineErr, host.ErrTruncated) {
			cut++
			bytes += int64(len(files[fmt.Sprintf("proc/%d/cmdline", p.PID)]) - len(p.Cmdline))
		}
	}
	if lines, left := ps.LeftLines(); cut == 0 || lines != cut || left != bytes {
		t.Errorf("%d bytes of %d lines are left out, want %d of %d", left, lines, bytes, cut)
	}
	if p, _ := ps.Process(99); string(p.Cmdline) != "short\x00" || p.CmdlineErr != nil {
		t.Errorf("an ordinary command line among long ones: %q, %v", p.Cmdline, p.CmdlineErr)
	}
}

func TestCrowdedHostIsKeptWhole(t *testing.T) {
	const processes, sockets = 500, 10 // of a host with thousands the same holds
	files := hosttest.Files{"proc/uptime": "1 1\n"}
	for pid := 1; pid <= processes; pid++ {
		process(files, pid, "/usr/lib/postgresql/17/bin/postgres\x00-D\x00/var/lib/postgresql/17/main\x00")
		for fd := range sockets {
			files[fmt.Sprintf("proc/%d/fd/%d", pid, fd)] = fmt.Sprintf("-> socket:[%d]", pid*100+fd)
		}
	}
	ps, err := proctable.Snapshot(t.Context(), hosttest.New(t, files))
	if err != nil {
		t.Fatal(err)
	}
	if n := 3 * size(ps); n*16 > proctable.MaxTexts { // with 2,000 processes a quarter
		t.Errorf("%d processes with %d sockets each have %d bytes of texts", processes, sockets, n)
	}
	if lines, _ := ps.LeftLines(); lines != 0 {
		t.Errorf("%d command lines are left out", lines)
	}
}
