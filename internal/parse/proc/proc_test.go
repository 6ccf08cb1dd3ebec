package proc

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const statLine = "42 (a) b (c\n) S 1 42 42 34817 7 4194560 1 0 0 0 500 60 0 0 20 -5 3 0 250 1000 200 18446744073709551615 " +
	"1 1 1 1 1 0 0 0 0 0 0 0 17 1 0 0 0 0 0 1 1 1 1 1 1 1 0\n"

func TestStatEndsTheNameAtTheLastParenthesis(t *testing.T) {
	got, err := ParseStat([]byte(statLine))
	if err != nil {
		t.Fatal(err)
	}
	want := Stat{
		PID: 42, Name: "a) b (c\n", State: 'S', Parent: 1, Group: 42, Session: 42, TTY: 34817, Foreground: 7, Flags: 4194560,
		User: 500, System: 60, Priority: 20, Nice: -5, Threads: 3, Start: 250, VSize: 1000, RSS: 200, Processor: 1,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if major, minor := got.Terminal(); major != 136 || minor != 1 {
		t.Errorf("terminal %d:%d, want 136:1", major, minor)
	}
	if got.KernelThread() || !(Stat{Flags: 0x00208040}).KernelThread() {
		t.Error("the kernel's flag is misread")
	}
	for _, bad := range []string{"", "1", "1 (", "1 ()", "x (a) S 1", "1 (a) S", "1 (a) S 1 2 x", "(a) S 1 2 3"} {
		if _, err := ParseStat([]byte(bad)); err == nil {
			t.Errorf("ParseStat(%q) takes it", bad)
		}
	}
}

func TestStatusIsRead(t *testing.T) {
	got, err := ParseStatus([]byte("Name:\tx\\ny\nUmask:\t0022\nTracerPid:\t9\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t10 20 \n" +
		"NSpid:\t42\t1\nVmPeak:\t   8 kB\nVmRSS:\t      4 kB\nVmSwap:\t 1 kB\nCapInh:\t0000000000000001\nCapPrm:\t000001ffffffffff\n" +
		"CapEff:\t0000000000000400\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\nCpus_allowed_list:\t0-1\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Status{
		UID: [4]uint32{1, 2, 3, 4}, GID: [4]uint32{5, 6, 7, 8}, Groups: []uint32{10, 20}, Tracer: 9, NSPID: []int{42, 1},
		VMPeak: 8192, VMRSS: 4096, VMSwap: 1024, Umask: 0o22, NoNewPrivs: true, Seccomp: 2, Filters: 3,
		CapInh: 1, CapPrm: 0x1ffffffffff, CapEff: 0x400, CapBnd: 0x1ffffffffff, CPUs: "0-1",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{"", "Name:\tx\n", "Uid:\t1\n", "Uid:\t1 2 3 4294967296\n", "no colon\n"} {
		if _, err := ParseStatus([]byte(bad)); err == nil {
			t.Errorf("ParseStatus(%q) takes it", bad)
		}
	}
}

func TestMapsLines(t *testing.T) {
	all := func(*Map, []byte) bool { return true }
	for line, want := range map[string]Map{
		"7f00-7f10 rwxp 00000000 00:00 0 \n":                   {Start: 0x7f00, End: 0x7f10, Perms: "rwxp"},
		"1-2 r-xp 0001f000 fe:01 99   /lib/a b.so (deleted)\n": {Start: 1, End: 2, Perms: "r-xp", Offset: 0x1f000, Major: 0xfe, Minor: 1, Inode: 99, Path: "/lib/a b.so", Deleted: true},
		`1-2 r--s 0 0:1 5 /memfd:x\012y (deleted)`:             {Start: 1, End: 2, Perms: "r--s", Minor: 1, Inode: 5, Path: "/memfd:x\ny", Deleted: true},
		"1-2 r-xp 0 00:00 0 [vdso]":                            {Start: 1, End: 2, Perms: "r-xp", Path: "[vdso]"},
	} {
		got, err := ParseMap([]byte(line), all)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("ParseMap(%q): %v\n%s", line, err, d)
		}
	}
	for _, bad := range []string{"", "2-1 rwxp 0 0:0 0", "1-2 rwx 0 0:0 0", "1-2 rwxp z 0:0 0", "1-2 rwxp 0 00 0", "1-2 rwxp 0 0:0"} {
		if _, err := ParseMap([]byte(bad), all); err == nil {
			t.Errorf("ParseMap(%q) takes it", bad)
		}
	}
}

func TestFDInfo(t *testing.T) {
	got, err := ParseFDInfo([]byte("pos:\t12\nflags:\t0102001\nmnt_id:\t29\nino:\t77\nlock:\t1: FLOCK\neventfd-count: 3\n"))
	want := FDInfo{Pos: 12, Flags: 0o102001, Mount: 29, Inode: 77, Locks: 1, Detail: []string{"eventfd-count: 3"}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	if got.Access() != "wa" {
		t.Errorf("access = %q", got.Access())
	}
	for flags, want := range map[uint32]string{0: "r", 1: "w", 2: "rw", 0o10000000: "path"} {
		if got := (FDInfo{Flags: flags}).Access(); got != want {
			t.Errorf("access of %o = %q, want %q", flags, got, want)
		}
	}
	if _, err := ParseFDInfo([]byte("flags:\t9\n")); err == nil {
		t.Error("flags of 9 are octal")
	}
}

func TestSmallFiles(t *testing.T) {
	o, err := ParseIO([]byte("rchar: 1\nwchar: 2\nsyscr: 3\nread_bytes: 4\nwrite_bytes: 5\ncancelled_write_bytes: 6\n"))
	if want := (IO{1, 2, 4, 5, 6}); err != nil || o != want {
		t.Errorf("io = %+v, %v", o, err)
	}
	var limits []string
	err = EachLimit([]byte("Limit                     Soft Limit           Hard Limit           Units     \n"+
		"Max open files            1024                 524288               files     \n"+
		"Max cpu time              unlimited            unlimited            seconds   \n"), func(n, s, h []byte) {
		limits = append(limits, string(n)+"="+string(s)+":"+string(h))
	})
	if d := cmp.Diff([]string{"Max open files=1024:524288", "Max cpu time=unlimited:unlimited"}, limits); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	if d := cmp.Diff([]string{"a", "", "b"}, Strings([]byte("a\x00\x00b\x00\x00\x00"))); d != "" {
		t.Error(d)
	}
	for text, want := range map[string]uint64{"socket:[81]": 81, "net:[4026531840]": 4026531840, "[1]": 0, "x[1]": 0, "socket:[]": 0, "/a:[1]x": 0, "": 0} {
		if _, n, _ := Inode(text); n != want {
			t.Errorf("Inode(%q) = %d, want %d", text, n, want)
		}
	}
}

func TestContainersAreToldByTheirCgroup(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for cgroup, want := range map[string][2]string{
		"/":                                     {},
		"/system.slice/ssh.service":             {},
		"/system.slice/docker-" + id + ".scope": {"docker", id},
		"/docker/" + id:                         {"docker", id},
		"/docker/" + id + "/inner":              {"docker", id},
		"/system.slice/containerd.service/x/" + id: {},
		"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/cri-containerd-" + id + ".scope": {"containerd", id},
		"/kubepods/burstable/pod12/" + id:                   {"kubernetes", id},
		"/kubepods.slice/x/crio-" + id + ".scope":           {"cri-o", id},
		"/machine.slice/libpod-" + id + ".scope/container":  {"podman", id},
		"/libpod_parent/libpod-" + id:                       {"podman", id},
		"/lxc/web":                                          {"lxc", "web"},
		"/lxc.payload.web/init.scope":                       {"lxc", "web"},
		`/machine.slice/machine-qemu\x2d1\x2dvm.scope`:      {"machine", "qemu-1-vm"},
		`/machine.slice/systemd-nspawn@deb.service/payload`: {"machine", "deb"},
		"/docker/not-an-id":                                 {},
	} {
		runtime, got := Container(cgroup)
		if runtime != want[0] || got != want[1] {
			t.Errorf("Container(%q) = %q, %q, want %q", cgroup, runtime, got, want)
		}
	}
	if got := Cgroup([]byte("12:cpu:/a\n1:name=systemd:/a/b\n0::/\n")); got != "/a/b" {
		t.Errorf("cgroup = %q", got)
	}
	if got := Cgroup([]byte("0::/x\n1:cpu:/longer\n")); got != "/x" {
		t.Errorf("cgroup = %q", got)
	}
}

func FuzzStat(f *testing.F) {
	f.Add([]byte(statLine))
	f.Add([]byte("1 ())) S 1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := ParseStat(b); err == nil && (s.PID < 0 || s.State == 0) {
			t.Errorf("%+v of %q", s, b)
		}
	})
}

func FuzzStatus(f *testing.F) {
	f.Add([]byte("Uid:\t1\t2\t3\t4\nGroups:\t1 2\nVmRSS:\t 4 kB\nCapEff:\tff\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := ParseStatus(b); err == nil && len(s.Groups) > MaxGroups {
			t.Errorf("%d groups", len(s.Groups))
		}
	})
}

func FuzzMaps(f *testing.F) {
	f.Add([]byte("7f00-7f10 rwxp 00000000 00:00 0 [stack]\n"))
	f.Add([]byte(`1-2 r--s 0 0:1 5 /memfd:x\012y (deleted)`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMap(b, func(*Map, []byte) bool { return true })
		if err == nil && (m.End < m.Start || len(m.Perms) != 4) {
			t.Errorf("%+v of %q", m, b)
		}
	})
}

func FuzzFDInfo(f *testing.F) {
	f.Add([]byte("pos:\t12\nflags:\t0102001\nmnt_id:\t29\nino:\t77\ninotify wd:1 ino:2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if i, err := ParseFDInfo(b); err == nil && (len(i.Detail) > MaxDetail || i.Access() == "") {
			t.Errorf("%+v of %q", i, b)
		}
	})
}

func FuzzEnviron(f *testing.F) {
	f.Add([]byte("A=b\x00\x00C"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		for _, s := range Strings(b) {
			n += len(s) + 1
		}
		if n > len(b)+1 {
			t.Errorf("%d bytes of %d", n, len(b))
		}
	})
}

func FuzzSmall(f *testing.F) {
	f.Add([]byte("0::/machine.slice/machine-x\\x2d.scope\n"), "socket:[1]")
	f.Add([]byte("rchar: 1\n"), "x:[18446744073709551616]")
	f.Fuzz(func(t *testing.T, b []byte, s string) {
		Inode(s)
		Container(s)
		Container(Cgroup(b))
		ParseIO(b)
		EachLimit(b, func(n, soft, hard []byte) {})
	})
}
