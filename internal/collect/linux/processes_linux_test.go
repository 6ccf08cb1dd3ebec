package linux

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"swab/internal/row"
)

// start runs a program that waits until the test is over.
func start(t *testing.T, path string, env ...string) int {
	t.Helper()
	cmd := exec.Command(path)
	cmd.Args = []string{"cat", "-"} // waits for its input to end
	cmd.Env = env
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil { // returns after the exec
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	return cmd.Process.Pid
}

// program copies /bin/cat to a path, and returns its bytes.
func program(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile("/bin/cat")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return data
}

func TestPlantedProcessesShow(t *testing.T) {
	dir := t.TempDir()
	deleted, replaced := filepath.Join(dir, "deleted"), filepath.Join(dir, "replaced")
	data := program(t, deleted)
	program(t, replaced)
	pidDeleted := start(t, deleted, "SECRET_TOKEN=abc", "LD_PRELOAD=")
	pidReplaced := start(t, replaced)
	if err := os.Remove(deleted); err != nil {
		t.Fatal(err)
	}
	program(t, replaced+".new")
	if err := os.Rename(replaced+".new", replaced); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.MemfdCreate("planted", 0)
	if err != nil {
		t.Fatal(err)
	}
	memory := os.NewFile(uintptr(fd), "planted")
	defer memory.Close()
	if _, err := memory.Write(data); err != nil {
		t.Fatal(err)
	}
	pidMemfd := start(t, fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd))

	out := gather(t, Processes(), running(t))
	ps := byPID(t, out)
	want := sum(string(data))
	if p := ps[pidDeleted]; !p.ExeDeleted || p.Executable != deleted || p.SHA256 != want || !strings.HasPrefix(p.Env[0], "SECRET_TOKEN=[masked 3") {
		t.Errorf("deleted: %+v", p)
	}
	if p := ps[pidReplaced]; !p.ExeReplaced || p.SHA256 != want {
		t.Errorf("replaced: %+v", p)
	}
	if p := ps[pidMemfd]; !p.ExeMemfd || p.SHA256 != want || p.Executable != "/memfd:planted" {
		t.Errorf("in memory: %+v", p)
	}
	if p := ps[os.Getpid()]; !p.Own || p.ExeReplaced || p.ExeDeleted {
		t.Errorf("this process: %+v", p)
	}
	found := map[int]string{}
	for _, r := range rowsOf[row.Recovered](out, "recovered") {
		if r.Via == "exe" {
			found[r.PID] = r.SHA256
		}
	}
	if found[pidDeleted] != want || found[pidMemfd] != want {
		t.Errorf("recovered: %v", found)
	}
}

// TestProcessesAgreeWithAnotherReader compares what does not change while a
// process runs with what is read here by simpler means, before and after.
func TestProcessesAgreeWithAnotherReader(t *testing.T) {
	before := naive(t)
	out := gather(t, Processes(), running(t))
	after := naive(t)
	rows := byPID(t, out)
	compared := 0
	for pid, was := range before {
		is, ok := after[pid]
		if !ok || is != was {
			continue // it ended, or became another
		}
		p, ok := rows[pid]
		if !ok {
			t.Errorf("process %d is missing", pid)
			continue
		}
		if was.name == "" {
			p.Name = ""
		}
		if got := (simple{int(p.PPID.N), p.Name, p.RealUID, p.Executable}); got != was {
			t.Errorf("process %d = %+v, want %+v", pid, got, was)
		}
		compared++
	}
	if compared == 0 {
		t.Error("no process stood still to be compared")
	}
}

type simple struct {
	parent int
	name   string
	uid    string
	exe    string
}

func naive(t *testing.T) map[int]simple {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	m := map[int]simple{}
	for _, status := range dirs {
		data, err := os.ReadFile(status)
		if err != nil {
			continue
		}
		var s simple
		for line := range bytes.Lines(data) {
			key, value, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
			f := strings.Fields(value)
			switch key {
			case "Name":
				s.name = strings.TrimPrefix(value, "\t")
			case "PPid":
				s.parent, _ = strconv.Atoi(f[0])
			case "Uid":
				s.uid = f[0]
			}
		}
		exe, err := os.Readlink(filepath.Join(filepath.Dir(status), "exe"))
		if err != nil {
			s.name = "" // a worker of the kernel is called after its work
		}
		s.exe = strings.TrimSuffix(exe, " (deleted)")
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(status)))
		m[pid] = s
	}
	return m
}

func TestPlantedMemoryAndFilesShow(t *testing.T) {
	page, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(page)
	odd := filepath.Join(t.TempDir(), "a\nb\xff (deleted)")
	f, err := os.Create(odd)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("0123456789"); err != nil {
		t.Fatal(err)
	}
	gone, err := os.CreateTemp(t.TempDir(), "gone")
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	if _, err := gone.WriteString("secret"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(gone.Name()); err != nil {
		t.Fatal(err)
	}

	h := running(t)
	h.Self.PID = 0 // this process is not the agent here
	rwx := false
	for _, m := range rowsOf[row.Map](gather(t, Maps(), h), "maps") {
		rwx = rwx || m.PID == os.Getpid() && m.Perms == "rwxp" && strings.HasPrefix(m.Why, "writable and executable")
		if strings.Contains(m.Why, "executable without a file") && strings.HasPrefix(m.Path, "[v") {
			t.Errorf("the kernel's own page is of note: %+v", m)
		}
	}
	if !rwx {
		t.Error("a writable and executable map does not show")
	}
	rows := map[int32]row.OpenFile{}
	for _, r := range rowsOf[row.OpenFile](gather(t, OpenFiles(), h), "open_files") {
		if r.PID == os.Getpid() {
			rows[r.FD] = r
		}
	}
	if r := rows[int32(f.Fd())]; r.Target != odd || r.Deleted || r.Size != 10 || r.Position != 10 || r.Access != "rw" || r.Kind != "file" {
		t.Errorf("a file of an odd name: %+v", r)
	}
	if r := rows[int32(gone.Fd())]; r.Target != gone.Name() || !r.Deleted || r.Size != 6 || r.Links != 0 {
		t.Errorf("a deleted file: %+v", r)
	}
}
