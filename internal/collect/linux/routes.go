package linux

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/parse/procnet"
	"swab/internal/parse/rtnl"
	"swab/internal/row"
)

// Routes gathers routes of all tables, interfaces and their addresses, of every
// network namespace.
//
// Source: rtnetlink RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE; where a namespace may
// not be entered, and on a tree of files, /proc/PID/net/{route,ipv6_route,
// if_inet6,dev}: the main table, no addresses of IPv4, no kind of interface.
// Whether an interface is promiscuous is taken from the kernel's count, which
// packet sockets raise without setting the flag.
//
// Privilege: none for the agent's own namespace, CAP_SYS_ADMIN for others
// (without: the tables in /proc, and a miss).
func Routes() collect.Collector { return routes{} }

type routes struct{}

func (routes) Spec() collect.Spec {
	return collect.Spec{
		Item:    "linux.routes",
		Source:  []string{"netlink RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE", "/proc/PID/net/{route,ipv6_route,if_inet6,dev}"},
		Timeout: 15 * time.Second,
	}
}

// maxRoutes bounds the routes that are kept: a router of the Internet's core has
// more, and its table is not evidence.
const maxRoutes = 100_000

// routeRun is one gathering.
type routeRun struct {
	h          *host.Host
	out        collect.Sink
	routes     []row.Route
	over       int64 // routes over the bound
	interfaces []row.Interface
}

func (routes) Collect(ctx context.Context, h *host.Host, out collect.Sink) error {
	r := &routeRun{h: h, out: out}
	err := eachNamespace(ctx, h, out, "routes and interfaces", func(c *conn, ns netns) error { return r.dump(ctx, c, ns) }, r.files)
	if err != nil {
		return err
	}
	if err := out.Taken(ctx); err != nil {
		return err
	}
	for _, x := range r.routes {
		if err := out.Row("routes", x); err != nil {
			return err
		}
	}
	for _, x := range r.interfaces {
		if err := out.Row("interfaces", x); err != nil {
			return err
		}
	}
	if r.over > 0 {
		out.Truncated(fmt.Sprintf("more than %d routes", maxRoutes), r.over, 0)
	}
	return nil
}

func (r *routeRun) add(x row.Route) {
	if len(r.routes) >= maxRoutes {
		r.over++
		return
	}
	r.routes = append(r.routes, x)
}

