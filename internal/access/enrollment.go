package access

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
)

// Bounds of an enrolment token.
const (
	MaxTags  = 20        // that its devices get
	MaxTag   = 200       // characters of one
	MaxCount = 1_000_000 // enrolments
)

// NewEnrollment is an enrolment token to be made.
type NewEnrollment struct {
	Name    string    // what it is for; may be empty
	Count   int       // enrolments; 0: no count
	Expires time.Time // zero: never
	Tags    []string
}

// Enrollments returns the tenant's enrolment tokens in the order of their ids,
// also those that admit nobody any more. No answer has a token or its hash.
func (r *Register) Enrollments(ctx context.Context, who auth.Caller) ([]auth.Enrollment, error) {
	if err := r.permit(ctx, who, audit.ActReadEnrollment, who.Tenant, auth.AdministerAccess); err != nil {
		return nil, err
	}
	return r.Records.Enrollments(ctx, who.Tenant)
}

// everywhere refuses a caller who does not reach all devices: those that join by
// an enrolment token, with its tags, may be in any group.
func everywhere(who auth.Caller) error {
	if !who.Reach().All {
		return fault.DisallowedOperation.Errorf(nil, "Enrolment tokens are made and revoked by those who reach all devices")
	}
	return nil
}

// CreateEnrollment makes a token by which devices join the caller's tenant. It is
// for those who reach all devices.
func (r *Register) CreateEnrollment(ctx context.Context, who auth.Caller, read func() (NewEnrollment, error)) (auth.Enrollment, auth.Clear, error) {
	if err := r.permit(ctx, who, audit.ActCreateEnrollment, who.Tenant, auth.AdministerAccess); err != nil {
		return auth.Enrollment{}, auth.Clear{}, err
	}
	err := everywhere(who)
	var n NewEnrollment
	if err == nil {
		n, err = read()
	}
	if err == nil {
		err = n.check(r.now())
	}
	if err != nil {
		return auth.Enrollment{}, auth.Clear{}, r.refuse(ctx, who, audit.ActCreateEnrollment, who.Tenant, err)
	}
	token, clear := enrollment(who.Tenant, n, r.now())
	if err := r.Records.AddEnrollment(ctx, token, r.changed(who, audit.ActCreateEnrollment, token.ID, n.changes())); err != nil {
		return auth.Enrollment{}, auth.Clear{}, err
	}
	r.Logger.InfoContext(ctx, "enrolment token made", "enrollment", token.ID, "caller", who.ID, "correlation", who.Correlation)
	return token, clear, nil
}

// enrollment makes a token of what was asked for.
func enrollment(tenant string, n NewEnrollment, now time.Time) (auth.Enrollment, auth.Clear) {
	clear := auth.NewEnrollmentToken()
	token := auth.Enrollment{
		Tenant: tenant, ID: uuid.NewString(), Name: n.Name, Hash: clear.Hash(), Created: now, Left: -1, Expires: n.Expires,
		Tags: append([]string{}, n.Tags...),
	}
	if n.Count > 0 {
		token.Left = n.Count
	}
	return token, clear
}

// changes are what stands in the entry of a token that is made.
func (n NewEnrollment) changes() (c audit.Changes) {
	c.Add("name", "", n.Name)
	if n.Count > 0 {
		c.Add("count", "", strconv.Itoa(n.Count))
	}
	c.Add("expires", "", moment(n.Expires))
	c.AddList("tags", nil, n.Tags)
	return c
}

func (n NewEnrollment) check(now time.Time) error {
	if err := title("name", n.Name, false); err != nil {
		return err
	}
	switch {
	case n.Count < 0 || n.Count > MaxCount:
		return fault.InvalidInput.Errorf(nil, "count is not from 1 to %d; leave it out for a token without a count", MaxCount)
	case !n.Expires.IsZero() && !n.Expires.After(now):
		return fault.InvalidInput.Errorf(nil, "expires is in the past; leave it out for a token without an end")
	case len(n.Tags) > MaxTags:
		return fault.InvalidInput.Errorf(nil, "tags has over %d of them", MaxTags)
	}
	for i, tag := range n.Tags {
		if err := title("a tag", tag, true); err != nil {
			return err
		}
		if slices.Contains(n.Tags[:i], tag) {
			return fault.InvalidInput.Errorf(nil, "a tag stands in tags twice")
		}
	}
	return nil
}

// RevokeEnrollment makes an enrolment token worthless for good. Devices that
// joined by it stay; a second time changes nothing and is no mistake. It is for
// those who reach all devices.
func (r *Register) RevokeEnrollment(ctx context.Context, who auth.Caller, id string) (auth.Enrollment, error) {
	if err := r.permit(ctx, who, audit.ActRevokeEnrollment, id, auth.AdministerAccess); err != nil {
		return auth.Enrollment{}, err
	}
	err := everywhere(who)
	if err == nil {
		err = named("Enrolment token", id)
	}
	var e auth.Enrollment
	if err == nil {
		e, err = r.Records.RevokeEnrollment(ctx, who.Tenant, id, r.done(who, audit.ActRevokeEnrollment, id, ""))
	}
	if err != nil {
		return auth.Enrollment{}, r.refuse(ctx, who, audit.ActRevokeEnrollment, id, err)
	}
	r.Logger.InfoContext(ctx, "enrolment token revoked", "enrollment", e.ID, "caller", who.ID, "correlation", who.Correlation)
	return e, nil
}
