// Package xz unpacks .xz files of kernel modules (The .xz File Format, 1.2.0)
// within a bound on memory.
//
// The bound is why the container is read here, and only the LZMA2 data within by
// a library: each block names how large a dictionary it wants, up to 4 GiB, and
// that is memory before a byte is out. Of filters there is LZMA2 alone, which is
// what the kernel's build uses; the index at the end, which serves who wants to
// jump, and whatever follows it are not read. Each block's own check is.
package xz

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// The errors of a file that is not unpacked.
var (
	// ErrFormat says that the bytes are no .xz file, or a damaged one.
	ErrFormat = errors.New("not a whole .xz file")
	// ErrDictionary says that a block wants more memory than it may have.
	ErrDictionary = errors.New("its dictionary is larger than its bound")
	// ErrFilter says that a block is packed in a way that is not read here.
	ErrFilter = errors.New("packed with another filter or check than those that are read")
)

// Reader is the unpacked bytes of a file's first stream.
type Reader struct {
	in      counting
	maxDict int64
	newSum  func() hash.Hash // of the stream's check; nil where it has none

	block io.Reader // the one that is read; nil between blocks
	start int64     // of its data
	sum   hash.Hash
	err   error
}

// counting counts what is read of the packed bytes.
type counting struct {
	r *bufio.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// ReadByte spares the decoder, which asks for single bytes, a call for each.
func (c *counting) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

const headerSize = 12

var magic = []byte{0xfd, '7', 'z', 'X', 'Z', 0}

// NewReader reads the header of a file. Blocks may have dictionaries of at most
// maxDict bytes; it reads ahead of what it unpacks.
func NewReader(r io.Reader, maxDict int64) (*Reader, error) {
	x := &Reader{in: counting{r: bufio.NewReaderSize(r, 32<<10)}, maxDict: maxDict}
	var h [headerSize]byte
	if err := x.full(h[:]); err != nil {
		return nil, err
	}
	flags := h[6:8]
	if !bytes.Equal(h[:6], magic) || flags[0] != 0 || crc32.ChecksumIEEE(flags) != binary.LittleEndian.Uint32(h[8:]) {
		return nil, fmt.Errorf("header: %w", ErrFormat)
	}
	switch flags[1] {
	case 0:
	case 1:
		x.newSum = func() hash.Hash { return crc32.NewIEEE() }
	case 4:
		x.newSum = func() hash.Hash { return crc64.New(crc64.MakeTable(crc64.ECMA)) }
	case 10:
		x.newSum = sha256.New
	default:
		return nil, fmt.Errorf("check %d: %w", flags[1], ErrFilter)
	}
	return x, nil
}

// full reads all of p; a file that ends before is not whole.
func (x *Reader) full(p []byte) error {
	_, err := io.ReadFull(&x.in, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it ends early: %w", ErrFormat)
	}
	return err
}

// Read unpacks. Its error is io.EOF at the end of the last block.
func (x *Reader) Read(p []byte) (int, error) {
	for x.err == nil && len(p) > 0 {
		if x.block == nil {
			if x.err = x.next(); x.err != nil {
				break
			}
		}
		n, err := x.block.Read(p)
		if x.sum != nil {
			x.sum.Write(p[:n])
		}
		if errors.Is(err, io.EOF) {
			x.block, err = nil, x.endBlock()
		} else if err != nil {
			err = fmt.Errorf("%w: %w", ErrFormat, err)
		}
		x.err = err
		if n > 0 {
			return n, nil
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	return 0, x.err
}

// next begins the next block; io.EOF where the index stands in its place.
func (x *Reader) next() error {
	var size [1]byte
	if err := x.full(size[:]); err != nil {
		return err
	}
	if size[0] == 0 {
		return io.EOF
	}
	h := make([]byte, (int(size[0])+1)*4)
	h[0] = size[0]
	if err := x.full(h[1:]); err != nil {
		return err
	}
	body, sum := h[:len(h)-4], h[len(h)-4:]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(sum) {
		return fmt.Errorf("header of a block: %w", ErrFormat)
	}
	dict, err := dictionary(body)
	if err != nil {
		return err
	}
	if dict > x.maxDict {
		return fmt.Errorf("%d bytes, of at most %d: %w", dict, x.maxDict, ErrDictionary)
	}
	x.start, x.sum = x.in.n, nil
	if x.newSum != nil {
		x.sum = x.newSum()
	}
	x.block, err = lzma.Reader2Config{DictCap: int(max(dict, lzma.MinDictCap))}.NewReader2(&x.in)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return nil
}

// dictionary is how many bytes a block's header says that its dictionary has.
func dictionary(h []byte) (int64, error) {
	flags, rest := h[1], h[2:]
	if flags&0x3f != 0 { // more than one filter, or bits that no version knows
		return 0, fmt.Errorf("flags %#02x: %w", flags, ErrFilter)
	}
	var number uint64
	ok := true
	next := func() {
		n := 0
		if number, n = binary.Uvarint(rest); n <= 0 {
			ok = false
			return
		}
		rest = rest[n:]
	}
	for _, present := range []byte{0x40, 0x80} { // the sizes, packed and unpacked
		if flags&present != 0 && ok {
			next()
		}
	}
	if ok {
		next()
	}
	if ok && number != 0x21 {
		return 0, fmt.Errorf("filter %#x: %w", number, ErrFilter)
	}
	if !ok || len(rest) < 2 || rest[0] != 1 || rest[1] > 40 {
		return 0, fmt.Errorf("header of a block: %w", ErrFormat)
	}
	bits := rest[1]
	if bits == 40 {
		return 1<<32 - 1, nil
	}
	return int64(2|bits&1) << (bits/2 + 11), nil
}

// endBlock reads a block's padding and its check.
func (x *Reader) endBlock() error {
	var padding [3]byte
	pad := padding[:(4-(x.in.n-x.start)%4)%4]
	if err := x.full(pad); err != nil {
		return err
	}
	if padding != [3]byte{} {
		return fmt.Errorf("padding: %w", ErrFormat)
	}
	if x.sum == nil {
		return nil
	}
	want := make([]byte, x.sum.Size())
	if err := x.full(want); err != nil {
		return err
	}
	got := x.sum.Sum(nil)
	if x.sum.Size() <= 8 { // Go writes checks of these sizes in the other order
		for i, j := 0, len(got)-1; i < j; i, j = i+1, j-1 {
			got[i], got[j] = got[j], got[i]
		}
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("a block's check: %w", ErrFormat)
	}
	return nil
}
