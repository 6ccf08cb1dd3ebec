package proc

import "bytes"

// Map is a line of /proc/PID/maps.
type Map struct {
	Start, End   uint64
	Perms        string // "rwxp"
	Offset       uint64
	Major, Minor uint32
	Inode        uint64
	Path         string // bytes, without the kernel's " (deleted)"; "" of anonymous memory; "[stack]" …
	Deleted      bool
}

// perms are the permission texts that there are, so that none is allocated.
var perms = func() map[string]string {
	m := map[string]string{}
	for i := range 16 {
		b := []byte("---p")
		for bit, c := range "rwxs" {
			if i>>bit&1 == 1 {
				b[bit] = byte(c)
			}
		}
		m[string(b)] = string(b)
	}
	return m
}()

// ParseMap reads one line of /proc/PID/maps. path is made of the line's bytes
// only if keep, given the rest, says so.
func ParseMap(line []byte, keep func(m *Map, path []byte) bool) (Map, error) {
	var m Map
	whole := line
	line = bytes.TrimSuffix(line, []byte("\n"))
	span, rest := word(line)
	start, end, ok := bytes.Cut(span, []byte("-"))
	var ok1, ok2 bool
	m.Start, ok1 = hex(start)
	m.End, ok2 = hex(end)
	if !ok || !ok1 || !ok2 || m.End < m.Start {
		return m, bad("maps: span", whole)
	}
	var f []byte
	f, rest = word(rest)
	if m.Perms, ok = perms[string(f)]; !ok {
		return m, bad("maps: permissions", whole)
	}
	f, rest = word(rest)
	if m.Offset, ok = hex(f); !ok {
		return m, bad("maps: offset", whole)
	}
	f, rest = word(rest)
	major, minor, ok := bytes.Cut(f, []byte(":"))
	a, ok1 := hex(major)
	b, ok2 := hex(minor)
	if !ok || !ok1 || !ok2 || a > 1<<32-1 || b > 1<<32-1 {
		return m, bad("maps: device", whole)
	}
	m.Major, m.Minor = uint32(a), uint32(b)
	f, rest = word(rest)
	if m.Inode, ok = number(f); !ok {
		return m, bad("maps: inode", whole)
	}
	path := bytes.TrimLeft(rest, " ")
	if p, cut := bytes.CutSuffix(path, []byte(" (deleted)")); cut && m.Inode != 0 {
		path, m.Deleted = p, true
	}
	if keep(&m, path) {
		// The kernel writes a newline as \012, and escapes nothing else, not
		// even the backslash.
		m.Path = string(bytes.ReplaceAll(path, []byte(`\012`), []byte("\n")))
	}
	return m, nil
}
