package proc

import "bytes"

// Status is what /proc/PID/status says beyond stat.
type Status struct {
	UID, GID   [4]uint32 // real, effective, saved, file system
	Groups     []uint32  // supplementary, at most MaxGroups
	Tracer     int       // pid of the process that traces it; 0: none
	NSPID      []int     // its pid in each nested pid namespace, the outermost first
	VMPeak     uint64    // bytes
	VMLocked   uint64    // bytes
	VMRSS      uint64    // bytes
	VMSwap     uint64    // bytes
	Umask      int       // -1 where the kernel does not say
	NoNewPrivs bool
	Seccomp    int // 0 none, 1 strict, 2 filter
	Filters    int // seccomp filters
	CapInh, CapPrm,
	CapEff, CapBnd, CapAmb uint64
	CPUs string // Cpus_allowed_list
}

// MaxGroups bounds the groups that are kept; the kernel allows 65,536.
const MaxGroups = 1024

// ParseStatus reads /proc/PID/status. Lines that it does not know are skipped;
// a line that it knows and can't read is an error.
func ParseStatus(b []byte) (Status, error) {
	s := Status{Umask: -1}
	seen := false
	for line := range bytes.Lines(b) {
		key, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return s, bad("status", line)
		}
		value = bytes.TrimSpace(value)
		good := true
		switch string(key) {
		case "Uid":
			good = four(value, &s.UID)
			seen = true
		case "Gid":
			good = four(value, &s.GID)
		case "Groups":
			for f, rest := word(value); len(f) > 0 && good && len(s.Groups) < MaxGroups; f, rest = word(rest) {
				var n uint64
				n, good = number(f)
				s.Groups = append(s.Groups, uint32(n))
			}
		case "NSpid":
			for f, rest := word(value); len(f) > 0 && good && len(s.NSPID) < 32; f, rest = word(rest) {
				var n uint64
				n, good = number(f)
				s.NSPID = append(s.NSPID, int(n))
			}
		case "TracerPid":
			good = integer(value, &s.Tracer)
		case "Umask":
			s.Umask = 0
			for _, c := range value {
				s.Umask = s.Umask<<3 | int(c-'0')&7
			}
		case "VmPeak":
			good = kilobytes(value, &s.VMPeak)
		case "VmLck":
			good = kilobytes(value, &s.VMLocked)
		case "VmRSS":
			good = kilobytes(value, &s.VMRSS)
		case "VmSwap":
			good = kilobytes(value, &s.VMSwap)
		case "NoNewPrivs":
			s.NoNewPrivs = string(value) == "1"
		case "Seccomp":
			good = integer(value, &s.Seccomp)
		case "Seccomp_filters":
			good = integer(value, &s.Filters)
		case "CapInh":
			s.CapInh, good = hex(value)
		case "CapPrm":
			s.CapPrm, good = hex(value)
		case "CapEff":
			s.CapEff, good = hex(value)
		case "CapBnd":
			s.CapBnd, good = hex(value)
		case "CapAmb":
			s.CapAmb, good = hex(value)
		case "Cpus_allowed_list":
			s.CPUs = string(value)
		}
		if !good {
			return s, bad("status: "+string(key), line)
		}
	}
	if !seen {
		return s, bad("status without Uid", b)
	}
	return s, nil
}

func four(b []byte, to *[4]uint32) bool {
	for i := range to {
		var f []byte
		f, b = word(b)
		n, ok := number(f)
		if !ok || n > 1<<32-1 {
			return false
		}
		to[i] = uint32(n)
	}
	return true
}

func integer(b []byte, to *int) bool {
	n, ok := number(b)
	*to = int(n)
	return ok && n <= 1<<31
}

func kilobytes(b []byte, to *uint64) bool {
	f, _ := word(b)
	n, ok := number(f)
	*to = n << 10
	return ok && n < 1<<54
}
