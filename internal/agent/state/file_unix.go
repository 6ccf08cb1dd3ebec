//go:build unix

package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openFile opens the state file in dir, for this process alone where it is to be
// changed. Folder and file are looked at through their open handles, so a link
// or a change of owner that comes in between finds nothing to swap.
func openFile(dir string, change bool) (handle, error) {
	dir = filepath.Clean(dir) // a slash at the end would have a link followed
	d, err := openDir(dir, change)
	if err != nil {
		return handle{}, err
	}
	defer unix.Close(d)
	path := filepath.Join(dir, Name)
	flags := unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK
	if change {
		flags |= unix.O_RDWR | unix.O_CREAT
	}
	fd, err := unix.Openat(d, Name, flags, 0o600)
	if errors.Is(err, unix.ELOOP) {
		return handle{}, fmt.Errorf("%s: %w", path, errNotFile)
	}
	if err != nil {
		return handle{}, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := handle{os.NewFile(uintptr(fd), path)}
	if err := claim(f, d, change); err != nil {
		f.Close()
		return handle{}, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func openDir(dir string, change bool) (int, error) {
	if change {
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			return -1, err
		}
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return -1, err
		}
	}
	d, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
			return -1, fmt.Errorf("%s is a link or no folder; name a folder of the agent's own", dir)
		}
		return -1, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(d, &st); err != nil {
		unix.Close(d)
		return -1, &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	if err := private(st, 0o700); err != nil {
		unix.Close(d)
		return -1, fmt.Errorf("%s: %w", dir, err)
	}
	return d, nil
}

// private says whether what was looked at belongs to this user and to nobody else.
func private(st unix.Stat_t, want uint32) error {
	if int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to user %d and the agent runs as %d", st.Uid, os.Geteuid())
	}
	if uint32(st.Mode)&0o077 != 0 {
		return fmt.Errorf("its mode is %04o: others may use it; change it to %04o", uint32(st.Mode)&0o7777, want)
	}
	return nil
}

// claim checks the open file and locks it.
func claim(f handle, dir int, change bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if uint32(st.Mode)&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 {
		return errNotFile
	}
	if err := private(st, 0o600); err != nil {
		return err
	}
	if !change {
		return nil
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return errLocked
		}
		return fmt.Errorf("lock: %w", err)
	}
	if st.Size == 0 {
		return unix.Fsync(dir) // the name of a new file, before its key is used
	}
	return nil
}
