package federation

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// never are networks in which no issuer is looked for, whatever its record says:
// this link, its multicast, and where clouds answer a machine about itself, with
// its credentials.
var never = prefixes(
	"0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32",
	"::/128", "fe80::/10", "fec0::/10", "ff00::/8",
	"100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fd00:ec2::254/128", "fd20:ce::254/128",
)

// internal are networks that are no part of the public Internet (IANA's registries
// of special addresses). An issuer's record can open them.
var internal = prefixes(
	"10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
	"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

var (
	global = netip.MustParsePrefix("2000::/3")     // of IPv6, all that is public
	nat64  = netip.MustParsePrefix("64:ff9b::/96") // an IPv4 address behind a translator
)

func prefixes(list ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(list))
	for i, one := range list {
		all[i] = netip.MustParsePrefix(one)
	}
	return all
}

func in(list []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// allowed is nil if an issuer may be looked for at an address: a public one, or
// one in the networks that its record names.
func allowed(ip netip.Addr, networks []netip.Prefix) error {
	// One address in two spellings is judged as one.
	ip = ip.Unmap().WithZone("")
	if nat64.Contains(ip) {
		b := ip.As16()
		ip = netip.AddrFrom4([4]byte(b[12:]))
	}
	switch {
	case in(never, ip):
		return fmt.Errorf("%s is no address of an issuer, and no network of its record makes it one", ip)
	case in(networks, ip):
		return nil
	case in(internal, ip) || ip.Is6() && !global.Contains(ip):
		return fmt.Errorf("%s is not a public address, and in none of the networks of the issuer's record", ip)
	default:
		return nil
	}
}

// dialer connects to public addresses and to those networks. It judges the
// address that it is about to connect to, so that it makes no difference what a
// name meant a moment ago.
func (k *Keys) dialer(networks []string) (*net.Dialer, error) {
	open := make([]netip.Prefix, len(networks))
	for i, n := range networks {
		var err error
		if open[i], err = netip.ParsePrefix(n); err != nil {
			return nil, fmt.Errorf("networks of the issuer's record: %w", err)
		}
	}
	return &net.Dialer{
		Resolver: k.resolver,
		Control: func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			return allowed(to.Addr(), open)
		},
	}, nil
}
