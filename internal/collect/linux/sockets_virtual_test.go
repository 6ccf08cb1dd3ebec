package linux

import (
	"slices"
	"strings"
	"testing"

	"swab/internal/collect/host"
	"swab/internal/collect/host/hosttest"
	"swab/internal/collect/linux/proctable"
	"swab/internal/parse/sockdiag"
	"swab/internal/row"
)

// What has no table in /proc must not be passed over in silence.
func TestVirtualSocketsThatAreNotLookedAtAreAMiss(t *testing.T) {
	const heading = "protocol  size sockets  memory press\n"
	for _, c := range []struct {
		name, protocols string
		want            []string
	}{
		{"a kernel that knows neither", heading + "TCP 2304 1 134 no\n", nil},
		{"a kernel that has none of AF_XDP", heading + "XDP 1088 0 -1 NI\n", nil},
		{"a kernel that has some of AF_XDP", heading + "XDP 1088 2 -1 NI\n", []string{"AF_XDP sockets"}},
		{"a kernel that does not count AF_VSOCK", heading + "AF_VSOCK 1240 0 -1 NI\n", []string{"AF_VSOCK sockets"}},
	} {
		out := gather(t, Sockets(), hosttest.New(t, hosttest.Files{
			"proc/7/stat": statOf(7, "app", 'S', 1, 0, 250), "proc/7/status": statusText, "proc/7/ns/net": "-> net:[4026531840]",
			"proc/7/net/unix": "Num RefCount\n", "proc/7/net/protocols": c.protocols,
		}))
		var got []string
		for name, err := range out.missing {
			if got = append(got, name); !strings.Contains(err.Error(), "not looked at") {
				t.Errorf("%s: %s: %v", c.name, name, err)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: misses %v, want %v", c.name, got, c.want)
		}
	}
}

func TestVirtualSocketsAreRows(t *testing.T) {
	r := &socketRun{
		h: &host.Host{}, spaces: []netns{{inode: 9}}, names: []map[uint32]string{{4: "eth0"}}, users: map[uint32]string{1000: "alice"},
		owners: func(inode uint64) []proctable.Owner { return []proctable.Owner{{PID: int(inode), Name: "app"}} },
	}
	vsock := func(s sockdiag.Vsock) (row.Socket, bool) { return r.vsockSocket(&kept[sockdiag.Vsock]{sock: s}) }
	s, listens := vsock(sockdiag.Vsock{Type: 1, State: stateListen, CID: anyCID, Port: 1 << 20, RemoteCID: anyCID, RemotePort: anyCID, Inode: 7})
	if !listens || s.State != "LISTEN" || s.Transport != "vsock_stream" || s.LocalCID != "any" || s.LocalPort != 1<<20 || s.RemoteCID != "" || s.RemotePort != 0 || s.PID != 7 {
		t.Errorf("a socket that listens: %v %+v", listens, s)
	}
	s, listens = vsock(sockdiag.Vsock{Type: 5, State: stateEstablished, CID: 3, Port: 5, RemoteCID: 2, RemotePort: 6, Inode: 8})
	if listens || s.State != "ESTABLISHED" || s.Transport != "vsock_seqpacket" || s.LocalCID != "3" || s.RemoteCID != "2" || s.RemotePort != 6 {
		t.Errorf("a connection: %v %+v", listens, s)
	}
	p := r.xdpSocket(&kept[sockdiag.XDP]{sock: sockdiag.XDP{Inode: 7, Interface: 4, UID: 1000, HasUID: true}})
	if p.Type != "xdp" || p.Interface != "eth0" || p.Queue != row.Num(0) || p.User != "alice" || p.PID != 7 {
		t.Errorf("a socket of AF_XDP: %+v", p)
	}
	if p := r.xdpSocket(&kept[sockdiag.XDP]{}); p.Queue.Known || p.UID != "" || p.Interface != "" {
		t.Errorf("one that is not bound: %+v", p)
	}
}
