package sockdiag

import "swab/internal/parse/nlmsg"

const vsockRequestSize, vsockSize = 24, 32

// VsockRequest asks for all sockets between virtual machines and their host, in
// every state (linux/vm_sockets_diag.h).
func VsockRequest() []byte {
	b := make([]byte, vsockRequestSize)
	b[0] = FamilyVsock
	native.PutUint32(b[4:], 1<<32-1)
	return b
}

// Vsock is one of them. A context id (CID) names a machine: 2 is the host, 1
// this machine itself, 1<<32-1 any.
type Vsock struct {
	Type                  uint8 // SOCK_STREAM 1, SOCK_DGRAM 2, SOCK_SEQPACKET 5
	State                 uint8 // as TCP's
	CID, Port             uint32
	RemoteCID, RemotePort uint32
	Inode                 uint32
	Cookie                uint64
}

// ParseVsock decodes an answer into s, which it overwrites.
func ParseVsock(b []byte, s *Vsock) error {
	if len(b) < vsockSize {
		return ErrShort
	}
	*s = Vsock{
		Type: b[1], State: b[2], CID: native.Uint32(b[4:]), Port: native.Uint32(b[8:]),
		RemoteCID: native.Uint32(b[12:]), RemotePort: native.Uint32(b[16:]), Inode: native.Uint32(b[20:]), Cookie: cookie(b[24:]),
	}
	return nil
}

const xdpRequestSize, xdpSize = 20, 16

// XDPRequest asks for all sockets of AF_XDP with the interface, the queue and who
// made each (linux/xdp_diag.h).
func XDPRequest() []byte {
	b := make([]byte, xdpRequestSize)
	b[0] = FamilyXDP
	native.PutUint32(b[8:], 0x1) // info
	return b
}

// XDP is one socket of AF_XDP: it takes frames off an interface's queue before
// the kernel's own network sees them.
type XDP struct {
	Inode     uint32
	Cookie    uint64
	Interface uint32 // index; 0: not bound yet
	Queue     uint32
	UID       uint32
	HasUID    bool
}

// ParseXDP decodes an answer into s, which it overwrites.
func ParseXDP(b []byte, s *XDP) error {
	if len(b) < xdpSize {
		return ErrShort
	}
	*s = XDP{Inode: native.Uint32(b[4:]), Cookie: cookie(b[8:])}
	for typ, v := range nlmsg.Attributes(b[xdpSize:]) {
		switch typ {
		case 1:
			if len(v) >= 8 {
				s.Interface, s.Queue = native.Uint32(v), native.Uint32(v[4:])
			}
		case 2:
			s.UID, s.HasUID = nlmsg.Uint32(v), len(v) >= 4
		}
	}
	return nil
}
