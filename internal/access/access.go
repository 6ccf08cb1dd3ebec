// Package access is what administrators do about who may come in: here are the
// operations on enrolment tokens, by which devices join a tenant.
//
// As everywhere in the core, an operation takes its caller, asks for the
// permission first, and is an entry in the tenant's audit log, done or refused:
// a deed in the transaction that does it. Package auth says what a caller and a
// token are; it decides nothing about them.
package access

import (
	"context"
	"log/slog"
	"time"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
)

// Records is where the register is kept; *store.Store satisfies it.
type Records interface {
	auth.Recorder

	// Enrollments returns the tenant's enrolment tokens, without their hashes.
	Enrollments(ctx context.Context, tenant string) ([]auth.Enrollment, error)

	// RevokeEnrollment revokes a token and records e, in one transaction. What
	// is revoked already is returned as it is, and nothing is recorded; what is
	// not there is fault.NotFound.
	RevokeEnrollment(ctx context.Context, tenant, id string, e audit.Entry) (auth.Enrollment, error)
}

// Register is the list of those who may come in.
type Register struct {
	Records Records
	Now     func() time.Time
	Logger  *slog.Logger
}

func (r *Register) guard() auth.Guard { return auth.Guard{Records: r.Records, Now: r.Now} }

// Enrollments returns the tenant's enrolment tokens in the order of their ids,
// also those that admit nobody any more. No answer has a token or its hash.
func (r *Register) Enrollments(ctx context.Context, who auth.Caller) ([]auth.Enrollment, error) {
	if err := r.guard().Permit(ctx, who, audit.ActReadEnrollment, who.Tenant, auth.Administer); err != nil {
		return nil, err
	}
	return r.Records.Enrollments(ctx, who.Tenant)
}

// RevokeEnrollment makes an enrolment token worthless for good. Devices that
// joined by it stay; a second time changes nothing and is no mistake.
func (r *Register) RevokeEnrollment(ctx context.Context, who auth.Caller, id string) (auth.Enrollment, error) {
	if err := r.guard().Permit(ctx, who, audit.ActRevokeEnrollment, audit.Clip(id), auth.Administer); err != nil {
		return auth.Enrollment{}, err
	}
	if id != audit.Clip(id) { // no token has such an id, and a message must not repeat it
		return auth.Enrollment{}, r.refuse(ctx, who, id, fault.NotFound.Errorf(nil, "Enrolment token %s was not found", audit.Clip(id)))
	}
	e, err := r.Records.RevokeEnrollment(ctx, who.Tenant, id, audit.NewEntry(r.Now(), audit.Leaf{
		Act: audit.ActRevokeEnrollment, Object: id, Result: audit.Done,
	}, who.Hidden("")))
	if err != nil {
		return auth.Enrollment{}, r.refuse(ctx, who, id, err)
	}
	r.Logger.InfoContext(ctx, "enrolment token revoked", "enrollment", e.ID, "caller", who.ID, "correlation", who.Correlation)
	return e, nil
}

func (r *Register) refuse(ctx context.Context, who auth.Caller, id string, cause error) error {
	return r.guard().Refuse(ctx, who, audit.Leaf{Act: audit.ActRevokeEnrollment, Object: audit.Clip(id)}, "", cause)
}
