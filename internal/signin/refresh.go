package signin

import (
	"context"
	"crypto/sha256"
	"time"

	"swab/internal/auth"
)

// Refresh is a refresh token, as it is kept. Those of one session are a family:
// each takes the place of the one before it.
type Refresh struct {
	Tenant  string
	Hash    [32]byte
	Session Session // the application's sign-in, as it is now: of one that has ended only the ID
	Scope   Scope   // what the sign-in was asked for
	Used    bool
	Expires time.Time
}

// Renew gives an application a grant for a refresh token, which is good once.
// narrow is what the request asks for, which is no more than what the sign-in was
// asked for; nil for the same. Whatever is wrong with the token is InvalidGrant.
func (d *Desk) Renew(ctx context.Context, v Visitor, app auth.App, token string, narrow *Scope) (Grant, error) {
	var g Grant
	var verdict error
	ctx, cancel := firm(ctx)
	defer cancel()
	err := d.Records.TakeRefresh(ctx, v.Tenant.ID, sha256.Sum256([]byte(token)), func(r Refresh) (o Outcome) {
		g, verdict = Grant{Scope: r.Scope}, nil
		ended := r.Session.Person == ""
		switch {
		case !ended && r.Session.App != app.ID:
			verdict = refuse(InvalidGrant, "The refresh token was given to another application")
			return o
		case r.Used:
			verdict = refuse(InvalidGrant, "The refresh token was used already, and is good once: the sign-in has been ended; have the person sign in again")
			if ended {
				return o
			}
			return d.reused(v, app, r.Session.ID, "refresh token")
		case ended:
			verdict = refuse(InvalidGrant, "The sign-in has ended: its person signed out, the password was changed, or an administrator ended it")
			return o
		case !d.Now().Before(r.Expires):
			verdict = refuse(InvalidGrant, "The refresh token has run out: nobody used it for 90 days")
			return o
		case narrow != nil && !narrow.Within(r.Scope, app):
			verdict = refuse(InvalidScope, "The parameter 'scope' asks for more than what the person signed in for; have the person sign in again")
			return o
		}
		shown := r.Scope
		if narrow != nil {
			shown = *narrow
		}
		if g.Granted, verdict = shown.Granted(app); verdict != nil {
			return o
		}
		g.Session = r.Session.extended(d.now(), r.Scope)
		o = d.give(&g, Outcome{Used: true, Extend: &g.Session})
		g.Scope = shown
		return o
	})
	if notThere(err) {
		return Grant{}, refuse(InvalidGrant, "The refresh token is wrong, or its sign-in ended long ago; have the person sign in again")
	}
	return d.given(ctx, g, verdict, err)
}

// Revoke ends the sign-in that a refresh token keeps alive (RFC 7009), for the
// application that it was given to. A token that is worth nothing is no mistake.
func (d *Desk) Revoke(ctx context.Context, v Visitor, app auth.App, token string) error {
	ctx, cancel := firm(ctx)
	defer cancel()
	err := d.Records.TakeRefresh(ctx, v.Tenant.ID, sha256.Sum256([]byte(token)), func(r Refresh) (o Outcome) {
		if r.Session.Person == "" || r.Session.App != app.ID {
			return o
		}
		return d.ended(v, r.Session)
	})
	if notThere(err) {
		return nil
	}
	return err
}
