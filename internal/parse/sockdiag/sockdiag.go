// Package sockdiag reads what the kernel tells about sockets over sock_diag
// (linux/sock_diag.h): sockets of IPv4 and IPv6, unix sockets, packet and XDP
// sockets, those between virtual machines and their host, and netlink's own. It builds the requests and decodes the answers; it opens
// nothing.
//
// The answers are structures of fixed size followed by attributes. Kernels only
// ever add at the end, so more bytes than known are fine and fewer are an error.
package sockdiag

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"swab/internal/parse/nlmsg"
)

// ByFamily is the type of requests and answers.
const ByFamily = 20

// Address families, as numbered by Linux.
const (
	FamilyUnix    = 1
	FamilyInet    = 2
	FamilyInet6   = 10
	FamilyNetlink = 16
	FamilyPacket  = 17
	FamilyVsock   = 40
	FamilyXDP     = 44
)

// Transport protocols. MPTCP's number does not fit the request's one byte and
// travels in an attribute.
const (
	ProtoTCP     = 6
	ProtoUDP     = 17
	ProtoDCCP    = 33
	ProtoSCTP    = 132
	ProtoUDPLite = 136
	ProtoRaw     = 255
	ProtoMPTCP   = 262
)

// ErrShort is returned for an answer shorter than its structure.
var ErrShort = errors.New("sock_diag answer is shorter than its structure")

var native = binary.NativeEndian

const inetRequestSize, inetSize = 56, 72

// Attributes of inet answers.
const (
	inetInfo     = 2
	inetMemory   = 7
	inetShutdown = 8
	inetProtocol = 10
	inetV6Only   = 11
	inetMark     = 15
	inetCgroup   = 21
)

// InetRequest asks for all sockets of a family and protocol, in every state,
// with their TCP figures and memory.
func InetRequest(family uint8, protocol uint16) []byte {
	b := make([]byte, inetRequestSize, inetRequestSize+8)
	b[0] = family
	b[1] = uint8(min(protocol, ProtoRaw))
	b[2] = 1<<(inetInfo-1) | 1<<(inetMemory-1) | 1<<(inetShutdown-1)
	native.PutUint32(b[4:], ^uint32(0)) // states: all
	if protocol > 255 {
		b = native.AppendUint16(b, 8)
		b = native.AppendUint16(b, 2) // INET_DIAG_REQ_PROTOCOL
		b = native.AppendUint32(b, uint32(protocol))
	}
	return b
}

// Inet is one socket of IPv4 or IPv6 (struct inet_diag_msg and its attributes).
type Inet struct {
	Family    uint8
	State     uint8 // TCP's numbering, used by all protocols
	Timer     uint8 // 0 none, 1 retransmit, 2 keepalive, 3 time-wait, 4 zero window probe
	Retrans   uint8 // of the timer: how often it ran out
	Local     netip.AddrPort
	Remote    netip.AddrPort
	Interface uint32 // index; 0: any
	Cookie    uint64 // unique while the system runs
	Expires   uint32 // ms until the timer runs out
	RecvQueue uint32 // bytes; of a listening TCP socket: connections not accepted yet
	SendQueue uint32 // bytes; of a listening TCP socket: the backlog's bound
	UID       uint32
	Inode     uint32
	Mark      uint32
	CgroupID  uint64
	Drops     uint32 // packets dropped, since the socket was made
	Shutdown  uint8  // 1 receiving is shut, 2 sending
	Protocol  uint8  // of a raw socket
	V6Only    bool
	Info      bool // TCP holds figures
	TCP       TCP
}

// TCP is what is of note in struct tcp_info.
type TCP struct {
	RTT           uint32 // µs, smoothed
	Retransmits   uint32 // segments sent again, in all
	LastSent      uint32 // ms ago
	LastReceived  uint32 // ms ago
	BytesSent     uint64 // with retransmissions; kernel 4.19
	BytesAcked    uint64
	BytesReceived uint64
	SegmentsOut   uint32
	SegmentsIn    uint32
}

// ParseInet decodes an answer into s, which it overwrites.
func ParseInet(b []byte, s *Inet) error {
	if len(b) < inetSize {
		return ErrShort
	}
	local, remote := address(b[0], b[8:24]), address(b[0], b[24:40])
	*s = Inet{
		Family: b[0], State: b[1], Timer: b[2], Retrans: b[3],
		Local:     netip.AddrPortFrom(local, binary.BigEndian.Uint16(b[4:])),
		Remote:    netip.AddrPortFrom(remote, binary.BigEndian.Uint16(b[6:])),
		Interface: native.Uint32(b[40:]),
		Cookie:    uint64(native.Uint32(b[48:]))<<32 | uint64(native.Uint32(b[44:])),
		Expires:   native.Uint32(b[52:]),
		RecvQueue: native.Uint32(b[56:]),
		SendQueue: native.Uint32(b[60:]),
		UID:       native.Uint32(b[64:]),
		Inode:     native.Uint32(b[68:]),
	}
	for typ, v := range nlmsg.Attributes(b[inetSize:]) {
		switch typ {
		case inetInfo:
			s.Info = parseTCP(v, &s.TCP)
		case inetMemory:
			if len(v) >= 36 { // struct of SK_MEMINFO_VARS; drops are the ninth
				s.Drops = native.Uint32(v[32:])
			}
		case inetShutdown:
			s.Shutdown = nlmsg.Uint8(v)
		case inetProtocol:
			s.Protocol = nlmsg.Uint8(v)
		case inetV6Only:
			s.V6Only = nlmsg.Uint8(v) != 0
		case inetMark:
			s.Mark = nlmsg.Uint32(v)
		case inetCgroup:
			s.CgroupID = nlmsg.Uint64(v)
		}
	}
	return nil
}

// address reads the address of a socket. One of IPv4 that an IPv6 socket holds
// (::ffff:192.0.2.1) is given as IPv4, since that is what went over the wire.
func address(family uint8, b []byte) netip.Addr {
	if family == FamilyInet6 {
		return netip.AddrFrom16([16]byte(b)).Unmap()
	}
	return netip.AddrFrom4([4]byte(b[:4]))
}

// parseTCP reads struct tcp_info, which has grown with the kernel: figures that
// an older one lacks stay 0. SCTP and DCCP put another structure there, shorter
// or of other meaning; callers look at TCP for TCP and MPTCP's subflows alone.
func parseTCP(b []byte, t *TCP) bool {
	if len(b) < 104 {
		return false
	}
	t.LastSent = native.Uint32(b[44:])
	t.LastReceived = native.Uint32(b[52:])
	t.RTT = native.Uint32(b[68:])
	t.Retransmits = native.Uint32(b[100:])
	if len(b) >= 144 {
		t.BytesAcked = native.Uint64(b[120:])
		t.BytesReceived = native.Uint64(b[128:])
		t.SegmentsOut = native.Uint32(b[136:])
		t.SegmentsIn = native.Uint32(b[140:])
	}
	if len(b) >= 208 {
		t.BytesSent = native.Uint64(b[200:])
	}
	return true
}
