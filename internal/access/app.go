package access

import (
	"context"
	"crypto/x509"
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
	Name   string
	Roles  []string   // among auth.Permissions
	Secret *NewSecret // its first one; nil: none
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
	if err == nil {
		err = n.check(r.now())
	}
	if err != nil {
		return auth.App{}, nil, r.refuse(ctx, who, audit.ActApp, who.Tenant, err)
	}
	app := auth.App{Tenant: who.Tenant, ID: uuid.NewString(), Name: n.Name, Roles: inOrder(n.Roles), Created: r.now()}
	var first *MadeSecret
	if n.Secret != nil {
		made := newSecret(*n.Secret, r.now())
		first, app.Secrets = &made, []auth.Secret{made.Secret}
	}
	if err := r.Records.AddApp(ctx, app, r.done(who, audit.ActApp, app.ID, strings.Join(app.Roles, ","))); err != nil {
		return auth.App{}, nil, err
	}
	r.Logger.InfoContext(ctx, "application made", "app", app.ID, "roles", app.Roles, "caller", who.ID, "correlation", who.Correlation)
	return app, first, nil
}

func (n NewApp) check(now time.Time) error {
	if err := title("name", n.Name, true); err != nil {
		return err
	}
	for _, role := range n.Roles {
		if !slices.Contains(auth.Permissions, role) {
			return fault.InvalidInput.Errorf(nil, "roles has one that no application can hold: %s; there are %s",
				audit.Clip(role), strings.Join(auth.Permissions, ", "))
		}
	}
	if n.Secret == nil {
		return nil
	}
	return n.Secret.check(now)
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

// inOrder is a set of roles, each once, in the order of auth.Permissions.
func inOrder(roles []string) []string {
	set := []string{}
	for _, p := range auth.Permissions {
		if slices.Contains(roles, p) {
			set = append(set, p)
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
// sign in stays.
func (r *Register) RevokeApp(ctx context.Context, who auth.Caller, id string) (auth.App, error) {
	return r.change(ctx, who, id, audit.ActRevokeApp, func(app auth.App, others []auth.App) (auth.App, string, error) {
		if administers(app) && !slices.ContainsFunc(others, r.ableTo) {
			return app, "", fault.DisallowedOperation.Errorf(nil,
				"Application %s is the last that may administer this tenant (%s) and can sign in: make another one, with a secret or a certificate, before this one is revoked", app.ID, auth.Administer)
		}
		app.Revoked = true
		return app, "", nil
	})
}

// AddSecret gives an application one more secret.
func (r *Register) AddSecret(ctx context.Context, who auth.Caller, id string, read func() (NewSecret, error)) (MadeSecret, error) {
	var made MadeSecret
	_, err := r.add(ctx, who, id, audit.ActAddSecret, func() (func(auth.App) (auth.App, string, error), error) {
		n, err := read()
		if err == nil {
			err = n.check(r.now())
		}
		if err != nil {
			return nil, err
		}
		made = newSecret(n, r.now())
		return func(app auth.App) (auth.App, string, error) {
			if len(app.Secrets) >= MaxCredentials {
				return app, "", full(app, "secrets")
			}
			app.Secrets = append(app.Secrets, made.Secret)
			return app, made.ID, nil
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
	_, err := r.add(ctx, who, id, audit.ActAddCertificate, func() (func(auth.App) (auth.App, string, error), error) {
		n, err := read()
		if err == nil {
			made, err = n.certificate(r.now())
		}
		if err != nil {
			return nil, err
		}
		return func(app auth.App) (auth.App, string, error) {
			if len(app.Certificates) >= MaxCredentials {
				return app, "", full(app, "certificates")
			}
			if slices.ContainsFunc(app.Certificates, func(c auth.Certificate) bool { return c.ID == made.ID }) {
				return app, "", fault.InvalidInput.Errorf(nil, "Certificate %s of application %s is registered already", made.ID, app.ID)
			}
			app.Certificates = append(app.Certificates, made)
			return app, made.ID, nil
		}, nil
	})
	if err != nil {
		return auth.Certificate{}, err
	}
	return made, nil
}

func full(app auth.App, what string) error {
	return fault.InvalidInput.Errorf(nil, "Application %s has %d %s already; remove one that is not used any more", app.ID, MaxCredentials, what)
}

// RemoveSecret makes a secret worthless. Tokens that were got by it hold until
// they expire; revoke the application where that is too long.
func (r *Register) RemoveSecret(ctx context.Context, who auth.Caller, id, secret string) (auth.App, error) {
	return r.change(ctx, who, id, audit.ActRemoveSecret, func(app auth.App, others []auth.App) (auth.App, string, error) {
		kept := slices.DeleteFunc(slices.Clone(app.Secrets), func(s auth.Secret) bool { return s.ID == secret })
		if len(kept) == len(app.Secrets) {
			return app, "", fault.NotFound.Errorf(nil, "Secret %s of application %s was not found", audit.Clip(secret), app.ID)
		}
		after := app
		after.Secrets = kept
		return after, secret, r.mayLose(app, after, others)
	})
}

// RemoveCertificate makes a certificate worthless, as RemoveSecret does a secret.
func (r *Register) RemoveCertificate(ctx context.Context, who auth.Caller, id, certificate string) (auth.App, error) {
	return r.change(ctx, who, id, audit.ActRemoveCertificate, func(app auth.App, others []auth.App) (auth.App, string, error) {
		kept := slices.DeleteFunc(slices.Clone(app.Certificates), func(c auth.Certificate) bool { return c.ID == certificate })
		if len(kept) == len(app.Certificates) {
			return app, "", fault.NotFound.Errorf(nil, "Certificate %s of application %s was not found", audit.Clip(certificate), app.ID)
		}
		after := app
		after.Certificates = kept
		return after, certificate, r.mayLose(app, after, others)
	})
}

// mayLose refuses to take the last valid credential of the last application that
// may administer.
func (r *Register) mayLose(before, after auth.App, others []auth.App) error {
	if !r.ableTo(before) || r.ableTo(after) || slices.ContainsFunc(others, r.ableTo) {
		return nil
	}
	return fault.DisallowedOperation.Errorf(nil,
		"This is the last credential by which anybody may administer this tenant (%s): add another one to application %s before this one is removed", auth.Administer, before.ID)
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
func (r *Register) add(ctx context.Context, who auth.Caller, id string, act audit.Act, read func() (func(auth.App) (auth.App, string, error), error)) (auth.App, error) {
	if _, err := r.known(ctx, who, id, act); err != nil {
		return auth.App{}, err
	}
	f, err := read()
	if err != nil {
		return auth.App{}, r.refuse(ctx, who, act, id, err)
	}
	return r.change(ctx, who, id, act, func(app auth.App, _ []auth.App) (auth.App, string, error) {
		if app.Revoked {
			return app, "", fault.BadRequest.Errorf(nil, "Application %s is revoked; make a new one", app.ID)
		}
		return f(app)
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

// change changes an application by f, which returns the application as it is to
// be and the detail of the entry.
func (r *Register) change(ctx context.Context, who auth.Caller, id string, act audit.Act, f func(app auth.App, others []auth.App) (auth.App, string, error)) (auth.App, error) {
	if _, err := r.known(ctx, who, id, act); err != nil {
		return auth.App{}, err
	}
	changed := false
	app, err := r.Records.ChangeApp(ctx, who.Tenant, id, func(app auth.App, others []auth.App) (auth.App, []audit.Entry, error) {
		if act == audit.ActRevokeApp && app.Revoked {
			return app, nil, nil // a second time is no mistake
		}
		app, detail, err := f(app, others)
		changed = err == nil
		return app, []audit.Entry{r.done(who, act, id, detail)}, err
	})
	if err != nil {
		return auth.App{}, r.refuse(ctx, who, act, id, err)
	}
	if changed {
		r.Logger.InfoContext(ctx, "application changed", "app", app.ID, "act", string(act), "caller", who.ID, "correlation", who.Correlation)
	}
	return app, nil
}
