//go:build !linux

package host

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// handle is a directory of the standard library's, which keeps names inside it.
// It reads fixtures and plain files; a system's own calls come with its collectors.
type handle struct{ root *os.Root }

type raw struct{ f *os.File }

func openRoot(dir string, live bool) (*Tree, error) {
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Tree{handle: handle{r}, live: live}, nil
}

func (h *Host) openLive() error {
	root := "/"
	if runtime.GOOS == "windows" {
		root = os.Getenv("SystemDrive") + `\`
	}
	t, err := openRoot(root, true)
	if err != nil {
		return err
	}
	h.adopt(t, "/")
	h.Self.Root = os.Geteuid() == 0
	return nil
}

func (h *Host) readClock() {}

// Handles is how many directory handles a caller may keep open.
func (h *Host) Handles() int { return 64 }

// NTPSynchronised is not known here.
func (h *Host) NTPSynchronised() (bool, error) {
	return false, errors.New("this system does not say whether its clock is synchronised")
}

func (h handle) openKernel(name string) (raw, error) {
	r, _, _, err := h.openRegular(name, true, false)
	return r, err
}

func (h handle) openRegular(name string, follow, live bool) (raw, Stat, bool, error) {
	look := h.root.Lstat
	if follow {
		look = h.root.Stat
	}
	i, err := look(filepath.FromSlash(name))
	if err != nil {
		return raw{}, Stat{}, false, err
	}
	if !i.Mode().IsRegular() {
		return raw{}, Stat{}, false, ErrNotRegular
	}
	f, err := h.root.Open(filepath.FromSlash(name))
	if err != nil {
		return raw{}, Stat{}, false, err
	}
	j, err := f.Stat()
	if err != nil || !os.SameFile(i, j) {
		return raw{}, Stat{}, false, errors.Join(ErrNotRegular, err, f.Close())
	}
	return raw{f}, statOf(i), true, nil
}

func (h handle) openMagic(name string) (raw, Stat, bool, error) {
	return h.openRegular(name, false, false)
}

func (h handle) sub(name string) (handle, error) {
	r, err := h.root.OpenRoot(filepath.FromSlash(name))
	return handle{r}, err
}

func (h handle) close() error { return h.root.Close() }

func (h handle) readDir(name string, keepATime bool, f func(Dirent) error) error {
	d, err := h.root.Open(filepath.FromSlash(name))
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		list, err := d.ReadDir(256)
		for _, e := range list {
			if err := f(Dirent{Name: e.Name(), Kind: kindOf(e.Type())}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (h handle) readLink(name string) (string, error) {
	s, err := h.root.Readlink(filepath.FromSlash(name))
	return filepath.ToSlash(s), err
}

func (h handle) subMagic(name string) (handle, error) { return h.sub(name) }

func (h handle) stat(name string, magic, follow bool) (Stat, error) {
	look := h.root.Lstat
	if follow {
		look = h.root.Stat
	}
	i, err := look(filepath.FromSlash(name))
	if err != nil {
		return Stat{}, err
	}
	return statOf(i), nil
}

func (r raw) read(p []byte) (int, error) {
	n, err := r.f.Read(p)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (r raw) readAt(p []byte, off int64) (int, error) {
	n, err := r.f.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (r raw) stat() (Stat, error) {
	i, err := r.f.Stat()
	if err != nil {
		return Stat{}, err
	}
	return statOf(i), nil
}

func (r raw) close() error { return r.f.Close() }

// statOf is what the standard library knows of a file.
func statOf(i fs.FileInfo) Stat {
	return Stat{
		Mode: uint32(kindOf(i.Mode()))<<12 | uint32(i.Mode().Perm()), Size: i.Size(), Links: 1, MTime: i.ModTime().UTC(),
	}
}

func kindOf(m fs.FileMode) Kind {
	switch {
	case m.IsRegular():
		return Regular
	case m.IsDir():
		return Directory
	case m&fs.ModeSymlink != 0:
		return Link
	case m&fs.ModeNamedPipe != 0:
		return FIFO
	case m&fs.ModeSocket != 0:
		return Socket
	case m&fs.ModeCharDevice != 0:
		return Character
	case m&fs.ModeDevice != 0:
		return Block
	}
	return Unknown
}

// forgetMounts does nothing: these systems' trees look at no mounts.
func (h *Host) forgetMounts() {}
