package linux

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"swab/internal/collect/linux/proctable"
	"swab/internal/parse/sockdiag"
	"swab/internal/row"
)

// States, as netstat names them.
var (
	tcpStates = map[uint8]string{
		1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECV", 4: "FIN_WAIT1", 5: "FIN_WAIT2", 6: "TIME_WAIT", 7: "CLOSE",
		8: "CLOSE_WAIT", 9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING", 12: "SYN_RECV", 13: "BOUND",
	}
	// SCTP tells of associations by numbers of its own.
	sctpStates = map[uint8]string{
		0: "CLOSED", 1: "COOKIE_WAIT", 2: "COOKIE_ECHOED", 3: "ESTABLISHED", 4: "SHUTDOWN_PENDING", 5: "SHUTDOWN_SENT",
		6: "SHUTDOWN_RECEIVED", 7: "SHUTDOWN_ACK_SENT", 10: "LISTEN",
	}
	unixStates = map[uint8]string{1: "CONNECTED", 2: "CONNECTING", 7: "UNCONN", 10: "LISTEN"}
	timers     = map[uint8]string{0: "", 1: "on", 2: "keepalive", 3: "timewait", 4: "persist", 5: "delayed ack"}
	types      = map[uint8]string{0: "", 1: "stream", 2: "dgram", 3: "raw", 4: "rdm", 5: "seqpacket", 10: "packet"}
	// Netlink's protocols (linux/netlink.h).
	netlinks = map[uint8]string{
		0: "route", 1: "unused", 2: "usersock", 3: "firewall", 4: "sock_diag", 5: "nflog", 6: "xfrm", 7: "selinux", 8: "iscsi",
		9: "audit", 10: "fib_lookup", 11: "connector", 12: "netfilter", 13: "ip6_fw", 14: "dnrtmsg", 15: "kobject_uevent",
		16: "generic", 18: "scsitransport", 19: "ecryptfs", 20: "rdma", 21: "crypto", 22: "smc",
	}
	etherTypes = map[uint16]string{
		0x0000: "none", 0x0001: "802.3", 0x0003: "all", 0x0004: "802.2", 0x0800: "IPv4", 0x0806: "ARP", 0x8100: "VLAN",
		0x86dd: "IPv6", 0x888e: "EAPOL", 0x8892: "PROFINET", 0x88cc: "LLDP", 0x88f7: "PTP",
	}
)

// States that decide what an owner's absence means.
const (
	stateEstablished = 1
	stateSynRecv     = 3
	stateTimeWait    = 6
	stateClose       = 7
	stateCloseWait   = 8
	stateListen      = 10
	stateNewRecv     = 12
)

// Notes, in words for whoever reads the row.
const (
	agentsOwn    = "the agent's own, made for this collection"
	unheld       = "no process held it when descriptors were read: it is younger than that, on its way between processes, the kernel's own, or its process is hidden"
	unheldVeiled = "its process may be one whose descriptors could not be read"
	// Without an inode no process can hold it.
	notAccepted   = "no process has accepted it yet"
	closedByOwner = "its process has closed it; the kernel still ends the connection"
	filterNotTold = "a filter is told only to who has CAP_NET_ADMIN"
)