func (r *routeRun) dump(ctx context.Context, c *conn, ns netns) error {
	var links []rtnl.Link
	names, at := map[uint32]string{}, map[uint32]int{}
	err := c.dump(ctx, rtnl.GetLink, rtnl.Request(rtnl.GetLink), func(typ uint16, data []byte) error {
		if typ != rtnl.NewLink {
			return nil
		}
		l, err := rtnl.ParseLink(data)
		if err != nil {
			return err
		}
		names[l.Index], at[l.Index] = l.Name, len(links)
		links = append(links, l)
		return nil
	})
	if err != nil {
		return err
	}
	first := len(r.interfaces)
	for _, l := range links {
		r.interfaces = append(r.interfaces, linkRow(l, names, ns))
	}
	err = c.dump(ctx, rtnl.GetAddress, rtnl.Request(rtnl.GetAddress), func(typ uint16, data []byte) error {
		if typ != rtnl.NewAddress {
			return nil
		}
		a, err := rtnl.ParseAddress(data)
		if err != nil {
			return err
		}
		if i, ok := at[a.Index]; ok {
			x := &r.interfaces[first+i]
			x.Addresses = append(x.Addresses, a.IP.String()+"/"+strconv.Itoa(int(a.Bits)))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.dump(ctx, rtnl.GetRoute, rtnl.Request(rtnl.GetRoute), func(typ uint16, data []byte) error {
		if typ != rtnl.NewRoute {
			return nil
		}
		x, err := rtnl.ParseRoute(data)
		if err != nil || x.Family != 2 && x.Family != 10 {
			return err
		}
		r.hops(x, names, ns)
		return nil
	})
}

// hops adds a route, a row for each of its next hops.
func (r *routeRun) hops(x rtnl.Route, names map[uint32]string, ns netns) {
	one := routeRow(x, ns)
	one.Interface, one.Source = interfaceName(names, x.Out), "rtnetlink"
	if len(x.NextHops) == 0 {
		r.add(one)
		return
	}
	for _, hop := range x.NextHops {
		one.Interface, one.Gateway, one.Weight = interfaceName(names, hop.Out), hop.Gateway, hop.Weight
		r.add(one)
	}
}

// Words of rtnetlink (linux/rtnetlink.h), as ip(8) has them.
var (
	routeTypes = map[uint8]string{
		0: "unspecified", 1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", 6: "blackhole", 7: "unreachable",
		8: "prohibit", 9: "throw", 10: "nat", 11: "xresolve",
	}
	routeTables    = map[uint32]string{0: "unspecified", 253: "default", 254: "main", 255: "local"}
	routeScopes    = map[uint8]string{0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
	routeProtocols = map[uint8]string{
		0: "unspecified", 1: "redirect", 2: "kernel", 3: "boot", 4: "static", 8: "gated", 9: "ra", 10: "mrt", 11: "zebra",
		12: "bird", 13: "dnrouted", 14: "xorp", 15: "ntk", 16: "dhcp", 17: "mrouted", 18: "keepalived", 42: "babel",
		84: "ovn", 99: "openr", 186: "bgp", 187: "isis", 188: "ospf", 189: "rip", 192: "eigrp",
	}
)

func routeRow(x rtnl.Route, ns netns) row.Route {
	out := row.Route{
		Destination: prefix(x.Dest), Gateway: x.Gateway, Metric: x.Priority, PrefSource: x.PrefSrc, FromPrefix: prefix(x.Source),
		Type: name(routeTypes, x.Type), Table: name(routeTables, x.Table), Protocol: name(routeProtocols, x.Protocol),
		Scope: name(routeScopes, x.Scope), NextHopID: x.NextHopID, Network: network(x.Family), NetNS: ns.inode,
	}
	return out
}

func prefix(p netip.Prefix) string {
	if !p.Addr().IsValid() {
		return ""
	}
	return p.String()
}

// Words of links.
var (
	linkStates = map[uint8]string{
		0: "unknown", 1: "not present", 2: "down", 3: "lower layer down", 4: "testing", 5: "dormant", 6: "up",
	}
	linkTypes = map[uint16]string{
		1: "ether", 32: "infiniband", 512: "ppp", 768: "ipip", 769: "ip6tnl", 772: "loopback", 776: "sit", 778: "gre",
		280: "can", 801: "ieee80211", 803: "ieee80211 radiotap", 804: "ieee802154", 823: "ip6gre", 824: "netlink monitor",
		65534: "none", 65535: "void",
	}
	linkFlags = [...]string{
		"UP", "BROADCAST", "DEBUG", "LOOPBACK", "POINTOPOINT", "NOTRAILERS", "RUNNING", "NOARP", "PROMISC", "ALLMULTI",
		"MASTER", "SLAVE", "MULTICAST", "PORTSEL", "AUTOMEDIA", "DYNAMIC", "LOWER_UP", "DORMANT", "ECHO",
	}
)

const flagPromisc = 1 << 8

func linkRow(l rtnl.Link, names map[uint32]string, ns netns) row.Interface {
	out := row.Interface{
		Name: l.Name, MAC: mac(l.MAC), State: name(linkStates, l.State), Type: name(linkTypes, l.Type), Kind: l.Kind,
		Promiscuous: l.Promiscuity, AllMulti: l.AllMulti, Master: interfaceName(names, l.Master), Index: l.Index, MTU: l.MTU,
		AltNames: l.AltNames, HardwareMAC: mac(l.Permanent), Alias: l.Alias, Qdisc: l.Qdisc, XDP: l.XDP,
		NetNS: ns.inode, Source: "rtnetlink",
	}
	for i, word := range linkFlags {
		if l.Flags>>i&1 == 1 {
			out.Flags = append(out.Flags, word)
		}
	}
	if l.Parent != 0 && l.Parent != l.Index || l.ParentNS >= 0 {
		out.Parent = interfaceName(names, l.Parent)
		if l.ParentNS >= 0 {
			out.Parent = interfaceName(nil, l.Parent)
		}
	}
	counters(&out, l.Counters)
	switch {
	case l.Promiscuity > 0 && l.Flags&flagPromisc == 0:
		out.Note = "takes all frames, and its flag does not show it: a packet socket asked for them"
	case l.Promiscuity > 0:
		out.Note = "takes all frames"
	}
	if len(l.Permanent) > 0 && mac(l.MAC) != mac(l.Permanent) && out.Note == "" {
		out.Note = "its address is not the hardware's own"
	}
	return out
}

func counters(out *row.Interface, c rtnl.Counters) {
	out.RxBytes, out.TxBytes = row.Num(c.RxBytes), row.Num(c.TxBytes)
	out.RxPackets, out.TxPackets = row.Num(c.RxPackets), row.Num(c.TxPackets)
	out.RxErrors, out.TxErrors, out.RxDropped, out.TxDropped = c.RxErrors, c.TxErrors, c.RxDropped, c.TxDropped
}

// files reads the tables that /proc shows of a namespace.
func (r *routeRun) files(ns netns) bool {
	any := false
	for _, t := range []struct {
		table string
		read  func(data []byte, source string)
	}{
		{"route", func(data []byte, source string) {
			for x, err := range procnet.Routes4(data) {
				r.fileRoute(x, err, ns, source, routeTables[254])
			}
		}},
		{"ipv6_route", func(data []byte, source string) {
			for x, err := range procnet.Routes6(data) {
				r.fileRoute(x, err, ns, source, "")
			}
		}},
		{"dev", func(data []byte, source string) { r.fileInterfaces(data, ns, source) }},
	} {
		data, source, ok := netTable(r.h, r.out, ns, t.table)
		t.read(data, source)
		any = any || ok
	}
	return any
}

func (r *routeRun) fileRoute(x procnet.Route, err error, ns netns, source, table string) {
	if err != nil {
		r.out.Missing("line of "+source, err)
		return
	}
	out := routeRow(x.Route, ns)
	// The tables do not say these.
	out.Table, out.Protocol, out.Scope = table, "", ""
	out.Interface, out.Source = x.Interface, source
	r.add(out)
}

func (r *routeRun) fileInterfaces(data []byte, ns netns, source string) {
	addresses := map[string][]string{}
	inet6, from, _ := netTable(r.h, r.out, ns, "if_inet6")
	for a, err := range procnet.Addresses6(inet6) {
		if err != nil {
			r.out.Missing("line of "+from, err)
			continue
		}
		addresses[a.Interface] = append(addresses[a.Interface], a.IP.String()+"/"+strconv.Itoa(int(a.Bits)))
	}
	for i, err := range procnet.Interfaces(data) {
		if err != nil {
			r.out.Missing("line of "+source, err)
			continue
		}
		out := row.Interface{Name: i.Name, Addresses: addresses[i.Name], NetNS: ns.inode, Source: source}
		counters(&out, i.Counters)
		r.interfaces = append(r.interfaces, out)
	}
}
