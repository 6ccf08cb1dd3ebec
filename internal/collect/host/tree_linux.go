package host

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// handle is a directory's descriptor (O_PATH) and how names below it resolve.
type handle struct {
	fd      int
	resolve uint64 // RESOLVE_… for openat2
	walk    bool   // no openat2 (kernel before 5.6, or a filter): names are walked part by part
	self    int    // descriptor of a procfs, for reopening; AT_FDCWD: /proc
	local   *local // file systems that may be read from; nil: all
}

// raw is a file's descriptor.
type raw struct{ fd int }

// openAt opens name below h. It never leads out, and never through a magic link.
func (h handle) openAt(name string, flags int) (int, error) {
	if h.walk {
		return h.walkTo(name, flags)
	}
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: h.resolve}
	for try := 0; ; try++ {
		fd, err := unix.Openat2(h.fd, name, &how)
		if err == unix.EINTR || err == unix.EAGAIN && try < 64 {
			continue // EAGAIN: a rename raced with the resolution
		}
		return fd, err
	}
}

// walkTo is openAt where there is no openat2: each part is opened by itself, and
// no link is followed anywhere.
func (h handle) walkTo(name string, flags int) (int, error) {
	dir, parts := h.fd, strings.Split(name, "/")
	for i, part := range parts {
		if part == ".." {
			return -1, unix.EXDEV
		}
		last := i == len(parts)-1
		f := unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
		if last {
			f = flags | unix.O_NOFOLLOW | unix.O_CLOEXEC
		}
		fd, err := openRetry(dir, part, f)
		if dir != h.fd {
			unix.Close(dir)
		}
		if err != nil || last {
			return fd, err
		}
		dir = fd
	}
	return -1, unix.ENOENT
}

func openRetry(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// openKernel opens a file of procfs or sysfs itself, where nobody plants things.
func (h handle) openKernel(name string) (raw, error) {
	fd, err := h.openAt(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	return raw{fd}, err
}

// openRegular opens a name as a path, looks at it, and reopens it for reading if
// it is a regular file of a file system that may be read.
func (h handle) openRegular(name string, follow, live bool) (raw, Stat, bool, error) {
	flags := unix.O_PATH
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	fd, err := h.openAt(name, flags)
	if err != nil {
		return raw{}, Stat{}, false, err
	}
	defer unix.Close(fd)
	return h.reopen(fd)
}

// openMagic opens what a magic link of procfs leads to. Only the last part of
// the name is such a link: what comes before it resolves as always.
func (h handle) openMagic(name string) (raw, Stat, bool, error) {
	dir, base, done, err := h.parent(name)
	if err != nil {
		return raw{}, Stat{}, false, err
	}
	defer done()
	fd, err := openRetry(dir, base, unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return raw{}, Stat{}, false, err
	}
	defer unix.Close(fd)
	return h.reopen(fd)
}

// parent is the directory of a name's last part, and that part.
func (h handle) parent(name string) (int, string, func(), error) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return h.fd, name, func() {}, nil
	}
	dir, err := h.openAt(name[:i], unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return -1, "", nil, err
	}
	return dir, name[i+1:], func() { unix.Close(dir) }, nil
}

func (h handle) reopen(fd int) (raw, Stat, bool, error) {
	s, err := statFD(fd)
	if err != nil {
		return raw{}, s, false, err
	}
	switch s.Kind() {
	case Regular:
	case Link:
		return raw{}, s, false, errors.Join(ErrNotRegular, unix.ELOOP)
	default:
		return raw{}, s, false, ErrNotRegular
	}
	if err := h.local.allows(fd); err != nil {
		return raw{}, s, false, err
	}
	name := "self/fd/" + strconv.Itoa(fd)
	if h.self == unix.AT_FDCWD {
		name = "/proc/" + name
	}
	const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	r, err := openRetry(h.self, name, flags|unix.O_NOATIME)
	touched := false
	if errors.Is(err, unix.EPERM) { // neither the owner's nor CAP_FOWNER
		r, err = openRetry(h.self, name, flags)
		touched = err == nil
	}
	return raw{r}, s, touched, err
}

