package access

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
)

// Bounds of an application's credentials.
const (
	MaxCredentials = 16                   // secrets, and certificates, at once
	SecretLife     = 365 * 24 * time.Hour // of a secret where nothing else is asked for
	MaxSecretLife  = 10 * SecretLife
)

// NewApp is an application to be made.
type NewApp struct {
	Name      string
	Roles     []string   // among auth.Permissions
	Scopes    []string   // among auth.Scopes: all users consent to them hereby
	Redirects []string   // see CheckRedirect
	Public    bool       // it runs where it can keep no secret
	Secret    *NewSecret // its first one; nil: none
}

// AppChange is what is to become of an application; nil: as it was.
type AppChange struct {
	Name      *string
	Roles     *[]string
	Scopes    *[]string
	Redirects *[]string
	Public    *bool
}

// NewSecret is a secret to be made.
type NewSecret struct {
	Name    string    // what it is for; may be empty
	Expires time.Time // zero: in SecretLife
}

// MadeSecret is a secret that was made, and the only sight of it.
type MadeSecret struct {
	auth.Secret
	Clear auth.Clear
}

// Apps returns the tenant's applications, the oldest first, also those that are
// revoked.
func (r *Register) Apps(ctx context.Context, who auth.Caller) ([]auth.App, error) {
	if err := r.permit(ctx, who, audit.ActReadApp, who.Tenant, auth.AdministerAccess); err != nil {
		return nil, err
	}
	return r.Records.Apps(ctx, who.Tenant)
}

// App returns one application.
func (r *Register) App(ctx context.Context, who auth.Caller, id string) (auth.App, error) {
	if err := r.permit(ctx, who, audit.ActReadApp, id, auth.AdministerAccess); err != nil {
		return auth.App{}, err
	}
	err := named("Application", id)
	var app auth.App
	if err == nil {
		app, err = r.Records.App(ctx, who.Tenant, id)
	}
	if err != nil {
		return auth.App{}, r.refuse(ctx, who, audit.ActReadApp, id, err)
	}
	return app, nil
}

// CreateApp makes an application. Its first secret is nil where none was asked
// for.
func (r *Register) CreateApp(ctx context.Context, who auth.Caller, read func() (NewApp, error)) (auth.App, *MadeSecret, error) {
	if err := r.permit(ctx, who, audit.ActApp, who.Tenant, auth.AdministerAll); err != nil {
		return auth.App{}, nil, err
	}
	n, err := read()
	var app auth.App
	var first *MadeSecret
	if err == nil {
		app, first, err = n.app(who.Tenant, r.now())
	}
	if err != nil {
		return auth.App{}, nil, r.refuse(ctx, who, audit.ActApp, who.Tenant, err)
	}
	e := r.changed(who, audit.ActApp, app.ID, appChanges(auth.App{}, app))
	e.Leaf.Detail = strings.Join(append(slices.Clone(app.Roles), app.Scopes...), ",")
	if err := r.Records.AddApp(ctx, app, e); err != nil {
		return auth.App{}, nil, err
	}
	r.Logger.InfoContext(ctx, "application made", "app", app.ID, "roles", app.Roles, "caller", who.ID, "correlation", who.Correlation)
	return app, first, nil
}

// app is the application to be made, with its first secret, nil where none was
// asked for.
func (n NewApp) app(tenant string, now time.Time) (app auth.App, first *MadeSecret, err error) {
	app = auth.App{
		Tenant: tenant, ID: uuid.NewString(), Name: n.Name, Roles: n.Roles, Scopes: n.Scopes, Redirects: n.Redirects, Public: n.Public, Created: now,
	}
	if n.Secret != nil {
		if err := n.Secret.check(now); err != nil {
			return app, nil, err
		}
		first = new(newSecret(*n.Secret, now))
		app.Secrets = []auth.Secret{first.Secret}
	}
	app, err = checkApp(app)
	return app, first, err
}

