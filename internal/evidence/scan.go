package evidence

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
)

// Limits bound what a reader takes on, whatever a package claims.
type Limits struct {
	Entries    int   // entries of one package
	EntryBytes int64 // uncompressed, of one entry
	TotalBytes int64 // uncompressed, of all entries
	Ratio      int64 // uncompressed to read, judged from RatioFrom on: Deflate itself reaches 1,032
	RatioFrom  int64
	NameBytes  int64 // of all names
	Manifest   int64 // bytes of manifest.json, likewise of entries.jsonl's longest line
	Plan       int64 // bytes of plan.json
}

// DefaultLimits are those of the server and of swab verify.
func DefaultLimits() Limits {
	return Limits{
		Entries: MaxEntries, EntryBytes: 64 << 30, TotalBytes: 128 << 30, Ratio: 200, RatioFrom: 256 << 20,
		NameBytes: 32 << 20, Manifest: 32 << 20, Plan: 1 << 20,
	}
}

// source counts what was read, so that a place in the package is known whatever
// is buffered.
type source struct {
	r io.Reader
	n int64
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += int64(n)
	return n, err
}

// scanner reads a package forwards, entry by entry. It reads more than our
// writer writes, so that what is wrong with a package can be said; that it is
// wrong at all, it says through flaw.
type scanner struct {
	limits Limits
	src    *source
	br     *bufio.Reader
	fr     io.ReadCloser // an inflater, used again and again
	total  int64         // uncompressed so far
	names  int64
	flaw   func(Flaw)
	raw    []byte // of the header being read
	want   []byte // what it would be, had our writer written it
	copied []byte // buffer of copies
}

func newScanner(r io.Reader, l Limits, flaw func(Flaw)) *scanner {
	src := &source{r: r}
	return &scanner{limits: l, src: src, br: bufio.NewReaderSize(src, 64<<10), flaw: flaw, copied: make([]byte, 64<<10)}
}

func (s *scanner) pos() int64 { return s.src.n - int64(s.br.Buffered()) }

// cut is the flaw of a package that ends too early.
func (s *scanner) cut(where string) error {
	return Flaw{CodeCut, "", fmt.Sprintf("the package ends at byte %d, in the middle of %s", s.pos(), where)}
}

// read fills p, or says that the package was cut off.
func (s *scanner) read(p []byte, where string) error {
	_, err := io.ReadFull(s.br, p)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return s.cut(where)
	}
	return err
}

// next reads the next local header. It returns io.EOF where the entries end and
// the central directory begins.
func (s *scanner) next() (*header, error) {
	h := &header{offset: s.pos()}
	sig, err := s.br.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case len(sig) < 4 && h.offset == 0:
		return nil, Flaw{CodeForm, "", "this is no package: it has less than four bytes"}
	case len(sig) < 4:
		return nil, s.cut("the list of entries")
	case binary.LittleEndian.Uint32(sig) == sigLocal:
	case h.offset == 0:
		return nil, Flaw{CodeForm, "", "this is no package: it does not begin as a ZIP does"}
	case binary.LittleEndian.Uint32(sig) == sigCentral, binary.LittleEndian.Uint32(sig) == sigEnd:
		return nil, io.EOF
	default:
		return nil, Flaw{CodeStructure, "", fmt.Sprintf("neither an entry nor the directory begins at byte %d", h.offset)}
	}
	s.raw = append(s.raw[:0], make([]byte, localSize)...)
	if err := s.read(s.raw, "an entry's header"); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	names, extras := int(le.Uint16(s.raw[26:])), int(le.Uint16(s.raw[28:]))
	s.raw = append(s.raw, make([]byte, names+extras)...)
	if err := s.read(s.raw[localSize:], "an entry's header"); err != nil {
		return nil, err
	}
	flags := le.Uint16(s.raw[6:])
	h.name = string(s.raw[localSize : localSize+names])
	h.method = le.Uint16(s.raw[8:])
	h.stream = flags&flagDescriptor != 0
	if !h.stream {
		h.crc, h.packed, h.size = le.Uint32(s.raw[14:]), int64(le.Uint32(s.raw[18:])), int64(le.Uint32(s.raw[22:]))
	}
	if err := s.extra(h, s.raw[localSize+names:]); err != nil {
		return nil, err
	}
	return h, s.judge(h, flags)
}

