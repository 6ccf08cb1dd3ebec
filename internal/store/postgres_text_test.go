package store_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"swab/internal/store"
)

// FuzzAnyTextHasAFormThatPostgreSQLHolds holds the form against what the
// database takes and what callers rely on: it comes back, two texts have one form
// only if they are one, and the beginning of a text has the beginning of its form.
func FuzzAnyTextHasAFormThatPostgreSQLHolds(f *testing.F) {
	for _, s := range []string{"", "plain", "\x00", "\U0010FFFF", "\U0010FFFF\u0100", "\xff\xfe", "é\xc3", "\U0010FFFE\x00\U0010FFFF\x00", "💥"} {
		f.Add(s, s+"x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := store.Marked(a), store.Marked(b)
		if !utf8.ValidString(x) || strings.ContainsRune(x, 0) {
			t.Errorf("%q has the form %q, which PostgreSQL refuses", a, x)
		}
		if got := store.Unmarked(x); got != a {
			t.Errorf("%q came back as %q", a, got)
		}
		if (x == y) != (a == b) {
			t.Errorf("%q and %q have the forms %q and %q", a, b, x, y)
		}
		if utf8.ValidString(a) && utf8.ValidString(b) && strings.HasPrefix(b, a) && !strings.HasPrefix(y, x) {
			t.Errorf("%q begins %q, but %q does not begin %q", a, b, x, y)
		}
	})
}
