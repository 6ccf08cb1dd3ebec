package cli_test

import (
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/command/commandtest"
	"swab/internal/evidence"
	"swab/internal/row"
)

// showCSV writes a package of one table of n processes and shows that table as
// CSV. left says whether the package left its twin out.
func showCSV(t *testing.T, n int) (rows [][]string, left bool) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "p.zip")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := evidence.NewWriter(f, func() time.Time { return epoch })
	table := w.Table("linux.processes", "Processes/processes", row.Process{})
	noise := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		var command string // which does not shrink
		for range 64 {
			command += fmt.Sprintf("%016x", noise.Uint64())
		}
		if err := table.Append(row.Process{PID: i, Name: "=x\x1b", Command: command, Args: []string{command}}); err != nil {
			t.Fatal(err)
		}
	}
	result, err := table.Close()
	if err != nil {
		t.Fatal(err)
	}
	got := commandtest.Call(t.Context(), swab, nil, "show", name, "processes", "--csv")
	if got.Code != 0 {
		t.Fatalf("%d %s", got.Code, got.Stderr)
	}
	if rows, err = csv.NewReader(strings.NewReader(got.Stdout)).ReadAll(); err != nil || len(rows) != n+1 {
		t.Fatalf("%d lines of %d rows, %v", len(rows), n, err)
	}
	return rows, result.CSVLeft
}

func TestShowMakesTheTwinThatAPackageLeftOut(t *testing.T) {
	kept, left := showCSV(t, 2)
	if left {
		t.Fatal("a package of two rows has no CSV")
	}
	made, left := showCSV(t, 6_000)
	if !left {
		t.Fatal("6,000 rows were kept as CSV")
	}
	if d := cmp.Diff(kept, made[:3]); d != "" {
		t.Errorf("heading and first rows (-of the package +made):\n%s", d)
	}
}
