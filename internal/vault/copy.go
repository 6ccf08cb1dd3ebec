package vault

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrGone says that an upload's bytes are not where its record says.
var ErrGone = errors.New("the bytes are gone")

// Copy copies an upload's bytes, as far as the record says, from the folder of one
// vault into that of another, durably, and returns how many: 0 where a sealed
// package is there already. A sealed package whose bytes are not those that were
// sealed is an error, and is not copied; bytes that are nowhere are ErrGone.
func Copy(u Upload, from, to string) (int64, error) {
	mode := fs.FileMode(0o600)
	if u.State == Sealed || u.State == Quarantined {
		mode = 0o400
	}
	target := directory(to).path(Name(u))
	if info, err := os.Lstat(target); err == nil && u.State == Sealed && info.Size() == u.Offset {
		return 0, nil
	}
	f, err := directory(from).read(u)
	if errors.Is(err, errLost) {
		return 0, fmt.Errorf("%w: %w", ErrGone, err)
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return 0, err
	}
	want := ""
	if u.State == Sealed {
		want = u.SHA256
	}
	if err := write(target, io.LimitReader(f, u.Offset), mode, want); err != nil {
		return 0, fmt.Errorf("copy upload %s of action %s: %w", u.ID, u.Action, err)
	}
	return u.Offset, nil
}

// Missing says whether an upload's bytes are not in a vault's folder, or fewer than
// its record says.
func Missing(u Upload, dir string) (bool, error) {
	f, err := directory(dir).read(u)
	if errors.Is(err, errLost) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, f.Close()
}

// write puts a file in its place whole and durable, or not at all. want is the
// SHA-256 that it must have, in hex; "" for any.
func write(name string, r io.Reader, mode fs.FileMode, want string) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // where it was not renamed
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(tmp, hash), r)
	if got := hex.EncodeToString(hash.Sum(nil)); err == nil && want != "" && got != want {
		err = fmt.Errorf("its SHA-256 is %s, and %s was sealed", got, want)
	}
	if err := errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// Prune removes from a vault's folder the files that none of the uploads has, by
// Copy, and returns how many. It is for a copy alone: nobody writes there.
func Prune(dir string, kept map[string]bool) (removed int, err error) {
	for _, folder := range []string{uploads, packages, quarantine} {
		root := directory(dir).path(folder)
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || e.IsDir() {
				return err
			}
			name, err := filepath.Rel(dir, path)
			if err != nil || kept[filepath.ToSlash(name)] {
				return err
			}
			removed++
			return os.Remove(path)
		})
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// Name is where an upload's bytes lie in a vault's folder, by Copy.
func Name(u Upload) string {
	switch u.State {
	case Sealed:
		return packageName(u)
	case Quarantined:
		return quarantineName(u)
	}
	return partName(u)
}
