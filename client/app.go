package client

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"time"
)

// App is an application of the tenant, as administrators see it. All calls on
// applications take the permission Swab.Administer.
type App struct {
	ID           string       `json:"id"` // its client id
	Name         string       `json:"name"`
	Roles        []string     `json:"roles"`     // what it may do by itself, such as Machine.CollectForensics
	Scopes       []string     `json:"scopes"`    // what it may do in the name of users who sign in to it, such as Machine.Read
	Redirects    []string     `json:"redirects"` // where a sign-in may send its answer
	Public       bool         `json:"public"`    // it runs where it can keep no secret
	Created      time.Time    `json:"created"`
	Revoked      bool         `json:"revoked"`
	Secrets      []Credential `json:"secrets"`
	Certificates []Credential `json:"certificates"`
}

// Credential is a secret or a certificate of an application, without what proves
// anything.
type Credential struct {
	ID      string    `json:"id"` // of a certificate: the hex SHA-256 of its DER
	Name    string    `json:"name"`
	Created time.Time `json:"created,omitzero"` // zero: not known
	Expires time.Time `json:"expires,omitzero"` // zero: never
}

// AppRequest asks for an application.
type AppRequest struct {
	Name      string         `json:"name"`
	Roles     []string       `json:"roles,omitempty"`
	Scopes    []string       `json:"scopes,omitempty"`    // all users consent to them hereby
	Redirects []string       `json:"redirects,omitempty"` // https, http at the machine itself, or a scheme of the application's own
	Public    bool           `json:"public,omitempty"`    // it gets no secrets, certificates or roles
	Secret    *SecretRequest `json:"secret,omitempty"`    // nil: it gets no secret yet
}

// AppChange is what is to become of an application; nil: as it was.
type AppChange struct {
	Name      *string   `json:"name,omitempty"`
	Roles     *[]string `json:"roles,omitempty"`
	Scopes    *[]string `json:"scopes,omitempty"`
	Redirects *[]string `json:"redirects,omitempty"`
	Public    *bool     `json:"public,omitempty"`
}

// SecretRequest asks for a secret, which the server makes.
type SecretRequest struct {
	Name    string    `json:"name,omitempty"`   // what it is for
	Expires time.Time `json:"expires,omitzero"` // zero: in a year
}

// NewApp is an application that was made. Its secret is in no other answer.
type NewApp struct {
	App
	ClientSecret string `json:"clientSecret"` // "" where none was asked for
}

// NewSecret is a secret that was made. It is in no other answer.
type NewSecret struct {
	Credential
	ClientSecret string `json:"clientSecret"`
}

const appsPath = "api/admin/v1/apps"

// Apps lists the tenant's applications, the oldest first, also those that are
// revoked.
func (c *Client) Apps(ctx context.Context) ([]App, error) {
	var out list[App]
	err := c.call(ctx, http.MethodGet, appsPath, nil, nil, &out, maxList)
	return out.Value, err
}

// App returns one application.
func (c *Client) App(ctx context.Context, id string) (App, error) {
	var out App
	err := c.ofApp(ctx, http.MethodGet, id, "", "", nil, &out)
	return out, err
}

// CreateApp makes an application.
func (c *Client) CreateApp(ctx context.Context, r AppRequest) (NewApp, error) {
	var out NewApp
	err := c.call(ctx, http.MethodPost, appsPath, nil, r, &out, maxEntity)
	return out, err
}

// ChangeApp changes what an application is called and what it may do; both hold
// at its next request.
func (c *Client) ChangeApp(ctx context.Context, id string, change AppChange) (App, error) {
	var out App
	err := c.ofApp(ctx, http.MethodPatch, id, "", "", change, &out)
	return out, err
}

// RevokeApp makes an application worthless for good, its tokens too. The last
// one that may administer can't be revoked, unless a user has the built-in role.
func (c *Client) RevokeApp(ctx context.Context, id string) (App, error) {
	var out App
	err := c.ofApp(ctx, http.MethodPost, id, "revoke", "", nil, &out)
	return out, err
}

// AddSecret gives an application one more secret.
func (c *Client) AddSecret(ctx context.Context, app string, r SecretRequest) (NewSecret, error) {
	var out NewSecret
	err := c.ofApp(ctx, http.MethodPost, app, "secrets", "", r, &out)
	return out, err
}

// RemoveSecret makes a secret worthless; tokens that were got by it hold until
// they expire.
func (c *Client) RemoveSecret(ctx context.Context, app, id string) (App, error) {
	var out App
	err := c.remove(ctx, app, "secrets", "secret", id, &out)
	return out, err
}

// AddCertificate makes whoever has the certificate's key able to sign in as the
// application. expires may be zero, for the certificate's own end.
func (c *Client) AddCertificate(ctx context.Context, app, name string, cert *x509.Certificate, expires time.Time) (Credential, error) {
	var out Credential
	in := struct {
		Name        string    `json:"name,omitempty"`
		Certificate string    `json:"certificate"`
		Expires     time.Time `json:"expires,omitzero"`
	}{name, base64.StdEncoding.EncodeToString(cert.Raw), expires}
	err := c.ofApp(ctx, http.MethodPost, app, "certificates", "", in, &out)
	return out, err
}

// RemoveCertificate makes a certificate worthless, as RemoveSecret does a secret.
func (c *Client) RemoveCertificate(ctx context.Context, app, id string) (App, error) {
	var out App
	err := c.remove(ctx, app, "certificates", "certificate", id, &out)
	return out, err
}

func (c *Client) remove(ctx context.Context, app, among, what, id string, out any) error {
	last, err := segment(what, id)
	if err != nil {
		return err
	}
	return c.ofApp(ctx, http.MethodDelete, app, among, last, nil, out)
}

// ofApp makes a call below an application's address; last is a segment of it.
func (c *Client) ofApp(ctx context.Context, method, app, what, last string, in, out any) error {
	path, err := segment("application", app)
	if err != nil {
		return err
	}
	path = appsPath + "/" + path
	for _, more := range []string{what, last} {
		if more != "" {
			path += "/" + more
		}
	}
	return c.call(ctx, method, path, nil, in, out, maxEntity)
}
