package cli

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"swab/internal/command"
	"swab/internal/evidence"
)

type showPackage struct {
	File  string `arg:"" help:"The package."`
	Table string `arg:"" optional:"" help:"One of its tables, by its path without extension, or by the last part of it."`
	CSV   bool   `name:"csv" help:"The table as CSV, also where the package left it out."`
	output
}

func (*showPackage) Help() string {
	return "Without a table: what was asked for, what came of it, and which tables there are. " +
		"With one: its rows, as JSON Lines. What a terminal would obey is escaped in either form. Nothing is proved by showing it: swab verify does that."
}

func (s *showPackage) Check() error {
	if s.CSV && s.Table == "" {
		return errors.New("--csv: of which table? swab show FILE lists them")
	}
	return nil
}

func (s *showPackage) Run(_ context.Context, env command.Env) error {
	f, size, err := openPackage(s.File)
	if err != nil {
		return err
	}
	defer f.Close()
	limits := evidence.DefaultLimits()
	p, err := evidence.Open(f, size, limits)
	if err != nil {
		return fmt.Errorf("%s: %w", s.File, err)
	}
	if s.Table == "" {
		return s.overview(env.Stdout, p, evidence.CheckFile(f, size, limits))
	}
	t, err := tableOf(p, s.Table)
	if err != nil {
		return err
	}
	if s.CSV {
		return writeCSV(env.Stdout, p, t)
	}
	for row, err := range p.Rows(t) {
		if err != nil {
			return err
		}
		line, err := json.Marshal(row)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(env.Stdout, "%s\n", safeJSON(line)); err != nil {
			return err
		}
	}
	return nil
}

// overview shows a package's ledger and tables.
func (s *showPackage) overview(w io.Writer, p *evidence.Package, r *evidence.Report) error {
	tables := p.Tables()
	out := struct {
		Class    evidence.Class     `json:"class"` // without trust in anything from outside
		Flaws    []evidence.Flaw    `json:"flaws"`
		Manifest *evidence.Manifest `json:"manifest"`
		Tables   []evidence.Listing `json:"tables"`
	}{r.Class, r.Flaws, r.Manifest, tables}
	return s.print(w, out, func(w io.Writer) error {
		pairs := []string{"package", s.File, "class", string(r.Class)}
		if len(r.Flaws) > 0 {
			pairs = append(pairs, "first flaw", r.Flaws[0].Error())
		}
		m := r.Manifest
		if m != nil {
			pairs = append(pairs, "device", string(m.Device.ID)+"  "+m.Device.Name, "system", m.Device.Platform+" "+m.Device.Version,
				"action", m.ActionID, "profile", m.Profile.Name, "collected", m.Clock.Start+" to "+m.Clock.End)
		}
		if err := fields(w, pairs...); err != nil {
			return err
		}
		if m != nil {
			rows := make([][]string, len(m.Ledger))
			for i, l := range m.Ledger {
				rows[i] = []string{l.Item, string(l.Outcome), strconv.FormatInt(l.Rows, 10), strconv.FormatInt(l.Bytes, 10), l.Cause}
			}
			fmt.Fprintln(w)
			if err := table(w, "ITEM OUTCOME ROWS BYTES WHY", rows); err != nil {
				return err
			}
		}
		fmt.Fprintln(w, "\ntables:")
		for _, t := range tables {
			fmt.Fprintf(w, "  %s\n", command.Printable(t.Path))
		}
		return nil
	})
}

// tableOf finds a table by its path, or by the last part of it where only one
// has that.
func tableOf(p *evidence.Package, name string) (evidence.Listing, error) {
	var found []evidence.Listing
	for _, t := range p.Tables() {
		if t.Path == name {
			return t, nil
		}
		if strings.EqualFold(t.Path[strings.LastIndexByte(t.Path, '/')+1:], name) {
			found = append(found, t)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return evidence.Listing{}, fmt.Errorf("no table %q; swab show FILE lists them", name)
	default:
		return evidence.Listing{}, fmt.Errorf("%d tables are called %q: give the path of one, as swab show FILE lists them", len(found), name)
	}
}

// writeCSV writes a table as CSV: the package's own, where it has one, else one
// made of the rows, whose columns are the rows' keys in order of the alphabet.
func writeCSV(w io.Writer, p *evidence.Package, t evidence.Listing) error {
	w = safeText{w}
	if t.CSV != "" {
		r, err := p.Entry(t.CSV)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.Copy(w, r)
		return err
	}
	columns := map[string]bool{}
	for row, err := range p.Rows(t) {
		if err != nil {
			return err
		}
		for key := range row {
			columns[key] = true
		}
	}
	var names []string
	for key := range columns {
		names = append(names, key)
	}
	slices.Sort(names)
	out := csv.NewWriter(w)
	out.UseCRLF = true
	if err := out.Write(names); err != nil {
		return err
	}
	for row, err := range p.Rows(t) {
		if err != nil {
			return err
		}
		cells := make([]string, len(names))
		for i, key := range names {
			cells[i] = cell(row[key])
		}
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// cell is a value as a cell: what a spreadsheet would take for a formula gets an
// apostrophe before it.
func cell(v any) string {
	var s string
	switch v := v.(type) {
	case nil:
	case json.Number:
		return v.String()
	case string:
		s = v
	default:
		b, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		s = string(b)
	}
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