// rows writes the tables, the connections first.
func (r *socketRun) rows(ctx context.Context) error {
	for k := range r.inet.all() {
		s, listens := r.socket(k)
		table := "active_connections"
		if listens {
			table = "listening"
		}
		if err := r.out.Row(table, s); err != nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
	for k := range r.unix.all() {
		if err := r.out.Row("unix", r.unixSocket(k)); err != nil {
			return err
		}
	}
	for k := range r.packet.all() {
		if err := r.out.Row("packet", r.packetSocket(k)); err != nil {
			return err
		}
	}
	for k := range r.netlink.all() {
		if err := r.out.Row("netlink", r.netlinkSocket(k)); err != nil {
			return err
		}
	}
	if err := r.virtualRows(); err != nil {
		return err
	}
	if over := r.inet.over + r.unix.over + r.packet.over + r.netlink.over + r.vsock.over + r.xdp.over; over > 0 {
		r.out.Truncated(fmt.Sprintf("more than %d sockets of a kind, or more than there is memory for", maxSockets), over, 0)
	}
	return nil
}

// held says who holds a socket.
type held struct {
	pid     int
	process string
	entity  string
	all     []string // pid/name
	own     bool
	note    string
}

func (r *socketRun) holders(inode uint64) held {
	if r.mine[inode] {
		return held{pid: r.h.Self.PID, own: true, note: agentsOwn}
	}
	owners := r.owners(inode)
	if len(owners) == 0 {
		if r.veiled {
			return held{note: unheldVeiled}
		}
		return held{note: unheld}
	}
	first := slices.MinFunc(owners, func(a, b proctable.Owner) int { return a.PID - b.PID })
	w := held{pid: first.PID, process: first.Name, entity: first.EntityID, all: names(owners)}
	for _, o := range owners {
		w.own = w.own || o.PID == r.h.Self.PID && r.h.Live
	}
	return w
}

// names is each process once, though it may hold a socket by several descriptors.
func names(owners []proctable.Owner) []string {
	if len(owners) == 0 {
		return nil
	}
	out := make([]string, 0, len(owners))
	last := 0
	for _, o := range owners {
		if o.PID != last { // the descriptors of a process follow one another
			out = append(out, strconv.Itoa(o.PID)+"/"+o.Name)
		}
		last = o.PID
	}
	return out
}

// socket is a row, and whether it belongs to the listening ones: those of TCP and
// its kin that accept connections, and bound ones of other protocols without a
// peer.
func (r *socketRun) socket(k *kept[sockdiag.Inet]) (row.Socket, bool) {
	s, t := &k.sock, inetTables[k.proto]
	out := row.Socket{
		Transport: t.transport, Network: network(t.family),
		LocalIP: s.Local.Addr(), LocalPort: uint32(s.Local.Port()),
		NetNS: r.spaces[k.ns].inode, Interface: interfaceName(r.names[k.ns], s.Interface),
		RecvQueue: s.RecvQueue, SendQueue: s.SendQueue, Inode: uint64(s.Inode), Cookie: s.Cookie, CgroupID: s.CgroupID, Mark: s.Mark,
		V6Only: s.V6Only, Timer: name(timers, s.Timer), TimerMs: s.Expires, Retrans: s.Retrans, Drops: s.Drops, Source: k.source,
	}
	if s.Timer == 0 {
		out.TimerMs = 0
	}
	// Of a socket that is only a memory of itself, or not accepted yet, the
	// kernel says uid 0: that is no answer.
	if s.Inode != 0 || s.State != stateTimeWait && s.State != stateSynRecv && s.State != stateNewRecv {
		out.UID, out.User = strconv.FormatUint(uint64(s.UID), 10), r.users[s.UID]
	}
	if s.Remote.Port() != 0 || s.Remote.Addr().IsValid() && !s.Remote.Addr().IsUnspecified() {
		out.RemoteIP, out.RemotePort = s.Remote.Addr(), uint32(s.Remote.Port())
	}
	connects := t.transport == "tcp" || t.transport == "mptcp" || t.transport == "dccp" || t.transport == "sctp"
	listens := s.State == stateListen
	switch {
	case t.transport == "sctp":
		out.State = name(sctpStates, s.State)
	case !connects && s.State == stateClose:
		out.State, listens = "UNCONN", true
	default:
		out.State = name(tcpStates, s.State)
	}
	if s.Info && t.transport == "tcp" && !listens {
		i := &s.TCP
		out.RTT, out.Retransmits = i.RTT, i.Retransmits
		out.BytesSent, out.BytesReceived = max(i.BytesSent, i.BytesAcked), i.BytesReceived
		out.SegmentsOut, out.SegmentsIn = i.SegmentsOut, i.SegmentsIn
		out.LastSentMs, out.LastRecvMs = i.LastSent, i.LastReceived
	}
	switch {
	case s.Inode != 0:
		w := r.holders(uint64(s.Inode))
		out.PID, out.Process, out.EntityID, out.Owners, out.Own, out.Note = w.pid, w.process, w.entity, w.all, w.own, w.note
	case !connects || s.State == stateTimeWait || s.State == stateSynRecv || s.State == stateNewRecv:
	case s.State == stateEstablished || s.State == stateCloseWait:
		out.Note = notAccepted
	default:
		out.Note = closedByOwner
	}
	return out, listens
}

func (r *socketRun) unixSocket(k *kept[sockdiag.Unix]) row.UnixSocket {
	s := &k.sock
	w := r.holders(uint64(s.Inode))
	out := row.UnixSocket{
		Type: name(types, s.Type), State: name(unixStates, s.State), Path: unixName(s.Name),
		PID: w.pid, Process: w.process, Owners: w.all, EntityID: w.entity, Own: w.own, Note: w.note,
		Inode: uint64(s.Inode), Peer: uint64(s.Peer), PeerOwner: names(r.owners(uint64(s.Peer))),
		FileInode: uint64(s.FileInode), RecvQueue: s.RecvQueue, SendQueue: s.SendQueue,
		NetNS: r.spaces[k.ns].inode, Source: k.source,
	}
	if s.HasUID {
		out.UID, out.User = strconv.FormatUint(uint64(s.UID), 10), r.users[s.UID]
	}
	if s.FileInode != 0 {
		out.FileDev = fmt.Sprintf("%d:%d", s.FileDev>>20, s.FileDev&0xfffff)
	}
	if s.Inode == 0 {
		// A connection that nobody has accepted yet has no inode.
		out.Note = ""
	}
	return out
}

// unixName is a socket's name as ss shows it: a path, or an abstract name with
// '@' for its NULs.
func unixName(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if b[0] != 0 {
		if i := slices.Index(b, 0); i >= 0 {
			b = b[:i]
		}
		return string(b)
	}
	shown := slices.Clone(b)
	for i, c := range shown {
		if c == 0 {
			shown[i] = '@'
		}
	}
	return string(shown)
}

func (r *socketRun) packetSocket(k *kept[sockdiag.Packet]) row.PacketSocket {
	s := &k.sock
	w := r.holders(uint64(s.Inode))
	out := row.PacketSocket{
		Type: name(types, s.Type), Protocol: fmt.Sprintf("0x%04x", s.Protocol), Interface: interfaceName(r.names[k.ns], s.Interface),
		PID: w.pid, Process: w.process, Owners: w.all, EntityID: w.entity, Own: w.own, Note: w.note,
		Promiscuous: s.Promisc, AllMulticast: s.AllMulti, Ring: s.Ring, Fanout: s.Fanout,
		FilterLength: len(s.Filter), Filter: sockdiag.Hex(s.Filter),
		Inode: uint64(s.Inode), NetNS: r.spaces[k.ns].inode, Source: k.source,
	}
	if word, ok := etherTypes[s.Protocol]; ok {
		out.Protocol += " " + word
	}
	if out.Interface == "" {
		out.Interface = "*"
	}
	if s.HasUID {
		out.UID, out.User = strconv.FormatUint(uint64(s.UID), 10), r.users[s.UID]
	}
	if len(s.Filter) == 0 && r.h.Live && r.h.Self.Capabilities>>capNetAdmin&1 == 0 && out.Note == "" {
		out.Note = filterNotTold
	}
	return out
}

// capNetAdmin is the number of CAP_NET_ADMIN.
const capNetAdmin = 12

func (r *socketRun) netlinkSocket(k *kept[sockdiag.Netlink]) row.NetlinkSocket {
	s := &k.sock
	out := row.NetlinkSocket{
		Protocol: name(netlinks, s.Protocol), Port: s.Port, Drops: s.Drops, Inode: uint64(s.Inode),
		NetNS: r.spaces[k.ns].inode, Source: k.source, Kernel: s.Port == 0,
	}
	if s.Groups != 0 {
		out.Groups = fmt.Sprintf("0x%08x", s.Groups)
	}
	if !out.Kernel {
		w := r.holders(uint64(s.Inode))
		out.PID, out.Process, out.EntityID, out.Owners, out.Own, out.Note = w.pid, w.process, w.entity, w.all, w.own, w.note
	}
	return out
}
