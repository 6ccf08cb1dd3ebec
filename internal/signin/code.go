package signin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"time"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
)

// Code is an authorization code, as it is kept.
type Code struct {
	Tenant    string
	Hash      [32]byte
	App       string // client id
	Scope     Scope
	Redirect  string // as the request named it; "": it named none
	Challenge string // of PKCE, S256; "": none
	Nonce     string
	Browser   Session // the one that it was given to, as it is now: without ID where that has ended
	Session   string  // id of the session that it gave; "" for none
	Used      bool
	Expires   time.Time
}

// Request is what an application asks a browser for.
type Request struct {
	App       auth.App
	Scope     Scope
	Redirect  string // "" where the request named none
	Challenge string
	Nonce     string
}

// Check says what is wrong with a request as [Error]s can't: as fault.InvalidInput,
// with a text for whoever wrote the application.
func (r Request) Check() error {
	switch {
	case len(r.Nonce) > maxNonce:
		return fault.InvalidInput.Errorf(nil, "The parameter 'nonce' has over %d bytes", maxNonce)
	case r.Challenge == "" && r.App.Public:
		return fault.InvalidInput.Errorf(nil, "A public application proves each code by PKCE: send code_challenge, and code_challenge_method=S256")
	case r.Challenge != "" && len(r.Challenge) != base64.RawURLEncoding.EncodedLen(sha256.Size):
		return fault.InvalidInput.Errorf(nil, "The parameter 'code_challenge' is not the SHA-256 of a verifier in base64url: it has %d characters, and not 43", len(r.Challenge))
	}
	return nil
}

// Grant is what an application gets of a person's sign-in.
type Grant struct {
	Session Session
	Person  auth.Person
	Scope   Scope
	Granted []string    // among auth.Scopes
	Nonce   string      // of the request
	Refresh *auth.Clear // nil for none
}

// Authorize gives an application a code for somebody who is signed in.
func (d *Desk) Authorize(ctx context.Context, s Signed, r Request) (auth.Clear, error) {
	if err := r.Check(); err != nil {
		return auth.Clear{}, err
	}
	code := auth.NewSecret()
	return code, d.Records.AddCode(ctx, Code{
		Tenant: s.Session.Tenant, Hash: code.Hash(), App: r.App.ID, Scope: r.Scope, Redirect: r.Redirect, Challenge: r.Challenge, Nonce: r.Nonce,
		Browser: s.Session, Expires: d.now().Add(CodeLife),
	})
}

// Redeem gives an application, which has proved itself as far as it can, what a
// code is worth. Whatever is wrong with it is InvalidGrant.
func (d *Desk) Redeem(ctx context.Context, v Visitor, app auth.App, code, redirect, verifier string) (Grant, error) {
	var g Grant
	ctx, cancel := firm(ctx)
	defer cancel()
	var verdict error
	err := d.Records.TakeCode(ctx, v.Tenant.ID, sha256.Sum256([]byte(code)), func(c Code) (o Outcome) {
		g = Grant{Scope: c.Scope, Nonce: c.Nonce}
		verdict = d.judge(app, c, redirect, verifier)
		switch {
		case c.App != app.ID:
			return o // its own application may still come
		case c.Used:
			return d.reused(v, app, c.Session, "authorization code")
		case verdict != nil:
			return Outcome{Used: true}
		}
		g.Granted, verdict = c.Scope.Granted(app)
		if verdict != nil {
			return Outcome{Used: true}
		}
		g.Session = d.began(v, app, c.Browser, c.Scope)
		return d.give(&g, Outcome{Used: true, Begin: &g.Session, Entries: []audit.Entry{d.signedIn(v, app, g.Session)}})
	})
	if notThere(err) {
		return Grant{}, refuse(InvalidGrant, "The authorization code is wrong, or has run out; have the person sign in again")
	}
	return d.given(ctx, g, verdict, err)
}

// judge says what is wrong with a code that an application presents.
func (d *Desk) judge(app auth.App, c Code, redirect, verifier string) error {
	switch {
	case c.App != app.ID:
		return refuse(InvalidGrant, "The authorization code was given to another application")
	case c.Used:
		return refuse(InvalidGrant, "The authorization code was used already, so the sign-in that it gave has been ended; have the person sign in again")
	case !d.Now().Before(c.Expires):
		return refuse(InvalidGrant, "The authorization code has run out: it is good for two minutes")
	case c.Redirect != "" && c.Redirect != redirect:
		return refuse(InvalidGrant, "The parameter 'redirect_uri' is not the one that the sign-in was asked for with")
	case c.Challenge != "" && !proves(verifier, c.Challenge):
		return refuse(InvalidGrant, "The parameter 'code_verifier' does not fit the code_challenge that the sign-in was asked for with (PKCE)")
	case c.Challenge == "" && verifier != "":
		return refuse(InvalidGrant, "The sign-in was asked for without a code_challenge, so there is nothing that a code_verifier proves")
	case c.Browser.ID == "":
		return refuse(InvalidGrant, "The person has signed out meanwhile")
	}
	return nil
}

// proves says whether a verifier is what an S256 challenge was made of (RFC 7636).
func proves(verifier, challenge string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	if len(verifier) < 43 || len(verifier) > 128 || strings.Trim(verifier, letters) != "" {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// reused is what comes of a code or token that is used a second time: the sign-in
// that the first use gave ends.
func (d *Desk) reused(v Visitor, app auth.App, session, what string) Outcome {
	if session == "" {
		return Outcome{}
	}
	return Outcome{End: session, Entries: []audit.Entry{audit.NewEntry(d.Now(),
		audit.Leaf{Act: audit.ActReuse, Object: session, Result: audit.Refused, Detail: what},
		audit.Hidden{Who: string(auth.Application) + "/" + app.ID, Name: app.Name, From: v.From, Correlation: v.Correlation})}}
}

// signedIn is the entry of a sign-in to an application.
func (d *Desk) signedIn(v Visitor, app auth.App, s Session) audit.Entry {
	p := auth.Person{ID: s.Person, Principal: s.Principal}
	return d.entry(v, p, audit.ActSignIn, s.Person, strings.Join(s.Methods, ",")+" "+app.ID)
}

// give adds the refresh token that a grant asks for.
func (d *Desk) give(g *Grant, o Outcome) Outcome {
	if !g.Scope.Offline {
		return o
	}
	token := auth.NewSecret()
	g.Refresh = &token
	o.Refresh = &Refresh{
		Tenant: g.Session.Tenant, Hash: token.Hash(), Scope: g.Scope, Session: g.Session, Expires: g.Session.Expires,
	}
	return o
}

// given completes a grant after its transaction.
func (d *Desk) given(ctx context.Context, g Grant, verdict, err error) (Grant, error) {
	if err != nil {
		return Grant{}, err
	}
	if verdict != nil {
		return Grant{}, verdict
	}
	g.Person, err = d.Directory.Person(ctx, g.Session.Tenant, g.Session.Person)
	if notThere(err) {
		return Grant{}, refuse(InvalidGrant, "The person's account is disabled, or is gone")
	}
	return g, err
}
