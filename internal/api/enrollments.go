package api

import (
	"context"
	"net/http"

	"swab/internal/access"
	"swab/internal/auth"
)

// listed is a list of what Defender does not have.
type listed[T any] struct {
	Value []T `json:"value"`
}

// enrollment is an enrolment token as administrators see it: what it may still
// do. The token itself is told once, where it is made.
type enrollment struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`      // what it is for; may be ""
	Created   *string  `json:"created"`   // null: not known
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
	list := listed[enrollment]{Value: []enrollment{}}
	for _, e := range tokens {
		list.Value = append(list.Value, enrollmentOf(e))
	}
	return reply{body: list}, nil
}

// madeEnrollment is an enrolment token in the one answer that has it.
type madeEnrollment struct {
	enrollment
	Token string `json:"token"`
}

func (a *API) createEnrollment(ctx context.Context, c *call) (reply, error) {
	e, token, err := a.Register.CreateEnrollment(ctx, c.who, func() (access.NewEnrollment, error) {
		f := c.form(true, "name", "count", "expires", "tags")
		n := access.NewEnrollment{Name: f.text("name"), Count: f.count("count"), Expires: f.time("expires"), Tags: f.texts("tags")}
		return n, f.err
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, body: madeEnrollment{enrollmentOf(e), token.Reveal()}}, nil
}

// bare refuses the options of a request that has none, and takes no body: one
// that is sent is not read. Whoever may not do the thing is told that first, by
// the core, which asks for the right.
func (c *call) bare(right auth.Right) error {
	if c.who.Need(right) != nil {
		return nil
	}
	return c.plain()
}

func (a *API) revokeEnrollment(ctx context.Context, c *call) (reply, error) {
	if err := c.bare(auth.AdministerAccess); err != nil {
		return reply{}, err
	}
	e, err := a.Register.RevokeEnrollment(ctx, c.who, c.id("enrollment"))
	if err != nil {
		return reply{}, err
	}
	return reply{body: enrollmentOf(e)}, nil
}

// enrollmentOf is an enrolment token as the API shows it.
func enrollmentOf(e auth.Enrollment) enrollment {
	shown := enrollment{ID: e.ID, Name: e.Name, Created: moment(e.Created), Expires: moment(e.Expires), Revoked: e.Revoked, Tags: append([]string{}, e.Tags...)}
	if e.Left >= 0 {
		shown.Remaining = &e.Left
	}
	return shown
}