func (h handle) sub(name string) (handle, error) {
	fd, err := h.openAt(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	h.fd = fd
	return h, err
}

// subMagic is the directory that a magic link leads to, as a root of its own.
func (h handle) subMagic(name string) (handle, error) {
	dir, base, done, err := h.parent(name)
	if err != nil {
		return handle{}, err
	}
	defer done()
	fd, err := openRetry(dir, base, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	h.fd, h.resolve = fd, resolveRoot
	return h, err
}

func (h handle) close() error { return unix.Close(h.fd) }

func (h handle) readDir(name string, keepATime bool, f func(Dirent) error) error {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_NONBLOCK
	fd := -1
	err := error(unix.EPERM)
	if keepATime {
		fd, err = h.openAt(name, flags|unix.O_NOATIME)
	}
	if errors.Is(err, unix.EPERM) {
		fd, err = h.openAt(name, flags)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var block [8192]byte
	for {
		n, err := unix.Getdents(fd, block[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return err
		}
		if err := eachDirent(block[:n], f); err != nil {
			return err
		}
	}
}

// eachDirent takes a block of linux_dirent64 apart: inode and offset (8 bytes
// each), record length (2), type (1), the name and a NUL.
func eachDirent(b []byte, f func(Dirent) error) error {
	for len(b) >= 19 {
		size := int(binary.NativeEndian.Uint16(b[16:]))
		if size < 20 || size > len(b) {
			return unix.EIO
		}
		name := b[19:size]
		for i, c := range name {
			if c == 0 {
				name = name[:i]
				break
			}
		}
		if s := string(name); s != "." && s != ".." {
			if err := f(Dirent{Name: s, Inode: binary.NativeEndian.Uint64(b), Kind: Kind(b[18])}); err != nil {
				return err
			}
		}
		b = b[size:]
	}
	return nil
}

func (h handle) readLink(name string) (string, error) {
	dir, base, done, err := h.parent(name)
	if err != nil {
		return "", err
	}
	defer done()
	var small [256]byte
	for buf := small[:]; ; buf = make([]byte, 16*len(buf)) {
		n, err := unix.Readlinkat(dir, base, buf)
		for err == unix.EINTR {
			n, err = unix.Readlinkat(dir, base, buf)
		}
		if err != nil {
			return "", err
		}
		if n < len(buf) {
			return string(buf[:n]), nil
		}
		if len(buf) > 64<<10 {
			return "", unix.ENAMETOOLONG
		}
	}
}

func (h handle) stat(name string, magic, follow bool) (Stat, error) {
	if !magic {
		flags := unix.O_PATH
		if !follow {
			flags |= unix.O_NOFOLLOW
		}
		fd, err := h.openAt(name, flags)
		if err != nil {
			return Stat{}, err
		}
		defer unix.Close(fd)
		return statFD(fd)
	}
	dir, base, done, err := h.parent(name)
	if err != nil {
		return Stat{}, err
	}
	defer done()
	return statx(dir, base, 0)
}

func statFD(fd int) (Stat, error) { return statx(fd, "", unix.AT_EMPTY_PATH) }

// statx never asks a server and never mounts.
func statx(dir int, name string, flags int) (Stat, error) {
	var x unix.Statx_t
	flags |= unix.AT_NO_AUTOMOUNT | unix.AT_STATX_DONT_SYNC
	for {
		err := unix.Statx(dir, name, flags, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &x)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Stat{}, err
		}
		break
	}
	at := func(mask uint32, t unix.StatxTimestamp) time.Time {
		if x.Mask&mask == 0 {
			return time.Time{}
		}
		return time.Unix(t.Sec, int64(t.Nsec)).UTC()
	}
	return Stat{
		Dev: Dev{x.Dev_major, x.Dev_minor}, Inode: x.Ino, Mode: uint32(x.Mode), UID: x.Uid, GID: x.Gid,
		Links: uint64(x.Nlink), Size: int64(x.Size), Blocks: int64(x.Blocks), Rdev: Dev{x.Rdev_major, x.Rdev_minor},
		MTime: at(unix.STATX_MTIME, x.Mtime), ATime: at(unix.STATX_ATIME, x.Atime),
		CTime: at(unix.STATX_CTIME, x.Ctime), BTime: at(unix.STATX_BTIME, x.Btime),
	}, nil
}

func (r raw) read(p []byte) (int, error) {
	for {
		n, err := unix.Read(r.fd, p)
		if err != unix.EINTR {
			return max0(n), err
		}
	}
}

func (r raw) readAt(p []byte, off int64) (int, error) {
	for {
		n, err := unix.Pread(r.fd, p, off)
		if err != unix.EINTR {
			return max0(n), err
		}
	}
}

func (r raw) stat() (Stat, error) { return statFD(r.fd) }
func (r raw) close() error        { return unix.Close(r.fd) }

// FD is the file's descriptor, for the calls that take one (setns).
func (f *File) FD() int { return f.raw.fd }

// Handles is how many directory handles a caller may keep open: a quarter of
// what the process may have.
func (h *Host) Handles() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 64
	}
	return int(min(l.Cur/4, 4096))
}

// errNoOpenat2 reports whether err means that openat2 can't be used at all.
func errNoOpenat2(err error) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, fs.ErrPermission)
}
