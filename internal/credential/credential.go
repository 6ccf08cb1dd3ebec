package credential

import (
	"crypto/rand"
	"strings"
	"unicode"
)

// Clear is a secret as its holder has to type it. It prints as ***, and is told
// once, to whom it belongs; what is kept is a hash.
type Clear struct{ text string }

// Reveal is the secret itself.
func (c Clear) Reveal() string { return c.text }

func (c Clear) String() string   { return "***" }
func (c Clear) GoString() string { return "***" }

// MarshalText keeps the secret out of whatever is encoded in passing.
func (c Clear) MarshalText() ([]byte, error) { return []byte("***"), nil }

// readable are the small letters and digits that are not taken for one another,
// in print and in most hands: neither 0 and o nor 1, i and l. One of 31 is 4.95 bits.
const readable = "23456789abcdefghjkmnpqrstuvwxyz"

// random is characters of an alphabet (at most 256 bytes of ASCII), in groups of
// size joined by '-'. Each is as likely as any other: a byte beyond the last
// multiple of the alphabet's length is thrown away.
func random(alphabet string, groups, size int) string {
	var text strings.Builder
	limit := 256 - 256%len(alphabet)
	for n := 0; n < groups*size; {
		var b [64]byte
		rand.Read(b[:]) // never fails (crypto/rand)
		for _, c := range b {
			if int(c) >= limit || n == groups*size {
				continue
			}
			if n > 0 && n%size == 0 {
				text.WriteByte('-')
			}
			text.WriteByte(alphabet[int(c)%len(alphabet)])
			n++
		}
	}
	return text.String()
}

// maxTyped is how many bytes of a typed code are looked at.
const maxTyped = 64

// typed is a code as it was meant, however it was typed: without blanks and
// dashes of any kind, in small letters. It is empty where what is left is not
// length characters of the alphabet, which has small letters.
func typed(text, alphabet string, length int) string {
	if len(text) > maxTyped {
		return ""
	}
	code := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.Is(unicode.Dash, r):
			return -1
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		}
		return r
	}, text)
	if len(code) != length || strings.Trim(code, alphabet) != "" {
		return ""
	}
	return code
}
