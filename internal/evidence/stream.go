package evidence

import (
	"fmt"
	"sync"
	"time"
)

// Stream is an entry that is written as bytes: an original, a text, a report.
// While a large one is being written nothing else is, so it is written without
// waiting for anything that itself writes to the package; and it is always closed.
type Stream struct {
	w      *Writer
	mu     sync.Mutex
	part   *part
	closed bool
}

// File adds an entry. Size, hash and number of part are filled in when it is
// closed, and a path that is taken or unsafe is altered; an original has the time
// of modification that its source names.
func (w *Writer) File(e Entry) *Stream {
	e.Path, e.Part = w.claim(e.Path), 1
	if e.Outcome == "" {
		e.Outcome = Collected
	}
	at := w.now()
	if t, ok := e.modified(); ok {
		at = t
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open++
	return &Stream{w: w, part: w.newPart(e, at)}
}

// modified is the time of modification of an original.
func (e *Entry) modified() (time.Time, bool) {
	if e.Kind != KindOriginal || e.Source == nil || e.Source.MTime == nil {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, *e.Source.MTime)
	return t, err == nil
}

// Write adds bytes to the entry.
func (s *Stream) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, fmt.Errorf("write to entry %q after its end", s.part.entry.Path)
	}
	s.w.fill(s.part, data)
	return len(data), s.w.Err()
}
