package linux

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"swab/internal/collect/host/hosttest"
	"swab/internal/row"
)

var addresses = cmpopts.EquateComparable(netip.Addr{})

const stat = " (nginx) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 200 1000 10 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"

// hostOfSockets holds two processes in two network namespaces.
func hostOfSockets() hosttest.Files {
	return hosttest.Files{
		"etc/passwd":                     "root:x:0:0::/root:/bin/sh\nwww:x:33:33::/:/bin/false\n",
		"proc/stat":                      "btime 1700000000\n",
		"proc/uptime":                    "100.00 1.00\n",
		"proc/sys/kernel/random/boot_id": "boot\n",
		"proc/7/stat":                    "7" + stat,
		"proc/7/status":                  "Name:\tnginx\nUid:\t33\t33\t33\t33\nGid:\t33\t33\t33\t33\n",
		"proc/7/cmdline":                 "nginx\x00",
		"proc/7/ns/net":                  "-> net:[4026531840]",
		"proc/7/fd/3":                    "-> socket:[500]",
		"proc/7/fd/4":                    "-> socket:[500]",
		"proc/7/fd/5":                    "-> socket:[501]",
		"proc/9/stat":                    "9" + stat,
		"proc/9/status":                  "Name:\tnginx\nUid:\t33\t33\t33\t33\nGid:\t33\t33\t33\t33\n",
		"proc/9/cmdline":                 "nginx\x00",
		"proc/9/ns/net":                  "-> net:[4026532000]",
		"proc/9/fd/3":                    "-> socket:[500]",
		"proc/9/fd/6":                    "-> socket:[700]",
		"proc/7/net/tcp": `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0050 00000000:0000 0A 00000000:00000002 00:00000000 00000000    33        0 500 1 0 100 0 0 10 0
   1: 0200000A:0050 0300000A:C001 01 00000000:00000000 02:00000010 00000000    33        0 501 2 0 20 4 30 10 -1
   2: 0200000A:0050 0300000A:C002 06 00000000:00000000 03:00000100 00000000     0        0 0 3 0
   3: 0200000A:0050 0300000A:C003 04 00000000:00000000 01:00000100 00000000     0        0 0 3 0 20 4 30 10 -1
   6: 0200000A:0050 0300000A:C004 01 00000000:00000000 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1
   4: 0200000A:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 999 1 0 100 0 0 10 0
   5: rubbish
`,
		"proc/7/net/udp6": `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  101: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 501 2 0 4
`,
		"proc/7/net/unix": `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 501 /run/a b
0000000000000000: 00000002 00000000 00010000 0001 01 998 @hidden
`,
		"proc/7/net/packet": `sk       RefCnt Type Proto  Iface R Rmem   User   Inode
0000000000000000 3      3    0003   2     1 0      0      501
`,
		"proc/7/net/netlink": `sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
0000000000000000 0   7          00000011 0        0        0     2        0        501
0000000000000000 9   0          00000000 0        0        0     2        0        3
`,
		"proc/9/net/tcp": `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:115C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 700 1 0 100 0 0 10 0
`,
	}
}

func TestSocketsOfATreeOfFilesAreCollectedFromEveryNamespace(t *testing.T) {
	h := hosttest.New(t, hostOfSockets())
	out := gather(t, Sockets(), h)

	entity := row.EntityID("boot", 7, 200)
	want := []row.Socket{
		{
			Transport: "tcp", LocalIP: netip.MustParseAddr("0.0.0.0"), LocalPort: 80, State: "LISTEN", PID: 7, Process: "nginx",
			Owners: []string{"7/nginx", "9/nginx"}, EntityID: entity, UID: "33", User: "www", Network: "ipv4", NetNS: 4026531840,
			RecvQueue: 2, Inode: 500, Source: "/proc/7/net/tcp",
		},
		{
			Transport: "tcp", LocalIP: netip.MustParseAddr("10.0.0.2"), LocalPort: 8080, State: "LISTEN", UID: "0", User: "root", Network: "ipv4",
			NetNS: 4026531840, Inode: 999, Source: "/proc/7/net/tcp", Note: unheld,
		},
		{
			Transport: "udp", LocalIP: netip.MustParseAddr("::"), LocalPort: 53, State: "UNCONN", PID: 7, Process: "nginx",
			Owners: []string{"7/nginx"}, EntityID: entity, UID: "0", User: "root", Network: "ipv6", NetNS: 4026531840, Inode: 501, Drops: 4,
			Source: "/proc/7/net/udp6",
		},
		{
			Transport: "tcp", LocalIP: netip.MustParseAddr("0.0.0.0"), LocalPort: 4444, State: "LISTEN", PID: 9, Process: "nginx",
			Owners: []string{"9/nginx"}, EntityID: row.EntityID("boot", 9, 200), UID: "0", User: "root", Network: "ipv4", NetNS: 4026532000,
			Inode: 700, Source: "/proc/9/net/tcp",
		},
	}
	if d := cmp.Diff(want, rowsOf[row.Socket](out, "listening"), addresses); d != "" {
		t.Errorf("listening: %s", d)
	}

	active := rowsOf[row.Socket](out, "active_connections")
	if len(active) != 4 {
		t.Fatalf("active connections: %d rows, want 4: %+v", len(active), active)
	}
	if a := active[0]; a.State != "ESTABLISHED" || a.RemoteIP.String() != "10.0.0.3" || a.RemotePort != 0xc001 || a.Timer != "keepalive" || a.PID != 7 {
		t.Errorf("connection: %+v", a)
	}
	if a := active[1]; a.State != "TIME_WAIT" || a.Note != "" || a.UID != "" {
		t.Errorf("a connection in TIME_WAIT needs no note, and is nobody's that the kernel knows of: %+v", a)
	}
	if a := active[2]; a.State != "FIN_WAIT1" || a.Note != closedByOwner {
		t.Errorf("a connection that its process has closed: %+v", a)
	}

	if a := active[3]; a.State != "ESTABLISHED" || a.Note != notAccepted {
		t.Errorf("a connection that nobody has accepted: %+v", a)
	}

	sockets := rowsOf[row.UnixSocket](out, "unix")
	if len(sockets) != 2 || sockets[0].Path != "/run/a b" || sockets[0].PID != 7 || sockets[0].State != "LISTEN" ||
		sockets[1].Path != "@hidden" || sockets[1].Note != unheld {
		t.Errorf("unix: %+v", sockets)
	}
	packets := rowsOf[row.PacketSocket](out, "packet")
	if len(packets) != 1 || packets[0].Protocol != "0x0003 all" || packets[0].Interface != "#2" || packets[0].PID != 7 {
		t.Errorf("packet: %+v", packets)
	}
	links := rowsOf[row.NetlinkSocket](out, "netlink")
	if len(links) != 2 || links[0].Protocol != "route" || links[0].Groups != "0x00000011" || !links[1].Kernel || links[1].Note != "" {
		t.Errorf("netlink: %+v", links)
	}
	if out.missing["line of /proc/7/net/tcp"] == nil {
		t.Error("a line that can't be read was not recorded")
	}
}

