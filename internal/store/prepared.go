package store

import (
	"context"
	"database/sql"
	"sync"
)

// prepared is the runner of package database/sql: on one connection, or on a pool.
type prepared struct {
	db pool

	mu    sync.Mutex
	stmts map[string]*sql.Stmt // by query; their number is that of the queries of this package
}

// pool is a *sql.DB or a *sql.Conn.
type pool interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func newConn(db pool, d dialect) *conn {
	return &conn{runner: &prepared{db: db, stmts: map[string]*sql.Stmt{}}, dialect: d}
}

func (p *prepared) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if stmt, ok := p.stmts[query]; ok {
		return stmt, nil
	}
	// Closed with its connection.
	stmt, err := p.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p.stmts[query] = stmt
	return stmt, nil
}

func (p *prepared) run(ctx context.Context, query string, args []any) (int64, error) {
	stmt, err := p.prepare(ctx, query)
	if err != nil {
		return 0, err
	}
	result, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (p *prepared) ask(ctx context.Context, query string, args []any) (rows, error) {
	stmt, err := p.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...) //nolint:rowserrcheck // by those who ask
}

func (p *prepared) once(ctx context.Context, query string, args []any) (rows, error) {
	return p.db.QueryContext(ctx, query, args...) //nolint:rowserrcheck // by those who ask
}
