package signin

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"swab/internal/audit"
	"swab/internal/auth"
)

// Session is one sign-in of a person: a browser's, or an application's.
type Session struct {
	Tenant    string
	ID        string   // sid in tokens; no secret
	Cookie    [32]byte // SHA-256 of a browser's cookie; of none for an application's
	Person    string   // id
	Principal string   // the person's user principal name, as it is now
	App       string   // client id; "": the browser's own
	Parent    string   // id of the browser's session that it began from; "" for none
	Methods   []string // how the person proved themselves: pwd, otp, kba, mfa
	Proved    time.Time
	Created   time.Time
	Used      time.Time
	Expires   time.Time
	From      string // address
	Agent     string // what the browser or program calls itself
}

// Signed is somebody who is signed in in a browser.
type Signed struct {
	Session Session
	Person  auth.Person
}

// ProvedWithin says whether the person proved who they are no longer ago than d.
func (s Signed) ProvedWithin(d time.Duration, now time.Time) bool {
	age := now.Sub(s.Session.Proved)
	return age > -time.Minute && age <= d
}

// Begin begins the browser's session of somebody who has proved who they are, in
// the place of the one that the browser had ("" for none), and returns the cookie
// by which it is known.
func (d *Desk) Begin(ctx context.Context, v Visitor, p Progress, replaces string) (Signed, auth.Clear, error) {
	person, _, err := d.check(ctx, v, p, StepDone)
	if err != nil {
		return Signed{}, auth.Clear{}, err
	}
	cookie, now := auth.NewSecret(), d.now()
	s := Session{
		Tenant: v.Tenant.ID, ID: uuid.NewString(), Cookie: cookie.Hash(), Person: person.ID, Principal: person.Principal, Methods: p.Methods,
		Proved: p.At, Created: now, Used: now, Expires: now.Add(BrowserIdle), From: v.From, Agent: clip(v.Agent, maxAgent),
	}
	err = d.Records.AddSession(ctx, s, nil, replaces, func(c auth.Credential) error {
		if p.outdated(c) {
			return errTooLate
		}
		return nil
	}, d.entry(v, person, audit.ActSignIn, person.ID, strings.Join(p.Methods, ",")))
	if err != nil {
		return Signed{}, auth.Clear{}, err
	}
	d.Logger.InfoContext(ctx, "signed in", "person", person.ID, "from", v.From, "correlation", v.Correlation)
	return Signed{s, person}, cookie, nil
}

// Find is who is signed in in the browser with the cookie; false if nobody is.
func (d *Desk) Find(ctx context.Context, v Visitor, cookie string) (Signed, bool, error) {
	if cookie == "" || len(cookie) > 64 {
		return Signed{}, false, nil
	}
	s, err := d.Records.BrowserSession(ctx, v.Tenant.ID, sha256.Sum256([]byte(cookie)))
	if notThere(err) {
		return Signed{}, false, nil
	}
	if err != nil {
		return Signed{}, false, err
	}
	person, err := d.Directory.Person(ctx, v.Tenant.ID, s.Person)
	if notThere(err) {
		return Signed{}, false, nil
	}
	if err != nil {
		return Signed{}, false, err
	}
	if now := d.now(); now.Sub(s.Used) >= useEvery {
		s.Used = now
		if s.Expires = now.Add(BrowserIdle); s.Expires.After(s.Created.Add(BrowserLife)) {
			s.Expires = s.Created.Add(BrowserLife)
		}
		if err := d.Records.UseSession(ctx, s.Tenant, s.ID, s.Used, s.Expires); err != nil {
			return Signed{}, false, err
		}
	}
	return Signed{s, person}, true, nil
}

// SignOut ends somebody's own sign-in in this browser. Applications that began
// from it go on: who signs out at a borrowed computer does not sign out of the
// command line at home.
func (d *Desk) SignOut(ctx context.Context, v Visitor, s Signed) error {
	return d.signOut(ctx, v, s, s.Session.ID, true)
}

// SignOutOf ends one of somebody's sign-ins: of an application, or of a browser
// and then of the applications that began from it, since it may have been a
// stranger's. One that is not theirs is fault.NotFound.
func (d *Desk) SignOutOf(ctx context.Context, v Visitor, s Signed, id string) error {
	return d.signOut(ctx, v, s, id, false)
}

func (d *Desk) signOut(ctx context.Context, v Visitor, s Signed, id string, alone bool) error {
	return d.Records.EndSession(ctx, v.Tenant.ID, s.Person.ID, id, alone, d.entry(v, s.Person, audit.ActEndSignIn, s.Person.ID, audit.Clip(id)))
}

// SignOutEverywhere ends all of somebody's sign-ins, this one too.
func (d *Desk) SignOutEverywhere(ctx context.Context, v Visitor, s Signed) error {
	return d.Records.EndSessions(ctx, v.Tenant.ID, s.Person.ID, "", d.entry(v, s.Person, audit.ActEndSignIn, s.Person.ID, "all"))
}

// Own returns where somebody is signed in, the sign-ins used last first.
func (d *Desk) Own(ctx context.Context, s Signed) ([]Session, error) {
	return d.Records.Sessions(ctx, s.Person.Tenant, s.Person.ID, maxSessions)
}

// began is a sign-in of an application, begun from a browser's session.
func (d *Desk) began(v Visitor, app auth.App, from Session, scope Scope) Session {
	now := d.now()
	s := Session{
		Tenant: from.Tenant, ID: uuid.NewString(), Person: from.Person, Principal: from.Principal, App: app.ID, Parent: from.ID,
		Methods: slices.Clone(from.Methods), Proved: from.Proved, Created: now, From: v.From, Agent: clip(v.Agent, maxAgent),
	}
	return s.extended(now, scope)
}

// extended is a sign-in of an application that gets tokens now: it lasts as long
// as they do.
func (s Session) extended(now time.Time, scope Scope) Session {
	s.Used, s.Expires = now, now.Add(auth.TokenLife+auth.Skew)
	if scope.Offline {
		s.Expires = now.Add(RefreshLife)
	}
	return s
}
