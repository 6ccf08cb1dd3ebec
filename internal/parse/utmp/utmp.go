// Package utmp reads utmp, wtmp and btmp: who is, was, or tried to be logged on
// (utmp(5)).
//
// The files are arrays of one C structure, which glibc gives 384 bytes where it
// keeps 32-bit times beside 64-bit programs (x86), and 400 bytes where it never
// had to (arm64). Nothing in a file says which it is; [Parse] takes the layout
// whose records make more sense.
package utmp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"time"
)

// MaxBytes is how much of a utmp file is worth reading: 40,000 records.
const MaxBytes = 16 << 20

// Type is what a record tells.
type Type int16

// The types of records.
const (
	Empty        Type = 0
	RunLevel     Type = 1
	BootTime     Type = 2
	NewTime      Type = 3
	OldTime      Type = 4
	InitProcess  Type = 5
	LoginProcess Type = 6
	UserProcess  Type = 7
	DeadProcess  Type = 8
	Accounting   Type = 9
)

func (t Type) String() string {
	names := [...]string{
		"empty", "run level", "boot", "clock set to", "clock set from", "init process", "login process", "user process",
		"dead process", "accounting",
	}
	if t < 0 || int(t) >= len(names) {
		return "unknown"
	}
	return names[t]
}

// Record is one record. Texts are bytes of the device.
type Record struct {
	Offset  int64 // in the file
	Type    Type
	PID     int32
	Line    string // terminal, without /dev/
	ID      string
	User    string
	Host    string
	Session int64
	Time    time.Time
	Address netip.Addr // zero where there is none
}

// Result is what a file holds.
type Result struct {
	Records []Record
	Size    int   // of a record: 384 or 400
	Skipped int   // records that make no sense: an unknown type or impossible microseconds
	Rest    int64 // bytes at the end that are no whole record
}

type layout struct {
	size, time, address int
	wide                bool // session and time have eight bytes
}

var (
	narrow = layout{size: 384, time: 340, address: 348}
	wide   = layout{size: 400, time: 344, address: 360, wide: true}
)

// Parse reads a file. Empty records are left out.
func Parse(data []byte) Result {
	l := narrow
	if score(data, wide) > score(data, narrow) {
		l = wide
	}
	res := Result{Size: l.size, Rest: int64(len(data) % l.size)}
	for off := 0; off+l.size <= len(data); off += l.size {
		b := data[off : off+l.size]
		if !l.sensible(b) {
			res.Skipped++
			continue
		}
		if r := l.record(b); r.Type != Empty {
			r.Offset = int64(off)
			res.Records = append(res.Records, r)
		}
	}
	return res
}

// score is how well a layout fits: records that make sense, and a whole number
// of them. Records of zeros fit any layout and count for none.
func score(data []byte, l layout) int {
	n := 0
	for off := 0; off+l.size <= len(data); off += l.size {
		switch b := data[off : off+l.size]; {
		case !l.sensible(b):
			n -= 2
		case l.record(b).Type != Empty:
			n += 2
		}
	}
	if len(data)%l.size == 0 {
		n++
	}
	return n
}

func (l layout) sensible(b []byte) bool {
	typ := int16(binary.LittleEndian.Uint16(b))
	usec := uint64(binary.LittleEndian.Uint32(b[l.time+4:]))
	sec := uint64(binary.LittleEndian.Uint32(b[l.time:]))
	if l.wide {
		sec, usec = binary.LittleEndian.Uint64(b[l.time:]), binary.LittleEndian.Uint64(b[l.time+8:])
	}
	// Text that a layout puts where the other has numbers gives huge ones.
	return typ >= 0 && typ <= int16(Accounting) && usec < 1e6 && sec < 1<<33
}

func (l layout) record(b []byte) Record {
	le := binary.LittleEndian
	r := Record{
		Type: Type(le.Uint16(b)), PID: int32(le.Uint32(b[4:])), Line: text(b[8:40]), ID: text(b[40:44]), User: text(b[44:76]),
		Host: text(b[76:332]), Session: int64(int32(le.Uint32(b[336:]))), Address: address(b[l.address : l.address+16]),
	}
	// Seconds of 32 bits count as unsigned: they then last until 2106.
	sec, usec := int64(le.Uint32(b[l.time:])), int64(le.Uint32(b[l.time+4:]))
	if l.wide {
		r.Session = int64(le.Uint64(b[336:]))
		sec, usec = int64(le.Uint64(b[l.time:])), int64(le.Uint64(b[l.time+8:]))
	}
	if sec != 0 {
		r.Time = time.Unix(sec, usec*1000).UTC()
	}
	return r
}

// address reads ut_addr_v6: an address of IPv4 fills the first word alone.
func address(b []byte) netip.Addr {
	a := netip.AddrFrom16([16]byte(b))
	switch {
	case a == netip.IPv6Unspecified():
		return netip.Addr{}
	case bytes.Equal(b[4:], make([]byte, 12)):
		return netip.AddrFrom4([4]byte(b[:4]))
	default:
		return a.Unmap()
	}
}

func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
