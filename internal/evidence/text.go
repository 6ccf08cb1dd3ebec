package evidence

import (
	"strings"
	"unicode/utf8"
)

// What a device says may be made to hurt its reader: escape sequences for a
// terminal, marks that turn the direction of writing, formulas for a
// spreadsheet, bytes that are no UTF-8. Tables keep every character of it, in a
// form in which it does nothing.

const (
	hexLower = "0123456789abcdef"
	hexUpper = "0123456789ABCDEF"
)

// unseen says whether a rune is shown as nothing, or changes how others are
// shown: C1 controls, line separators, marks of direction and of width zero.
func unseen(r rune) bool {
	switch {
	case r < 0x7f:
		return r < ' '
	case r <= 0x9f: // DEL and C1
		return true
	case r < 0x061c:
		return r == 0xad
	}
	return r == 0x061c || r == 0x180e || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e ||
		r >= 0x2060 && r <= 0x206f || r == 0xfeff || r >= 0xfff9 && r <= 0xfffb || r >= 0xe0000 && r <= 0xe007f
}

// appendJSONText appends s as a JSON string. A byte that is not part of UTF-8
// becomes the four characters \xNN, and so does a backslash that is followed by an
// x, so that [UnescapeText] has the bytes back.
func appendJSONText(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < 0x7f {
			i++
			continue
		}
		r, n := rune(c), 1
		if c >= utf8.RuneSelf {
			if r, n = utf8.DecodeRuneInString(s[i:]); (r != utf8.RuneError || n > 1) && !unseen(r) {
				i += n
				continue
			}
		}
		b = append(b, s[start:i]...)
		switch {
		case c == '\\' && next(s, i) == 'x':
			b = append(b, '\\', '\\', 'x', '5', 'c')
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\t':
			b = append(b, '\\', 't')
		case r == utf8.RuneError && n == 1:
			b = append(b, '\\', '\\', 'x', hexLower[c>>4], hexLower[c&15])
		case r > 0xffff: // of the unseen ones only the tags, in plane 14
			r -= 0x10000
			b = appendEscape(appendEscape(b, 0xd800+r>>10), 0xdc00+r&0x3ff)
		default:
			b = appendEscape(b, r)
		}
		i += n
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

// next is the byte after the one at i; 0 at the end.
func next(s string, i int) byte {
	if i+1 < len(s) {
		return s[i+1]
	}
	return 0
}

// UnescapeText is the bytes that the device had, of a text in a table's JSON
// Lines: each \xNN (two lower-case hex digits) is one of them.
func UnescapeText(text string) string {
	at := strings.Index(text, `\x`)
	if at < 0 {
		return text
	}
	b := append(make([]byte, 0, len(text)), text[:at]...)
	for i := at; i < len(text); i++ {
		if text[i] == '\\' && next(text, i) == 'x' && i+3 < len(text) {
			high, low := strings.IndexByte(hexLower, text[i+2]), strings.IndexByte(hexLower, text[i+3])
			if high >= 0 && low >= 0 {
				b = append(b, byte(high<<4|low))
				i += 3
				continue
			}
		}
		b = append(b, text[i])
	}
	return string(b)
}

func appendEscape(b []byte, r rune) []byte {
	return append(b, '\\', 'u', hexLower[r>>12&15], hexLower[r>>8&15], hexLower[r>>4&15], hexLower[r&15])
}

// appendCSVText appends s as a CSV cell that no spreadsheet runs and no terminal
// obeys: a leading ' where it would be a formula, and \xNN or \u{N} in place of
// what is not seen and of a backslash that would look like the beginning of one. Only line feeds and tabs inside it stay.
func appendCSVText(b []byte, s string) []byte {
	quote, clean := false, true
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == ',' || c == ';' || c == '\n' || c == '\t':
			quote = true
		case c < ' ' || c >= 0x7f || c == '\\':
			clean = false
		}
	}
	if s != "" && (s[0] == ' ' || s[len(s)-1] == ' ') {
		quote = true
	}
	if quote {
		b = append(b, '"')
	}
	if formula(s) {
		b = append(b, '\'')
	}
	if clean && !quote {
		return append(b, s...)
	}
	for i := 0; i < len(s); {
		c := s[i]
		r, n := rune(c), 1
		if c >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
		}
		switch {
		case c == '"':
			b = append(b, '"', '"')
		case c == '\n' || c == '\t':
			b = append(b, c)
		case c < ' ' || c == 0x7f || r == utf8.RuneError && n == 1, c == '\\' && (next(s, i) == 'x' || strings.HasPrefix(s[i+1:], "u{")):
			b = append(b, '\\', 'x', hexLower[c>>4], hexLower[c&15])
		case unseen(r):
			b = append(b, '\\', 'u', '{')
			for shift := 20; shift >= 0; shift -= 4 {
				if d := r >> shift; d > 0 {
					b = append(b, hexLower[d&15])
				}
			}
			b = append(b, '}')
		default:
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	if quote {
		b = append(b, '"')
	}
	return b
}

// formula says whether a spreadsheet would take the cell for a formula: by its
// first character, of usual or of full width.
func formula(s string) bool {
	if s == "" {
		return false
	}
	switch s[0] {
	case '=', '+', '-', '@', '\t', '\r', '\n':
		return true
	}
	switch r, _ := utf8.DecodeRuneInString(s); r {
	case '＝', '＋', '－', '＠':
		return true
	}
	return false
}

// ValidText is s with each byte that is no UTF-8 as \xNN: what of a text can
// stand in the manifest. It is for reading: where the bytes matter, as of an
// original's path, they stand beside it.
func ValidText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b []byte
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			b = append(b, '\\', 'x', hexLower[s[i]>>4], hexLower[s[i]&15])
		} else {
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	return string(b)
}
