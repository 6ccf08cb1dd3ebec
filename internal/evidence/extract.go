package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// Extract writes the entries of a package into dir, which must be there. Every
// entry becomes a regular file inside dir whatever its name says, never one
// that was there before: a name that is unsafe or taken is altered. It returns
// the paths as written, in the order of the entries.
func Extract(r io.ReaderAt, size int64, dir string, l Limits) ([]Extracted, error) {
	p, err := Open(r, size, l)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	taken := newNames()
	left := min(l.TotalBytes, max(l.RatioFrom, l.Ratio*size))
	var all []Extracted
	for _, f := range p.Entries {
		x := Extracted{Entry: f.Path, File: taken.unique(shortPath(safePath(f.Path)))}
		n, err := p.extract(root, f, x.File, left)
		if err != nil {
			return all, fmt.Errorf("extract entry %s: %w", quote(f.Path), err)
		}
		left -= n
		all = append(all, x)
	}
	return all, nil
}

// Extracted is an entry and where it was written, relative to the folder.
type Extracted struct{ Entry, File string }

func (p *Package) extract(root *os.Root, f Found, name string, left int64) (n int64, err error) {
	r, err := p.open(f)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	if err := root.MkdirAll(path.Dir(name), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return 0, err
	}
	w, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	n, err = io.Copy(w, io.LimitReader(r, left+1))
	if n > left {
		return n, Flaw{CodeBound, f.Path, "the package inflates to more than this program writes"}
	}
	return n, err
}

// maxPath is the longest path below the folder that every system takes.
const maxPath = 1024

// shortPath is a path as it is, or one that stands for it where it is too long.
func shortPath(name string) string {
	if len(name) <= maxPath {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return "long names/" + hex.EncodeToString(sum[:16])
}
