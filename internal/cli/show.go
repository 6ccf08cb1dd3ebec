package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"swab/internal/command"
)

// output is how a command shows its result.
type output struct {
	JSON bool `name:"json" help:"Print JSON, for programs."`
}

// print writes v as JSON where that was asked for, else lets text write.
func (o output) print(w io.Writer, v any, text func(io.Writer) error) error {
	if !o.JSON {
		return text(w)
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", safeJSON(b))
	return err
}

// safeJSON writes what a terminal would obey as JSON's own escapes, which says
// the same to whoever reads the JSON.
func safeJSON(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r < ' ' || r >= ' ' && r < utf8.RuneSelf && r != 0x7f || command.Printable(string(r)) == string(r):
			out = append(out, b[:n]...) // below the space, only the layout's own line breaks are left
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		b = b[n:]
	}
	return out
}

// safeText writes text of several lines with what a terminal would obey escaped.
type safeText struct{ w io.Writer }

// Write may be given half a rune at its end: that shows as its bytes, which is
// safe as well.
func (s safeText) Write(p []byte) (int, error) {
	var b strings.Builder
	for line := range strings.Lines(string(p)) {
		text := strings.TrimRight(line, "\r\n")
		b.WriteString(command.Printable(text))
		b.WriteString(line[len(text):])
	}
	if _, err := io.WriteString(s.w, b.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// table writes rows under a heading, in columns. Every cell is made printable.
func table(w io.Writer, heading string, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, strings.ReplaceAll(heading, " ", "\t"))
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = command.Printable(cell)
			if cells[i] == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	return tw.Flush()
}

// fields writes name and value pairs, a line each, and leaves out what is empty.
func fields(w io.Writer, pairs ...string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(tw, "%s\t%s\n", pairs[i], command.Printable(pairs[i+1]))
		}
	}
	return tw.Flush()
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
