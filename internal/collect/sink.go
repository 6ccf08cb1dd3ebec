package collect

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"swab/internal/catalog"
	"swab/internal/evidence"
	"swab/internal/row"
)

// Bounds of one item.
const (
	MaxRows   = 2_000_000 // of all its tables
	MaxCopied = 256 << 20 // bytes of originals and recovered files
	reserve   = 1 << 20   // what is kept of the package's bound for its account

	// maxHeld is how much of rows all items together keep back until the stage's
	// volatile state is in memory: writing them out earlier would take the
	// processor from those who still read.
	maxHeld = 12 << 20
)

// errRights is what an item is denied with whose collector needs root.
var errRights = fmt.Errorf("it takes the rights of root, which the agent does not have: %w", fs.ErrPermission)

// sink is the Sink of one item, and writes its line.
type sink struct {
	r      *runner
	item   catalog.Item
	taken  *barrier
	start  time.Duration // since the package's start
	idle   time.Duration // of the gate, at the start
	arrive func()        // at the barrier, once

	mu      sync.Mutex
	ended   bool
	direct  bool // rows are written at once
	held    []heldRow
	heldLen int64
	tables  map[string]*evidence.Table
	streams map[*evidence.Stream]bool // not closed yet
	line    evidence.Line
	rows    int64
	copied  int64

	notesLeft int
	cut       string // why it is truncated; "" when it is not
	clean     int    // sources that were read and have nothing of note
	waited    time.Duration
	waiting   time.Time // at the barrier since; zero when not
}

var _ Sink = (*sink)(nil)

func newSink(r *runner, item catalog.Item, taken *barrier) *sink {
	s := &sink{
		r: r, item: item, taken: taken, start: r.elapsed(), idle: r.gate.idle(),
		arrive: sync.OnceFunc(taken.arrive),
		tables: map[string]*evidence.Table{}, streams: map[*evidence.Stream]bool{},
	}
	s.line = evidence.Line{
		Item: item.Name, Stage: int(item.Stage), StartMs: s.start.Milliseconds(),
		Source: []string{}, Entries: []string{}, Missing: []evidence.Miss{}, Notes: []string{},
	}
	if i := slices.IndexFunc(r.Collectors, func(c Collector) bool { return c.Spec().Item == item.Name }); i >= 0 {
		s.line.Source = append(s.line.Source, r.Collectors[i].Spec().Source...)
	}
	return s
}

// open begins the item's tables, so that each exists even without rows.
func (s *sink) open() {
	for _, name := range s.item.Tables {
		if sample, ok := row.Sample(s.item.Name, name); ok {
			s.tables[name] = s.r.w.Table(s.item.Name, s.item.Path(name), sample)
		}
	}
}

// worked is how long the collector has worked: neither the waiting for the
// upload nor that for the others of its stage counts.
func (s *sink) worked() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.r.elapsed() - s.start - (s.r.gate.idle() - s.idle) - s.waited
	if !s.waiting.IsZero() {
		w -= time.Since(s.waiting)
	}
	return w
}

// heldRow is a row that is kept back.
type heldRow struct {
	table *evidence.Table
	row   any
}

// Row adds a row. Until the stage is taken it is kept in memory, while there is room.
func (s *sink) Row(table string, r any) error {
	s.mu.Lock()
	t, err := s.admit(table)
	kept := err == nil && s.hold(t, r)
	s.mu.Unlock()
	if err != nil || kept {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	return t.Append(r)
}

// hold keeps a row back, if there is room. The caller holds the lock.
func (s *sink) hold(t *evidence.Table, r any) bool {
	if s.direct {
		return false
	}
	v := reflect.Indirect(reflect.ValueOf(r))
	size := sizeOf(v)
	if s.r.held.Add(size) > maxHeld {
		s.r.held.Add(-size)
		return false
	}
	s.heldLen += size
	if v.CanAddr() { // a pointer, and what it points to stays the caller's
		r = v.Interface()
	}
	s.held = append(s.held, heldRow{t, r})
	return true
}

// sizeOf is what a row takes of memory: itself, and the texts that it points to.
func sizeOf(v reflect.Value) int64 {
	size := int64(v.Type().Size())
	for i := range v.NumField() {
		switch f := v.Field(i); {
		case f.Kind() == reflect.String:
			size += int64(f.Len())
		case f.Kind() == reflect.Struct:
			size += sizeOf(f) - int64(f.Type().Size())
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.String:
			for j := range f.Len() {
				size += int64(f.Type().Elem().Size()) + int64(f.Index(j).Len())
			}
		}
	}
	return size
}

// flush writes out what is held, and from then on holds nothing.
func (s *sink) flush() error {
	s.mu.Lock()
	held := s.held
	s.held, s.direct = nil, true
	size := s.heldLen
	s.heldLen = 0
	s.mu.Unlock()
	defer s.r.held.Add(-size)
	for i, h := range held {
		if err := h.table.Append(h.row); err != nil {
			return err
		}
		held[i].row = nil
	}
	return nil
}

// admit counts a row, and gives its table. The caller holds the lock.
func (s *sink) admit(table string) (*evidence.Table, error) {
	if s.ended {
		return nil, errEnded
	}
	t, ok := s.tables[table]
	if !ok {
		return nil, fmt.Errorf("item %s has no table %q", s.item.Name, table)
	}
	if s.rows >= MaxRows {
		s.truncate(fmt.Sprintf("more than %d rows", int64(MaxRows)), 1, 0)
		return nil, ErrFull
	}
	if s.full() {
		s.truncate(fmt.Sprintf("the package's bound of %d bytes", s.r.Bounds.PackageBytes), 1, 0)
		return nil, ErrFull
	}
	s.rows++
	return t, nil
}

// full reports whether the package's bound takes no more.
func (s *sink) full() bool {
	bound := s.r.Bounds.PackageBytes
	return bound > 0 && s.r.w.Bytes() > bound-reserve
}

// maxWait is how long a collector waits for the others of its stage.
const maxWait = time.Second

// Taken says that the collector's volatile state is in memory, and waits for the
// others, but not for long.
func (s *sink) Taken(ctx context.Context) error {
	s.mu.Lock()
	s.line.TakenMs = s.r.elapsed().Milliseconds()
	s.waiting = time.Now()
	s.mu.Unlock()
	s.arrive()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.waited += time.Since(s.waiting)
		s.waiting = time.Time{}
	}()
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case <-s.taken.open:
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return s.flush()
}

