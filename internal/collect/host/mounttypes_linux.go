package host

import (
	"errors"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"swab/internal/parse/mountinfo"
)

// local is which mounts may be read from: those whose file system answers by
// itself. A network or FUSE server may never answer, and learns of the read. So
// the type is looked up in the kernel's own tables of mounts; fstatfs is not
// asked, since it asks the server.
type local struct {
	proc *Tree // where the tables are

	own []uint64 // mounts of our own handles

	mu    sync.Mutex
	known map[uint64]bool // by mount id
	scans int
}

// maxScans bounds how often, for one package, the tables of all mount namespaces
// are read: a mount that is new after so many times is not read from.
const maxScans = 64

// answering are the types that need nobody outside the kernel.
var answering = func() map[string]bool {
	m := map[string]bool{}
	for t := range strings.FieldsSeq("ext2 ext3 ext4 xfs btrfs f2fs zfs bcachefs jfs reiserfs nilfs2 vfat msdos exfat ntfs3 ntfs iso9660 udf " +
		"tmpfs ramfs rootfs devtmpfs overlay erofs squashfs hugetlbfs proc sysfs nsfs cgroup cgroup2 mqueue devpts " +
		"securityfs debugfs tracefs bpf pstore efivarfs configfs selinuxfs binfmt_misc") {
		m[t] = true
	}
	return m
}()

// newLocal knows the mounts of the trees' own handles, and the kernel's own one
// in which programs without a file (memfd) lie.
func newLocal(proc *Tree, handles ...int) *local {
	l := &local{proc: proc}
	if fd, err := unix.MemfdCreate("swab", unix.MFD_CLOEXEC); err == nil {
		handles = append(handles, fd)
		defer unix.Close(fd)
	}
	for _, fd := range handles {
		if id, err := mountID(fd); err == nil {
			l.own = append(l.own, id)
		}
	}
	l.renew()
	return l
}

// renew forgets what was learnt for the last package: mounts come and go, and
// their numbers are given again.
func (l *local) renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known, l.scans = map[uint64]bool{}, 0
	for _, id := range l.own {
		l.known[id] = true
	}
}

// mountID is the mount that fd lies on. It asks no server. Kernels before 5.8
// don't tell.
func mountID(fd int) (uint64, error) {
	var x unix.Statx_t
	flags := unix.AT_EMPTY_PATH | unix.AT_NO_AUTOMOUNT | unix.AT_STATX_DONT_SYNC
	for {
		err := unix.Statx(fd, "", flags, unix.STATX_MNT_ID, &x)
		if err == unix.EINTR {
			continue
		}
		if err == nil && x.Mask&unix.STATX_MNT_ID == 0 {
			err = unix.ENOSYS
		}
		return x.Mnt_id, err
	}
}

// allows reports whether the mount that fd lies on may be read from.
func (l *local) allows(fd int) error {
	if l == nil {
		return nil
	}
	id, err := mountID(fd)
	if errors.Is(err, unix.ENOSYS) {
		return l.allowsDevice(fd)
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	may, known := l.known[id]
	if !known && l.scans < maxScans {
		l.scan(func(m mountinfo.Mount) { l.known[uint64(m.ID)] = answering[m.Type] })
		may = l.known[id]
		l.known[id] = may // what no table has is not read from, and not looked for again
	}
	if !may {
		return ErrRemote
	}
	return nil
}

// allowsDevice is allows on an old kernel: by the file system's device number,
// where a table has it. One that none has is a layer of an overlay, or gone.
func (l *local) allowsDevice(fd int) error {
	s, err := statFD(fd)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := uint64(1)<<63 | uint64(s.Dev.Major)<<32 | uint64(s.Dev.Minor)
	may, known := l.known[key]
	if !known && l.scans < maxScans {
		may = true
		l.scan(func(m mountinfo.Mount) {
			at := uint64(1)<<63 | uint64(m.Major)<<32 | uint64(m.Minor)
			l.known[at] = answering[m.Type]
		})
		if found, in := l.known[key]; in {
			may = found
		}
		l.known[key] = may
	}
	if !may {
		return ErrRemote
	}
	return nil
}

// scan goes through the tables of all mount namespaces, one process's for each.
func (l *local) scan(each func(mountinfo.Mount)) {
	l.scans++
	seen := map[string]bool{}
	_ = l.proc.EachDirent(".", func(d Dirent) error { // what can't be listed is not known, and so not read from
		if _, err := strconv.Atoi(d.Name); err != nil {
			return nil
		}
		ns, err := l.proc.handle.readLink(d.Name + "/ns/mnt")
		if err != nil || seen[ns] {
			return nil
		}
		seen[ns] = true
		data, err := l.proc.ReadFile(d.Name+"/mountinfo", 16<<20)
		if err != nil && len(data) == 0 {
			delete(seen, ns)
			return nil
		}
		for m, err := range mountinfo.Parse(data) {
			if err == nil {
				each(m)
			}
		}
		return nil
	})
}
