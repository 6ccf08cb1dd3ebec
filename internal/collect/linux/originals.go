package linux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"swab/internal/collect"
	"swab/internal/collect/host"
)

// Originals are copied after all rows are in memory: what they say stands in the
// tables already, and who opens the package's tree of files with other tools finds
// the files themselves.

// Bounds of originals.
const (
	maxOriginal  = 8 << 20 // bytes of a file
	maxOriginals = 256     // files of one folder
)

// copyOriginals copies files by their names below the root. What a name leads to
// as a link is copied under the name. One that is not there is named in a note,
// one that can't be read is a miss, and one that may hold a secret stays where it
// is. Its error is that of a cancelled collection.
func copyOriginals(ctx context.Context, h *host.Host, out collect.Sink, names []string) error {
	var absent []string
	for _, name := range names {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		err := copyOriginal(h, out, name)
		switch {
		case err == nil:
		case errors.Is(err, collect.ErrFull):
			// The sink has recorded it, and there may be room for a smaller one.
		case host.Gone(err):
			absent = append(absent, h.Root.Name(name))
		default:
			out.Missing("copy of "+h.Root.Name(name), err)
		}
	}
	if len(absent) > 0 {
		out.Note("Not there, so not copied: %s.", strings.Join(absent, ", "))
	}
	return nil
}

// errKernels refuses what a link into procfs leads to: a process's environment has
// secrets, and no name that tells.
var errKernels = fmt.Errorf("it leads to a file of the kernel's own: %w", collect.ErrExcluded)

func copyOriginal(h *host.Host, out collect.Sink, name string) error {
	if leadsToSecret(h, name) {
		return collect.ErrExcluded
	}
	f, err := h.Root.OpenTarget(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if isShadow(h, f.Stat()) {
		return collect.ErrExcluded
	}
	size := f.Stat().Size
	head := make([]byte, max(1, min(size, maxOriginal)))
	n, _ := f.ReadAt(head, 0) // what can't be read is told when it is copied
	if size == 0 && n > 0 {
		return errKernels
	}
	if privateBytes(head[:min(n, privateHead)]) || holdsHash(head[:n]) {
		return collect.ErrExcluded
	}
	return out.Original(f, maxOriginal)
}

// leadsToSecret reports whether a name, or a link on the way that it leads, is
// that of a file that is never taken: /etc/hosts may be a link to /etc/shadow, or
// to a process's environment.
func leadsToSecret(h *host.Host, name string) bool {
	for range 40 { // as many links as the kernel follows
		if full := "/" + strings.TrimPrefix(name, "/"); privateName(full) || host.Special(full) {
			return true
		}
		target, err := h.Root.Readlink(name)
		if err != nil {
			return false // no link, or nothing that can be opened
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir("/"+name), target)
		}
		name = strings.TrimPrefix(path.Clean(target), "/")
	}
	return true
}

// shadows are the files of password hashes.
var shadows = []string{"etc/shadow", "etc/shadow-", "etc/gshadow", "etc/gshadow-", "etc/security/opasswd"}

// isShadow reports whether a file is one of them under another name.
func isShadow(h *host.Host, s host.Stat) bool {
	for _, name := range shadows {
		if other, err := h.Root.Stat(name); err == nil && other.Inode == s.Inode && other.Dev == s.Dev {
			return true
		}
	}
	return false
}

// passwordHash is a password's hash where passwd(5), group(5) and shadow(5) have it, in
// the second field: "$6$…", or the 13 characters of DES. Old systems keep it in
// passwd itself. A '!' before it locks the account.
var passwordHash = regexp.MustCompile(`^!*(\$[0-9A-Za-z-]+\$|_?[./0-9A-Za-z]{13}$)`)

func holdsHash(data []byte) bool {
	for line := range bytes.Lines(data) {
		f := bytes.SplitN(bytes.TrimRight(line, "\r\n"), []byte(":"), 5)
		if len(f) >= 4 && passwordHash.Match(f[1]) {
			return true
		}
	}
	return false
}
