package linux

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/collect"
	"swab/internal/collect/host/hosttest"
	"swab/internal/row"
)

func hostOfNetwork() hosttest.Files {
	return hosttest.Files{
		"proc/7/stat":    "7" + stat,
		"proc/7/status":  "Name:\tnginx\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n",
		"proc/7/cmdline": "nginx\x00",
		"proc/7/ns/net":  "-> net:[4026531840]",
		"proc/7/net/arp": `IP address       HW type     Flags       HW address            Mask     Device
192.0.2.1        0x1         0x2         02:00:00:00:00:01     *        eth0
rubbish
192.0.2.9        0x1         0x0         00:00:00:00:00:00     *        eth0
`,
		"proc/7/net/route": "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
			"eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n",
		"proc/7/net/ipv6_route": "20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n",
		"proc/7/net/if_inet6":   "20010db8000000000000000000000007 02 40 00 80 eth0\n",
		"proc/7/net/dev": `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
  eth0:   84       1    2    3    0     0          0         0       85       4    5    6    0     0       0          0
`,
	}
}

func TestNeighboursOfATreeOfFilesAreCollected(t *testing.T) {
	out := gather(t, Neighbours(), hosttest.New(t, hostOfNetwork()))
	want := []row.Neighbour{
		{
			IP: netip.MustParseAddr("192.0.2.1"), MAC: "02-00-00-00-00-01", State: "reachable", Interface: "eth0", Network: "ipv4",
			NetNS: 4026531840, Source: "/proc/7/net/arp",
		},
		{IP: netip.MustParseAddr("192.0.2.9"), State: "incomplete", Interface: "eth0", Network: "ipv4", NetNS: 4026531840, Source: "/proc/7/net/arp"},
	}
	if d := cmp.Diff(want, rowsOf[row.Neighbour](out, "arp"), addresses); d != "" {
		t.Error(d)
	}
	if out.missing["line of /proc/7/net/arp"] == nil {
		t.Error("a line that can't be read was not recorded")
	}
}

func TestRoutesAndInterfacesOfATreeOfFilesAreCollected(t *testing.T) {
	out := gather(t, Routes(), hosttest.New(t, hostOfNetwork()))
	want := []row.Route{
		{
			Destination: "0.0.0.0/0", Gateway: netip.MustParseAddr("192.0.2.1"), Interface: "eth0", Metric: 100, Type: "unicast", Table: "main",
			Network: "ipv4", NetNS: 4026531840, Source: "/proc/7/net/route",
		},
		{
			Destination: "2001:db8::/64", Interface: "eth0", Metric: 256, Type: "unicast", Network: "ipv6", NetNS: 4026531840,
			Source: "/proc/7/net/ipv6_route",
		},
	}
	if d := cmp.Diff(want, rowsOf[row.Route](out, "routes"), addresses); d != "" {
		t.Error(d)
	}
	interfaces := []row.Interface{{
		Name: "eth0", Addresses: []string{"2001:db8::7/64"}, RxBytes: row.Num(84), RxPackets: row.Num(1), RxErrors: 2, RxDropped: 3,
		TxBytes: row.Num(85), TxPackets: row.Num(4), TxErrors: 5, TxDropped: 6, NetNS: 4026531840, Source: "/proc/7/net/dev",
	}}
	if d := cmp.Diff(interfaces, rowsOf[row.Interface](out, "interfaces")); d != "" {
		t.Error(d)
	}
}

func TestNetworkIsAbsentWhereThereIsNoTable(t *testing.T) {
	for _, c := range []collect.Collector{Neighbours(), Routes()} {
		for _, files := range []hosttest.Files{{"etc/passwd": ""}, {"proc/stat": "btime 1\n"}} {
			if err := c.Collect(t.Context(), hosttest.New(t, files), &recorder{}); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v, want fs.ErrNotExist", c.Spec().Item, err)
			}
		}
	}
}

