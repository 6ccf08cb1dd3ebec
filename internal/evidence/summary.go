package evidence

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"swab/internal/catalog"
)

// summaryRow is one data point in the collection summary, of which the XLS and
// the CSV are two forms.
type summaryRow struct {
	DataPoint string    `csv:"Data Point"`
	Item      string    `csv:"Item"`
	Method    string    `csv:"Collection Method"`
	Status    Outcome   `csv:"Execution Status"`
	Code      int       `csv:"Error Code"`
	Error     string    `csv:"Error"`
	Start     time.Time `csv:"Start Time (UTC)"`
	Duration  int64     `csv:"Duration (ms)"`
	Rows      int64     `csv:"Rows"`
	Bytes     int64     `csv:"Bytes"`
	Files     string    `csv:"Files"`
	LeftRows  int64     `csv:"Rows Left Out"`
	LeftBytes int64     `csv:"Bytes Left Out"`
	Missing   int       `csv:"Not Read"`
	Notes     string    `csv:"Notes"`
}

// maxSummaryFiles is how many entries of an item the summary names; the ledger
// has them all.
const maxSummaryFiles = 20

type summary struct{ rows []summaryRow }

// summarize makes the summary of a ledger, in the order of the plan.
func summarize(m Manifest, plan catalog.Plan) summary {
	start, _ := time.Parse(time.RFC3339Nano, m.Clock.Start) // without one the column is empty
	var s summary
	for _, line := range m.Ledger {
		item, _ := plan.Item(line.Item)
		row := summaryRow{
			DataPoint: item.Title, Item: line.Item, Method: strings.Join(line.Source, "; "),
			Status: line.Outcome, Code: line.Code, Error: line.Cause,
			Duration: line.DurationMs, Rows: line.Rows, Bytes: line.Bytes,
			LeftRows: line.Left.Rows, LeftBytes: line.Left.Bytes, Notes: strings.Join(line.Notes, "; "),
		}
		if !start.IsZero() {
			row.Start = start.Add(time.Duration(line.StartMs) * time.Millisecond)
		}
		row.Files = strings.Join(line.Entries[:min(len(line.Entries), maxSummaryFiles)], "; ")
		if more := len(line.Entries) - maxSummaryFiles; more > 0 {
			row.Files += fmt.Sprintf("; and %d more", more)
		}
		for _, miss := range line.Missing {
			row.Missing += max(1, miss.Times)
		}
		s.rows = append(s.rows, row)
	}
	place := map[string]int{}
	for i, item := range plan.Items {
		place[item.Name] = i
	}
	slices.SortStableFunc(s.rows, func(a, b summaryRow) int { return place[a.Item] - place[b.Item] })
	return s
}

// csv is the summary as "Forensics Collection Summary.csv".
func (s summary) csv() []byte {
	rec := newRecord(schemaOf(summaryRow{}))
	b := slices.Clone(rec.head)
	for _, row := range s.rows {
		if err := rec.set(row); err != nil {
			panic("evidence: " + err.Error()) // both are summaryRow
		}
		b = rec.appendCSV(b)
	}
	return b
}
