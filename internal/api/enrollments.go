package api

import (
	"context"

	"swab/internal/auth"
)

// enrollments is a list of a tenant's enrolment tokens.
type enrollments struct {
	Value []enrollment `json:"value"`
}

// enrollment is an enrolment token as administrators see it: what it may still
// do. The token itself is told once, where it is made.
type enrollment struct {
	ID        string   `json:"id"`
	Remaining *int     `json:"remaining"` // enrolments; null: no count
	Expires   *string  `json:"expires"`   // null: never
	Revoked   bool     `json:"revoked"`
	Tags      []string `json:"tags"` // of the devices that join by it
}

func (a *API) enrollments(ctx context.Context, c *call) (reply, error) {
	tokens, err := a.Register.Enrollments(ctx, c.who)
	if err != nil {
		return reply{}, err
	}
	if err := c.plain(); err != nil {
		return reply{}, err
	}
	list := enrollments{Value: []enrollment{}}
	for _, e := range tokens {
		list.Value = append(list.Value, enrollmentOf(e))
	}
	return reply{body: list}, nil
}

// revokeEnrollment takes no body; one that is sent is not read.
func (a *API) revokeEnrollment(ctx context.Context, c *call) (reply, error) {
	// As for cancel: whoever may not revoke is told that first, by the core.
	if wrong := c.plain(); wrong != nil && c.who.Need(auth.Administer) == nil {
		return reply{}, wrong
	}
	e, err := a.Register.RevokeEnrollment(ctx, c.who, c.id("enrollment"))
	if err != nil {
		return reply{}, err
	}
	return reply{body: enrollmentOf(e)}, nil
}

// enrollmentOf is an enrolment token as the API shows it.
func enrollmentOf(e auth.Enrollment) enrollment {
	shown := enrollment{ID: e.ID, Expires: moment(e.Expires), Revoked: e.Revoked, Tags: append([]string{}, e.Tags...)}
	if e.Left >= 0 {
		shown.Remaining = &e.Left
	}
	return shown
}
