package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"swab/internal/canon"
)

// reader is a file as it is read, and file as it is changed.
type reader interface {
	io.ReaderAt
	Size() (int64, error)
}

type file interface {
	reader
	io.WriterAt
	Sync() error  // size and blocks too: when the file is made
	Flush() error // the bytes alone: when a slot is written
	Close() error
}

const (
	page          = 4 << 10
	identityBytes = 48 << 10
	magic         = "swab agent state 1\n"
	prefixBytes   = sha256.Size + 8 + 4
)

// pair is two slots of size bytes, the second after the first.
type pair struct {
	at   int64
	size int
}

var (
	identitySlots = pair{at: page, size: identityBytes}
	progressSlots = pair{at: page + 2*identityBytes, size: page}
)

// Size is the size of the file.
const Size = page + 2*identityBytes + 2*page

// turn says which slot of a pair is the newer one, and its sequence number, and
// how many bytes of each slot were ever written to.
type turn struct {
	slot int
	seq  uint64
	used [2]int
}

// ErrDamaged is returned for a file of which no whole slot is left.
var ErrDamaged = errors.New("the file is damaged; move it away and enrol this device anew")

// encode returns a slot that holds v, of the pair's size.
func (p pair) encode(seq uint64, v any) ([]byte, error) {
	payload, err := canon.Marshal(v)
	if err != nil {
		return nil, err
	}
	return p.seal(seq, payload)
}

func (p pair) seal(seq uint64, payload []byte) ([]byte, error) {
	if prefixBytes+len(payload) > p.size {
		return nil, fmt.Errorf("%d bytes do not fit a slot of %d", len(payload), p.size)
	}
	b := make([]byte, p.size)
	binary.BigEndian.PutUint64(b[sha256.Size:], seq)
	binary.BigEndian.PutUint32(b[sha256.Size+8:], uint32(len(payload)))
	copy(b[prefixBytes:], payload)
	sum := sha256.Sum256(b[sha256.Size : prefixBytes+len(payload)])
	copy(b, sum[:])
	return b, nil
}

// open returns a slot's sequence number and content, or false for one that is
// torn.
func (p pair) open(b []byte) (seq uint64, payload []byte, ok bool) {
	n := int64(binary.BigEndian.Uint32(b[sha256.Size+8:]))
	if n > int64(len(b)-prefixBytes) {
		return 0, nil, false
	}
	sum := sha256.Sum256(b[sha256.Size : prefixBytes+n])
	if !bytes.Equal(sum[:], b[:sha256.Size]) {
		return 0, nil, false
	}
	return binary.BigEndian.Uint64(b[sha256.Size:]), b[prefixBytes : prefixBytes+n], true
}

// read reads the newer whole slot into v.
func (p pair) read(f reader, v any) (turn, error) {
	var newest turn
	var content []byte
	var used [2]int
	for slot := range 2 {
		b := make([]byte, p.size)
		if _, err := f.ReadAt(b, p.at+int64(slot*p.size)); err != nil {
			return turn{}, err
		}
		used[slot] = written(b)
		if seq, payload, ok := p.open(b); ok && (content == nil || seq > newest.seq) {
			newest, content = turn{slot: slot, seq: seq}, payload
		}
	}
	newest.used = used
	if content == nil {
		return turn{}, ErrDamaged
	}
	if err := canon.Unmarshal(content, v); err != nil {
		return turn{}, err
	}
	return newest, nil
}

// written is how much of a slot is not zeros.
func written(slot []byte) int { return len(bytes.TrimRight(slot, "\x00")) }

// write overwrites the older slot with v and flushes it: the pages that v takes
// or that were in use, so that nothing of what stood there is left. Only then
// does the turn change: after an error the next write takes the same slot again.
func (p pair) write(f file, t *turn, v any) error {
	next := turn{slot: 1 - t.slot, seq: t.seq + 1, used: t.used}
	b, err := p.encode(next.seq, v)
	if err != nil {
		return err
	}
	size := written(b)
	pages := (max(size, t.used[next.slot]) + page - 1) / page * page
	t.used[next.slot], next.used[next.slot] = pages, size
	if _, err := f.WriteAt(b[:pages], p.at+int64(next.slot*p.size)); err != nil {
		return err
	}
	if err := f.Flush(); err != nil {
		return err
	}
	*t = next
	return nil
}

// format writes a new file. Its header comes last: without one, the file was
// never used, and may be made again.
func format(f file, i Identity, p Progress) error {
	b := make([]byte, Size)
	for _, content := range []struct {
		pair
		v any
	}{{identitySlots, i}, {progressSlots, p}} {
		slot, err := content.encode(1, content.v)
		if err != nil {
			return err
		}
		copy(b[content.at:], slot)
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte(magic), 0); err != nil {
		return err
	}
	return f.Sync()
}

// isMade says whether the file has been made whole. One whose making was cut off
// has no header: nobody has seen its key.
func isMade(f reader) (bool, error) {
	size, err := f.Size()
	if err != nil || size == 0 {
		return false, err
	}
	b := make([]byte, min(size, page))
	if _, err := f.ReadAt(b, 0); err != nil {
		return false, err
	}
	return len(bytes.Trim(b, "\x00")) > 0, nil
}

func checkHeader(f reader) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	b := make([]byte, page)
	if size != Size {
		return fmt.Errorf("it has %d bytes, want %d: %w", size, Size, ErrDamaged)
	}
	if _, err := f.ReadAt(b, 0); err != nil {
		return err
	}
	if !bytes.Equal(bytes.TrimRight(b, "\x00"), []byte(magic)) {
		return errors.New("it is not a state file that this agent reads; it may be of a newer release")
	}
	return nil
}
