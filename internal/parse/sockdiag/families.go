package sockdiag

import (
	"encoding/hex"

	"swab/internal/parse/nlmsg"
)

const unixRequestSize, unixSize = 24, 16

// UnixRequest asks for all unix sockets with name, file, peer, queue and owner.
func UnixRequest() []byte {
	b := make([]byte, unixRequestSize)
	b[0] = FamilyUnix
	native.PutUint32(b[4:], ^uint32(0))                 // states: all
	native.PutUint32(b[12:], 0x1|0x2|0x4|0x8|0x10|0x40) // name, vfs, peer, icons, queue length, uid
	return b
}

// Unix is one unix socket (struct unix_diag_msg and its attributes).
type Unix struct {
	Type      uint8 // SOCK_STREAM 1, SOCK_DGRAM 2, SOCK_SEQPACKET 5
	State     uint8 // TCP's numbering: 1 connected, 7 closed, 10 listening
	Inode     uint32
	Cookie    uint64
	Name      []byte // the path it was bound to, or NUL and an abstract name; a slice of the answer
	FileInode uint32 // of the path
	FileDev   uint32 // kernel's encoding: major << 20 | minor
	Peer      uint32 // inode of the other end
	RecvQueue uint32
	SendQueue uint32
	Pending   int // connections not accepted yet
	UID       uint32
	HasUID    bool // kernel 5.3 tells
	Shutdown  uint8
}

// ParseUnix decodes an answer into s, which it overwrites.
func ParseUnix(b []byte, s *Unix) error {
	if len(b) < unixSize {
		return ErrShort
	}
	*s = Unix{Type: b[1], State: b[2], Inode: native.Uint32(b[4:]), Cookie: cookie(b[8:])}
	for typ, v := range nlmsg.Attributes(b[unixSize:]) {
		switch typ {
		case 0:
			s.Name = v
		case 1:
			if len(v) >= 8 {
				s.FileInode, s.FileDev = native.Uint32(v), native.Uint32(v[4:])
			}
		case 2:
			s.Peer = nlmsg.Uint32(v)
		case 3:
			s.Pending = len(v) / 4
		case 4:
			if len(v) >= 8 {
				s.RecvQueue, s.SendQueue = native.Uint32(v), native.Uint32(v[4:])
			}
		case 6:
			s.Shutdown = nlmsg.Uint8(v)
		case 7:
			s.UID, s.HasUID = nlmsg.Uint32(v), len(v) >= 4
		}
	}
	return nil
}

const packetRequestSize, packetSize = 20, 16

// PacketRequest asks for all packet sockets with their settings and filter.
func PacketRequest() []byte {
	b := make([]byte, packetRequestSize)
	b[0] = FamilyPacket
	native.PutUint32(b[8:], 0x1|0x2|0x4|0x8|0x20) // info, multicast list, rings, fanout, filter
	return b
}

// Packet is one packet socket: something that reads raw frames.
type Packet struct {
	Type      uint8  // SOCK_RAW 3, SOCK_DGRAM 2, SOCK_PACKET 10
	Protocol  uint16 // EtherType it listens for; 3: all
	Inode     uint32
	Cookie    uint64
	Interface uint32 // index; 0: all
	Version   uint32 // TPACKET
	Flags     uint32
	Promisc   bool // it asked an interface to be promiscuous
	AllMulti  bool // it asked for all multicast
	Ring      bool // it has a ring in shared memory
	Fanout    bool // it shares its traffic with others
	UID       uint32
	HasUID    bool
	Filter    []Instruction // classic BPF; nil: none, or not told (needs CAP_NET_ADMIN)
}

// Instruction is one of classic BPF (struct sock_filter).
type Instruction struct {
	Code   uint16
	JT, JF uint8
	K      uint32
}

// maxFilter is BPF_MAXINSNS of the kernel.
const maxFilter = 4096

