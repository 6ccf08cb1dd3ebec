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

// leastCell is how much of a column is always left.
const leastCell = 10

// tableWithin is table with cells cut, so that lines have at most so many
// characters, or nearly; 0 for any number. The first columns, as many as whole,
// stay as they are. Of the others the widest are cut first.
func tableWithin(w io.Writer, columns, whole int, heading string, rows [][]string) error {
	if columns == 0 {
		return table(w, heading, rows)
	}
	// What is escaped is as long as it shows, and so cells are made printable here.
	printable := make([][]string, len(rows))
	var widths []int
	for _, name := range strings.Split(heading, " ") {
		widths = append(widths, utf8.RuneCountInString(name))
	}
	for i, row := range rows {
		printable[i] = make([]string, len(row))
		for c, cell := range row {
			printable[i][c] = command.Printable(cell)
			widths[c] = max(widths[c], utf8.RuneCountInString(printable[i][c]))
		}
	}
	over := 2*(len(widths)-1) - columns // two characters between columns
	for _, width := range widths {
		over += width
	}
	for ; over > 0; over-- {
		widest := whole
		for c := range widths[whole:] {
			if widths[whole+c] >= widths[widest] {
				widest = whole + c
			}
		}
		if widths[widest] <= leastCell {
			break
		}
		widths[widest]--
	}
	for _, row := range printable {
		for c := whole; c < len(row); c++ {
			if r := []rune(row[c]); len(r) > widths[c] {
				row[c] = string(r[:widths[c]-1]) + "…"
			}
		}
	}
	return table(w, heading, printable)
}
