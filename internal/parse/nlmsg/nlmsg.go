// Package nlmsg walks the messages and attributes of netlink, the sockets by
// which Linux tells about its network (RFC 3549, linux/netlink.h).
//
// It copies nothing and allocates nothing: what it hands out are slices of the
// buffer that it was given. Netlink speaks the byte order of the machine.
package nlmsg

import (
	"encoding/binary"
	"errors"
	"iter"
	"syscall"
)

// The sizes of a message's header and of an attribute's.
const (
	HeaderSize    = 16
	attributeSize = 4
)

// Types of messages that every family knows.
const (
	TypeNoop  = 1
	TypeError = 2
	TypeDone  = 3
)

// Flags of requests and answers.
const (
	FlagRequest     = 0x1
	FlagMulti       = 0x2
	FlagInterrupted = 0x10 // the table changed during the dump: it may miss or repeat entries
	FlagDump        = 0x300
)

// ErrShort is returned for a message that claims more bytes than there are.
var ErrShort = errors.New("netlink message is cut short")

// Message is one message of an answer.
type Message struct {
	Type  uint16
	Flags uint16
	Seq   uint32
	Port  uint32
	Data  []byte // after the header
}

// Next takes the first message off b.
func Next(b []byte) (m Message, rest []byte, err error) {
	if len(b) < HeaderSize {
		return Message{}, nil, ErrShort
	}
	n := binary.NativeEndian.Uint32(b)
	if n < HeaderSize || uint64(n) > uint64(len(b)) {
		return Message{}, nil, ErrShort
	}
	m = Message{
		Type:  binary.NativeEndian.Uint16(b[4:]),
		Flags: binary.NativeEndian.Uint16(b[6:]),
		Seq:   binary.NativeEndian.Uint32(b[8:]),
		Port:  binary.NativeEndian.Uint32(b[12:]),
		Data:  b[HeaderSize:n],
	}
	return m, b[min(align(int(n)), len(b)):], nil
}

// Err is what a message of TypeError or TypeDone says: nil, or the kernel's errno.
func (m Message) Err() error {
	if (m.Type != TypeError && m.Type != TypeDone) || len(m.Data) < 4 {
		return nil
	}
	if code := int32(binary.NativeEndian.Uint32(m.Data)); code < 0 && code > -4096 {
		return syscall.Errno(-code)
	}
	return nil
}

// Request is the bytes of one message.
func Request(typ, flags uint16, seq uint32, body []byte) []byte {
	b := make([]byte, 0, HeaderSize+len(body))
	b = binary.NativeEndian.AppendUint32(b, uint32(HeaderSize+len(body)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	return append(b, body...)
}

// Attributes walks the attributes of b, those of a nested one too. It ends at
// the first that does not fit: kernels add attributes, they don't break them.
func Attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= attributeSize {
			n := int(binary.NativeEndian.Uint16(b))
			if n < attributeSize || n > len(b) {
				return
			}
			// The two high bits say "nested" and "in network byte order".
			if !yield(binary.NativeEndian.Uint16(b[2:])&0x3fff, b[attributeSize:n]) {
				return
			}
			b = b[min(align(n), len(b)):]
		}
	}
}

// Uint32 is an attribute's value as a number; 0 where it is too short to be one.
func Uint32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}

// Uint64 is the same for eight bytes.
func Uint64(b []byte) uint64 {
	if len(b) < 8 {
		return 0
	}
	return binary.NativeEndian.Uint64(b)
}

// Uint8 is the same for one byte.
func Uint8(b []byte) uint8 {
	if len(b) < 1 {
		return 0
	}
	return b[0]
}

// String is an attribute's value as text, without the NUL that ends it.
func String(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

func align(n int) int { return (n + 3) &^ 3 }
