package procnet

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"iter"
	"math/bits"
	"net/netip"

	"swab/internal/parse/rtnl"
)

// Neighbour is a line of /proc/net/arp, with the interface by its name.
type Neighbour struct {
	rtnl.Neighbour
	Interface string
}

// ARP reads /proc/net/arp. Its flags say less than the kernel knows: 2 is an
// entry with an address, 4 a permanent one, 0 one without answer.
func ARP(data []byte) iter.Seq2[Neighbour, error] {
	return rows(data, 1, func(line []byte) (Neighbour, error) {
		var f [6][]byte
		if fields(line, f[:]) < 6 {
			return Neighbour{}, short(line)
		}
		ip, err := netip.ParseAddr(string(f[0]))
		if err != nil {
			return Neighbour{}, bad(line, err)
		}
		r := numbers{line: line}
		flags := r.number(bytes.TrimPrefix(f[2], []byte("0x")), 16, 32)
		n := Neighbour{Interface: string(f[5])}
		n.Family, n.IP = 2, ip
		switch {
		case flags&4 != 0:
			n.State = 0x80 // NUD_PERMANENT
		case flags&2 != 0:
			n.State = 0x02 // NUD_REACHABLE, or stale: the table does not say
		default:
			n.State = 0x01 // NUD_INCOMPLETE
		}
		if mac, err := hex.DecodeString(string(bytes.ReplaceAll(f[3], []byte(":"), nil))); err == nil && n.State != 1 {
			n.MAC = mac
		}
		return n, r.err
	})
}

// Route is a line of /proc/net/route or ipv6_route, with the interface by its
// name.
type Route struct {
	rtnl.Route
	Interface string
}

// Flags of the two tables of routes.
const (
	flagGateway = 0x2
	flagReject  = 0x200
	flagLocal   = 0x80000000 // of ipv6_route
)

// Routes4 reads /proc/net/route: the main table of IPv4.
func Routes4(data []byte) iter.Seq2[Route, error] {
	return rows(data, 1, func(line []byte) (Route, error) {
		var f [11][]byte
		if fields(line, f[:]) < 8 {
			return Route{}, short(line)
		}
		dest, err := hostWords(f[1])
		if err != nil {
			return Route{}, bad(line, err)
		}
		gateway, err := hostWords(f[2])
		if err != nil {
			return Route{}, bad(line, err)
		}
		r := numbers{line: line}
		flags, mask := r.number(f[3], 16, 32), r.number(f[7], 16, 32)
		out := Route{Interface: string(f[0])}
		out.Family, out.Table, out.Type = 2, 254, 1
		out.Dest = netip.PrefixFrom(dest, bits.OnesCount32(uint32(mask)))
		out.Priority = uint32(r.number(f[6], 10, 32))
		if flags&flagGateway != 0 {
			out.Gateway = gateway
		}
		if flags&flagReject != 0 {
			out.Type, out.Interface = 7, ""
		}
		return out, r.err
	})
}

// Routes6 reads /proc/net/ipv6_route: all tables of IPv6, which it does not name.
func Routes6(data []byte) iter.Seq2[Route, error] {
	return rows(data, 0, func(line []byte) (Route, error) {
		var f [10][]byte
		if fields(line, f[:]) < 10 {
			return Route{}, short(line)
		}
		r := numbers{line: line}
		dest, err := prefix(f[0], r.number(f[1], 16, 8))
		if err != nil {
			return Route{}, bad(line, err)
		}
		source, err := prefix(f[2], r.number(f[3], 16, 8))
		if err != nil {
			return Route{}, bad(line, err)
		}
		gateway, err := prefix(f[4], 0)
		if err != nil {
			return Route{}, bad(line, err)
		}
		flags := r.number(f[8], 16, 32)
		out := Route{Interface: string(f[9])}
		out.Family, out.Dest, out.Type = 10, dest, 1
		if source.Bits() > 0 {
			out.Source = source
		}
		if flags&flagGateway != 0 {
			out.Gateway = gateway.Addr()
		}
		switch {
		case flags&flagReject != 0:
			out.Type = 7
		case flags&flagLocal != 0:
			out.Type = 2
		}
		out.Priority = uint32(r.number(f[5], 16, 32))
		return out, r.err
	})
}

// Address is a line of /proc/net/if_inet6, with the interface by its name.
type Address struct {
	rtnl.Address
	Interface string
}

// Addresses6 reads /proc/net/if_inet6.
func Addresses6(data []byte) iter.Seq2[Address, error] {
	return rows(data, 0, func(line []byte) (Address, error) {
		var f [6][]byte
		if fields(line, f[:]) < 6 {
			return Address{}, short(line)
		}
		r := numbers{line: line}
		p, err := prefix(f[0], r.number(f[2], 16, 8))
		if err != nil {
			return Address{}, bad(line, err)
		}
		a := Address{Interface: string(f[5])}
		a.IP, a.Bits, a.Index = p.Addr(), uint8(p.Bits()), uint32(r.number(f[1], 16, 32))
		a.Scope, a.Flags = uint8(r.number(f[3], 16, 8)), uint32(r.number(f[4], 16, 32))
		return a, r.err
	})
}

// Interface is a line of /proc/net/dev.
type Interface struct {
	Name     string
	Counters rtnl.Counters
}

// Interfaces reads /proc/net/dev.
func Interfaces(data []byte) iter.Seq2[Interface, error] {
	return rows(data, 2, func(line []byte) (Interface, error) {
		name, rest, ok := bytes.Cut(line, []byte(":"))
		var f [16][]byte
		if !ok || fields(rest, f[:]) < 16 {
			return Interface{}, short(line)
		}
		r := numbers{line: line}
		at := func(i int) uint64 { return r.number(f[i], 10, 64) }
		return Interface{Name: string(bytes.TrimSpace(name)), Counters: rtnl.Counters{
			RxBytes: at(0), RxPackets: at(1), RxErrors: at(2), RxDropped: at(3),
			TxBytes: at(8), TxPackets: at(9), TxErrors: at(10), TxDropped: at(11),
		}}, r.err
	})
}

// prefix reads an address of IPv6 as 32 hex digits in network byte order.
func prefix(b []byte, n uint64) (netip.Prefix, error) {
	var raw [16]byte
	if len(b) != 32 {
		return netip.Prefix{}, fmt.Errorf("%.60q is not 32 hex digits", b)
	}
	if _, err := hex.Decode(raw[:], b); err != nil {
		return netip.Prefix{}, err
	}
	if n > 128 {
		return netip.Prefix{}, fmt.Errorf("prefix length %d is over 128", n)
	}
	return netip.PrefixFrom(netip.AddrFrom16(raw), int(n)), nil
}
