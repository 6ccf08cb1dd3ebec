package e2e

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// writing are the system calls by which a program changes a file system or
// begins another program.
const writing = "execve,execveat,fork,vfork,clone,clone3,open,openat,openat2,creat,truncate,ftruncate,rename,renameat,renameat2," +
	"mkdir,mkdirat,rmdir,unlink,unlinkat,link,linkat,symlink,symlinkat,mknod,mknodat,chmod,fchmod,fchmodat,chown,fchown,fchownat,lchown," +
	"utimensat,setxattr,lsetxattr,fsetxattr,removexattr,mount,umount2,move_mount"

// The agent enrols, collects and goes on running under a trace of the kernel's:
// it starts no other program, and opens no file for writing but its state.
func TestAgentWritesItsStateAloneAndStartsNothing(t *testing.T) {
	in := server(t)
	trace := filepath.Join(in.Dir, "trace")
	must(t, in.StartAgent("a", "strace", "-f", "-y", "-s", "4096", "-e", "trace="+writing, "-e", "signal=none", "-o", trace))
	ids, err := in.AwaitDevices(within(t, 60*time.Second), 1)
	must(t, err)
	c := connect(t, in)
	enrolled := count(t, trace)
	succeed(t, c, ids[0])
	must(t, in.Agents["a"].Stop())

	state := in.State("a")
	programs := 0
	for n, line := range lines(t, trace) {
		call := regexp.MustCompile(`^\d+\s+(\w+)\((.*)`).FindStringSubmatch(line)
		if call == nil {
			continue // the end of a call that another thread's cut in two
		}
		switch name, args := call[1], call[2]; {
		case name == "execve":
			programs++
		case strings.HasPrefix(name, "clone"):
			if !strings.Contains(args, "CLONE_THREAD") {
				t.Errorf("line %d: a process is made: %s", n+1, line)
			}
		case strings.HasPrefix(name, "open") && !regexp.MustCompile(`O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND`).MatchString(args):
		case strings.HasPrefix(name, "open"), name == "ftruncate", name == "mkdirat", name == "mkdir", name == "fchmod", name == "fchmodat":
			ours := strings.Contains(args, state) || name == "ftruncate" || name == "fchmod"
			if !ours || n >= enrolled && !strings.Contains(args, state) {
				t.Errorf("line %d: a file that is not the state: %s", n+1, line)
			}
		default:
			if !strings.Contains(args, state) || n >= enrolled {
				t.Errorf("line %d: the host is changed: %s", n+1, line)
			}
		}
	}
	if programs != 1 {
		t.Errorf("%d programs were started, want the agent alone", programs)
	}
	files, err := os.ReadDir(state)
	must(t, err)
	if len(files) != 1 {
		t.Errorf("the state directory holds %d files, want 1: %v", len(files), files)
	}
}

func lines(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	var out []string
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		out = append(out, s.Text())
	}
	must(t, s.Err())
	return out
}

func count(t *testing.T, file string) int { return len(lines(t, file)) }

// What an action costs the device's disk: its state, written in place.
func TestActionWritesAtMost16KiB(t *testing.T) {
	in, c, device := install(t)
	succeed(t, c, device)
	written := func() int64 {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", in.Agents["a"].PID))
		must(t, err)
		_, rest, _ := strings.Cut(string(text), "\nwrite_bytes: ")
		value, _, _ := strings.Cut(rest, "\n")
		n, err := strconv.ParseInt(value, 10, 64)
		must(t, err)
		return n
	}
	before := written()
	const actions = 5
	for range actions {
		succeed(t, c, device)
	}
	if each := (written() - before) / actions; each > 16<<10 {
		t.Errorf("an action writes %d bytes to the device's disk, want at most 16384", each)
	}
}
