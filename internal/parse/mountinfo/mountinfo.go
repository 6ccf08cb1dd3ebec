// Package mountinfo reads /proc/PID/mountinfo: what is mounted in a process's
// mount namespace (proc_pid_mountinfo(5)).
package mountinfo

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// MaxBytes bounds how much of a table is worth reading: some 100,000 mounts.
const MaxBytes = 16 << 20

// Mount is one line. Paths are bytes of the device, unescaped.
type Mount struct {
	ID, Parent   int
	Major, Minor uint32
	Root         string // directory of the file system that is mounted; of a namespace "net:[4026531833]"
	Point        string // where, seen from the process's root
	Options      string // of this mount: "rw,nosuid,relatime"
	Propagation  string // "shared:1 master:2"; "" is private
	Type         string
	Source       string
	Super        string // options of the file system
}

// Flag says whether an option stands in a list of options.
func Flag(options, name string) bool {
	for o := range strings.SplitSeq(options, ",") {
		if o == name {
			return true
		}
	}
	return false
}

var errFields = errors.New("too few fields")

// Parse reads a table, a line at a time: one that can't be read is an error of
// its own.
func Parse(data []byte) iter.Seq2[Mount, error] {
	return func(yield func(Mount, error) bool) {
		for line := range bytes.Lines(data) {
			line = bytes.TrimSuffix(line, []byte("\n"))
			if len(line) == 0 {
				continue
			}
			m, err := parseLine(string(line))
			if err != nil {
				err = fmt.Errorf("line %.200q: %w", line, err)
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

func parseLine(line string) (Mount, error) {
	// Spaces within fields are escaped, so single spaces part them; an empty
	// field (a source of "") is two spaces.
	f := strings.Split(line, " ")
	if len(f) < 9 {
		return Mount{}, errFields
	}
	end := 6
	for end < len(f) && f[end] != "-" {
		end++
	}
	if len(f) < end+4 {
		return Mount{}, errFields
	}
	var m Mount
	var err error
	if m.ID, err = strconv.Atoi(f[0]); err != nil {
		return Mount{}, err
	}
	if m.Parent, err = strconv.Atoi(f[1]); err != nil {
		return Mount{}, err
	}
	major, minor, _ := strings.Cut(f[2], ":")
	if m.Major, err = number(major); err != nil {
		return Mount{}, err
	}
	if m.Minor, err = number(minor); err != nil {
		return Mount{}, err
	}
	m.Root, m.Point, m.Options = unescape(f[3]), unescape(f[4]), f[5]
	m.Propagation = strings.Join(f[6:end], " ")
	m.Type, m.Source, m.Super = unescape(f[end+1]), unescape(f[end+2]), unescape(strings.Join(f[end+3:], " "))
	return m, nil
}

func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err
}

// unescape undoes the octal escapes of space, tab, newline, backslash and '#'.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b = append(b, byte(n))
				i += 3
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}
