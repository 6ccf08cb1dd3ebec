package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// directory keeps bytes as files under one root. Names are relative and made by
// this package alone, with slashes. What a method did is on disk when it
// returns nil.
type directory string

const (
	uploads    = "uploads"
	packages   = "packages"
	quarantine = "quarantine"
)

func partName(u Upload) string       { return uploads + "/" + u.ID + ".part" }
func packageName(u Upload) string    { return packages + "/" + u.Tenant + "/" + u.Action + ".zip" }
func quarantineName(u Upload) string { return quarantine + "/" + u.ID + ".zip" }

func (d directory) path(name string) string {
	return filepath.Join(string(d), filepath.FromSlash(name))
}

// prepare makes the root and its folders.
func (d directory) prepare() error {
	for _, name := range []string{uploads, packages, quarantine, expiring} {
		if err := os.MkdirAll(d.path(name), 0o700); err != nil {
			return fmt.Errorf("make the package folder: %w", err)
		}
	}
	return syncDir(string(d))
}

// create makes an empty file that must not exist.
func (d directory) create(name string) error {
	f, err := os.OpenFile(d.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), syncDir(filepath.Dir(d.path(name))))
}

// resume opens a file to be written from offset on and cuts what is beyond it.
// A file that is shorter has lost bytes that were acknowledged.
func (d directory) resume(name string, offset int64) (*os.File, error) {
	f, err := os.OpenFile(d.path(name), os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.Size() < offset:
		err = fmt.Errorf("%w: %s has %d bytes, %d were acknowledged", errLost, name, info.Size(), offset)
	case info.Size() > offset:
		if err = f.Truncate(offset); err == nil {
			err = f.Sync()
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// errLost is returned for bytes that were acknowledged and are not there.
var errLost = errors.New("acknowledged bytes are missing")

// open opens the first of names that exists for reading.
func (d directory) open(names ...string) (*os.File, error) {
	for _, name := range names {
		f, err := os.Open(d.path(name))
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return nil, fmt.Errorf("%w: %s", errLost, strings.Join(names, ", "))
}

func (d directory) exists(name string) (bool, error) {
	_, err := os.Lstat(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// errOccupied is returned by move where something else has the new name.
var errOccupied = errors.New("another package has this place")

// move renames a file to a name that is free and sets its mode. Doing it again
// after it was done, or half done, completes it.
func (d directory) move(from, to string, mode os.FileMode) error {
	src, dst := d.path(from), d.path(to)
	there, err := d.exists(to)
	if err != nil {
		return err
	}
	here, err := d.exists(from)
	if err != nil {
		return err
	}
	switch {
	case here && there:
		return fmt.Errorf("%w: %s", errOccupied, to)
	case there: // moved before
		return errors.Join(syncDir(filepath.Dir(dst)), syncDir(filepath.Dir(src)))
	case !here:
		return fmt.Errorf("%w: %s", errLost, from)
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o700); err != nil {
		return err
	}
	if err := os.Chmod(src, mode); err != nil {
		return err
	}
	if err := os.Rename(src, dst); err != nil {
		return err
	}
	return errors.Join(syncDir(filepath.Dir(dst)), syncDir(filepath.Dir(filepath.Dir(dst))), syncDir(filepath.Dir(src)))
}

// remove deletes files; one that does not exist is deleted already.
func (d directory) remove(names ...string) error {
	for _, name := range names {
		if err := os.Remove(d.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := syncDir(filepath.Dir(d.path(name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// parts calls f with the id of each file in uploads.
func (d directory) parts(f func(id string, size int64)) error {
	dir, err := os.Open(d.path(uploads))
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(256)
		for _, e := range entries {
			if id, ok := strings.CutSuffix(e.Name(), ".part"); ok {
				if info, err := e.Info(); err == nil {
					f(id, info.Size())
				}
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

// syncDir makes the names in a folder durable. Windows writes them through and
// can't flush a folder.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
