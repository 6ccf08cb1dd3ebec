package linux

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/collect/host/hosttest"
	"swab/internal/collect/linux/proctable"
	"swab/internal/row"
)

// statOf is a line of /proc/PID/stat.
func statOf(pid int, name string, state byte, parent int, flags uint32, start int) string {
	return fmt.Sprintf("%d (%s) %c %d %d %d 34817 7 %d 1 0 0 0 500 60 0 0 20 5 3 0 %d 1000 200 18446744073709551615 "+
		"1 1 1 1 1 0 0 0 0 0 0 0 17 1 0 0 0 0 0 1 1 1 1 1 1 1 0\n", pid, name, state, parent, pid, pid, flags, start)
}

const statusText = "Name:\tx\nUmask:\t0022\nUid:\t1000\t0\t1000\t0\nGid:\t1000\t1000\t1000\t1000\nGroups:\t27 1000 \nNSpid:\t7\t1\n" +
	"VmRSS:\t   4 kB\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000400\nCapEff:\t0000000000000400\nCapBnd:\t000001ffffffffff\n" +
	"CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n"

const containerID = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// crowd is a tree with a process that holds all there is to say, one whose
// executable is deleted, one that runs from memory, a kernel thread, one that
// ended, and the agent.
func crowd() hosttest.Files {
	return hosttest.Files{
		"etc/passwd":                     "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n",
		"usr/bin/app":                    "the program",
		"tmp/gone":                       "deleted program",
		"memfd:evil":                     "program in memory",
		"tmp/loot":                       "held open",
		"proc/stat":                      "btime 1700000000\n",
		"proc/uptime":                    "1000.00 1.00\n",
		"proc/sys/kernel/random/boot_id": "b00t\n",
		"proc/1/mountinfo":               "22 1 0:21 / /proc rw - proc proc rw\n23 22 0:40 / /proc/9 rw - tmpfs tmpfs rw\n",
		"proc/1/stat":                    statOf(1, "init", 'S', 0, 0, 0),
		"proc/1/status":                  statusText,
		"proc/7/stat":                    statOf(7, "app", 'S', 1, 0, 250),
		"proc/7/status":                  statusText,
		"proc/7/cmdline":                 "/usr/bin/app\x00--password=hunter2\x00\xff\n\x00",
		"proc/7/environ":                 "PATH=/bin\x00API_TOKEN=abc\x00",
		"proc/7/exe":                     "-> /usr/bin/app",
		"proc/7/cwd":                     "-> /home/alice",
		"proc/7/root":                    "-> /",
		"proc/7/cgroup":                  "0::/system.slice/docker-" + containerID + ".scope\n",
		"proc/7/loginuid":                "1000",
		"proc/7/sessionid":               "4294967295",
		"proc/7/oom_score_adj":           "-500\n",
		"proc/7/wchan":                   "do_epoll_wait",
		"proc/7/attr/current":            "docker-default (enforce)\n",
		"proc/7/io":                      "rchar: 1\nwchar: 2\nread_bytes: 3\nwrite_bytes: 4\n",
		"proc/7/limits": "Limit                     Soft Limit           Hard Limit           Units     \n" +
			"Max open files            1024                 524288               files     \n",
		"proc/7/ns/net":      "-> net:[4026531840]",
		"proc/7/ns/mnt":      "-> mnt:[4026531841]",
		"proc/7/ns/pid":      "-> pid:[4026531836]",
		"proc/7/fd/0":        "-> /dev/null",
		"proc/8/stat":        statOf(8, "gone", 'S', 7, 0, 300),
		"proc/8/status":      statusText,
		"proc/8/exe":         "-> /tmp/gone (deleted)",
		"proc/8/cmdline":     "gone\x00",
		"proc/8/fd/3":        "-> /tmp/loot",
		"proc/8/fdinfo/3":    "pos:\t4\nflags:\t02\nmnt_id:\t1\n",
		"proc/9/stat":        statOf(9, "evil", 'S', 7, 0, 300),
		"proc/9/status":      statusText,
		"proc/9/exe":         "-> /memfd:evil (deleted)",
		"proc/10/stat":       statOf(10, "kworker/0:1", 'I', 2, 0x00200000, 1),
		"proc/10/status":     statusText,
		"proc/11/":           "",
		"proc/12/stat":       statOf(12, "agent", 'S', 1, 0, 900),
		"proc/12/status":     statusText,
		"proc/12/exe":        "-> /usr/bin/app",
		"proc/12/fd/4":       "-> socket:[81]",
		"proc/12/fd/5":       "-> /var/lib/swab/state",
		"proc/12/fd/6":       "-> /7",
		"proc/12/fdinfo/4":   "pos:\t0\nflags:\t02\n",
		"proc/12/fdinfo/5":   "pos:\t0\nflags:\t02\n",
		"var/lib/swab/state": "state",
	}
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func byPID(t *testing.T, r *recorder) map[int]row.Process {
	t.Helper()
	m := map[int]row.Process{}
	for _, p := range rowsOf[row.Process](r, "processes") {
		m[p.PID] = p
	}
	return m
}

func TestProcessesAreReadWhole(t *testing.T) {
	h := hosttest.New(t, crowd())
	h.Self.PID = 12
	out := gather(t, Processes(), h)
	ps := byPID(t, out)
	got := ps[7]
	if !strings.HasPrefix(got.Args[1], "--password=[masked 7 bytes, ") || !strings.HasPrefix(got.Env[1], "API_TOKEN=[masked 3 bytes, ") {
		t.Errorf("secrets show: %q, %q", got.Args, got.Env)
	}
	if got.Command != strings.Join(got.Args, " ") || got.ExeInode == 0 || got.ExeSize != int64(len("the program")) {
		t.Errorf("process = %+v", got)
	}
	got.Args, got.Env, got.Command, got.ExeDevice, got.ExeInode, got.ExeSize, got.ExeModified = nil, nil, "", "", 0, 0, time.Time{}
	want := row.Process{
		PID: 7, PPID: row.Num(1), Name: "app", User: "root", Start: time.Unix(1700000002, 5e8).UTC(), Executable: "/usr/bin/app",
		SHA256: sum("the program"), EntityID: row.EntityID("b00t", 7, 250), ParentEntity: row.EntityID("b00t", 1, 0),
		State: "S", Group: row.Num(7), Session: row.Num(7), TTYMajor: 136, TTYMinor: 1, TTY: "pts/1", WorkingDir: "/home/alice", Root: "/",
		RealUID: "1000", RealUser: "alice", EffectiveUID: "0", SavedUID: "1000", FSUID: "0",
		EffectiveGID: "1000", RealGID: "1000", SavedGID: "1000", FSGID: "1000",
		Groups: []string{"27", "1000"}, LoginUID: "1000", LoginUser: "alice",
		CapEffective: []string{"CAP_NET_BIND_SERVICE"}, CapEff: "0000000000000400", CapPrm: "0000000000000400", CapBnd: "000001ffffffffff",
		Seccomp: "filter", SeccompFilters: 1, NoNewPrivs: true, SecurityLabel: "docker-default (enforce)",
		ContainerID: containerID, ContainerRuntime: "docker", Cgroup: "/system.slice/docker-" + containerID + ".scope",
		NSPID: "7 1", PIDNS: 4026531836, NetNS: 4026531840, MntNS: 4026531841,
		Threads: 3, OpenFiles: 1, Nice: 5, Priority: 20, UserMs: 5000, SystemMs: 600, RSS: 4096, VSize: 1000,
		ReadChars: 1, WriteChars: 2, ReadBytes: 3, WriteBytes: 4, OOMAdjust: -500, WaitsIn: "do_epoll_wait",
		Limits: []string{"Max open files=1024:524288"}, Umask: "0022",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if p := ps[8]; !p.ExeDeleted || p.ExeMemfd || p.Executable != "/tmp/gone" || p.SHA256 != sum("deleted program") {
		t.Errorf("a deleted executable: %+v", p)
	}
	if p := ps[9]; !p.ExeMemfd || p.Executable != "/memfd:evil" {
		t.Errorf("an executable in memory: %+v", p)
	}
	if p := ps[10]; !p.KernelThread || p.Executable != "" || p.Denied != "" {
		t.Errorf("a kernel thread: %+v", p)
	}
	if p := ps[11]; !p.Exited || p.PID != 11 || !p.Start.IsZero() {
		t.Errorf("a process that ended: %+v", p)
	}
	if !ps[9].Covered || ps[7].Covered {
		t.Error("the process that a mount covers is not the one that is marked")
	}
	if !ps[12].Own || ps[7].Own {
		t.Error("the agent's own process is not the one that is marked")
	}
	if len(out.missing) != 0 {
		t.Errorf("misses: %v", out.missing)
	}
}

// Zeros would say that it is root's, and the kernel's child.
func TestProcessThatMayNotBeReadHasNoIds(t *testing.T) {
	files := crowd()
	files["proc/20/stat/"] = "" // to read it is an error
	files["proc/21/stat"] = statOf(21, "half", 'S', 0, 0, 5)
	files["proc/21/status/"] = ""
	ps := byPID(t, gather(t, Processes(), hosttest.New(t, files)))
	want := row.Process{PID: 20, Denied: ps[20].Denied}
	if d := cmp.Diff(want, ps[20]); d != "" || want.Denied == "" {
		t.Errorf("of a process of which nothing could be read is told (-want +got):\n%s", d)
	}
	half := ps[21]
	if half.PPID != row.Num(0) || half.Group != row.Num(21) || half.RealUID+half.EffectiveUID+half.SavedGID+half.FSGID != "" || half.User != "" {
		t.Errorf("a process of which stat could be read, and status not: %+v", half)
	}
	if init := ps[1]; init.PPID != row.Num(0) || init.EffectiveUID != "0" {
		t.Errorf("the first process has parent %v and user %q, want 0 and 0", init.PPID, init.EffectiveUID)
	}
}

func TestOnlyProcessesAreCountedAsCoveredAndASecondProcIsTold(t *testing.T) {
	files := crowd()
	files["proc/1/mountinfo"] = `22 1 0:21 / /proc rw - proc proc rw
23 22 0:40 / /proc/9 rw - tmpfs tmpfs rw
24 22 0:41 / /proc/9/fd rw - tmpfs tmpfs rw
25 22 0:42 / /proc/4242 rw - tmpfs tmpfs rw
26 22 0:43 / /proc/sys/fs/binfmt_misc rw - binfmt_misc none rw
`
	const one, over = "directories of 1 processes", "/proc/1/mountinfo has more than one mount at /proc"
	notes := strings.Join(gather(t, Processes(), hosttest.New(t, files)).notes, "\n")
	if !strings.Contains(notes, one) || strings.Contains(notes, over) {
		t.Errorf("one process is covered, and no procfs: %s", notes)
	}
	files["proc/1/mountinfo"] += "27 22 0:44 / /proc rw - tmpfs tmpfs rw\n"
	notes = strings.Join(gather(t, Processes(), hosttest.New(t, files)).notes, "\n")
	if !strings.Contains(notes, one) || !strings.Contains(notes, over) {
		t.Errorf("one process is covered, and procfs itself: %s", notes)
	}
}

func TestExecutablesWithoutAPathAreRecovered(t *testing.T) {
	out := gather(t, Processes(), hosttest.New(t, crowd()))
	var got []string
	for _, r := range rowsOf[row.Recovered](out, "recovered") {
		got = append(got, fmt.Sprintf("%d %s %s %s", r.PID, r.Via, r.Entry, r.SHA256))
	}
	want := []string{
		"9 exe Processes/recovered/9-exe " + sum("program in memory"), // what is in memory goes first
		"8 exe Processes/recovered/8-exe " + sum("deleted program"),
		"8 fd/3 Processes/recovered/8-fd3 " + sum("held open"),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestWithoutProcfsProcessesAreAbsent(t *testing.T) {
	h := hosttest.New(t, hosttest.Files{"etc/passwd": ""})
	for _, c := range []collect.Collector{Processes(), Maps(), OpenFiles(), Agent()} {
		if err := c.Collect(t.Context(), h, &recorder{}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want absent", c.Spec().Item, err)
		}
	}
}

func TestMapsOfNote(t *testing.T) {
	files := crowd()
	files["proc/7/maps"] = "1000-2000 r-xp 00000000 fe:01 5 /usr/bin/app\n" +
		"2000-3000 rwxp 00000000 00:00 0 \n" +
		"3000-4000 r--p 00000000 00:00 0 [vvar]\n" +
		"4000-5000 r-xp 00000000 00:00 0 [vdso]\n" +
		"5000-6000 r-xp 00000000 fe:01 9 /lib/x.so (deleted)\n" +
		"6000-7000 rw-s 00000000 00:01 9 /SYSV00000000 (deleted)\n" +
		"7000-8000 r-xp 00000000 00:01 9 /memfd:a b (deleted)\n" +
		"8000-9000 r-xp 00000000 00:00 0 \n" +
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n"
	files["proc/8/maps"] = "not a map\n"
	out := gather(t, Maps(), hosttest.New(t, files))
	var got []string
	for _, m := range rowsOf[row.Map](out, "maps") {
		got = append(got, fmt.Sprintf("%d %s %s %s", m.PID, m.Start, m.Path, m.Why))
	}
	want := []string{
		"7 2000  writable and executable, executable without a file", "7 5000 /lib/x.so deleted",
		"7 7000 /memfd:a b memory file", "7 8000  executable without a file",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if out.missing["/proc/PID/maps"] == nil {
		t.Error("maps of no form are no miss")
	}
	files["proc/7/maps"] = "1000-2000 r-xp 00000000 fe:01 5 /usr/bin/app\n"
	if quiet := gather(t, Maps(), hosttest.New(t, files)); out.clean != 0 || quiet.clean != 1 {
		t.Errorf("%d processes have nothing of note, then %d, want 0 and 1", out.clean, quiet.clean)
	}
}

func TestOpenFilesOfEveryKind(t *testing.T) {
	files := crowd()
	for fd, target := range map[int]string{
		1: "/home/a\nb\xff", 2: "pipe:[5]", 3: "socket:[6]", 4: "anon_inode:[eventfd]", 5: "/tmp/loot (deleted)", 6: "/memfd:evil (deleted)", 7: "/usr/bin",
	} {
		files[fmt.Sprintf("proc/7/fd/%d", fd)] = "-> " + target
		files[fmt.Sprintf("proc/7/fdinfo/%d", fd)] = "pos:\t3\nflags:\t02002\nmnt_id:\t9\neventfd-count: 1\n"
	}
	files["home/a\nb\xff"] = "odd"
	h := hosttest.New(t, files)
	h.Self.PID = 12
	out := gather(t, OpenFiles(), h)
	got := map[string]string{}
	own := 0
	for _, f := range rowsOf[row.OpenFile](out, "open_files") {
		if f.PID == 7 {
			got[f.Target] = fmt.Sprintf("%s %s %d %v", f.Kind, f.Access, f.Size, f.Deleted)
		}
		if f.Own {
			own++
		}
	}
	want := map[string]string{
		"/dev/null": "other  0 false", "/home/a\nb\xff": "file rwa 3 false", "pipe:[5]": "pipe rwa 0 false", "socket:[6]": "socket  0 false",
		"anon_inode:[eventfd]": "anon rwa 0 false", "/tmp/loot": "file rwa 9 true", "/memfd:evil": "memfd rwa 17 true", "/usr/bin": got["/usr/bin"],
	}
	if d := cmp.Diff(want, got); d != "" || !strings.HasPrefix(got["/usr/bin"], "directory rwa") {
		t.Errorf("%s\n%q", d, got["/usr/bin"])
	}
	if own != 2 {
		t.Errorf("%d rows are the agent's own, want its socket and its state file, and no handle on a process", own)
	}
}

func TestTargetsWithoutRoomAreReadAgainOrCounted(t *testing.T) {
	const each = 1800
	files := crowd()
	long := strings.Repeat("/"+strings.Repeat("d", 250), 15)
	for fd := range each {
		files[fmt.Sprintf("proc/7/fd/%d", fd)] = fmt.Sprintf("-> %s/%d", long, fd)
	}
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
	p, _ := ps.Process(7)
	i := slices.IndexFunc(p.FDs, func(fd proctable.FD) bool { return fd.Left })
	gone := p.FDs[i].Number
	if err := os.Remove(fmt.Sprintf("%s/proc/7/fd/%d", root, gone)); err != nil {
		t.Fatal(err)
	}
	out := gather(t, OpenFiles(), h)
	rows := 0
	for _, r := range rowsOf[row.OpenFile](out, "open_files") {
		if r.PID != 7 {
			continue
		}
		rows++
		want, detail := fmt.Sprintf("%s/%d", long, r.FD), ""
		if r.FD == gone {
			want, detail = "", "its target was left out"
		}
		if r.Target != want || r.Detail != detail {
			t.Errorf("descriptor %d: target %.20q…, detail %q", r.FD, r.Target, r.Detail)
		}
	}
	if rows != each || len(out.truncated) != 1 || !strings.HasPrefix(out.truncated[0], "1 descriptors without a target") {
		t.Errorf("%d rows, truncated %q", rows, out.truncated)
	}
}

func TestCommandLinesOverTheRoomOfAllAreCounted(t *testing.T) {
	files := crowd()
	for pid := 100; pid < 130; pid++ {
		files[fmt.Sprintf("proc/%d/stat", pid)] = statOf(pid, "long", 'S', 1, 0, 900)
		files[fmt.Sprintf("proc/%d/status", pid)] = statusText
		files[fmt.Sprintf("proc/%d/cmdline", pid)] = "long\x00" + strings.Repeat("x", 100_000)
	}
	out := gather(t, Processes(), hosttest.New(t, files))
	if len(out.truncated) != 1 || !strings.Contains(out.truncated[0], "command lines") {
		t.Errorf("truncated = %q", out.truncated)
	}
	cut := 0
	for _, p := range rowsOf[row.Process](out, "processes") {
		if p.PID >= 100 && (len(p.Args) == 0 || p.Args[0] != "long") {
			t.Errorf("process %d has lost the beginning of its command line", p.PID)
		}
		if strings.Contains(p.Denied, "cmdline") {
			cut++
		}
	}
	if want := fmt.Sprintf("%d command lines", cut); cut == 0 || !strings.HasPrefix(out.truncated[0], want) {
		t.Errorf("%q, and %d rows say so", out.truncated[0], cut)
	}
}

func TestAgentListsItsFootprint(t *testing.T) {
	h := hosttest.New(t, crowd())
	h.Self.PID, h.Self.StateFile = 12, "/var/lib/swab/state"
	var got []string
	for _, a := range rowsOf[row.Agent](gather(t, Agent(), h), "agent") {
		got = append(got, a.Kind+" "+a.Name+" "+a.SHA256)
	}
	want := []string{
		"process agent ", "executable /usr/bin/app " + sum("the program"), "state file /var/lib/swab/state ",
		"socket socket:[81] ", "open file /var/lib/swab/state ", "handles /proc/PID ",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
