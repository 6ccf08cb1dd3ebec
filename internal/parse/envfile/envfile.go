// Package envfile reads files of NAME=value lines as shells and systemd have
// them: os-release(5), locale.conf(5), the state of logind. It expands nothing
// and runs nothing.
package envfile

import (
	"bytes"
	"iter"
	"strconv"
	"strings"
)

// MaxBytes is how much of such a file is worth reading.
const MaxBytes = 256 << 10

// Pairs walks the names and values in order. Comments, empty lines and lines
// without '=' are passed over.
func Pairs(data []byte) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for line := range bytes.Lines(data) {
			line = bytes.TrimSpace(line)
			if len(line) == 0 || line[0] == '#' || line[0] == ';' {
				continue
			}
			name, value, ok := strings.Cut(string(line), "=")
			if !ok {
				continue
			}
			name = strings.TrimSpace(strings.TrimPrefix(name, "export "))
			if !yield(name, unquote(strings.TrimSpace(value))) {
				return
			}
		}
	}
}

// Parse reads a file whole. Of a name given twice the last value holds, as in a
// shell.
func Parse(data []byte) map[string]string {
	m := map[string]string{}
	for name, value := range Pairs(data) {
		m[name] = value
	}
	return m
}

// unquote takes off the quotes of a shell and its escapes.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '\'' && s[len(s)-1] == '\'' {
		return s[1 : len(s)-1]
	}
	quoted := len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"'
	if quoted {
		s = s[1 : len(s)-1]
	}
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\' || i+1 == len(s):
			b = append(b, s[i])
		case s[i+1] == 'x' && i+3 < len(s): // systemd's escape of bytes it will not print
			if n, err := strconv.ParseUint(s[i+2:i+4], 16, 8); err == nil {
				b = append(b, byte(n))
				i += 3
			} else {
				b = append(b, s[i])
			}
		case !quoted || strings.ContainsRune("\"\\$`", rune(s[i+1])):
			i++
			b = append(b, s[i])
		default: // within quotes a backslash before anything else stands for itself
			b = append(b, s[i])
		}
	}
	return string(b)
}
