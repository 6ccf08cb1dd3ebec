package proc

import "bytes"

// FDInfo is /proc/PID/fdinfo/FD.
type FDInfo struct {
	Pos    int64
	Flags  uint32 // O_…
	Mount  int
	Inode  uint64   // 0 before Linux 5.14
	Locks  int      // file locks that it holds
	Detail []string // what is special of its kind: "eventfd-count: 0", "inotify wd:1 …"; at most MaxDetail
}

// MaxDetail bounds the lines of detail that are kept.
const MaxDetail = 8

// ParseFDInfo reads /proc/PID/fdinfo/FD.
func ParseFDInfo(b []byte) (FDInfo, error) {
	var i FDInfo
	seen := false
	for line := range bytes.Lines(b) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		key, value, ok := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		good := true
		switch string(key) {
		case "pos":
			var n uint64
			n, good = number(value) // loff_t, printed signed
			if i.Pos = int64(n); !good {
				i.Pos, good = signed(value)
			}
			seen = true
		case "flags":
			for _, c := range value {
				good = good && c >= '0' && c <= '7'
				i.Flags = i.Flags<<3 | uint32(c&7)
			}
		case "mnt_id":
			good = integer(value, &i.Mount)
		case "ino":
			i.Inode, good = number(value)
		case "lock":
			i.Locks++
		default:
			if len(line) > 0 && len(i.Detail) < MaxDetail {
				i.Detail = append(i.Detail, string(line[:min(len(line), 200)]))
			}
			ok = true
		}
		if !ok || !good {
			return i, bad("fdinfo", line)
		}
	}
	if !seen {
		return i, bad("fdinfo without pos", b)
	}
	return i, nil
}

// Access is the open mode in flags: "r", "w" or "rw", then "a" of O_APPEND; "path" of O_PATH.
func (i FDInfo) Access() string {
	const appending, path = 0o2000, 0o10000000
	if i.Flags&path != 0 {
		return "path"
	}
	s := [4]string{"r", "w", "rw", "rw"}[i.Flags&3]
	if i.Flags&appending != 0 {
		s += "a"
	}
	return s
}
