package store

import (
	"context"
	"database/sql"
	"errors"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
)

// enrollmentColumns are what scanEnrollment reads. The hash is not among them:
// it is looked for and never shown.
const enrollmentColumns = "tenant, id, name, remaining, created, expires, revoked, tags"

func scanEnrollment(r row) (e auth.Enrollment, err error) {
	var remaining sql.NullInt64
	err = r.Scan(&e.Tenant, &e.ID, &e.Name, &remaining, when{&e.Created}, when{&e.Expires}, &e.Revoked, fromText{&e.Tags})
	e.Left = -1
	if remaining.Valid {
		e.Left = int(remaining.Int64)
	}
	return e, err
}

// CreateEnrollment keeps a new enrolment token's hash and bounds. One whose id
// or hash is there already is fault.InvalidInput.
func (s *Store) CreateEnrollment(ctx context.Context, e auth.Enrollment) error {
	_, err := write(ctx, s, "create enrolment token "+e.ID, func(ctx context.Context, t *tx) (struct{}, error) {
		return struct{}{}, t.createEnrollment(ctx, e)
	})
	return err
}

func (t *tx) createEnrollment(ctx context.Context, e auth.Enrollment) error {
	_, err := t.exec(ctx, "INSERT INTO enrollments (tenant, id, name, hash, remaining, created, expires, revoked, tags) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		e.Tenant, e.ID, e.Name, e.Hash[:], countOrNull(int64(e.Left)), ticks(e.Created), ticksOrNull(e.Expires), e.Revoked, text(e.Tags))
	if t.dialect.duplicate(err) {
		return fault.InvalidInput.Errorf(err, "Enrolment token %s exists already", e.ID)
	}
	return err
}

// countOrNull is a count for a column in which -1, there is none, is NULL.
func countOrNull(n int64) any {
	if n < 0 {
		return nil
	}
	return n
}

// Enrollments returns a tenant's enrolment tokens in the order of their ids,
// also those that admit nobody any more. Their hashes are left out.
func (s *Store) Enrollments(ctx context.Context, tenant string) ([]auth.Enrollment, error) {
	return read(ctx, s, "enrolment tokens of "+tenant, func(ctx context.Context, c *conn) ([]auth.Enrollment, error) {
		return all(ctx, c, scanEnrollment, "SELECT "+enrollmentColumns+" FROM enrollments WHERE tenant = ? ORDER BY id", tenant)
	})
}

// RevokeEnrollment revokes an enrolment token for good, records e, and returns
// the token without its hash. What is revoked already is returned as it is, and
// nothing is recorded.
func (s *Store) RevokeEnrollment(ctx context.Context, tenant, id string, e audit.Entry) (auth.Enrollment, error) {
	return write(ctx, s, "revoke enrolment token "+id, func(ctx context.Context, t *tx) (auth.Enrollment, error) {
		var none auth.Enrollment
		changed, err := t.exec(ctx, "UPDATE enrollments SET revoked = ? WHERE tenant = ? AND id = ? AND revoked = ?", true, tenant, id, false)
		if err != nil {
			return none, err
		}
		token, err := one(ctx, t.conn, scanEnrollment, "SELECT "+enrollmentColumns+" FROM enrollments WHERE tenant = ? AND id = ?", tenant, id)
		if errors.Is(err, sql.ErrNoRows) {
			return none, fault.NotFound.Errorf(err, "Enrolment token %s was not found", id)
		}
		if err != nil || changed == 0 {
			return token, err
		}
		_, _, err = t.record(ctx, tenant, e)
		return token, err
	})
}

// AddEnrollment keeps a new enrolment token as CreateEnrollment does, and
// records entry.
func (s *Store) AddEnrollment(ctx context.Context, e auth.Enrollment, entry audit.Entry) error {
	_, err := write(ctx, s, "create enrolment token "+e.ID, func(ctx context.Context, t *tx) (struct{}, error) {
		if err := t.createEnrollment(ctx, e); err != nil {
			return struct{}{}, err
		}
		_, _, err := t.record(ctx, e.Tenant, entry)
		return struct{}{}, err
	})
	return err
}