// settle waits, after the collector's end, until the stage is taken.
func (s *sink) settle(ctx context.Context) {
	s.mu.Lock()
	if s.line.TakenMs == 0 {
		s.line.TakenMs = s.r.elapsed().Milliseconds()
	}
	s.line.DurationMs = (s.r.elapsed() - s.start).Milliseconds()
	s.mu.Unlock()
	s.arrive()
	select {
	case <-s.taken.open:
	case <-ctx.Done():
	}
}

// Missing records what could not be read. The same of several things is one line,
// and those past the bound on lines are counted together in the last.
func (s *sink) Missing(name string, err error) {
	outcome, code := outcomeOf(err)
	cause := text(err.Error())
	name = text(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	for i := range s.line.Missing {
		m := &s.line.Missing[i]
		if m.Name == name && m.Outcome == outcome && m.Code == code && (code != 0 || m.Cause == cause) {
			m.Times++
			return
		}
	}
	switch n := len(s.line.Missing); n {
	case evidence.MaxMissing:
		s.line.Missing[n-1].Times++
		return
	case evidence.MaxMissing - 1: // the last line stands for all that have none
		name, outcome, code = "and more", evidence.Skipped, 0
		cause = fmt.Sprintf("a ledger line names at most %d things that could not be read: this counts the others", n)
	}
	s.line.Missing = append(s.line.Missing, evidence.Miss{Name: name, Outcome: outcome, Cause: cause, Code: code, Times: 1})
}

// Clean counts a source that was read and has nothing of note.
func (s *sink) Clean() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clean++
}

// Truncated records what a bound left out.
func (s *sink) Truncated(cause string, rows, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.truncate(text(cause), rows, bytes)
	}
}

func (s *sink) truncate(cause string, rows, bytes int64) {
	if s.cut == "" {
		s.cut = cause
	}
	s.line.Left.Rows += rows
	s.line.Left.Bytes += bytes
}

// maxNotes bounds the notes of a line. The last counts those that have no room.
const maxNotes = 64

// Note adds a sentence to the item's line.
func (s *sink) Note(format string, args ...any) {
	note := text(fmt.Sprintf(format, args...))
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.note(note)
	}
}

// note adds a sentence, or counts it. The caller holds the lock.
func (s *sink) note(note string) {
	n := len(s.line.Notes)
	if n < maxNotes-1 {
		s.line.Notes = append(s.line.Notes, note)
		return
	}
	s.notesLeft++
	count := fmt.Sprintf("A ledger line has %d notes at most: %d more were left out.", maxNotes-1, s.notesLeft)
	s.line.Notes = append(s.line.Notes[:maxNotes-1], count)
}

// end closes what the item has open and completes its line. From here on a
// collector that was left behind can add nothing.
func (s *sink) end(err error) evidence.Line {
	if ferr := s.flush(); err == nil {
		err = ferr
	}
	s.mu.Lock()
	s.ended = true
	open := make([]*evidence.Stream, 0, len(s.streams))
	for stream := range s.streams {
		open = append(open, stream)
	}
	s.mu.Unlock()
	for _, stream := range open { // its reader hangs, and may hold the ZIP
		stream.SetOutcome(evidence.TimedOut)
		s.closed(stream, stream.Close())
	}
	for _, name := range s.item.Tables {
		if t, ok := s.tables[name]; ok {
			s.table(t.Close())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortStableFunc(s.line.Entries, compareEntries)
	s.judge(err)
	return s.line
}

// compareEntries keeps tables, in their order, before what was copied.
func compareEntries(a, b string) int {
	return btoi(!isTable(a)) - btoi(!isTable(b))
}

func isTable(entry string) bool {
	return !strings.HasPrefix(entry, "fs/") && (path.Ext(entry) == ".jsonl" || path.Ext(entry) == ".csv")
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *sink) table(t evidence.TableResult, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line.Rows += t.Rows
	s.line.Bytes += t.Bytes
	s.line.Entries = append(s.line.Entries, t.Entries...)
	if t.CSVLeft {
		s.note("The CSV of a table grew too large and was left out; its JSON Lines are whole.")
	}
}
