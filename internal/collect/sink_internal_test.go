package collect

import (
	"strings"
	"testing"

	"swab/internal/row"
)

func TestRowsAreHeldBackByTheSizeOfTheirTexts(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, r := range map[string]any{
		"a text": &row.OpenFile{Target: long},
		"a list": row.Process{Args: []string{"a", long}},
	} {
		s := &sink{r: &runner{}}
		n := 0
		for s.hold(nil, r) {
			n++
		}
		if want := maxHeld>>20 - 1; n != want {
			t.Errorf("%s: %d rows of a MiB are held back, want %d", name, n, want)
		}
		if s.r.held.Load() != s.heldLen || s.heldLen > maxHeld {
			t.Errorf("%s: %d bytes are held, counted as %d", name, s.heldLen, s.r.held.Load())
		}
	}
}
