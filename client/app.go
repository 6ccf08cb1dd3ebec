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
	Roles        []string     `json:"roles"` // what it may do, such as Machine.CollectForensics
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
	Name   string         `json:"name"`
	Roles  []string       `json:"roles,omitempty"`
	Secret *SecretRequest `json:"secret,omitempty"` // nil: it gets no secret yet
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

// RevokeApp makes an application worthless for good, its tokens too. The last
// one that may administer can't be revoked.
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
