package procnet

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"swab/internal/parse/rtnl"
	"swab/internal/parse/sockdiag"
)

var comparable = cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})

const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000001 00:00000000 00000000  1000        0 4242 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0200000A:C001 01 00000010:00000000 01:00000014 00000002     0        0 4243 2 0000000000000000 20 4 30 10 -1
   2: rubbish
   3: 0100007F:1F90 0200000A:C002 06 00000000:00000000 03:00000100 00000000     0        0 0 3 0000000000000000
`

const tcp6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 0
   1: 0000000000000000FFFF0000010200C0:0016 0000000000000000FFFF0000020200C0:C350 01 00000000:00000000 00:00000000 00000000     0        0 78 1 0
`

const udp = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  101: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 9 2 0000000000000000 31
`

func collect[T any](t *testing.T, seq func(func(T, error) bool), wantBad int) []T {
	t.Helper()
	var out []T
	for v, err := range seq {
		if err != nil {
			wantBad--
			continue
		}
		out = append(out, v)
	}
	if wantBad != 0 {
		t.Errorf("bad lines: %d fewer than expected", wantBad)
	}
	return out
}

func TestSocketsAreReadAndABadLineSpoilsNoOther(t *testing.T) {
	got := collect(t, Inet([]byte(tcp), sockdiag.FamilyInet), 1)
	want := []sockdiag.Inet{
		{Family: 2, State: 10, Local: netip.MustParseAddrPort("127.0.0.1:8080"), Remote: netip.MustParseAddrPort("0.0.0.0:0"), RecvQueue: 1, UID: 1000, Inode: 4242},
		{Family: 2, State: 1, Timer: 1, Retrans: 2, Expires: 200, Local: netip.MustParseAddrPort("127.0.0.1:8080"), Remote: netip.MustParseAddrPort("10.0.0.2:49153"), SendQueue: 16, Inode: 4243},
		{Family: 2, State: 6, Timer: 3, Expires: 2560, Local: netip.MustParseAddrPort("127.0.0.1:8080"), Remote: netip.MustParseAddrPort("10.0.0.2:49154")},
	}
	if d := cmp.Diff(want, got, comparable); d != "" {
		t.Error(d)
	}
}

func TestAddressesOfIPv6AreWordsOfTheMachine(t *testing.T) {
	got := collect(t, Inet([]byte(tcp6), sockdiag.FamilyInet6), 0)
	if len(got) != 2 || got[0].Local.String() != "[::1]:22" || got[1].Remote.String() != "192.0.2.2:50000" {
		t.Errorf("got %+v", got)
	}
}

func TestDropsOfUDPAreRead(t *testing.T) {
	got := collect(t, Inet([]byte(udp), sockdiag.FamilyInet), 0)
	if len(got) != 1 || got[0].Drops != 31 || got[0].Local.Port() != 68 {
		t.Errorf("got %+v", got)
	}
}

func TestUnixNamesKeepSpacesAndAbstractOnesBeginWithNUL(t *testing.T) {
	got := collect(t, Unix([]byte(`Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 123 /run/a b  c
0000000000000000: 00000003 00000000 00000000 0001 03 124
0000000000000000: 00000002 00000000 00000000 0002 01 125 @abstract
`)), 0)
	want := []sockdiag.Unix{
		{Type: 1, State: 10, Inode: 123, Name: []byte("/run/a b  c")},
		{Type: 1, State: 1, Inode: 124},
		{Type: 2, State: 7, Inode: 125, Name: []byte("\x00abstract")},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestPacketAndNetlinkSocketsAreRead(t *testing.T) {
	packets := collect(t, Packet([]byte(`sk       RefCnt Type Proto  Iface R Rmem   User   Inode
0000000000000000 3      3    0003   2     1 0      0      9999
`)), 0)
	if d := cmp.Diff([]sockdiag.Packet{{Type: 3, Protocol: 3, Interface: 2, HasUID: true, Inode: 9999}}, packets); d != "" {
		t.Error(d)
	}
	links := collect(t, Netlink([]byte(`sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
