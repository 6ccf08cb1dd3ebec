package command

import (
	"fmt"
	"maps"
	"slices"

	"github.com/alecthomas/kong"
)

// Table is the type of a setting that is one word or, in the file alone, a
// mapping of names to words and to mappings of names to words:
//
//	limits:
//	  getMachineAction: off
//	  getPackageUri: {minute: 20, hour: 1200}
type Table struct {
	Word string // "" where there are rows
	Rows map[string]Row
}

// Row is what stands at one name.
type Row struct {
	Word  string // "" where there are cells
	Cells map[string]string
}

// Names are the names of the rows, in order.
func (t Table) Names() []string { return slices.Sorted(maps.Keys(t.Rows)) }

// Decode takes what a flag, a variable or the file has.
func (t *Table) Decode(ctx *kong.DecodeContext) error {
	*t = Table{}
	switch v := ctx.Scan.Pop().Value.(type) {
	case string:
		t.Word = v
		return nil
	case map[string]any:
		t.Rows = map[string]Row{}
		for name, row := range v {
			switch row := row.(type) {
			case string:
				t.Rows[name] = Row{Word: row}
			case map[string]any:
				cells := map[string]string{}
				for cell, value := range row {
					text, ok := value.(string)
					if !ok {
						return fmt.Errorf("%s: %s takes a single value", name, cell)
					}
					cells[cell] = text
				}
				t.Rows[name] = Row{Cells: cells}
			default:
				return fmt.Errorf("%s takes a single value or a mapping", name)
			}
		}
		return nil
	}
	return fmt.Errorf("takes a single value or a mapping of names")
}
