package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"swab/internal/catalog"
	"swab/internal/command"
	"swab/internal/evidence"
	"swab/internal/row"
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

// writeCSV writes a table as CSV: the package's own, where it has one, else the
// one that it would have had, made of the rows.
func writeCSV(w io.Writer, p *evidence.Package, t evidence.Listing) error {
	w = safeText{w}
	if t.CSV == "" {
		out := bufio.NewWriterSize(w, 64<<10)
		err := p.WriteTwin(out, t, sampleOf(t.Path))
		return errors.Join(out.Flush(), err) // the rows before an error are good
	}
	r, err := p.Entry(t.CSV)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}

// sampleOf is of the row type of the table that stands at a path in packages;
// nil where no release has one there.
func sampleOf(path string) any {
	for _, c := range catalog.Releases() {
		for _, plan := range c.Plans {
			for _, item := range plan.Items {
				for _, table := range item.Tables {
					if sample, ok := row.Sample(item.Name, table); ok && item.Path(table) == path {
						return sample
					}
				}
			}
		}
	}
	return nil
}
