package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"

	"swab/internal/access"
	"swab/internal/auth"
)

// app is an application as administrators see it.
type app struct {
	ID           string          `json:"id"` // its client id
	Name         string          `json:"name"`
	Roles        []string        `json:"roles"`  // what it may do by itself
	Scopes       []string        `json:"scopes"` // what it may do in the name of users who sign in to it
	Redirects    []string        `json:"redirects"`
	Public       bool            `json:"public"` // it has no secret, and proves each sign-in by PKCE
	Created      *string         `json:"created"`
	Revoked      bool            `json:"revoked"`
	Secrets      []appCredential `json:"secrets"`
	Certificates []appCredential `json:"certificates"`
}

// appCredential is a secret or a certificate, without what proves anything.
type appCredential struct {
	ID      string  `json:"id"`      // of a certificate: the hex SHA-256 of its DER
	Name    string  `json:"name"`    // what it is for; may be ""
	Created *string `json:"created"` // null: not known
	Expires *string `json:"expires"` // null: never
}

// madeApp is an application in the one answer that has its first secret.
type madeApp struct {
	app
	ClientSecret *string `json:"clientSecret"` // null: none was asked for
}

// madeSecret is a secret in the one answer that has it.
type madeSecret struct {
	appCredential
	ClientSecret string `json:"clientSecret"`
}

func (a *API) apps(ctx context.Context, c *call) (reply, error) {
	apps, err := a.Register.Apps(ctx, c.who)
	if err != nil {
		return reply{}, err
	}
	if err := c.plain(); err != nil {
		return reply{}, err
	}
	list := listed[app]{Value: []app{}}
	for _, one := range apps {
		list.Value = append(list.Value, appOf(one))
	}
	return reply{body: list}, nil
}

func (a *API) app(ctx context.Context, c *call) (reply, error) {
	found, err := a.Register.App(ctx, c.who, c.id("app"))
	if err != nil {
		return reply{}, err
	}
	if err := c.plain(); err != nil {
		return reply{}, err
	}
	return reply{body: appOf(found)}, nil
}

// createApp makes an application, with a first secret where the body has the
// object secret, which may be empty.
func (a *API) createApp(ctx context.Context, c *call) (reply, error) {
	made, secret, err := a.Register.CreateApp(ctx, c.who, func() (access.NewApp, error) {
		f := c.form(false, "name", "roles", "scopes", "redirects", "public", "secret")
		n := access.NewApp{
			Name: f.text("name"), Roles: f.texts("roles"), Scopes: f.texts("scopes"), Redirects: f.texts("redirects"), Public: f.truth("public"),
		}
		if raw, there := f.raw["secret"]; there && f.err == nil {
			first := readForm(raw, secretProperties)
			n.Secret, f.err = new(newSecret(first)), first.err
		}
		return n, f.err
	})
	if err != nil {
		return reply{}, err
	}
	shown := madeApp{app: appOf(made)}
	if secret != nil {
		shown.ClientSecret = new(secret.Clear.Reveal())
	}
	return reply{status: http.StatusCreated, location: c.root + "/admin/v1/apps/" + made.ID, body: shown}, nil
}

// secretProperties are what a secret is asked for with.
var secretProperties = []string{"name", "expires"}

func newSecret(f *form) access.NewSecret {
	return access.NewSecret{Name: f.text("name"), Expires: f.time("expires")}
}

func (a *API) changeApp(ctx context.Context, c *call) (reply, error) {
	return shown(a.Register.ChangeApp(ctx, c.who, c.id("app"), func() (access.AppChange, error) {
		f := c.form(false, "name", "roles", "scopes", "redirects", "public")
		n := access.AppChange{
			Name: wanted(f, "name", f.text), Roles: wanted(f, "roles", f.texts), Scopes: wanted(f, "scopes", f.texts),
			Redirects: wanted(f, "redirects", f.texts), Public: wanted(f, "public", f.truth),
		}
		return n, f.err
	}))
}

func (a *API) revokeApp(ctx context.Context, c *call) (reply, error) {
	if err := c.bare(auth.AdministerAll); err != nil {
		return reply{}, err
	}
	return shown(a.Register.RevokeApp(ctx, c.who, c.id("app")))
}

func (a *API) addSecret(ctx context.Context, c *call) (reply, error) {
	made, err := a.Register.AddSecret(ctx, c.who, c.id("app"), func() (access.NewSecret, error) {
		f := c.form(true, secretProperties...)
		n := newSecret(f)
		return n, f.err
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, body: madeSecret{secretOf(made.Secret), made.Clear.Reveal()}}, nil
}

func (a *API) removeSecret(ctx context.Context, c *call) (reply, error) {
	if err := c.bare(auth.AdministerAll); err != nil {
		return reply{}, err
	}
	return shown(a.Register.RemoveSecret(ctx, c.who, c.id("app"), c.id("secret")))
}

// addCertificate takes a certificate as PEM, or as DER in base64.
func (a *API) addCertificate(ctx context.Context, c *call) (reply, error) {
	made, err := a.Register.AddCertificate(ctx, c.who, c.id("app"), func() (access.NewCertificate, error) {
		f := c.form(false, "name", "certificate", "expires")
		n := access.NewCertificate{Name: f.text("name"), Expires: f.time("expires")}
		given := f.text("certificate")
		n.Data = []byte(given)
		if !strings.Contains(given, "-----BEGIN") {
			if der, err := base64.StdEncoding.DecodeString(given); err == nil {
				n.Data = der
			}
		}
		return n, f.err
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, body: certificateOf(made)}, nil
}

func (a *API) removeCertificate(ctx context.Context, c *call) (reply, error) {
	if err := c.bare(auth.AdministerAll); err != nil {
		return reply{}, err
	}
	return shown(a.Register.RemoveCertificate(ctx, c.who, c.id("app"), c.id("certificate")))
}

// shown answers with an application as it is now.
func shown(changed auth.App, err error) (reply, error) {
	if err != nil {
		return reply{}, err
	}
	return reply{body: appOf(changed)}, nil
}

// appOf is an application as the API shows it.
func appOf(of auth.App) app {
	s := app{
		ID: of.ID, Name: of.Name, Roles: append([]string{}, of.Roles...), Scopes: append([]string{}, of.Scopes...),
		Redirects: append([]string{}, of.Redirects...), Public: of.Public, Created: moment(of.Created), Revoked: of.Revoked,
		Secrets: []appCredential{}, Certificates: []appCredential{},
	}
	for _, k := range of.Secrets {
		s.Secrets = append(s.Secrets, secretOf(k))
	}
	for _, k := range of.Certificates {
		s.Certificates = append(s.Certificates, certificateOf(k))
	}
	return s
}

func secretOf(k auth.Secret) appCredential {
	return appCredential{ID: k.ID, Name: k.Name, Created: moment(k.Created), Expires: moment(k.Expires)}
}

func certificateOf(k auth.Certificate) appCredential {
	return appCredential{ID: k.ID, Name: k.Name, Created: moment(k.Created), Expires: moment(k.Expires)}
}