func TestSocketsAreAbsentWhereThereIsNoTable(t *testing.T) {
	for name, files := range map[string]hosttest.Files{
		"no procfs":     {"etc/passwd": ""},
		"no net tables": {"proc/stat": "btime 1\n"},
	} {
		err := Sockets().Collect(t.Context(), hosttest.New(t, files), &recorder{})
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want fs.ErrNotExist", name, err)
		}
	}
}

func TestTableThatMayNotBeReadIsRecordedAndTheOthersAreKept(t *testing.T) {
	files := hostOfSockets()
	// A directory where a file belongs can't be read, by root neither.
	files["proc/7/net/tcp6/"] = ""
	out := gather(t, Sockets(), hosttest.New(t, files))
	if out.missing["/proc/7/net/tcp6"] == nil || len(out.rows["listening"]) != 4 {
		t.Errorf("missing = %v, listening = %d", out.missing, len(out.rows["listening"]))
	}
}

func TestSocketsEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("over")
	cancel(over)
	if err := Sockets().Collect(ctx, running(t), &recorder{}); !errors.Is(err, over) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestOwnListenerIsFoundWithItsProcess(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	out := gather(t, Sockets(), running(t))

	port := uint32(l.Addr().(*net.TCPAddr).Port)
	mine := func(s row.Socket) bool { return s.LocalPort == port || s.RemotePort == port }
	listening := slices.DeleteFunc(rowsOf[row.Socket](out, "listening"), func(s row.Socket) bool { return !mine(s) })
	if len(listening) != 1 || listening[0].PID != os.Getpid() || !listening[0].Own || listening[0].State != "LISTEN" {
		t.Errorf("listener: %+v", listening)
	}
	active := slices.DeleteFunc(rowsOf[row.Socket](out, "active_connections"), func(s row.Socket) bool { return !mine(s) })
	i := slices.IndexFunc(active, func(s row.Socket) bool { return s.RemotePort == port })
	if i < 0 || active[i].State != "ESTABLISHED" || !active[i].Own || active[i].BytesSent < 1000 || active[i].RTT == 0 {
		t.Errorf("connection: %+v", active)
	}
}

// TestSocketsAgreeWithSS compares with an independent tool, which reads the same
// kernel a moment later: what is in all of three readings must agree.
func TestSocketsAgreeWithSS(t *testing.T) {
	ss, err := exec.LookPath("ss")
	if err != nil {
		t.Fatalf("this test compares with ss (Debian: iproute2): %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := net.ListenPacket("udp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	read := func() map[string]bool {
		b, err := exec.Command(ss, "-tuwnaH").Output()
		if err != nil {
			t.Fatal(err)
		}
		set := map[string]bool{}
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) >= 6 && (f[1] == "LISTEN" || f[1] == "UNCONN") {
				set[f[0]+" "+strings.NewReplacer("[", "", "]", "", "*", "0.0.0.0").Replace(f[4])] = true
			}
		}
		return set
	}
	before := read()
	out := gather(t, Sockets(), running(t))
	after := read()
	got := map[string]bool{}
	for _, s := range rowsOf[row.Socket](out, "listening") {
		got[s.Transport+" "+s.LocalIP.String()+":"+strconv.Itoa(int(s.LocalPort))] = true
		if s.LocalIP.String() == "::" { // ss writes "*" for a dual one
			got[s.Transport+" 0.0.0.0:"+strconv.Itoa(int(s.LocalPort))] = true
		}
	}
	if len(before) < 2 {
		t.Fatalf("ss lists %v", before)
	}
	for s := range before {
		if after[s] && !got[s] && !strings.Contains(s, "%") {
			t.Errorf("ss has %q, the table has not", s)
		}
	}
}
