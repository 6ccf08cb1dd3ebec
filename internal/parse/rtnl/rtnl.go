// Package rtnl reads what the kernel tells of interfaces, addresses, routes and
// neighbours over rtnetlink (linux/rtnetlink.h). It decodes bytes; it opens
// nothing.
package rtnl

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"swab/internal/parse/nlmsg"
)

// Types of requests, each with the type of its answers.
const (
	NewLink, GetLink           = 16, 18
	NewAddress, GetAddress     = 20, 22
	NewRoute, GetRoute         = 24, 26
	NewNeighbour, GetNeighbour = 28, 30
)

// ErrShort is returned for an answer shorter than its structure.
var ErrShort = errors.New("rtnetlink answer is shorter than its structure")

var native = binary.NativeEndian

// Request is the body of a request for all of a kind, of every family: zeros.
// Its size is exactly that of the kind's structure, since kernels log a warning
// for bytes left over, and a collection should not write to the log it reads.
func Request(kind uint16) []byte {
	switch kind {
	case GetAddress:
		return make([]byte, addressSize)
	case GetRoute:
		return make([]byte, routeSize)
	case GetNeighbour:
		return make([]byte, neighbourSize)
	default:
		return make([]byte, linkSize)
	}
}

const linkSize = 16

// Link is an interface.
type Link struct {
	Index       uint32
	Type        uint16 // ARPHRD_…: 1 Ethernet, 772 loopback
	Flags       uint32 // IFF_…
	Name        string
	AltNames    []string
	Kind        string // "veth", "bridge", "wireguard"; "" of hardware
	MAC         []byte // a copy; nil where it has none
	Permanent   []byte // the hardware's own address, where told
	MTU         uint32
	State       uint8  // IF_OPER_…: 2 down, 6 up
	Promiscuity uint32 // how many asked for it, those of packet sockets too
	AllMulti    uint32
	Master      uint32 // index of the bridge or bond it belongs to
	Parent      uint32 // index of the interface it stands on
	ParentNS    int32  // id of the namespace of Parent; -1: the same
	Qdisc       string
	Alias       string
	XDP         uint32 // id of the program attached; 0: none
	Counters    Counters
}

// Counters are of struct rtnl_link_stats64.
type Counters struct {
	RxPackets, TxPackets uint64
	RxBytes, TxBytes     uint64
	RxErrors, TxErrors   uint64
	RxDropped, TxDropped uint64
}

// ParseLink decodes an answer of type NewLink.
func ParseLink(b []byte) (Link, error) {
	if len(b) < linkSize {
		return Link{}, ErrShort
	}
	l := Link{Type: native.Uint16(b[2:]), Index: native.Uint32(b[4:]), Flags: native.Uint32(b[8:]), ParentNS: -1}
	for typ, v := range nlmsg.Attributes(b[linkSize:]) {
		switch typ {
		case 1:
			l.MAC = clone(v)
		case 3:
			l.Name = nlmsg.String(v)
		case 4:
			l.MTU = nlmsg.Uint32(v)
		case 5:
			l.Parent = nlmsg.Uint32(v)
		case 6:
			l.Qdisc = nlmsg.String(v)
		case 10:
			l.Master = nlmsg.Uint32(v)
		case 16:
			l.State = nlmsg.Uint8(v)
		case 18:
			l.Kind = nested(v, 1)
		case 20:
			l.Alias = nlmsg.String(v)
		case 23:
			l.Counters = parseCounters(v)
		case 30:
			l.Promiscuity = nlmsg.Uint32(v)
		case 37:
			l.ParentNS = int32(nlmsg.Uint32(v))
		case 43:
			l.XDP = parseXDP(v)
		case 52:
			for t, name := range nlmsg.Attributes(v) {
				if t == 53 && len(l.AltNames) < 16 {
					l.AltNames = append(l.AltNames, nlmsg.String(name))
				}
			}
		case 54:
			l.Permanent = clone(v)
		case 61:
			l.AllMulti = nlmsg.Uint32(v)
		}
	}
	return l, nil
}

func parseCounters(b []byte) Counters {
	if len(b) < 64 {
		return Counters{}
	}
	at := func(i int) uint64 { return native.Uint64(b[8*i:]) }
	return Counters{
		RxPackets: at(0), TxPackets: at(1), RxBytes: at(2), TxBytes: at(3),
		RxErrors: at(4), TxErrors: at(5), RxDropped: at(6), TxDropped: at(7),
	}
}

// parseXDP finds the id of an attached program: the common one, or that of a mode.
func parseXDP(b []byte) uint32 {
	var id uint32
	for typ, v := range nlmsg.Attributes(b) {
		if typ == 4 || (typ >= 5 && typ <= 7 && id == 0) {
			id = nlmsg.Uint32(v)
		}
	}
	return id
}

const addressSize = 8

// Address is an address of an interface.
type Address struct {
	Index uint32
	IP    netip.Addr
	Peer  netip.Addr // of a point-to-point link; zero elsewhere
	Bits  uint8
	Scope uint8
	Flags uint32
}

