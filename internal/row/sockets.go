package row

import "net/netip"

// Socket is a row of active_connections and of listening: one socket of IPv4 or
// IPv6, or one between a virtual machine and its host (vsock), which has context
// ids in place of addresses. On Linux it comes from sock_diag, where that can't be asked from
// /proc/PID/net, which knows less (Source says which it was).
//
// An address of IPv4 that an IPv6 socket holds is shown as IPv4, as it went over
// the wire; Network is then still ipv6.
type Socket struct {
	Transport  string     `json:"network.transport" csv:"Proto"`          // tcp, mptcp, udp, udplite, dccp, sctp, raw, icmp; vsock_stream, vsock_dgram, vsock_seqpacket
	LocalIP    netip.Addr `json:"source.ip,omitzero" csv:"Local Address"` // unspecified: any
	LocalPort  uint32     `json:"source.port" csv:"Local Port"`           // of a raw socket: the protocol it takes
	RemoteIP   netip.Addr `json:"destination.ip,omitzero" csv:"Foreign Address"`
	RemotePort uint32     `json:"destination.port,omitzero" csv:"Foreign Port"`
	State      string     `json:"swab.socket.state" csv:"State"`  // as netstat has them: ESTABLISHED, LISTEN …; UNCONN: bound, no peer
	PID        int        `json:"process.pid,omitzero" csv:"PID"` // the lowest of Owners; 0: none
	Process    string     `json:"process.name,omitzero" csv:"Process"`
	Owners     []string   `json:"swab.socket.owners,omitzero" csv:"Owners"` // pid/name of each process that has it open
	EntityID   string     `json:"process.entity_id,omitzero" csv:"Process entity"`
	Own        bool       `json:"swab.own,omitzero" csv:"Agent's own"` // the agent holds it
	UID        string     `json:"user.id,omitzero" csv:"UID"`          // of who made it; "" where the kernel no longer knows, or does not yet
	User       string     `json:"user.name,omitzero" csv:"User"`
	Network    string     `json:"network.type" csv:"Family"`               // ipv4, ipv6, vsock
	LocalCID   string     `json:"swab.vsock.cid,omitzero" csv:"Local CID"` // of vsock: the machine; 2 is the host, 1 this one; "any"
	RemoteCID  string     `json:"swab.vsock.peer_cid,omitzero" csv:"Foreign CID"`
	NetNS      uint64     `json:"swab.netns.inode" csv:"Network namespace"`
	Interface  string     `json:"swab.interface.name,omitzero" csv:"Interface"`    // that it is bound to; "#3" where its name is not known
	RecvQueue  uint32     `json:"swab.socket.receive_queue,omitzero" csv:"Recv-Q"` // bytes; of LISTEN: connections not accepted yet
	SendQueue  uint32     `json:"swab.socket.send_queue,omitzero" csv:"Send-Q"`    // bytes; of LISTEN: how many it lets wait
	Inode      uint64     `json:"swab.socket.inode,omitzero" csv:"Inode"`          // 0: no process can hold it any more, or not yet
	Cookie     uint64     `json:"swab.socket.cookie,omitzero" csv:"Cookie"`        // unique until the system restarts
	CgroupID   uint64     `json:"swab.cgroup.id,omitzero" csv:"Cgroup id"`         // inode of its directory in cgroup 2
	Mark       uint32     `json:"swab.socket.mark,omitzero" csv:"Mark"`
	V6Only     bool       `json:"swab.socket.v6only,omitzero" csv:"IPv6 only"`
	Timer      string     `json:"swab.socket.timer,omitzero" csv:"Timer"` // on, keepalive, timewait, persist
	TimerMs    uint32     `json:"swab.socket.timer_ms,omitzero" csv:"Timer ms"`
	Retrans    uint8      `json:"swab.socket.retransmits_now,omitzero" csv:"Retransmits now"` // of what is unanswered
	Drops      uint32     `json:"swab.socket.drops,omitzero" csv:"Drops"`                     // packets that found no room

	// TCP's figures, since the connection began.
	Retransmits   uint32 `json:"swab.tcp.retransmits,omitzero" csv:"Retransmits"` // segments
	RTT           uint32 `json:"swab.tcp.rtt_us,omitzero" csv:"RTT µs"`           // smoothed
	BytesSent     uint64 `json:"source.bytes,omitzero" csv:"Bytes sent"`          // before Linux 4.19: those acknowledged
	BytesReceived uint64 `json:"destination.bytes,omitzero" csv:"Bytes received"`
	SegmentsOut   uint32 `json:"source.packets,omitzero" csv:"Segments sent"`
	SegmentsIn    uint32 `json:"destination.packets,omitzero" csv:"Segments received"`
	LastSentMs    uint32 `json:"swab.tcp.last_sent_ms,omitzero" csv:"Last sent ms ago"`
	LastRecvMs    uint32 `json:"swab.tcp.last_received_ms,omitzero" csv:"Last received ms ago"`

	Source string `json:"swab.source" csv:"Source"` // sock_diag, or the table of /proc that was read
	Note   string `json:"swab.note,omitzero" csv:"Note"`
}