func (n NewSecret) check(now time.Time) error {
	switch {
	case n.Expires.IsZero():
	case !n.Expires.After(now):
		return fault.InvalidInput.Errorf(nil, "expires is in the past; left out, it is in a year")
	case n.Expires.After(now.Add(MaxSecretLife)):
		return fault.InvalidInput.Errorf(nil, "expires is over ten years away; a secret that nobody replaces is known to too many by then")
	}
	return title("the name of the secret", n.Name, false)
}

// inOrder is a set of some of all, each once, in the order of those.
func inOrder(all, some []string) []string {
	set := []string{}
	for _, one := range all {
		if slices.Contains(some, one) {
			set = append(set, one)
		}
	}
	return set
}

// newSecret makes a secret; one that was asked for without an end gets the usual.
func newSecret(n NewSecret, now time.Time) MadeSecret {
	clear := auth.NewSecret()
	if n.Expires.IsZero() {
		n.Expires = now.Add(SecretLife)
	}
	return MadeSecret{auth.Secret{ID: uuid.NewString(), Name: n.Name, Hash: clear.Hash(), Created: now, Expires: n.Expires}, clear}
}

// RevokeApp makes an application worthless for good: no token any more, and
// those that are out hold no longer. The last one that may administer and can
// sign in stays, unless a user has the built-in role.
func (r *Register) RevokeApp(ctx context.Context, who auth.Caller, id string) (auth.App, error) {
	return r.change(ctx, who, id, audit.ActRevokeApp, func(app auth.App, others Administrators) (auth.App, note, error) {
		if administers(app) && !r.left(others) {
			return app, note{}, fault.DisallowedOperation.Errorf(nil,
				"Application %s is the last that may administer this tenant (%s) and can sign in, and no user has the role %s: make another one, with a secret or a certificate, before this one is revoked", app.ID, auth.Administer, auth.BuiltIn().Name)
		}
		var n note
		n.changes.Add("revoked", "false", "true")
		app.Revoked = true
		return app, n, nil
	})
}

// left says whether somebody may administer besides.
func (r *Register) left(others Administrators) bool {
	return others.People || slices.ContainsFunc(others.Apps, r.ableTo)
}

// ChangeApp changes what an application is called and what it may do, by itself
// and in the name of users; both hold at its next request.
func (r *Register) ChangeApp(ctx context.Context, who auth.Caller, id string, read func() (AppChange, error)) (auth.App, error) {
	return r.add(ctx, who, id, audit.ActChangeApp, func() (appChange, error) {
		n, err := read()
		if err != nil {
			return nil, err
		}
		return func(app auth.App, others Administrators) (auth.App, note, error) {
			was := app
			put(&app.Name, n.Name)
			put(&app.Roles, n.Roles)
			put(&app.Scopes, n.Scopes)
			put(&app.Redirects, n.Redirects)
			put(&app.Public, n.Public)
			app, err := checkApp(app)
			if err != nil {
				return app, note{}, err
			}
			changes := appChanges(was, app)
			if changes.Empty() {
				return app, note{}, errUnchanged
			}
			return app, note{changes: changes}, r.mayLose(was, app, others)
		}, nil
	})
}

// AddSecret gives an application one more secret.
func (r *Register) AddSecret(ctx context.Context, who auth.Caller, id string, read func() (NewSecret, error)) (MadeSecret, error) {
	var made MadeSecret
	_, err := r.add(ctx, who, id, audit.ActAddSecret, func() (appChange, error) {
		n, err := read()
		if err == nil {
			err = n.check(r.now())
		}
		if err != nil {
			return nil, err
		}
		made = newSecret(n, r.now())
		return func(app auth.App, _ Administrators) (auth.App, note, error) {
			if err := room(app, len(app.Secrets), "secrets"); err != nil {
				return app, note{}, err
			}
			app.Secrets = append(app.Secrets, made.Secret)
			return app, note{made.ID, credentialChanges("", made.Name, time.Time{}, made.Expires)}, nil
		}, nil
	})
	if err != nil {
		return MadeSecret{}, err
	}
	return made, nil
}

