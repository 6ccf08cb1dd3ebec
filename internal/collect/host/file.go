package host

import (
	"fmt"
	"io"
)

// File is a regular file, open for reading.
type File struct {
	raw     raw
	path    string
	stat    Stat
	touched bool
	linked  bool
}

var _ io.ReaderAt = (*File)(nil)

// Read reads on from where the last Read ended.
func (f *File) Read(p []byte) (int, error) {
	n, err := f.raw.read(p)
	if err != nil {
		return max0(n), fmt.Errorf("read %s: %w", f.path, err)
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// ReadAt reads at an offset, as io.ReaderAt says.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		k, err := f.raw.readAt(p[n:], off+int64(n))
		if err != nil {
			return n, fmt.Errorf("read %s at %d: %w", f.path, off+int64(n), err)
		}
		if k == 0 {
			return n, io.EOF
		}
		n += k
	}
	return n, nil
}

// Path is where the file was opened, as bytes.
func (f *File) Path() string { return f.path }

// Linked reports whether the path is that of a symbolic link, and the file what it
// leads to.
func (f *File) Linked() bool { return f.linked }

// Stat is what the system said of the file before it was opened for reading.
func (f *File) Stat() Stat { return f.stat }

// Restat asks again: what differs from [File.Stat] changed while it was read.
func (f *File) Restat() (Stat, error) {
	s, err := f.raw.stat()
	if err != nil {
		return Stat{}, fmt.Errorf("stat %s: %w", f.path, err)
	}
	return s, nil
}

// ATimeTouched reports whether reading may have set the file's access time.
func (f *File) ATimeTouched() bool { return f.touched }

// Close closes the file.
func (f *File) Close() error { return f.raw.close() }
