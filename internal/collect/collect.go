package collect

import (
	"context"
	"time"

	"swab/internal/collect/host"
)

// A Collector gathers one item of the catalogue. It is told where to look and
// where to write, and touches nothing else: no clock, no environment, no network
// of its own.
type Collector interface {
	Spec() Spec
	Collect(ctx context.Context, h *host.Host, out Sink) error
}

// Spec says what a collector is. Folder, stage and tables stand in the catalogue
// under Item; a test holds the two together.
type Spec struct {
	Item    string        // of the catalogue: "linux.processes"
	Source  []string      // what it reads, for the ledger and the reference page: "/proc/PID/stat"
	Needs   Needs         // checked before it runs; an unmet need is recorded as skipped or denied
	Timeout time.Duration // 0: DefaultTimeout
}

// Needs is what a collector can't do without.
type Needs struct {
	Live bool // a running system, not a tree of files
	Root bool // the effective rights of root; without: denied
}

// A Sink takes what a collector found.
type Sink interface {
	// Row adds a row to one of the tables of the item: name is the table's
	// name in the catalogue, row a value of the table's one row type.
	Row(table string, row any) error

	// Original copies a file's bytes into the package's tree of originals,
	// with its stat before and after, up to max bytes (0: the item's bound).
	Original(f *host.File, max int64) error

	// Recovered copies the image of a process or an open file that no path
	// leads to into the item's folder under name ("recovered/1234-exe").
	Recovered(f *host.File, name, method string, max int64) error

	// Taken says that all volatile state is in memory. It returns when every
	// collector of the stage has said so, or has ended: what follows (hashes,
	// copies) then delays nobody. It returns a second after the call at the
	// latest: on a crowded host one collector may take many, and meanwhile
	// processes end whose executables are still to be hashed and copied.
	Taken(ctx context.Context) error

	// Missing records something that could not be read. Half an answer that
	// says so is worth more than none: collectors go on after it.
	Missing(name string, err error)

	// Clean says that one more source was read to its end and has nothing of
	// note. A collector that lists findings alone says so, so that the little
	// it could not read is told apart from an item that could not be read.
	Clean()

	// Truncated records that a bound left out so many rows and bytes.
	Truncated(cause string, rows, bytes int64)

	// Note adds a sentence to the item's ledger line.
	Note(format string, args ...any)
}
