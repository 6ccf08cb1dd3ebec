package store

import (
	"context"
	"database/sql"
	"errors"

	"swab/internal/audit"
	"swab/internal/fault"
)

// AddRebase keeps the signed statement that devices have to go on with a tenant's
// log as it is, with the entry that says so. A head that is not the log's, or a
// number that is not higher than all before, is fault.BadRequest: the log was
// written to meanwhile, or the statement is an old one.
func (s *Store) AddRebase(ctx context.Context, r audit.Rebase, statement []byte, e audit.Entry) error {
	_, err := write(ctx, s, "rebase of the audit log of "+r.Tenant, func(ctx context.Context, t *tx) (struct{}, error) {
		there, err := knows(ctx, t.conn, r.Tenant, r.Head)
		if err != nil {
			return struct{}{}, err
		}
		if !there {
			return struct{}{}, fault.BadRequest.Errorf(nil, "The rebase is of another log than that of tenant %s as it is here", r.Tenant)
		}
		last, err := one(ctx, t.conn, value[int64], "SELECT coalesce(max(number), 0) FROM rebases WHERE tenant = ?", r.Tenant)
		if err != nil {
			return struct{}{}, err
		}
		if r.Number <= last {
			return struct{}{}, fault.BadRequest.Errorf(nil, "The rebase has number %d, and number %d is there: look at this machine's clock", r.Number, last)
		}
		if _, err := t.exec(ctx, "INSERT INTO rebases (tenant, number, statement) VALUES (?, ?, ?)", r.Tenant, r.Number, statement); err != nil {
			return struct{}{}, err
		}
		_, _, err = t.record(ctx, r.Tenant, e)
		return struct{}{}, err
	})
	return err
}

// RebaseFor returns the last statement by which devices go on with a tenant's log,
// where one who knows the log by that head can't go on without it. nil: the head
// is of this log, or there is none.
func (s *Store) RebaseFor(ctx context.Context, tenant string, known audit.Head) ([]byte, error) {
	return read(ctx, s, "rebase of the audit log of "+tenant, func(ctx context.Context, c *conn) ([]byte, error) {
		statement, err := one(ctx, c, value[[]byte], "SELECT statement FROM rebases WHERE tenant = ? ORDER BY number DESC LIMIT 1", tenant)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if there, err := knows(ctx, c, tenant, known); err != nil || there {
			return nil, err
		}
		return statement, nil
	})
}

// knows says whether a head is one that a tenant's log had, or has.
func knows(ctx context.Context, c *conn, tenant string, known audit.Head) (bool, error) {
	now, err := head(ctx, c, tenant)
	if err != nil || known.Size > now.Size {
		return false, err
	}
	then, err := audit.HeadOf(known.Size, hashReader(ctx, c, tenant, nil))
	return then == known, err
}
