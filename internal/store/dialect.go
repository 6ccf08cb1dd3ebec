package store

import (
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
)

// dialect is all in which one database differs from another for the queries of
// this package.
type dialect struct {
	goose      goose.Dialect
	migrations string // folder of the migrations

	// sideBySide: transactions run side by side, and one that is about to change
	// what it read locks it first.
	sideBySide bool

	// clock is the query of the time, in ticks, by the clock that all processes
	// on the database share; "": there is one process, and its own serves.
	clock string

	// orderedArms: what UNION ALL joins is merged where each part of it says its
	// order, and in how many rows; else where the whole does.
	orderedArms bool

	// duplicate says of an error that a row has a key which another has already.
	duplicate func(error) bool

	// unavailable says of an error that the database could not be used now: no
	// space, no disk, no connection. Nothing is wrong with what was asked.
	unavailable func(error) bool
}

// lock ends a SELECT of rows of a table that the transaction is about to change:
// whoever else is about to waits, and then sees what became of them. Rows that
// refer to them may be added meanwhile.
func (d dialect) lock(table string) string {
	if !d.sideBySide {
		return ""
	}
	return " FOR NO KEY UPDATE OF " + table
}

// share ends a SELECT of rows of a table that the transaction relies on: they do
// not change before it ends.
func (d dialect) share(table string) string {
	if !d.sideBySide {
		return ""
	}
	return " FOR SHARE OF " + table
}

// numbered puts a query into the words of a database whose parameters are $1,
// $2 … and not ?. Queries hold no question mark that is not a parameter.
func numbered(query string) string {
	var b strings.Builder
	n := 0
	for {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		n++
		b.WriteString("$" + strconv.Itoa(n))
		query = after
	}
}
