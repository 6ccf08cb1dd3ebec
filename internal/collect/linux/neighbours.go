package linux

import (
	"context"
	"time"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/parse/procnet"
	"swab/internal/parse/rtnl"
	"swab/internal/row"
)

// Neighbours gathers the neighbour tables, ARP and NDP, of every network
// namespace.
//
// Source: rtnetlink RTM_GETNEIGH; where a namespace may not be entered, and on a
// tree of files, /proc/PID/net/arp, which has IPv4 alone and knows fewer states.
//
// Privilege: none for the agent's own namespace, CAP_SYS_ADMIN for others
// (without: the table in /proc, and a miss).
func Neighbours() collect.Collector { return neighbours{} }

type neighbours struct{}

func (neighbours) Spec() collect.Spec {
	return collect.Spec{
		Item:    "linux.neighbours",
		Source:  []string{"netlink RTM_GETNEIGH", "/proc/PID/net/arp"},
		Timeout: 10 * time.Second,
	}
}

func (neighbours) Collect(ctx context.Context, h *host.Host, out collect.Sink) error {
	var rows []row.Neighbour
	err := eachNamespace(ctx, h, out, "neighbours",
		func(c *conn, ns netns) error {
			more, err := dumpNeighbours(ctx, c, ns)
			rows = append(rows, more...)
			return err
		},
		func(ns netns) bool {
			data, source, ok := netTable(h, out, ns, "arp")
			for n, err := range procnet.ARP(data) {
				if err != nil {
					out.Missing("line of "+source, err)
					continue
				}
				r := neighbour(n.Neighbour, ns)
				r.Interface, r.Source = n.Interface, source
				rows = append(rows, r)
			}
			return ok
		})
	if err != nil {
		return err
	}
	if err := out.Taken(ctx); err != nil {
		return err
	}
	for _, r := range rows {
		if err := out.Row("arp", r); err != nil {
			return err
		}
	}
	return nil
}

func dumpNeighbours(ctx context.Context, c *conn, ns netns) ([]row.Neighbour, error) {
	names, err := linkNames(ctx, c)
	if err != nil {
		return nil, err
	}
	var rows []row.Neighbour
	err = c.dump(ctx, rtnl.GetNeighbour, rtnl.Request(rtnl.GetNeighbour), func(typ uint16, data []byte) error {
		if typ != rtnl.NewNeighbour {
			return nil
		}
		n, err := rtnl.ParseNeighbour(data)
		if err != nil || n.Family != 2 && n.Family != 10 { // bridges answer too, by links
			return err
		}
		r := neighbour(n, ns)
		r.Interface, r.Source = interfaceName(names, n.Index), "rtnetlink"
		rows = append(rows, r)
		return nil
	})
	return rows, err
}

// Bits of a neighbour's state and flags (linux/neighbour.h).
var neighbourStates = map[uint16]string{
	0x00: "none", 0x01: "incomplete", 0x02: "reachable", 0x04: "stale", 0x08: "delay", 0x10: "probe", 0x20: "failed",
	0x40: "noarp", 0x80: "permanent",
}

const (
	flagProxy  = 0x08
	flagRouter = 0x80
)

// tickMs is the unit of a neighbour's ages: USER_HZ.
const tickMs = 1000 / host.TicksPerSecond

func neighbour(n rtnl.Neighbour, ns netns) row.Neighbour {
	r := row.Neighbour{
		IP: n.IP, MAC: mac(n.MAC), State: name(neighbourStates, n.State), Network: network(n.Family),
		Router: n.Flags&flagRouter != 0, Proxy: n.Flags&flagProxy != 0, Probes: n.Probes, NetNS: ns.inode,
	}
	if n.Aged {
		r.UsedMs, r.ConfirmedMs, r.UpdatedMs = uint64(n.Used)*tickMs, uint64(n.Confirmed)*tickMs, uint64(n.Updated)*tickMs
	}
	return r
}
