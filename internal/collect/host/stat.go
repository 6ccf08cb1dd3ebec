package host

import (
	"fmt"
	"strings"
	"time"
)

// Stat is what statx says of a file, without following a link and without
// asking a server on the network.
type Stat struct {
	Dev    Dev
	Inode  uint64
	Mode   uint32 // type and permission bits as in st_mode
	UID    uint32
	GID    uint32
	Links  uint64
	Size   int64 // bytes
	Blocks int64 // of 512 bytes
	Rdev   Dev   // of a device

	// Times are zero where the file system keeps none.
	MTime, ATime, CTime, BTime time.Time
}

// Dev is a device number.
type Dev struct{ Major, Minor uint32 }

// String is the form that /proc/PID/mountinfo has.
func (d Dev) String() string { return fmt.Sprintf("%d:%d", d.Major, d.Minor) }

// Kind is what a name stands for.
type Kind byte

// The kinds, by the type bits of st_mode (and so of a directory's entry) over 12 bits.
const (
	Unknown   Kind = 0
	FIFO      Kind = 1
	Character Kind = 2
	Directory Kind = 4
	Block     Kind = 6
	Regular   Kind = 8
	Link      Kind = 10
	Socket    Kind = 12
)

// Kind is the file's kind.
func (s Stat) Kind() Kind { return Kind(s.Mode >> 12) }

// String is a plain word.
func (k Kind) String() string {
	switch k {
	case FIFO:
		return "fifo"
	case Character:
		return "character device"
	case Directory:
		return "directory"
	case Block:
		return "block device"
	case Regular:
		return "file"
	case Link:
		return "link"
	case Socket:
		return "socket"
	}
	return "unknown"
}

// Same reports whether two stats are of one file in one state: what differs has
// changed in between.
func (s Stat) Same(t Stat) bool {
	return s.Dev == t.Dev && s.Inode == t.Inode && s.Size == t.Size && s.MTime.Equal(t.MTime) && s.CTime.Equal(t.CTime)
}

// Dirent is an entry of a directory.
type Dirent struct {
	Name  string // bytes, maybe not UTF-8
	Inode uint64
	Kind  Kind // Unknown where the file system does not say
}

// Special reports whether a path leads to what is not kept on a disk: devices
// and the kernel's own files.
func Special(path string) bool {
	for _, dir := range []string{"/dev/", "/proc/", "/sys/"} {
		if strings.HasPrefix(path, dir) && !strings.HasPrefix(path, "/dev/shm/") {
			return true
		}
	}
	return false
}
