// Package proc reads the text files of /proc/PID. Every function takes bytes
// that a hostile process or kernel may have written, allocates no more than
// what it returns, and returns an error rather than guess. The formats are
// those of proc(5) and Documentation/filesystems/proc.rst.
package proc

import (
	"bytes"
	"fmt"
	"iter"
	"strconv"
)

// number reads a decimal number without making a string of it.
func number(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		d := uint64(c - '0')
		if c < '0' || c > '9' || n > (1<<64-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// signed is number with a sign before it.
func signed(b []byte) (int64, bool) {
	rest, minus := bytes.CutPrefix(b, []byte("-"))
	n, ok := number(rest)
	if !ok || n > 1<<63-1 {
		return 0, false
	}
	if minus {
		return -int64(n), true
	}
	return int64(n), true
}

func hex(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 16 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		n = n<<4 | uint64(c)
	}
	return n, true
}

// word cuts the first field off b.
func word(b []byte) (field, rest []byte) {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for i, c := range b {
		if c == ' ' || c == '\t' || c == '\n' {
			return b[:i], b[i:]
		}
	}
	return b, nil
}

// Fields cuts text that NULs end, as in cmdline and environ. A last part without
// a NUL counts; the empty parts between NULs do too.
func Fields(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			part, rest, _ := bytes.Cut(b, []byte{0})
			if !yield(part) {
				return
			}
			b = rest
		}
	}
}

// Strings is Fields as strings. Trailing empty parts, which a process leaves
// that wrote over its arguments, are dropped.
func Strings(b []byte) []string {
	b = bytes.TrimRight(b, "\x00")
	if len(b) == 0 {
		return nil
	}
	list := make([]string, 0, bytes.Count(b, []byte{0})+1)
	for part := range Fields(b) {
		list = append(list, string(part))
	}
	return list
}

// Inode is the number in a link's text such as "socket:[81]" or "net:[4026531840]",
// and what stands before it.
func Inode(link string) (kind string, inode uint64, ok bool) {
	n := len(link)
	if n < 4 || link[n-1] != ']' {
		return "", 0, false
	}
	for i := n - 2; i > 1; i-- {
		if c := link[i]; c < '0' || c > '9' {
			if c != '[' || link[i-1] != ':' {
				return "", 0, false
			}
			inode, err := strconv.ParseUint(link[i+1:n-1], 10, 64)
			return link[:i-1], inode, err == nil
		}
	}
	return "", 0, false
}

func bad(what string, b []byte) error {
	return fmt.Errorf("%s is not of the kernel's form: %.60q", what, b)
}
