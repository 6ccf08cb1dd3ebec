package store

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
)

// once runs a query that was made for one call. Nothing of it is kept: there are
// as many such queries as callers think of. Nor does the database keep a plan of
// it, and so plans for the values that it has.
func (c *conn) once(ctx context.Context, query string, args []any) (rows, error) {
	return c.runner.(interface {
		once(ctx context.Context, query string, args []any) (rows, error)
	}).once(ctx, query, args)
}

func (p *prepared) once(ctx context.Context, query string, args []any) (rows, error) {
	return p.db.(interface {
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}).QueryContext(ctx, query, args...) //nolint:rowserrcheck // by those who ask
}

func (p *postgresRunner) once(ctx context.Context, query string, args []any) (rows, error) {
	r, err := p.db.Query(ctx, numbered(query), append([]any{pgx.QueryExecModeExec}, markedArgs(args)...)...)
	if err != nil {
		return nil, err
	}
	return postgresRows{r}, nil
}
