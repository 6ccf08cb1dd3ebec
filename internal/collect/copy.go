package collect

import (
	"errors"
	"fmt"
	"io"
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
	if f.Linked() {
		e.Method = "open-link"
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
		src.Raw, src.Path = []byte(src.Path), evidence.ValidText(src.Path)
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

// room is how much of a file may be copied, and which bound says so.
type room struct {
	bytes int64
	cause string
}

// within is the lesser of two bounds.
func (r room) within(bytes int64, cause string) room {
	if bytes < r.bytes {
		return room{bytes, cause}
	}
	return r
}

// copyFile copies up to limit bytes of f into an entry, with its stat before and
// after. Reading may block: nothing is locked meanwhile, and end closes the entry.
func (s *sink) copyFile(f *host.File, e evidence.Entry, limit int64) error {
	stream, space, reserved, err := s.begin(e, limit)
	if err != nil {
		return err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{stream}, io.NewSectionReader(f, 0, space.bytes), make([]byte, 64<<10))
	outcome, cut := evidence.Collected, int64(0)
	after, statErr := f.Restat()
	switch {
	case errors.Is(err, errEnded):
		return errEnded
	case err != nil:
		outcome, _ = outcomeOf(err)
	case statErr == nil && !after.Same(f.Stat()) || n < f.Stat().Size && n < space.bytes:
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
	s.mu.Lock()
	s.copied += n - reserved
	s.mu.Unlock()
	if f.ATimeTouched() {
		s.Note("Reading %s may have set its time of access: the system let it be read in no other way.", e.Source.Path)
	}
	if cut > 0 {
		s.Truncated(space.cause, 0, cut)
	}
	return err
}

// begin opens an entry of at most so many bytes (0: the item's bound), within the
// bounds that are left. What the file's size says is reserved until the copy knows
// better: a file may grow meanwhile, and the kernel's own say 0.
func (s *sink) begin(e evidence.Entry, limit int64) (_ *evidence.Stream, space room, reserved int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	space = room{MaxCopied - s.copied, fmt.Sprintf("copies of more than %d bytes in an item", int64(MaxCopied))}
	if limit > 0 {
		space = space.within(limit, fmt.Sprintf("a copy of at most %d bytes a file", limit))
	}
	if bound := s.r.Bounds.PackageBytes; bound > 0 {
		space = space.within(bound-reserve-s.r.w.Bytes(), fmt.Sprintf("the package's bound of %d bytes", bound))
	}
	switch {
	case s.ended:
		return nil, room{}, 0, errEnded
	case space.bytes <= 0:
		s.truncate(space.cause, 0, e.Source.Size)
		return nil, room{}, 0, ErrFull
	}
	reserved = min(space.bytes, e.Source.Size)
	s.copied += reserved
	stream := s.r.w.File(e)
	s.streams[stream] = true
	return stream, space, reserved, nil
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
