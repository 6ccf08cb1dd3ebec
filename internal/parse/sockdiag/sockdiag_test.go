package sockdiag

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// answer is a structure of size bytes that set fills, and attributes behind it.
func answer(size int, set func([]byte), attributes ...[]byte) []byte {
	b := make([]byte, size)
	set(b)
	for _, a := range attributes {
		b = append(b, a...)
	}
	return b
}

func attribute(typ uint16, v []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(v)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, v...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func u32(n uint32) []byte { return native.AppendUint32(nil, n) }

func TestInetSocketIsDecoded(t *testing.T) {
	info := make([]byte, 232)
	native.PutUint32(info[68:], 4321)
	native.PutUint32(info[100:], 3)
	native.PutUint64(info[120:], 900)
	native.PutUint64(info[128:], 800)
	native.PutUint64(info[200:], 1000)
	memory := make([]byte, 36)
	native.PutUint32(memory[32:], 5)

	b := answer(inetSize, func(b []byte) {
		b[0], b[1], b[2], b[3] = FamilyInet6, 1, 2, 1
		binary.BigEndian.PutUint16(b[4:], 443)
		binary.BigEndian.PutUint16(b[6:], 51000)
		copy(b[8:], netip.MustParseAddr("::ffff:192.0.2.1").AsSlice())
		copy(b[24:], netip.MustParseAddr("2001:db8::1").AsSlice())
		native.PutUint32(b[40:], 2)
		native.PutUint32(b[44:], 0x11)
		native.PutUint32(b[48:], 0x22)
		native.PutUint32(b[64:], 1000)
		native.PutUint32(b[68:], 4242)
	}, attribute(inetInfo, info), attribute(inetMemory, memory), attribute(inetMark, u32(7)),
		attribute(inetCgroup, native.AppendUint64(nil, 99)), attribute(inetShutdown, []byte{1}), attribute(inetV6Only, []byte{1}))

	want := Inet{
		Family: FamilyInet6, State: 1, Timer: 2, Retrans: 1,
		Local: netip.MustParseAddrPort("192.0.2.1:443"), Remote: netip.MustParseAddrPort("[2001:db8::1]:51000"),
		Interface: 2, Cookie: 0x22_00000011, UID: 1000, Inode: 4242, Mark: 7, CgroupID: 99, Drops: 5, Shutdown: 1, V6Only: true,
		Info: true, TCP: TCP{RTT: 4321, Retransmits: 3, BytesAcked: 900, BytesReceived: 800, BytesSent: 1000},
	}
	var got Inet
	if err := ParseInet(b, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); d != "" {
		t.Error(d)
	}
}

func TestPacketSocketKeepsItsFilter(t *testing.T) {
	filter := append(native.AppendUint16(nil, 0x28), 0, 0)
	filter = native.AppendUint32(filter, 12)
	filter = append(native.AppendUint16(filter, 0x15), 0, 1)
	filter = native.AppendUint32(filter, 0x800)
	member := make([]byte, 44)
	native.PutUint16(member[8:], 1)

	b := answer(packetSize, func(b []byte) {
		b[0], b[1] = FamilyPacket, 3
		native.PutUint16(b[2:], 3)
		native.PutUint32(b[4:], 77)
	}, attribute(1, member), attribute(5, u32(0)), attribute(7, filter))

	var got Packet
	if err := ParsePacket(b, &got); err != nil {
		t.Fatal(err)
	}
	want := Packet{
		Type: 3, Protocol: 3, Inode: 77, Promisc: true, HasUID: true,
		Filter: []Instruction{{Code: 0x28, K: 12}, {Code: 0x15, JF: 1, K: 0x800}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got, want := Hex(got.Filter), "002800000000000c"+"0015000100000800"; got != want {
		t.Errorf("Hex = %s, want %s", got, want)
	}
}

func TestUnixSocketIsDecoded(t *testing.T) {
	b := answer(unixSize, func(b []byte) {
		b[0], b[1], b[2] = FamilyUnix, 1, 10
		native.PutUint32(b[4:], 5)
	}, attribute(0, []byte("\x00hidden")), attribute(2, u32(6)), attribute(3, append(u32(1), u32(2)...)), attribute(7, u32(0)))
	var got Unix
	if err := ParseUnix(b, &got); err != nil {
		t.Fatal(err)
	}
	want := Unix{Type: 1, State: 10, Inode: 5, Name: []byte("\x00hidden"), Peer: 6, Pending: 2, HasUID: true}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestNetlinkSocketIsDecoded(t *testing.T) {
	b := answer(netlinkSize, func(b []byte) {
		b[0], b[1], b[2] = FamilyNetlink, 3, 9
		native.PutUint32(b[4:], 1234)
		native.PutUint32(b[16:], 8)
	}, attribute(1, u32(5)))
	var got Netlink
	if err := ParseNetlink(b, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Netlink{Type: 3, Protocol: 9, Port: 1234, Inode: 8, Groups: 5}, got); d != "" {
		t.Error(d)
	}
}

func TestVsockSocketIsDecoded(t *testing.T) {
	b := answer(vsockSize, func(b []byte) {
		b[0], b[1], b[2] = FamilyVsock, 1, 10
		for i, n := range []uint32{3, 1024, 2, 1 << 31, 77, 5, 1} {
			native.PutUint32(b[4+4*i:], n)
		}
	})
	var got Vsock
	if err := ParseVsock(b, &got); err != nil {
		t.Fatal(err)
	}
	want := Vsock{Type: 1, State: 10, CID: 3, Port: 1024, RemoteCID: 2, RemotePort: 1 << 31, Inode: 77, Cookie: 1<<32 | 5}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestXDPSocketIsDecoded(t *testing.T) {
	b := answer(xdpSize, func(b []byte) {
		b[0], b[1] = FamilyXDP, 3
		native.PutUint32(b[4:], 78)
	}, attribute(1, append(u32(4), u32(0)...)), attribute(2, u32(1000)))
	var got XDP
	if err := ParseXDP(b, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(XDP{Inode: 78, Interface: 4, UID: 1000, HasUID: true}, got); d != "" {
		t.Error(d)
	}
}

func TestShortAnswerIsAnError(t *testing.T) {
	for name, parse := range map[string]func([]byte) error{
		"inet":    func(b []byte) error { return ParseInet(b, new(Inet)) },
		"unix":    func(b []byte) error { return ParseUnix(b, new(Unix)) },
		"packet":  func(b []byte) error { return ParsePacket(b, new(Packet)) },
		"netlink": func(b []byte) error { return ParseNetlink(b, new(Netlink)) },
		"vsock":   func(b []byte) error { return ParseVsock(b, new(Vsock)) },
		"xdp":     func(b []byte) error { return ParseXDP(b, new(XDP)) },
	} {
		if err := parse(make([]byte, 12)); !errors.Is(err, ErrShort) {
			t.Errorf("%s: %v, want ErrShort", name, err)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add(append(make([]byte, inetSize), attribute(inetInfo, make([]byte, 232))...))
	f.Add(append(make([]byte, packetSize), attribute(7, make([]byte, 32))...))
	f.Add(append(make([]byte, unixSize), attribute(0, []byte("/run/x"))...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Packet
		_ = ParseInet(b, new(Inet))
		_ = ParseUnix(b, new(Unix))
		_ = ParseNetlink(b, new(Netlink))
		_ = ParseVsock(b, new(Vsock))
		_ = ParseXDP(b, new(XDP))
		if ParsePacket(b, &p) == nil && len(Hex(p.Filter)) > 16*maxFilter {
			t.Fatal("filter past its bound")
		}
	})
}