// UnixSocket is a row of unix.
type UnixSocket struct {
	Type      string   `json:"swab.socket.type" csv:"Type"`   // stream, dgram, seqpacket
	State     string   `json:"swab.socket.state" csv:"State"` // LISTEN, CONNECTED, UNCONN
	Path      string   `json:"file.path,omitzero" csv:"Path"` // it is bound to; an abstract name begins with '@'
	PID       int      `json:"process.pid,omitzero" csv:"PID"`
	Process   string   `json:"process.name,omitzero" csv:"Process"`
	Owners    []string `json:"swab.socket.owners,omitzero" csv:"Owners"`
	EntityID  string   `json:"process.entity_id,omitzero" csv:"Process entity"`
	Own       bool     `json:"swab.own,omitzero" csv:"Agent's own"`
	UID       string   `json:"user.id,omitzero" csv:"UID"` // of who made it; "" before Linux 5.3
	User      string   `json:"user.name,omitzero" csv:"User"`
	Inode     uint64   `json:"swab.socket.inode" csv:"Inode"`
	Peer      uint64   `json:"swab.socket.peer_inode,omitzero" csv:"Peer inode"`
	PeerOwner []string `json:"swab.socket.peer_owners,omitzero" csv:"Peer owners"` // pid/name of who holds the other end
	FileInode uint64   `json:"file.inode,omitzero" csv:"File inode"`
	FileDev   string   `json:"file.device,omitzero" csv:"File device"` // major:minor
	RecvQueue uint32   `json:"swab.socket.receive_queue,omitzero" csv:"Recv-Q"`
	SendQueue uint32   `json:"swab.socket.send_queue,omitzero" csv:"Send-Q"`
	NetNS     uint64   `json:"swab.netns.inode" csv:"Network namespace"`
	Source    string   `json:"swab.source" csv:"Source"`
	Note      string   `json:"swab.note,omitzero" csv:"Note"`
}

// PacketSocket is a row of packet: something that reads raw frames, as sniffers
// and backdoors that wait for a magic packet do. A socket of AF_XDP takes them off a
// queue of an interface, before every filter of the kernel.
type PacketSocket struct {
	Type         string   `json:"swab.socket.type" csv:"Type"`              // raw, dgram, xdp
	Protocol     string   `json:"network.protocol,omitzero" csv:"Protocol"` // EtherType: "0x0003 all", "0x0800 IPv4"
	Interface    string   `json:"swab.interface.name" csv:"Interface"`      // "*": all; "" of one of AF_XDP that is not bound
	Queue        Number   `json:"swab.packet.queue,omitzero" csv:"Queue"`   // of the interface, that one of AF_XDP takes
	PID          int      `json:"process.pid,omitzero" csv:"PID"`
	Process      string   `json:"process.name,omitzero" csv:"Process"`
	Owners       []string `json:"swab.socket.owners,omitzero" csv:"Owners"`
	EntityID     string   `json:"process.entity_id,omitzero" csv:"Process entity"`
	Own          bool     `json:"swab.own,omitzero" csv:"Agent's own"`
	UID          string   `json:"user.id,omitzero" csv:"UID"`
	User         string   `json:"user.name,omitzero" csv:"User"`
	Promiscuous  bool     `json:"swab.packet.promiscuous,omitzero" csv:"Promiscuous"` // it asked for all frames of an interface
	AllMulticast bool     `json:"swab.packet.all_multicast,omitzero" csv:"All multicast"`
	Ring         bool     `json:"swab.packet.ring,omitzero" csv:"Ring"` // reads by shared memory
	Fanout       bool     `json:"swab.packet.fanout,omitzero" csv:"Fanout"`
	FilterLength int      `json:"swab.packet.filter_length,omitzero" csv:"Filter instructions"`
	Filter       string   `json:"swab.packet.filter,omitzero" csv:"Filter"` // classic BPF in hex: code (2 bytes), jt, jf, k (4), in network byte order
	Inode        uint64   `json:"swab.socket.inode" csv:"Inode"`
	NetNS        uint64   `json:"swab.netns.inode" csv:"Network namespace"`
	Source       string   `json:"swab.source" csv:"Source"`
	Note         string   `json:"swab.note,omitzero" csv:"Note"`
}

// NetlinkSocket is a row of netlink: something that talks with the kernel, or is
// told of its events.
type NetlinkSocket struct {
	Protocol string   `json:"network.protocol" csv:"Protocol"` // route, audit, netfilter …
	Port     uint32   `json:"source.port" csv:"Port"`          // often the pid of who made it; 0: the kernel's own
	PID      int      `json:"process.pid,omitzero" csv:"PID"`
	Process  string   `json:"process.name,omitzero" csv:"Process"`
	Owners   []string `json:"swab.socket.owners,omitzero" csv:"Owners"`
	EntityID string   `json:"process.entity_id,omitzero" csv:"Process entity"`
	Own      bool     `json:"swab.own,omitzero" csv:"Agent's own"`
	Kernel   bool     `json:"swab.netlink.kernel,omitzero" csv:"Kernel"`
	Groups   string   `json:"swab.netlink.groups,omitzero" csv:"Groups"` // multicast groups 1 to 32, as a hex mask
	Drops    uint32   `json:"swab.socket.drops,omitzero" csv:"Drops"`
	Inode    uint64   `json:"swab.socket.inode,omitzero" csv:"Inode"`
	NetNS    uint64   `json:"swab.netns.inode" csv:"Network namespace"`
	Source   string   `json:"swab.source" csv:"Source"`
	Note     string   `json:"swab.note,omitzero" csv:"Note"`
}
