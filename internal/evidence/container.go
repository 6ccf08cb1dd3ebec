package evidence

import (
	"encoding/binary"
	"time"
)

// What stands in a ZIP of ours, byte by byte. There is one way to write a given
// entry, and it is written here alone: the writer emits these bytes, and the
// checker makes them again from what it read and compares. Numbers are
// little-endian; the layout is PKWARE's APPNOTE 6.3.10, the extended timestamp
// Info-ZIP's.
const (
	sigLocal      = 0x04034b50
	sigDescriptor = 0x08074b50
	sigCentral    = 0x02014b50
	sigEnd        = 0x06054b50
	sigEnd64      = 0x06064b50
	sigLocator64  = 0x07064b50

	localSize      = 30 // without name and extra fields
	centralSize    = 46
	endSize        = 22
	end64Size      = 56
	locator64Size  = 20
	descriptorSize = 24 // with 64-bit sizes

	versionPlain = 20 // what a reader must know: Deflate
	version64    = 45 // and zip64
	madeBy       = 3<<8 | version64

	flagDescriptor = 1 << 3
	flagUTF8       = 1 << 11

	methodStore   = 0
	methodDeflate = 8

	extraZip64 = 0x0001
	extraTime  = 0x5455
	timeHasM   = 1 // the field holds the time of modification alone

	max16 = 1<<16 - 1
	max32 = 1<<32 - 1

	// regularFile is the external attribute of each entry: a file, rw-r--r--.
	regularFile = 0o100644 << 16
)

// smallEntry is the most that an entry may hold, uncompressed, to have its sizes
// in its local header. A larger one is written as it comes, and a descriptor
// follows it.
const smallEntry = 1 << 20

// header is what the ZIP says of one entry.
type header struct {
	name   string
	method uint16
	stream bool  // sizes and CRC follow the data
	time   int32 // of modification, Unix seconds
	crc    uint32
	packed int64
	size   int64
	offset int64 // of the local header
}

// localLen is the length of the local header.
func (h *header) localLen() int64 {
	n := int64(localSize + len(h.name) + 9)
	if h.stream {
		n += 20
	}
	return n
}

// end is the offset of what follows the entry.
func (h *header) end() int64 {
	n := h.offset + h.localLen() + h.packed
	if h.stream {
		n += descriptorSize
	}
	return n
}

func (h *header) versionAndFlags() (version, flags uint16) {
	if h.stream {
		return version64, flagUTF8 | flagDescriptor
	}
	return versionPlain, flagUTF8
}

func appendTime(b []byte, unix int32) []byte {
	le := binary.LittleEndian
	b = le.AppendUint16(b, extraTime)
	b = le.AppendUint16(b, 5)
	b = append(b, timeHasM)
	return le.AppendUint32(b, uint32(unix))
}

// appendLocal appends the local header.
func (h *header) appendLocal(b []byte) []byte {
	le := binary.LittleEndian
	version, flags := h.versionAndFlags()
	clock, date := dosTime(h.time)
	b = le.AppendUint32(b, sigLocal)
	b = le.AppendUint16(b, version)
	b = le.AppendUint16(b, flags)
	b = le.AppendUint16(b, h.method)
	b = le.AppendUint16(b, clock)
	b = le.AppendUint16(b, date)
	extra := 9
	if h.stream {
		extra += 20
		b = le.AppendUint32(b, 0)
		b = le.AppendUint32(b, max32)
		b = le.AppendUint32(b, max32)
	} else {
		b = le.AppendUint32(b, h.crc)
		b = le.AppendUint32(b, uint32(h.packed))
		b = le.AppendUint32(b, uint32(h.size))
	}
	b = le.AppendUint16(b, uint16(len(h.name)))
	b = le.AppendUint16(b, uint16(extra))
	b = append(b, h.name...)
	if h.stream {
		b = le.AppendUint16(b, extraZip64)
		b = le.AppendUint16(b, 16)
		b = append(b, make([]byte, 16)...)
	}
	return appendTime(b, h.time)
}

