package row

import "net/netip"

// Route is a row of routes: one next hop of one route.
type Route struct {
	Destination string     `json:"swab.route.destination" csv:"Destination"` // prefix: "192.0.2.0/24"; the default is 0.0.0.0/0 or ::/0
	Gateway     netip.Addr `json:"swab.route.gateway,omitzero" csv:"Gateway"`
	Interface   string     `json:"swab.interface.name,omitzero" csv:"Interface"`
	Metric      uint32     `json:"swab.route.metric,omitzero" csv:"Metric"`
	PrefSource  netip.Addr `json:"swab.route.preferred_source,omitzero" csv:"Preferred source"`
	FromPrefix  string     `json:"swab.route.source,omitzero" csv:"Source prefix"`
	Type        string     `json:"swab.route.type" csv:"Type"`                  // unicast, local, blackhole …
	Table       string     `json:"swab.route.table,omitzero" csv:"Table"`       // main, local, default, or its number; "" where not told
	Protocol    string     `json:"swab.route.protocol,omitzero" csv:"Protocol"` // who made it: kernel, static, dhcp …
	Scope       string     `json:"swab.route.scope,omitzero" csv:"Scope"`
	Weight      int        `json:"swab.route.weight,omitzero" csv:"Weight"` // among several next hops
	NextHopID   uint32     `json:"swab.route.nexthop_id,omitzero" csv:"Next hop id"`
	Network     string     `json:"network.type" csv:"Family"`
	NetNS       uint64     `json:"swab.netns.inode" csv:"Network namespace"`
	Source      string     `json:"swab.source" csv:"Source"`
}

// Interface is a row of interfaces.
type Interface struct {
	Name        string   `json:"swab.interface.name" csv:"Interface"`
	Addresses   []string `json:"host.ip,omitzero" csv:"Addresses"` // with prefix length: "192.0.2.7/24"
	MAC         string   `json:"host.mac,omitzero" csv:"Physical Address"`
	State       string   `json:"swab.interface.state,omitzero" csv:"State"` // up, down, unknown …
	Flags       []string `json:"swab.interface.flags,omitzero" csv:"Flags"`
	Type        string   `json:"swab.interface.type,omitzero" csv:"Type"`               // ether, loopback …
	Kind        string   `json:"swab.interface.kind,omitzero" csv:"Kind"`               // veth, bridge, wireguard …; "" of hardware
	Promiscuous uint32   `json:"swab.interface.promiscuity,omitzero" csv:"Promiscuous"` // how many asked for all frames; its flag shows only some of them
	AllMulti    uint32   `json:"swab.interface.allmulti,omitzero" csv:"All multicast"`
	Master      string   `json:"swab.interface.master,omitzero" csv:"Master"` // bridge or bond it belongs to
	Parent      string   `json:"swab.interface.parent,omitzero" csv:"Parent"` // it stands on; "#3" where that is in another namespace
	Index       uint32   `json:"swab.interface.index,omitzero" csv:"Index"`
	MTU         uint32   `json:"swab.interface.mtu,omitzero" csv:"MTU"`
	AltNames    []string `json:"swab.interface.alternative_names,omitzero" csv:"Other names"`
	HardwareMAC string   `json:"swab.interface.permanent_mac,omitzero" csv:"Hardware address"` // differs from MAC: it was changed
	Alias       string   `json:"swab.interface.alias,omitzero" csv:"Alias"`
	Qdisc       string   `json:"swab.interface.qdisc,omitzero" csv:"Queueing"`
	XDP         uint32   `json:"swab.interface.xdp_program,omitzero" csv:"XDP program id"` // sees frames before everything else

	// Counters since the interface was made; not known where only its addresses were told.
	RxBytes   Number `json:"host.network.ingress.bytes,omitzero" csv:"Bytes received"`
	TxBytes   Number `json:"host.network.egress.bytes,omitzero" csv:"Bytes sent"`
	RxPackets Number `json:"host.network.ingress.packets,omitzero" csv:"Packets received"`
	TxPackets Number `json:"host.network.egress.packets,omitzero" csv:"Packets sent"`
	RxErrors  uint64 `json:"swab.interface.receive_errors,omitzero" csv:"Receive errors"`
	TxErrors  uint64 `json:"swab.interface.send_errors,omitzero" csv:"Send errors"`
	RxDropped uint64 `json:"swab.interface.receive_dropped,omitzero" csv:"Receive dropped"`
	TxDropped uint64 `json:"swab.interface.send_dropped,omitzero" csv:"Send dropped"`

	NetNS  uint64 `json:"swab.netns.inode" csv:"Network namespace"`
	Source string `json:"swab.source" csv:"Source"`
	Note   string `json:"swab.note,omitzero" csv:"Note"`
}
