package collect

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"swab/internal/collect/host"
	"swab/internal/evidence"
)

// Original copies a file into the tree of originals.
func (s *sink) Original(f *host.File, max int64) error {
	e := evidence.Entry{
		Path: evidence.OriginalPath(s.r.Plan.System, f.Path()),
		Kind: evidence.KindOriginal, Item: s.item.Name, Method: "open", Source: sourceOf(f),
	}
	return s.copyFile(f, e, max)
}

// Recovered copies a file that no path leads to into the item's folder.
func (s *sink) Recovered(f *host.File, name, method string, max int64) error {
	e := evidence.Entry{
		Path: s.item.Folder + "/" + evidence.EntryName([]byte(name)),
		Kind: evidence.KindOriginal, Item: s.item.Name, Method: method, Source: sourceOf(f),
	}
	return s.copyFile(f, e, max)
}

// sourceOf is what stat said of a file before it was read.
func sourceOf(f *host.File) *evidence.Source {
	st := f.Stat()
	src := &evidence.Source{
		Path: f.Path(), Device: st.Dev.String(), Inode: st.Inode, Mode: fmt.Sprintf("%07o", st.Mode), UID: st.UID, GID: st.GID,
		Links: st.Links, Size: st.Size, MTime: stamp(st.MTime), ATime: stamp(st.ATime), CTime: stamp(st.CTime), BTime: stamp(st.BTime),
	}
	if !utf8.ValidString(src.Path) {
		src.Raw, src.Path = []byte(src.Path), escaped(src.Path)
	}
	return src
}

// stamp is a time as the manifest has it; nil where the file system keeps none.
func stamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format(time.RFC3339Nano)
	return &s
}

// escaped is s with each byte that is no UTF-8 as \xNN.
func escaped(s string) string {
	var b []byte
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			b = append(b, '\\', 'x')
			b = append(b, strconv.FormatUint(uint64(s[0])|0x100, 16)[1:]...)
		} else {
			b = append(b, s[:n]...)
		}
		s = s[n:]
	}
	return string(b)
}

// copyFile copies up to limit bytes of f into an entry, with its stat before and
// after. Reading may block: nothing is locked meanwhile, and end closes the entry.
func (s *sink) copyFile(f *host.File, e evidence.Entry, limit int64) error {
	if limit <= 0 || limit > MaxCopied {
		limit = MaxCopied
	}
	stream, limit, err := s.begin(e, limit)
	if err != nil {
		return err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{stream}, io.NewSectionReader(f, 0, limit), make([]byte, 64<<10))
	outcome, cut := evidence.Collected, int64(0)
	after, statErr := f.Restat()
	switch {
	case errors.Is(err, errEnded):
		return errEnded
	case err != nil:
		outcome, _ = outcomeOf(err)
	case statErr == nil && !after.Same(f.Stat()) || n < f.Stat().Size && n < limit:
		outcome, err = evidence.Changed, fmt.Errorf("%s: %w", e.Source.Path, ErrChanged)
	case n < f.Stat().Size:
		outcome, cut = evidence.Truncated, f.Stat().Size-n
	}
	stream.Update(func(e *evidence.Entry) {
		e.Outcome = outcome
		if n < e.Source.Size {
			e.Ranges = [][2]int64{{0, n}}
		}
	})
	s.closed(stream, stream.Close())
	if f.ATimeTouched() {
		s.Note("Reading %s may have set its time of access: the system let it be read in no other way.", e.Source.Path)
	}
	if cut > 0 {
		s.Truncated(fmt.Sprintf("a copy of at most %d bytes a file", limit), 0, cut)
	}
	return err
}

// begin opens an entry of at most so many bytes, within the bounds that are left.
func (s *sink) begin(e evidence.Entry, limit int64) (*evidence.Stream, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit = min(limit, MaxCopied-s.copied)
	if bound := s.r.Bounds.PackageBytes; bound > 0 {
		limit = min(limit, bound-reserve-s.r.w.Bytes())
	}
	switch {
	case s.ended:
		return nil, 0, errEnded
	case limit <= 0:
		s.truncate("the bound on copied bytes", 0, e.Source.Size)
		return nil, 0, ErrFull
	}
	s.copied += min(limit, e.Source.Size)
	stream := s.r.w.File(e)
	s.streams[stream] = true
	return stream, limit, nil
}

// closed puts an entry on the line.
func (s *sink) closed(stream *evidence.Stream, _ error) {
	e := stream.Entry()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.streams[stream] {
		return
	}
	delete(s.streams, stream)
	s.line.Bytes += e.Size
	s.line.Entries = append(s.line.Entries, e.Path)
}
