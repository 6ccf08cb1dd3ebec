package evidence

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/flate"
)

// Package is a package at hand, open for reading. Opening proves nothing:
// [CheckFile] does.
type Package struct {
	Entries []Found // as the ZIP has them; the hashes are empty
	CutOff  bool    // it has no central directory; these are its whole entries
	r       io.ReaderAt
	limits  Limits
}

// Open opens a package by its central directory; one that was cut off, by
// reading it from the front.
func Open(r io.ReaderAt, size int64, l Limits) (*Package, error) {
	p := &Package{r: r, limits: l}
	dir, err := zip.NewReader(r, size)
	if err != nil {
		if p.Entries, err = Salvage(r, size, l); err != nil {
			return nil, err
		}
		p.CutOff = true
		return p, nil
	}
	if len(dir.File) > l.Entries {
		return nil, Flaw{CodeBound, "", fmt.Sprintf("the package has over %d entries", l.Entries)}
	}
	for _, f := range dir.File {
		data, err := f.DataOffset()
		if err != nil {
			return nil, Flaw{CodeStructure, f.Name, "its local header is not where the directory says"}
		}
		p.Entries = append(p.Entries, Found{
			Path: f.Name, Size: int64(f.UncompressedSize64), Packed: int64(f.CompressedSize64), Method: f.Method, data: data,
		})
	}
	return p, nil
}

// sameFromBehind reads the central directory as every ZIP tool does, from the
// file's end, and holds it against what was found reading forwards.
func sameFromBehind(r io.ReaderAt, size int64, found []Found) error {
	dir, err := zip.NewReader(r, size)
	if err != nil {
		return Flaw{CodeDirectory, "", "read from its end, the package is no ZIP: " + clean(err)}
	}
	if len(dir.File) != len(found) {
		return Flaw{CodeDirectory, "", "read from its end, the package has other entries than read from the front"}
	}
	for i, f := range dir.File {
		data, err := f.DataOffset()
		if err != nil || f.Name != found[i].Path || int64(f.UncompressedSize64) != found[i].Size || data != found[i].data {
			return Flaw{CodeDirectory, found[i].Path, "read from the package's end, it is another than read from the front"}
		}
	}
	return nil
}

// Salvage lists the entries of a package that are whole, by reading it from the
// front up to where it is cut off or damaged.
func Salvage(r io.ReaderAt, size int64, l Limits) ([]Found, error) {
	s := newScan(io.NewSectionReader(r, 0, size), l)
	s.run()
	if len(s.found) == 0 {
		return nil, s.flaws[0]
	}
	return s.found, nil
}

// Entry opens one entry, of which no more than the limits allow is read. The
// reader is closed by whoever opened it.
func (p *Package) Entry(path string) (io.ReadCloser, error) {
	i := slices.IndexFunc(p.Entries, func(f Found) bool { return f.Path == path })
	if i < 0 {
		return nil, fmt.Errorf("the package has no entry %s", quote(path))
	}
	return p.open(p.Entries[i])
}

func (p *Package) open(f Found) (io.ReadCloser, error) {
	data := io.NewSectionReader(p.r, f.data, f.Packed)
	switch f.Method {
	case methodStore:
		return io.NopCloser(data), nil
	case methodDeflate:
		return &inflated{flate.NewReader(bufio.NewReader(data)), p.limits.EntryBytes, f.Path}, nil
	}
	return nil, Flaw{CodeStructure, f.Path, fmt.Sprintf("it is compressed by method %d; a package uses Store and Deflate", f.Method)}
}

// inflated is an entry being inflated, up to a bound.
type inflated struct {
	io.ReadCloser
	left int64
	path string
}

func (r *inflated) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	if r.left -= int64(n); r.left < 0 {
		return 0, Flaw{CodeBound, r.path, "it inflates to more than this program reads"}
	}
	return n, err
}

// Listing is a table of a package.
type Listing struct {
	Path  string   // without extension
	Parts []string // its entries in JSON Lines, in order
	CSV   string   // its twin's entry, or ""
}

// Tables lists the tables of the package in the order of their first parts.
func (p *Package) Tables() []Listing {
	var all []Listing
	at := map[string]int{}
	for _, f := range p.Entries {
		base, ok := strings.CutSuffix(f.Path, ".jsonl")
		if !ok || strings.HasPrefix(f.Path, "fs/") || f.Path == listPath {
			continue
		}
		if stem, n, ok := cutPart(base); ok {
			if i, ok := at[stem]; ok && len(all[i].Parts) == n-1 {
				all[i].Parts = append(all[i].Parts, f.Path)
				continue
			}
		}
		at[base] = len(all)
		all = append(all, Listing{Path: base, Parts: []string{f.Path}})
	}
	for _, f := range p.Entries {
		if base, ok := strings.CutSuffix(f.Path, ".csv"); ok {
			if i, ok := at[base]; ok {
				all[i].CSV = f.Path
			}
		}
	}
	return all
}

// cutPart takes the number of the part from "name.2".
func cutPart(base string) (stem string, n int, ok bool) {
	dot := strings.LastIndexByte(base, '.')
	if dot < 0 {
		return "", 0, false
	}
	n, err := strconv.Atoi(base[dot+1:])
	return base[:dot], n, err == nil && n >= 2
}

// Rows reads a table, all its parts, as one would any JSON: numbers are
// json.Number. The first error ends it.
func (p *Package) Rows(t Listing) iter.Seq2[map[string]any, error] {
	return func(yield func(map[string]any, error) bool) {
		for _, path := range t.Parts {
			if !p.rowsOf(path, yield) {
				return
			}
		}
	}
}

func (p *Package) rowsOf(path string, yield func(map[string]any, error) bool) bool {
	r, err := p.Entry(path)
	if err != nil {
		yield(nil, err)
		return false
	}
	defer r.Close()
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), MaxRow+1)
	for n := 1; lines.Scan(); n++ {
		dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		dec.UseNumber()
		var row map[string]any
		if err := dec.Decode(&row); err != nil {
			yield(nil, fmt.Errorf("entry %s, row %d: %w", quote(path), n, err))
			return false
		}
		if !yield(row, nil) {
			return false
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("a row has over %d bytes", MaxRow)
		}
		yield(nil, fmt.Errorf("entry %s: %w", quote(path), err))
		return false
	}
	return true
}
