package store

import (
	"context"
	"database/sql"
	"sync"
)

// conn runs queries, each prepared once: on one connection, or on a pool.
type conn struct {
	db interface {
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	}
	dialect dialect

	mu    sync.Mutex
	stmts map[string]*sql.Stmt // by query; their number is that of the queries of this package
}

func newConn(db interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}, d dialect) *conn {
	return &conn{db: db, dialect: d, stmts: map[string]*sql.Stmt{}}
}

func (c *conn) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if stmt, ok := c.stmts[query]; ok {
		return stmt, nil
	}
	// Closed with its connection.
	stmt, err := c.db.PrepareContext(ctx, c.dialect.text(query))
	if err != nil {
		return nil, err
	}
	c.stmts[query] = stmt
	return stmt, nil
}

// exec runs a statement and returns how many rows it changed.
func (c *conn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	stmt, err := c.prepare(ctx, query)
	if err != nil {
		return 0, err
	}
	result, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// row is one row of an answer.
type row interface{ Scan(dest ...any) error }

// one returns the first row of an answer; sql.ErrNoRows if there is none.
func one[T any](ctx context.Context, c *conn, scan func(row) (T, error), query string, args ...any) (T, error) {
	stmt, err := c.prepare(ctx, query)
	if err != nil {
		var none T
		return none, err
	}
	return scan(stmt.QueryRowContext(ctx, args...))
}

// all returns every row of an answer; an empty list, not nil, if there is none.
func all[T any](ctx context.Context, c *conn, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	stmt, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(ctx, args...)
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
