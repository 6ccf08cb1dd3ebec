package cli

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTheWidestColumnsAreCutToTheTerminal(t *testing.T) {
	rows := [][]string{
		{strings.Repeat("1", 12), "short", "x"},
		{"22", "long " + strings.Repeat("ü\x1b", 50), strings.Repeat("y", 30)},
	}
	for columns, want := range map[int]int{60: 60, 40: 40, 30: 12 + 2*(2+leastCell), 0: 12 + 2 + 255 + 2 + 30} {
		var b strings.Builder
		if err := tableWithin(&b, columns, 1, "N DETAIL MORE", rows); err != nil {
			t.Fatal(err)
		}
		most := 0
		for line := range strings.Lines(b.String()) {
			most = max(most, utf8.RuneCountInString(strings.TrimRight(line, "\n")))
		}
		if most != want || strings.Contains(b.String(), "\x1b") || !strings.Contains(b.String(), rows[0][0]) {
			t.Errorf("%d columns: a line of %d, want %d\n%s", columns, most, want, b.String())
		}
	}
	if len(rows[1][1]) < 100 {
		t.Error("the rows themselves were cut")
	}
}
