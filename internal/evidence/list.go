package evidence

import (
	"bytes"
	"fmt"
	"strings"

	"swab/internal/canon"
)

const (
	// maxListed is how many entries the manifest lists itself. Of a package
	// with more, entries.jsonl lists them: a line each, in the form and order
	// that the manifest would have, of every entry before itself. The manifest
	// then lists entries.jsonl and what comes after it, and so holds its hash.
	maxListed = 5000

	// maxListLine bounds one line: a path of 4 KiB, escaped twice over.
	maxListLine = 64 << 10
)

// record puts an ended entry on the record: in the directory, and on the
// manifest's account of everything but the manifest and its signature. The
// account is kept as it will be written, compressed, once it grows long.
func (w *Writer) record(p *part) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dir = append(w.dir, p.header)
	if len(w.dir) > MaxEntries && w.err == nil {
		w.err = fmt.Errorf("package would have over %d entries", MaxEntries)
	}
	if p.entry.Path == manifestPath || p.entry.Path == envelopePath {
		return
	}
	w.entries = append(w.entries, p.entry)
	if w.list == nil && len(w.entries) <= maxListed {
		return
	}
	if w.list == nil {
		w.list = w.newPart(Entry{Path: listPath, Kind: KindList, Part: 1, Outcome: Collected}, w.now())
	}
	for i := range w.entries {
		line, err := canon.Marshal(&w.entries[i])
		if err != nil {
			panic("evidence: an entry of plain data can't be encoded: " + err.Error())
		}
		w.list.add(append(line, '\n'), &w.packer)
		w.list.entry.Rows++
	}
	clear(w.entries)
	w.entries = w.entries[:0]
}

// endList writes entries.jsonl, if there is to be one.
func (w *Writer) endList() {
	w.mu.Lock()
	list := w.list
	w.list = nil
	w.mu.Unlock()
	if list != nil {
		w.held.Add(int64(len(list.packed))) // end takes it off again
		w.end(list)
	}
}

// lister reads entries.jsonl as it comes, and holds each line against the entry
// that it is about: the first against the first, and so on.
type lister struct {
	scan *scan
	line []byte
	n    int
}

// Write takes the next bytes of the list.
func (l *lister) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte{'\n'})
		if l.line = append(l.line, line...); len(l.line) > maxListLine {
			return 0, Flaw{CodeBound, listPath, fmt.Sprintf("line %d has over %d bytes", l.n+1, maxListLine)}
		}
		if rest = after; whole {
			if err := l.entry(); err != nil {
				return 0, err
			}
			l.line = l.line[:0]
		}
	}
	return len(p), nil
}

func (l *lister) entry() error {
	var e Entry
	if err := canon.Unmarshal(l.line, &e); err != nil {
		return Flaw{CodeManifest, listPath, fmt.Sprintf("line %d can't be read: %s", l.n+1, clean(err))}
	}
	if l.n >= len(l.scan.found) {
		return Flaw{CodeMissing, e.Path, "entries.jsonl lists it, and the package does not have it before that list"}
	}
	l.scan.compare(&e, l.scan.found[l.n])
	l.n++
	return nil
}

// end says whether every entry before the list was on it.
func (l *lister) end() {
	if len(l.line) > 0 {
		l.scan.add(Flaw{CodeManifest, listPath, "its last line does not end"})
	}
	if l.n < len(l.scan.found) {
		l.scan.add(Flaw{CodeExtra, l.scan.found[l.n].Path, "entries.jsonl does not list it"})
	}
}

// compare holds an entry of the account against one of the ZIP, which should be
// the same.
func (s *scan) compare(e *Entry, f Found) {
	s.count(e)
	at, dated := e.modified()
	switch {
	case e.Path != f.Path:
		s.add(Flaw{CodeStructure, f.Path, "in its place the account has " + quote(e.Path)})
	case e.Size != f.Size || e.SHA256 != f.SHA256:
		s.add(Flaw{CodeHash, f.Path, "its SHA-256 or size is not the one in the manifest"})
	case dated && f.time != clampTime(at):
		s.add(Flaw{CodeHeader, f.Path, "its time is not the one in the manifest"})
	}
}

// sum is what an item's entries have together.
type sum struct {
	entries     int
	rows, bytes int64
}

// Bounds of what is summed up: no plan has so many items, or such names.
const (
	maxSums     = 1000
	maxItemName = 200
)

// count adds an entry to its item's.
func (s *scan) count(e *Entry) {
	t, ok := s.sums[e.Item]
	if e.Item == "" || !ok && (len(s.sums) == maxSums || len(e.Item) > maxItemName) {
		return
	}
	t.entries++
	t.bytes += e.Size
	if e.Kind == KindTable && strings.HasSuffix(e.Path, ".jsonl") { // the CSV has the same rows
		t.rows += e.Rows
	}
	s.sums[e.Item] = t
}
