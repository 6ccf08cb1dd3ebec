package store

import (
	"context"
	"database/sql"
)

// conn runs queries in the words of this package: on one connection, in one
// transaction, or on a pool.
type conn struct {
	runner
	dialect dialect
}

// runner runs queries on a database of one kind, each prepared once where it
// does not say otherwise.
type runner interface {
	// run runs a statement and returns how many rows it changed.
	run(ctx context.Context, query string, args []any) (int64, error)

	// ask runs a query and returns its answer, which the caller closes.
	ask(ctx context.Context, query string, args []any) (rows, error)

	// once is ask for a query that was made for one call. Nothing of it is kept:
	// there are as many such queries as callers think of. Nor does the database
	// keep a plan of it, and so plans for the values that it has.
	once(ctx context.Context, query string, args []any) (rows, error)
}

// row is one row of an answer.
type row interface{ Scan(dest ...any) error }

// rows are the rows of an answer, the one after the other.
type rows interface {
	row
	Next() bool
	Err() error
	Close() error
}

// exec runs a statement and returns how many rows it changed.
func (c *conn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	return c.run(ctx, query, args)
}

// one returns the first row of an answer; sql.ErrNoRows if there is none.
func one[T any](ctx context.Context, c *conn, scan func(row) (T, error), query string, args ...any) (T, error) {
	var none T
	rows, err := c.ask(ctx, query, args)
	if err != nil {
		return none, err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return none, err
		}
		return none, sql.ErrNoRows
	}
	v, err := scan(rows)
	if err != nil {
		return none, err
	}
	return v, rows.Close()
}

// all returns every row of an answer; an empty list, not nil, if there is none.
func all[T any](ctx context.Context, c *conn, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	rows, err := c.ask(ctx, query, args)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []T{}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// value scans a row of one column.
func value[T any](r row) (v T, err error) {
	err = r.Scan(&v)
	return v, err
}
