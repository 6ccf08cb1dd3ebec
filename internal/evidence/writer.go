package evidence

import (
	"encoding/hex"
	"fmt"
	"io"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxHeld is how much compressed data an open entry keeps in memory; with
	// more, it takes the ZIP for itself.
	maxHeld = 1 << 20

	// maxHeldAll bounds what all open entries keep together: beyond, whoever
	// adds more writes its own out.
	maxHeldAll = 3 << 20

	// MaxEntries is the most entries that a package has.
	MaxEntries = 200_000
)

// Writer writes a package, forwards, into a stream that need not seek. Its
// methods, and those of the tables and streams it gives out, may be called from
// several goroutines at once. An error of the stream is remembered, and returned
// from then on by every call.
type Writer struct {
	now    func() time.Time
	packer packer
	held   atomic.Int64 // compressed bytes in memory, of all open entries
	twins  atomic.Int64 // of those, what CSV twins keep
	off    atomic.Int64 // bytes written

	mu      sync.Mutex // guards what follows
	free    *sync.Cond // owner became nil
	owner   *part      // the entry in the middle of which the ZIP stands
	open    int        // tables and streams not closed yet
	names   *names
	dir     []header
	entries []Entry // of the manifest
	list    *part   // entries.jsonl, once there are too many for the manifest
	err     error

	out io.Writer // the owner's alone
	buf []byte    // for headers, likewise
}

// NewWriter returns a writer of one package. Nothing is written before the first
// entry; now gives the times of the entries that have no time of their own.
func NewWriter(w io.Writer, now func() time.Time) *Writer {
	z := &Writer{now: now, names: newNames(), out: w}
	z.free = sync.NewCond(&z.mu)
	for _, name := range reservedPaths {
		z.names.claim(name)
	}
	return z
}

// Names of the entries that the writer makes itself.
const (
	readmePath   = "README.txt"
	planPath     = "plan.json"
	summaryPath  = "Forensics Collection Summary.csv"
	xlsPath      = "CollectionSummaryReport.xls"
	manifestPath = "manifest.json"
	listPath     = "entries.jsonl"
	envelopePath = "manifest.dsse"
)

var reservedPaths = []string{readmePath, planPath, summaryPath, xlsPath, listPath, manifestPath, envelopePath}

// Bytes is how much of the package is written so far.
func (w *Writer) Bytes() int64 { return w.off.Load() }

// Err is the error that ended the writing, or nil.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *Writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = fmt.Errorf("write package at byte %d: %w", w.off.Load(), err)
		w.free.Broadcast()
	}
}

// claim reserves a name for an entry, altered where it is taken or unsafe.
func (w *Writer) claim(path string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.names.unique(safePath(path))
}

// part is an entry on its way into the ZIP.
type part struct {
	body
	entry  Entry
	header header
	began  bool   // its local header is out, and the ZIP is its own
	table  *Table // whose part it is; nil for what can't be cut
}

// take makes the ZIP p's own. A table that has it cedes it, at a row's end: its
// entry ends there, and it goes on in another part. Anything else is waited for.
// It returns false, and p owns nothing, once an error has ended the writing.
//
// The caller may hold its own table's lock while it waits for that of the owner.
// No circle can come of it: whoever waits here is not the owner, and saw the one
// it waits for as the owner after that one's own last wait had ended.
func (w *Writer) take(p *part) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.owner != nil && w.err == nil {
		o := w.owner
		if o.table == nil {
			w.free.Wait()
			continue
		}
		w.mu.Unlock()
		o.table.cede(o)
		w.mu.Lock()
	}
	if w.err != nil {
		return false
	}
	w.owner = p
	return true
}

func (w *Writer) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.owner = nil
	w.free.Broadcast()
}

// begin takes the ZIP for p and writes its local header. The first entry of all
// is the README, whoever comes first.
func (w *Writer) begin(p *part) bool {
	if !w.take(p) {
		return false
	}
	if w.off.Load() == 0 {
		readme := w.newPart(Entry{Path: readmePath, Kind: KindText, Part: 1, Outcome: Collected}, w.now())
		readme.add([]byte(readmeText), &w.packer)
		readme.settle(&w.packer, true)
		w.head(readme)
		w.tail(readme)
	}
	w.head(p)
	return true
}