0000000000000000 9   1234       00000005 0        0        0     2        3        88
`)), 0)
	if d := cmp.Diff([]sockdiag.Netlink{{Protocol: 9, Port: 1234, Groups: 5, Drops: 3, Inode: 88}}, links); d != "" {
		t.Error(d)
	}
}

func TestTablesOfTheNetworkAreRead(t *testing.T) {
	neighbours := collect(t, ARP([]byte(`IP address       HW type     Flags       HW address            Mask     Device
192.0.2.1        0x1         0x2         02:00:00:00:00:01     *        eth0
192.0.2.9        0x1         0x0         00:00:00:00:00:00     *        eth0
`)), 0)
	want := []Neighbour{{Interface: "eth0"}, {Interface: "eth0"}}
	want[0].Neighbour = rtnl.Neighbour{Family: 2, State: 2, IP: netip.MustParseAddr("192.0.2.1"), MAC: []byte{2, 0, 0, 0, 0, 1}}
	want[1].Neighbour = rtnl.Neighbour{Family: 2, State: 1, IP: netip.MustParseAddr("192.0.2.9")}
	if d := cmp.Diff(want, neighbours, comparable); d != "" {
		t.Error(d)
	}

	routes := collect(t, Routes4([]byte("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"+
		"eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"+
		"eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n")), 0)
	if len(routes) != 2 || routes[0].Dest.String() != "0.0.0.0/0" || routes[0].Gateway.String() != "192.0.2.1" ||
		routes[0].Priority != 100 || routes[1].Dest.String() != "192.0.2.0/24" || routes[1].Gateway.IsValid() {
		t.Errorf("routes of IPv4: %+v", routes)
	}

	routes = collect(t, Routes6([]byte("20010db8000000000000000000000000 40 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n")), 0)
	if len(routes) != 1 || routes[0].Dest.String() != "2001:db8::/64" || routes[0].Gateway.String() != "fe80::1" || routes[0].Interface != "eth0" {
		t.Errorf("routes of IPv6: %+v", routes)
	}

	addresses := collect(t, Addresses6([]byte("fe800000000000000000000000000001 02 40 20 80 eth0\n")), 0)
	if len(addresses) != 1 || addresses[0].IP.String() != "fe80::1" || addresses[0].Bits != 64 || addresses[0].Index != 2 {
		t.Errorf("addresses: %+v", addresses)
	}

	interfaces := collect(t, Interfaces([]byte(`Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:   84       1    2    3    0     0          0         0       85       4    5    6    0     0       0          0
`)), 0)
	wantInterfaces := []Interface{{Name: "lo", Counters: rtnl.Counters{
		RxBytes: 84, RxPackets: 1, RxErrors: 2, RxDropped: 3, TxBytes: 85, TxPackets: 4, TxErrors: 5, TxDropped: 6,
	}}}
	if d := cmp.Diff(wantInterfaces, interfaces); d != "" {
		t.Error(d)
	}
}

const protocols = `protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re bi br ha uh gp em
AF_VSOCK  1240      0      -1   NI       0   yes  kernel      y  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n
XDP       1088      2      -1   NI       0   no   kernel      n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n
rubbish
RAW       1152     -1      -1   NI       0   yes  kernel      y  y  y  n  y  y  y  n  y  y  y  y  y  y  y  y  n  n  n
`

func TestKindsOfSocketsAreRead(t *testing.T) {
	want := []Protocol{{"AF_VSOCK", 0}, {"XDP", 2}, {"RAW", -1}}
	if d := cmp.Diff(want, collect(t, Protocols([]byte(protocols)), 1)); d != "" {
		t.Error(d)
	}
}

func FuzzTables(f *testing.F) {
	f.Add([]byte(tcp))
	f.Add([]byte(tcp6))
	f.Add([]byte(udp))
	f.Add([]byte(protocols))
	f.Add([]byte("h\n0: 00000002 00000000 00010000 0001 01 123 @x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		drain(Inet(b, sockdiag.FamilyInet))
		drain(Inet(b, sockdiag.FamilyInet6))
		drain(Unix(b))
		drain(Packet(b))
		drain(Netlink(b))
		drain(ARP(b))
		drain(Routes4(b))
		drain(Routes6(b))
		drain(Addresses6(b))
		drain(Interfaces(b))
		drain(Protocols(b))
	})
}

func drain[T any](seq func(func(T, error) bool)) {
	for range seq {
	}
}