// ParsePacket decodes an answer into s, which it overwrites.
func ParsePacket(b []byte, s *Packet) error {
	if len(b) < packetSize {
		return ErrShort
	}
	*s = Packet{Type: b[1], Protocol: native.Uint16(b[2:]), Inode: native.Uint32(b[4:]), Cookie: cookie(b[8:])}
	for typ, v := range nlmsg.Attributes(b[packetSize:]) {
		switch typ {
		case 0:
			if len(v) >= 24 {
				s.Interface, s.Version, s.Flags = native.Uint32(v), native.Uint32(v[4:]), native.Uint32(v[20:])
			}
		case 1:
			s.memberships(v)
		case 2, 3:
			s.Ring = true
		case 4:
			s.Fanout = true
		case 5:
			s.UID, s.HasUID = nlmsg.Uint32(v), len(v) >= 4
		case 7:
			s.Filter = parseFilter(v)
		}
	}
	return nil
}

// memberships reads an array of struct packet_diag_mclist, 44 bytes each. The
// type at offset 8 says what was asked of the interface.
func (s *Packet) memberships(b []byte) {
	for ; len(b) >= 44; b = b[44:] {
		switch native.Uint16(b[8:]) {
		case 1: // PACKET_MR_PROMISC
			s.Promisc = true
		case 2: // PACKET_MR_ALLMULTI
			s.AllMulti = true
		}
	}
}

func parseFilter(b []byte) []Instruction {
	n := min(len(b)/8, maxFilter)
	if n == 0 {
		return nil
	}
	f := make([]Instruction, n)
	for i := range f {
		p := b[8*i:]
		f[i] = Instruction{Code: native.Uint16(p), JT: p[2], JF: p[3], K: native.Uint32(p[4:])}
	}
	return f
}

// Hex is a filter as struct sock_filter has it, in network byte order so that
// the text does not depend on the machine: code, jt, jf, k.
func Hex(f []Instruction) string {
	b := make([]byte, 0, 8*len(f))
	for _, i := range f {
		b = append(b, byte(i.Code>>8), byte(i.Code), i.JT, i.JF, byte(i.K>>24), byte(i.K>>16), byte(i.K>>8), byte(i.K))
	}
	return hex.EncodeToString(b)
}

const netlinkRequestSize, netlinkSize = 20, 28

// NetlinkRequest asks for all netlink sockets with their groups.
func NetlinkRequest() []byte {
	b := make([]byte, netlinkRequestSize)
	b[0] = FamilyNetlink
	b[1] = 255                           // NDIAG_PROTO_ALL
	native.PutUint32(b[8:], 0x1|0x2|0x8) // memory, groups, flags
	return b
}

// Netlink is one netlink socket: something that talks with the kernel.
type Netlink struct {
	Type     uint8
	Protocol uint8
	State    uint8
	Port     uint32 // 0: the kernel's own
	PeerPort uint32
	Inode    uint32
	Cookie   uint64
	Groups   uint32 // multicast groups 1 to 32, a bit each
	Drops    uint32
}

// ParseNetlink decodes an answer into s, which it overwrites.
func ParseNetlink(b []byte, s *Netlink) error {
	if len(b) < netlinkSize {
		return ErrShort
	}
	*s = Netlink{
		Type: b[1], Protocol: b[2], State: b[3],
		Port: native.Uint32(b[4:]), PeerPort: native.Uint32(b[8:]), Inode: native.Uint32(b[16:]), Cookie: cookie(b[20:]),
	}
	for typ, v := range nlmsg.Attributes(b[netlinkSize:]) {
		switch typ {
		case 0:
			if len(v) >= 36 {
				s.Drops = native.Uint32(v[32:])
			}
		case 1:
			s.Groups = nlmsg.Uint32(v)
		}
	}
	return nil
}

func cookie(b []byte) uint64 {
	return uint64(native.Uint32(b[4:]))<<32 | uint64(native.Uint32(b))
}