// AddCertificate makes whoever has the certificate's key able to sign in as the
// application.
func (r *Register) AddCertificate(ctx context.Context, who auth.Caller, id string, read func() (NewCertificate, error)) (auth.Certificate, error) {
	var made auth.Certificate
	_, err := r.add(ctx, who, id, audit.ActAddCertificate, func() (appChange, error) {
		n, err := read()
		if err == nil {
			made, err = n.certificate(r.now())
		}
		if err != nil {
			return nil, err
		}
		return func(app auth.App, _ Administrators) (auth.App, note, error) {
			if err := room(app, len(app.Certificates), "certificates"); err != nil {
				return app, note{}, err
			}
			if slices.ContainsFunc(app.Certificates, func(c auth.Certificate) bool { return c.ID == made.ID }) {
				return app, note{}, fault.InvalidInput.Errorf(nil, "Certificate %s of application %s is registered already", made.ID, app.ID)
			}
			app.Certificates = append(app.Certificates, made)
			return app, note{made.ID, credentialChanges("", made.Name, time.Time{}, made.Expires)}, nil
		}, nil
	})
	if err != nil {
		return auth.Certificate{}, err
	}
	return made, nil
}

// credentialChanges are what stands in the entry of a secret or a certificate that
// comes or goes, whose id is its detail.
func credentialChanges(wasName, isName string, wasExpires, isExpires time.Time) (c audit.Changes) {
	c.Add("name", wasName, isName)
	c.Add("expires", moment(wasExpires), moment(isExpires))
	return c
}

// room refuses one credential more where there is none for it.
func room(app auth.App, n int, what string) error {
	switch {
	case app.Public:
		return fault.BadRequest.Errorf(nil, "Application %s is public: it runs where it can keep no secret, and so has none", app.ID)
	case n >= MaxCredentials:
		return fault.InvalidInput.Errorf(nil, "Application %s has %d %s already; remove one that is not used any more", app.ID, MaxCredentials, what)
	}
	return nil
}

// RemoveSecret makes a secret worthless. Tokens that were got by it hold until
// they expire; revoke the application where that is too long.
func (r *Register) RemoveSecret(ctx context.Context, who auth.Caller, id, secret string) (auth.App, error) {
	return r.change(ctx, who, id, audit.ActRemoveSecret, func(app auth.App, others Administrators) (auth.App, note, error) {
		at := slices.IndexFunc(app.Secrets, func(s auth.Secret) bool { return s.ID == secret })
		if at < 0 {
			return app, note{}, fault.NotFound.Errorf(nil, "Secret %s of application %s was not found", audit.Clip(secret), app.ID)
		}
		after, gone := app, app.Secrets[at]
		after.Secrets = slices.Delete(slices.Clone(app.Secrets), at, at+1)
		return after, note{secret, credentialChanges(gone.Name, "", gone.Expires, time.Time{})}, r.mayLose(app, after, others)
	})
}

// RemoveCertificate makes a certificate worthless, as RemoveSecret does a secret.
func (r *Register) RemoveCertificate(ctx context.Context, who auth.Caller, id, certificate string) (auth.App, error) {
	return r.change(ctx, who, id, audit.ActRemoveCertificate, func(app auth.App, others Administrators) (auth.App, note, error) {
		at := slices.IndexFunc(app.Certificates, func(c auth.Certificate) bool { return c.ID == certificate })
		if at < 0 {
			return app, note{}, fault.NotFound.Errorf(nil, "Certificate %s of application %s was not found", audit.Clip(certificate), app.ID)
		}
		after, gone := app, app.Certificates[at]
		after.Certificates = slices.Delete(slices.Clone(app.Certificates), at, at+1)
		return after, note{certificate, credentialChanges(gone.Name, "", gone.Expires, time.Time{})}, r.mayLose(app, after, others)
	})
}

