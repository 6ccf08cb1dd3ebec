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

	// numbered: parameters are $1, $2 … and not ?.
	numbered bool

	// lockRow ends a SELECT of a row that the transaction is about to change,
	// where transactions run side by side.
	lockRow string

	// duplicate says of an error that a row has a key which another has already.
	duplicate func(error) bool

	// unavailable says of an error that the database could not be used now: no
	// space, no disk, no connection. Nothing is wrong with what was asked.
	unavailable func(error) bool
}

// text puts a query into the dialect's words. Queries hold no question mark
// that is not a parameter.
func (d dialect) text(query string) string {
	if !d.numbered {
		return query
	}
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
