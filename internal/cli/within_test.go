package cli

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTheLastColumnIsCutToTheTerminal(t *testing.T) {
	rows := [][]string{{"1", "short"}, {"22", "long " + strings.Repeat("ü\x1b", 50)}}
	for columns, want := range map[int]int{40: 40, 0: 0, 10: 4 + leastCell} {
		var b strings.Builder
		if err := tableWithin(&b, columns, "N DETAIL", rows); err != nil {
			t.Fatal(err)
		}
		most := 0
		for line := range strings.Lines(b.String()) {
			most = max(most, utf8.RuneCountInString(strings.TrimRight(line, "\n")))
		}
		if columns == 0 && most < 250 || columns > 0 && most != want || strings.Contains(b.String(), "\x1b") {
			t.Errorf("%d columns: a line of %d\n%s", columns, most, b.String())
		}
	}
	if rows[1][1][:5] != "long " || len(rows[1][1]) < 100 {
		t.Error("the rows themselves were cut")
	}
}
