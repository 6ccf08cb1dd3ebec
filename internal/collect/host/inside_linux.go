package host

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// inside opens the directory that a magic link leads to.
func (h handle) inside(name string) (handle, error) {
	dir, base, done, err := h.parent(name)
	if err != nil {
		return handle{}, err
	}
	defer done()
	fd, err := openRetry(dir, base, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return handle{}, err
	}
	return handle{fd: fd, resolve: resolveRoot, walk: h.walk, self: h.self, local: h.local}, nil
}

// openNamespace opens a path, and reopens it for setns only if it is the
// kernel's: opening a planted device or FIFO could do anything.
func (h handle) openNamespace(name string, magic bool) (*os.File, error) {
	open := func() (int, error) { return h.openAt(name, unix.O_PATH|unix.O_NOFOLLOW) }
	if magic {
		open = func() (int, error) {
			dir, base, done, err := h.parent(name)
			if err != nil {
				return -1, err
			}
			defer done()
			return openRetry(dir, base, unix.O_PATH|unix.O_CLOEXEC)
		}
	}
	fd, err := open()
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var s unix.Statfs_t
	if err := unix.Fstatfs(fd, &s); err != nil {
		return nil, err
	}
	if int64(s.Type) != unix.NSFS_MAGIC {
		return nil, ErrNoNamespace
	}
	link := "self/fd/" + strconv.Itoa(fd)
	if h.self == unix.AT_FDCWD {
		link = "/proc/" + link
	}
	ns, err := openRetry(h.self, link, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(ns), name), nil
}

func (h handle) usage(name string) (Usage, error) {
	fd, err := h.openAt(name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return Usage{}, err
	}
	defer unix.Close(fd)
	var s unix.Statfs_t
	if err := unix.Fstatfs(fd, &s); err != nil {
		return Usage{}, err
	}
	var x unix.Statx_t
	const flags = unix.AT_EMPTY_PATH | unix.AT_NO_AUTOMOUNT | unix.AT_STATX_DONT_SYNC
	if err := unix.Statx(fd, "", flags, unix.STATX_MNT_ID, &x); err != nil {
		return Usage{}, err
	}
	u := Usage{
		Dev:   Dev{x.Dev_major, x.Dev_minor},
		Total: s.Blocks * uint64(s.Frsize), Free: s.Bfree * uint64(s.Frsize), Available: s.Bavail * uint64(s.Frsize),
		Files: s.Files, FilesFree: s.Ffree,
	}
	if x.Mask&unix.STATX_MNT_ID != 0 {
		u.MountID = x.Mnt_id
	}
	return u, nil
}