// extra reads the extra fields that we know.
func (s *scanner) extra(h *header, b []byte) error {
	le := binary.LittleEndian
	for len(b) >= 4 {
		id, n := le.Uint16(b), int(le.Uint16(b[2:]))
		if b = b[4:]; n > len(b) {
			break
		}
		switch {
		case id == extraTime && n >= 5 && b[0]&timeHasM != 0:
			h.time = int32(le.Uint32(b[1:]))
		case id == extraZip64 && n >= 16 && !h.stream:
			h.size, h.packed = int64(le.Uint64(b)), int64(le.Uint64(b[8:]))
		}
		b = b[n:]
	}
	if h.size < 0 || h.packed < 0 {
		return Flaw{CodeStructure, h.name, "its header gives a size below zero"}
	}
	return nil
}

// judge says what of a header our writer would not have written, and returns an
// error for an entry that can't be read at all.
func (s *scanner) judge(h *header, flags uint16) error {
	s.names += int64(len(h.name))
	switch {
	case s.names > s.limits.NameBytes:
		return Flaw{CodeBound, h.name, fmt.Sprintf("the names of the entries have over %d bytes", s.limits.NameBytes)}
	case flags&1 != 0:
		return Flaw{CodeStructure, h.name, "it is encrypted, as no entry of a package is"}
	case h.method != methodStore && h.method != methodDeflate:
		return Flaw{CodeStructure, h.name, fmt.Sprintf("it is compressed by method %d; a package uses Store and Deflate", h.method)}
	case h.stream && h.method == methodStore:
		return Flaw{CodeStructure, h.name, "it is stored, and its header does not say how long it is"}
	}
	s.want = h.appendLocal(s.want[:0])
	switch {
	case !bytes.Equal(s.want, s.raw):
		s.flaw(Flaw{CodeHeader, h.name, "its header is not as the writer of packages makes it"})
	case !h.stream && h.size > smallEntry:
		s.flaw(Flaw{CodeHeader, h.name, fmt.Sprintf("its %d bytes should be followed by a descriptor", h.size)})
	}
	return nil
}

// data reads the entry's data into w, completes h by what follows it, and checks
// the sizes and the CRC. Errors end the reading; lesser flaws are told.
func (s *scanner) data(h *header, w io.Writer) error {
	start := s.pos()
	sum := crc32.NewIEEE()
	var size int64
	var err error
	switch {
	case h.method == methodStore:
		size, err = s.copy(h, io.MultiWriter(sum, w), io.LimitReader(s.br, h.packed))
	case h.stream:
		if size, err = s.copy(h, io.MultiWriter(sum, w), s.inflate(s.br)); err == nil {
			err = s.descriptor(h, s.pos()-start, size, sum.Sum32())
		}
		return err
	default:
		size, err = s.packed(h, io.MultiWriter(sum, w))
	}
	if err != nil {
		return err
	}
	if got := s.pos() - start; got < h.packed {
		return s.cut("entry " + quote(h.name))
	}
	if size != h.size || sum.Sum32() != h.crc {
		s.flaw(Flaw{CodeChecksum, h.name, "its data are not those its header gives the CRC and size of"})
	}
	return nil
}

// packed reads a Deflate entry whose length is known, and always all of it.
func (s *scanner) packed(h *header, w io.Writer) (int64, error) {
	in := io.LimitedReader{R: s.br, N: h.packed}
	var r flate.Reader = bufio.NewReader(&in)
	if h.packed <= smallEntry+smallEntry/8 {
		b := make([]byte, h.packed)
		if err := s.read(b, "entry "+quote(h.name)); err != nil {
			return 0, err
		}
		in.N, r = 0, bytes.NewReader(b)
	}
	size, err := s.copy(h, w, s.inflate(r))
	if flaw, ok := errors.AsType[Flaw](err); ok && flaw.Code == CodeStructure && in.N == 0 {
		s.flaw(flaw) // the next entry is found all the same
		return size, nil
	}
	if err != nil {
		return size, err
	}
	if _, err := r.ReadByte(); err == nil {
		s.flaw(Flaw{CodeStructure, h.name, "something lies between the end of its data and the next entry"})
		if _, err := io.Copy(io.Discard, r); err != nil {
			return size, err
		}
	}
	return size, nil
}