// ParseAddress decodes an answer of type NewAddress.
func ParseAddress(b []byte) (Address, error) {
	if len(b) < addressSize {
		return Address{}, ErrShort
	}
	a := Address{Bits: b[1], Flags: uint32(b[2]), Scope: b[3], Index: native.Uint32(b[4:])}
	var far netip.Addr
	for typ, v := range nlmsg.Attributes(b[addressSize:]) {
		switch typ {
		case 1: // IFA_ADDRESS: the far end of a point-to-point link, else the address
			far = addr(v)
		case 2:
			a.IP = addr(v)
		case 8:
			a.Flags = nlmsg.Uint32(v)
		}
	}
	switch {
	case !a.IP.IsValid():
		a.IP = far
	case far != a.IP:
		a.Peer = far
	}
	return a, nil
}

const routeSize = 12

// Route is a route of one of the tables.
type Route struct {
	Family    uint8
	Dest      netip.Prefix // 0.0.0.0/0 and ::/0 are the default
	Source    netip.Prefix // of source routing; zero elsewhere
	Gateway   netip.Addr
	PrefSrc   netip.Addr
	Out       uint32 // interface index; 0 where there are several hops
	Table     uint32
	Protocol  uint8 // who made it: 2 kernel, 3 boot, 4 static, 16 dhcp
	Scope     uint8
	Type      uint8 // 1 unicast, 2 local, 6 blackhole …
	Priority  uint32
	Flags     uint32
	NextHops  []Hop
	NextHopID uint32
}

// Hop is one of several next hops of a route.
type Hop struct {
	Out     uint32
	Gateway netip.Addr
	Weight  int
}

// maxHops bounds the hops that are kept of one route.
const maxHops = 256

// ParseRoute decodes an answer of type NewRoute. Routes of other families than
// IPv4 and IPv6 have no destination that is valid.
func ParseRoute(b []byte) (Route, error) {
	if len(b) < routeSize {
		return Route{}, ErrShort
	}
	r := Route{
		Family: b[0], Table: uint32(b[4]), Protocol: b[5], Scope: b[6], Type: b[7], Flags: native.Uint32(b[8:]),
	}
	switch r.Family {
	case 2:
		r.Dest = netip.PrefixFrom(netip.IPv4Unspecified(), int(b[1]))
	case 10:
		r.Dest = netip.PrefixFrom(netip.IPv6Unspecified(), int(b[1]))
	}
	for typ, v := range nlmsg.Attributes(b[routeSize:]) {
		switch typ {
		case 1:
			r.Dest = netip.PrefixFrom(addr(v), int(b[1]))
		case 2:
			r.Source = netip.PrefixFrom(addr(v), int(b[2]))
		case 4:
			r.Out = nlmsg.Uint32(v)
		case 5:
			r.Gateway = addr(v)
		case 6:
			r.Priority = nlmsg.Uint32(v)
		case 7:
			r.PrefSrc = addr(v)
		case 9:
			r.NextHops = parseHops(v)
		case 15:
			r.Table = nlmsg.Uint32(v)
		case 18:
			r.Gateway = via(v)
		case 30:
			r.NextHopID = nlmsg.Uint32(v)
		}
	}
	return r, nil
}

// parseHops reads an array of struct rtnexthop, each with attributes of its own.
func parseHops(b []byte) []Hop {
	var hops []Hop
	for len(b) >= 8 && len(hops) < maxHops {
		n := int(native.Uint16(b))
		if n < 8 || n > len(b) {
			break
		}
		h := Hop{Weight: int(b[3]) + 1, Out: native.Uint32(b[4:])}
		for typ, v := range nlmsg.Attributes(b[8:n]) {
			switch typ {
			case 5:
				h.Gateway = addr(v)
			case 18:
				h.Gateway = via(v)
			}
		}
		hops = append(hops, h)
		b = b[min((n+3)&^3, len(b)):]
	}
	return hops
}

const neighbourSize = 12

// Neighbour is an entry of the neighbour tables: ARP and NDP.
type Neighbour struct {
	Family uint8
	Index  uint32
	State  uint16
	Flags  uint8
	Type   uint8
	IP     netip.Addr
	MAC    []byte // a copy
	Probes uint32
	// Ages in hundredths of a second, where Aged: since it was used, confirmed, changed.
	Aged                     bool
	Used, Confirmed, Updated uint32
}

// ParseNeighbour decodes an answer of type NewNeighbour.
func ParseNeighbour(b []byte) (Neighbour, error) {
	if len(b) < neighbourSize {
		return Neighbour{}, ErrShort
	}
	n := Neighbour{Family: b[0], Index: native.Uint32(b[4:]), State: native.Uint16(b[8:]), Flags: b[10], Type: b[11]}
	for typ, v := range nlmsg.Attributes(b[neighbourSize:]) {
		switch typ {
		case 1:
			n.IP = addr(v)
		case 2:
			n.MAC = clone(v)
		case 3:
			if len(v) >= 16 {
				n.Aged = true
				n.Confirmed, n.Used, n.Updated = native.Uint32(v), native.Uint32(v[4:]), native.Uint32(v[8:])
			}
		case 4:
			n.Probes = nlmsg.Uint32(v)
		}
	}
	return n, nil
}

func addr(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}

// via reads struct rtvia: a gateway of another family than the route.
func via(b []byte) netip.Addr {
	if len(b) < 2 {
		return netip.Addr{}
	}
	return addr(b[2:])
}

func nested(b []byte, want uint16) string {
	for typ, v := range nlmsg.Attributes(b) {
		if typ == want {
			return nlmsg.String(v)
		}
	}
	return ""
}

func clone(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return append([]byte(nil), b...)
}
