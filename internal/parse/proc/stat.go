package proc

import "bytes"

// Stat is /proc/PID/stat.
type Stat struct {
	PID        int
	Name       string // bytes, at most 15 (64 of a kernel thread)
	State      byte   // R, S, D, Z, T, t, X, I
	Parent     int
	Group      int // process group
	Session    int
	TTY        uint32 // device number of the controlling terminal, in the kernel's 32-bit form; 0: none
	Foreground int    // process group in the terminal's foreground
	Flags      uint32 // PF_…
	User       uint64 // ticks in user mode
	System     uint64 // ticks in kernel mode
	Priority   int
	Nice       int
	Threads    int
	Start      uint64 // ticks since the boot
	VSize      uint64 // bytes
	RSS        int64  // pages
	Processor  int
	RTPriority uint32
	Policy     uint32
}

// KernelThread reports whether it is a thread of the kernel (PF_KTHREAD), which
// no user-space process can claim to be.
func (s Stat) KernelThread() bool { return s.Flags&0x00200000 != 0 }

// Terminal is the controlling terminal's device number.
func (s Stat) Terminal() (major, minor uint32) {
	return s.TTY >> 8 & 0xfff, s.TTY&0xff | s.TTY>>12&0xfff00
}

// ParseStat reads /proc/PID/stat. The name may hold anything, parentheses and
// newlines too; it ends at the last parenthesis.
func ParseStat(b []byte) (Stat, error) {
	var s Stat
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open || end+3 > len(b) {
		return s, bad("stat", b)
	}
	pid, ok := number(bytes.TrimSpace(b[:open]))
	if !ok || pid > 1<<31 {
		return s, bad("stat: pid", b)
	}
	s.PID, s.Name = int(pid), string(b[open+1:end])
	rest := b[end+1:]
	var f []byte
	f, rest = word(rest)
	if len(f) != 1 {
		return s, bad("stat: state", rest)
	}
	s.State = f[0]
	var v [39]int64 // fields 4 to 42
	n := 0
	for ; n < len(v); n++ {
		if f, rest = word(rest); len(f) == 0 {
			break
		}
		u, ok := number(f) // signal masks and addresses use all 64 bits
		v[n] = int64(u)
		if !ok {
			if v[n], ok = signed(f); !ok {
				return s, bad("stat: number", f)
			}
		}
	}
	if n < 21 {
		return s, bad("stat: too few fields", b)
	}
	at := func(field int) int64 { return v[field-4] }
	s.Parent, s.Group, s.Session = int(at(4)), int(at(5)), int(at(6))
	s.TTY, s.Foreground, s.Flags = uint32(at(7)), int(at(8)), uint32(at(9))
	s.User, s.System = uint64(at(14)), uint64(at(15))
	s.Priority, s.Nice, s.Threads = int(at(18)), int(at(19)), int(at(20))
	s.Start, s.VSize, s.RSS = uint64(at(22)), uint64(at(23)), at(24)
	s.Processor, s.RTPriority, s.Policy = int(at(39)), uint32(at(40)), uint32(at(41))
	return s, nil
}
