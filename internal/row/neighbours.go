package row

import "net/netip"

// Neighbour is a row of arp: who answered for an address on a link, by ARP or
// NDP.
type Neighbour struct {
	IP          netip.Addr `json:"destination.ip" csv:"Internet Address"`
	MAC         string     `json:"destination.mac,omitzero" csv:"Physical Address"` // 02-00-5E-10-00-01, as ECS writes it
	State       string     `json:"swab.neighbour.state" csv:"State"`                // as ip(8) has them: reachable, stale, permanent …
	Interface   string     `json:"swab.interface.name" csv:"Interface"`
	Network     string     `json:"network.type" csv:"Family"` // ipv4, ipv6
	Router      bool       `json:"swab.neighbour.router,omitzero" csv:"Router"`
	Proxy       bool       `json:"swab.neighbour.proxy,omitzero" csv:"Proxy"`
	Probes      uint32     `json:"swab.neighbour.probes,omitzero" csv:"Probes"`
	UsedMs      uint64     `json:"swab.neighbour.used_ms,omitzero" csv:"Used ms ago"`
	ConfirmedMs uint64     `json:"swab.neighbour.confirmed_ms,omitzero" csv:"Confirmed ms ago"`
	UpdatedMs   uint64     `json:"swab.neighbour.updated_ms,omitzero" csv:"Changed ms ago"`
	NetNS       uint64     `json:"swab.netns.inode" csv:"Network namespace"`
	Source      string     `json:"swab.source" csv:"Source"` // rtnetlink, or the table of /proc that was read
}
