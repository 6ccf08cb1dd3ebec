package evidence

import (
	"crypto/sha256"
	"hash"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/flate"
)

const (
	// chunk is how much of an entry is compressed at once: what one stored
	// block of Deflate can hold.
	chunk = 65535

	// level is Deflate's. Levels above 6 keep tables that are dear to reset
	// for each chunk.
	level = 5
)

// deflateEnd is an empty last block: what follows the chunks.
var deflateEnd = [2]byte{0x03, 0x00}

// packer is the one compressor of a writer, shared by all open entries. A
// compressor is more than a megabyte; thirty entries open at once can't have one
// each. So each chunk is compressed by itself and ends at a whole byte, and an
// entry is the sequence of its chunks: a valid Deflate stream, at the price of
// not looking back over a chunk's start.
type packer struct {
	mu  sync.Mutex
	fw  *flate.Writer
	out appender
}

type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

// pack appends raw, at most a chunk, to dst as Deflate blocks of which none is
// the last. Where that would not shrink it, it is one stored block, and shrunk
// is false.
func (p *packer) pack(dst, raw []byte) (_ []byte, shrunk bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := len(dst)
	p.out.b = dst
	if p.fw == nil {
		p.fw, _ = flate.NewWriter(&p.out, level) // the level is a good one
	} else {
		p.fw.Reset(&p.out)
	}
	_, _ = p.fw.Write(raw) // an appender takes everything
	p.fw.Flush()
	dst, p.out.b = p.out.b, nil
	if len(dst)-before+len(deflateEnd) < len(raw) {
		return dst, true
	}
	n := uint16(len(raw))
	dst = append(dst[:before], 0, byte(n), byte(n>>8), byte(^n), byte(^n>>8))
	return append(dst, raw...), false
}

// body is the data of an open entry: what is not compressed yet, what is
// compressed and not written yet, and the sums over all of it.
type body struct {
	raw    []byte // less than a chunk between calls
	packed []byte
	size   int64 // of what was packed, uncompressed
	crc    uint32
	sum    hash.Hash
	shrunk bool // some chunk is smaller compressed
}

func newBody() body { return body{sum: sha256.New()} }

// add takes more data and packs the chunks that are full.
func (b *body) add(data []byte, p *packer) {
	for len(data) > 0 {
		n := min(chunk-len(b.raw), len(data))
		b.raw = append(b.raw, data[:n]...)
		data = data[n:]
		b.settle(p, false)
	}
}

// settle packs the full chunks of raw; all of it, if the entry ends.
func (b *body) settle(p *packer, last bool) {
	rest := b.raw
	for len(rest) >= chunk || last && len(rest) > 0 {
		part := rest[:min(chunk, len(rest))]
		rest = rest[len(part):]
		b.size += int64(len(part))
		b.crc = crc32.Update(b.crc, crc32.IEEETable, part)
		b.sum.Write(part)
		var shrunk bool
		b.packed, shrunk = p.pack(b.packed, part)
		b.shrunk = b.shrunk || shrunk
	}
	switch {
	case len(rest) == len(b.raw):
	case cap(b.raw) > 2*chunk: // a row of megabytes went by
		b.raw = append([]byte(nil), rest...)
	default:
		b.raw = b.raw[:copy(b.raw, rest)]
	}
}

// plain appends the data of a body in which no chunk shrank: the contents of
// its stored blocks.
func (b *body) plain(dst []byte) []byte {
	for rest := b.packed; len(rest) > 0; {
		n := int(rest[1]) | int(rest[2])<<8
		dst = append(dst, rest[5:5+n]...)
		rest = rest[5+n:]
	}
	return dst
}
