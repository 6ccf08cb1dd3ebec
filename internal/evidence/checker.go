package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"

	"swab/internal/dsse"
)

// Checker checks a package while it arrives: it hashes the whole, reads the
// entries forwards, and keeps of them what the manifest, which comes last, will
// be held against. It takes bounded memory and time whatever the bytes are.
//
// A goroutine reads what Write hands it. It ends with [Checker.Close] or
// [Checker.Abort], one of which is always called.
type Checker struct {
	pipe *io.PipeWriter
	done chan struct{}
	scan *scan

	mu     sync.Mutex
	sum    hash.Hash
	size   int64
	report *Report // once it is closed
}

// NewChecker returns a checker under the limits.
func NewChecker(l Limits) *Checker {
	r, w := io.Pipe()
	c := &Checker{pipe: w, done: make(chan struct{}), sum: sha256.New(), scan: newScan(r, l)}
	go func() {
		defer close(c.done)
		c.scan.run()
		r.Close() // what follows is hashed only
	}()
	return c
}

// Write takes the package's next bytes. It fails only after Close or Abort:
// what is wrong with the content, the report says.
func (c *Checker) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.report != nil {
		return 0, fmt.Errorf("check package: %w", os.ErrClosed)
	}
	c.sum.Write(p)
	c.size += int64(len(p))
	_, _ = c.pipe.Write(p) // fails once the scan has ended; the hash goes on
	return len(p), nil
}

// Close ends the package and reports what was found. Closing again gives the
// same report.
func (c *Checker) Close() *Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.report == nil {
		c.pipe.Close()
		<-c.done
		c.report = c.scan.finish()
		c.report.SHA256, c.report.Size = hex.EncodeToString(c.sum.Sum(nil)), c.size
	}
	return c.report
}

// Abort gives the check up, for a package that will not come to its end. What
// it has read is reported as cut off.
func (c *Checker) Abort() { c.Close() }

// CheckFile checks a package that is whole at hand. It reads it forwards like
// [Checker], and then once more as tools do that begin at its end.
func CheckFile(r io.ReaderAt, size int64, l Limits) *Report {
	sum := sha256.New()
	in := io.TeeReader(io.NewSectionReader(r, 0, size), sum)
	s := newScan(in, l)
	s.run()
	if _, err := io.Copy(io.Discard, in); err != nil {
		s.fail(err)
	}
	if len(s.flaws) == 0 {
		if err := sameFromBehind(r, size, s.found); err != nil {
			s.fail(err)
		}
	}
	rep := s.finish()
	rep.SHA256, rep.Size = hex.EncodeToString(sum.Sum(nil)), size
	return rep
}

// scan is one check from front to back.
type scan struct {
	*scanner
	claims  *names
	entries []header
	found   []Found
	kept    map[string][]byte // of the entries that the account is made of
	listed  int               // entries that entries.jsonl accounts for
	sums    map[string]sum    // of each item's entries, as the account has them
	ended   bool              // the ZIP was read to its end
	flaws   []Flaw
}

func newScan(r io.Reader, l Limits) *scan {
	s := &scan{claims: newNames(), kept: map[string][]byte{}, sums: map[string]sum{}}
	s.scanner = newScanner(r, l, s.add)
	return s
}

func (s *scan) add(f Flaw) {
	if len(s.flaws) < MaxFlaws {
		s.flaws = append(s.flaws, f)
	}
}

// fail adds what ended the reading.
func (s *scan) fail(err error) {
	flaw, ok := errors.AsType[Flaw](err)
	if !ok {
		flaw = Flaw{CodeForm, "", "reading it ended with: " + err.Error()}
	}
	s.add(flaw)
}

// run reads the package to its end, or to where it can't be read on.
func (s *scan) run() {
	for {
		h, err := s.next()
		if errors.Is(err, io.EOF) {
			if err := s.directory(s.entries); err != nil {
				s.fail(err)
				return
			}
			s.ended = true
			return
		}
		if err == nil {
			err = s.entry(h)
		}
		if err != nil {
			s.fail(err)
			return
		}
	}
}

func (s *scan) entry(h *header) error {
	if len(s.entries) == s.limits.Entries {
		return Flaw{CodeBound, "", fmt.Sprintf("the package has over %d entries", s.limits.Entries)}
	}
	if err := checkName(h.name); err != nil {
		s.add(Flaw{CodeName, h.name, "its name " + err.Error()})
	} else if !s.claims.claim(h.name) {
		s.add(Flaw{CodeName, h.name, "another entry has this name, but for case, or stands where it needs a folder"})
	}
	sum := sha256.New()
	keep := s.keep(h.name)
	at := s.pos()
	if err := s.data(h, io.MultiWriter(sum, keep)); err != nil {
		return err
	}
	switch k := keep.(type) {
	case *bounded:
		s.kept[h.name] = k.Bytes()
	case *lister:
		k.end()
		s.listed = len(s.found)
		s.kept[h.name] = nil
	}
	s.entries = append(s.entries, *h)
	s.found = append(s.found, Found{
		Path: h.name, SHA256: hex.EncodeToString(sum.Sum(nil)), Size: h.size, Packed: h.packed,
		Offset: h.offset, Method: h.method, data: at, time: h.time,
	})
	return nil
}

// keep is where the data of an entry go that the account is made of; of any
// other, nowhere.
func (s *scan) keep(name string) io.Writer {
	if _, twice := s.kept[name]; twice {
		return io.Discard
	}
	switch name {
	case planPath:
		return &bounded{name: name, most: s.limits.Plan}
	case manifestPath:
		return &bounded{name: name, most: s.limits.Manifest}
	case envelopePath:
		return &bounded{name: name, most: dsse.MaxSize}
	case listPath:
		return &lister{scan: s}
	}
	return io.Discard
}

// bounded is a buffer that takes so many bytes and no more.
type bounded struct {
	bytes.Buffer
	name string
	most int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if int64(b.Len()+len(p)) > b.most {
		return 0, Flaw{CodeBound, b.name, fmt.Sprintf("it has over %d bytes", b.most)}
	}
	return b.Buffer.Write(p)
}

// finish judges the account of what was read.
func (s *scan) finish() *Report {
	r := &Report{Entries: s.found, Flaws: s.flaws}
	a := account{scan: s, report: r}
	a.check()
	r.Flaws = s.flaws
	r.Class = Intact
	if len(r.Flaws) > 0 {
		r.Class = r.Flaws[0].class()
	}
	return r
}
