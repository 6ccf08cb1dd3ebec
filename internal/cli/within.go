package cli

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"swab/internal/command"
)

// width is how many characters a line of the terminal has that w is; 0 where it
// is none, and lines may be of any length.
func width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// leastCell is how much of the last column is always left.
const leastCell = 20

// tableWithin is table with the last column cut, so that lines have at most so
// many characters; 0 for any number. What the others take is not cut: ids are
// there to be copied.
func tableWithin(w io.Writer, columns int, heading string, rows [][]string) error {
	if columns == 0 {
		return table(w, heading, rows)
	}
	names := strings.Split(heading, " ")
	last := len(names) - 1
	left := columns
	for i, name := range names[:last] {
		most := utf8.RuneCountInString(name)
		for _, row := range rows {
			most = max(most, utf8.RuneCountInString(command.Printable(row[i])))
		}
		left -= most + 2
	}
	left = max(left, leastCell)
	cut := make([][]string, len(rows))
	for i, row := range rows {
		cut[i] = append([]string{}, row...)
		// Cut once it is printable: what is escaped is as long as it shows.
		if r := []rune(command.Printable(row[last])); len(r) > left {
			cut[i][last] = string(r[:left-1]) + "…"
		}
	}
	return table(w, heading, cut)
}