// ipJSON is what ip(8) says.
func ipJSON[T any](t *testing.T, args ...string) []T {
	t.Helper()
	b, err := exec.Command("ip", append([]string{"-j"}, args...)...).Output()
	if err != nil {
		t.Fatalf("this test compares with ip (Debian: iproute2): %v", err)
	}
	var out []T
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// own is the namespace of the process: ip(8) shows that one.
func own(t *testing.T) (netns, *recorder, *recorder) {
	t.Helper()
	h := running(t)
	found, err := networkNamespaces(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	return found.list[0], gather(t, Routes(), h), gather(t, Neighbours(), h)
}

func TestNetworkAgreesWithIP(t *testing.T) {
	ns, routed, near := own(t)

	interfaces := rowsOf[row.Interface](routed, "interfaces")
	for _, want := range ipJSON[struct {
		Name  string `json:"ifname"`
		MTU   uint32 `json:"mtu"`
		State string `json:"operstate"`
		Type  string `json:"link_type"`
		MAC   string `json:"address"`
		Addr  []struct {
			Local string `json:"local"`
		} `json:"addr_info"`
	}](t, "addr") {
		i := slices.IndexFunc(interfaces, func(x row.Interface) bool { return x.NetNS == ns.inode && x.Name == want.Name })
		if i < 0 {
			t.Errorf("ip has interface %s, the table has not", want.Name)
			continue
		}
		got := interfaces[i]
		if got.MTU != want.MTU || got.Type != want.Type || !strings.EqualFold(got.State, want.State) ||
			!strings.EqualFold(strings.ReplaceAll(got.MAC, "-", ":"), want.MAC) {
			t.Errorf("interface %+v, ip has %+v", got, want)
		}
		for _, a := range want.Addr {
			if !slices.ContainsFunc(got.Addresses, func(s string) bool { return strings.HasPrefix(s, a.Local+"/") }) {
				t.Errorf("interface %s lacks %s: %v", got.Name, a.Local, got.Addresses)
			}
		}
	}

	rows := rowsOf[row.Route](routed, "routes")
	for _, want := range slices.Concat(ipRoutes(t, "-4"), ipRoutes(t, "-6")) {
		if !slices.ContainsFunc(rows, func(r row.Route) bool {
			return r.NetNS == ns.inode && r.Interface == want.Dev && samePrefix(r.Destination, want.Dst) && (want.Gateway == "" || r.Gateway.String() == want.Gateway)
		}) {
			t.Errorf("ip has route %+v, the table has not", want)
		}
	}

	neighbours := rowsOf[row.Neighbour](near, "arp")
	for _, want := range ipJSON[struct {
		Dst string `json:"dst"`
		Dev string `json:"dev"`
	}](t, "neigh") {
		if !slices.ContainsFunc(neighbours, func(r row.Neighbour) bool {
			return r.NetNS == ns.inode && r.IP.String() == want.Dst && r.Interface == want.Dev
		}) {
			t.Errorf("ip has neighbour %+v, the table has not", want)
		}
	}
}

type ipRoute struct {
	Dst     string `json:"dst"`
	Dev     string `json:"dev"`
	Gateway string `json:"gateway"`
}

func ipRoutes(t *testing.T, family string) []ipRoute {
	return ipJSON[ipRoute](t, family, "route", "show", "table", "all")
}

func samePrefix(got, want string) bool {
	p, err := netip.ParsePrefix(got)
	if err != nil {
		return false
	}
	if want == "default" {
		return p.Bits() == 0
	}
	return got == want || p.IsSingleIP() && p.Addr().String() == want
}

func TestNamespacesPastTheBoundMakeAnItemTruncated(t *testing.T) {
	files := aHost(nil)
	for pid := range 5 {
		dir := fmt.Sprintf("proc/%d/", 20+pid)
		files[dir+"stat"] = strconv.Itoa(20+pid) + stat
		files[dir+"status"] = "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n"
		files[dir+"cmdline"] = "x"
		files[dir+"ns/net"] = fmt.Sprintf("-> net:[%d]", 100+pid)
		files[dir+"ns/mnt"] = fmt.Sprintf("-> mnt:[%d]", 200+pid)
		files[dir+"mountinfo"] = "22 1 254:0 / / rw - ext4 /dev/vda rw\n"
	}
	h := hosttest.New(t, files)
	nets, err := findNamespaces(t.Context(), h, 3)
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := readMountTables(t.Context(), h, 4)
	if err != nil {
		t.Fatal(err)
	}
	out := &recorder{}
	nets.tell(out)
	mounts.tell(out)
	want := []string{
		"more than 3 network namespaces: 2 were not looked at (2 rows, 0 bytes)",
		"more than 4 mount namespaces: 1 were not looked at (1 rows, 0 bytes)",
	}
	if d := cmp.Diff(want, out.truncated); d != "" {
		t.Error(d)
	}
}
