package evidence

import (
	"fmt"
	"sync"
	"time"
)

const (
	// MaxRow bounds one row of a table, as JSON. Collectors cut what a device
	// may make longer.
	MaxRow = 4 << 20

	// maxTwin is how large a CSV twin may be, deflated; maxTwins bounds those
	// of all open tables together.
	maxTwin  = 2 << 20
	maxTwins = 3 << 20
)

// Table is rows of one type, written twice: as JSON Lines, which is the table,
// and as CSV, its twin for people and spreadsheets.
type Table struct {
	w    *Writer
	item string
	path string // without extension
	at   time.Time

	mu     sync.Mutex
	record *record
	part   *part // the one that takes rows; nil between parts
	parts  []*part
	twin   *part // nil once it is left out
	rows   int64
	closed bool
	result TableResult
}

// TableResult is what became of a table.
type TableResult struct {
	Rows    int64
	Bytes   int64    // uncompressed, of all its entries
	Entries []string // paths: the parts in order, then the CSV
	CSVLeft bool     // the CSV grew too large and was left out
}

// Table adds a table to item: path is its place without extension, sample a
// value of its row type, whose fields carry the tags that say how they are
// written:
//
//	json:"process.pid,omitzero"   the key in JSON Lines; without one a field's name
//	csv:"PID"                     the CSV's column; "-" for none
//
// A field is a string, bool, number, time.Time, netip.Addr, []string, or a
// named type of these, or a number that may not be known: it has the method
// Number() (n int64, known bool). An embedded struct's fields count as the row's own. Any
// other type is a mistake in the program, and panics. The entry's time is now:
// the moment the reading begins.
func (w *Writer) Table(item, path string, sample any) *Table {
	t := &Table{w: w, item: item, path: path, at: w.now(), record: newRecord(schemaOf(sample))}
	t.next()
	t.twin = w.newPart(Entry{Path: w.claim(path + ".csv"), Kind: KindTable, Item: item, Part: 1, Outcome: Collected}, t.at)
	t.twin.add(t.record.head, &w.packer)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open++
	return t
}

// next begins the table's first or next part.
func (t *Table) next() {
	n := len(t.parts) + 1
	name := t.path + ".jsonl"
	if n > 1 {
		name = fmt.Sprintf("%s.%d.jsonl", t.path, n)
	}
	t.part = t.w.newPart(Entry{Path: t.w.claim(name), Kind: KindTable, Item: t.item, Part: n, Outcome: Collected}, t.at)
	t.part.table = t
	t.parts = append(t.parts, t.part)
}

// cede ends the part that has the ZIP, because another entry needs it.
func (t *Table) cede(p *part) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.part == p && p.began {
		t.w.end(p)
		t.part = nil
	}
}

// Append adds a row of the sample's type, or a pointer to one. It keeps nothing
// of it. A row over MaxRow is an error, and not added; the table goes on.
func (t *Table) Append(row any) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return fmt.Errorf("append to table %q after its end", t.path)
	}
	if err := t.record.set(row); err != nil {
		return err
	}
	defer t.record.clear()
	if t.part == nil {
		t.next()
	}
	p, start := t.part, len(t.part.raw)
	if p.raw = t.record.appendJSON(p.raw); len(p.raw)-start > MaxRow {
		p.raw = p.raw[:start]
		return fmt.Errorf("row of table %q is longer than %d bytes", t.path, MaxRow)
	}
	p.entry.Rows++
	t.rows++
	if t.twin != nil {
		t.twin.raw = t.record.appendCSV(t.twin.raw)
		t.twin.entry.Rows++
		t.growTwin(false)
	}
	if len(p.raw) < chunk {
		return nil
	}
	before := len(p.packed)
	p.settle(&t.w.packer, false)
	if t.w.grown(p, before) {
		if p.size > smallEntry {
			t.w.spill(p)
		} else {
			t.w.end(p)
			t.part = nil
		}
	}
	return t.w.Err()
}

// growTwin compresses what the twin has gathered, and leaves the twin out where
// it has grown too large.
func (t *Table) growTwin(last bool) {
	if len(t.twin.raw) < chunk && !last {
		return
	}
	before := len(t.twin.packed)
	t.twin.settle(&t.w.packer, last)
	all := t.w.twins.Add(int64(len(t.twin.packed) - before))
	if len(t.twin.packed) > maxTwin || all > maxTwins {
		t.w.twins.Add(-int64(len(t.twin.packed)))
		t.twin, t.result.CSVLeft = nil, true
	}
}

// Close ends the table. A table without rows exists, with its CSV's header.
func (t *Table) Close() (TableResult, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return t.result, t.w.Err()
	}
	t.closed = true
	if t.part != nil {
		t.w.end(t.part)
		t.part = nil
	}
	for _, p := range t.parts {
		t.result.add(p)
	}
	if t.twin != nil {
		t.growTwin(true)
	}
	if t.twin != nil {
		held := int64(len(t.twin.packed))
		t.w.held.Add(held) // end takes it off again
		t.w.twins.Add(-held)
		t.w.end(t.twin)
		t.result.add(t.twin)
	}
	t.result.Rows = t.rows
	t.w.mu.Lock()
	t.w.open--
	t.w.mu.Unlock()
	return t.result, t.w.Err()
}

func (r *TableResult) add(p *part) {
	r.Bytes += p.size
	r.Entries = append(r.Entries, p.entry.Path)
}
