package mask

import "strings"

// KernelLine masks a kernel's command line. It is read as any text of settings
// is, and once more for what its own programs alone understand: dracut's
// `netroot=iscsi:user:secret:user:secret@host:…`, `root=cifs:user:secret@host`.
func (m *Masker) KernelLine(line string) string {
	words := split(line, true)
	var b strings.Builder
	for _, w := range words {
		at := strings.Index(line, w)
		b.WriteString(line[:at])
		b.WriteString(m.netroot(w))
		line = line[at+len(w):]
	}
	b.WriteString(line)
	line = b.String()
	return m.sweep(m.text(line))
}

// netroot masks what stands before the @ of a root on the network, but for the
// first name: a password may hold colons of its own.
func (m *Masker) netroot(word string) string {
	name, value, ok := strings.Cut(word, "=")
	if !ok || name != "netroot" && name != "root" {
		return word
	}
	kind, rest, _ := strings.Cut(value, ":")
	end := strings.LastIndexByte(rest, '@')
	if kind = strings.TrimLeft(kind, `"'`); kind != "iscsi" && kind != "cifs" || end < 0 {
		return word
	}
	user, secret, ok := strings.Cut(rest[:end], ":")
	if !ok {
		return word
	}
	return word[:len(word)-len(rest)] + user + ":" + m.hide(secret) + rest[end:]
}

// Setting masks one setting whose name and value are known apart, as those of a
// kernel module are.
func (m *Masker) Setting(name, value string) string {
	if value == "" {
		return ""
	}
	return strings.TrimPrefix(m.Env([]string{name + "=" + value})[0], name+"=")
}