// appendDescriptor appends what follows the data of a streamed entry.
func (h *header) appendDescriptor(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, sigDescriptor)
	b = le.AppendUint32(b, h.crc)
	b = le.AppendUint64(b, uint64(h.packed))
	return le.AppendUint64(b, uint64(h.size))
}

// appendCentral appends the entry's record in the central directory.
func (h *header) appendCentral(b []byte) []byte {
	le := binary.LittleEndian
	version, flags := h.versionAndFlags()
	clock, date := dosTime(h.time)
	b = le.AppendUint32(b, sigCentral)
	b = le.AppendUint16(b, madeBy)
	b = le.AppendUint16(b, version)
	b = le.AppendUint16(b, flags)
	b = le.AppendUint16(b, h.method)
	b = le.AppendUint16(b, clock)
	b = le.AppendUint16(b, date)
	b = le.AppendUint32(b, h.crc)
	b = le.AppendUint32(b, uint32(min(h.packed, max32)))
	b = le.AppendUint32(b, uint32(min(h.size, max32)))
	// What does not fit 32 bits is all ones in its place, and stands in the
	// zip64 field, where the larger size comes first.
	var large []byte
	for _, n := range []int64{h.size, h.packed, h.offset} {
		if n >= max32 {
			large = le.AppendUint64(large, uint64(n))
		}
	}
	extra := 9
	if large != nil {
		extra += 4 + len(large)
	}
	b = le.AppendUint16(b, uint16(len(h.name)))
	b = le.AppendUint16(b, uint16(extra))
	b = le.AppendUint16(b, 0) // comment
	b = le.AppendUint16(b, 0) // disk
	b = le.AppendUint16(b, 0) // internal attributes
	b = le.AppendUint32(b, regularFile)
	b = le.AppendUint32(b, uint32(min(h.offset, max32)))
	b = append(b, h.name...)
	if large != nil {
		b = le.AppendUint16(b, extraZip64)
		b = le.AppendUint16(b, uint16(len(large)))
		b = append(b, large...)
	}
	return appendTime(b, h.time)
}

// appendEnd appends what ends the ZIP: how many entries there are, and where the
// directory of size bytes at offset lies; twice where it does not fit the old form.
func appendEnd(b []byte, entries int, size, offset int64) []byte {
	le := binary.LittleEndian
	if entries >= max16 || size >= max32 || offset >= max32 {
		b = le.AppendUint32(b, sigEnd64)
		b = le.AppendUint64(b, end64Size-12)
		b = le.AppendUint16(b, madeBy)
		b = le.AppendUint16(b, version64)
		b = le.AppendUint32(b, 0)
		b = le.AppendUint32(b, 0)
		b = le.AppendUint64(b, uint64(entries))
		b = le.AppendUint64(b, uint64(entries))
		b = le.AppendUint64(b, uint64(size))
		b = le.AppendUint64(b, uint64(offset))
		b = le.AppendUint32(b, sigLocator64)
		b = le.AppendUint32(b, 0)
		b = le.AppendUint64(b, uint64(offset+size))
		b = le.AppendUint32(b, 1)
	}
	b = le.AppendUint32(b, sigEnd)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint16(b, uint16(min(entries, max16)))
	b = le.AppendUint16(b, uint16(min(entries, max16)))
	b = le.AppendUint32(b, uint32(min(size, max32)))
	b = le.AppendUint32(b, uint32(min(offset, max32)))
	return le.AppendUint16(b, 0) // comment
}

// clampTime is t in the seconds that an extended timestamp can hold.
func clampTime(t time.Time) int32 {
	return int32(max(-1<<31, min(t.Unix(), 1<<31-1)))
}

// dosTime is a time in the form of 1980, in UTC, for tools that know no other.
func dosTime(unix int32) (clock, date uint16) {
	t := time.Unix(int64(unix), 0).UTC()
	if t.Year() < 1980 {
		return 0, 1<<5 | 1
	}
	return uint16(t.Hour()<<11 | t.Minute()<<5 | t.Second()/2),
		uint16((t.Year()-1980)<<9 | int(t.Month())<<5 | t.Day())
}
