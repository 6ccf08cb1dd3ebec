package rtnl

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func attribute(typ uint16, v []byte) []byte {
	b := native.AppendUint16(nil, uint16(4+len(v)))
	b = append(native.AppendUint16(b, typ), v...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func join(head []byte, attributes ...[]byte) []byte {
	for _, a := range attributes {
		head = append(head, a...)
	}
	return head
}

func u32(n uint32) []byte { return native.AppendUint32(nil, n) }

func ip(s string) []byte { return netip.MustParseAddr(s).AsSlice() }

var comparable = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})

func TestLinkIsDecoded(t *testing.T) {
	head := make([]byte, linkSize)
	native.PutUint16(head[2:], 1)
	native.PutUint32(head[4:], 3)
	native.PutUint32(head[8:], 0x1043)
	counters := make([]byte, 8*24)
	native.PutUint64(counters[16:], 12345)
	b := join(head, attribute(1, []byte{2, 0, 0, 0, 0, 1}), attribute(3, []byte("eth0\x00")), attribute(4, u32(1500)),
		attribute(16, []byte{6}), attribute(18, attribute(1, []byte("veth\x00"))), attribute(23, counters), attribute(30, u32(1)),
		attribute(43, attribute(4, u32(9))), attribute(52|0x8000, attribute(53, []byte("enp1s0\x00"))))
	got, err := ParseLink(b)
	if err != nil {
		t.Fatal(err)
	}
	want := Link{
		Index: 3, Type: 1, Flags: 0x1043, Name: "eth0", AltNames: []string{"enp1s0"}, Kind: "veth", MAC: []byte{2, 0, 0, 0, 0, 1},
		MTU: 1500, State: 6, Promiscuity: 1, ParentNS: -1, XDP: 9, Counters: Counters{RxBytes: 12345},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestAddressOfPointToPointLinkHasItsPeer(t *testing.T) {
	got, err := ParseAddress(join([]byte{2, 32, 0x80, 0, 5, 0, 0, 0}, attribute(1, ip("10.0.0.2")), attribute(2, ip("10.0.0.1"))))
	if err != nil {
		t.Fatal(err)
	}
	want := Address{Index: 5, IP: netip.MustParseAddr("10.0.0.1"), Peer: netip.MustParseAddr("10.0.0.2"), Bits: 32, Flags: 0x80}
	if d := cmp.Diff(want, got, comparable); d != "" {
		t.Error(d)
	}
}

func TestRouteIsDecoded(t *testing.T) {
	hop := append([]byte{16, 0, 0, 4}, u32(2)...)
	hop = append(hop, attribute(5, ip("192.0.2.1"))...)
	for name, c := range map[string]struct {
		b    []byte
		want Route
	}{
		"default": {
			join([]byte{2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0}, attribute(5, ip("192.0.2.1")), attribute(4, u32(2)), attribute(15, u32(300))),
			Route{
				Family: 2, Dest: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("192.0.2.1"), Out: 2,
				Table: 300, Protocol: 3, Type: 1,
			},
		},
		"several hops": {
			join([]byte{2, 24, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0}, attribute(1, ip("198.51.100.0")), attribute(9, hop)),
			Route{
				Family: 2, Dest: netip.MustParsePrefix("198.51.100.0/24"), Table: 254, Protocol: 4, Type: 1,
				NextHops: []Hop{{Out: 2, Gateway: netip.MustParseAddr("192.0.2.1"), Weight: 5}},
			},
		},
		"IPv4 by way of IPv6": {
			join([]byte{2, 24, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0}, attribute(1, ip("198.51.100.0")), attribute(18, append([]byte{10, 0}, ip("fe80::1")...))),
			Route{
				Family: 2, Dest: netip.MustParsePrefix("198.51.100.0/24"), Table: 254, Protocol: 4, Type: 1,
				Gateway: netip.MustParseAddr("fe80::1"),
			},
		},
	} {
		got, err := ParseRoute(c.b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := cmp.Diff(c.want, got, comparable); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestNeighbourIsDecoded(t *testing.T) {
	head := make([]byte, neighbourSize)
	head[0], head[4], head[8], head[11] = 10, 2, 2, 1
	ages := append(append(u32(100), u32(200)...), append(u32(300), u32(1)...)...)
	got, err := ParseNeighbour(join(head, attribute(1, ip("fe80::1")), attribute(2, []byte{2, 0, 0, 0, 0, 1}), attribute(3, ages)))
	if err != nil {
		t.Fatal(err)
	}
	want := Neighbour{
		Family: 10, Index: 2, State: 2, Type: 1, IP: netip.MustParseAddr("fe80::1"), MAC: []byte{2, 0, 0, 0, 0, 1},
		Aged: true, Confirmed: 100, Used: 200, Updated: 300,
	}
	if d := cmp.Diff(want, got, comparable); d != "" {
		t.Error(d)
	}
}

func TestShortAnswerIsAnError(t *testing.T) {
	short := make([]byte, 6)
	_, link := ParseLink(short)
	_, address := ParseAddress(short)
	_, route := ParseRoute(short)
	_, neighbour := ParseNeighbour(short)
	for _, err := range []error{link, address, route, neighbour} {
		if !errors.Is(err, ErrShort) {
			t.Errorf("%v, want ErrShort", err)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add(join(make([]byte, linkSize), attribute(3, []byte("eth0\x00")), attribute(52, attribute(53, []byte("x")))))
	f.Add(join(make([]byte, routeSize), attribute(9, []byte{8, 0, 0, 0, 1, 0, 0, 0}), attribute(1, ip("10.0.0.0"))))
	f.Add(join(make([]byte, neighbourSize), attribute(2, []byte{1, 2, 3}), attribute(3, make([]byte, 16))))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = ParseLink(b)
		_, _ = ParseAddress(b)
		_, _ = ParseNeighbour(b)
		if r, err := ParseRoute(b); err == nil && len(r.NextHops) > maxHops {
			t.Fatal("hops past their bound")
		}
	})
}