// head writes the local header, which the owner alone may do.
func (w *Writer) head(p *part) {
	h := &p.header
	h.name, h.offset = p.entry.Path, w.off.Load()
	h.stream = p.size > smallEntry
	if h.stream {
		h.method = methodDeflate
	} else {
		if p.shrunk {
			h.method = methodDeflate
			p.packed = append(p.packed, deflateEnd[:]...)
		} else {
			h.method = methodStore
			p.packed = p.plain(nil)
		}
		h.crc, h.size, h.packed = p.crc, p.size, int64(len(p.packed))
	}
	p.began = true
	w.buf = h.appendLocal(w.buf[:0])
	w.emit(w.buf)
}

// drain writes what p has compressed and keeps none of it.
func (w *Writer) drain(p *part) {
	if p.header.stream {
		p.header.packed += int64(len(p.packed))
	}
	w.emit(p.packed)
	p.packed = p.packed[:0]
}

// tail ends p, whose data is all compressed, and puts it on the record.
func (w *Writer) tail(p *part) {
	h := &p.header
	if h.stream {
		p.packed = append(p.packed, deflateEnd[:]...)
		w.drain(p)
		h.crc, h.size = p.crc, p.size
		w.buf = h.appendDescriptor(w.buf[:0])
		w.emit(w.buf)
	} else {
		w.drain(p)
	}
	p.entry.Size, p.entry.SHA256 = p.size, hex.EncodeToString(p.sum.Sum(nil))
	complete(reflect.ValueOf(&p.entry).Elem())
	w.record(p)
}

// emit writes bytes of the ZIP, unless an error ended it.
func (w *Writer) emit(b []byte) {
	if len(b) == 0 || w.Err() != nil {
		return
	}
	n, err := w.out.Write(b)
	w.off.Add(int64(n))
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.fail(err)
	}
}

func (w *Writer) newPart(e Entry, at time.Time) *part {
	return &part{body: newBody(), entry: e, header: header{time: clampTime(at)}}
}

// grown settles p after data was added to it, keeps account of what it holds,
// and says whether that is now too much. p's owner holds p's lock.
func (w *Writer) grown(p *part, before int) bool {
	w.held.Add(int64(len(p.packed) - before))
	return p.began || len(p.packed) > maxHeld || w.held.Load() > maxHeldAll
}

// spill writes out what p holds: takes the ZIP for it, if p is too large to be
// an entry with its sizes in front.
func (w *Writer) spill(p *part) {
	held := int64(len(p.packed))
	if p.began || w.begin(p) {
		w.drain(p)
	}
	p.packed = p.packed[:0]
	w.held.Add(-held)
}

// end ends p's entry: writes what it holds and gives the ZIP back.
func (w *Writer) end(p *part) {
	before := len(p.packed)
	p.settle(&w.packer, true)
	w.held.Add(int64(len(p.packed) - before))
	held := int64(len(p.packed))
	if p.began || w.begin(p) {
		w.tail(p)
		w.release()
	}
	p.packed, p.raw = nil, nil
	w.held.Add(-held)
}

// fill adds data to p, in bites, so that no one call makes it hold more than its
// bound. An entry of up to 1 MiB is kept whole, for its sizes stand in front.
func (w *Writer) fill(p *part, data []byte) {
	for len(data) > 0 {
		n := min(len(data), chunk)
		before := len(p.packed)
		p.add(data[:n], &w.packer)
		data = data[n:]
		if w.grown(p, before) && p.size > smallEntry {
			w.spill(p)
		}
	}
}

// SetOutcome says what came of the entry, before it is closed.
func (s *Stream) SetOutcome(o Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.part.entry.Outcome = o
}

// Update lets change adjust the entry's account before it is closed: what was
// learnt while it was read. Path, size and hash stay the writer's.
func (s *Stream) Update(change func(*Entry)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := s.part.entry.Path
	change(&s.part.entry)
	s.part.entry.Path = path
}

// Close ends the entry. Closing again does nothing.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.w.Err()
	}
	s.closed = true
	s.w.end(s.part)
	s.w.mu.Lock()
	s.w.open--
	s.w.mu.Unlock()
	return s.w.Err()
}

// Entry is the entry as the manifest has it, once it is closed.
func (s *Stream) Entry() Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.part.entry
}
