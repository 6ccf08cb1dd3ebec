package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of names.
const (
	// maxComponent is the longest component of an entry's name, in bytes:
	// NTFS takes 255 units of UTF-16, and a clash mark must fit behind it.
	maxComponent = 240

	// maxName bounds a whole name, maxDepth its components.
	maxName  = 12 << 10
	maxDepth = 255
)

// OriginalPath is the place of a device's file in the tree of originals: of
// "/etc/passwd" it is "fs/$rootfs$/etc/passwd", of `C:\Windows\x` it is
// "fs/C/Windows/x". system is a GOOS.
func OriginalPath(system, path string) string {
	if system != "windows" {
		return "fs/$rootfs$/" + EntryName([]byte(strings.TrimPrefix(path, "/")))
	}
	path = strings.ReplaceAll(path, `\`, "/")
	if len(path) >= 2 && path[1] == ':' {
		path = strings.ToUpper(path[:1]) + path[2:]
	}
	return "fs/" + EntryName([]byte(strings.TrimPrefix(path, "/")))
}

// EntryName is a device's path in the form that entries have: every component
// valid on Windows, valid UTF-8, and free of what is not seen. What can't stand
// is written as %XX, byte by byte, and so is % itself, so that [DecodeName]
// finds the path again. A component that would be over 240 bytes long is cut,
// and ends in %7E and 16 hex digits of its SHA-256; of such a one the manifest
// alone has the original.
func EntryName(original []byte) string {
	var comps []string
	start := 0
	for i, c := range original {
		// A slash with nothing before or behind it separates nothing: it is
		// part of a component, and escaped.
		if c == '/' && i > 0 && original[i-1] != '/' && i+1 < len(original) && original[i+1] != '/' {
			comps = append(comps, escape(string(original[start:i])))
			start = i + 1
		}
	}
	return strings.Join(append(comps, escape(string(original[start:]))), "/")
}

// escape is one component in the form that entries have.
func escape(comp string) string {
	if comp == "" {
		return ""
	}
	var b strings.Builder
	reserved := reservedName(comp)
	for i := 0; i < len(comp); {
		r, n := utf8.DecodeRuneInString(comp[i:])
		last := i+n == len(comp)
		switch {
		case r == utf8.RuneError && n == 1, forbidden(r), last && (r == '.' || r == ' '), i == 0 && reserved:
			for _, c := range []byte(comp[i : i+n]) {
				b.Write([]byte{'%', hexUpper[c>>4], hexUpper[c&15]})
			}
		default:
			b.WriteString(comp[i : i+n])
		}
		i += n
	}
	s := b.String()
	if len(s) <= maxComponent {
		return s
	}
	sum := sha256.Sum256([]byte(comp))
	cut := s[:maxComponent-3-16]
	for !utf8.ValidString(cut) {
		cut = cut[:len(cut)-1]
	}
	if i := strings.LastIndexByte(cut, '%'); i >= 0 && i > len(cut)-3 {
		cut = cut[:i]
	}
	return cut + "%7E" + hex.EncodeToString(sum[:8])
}

// forbidden says whether a rune can't stand in a component on some system, or
// isn't seen.
func forbidden(r rune) bool {
	return strings.ContainsRune(`\:*?"<>|%/`, r) || unseen(r) || unicode.Is(unicode.Cc, r)
}

// reservedName says whether Windows takes a component for a device, with
// whatever follows its first dot.
func reservedName(comp string) bool {
	base, _, _ := strings.Cut(comp, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	for _, port := range []string{"COM", "LPT"} {
		if n, ok := strings.CutPrefix(base, port); ok && utf8.RuneCountInString(n) == 1 && strings.Contains("0123456789¹²³", n) {
			return true
		}
	}
	return false
}

// DecodeName gives the path that an entry's name stands for, clash marks taken
// off. ok is false where the name was cut, or is none of ours.
func DecodeName(name string) (original []byte, ok bool) {
	for i, comp := range strings.Split(name, "/") {
		if i > 0 {
			original = append(original, '/')
		}
		if at := strings.LastIndex(comp, "%7E"); at >= 0 {
			mark := comp[at+3:]
			if len(mark) == 16 {
				return nil, false
			}
			if mark != "" && strings.Trim(mark, "0123456789") == "" {
				comp = comp[:at]
			}
		}
		for j := 0; j < len(comp); j++ {
			if comp[j] != '%' {
				original = append(original, comp[j])
				continue
			}
			if j+2 >= len(comp) {
				return nil, false
			}
			c, err := hex.DecodeString(strings.ToLower(comp[j+1 : j+3]))
			if err != nil {
				return nil, false
			}
			original = append(original, c[0])
			j += 2
		}
	}
	return original, true
}

// checkName says what makes an entry's name unsafe to use as a path, on any
// system. It is nil for every name that the writer makes.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("is empty")
	case len(name) > maxName:
		return fmt.Errorf("has over %d bytes", maxName)
	case strings.Count(name, "/") >= maxDepth:
		return fmt.Errorf("has over %d components", maxDepth)
	case !utf8.ValidString(name):
		return errors.New("is not UTF-8")
	}
	for comp := range strings.SplitSeq(name, "/") {
		switch last := comp[max(0, len(comp)-1):]; {
		case comp == "":
			return errors.New("has an empty component or is absolute")
		case comp == "." || comp == "..":
			return errors.New("leaves its folder")
		case len(comp) > 255:
			return errors.New("has a component of over 255 bytes")
		case last == "." || last == " ":
			return errors.New("has a component that ends in a dot or space")
		case reservedName(comp):
			return errors.New("has a component that Windows takes for a device")
		}
		for i, r := range comp {
			if r == '%' {
				if i+2 >= len(comp) || !isUpperHex(comp[i+1]) || !isUpperHex(comp[i+2]) {
					return errors.New("has a % that escapes nothing")
				}
				continue
			}
			if forbidden(r) {
				return fmt.Errorf("has the character %U", r)
			}
		}
	}
	return nil
}

func isUpperHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' }

// fold is the name as a file system sees it that knows no case.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf {
			if 'A' <= r && r <= 'Z' {
				r += 'a' - 'A'
			}
			return r
		}
		// The smallest rune of an orbit stands for all of it (K, k, and the Kelvin sign).
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		if 'A' <= least && least <= 'Z' {
			least += 'a' - 'A'
		}
		return least
	}, name)
}

// names knows the names that are taken, without regard to case: of files, and
// of the folders above them. It keeps hashes; two names of one hash would at
// most be given a clash mark for nothing.
type names struct {
	seed  maphash.Seed
	taken map[uint64]bool // true: a file
}

func newNames() *names { return &names{seed: maphash.MakeSeed(), taken: map[uint64]bool{}} }

// hashes gives the hash of every folder above name, and then of name itself.
func (n *names) hashes(name string) []uint64 {
	var h maphash.Hash
	h.SetSeed(n.seed)
	var all []uint64
	for comp := range strings.SplitSeq(fold(name), "/") {
		h.WriteString(comp)
		all = append(all, h.Sum64())
		h.WriteByte('/')
	}
	return all
}

// claim takes a name and says whether nothing was in its way: no file of that
// name, no folder of that name, no file where it needs a folder.
func (n *names) claim(name string) bool {
	all := n.hashes(name)
	folders, self := all[:len(all)-1], all[len(all)-1]
	if _, ok := n.taken[self]; ok {
		return false
	}
	for _, h := range folders {
		if n.taken[h] {
			return false
		}
	}
	for _, h := range folders {
		n.taken[h] = false
	}
	n.taken[self] = true
	return true
}

// unique claims the name, or the first of name%7E1, name%7E2, … that is free.
// Where a file stands in the place of a folder it needs, the mark goes to the folder.
func (n *names) unique(name string) string {
	if n.claim(name) {
		return name
	}
	comps := strings.Split(name, "/")
	for i := range comps {
		plain := comps[i]
		for mark := 1; ; mark++ {
			all := n.hashes(strings.Join(comps[:i+1], "/"))
			file, ok := n.taken[all[i]]
			if !ok || i < len(comps)-1 && !file {
				break
			}
			comps[i] = fmt.Sprintf("%s%%7E%d", plain, mark)
		}
	}
	name = strings.Join(comps, "/")
	n.claim(name)
	return name
}

// safePath is the name with whatever [checkName] complains of escaped, or cut
// where it is too long or too deep.
func safePath(name string) string {
	if checkName(name) == nil {
		return name
	}
	var comps []string
	for comp := range strings.SplitSeq(name, "/") {
		if comp == "" {
			continue
		}
		if checkName(comp) != nil {
			comp = escape(comp)
		}
		comps = append(comps, comp)
	}
	if len(comps) == 0 {
		return "_"
	}
	if safe := strings.Join(comps, "/"); len(comps) <= maxDepth && len(safe) <= maxName {
		return safe
	}
	sum := sha256.Sum256([]byte(name))
	return strings.Join(comps[:min(len(comps), 8)], "/") + "/%7E" + hex.EncodeToString(sum[:8])
}