// mayLose refuses to take the last valid credential of the last application that
// may administer, or the permission.
func (r *Register) mayLose(before, after auth.App, others Administrators) error {
	if !r.ableTo(before) || r.ableTo(after) || r.left(others) {
		return nil
	}
	return fault.DisallowedOperation.Errorf(nil,
		"By this alone anybody may administer this tenant (%s): add another credential to application %s, or make another administrator, before it is taken away", auth.Administer, before.ID)
}

func administers(app auth.App) bool { return slices.Contains(app.Roles, auth.Administer) }

// ableTo says whether an application may administer and can prove itself.
func (r *Register) ableTo(app auth.App) bool {
	now := r.Now()
	valid := func(until time.Time) bool { return until.IsZero() || now.Before(until) }
	return administers(app) && !app.Revoked &&
		(slices.ContainsFunc(app.Secrets, func(s auth.Secret) bool { return valid(s.Expires) }) ||
			slices.ContainsFunc(app.Certificates, func(c auth.Certificate) bool { return valid(c.Expires) && begun(c, now) }))
}

// begun says whether a certificate is valid already: it may be registered before.
func begun(c auth.Certificate, now time.Time) bool {
	cert, err := x509.ParseCertificate(c.DER)
	return err == nil && !now.Before(cert.NotBefore)
}

// add is change for what comes with a body: it is read when the application is
// known, and refused where the application is revoked.
func (r *Register) add(ctx context.Context, who auth.Caller, id string, act audit.Act, read func() (appChange, error)) (auth.App, error) {
	if _, err := r.known(ctx, who, id, act); err != nil {
		return auth.App{}, err
	}
	f, err := read()
	if err != nil {
		return auth.App{}, r.refuse(ctx, who, act, id, err)
	}
	return r.change(ctx, who, id, act, func(app auth.App, others Administrators) (auth.App, note, error) {
		if app.Revoked {
			return app, note{}, fault.BadRequest.Errorf(nil, "Application %s is revoked; make a new one", app.ID)
		}
		return f(app, others)
	})
}

// known is an application that who may change.
func (r *Register) known(ctx context.Context, who auth.Caller, id string, act audit.Act) (auth.App, error) {
	if err := r.permit(ctx, who, act, id, auth.AdministerAll); err != nil {
		return auth.App{}, err
	}
	err := named("Application", id)
	var app auth.App
	if err == nil {
		app, err = r.Records.App(ctx, who.Tenant, id)
	}
	if err != nil {
		return auth.App{}, r.refuse(ctx, who, act, id, err)
	}
	return app, nil
}

// appChange makes of an application what it is to be, and says what stands in
// the entry.
type appChange func(app auth.App, others Administrators) (auth.App, note, error)

type note struct {
	detail  string
	changes audit.Changes
}

// change changes an application by f.
func (r *Register) change(ctx context.Context, who auth.Caller, id string, act audit.Act, f appChange) (auth.App, error) {
	if _, err := r.known(ctx, who, id, act); err != nil {
		return auth.App{}, err
	}
	changed := false
	app, err := r.Records.ChangeApp(ctx, who.Tenant, id, func(app auth.App, others Administrators) (auth.App, []audit.Entry, error) {
		if act == audit.ActRevokeApp && app.Revoked {
			return app, nil, nil // a second time is no mistake
		}
		is, n, err := f(app, others)
		if errors.Is(err, errUnchanged) {
			return app, nil, nil
		}
		changed = err == nil
		e := r.changed(who, act, id, n.changes)
		e.Leaf.Detail = n.detail
		return is, []audit.Entry{e}, err
	})
	if err != nil {
		return auth.App{}, r.refuse(ctx, who, act, id, err)
	}
	if changed {
		r.Logger.InfoContext(ctx, "application changed", "app", app.ID, "act", string(act), "caller", who.ID, "correlation", who.Correlation)
	}
	return app, nil
}