func (s *scanner) inflate(r io.Reader) io.Reader {
	if s.fr == nil {
		s.fr = flate.NewReader(r)
	} else if err := s.fr.(flate.Resetter).Reset(r, nil); err != nil {
		panic("evidence: an inflater without dictionary can't be reset: " + err.Error())
	}
	return s.fr
}

// copy copies an entry's data under the limits.
func (s *scanner) copy(h *header, w io.Writer, r io.Reader) (size int64, err error) {
	for {
		n, err := r.Read(s.copied)
		size, s.total = size+int64(n), s.total+int64(n)
		switch {
		case size > s.limits.EntryBytes:
			return size, Flaw{CodeBound, h.name, fmt.Sprintf("it inflates to over %d bytes", s.limits.EntryBytes)}
		case s.total > s.limits.TotalBytes:
			return size, Flaw{CodeBound, h.name, fmt.Sprintf("the package inflates to over %d bytes", s.limits.TotalBytes)}
		case s.total > s.limits.RatioFrom && s.total > s.limits.Ratio*s.pos():
			return size, Flaw{CodeBound, h.name, fmt.Sprintf("the package inflates to over %d times its size", s.limits.Ratio)}
		}
		if _, err := w.Write(s.copied[:n]); err != nil {
			return size, err
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return size, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			if h.stream {
				return size, s.cut("entry " + quote(h.name))
			}
			return size, Flaw{CodeStructure, h.name, "its compressed data end too early"}
		default:
			if corrupt := flate.CorruptInputError(0); errors.As(err, &corrupt) {
				return size, Flaw{CodeStructure, h.name, "its compressed data are damaged"}
			}
			return size, err
		}
	}
}

// descriptor reads what follows a streamed entry, and takes sizes and CRC from
// what was read, not from what it says.
func (s *scanner) descriptor(h *header, packed, size int64, crc uint32) error {
	h.packed, h.size, h.crc = packed, size, crc
	s.want = h.appendDescriptor(s.want[:0])
	got := make([]byte, 16, descriptorSize)
	if err := s.read(got, "what follows entry "+quote(h.name)); err != nil {
		return err
	}
	le := binary.LittleEndian
	if le.Uint32(got) == sigDescriptor && le.Uint32(got[8:]) == uint32(packed) && le.Uint32(got[12:]) == uint32(size) && packed < max32 && size > 0 {
		// The old form, with sizes of 32 bits.
		s.flaw(Flaw{CodeHeader, h.name, "its descriptor is not as the writer of packages makes it"})
		return nil
	}
	got = got[:descriptorSize]
	if err := s.read(got[16:], "what follows entry "+quote(h.name)); err != nil {
		return err
	}
	if !bytes.Equal(got, s.want) {
		return Flaw{CodeChecksum, h.name, "its descriptor does not fit its data"}
	}
	if size <= smallEntry {
		s.flaw(Flaw{CodeHeader, h.name, fmt.Sprintf("its %d bytes should stand in its header", size)})
	}
	return nil
}

// directory reads the central directory and the end, which must list exactly
// what was read forwards, and after which nothing may come.
func (s *scanner) directory(entries []header) error {
	offset := s.pos()
	expect := func(want []byte, what string) error {
		got := make([]byte, len(want))
		n, err := io.ReadFull(s.br, got)
		if !bytes.Equal(got[:n], want[:n]) {
			return Flaw{CodeDirectory, "", "the central directory is not that of the entries: it differs at " + what}
		}
		if err != nil {
			return s.cut("the central directory")
		}
		return nil
	}
	for i := range entries {
		s.want = entries[i].appendCentral(s.want[:0])
		if err := expect(s.want, "entry "+quote(entries[i].name)); err != nil {
			return err
		}
	}
	if err := expect(appendEnd(nil, len(entries), s.pos()-offset, offset), "its end"); err != nil {
		return err
	}
	switch _, err := s.br.ReadByte(); {
	case err == nil:
		return Flaw{CodeStructure, "", "something follows the end of the package"}
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}
