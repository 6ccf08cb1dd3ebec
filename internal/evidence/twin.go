package evidence

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
)

// maxColumns bounds the columns of a table of which only the rows tell.
const maxColumns = 1000

// WriteTwin writes the CSV twin of a table, also where the package left it out:
// the same headings in the same order and the same cells. sample is a value of
// the row type, as for [Writer.Table]. Columns of the rows that the type does
// not have, as of an agent that is newer, come after its own, by their keys, in
// order of the alphabet; without a sample (nil) all columns do.
//
// Only what JSON can't tell apart is lost: a float that is not a number is an
// empty cell.
func (p *Package) WriteTwin(w io.Writer, t Listing, sample any) error {
	var columns []column
	known := map[string]bool{}
	var line []byte
	if sample != nil {
		s := schemaOf(sample)
		for _, c := range s.columns {
			known[c.name] = true
			if c.csv {
				columns = append(columns, c)
			}
		}
		line = append(line, s.head[:len(s.head)-1]...)
	}
	more, err := p.otherKeys(t, known)
	if err != nil {
		return err
	}
	for _, key := range more {
		if len(columns) > 0 {
			line = append(line, ',')
		}
		line = appendCSVText(line, key)
		columns = append(columns, column{name: key})
	}
	if _, err := w.Write(append(line, '\n')); err != nil {
		return err
	}
	for row, err := range p.Rows(t) {
		if err != nil {
			return err
		}
		line = appendTwinRow(line[:0], columns, row)
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// otherKeys are the keys of a table's rows that are not known, sorted.
func (p *Package) otherKeys(t Listing, known map[string]bool) ([]string, error) {
	var keys []string
	seen := map[string]bool{}
	for row, err := range p.Rows(t) {
		if err != nil {
			return nil, err
		}
		for key := range row {
			if known[key] || seen[key] {
				continue
			}
			seen[key] = true
			if keys = append(keys, key); len(keys) > maxColumns {
				return nil, fmt.Errorf("table %s has over %d columns", quote(t.Path), maxColumns)
			}
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// appendTwinRow appends a row, as it was read from JSON, as [record.appendCSV]
// appends the row that it was made of.
func appendTwinRow(b []byte, columns []column, row map[string]any) []byte {
	for i, c := range columns {
		if i > 0 {
			b = append(b, ',')
		}
		v, ok := row[c.name]
		if !ok && c.ptr != nil { // left out because it is zero
			b = appendCSVCell(b, reflect.New(c.ptr.Elem()).Interface())
			continue
		}
		b = appendTwinCell(b, v)
	}
	return append(b, '\n')
}

func appendTwinCell(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return b
	case bool:
		return fmt.Append(b, v)
	case json.Number:
		return append(b, v...) // of digits, a sign and an exponent, or it were no JSON
	case string:
		return appendCSVText(b, UnescapeText(v))
	case []any:
		texts := make([]string, len(v))
		for i, e := range v {
			texts[i] = textOf(e)
		}
		return appendCSVText(b, strings.Join(texts, "; "))
	default:
		return appendCSVText(b, textOf(v))
	}
}

// textOf is a value inside another: no table of ours has one but a text in a list.
func textOf(v any) string {
	if s, ok := v.(string); ok {
		return UnescapeText(s)
	}
	b, err := json.Marshal(v)
	if err != nil { // it was read from JSON
		return fmt.Sprint(v)
	}
	return string(b)
}
