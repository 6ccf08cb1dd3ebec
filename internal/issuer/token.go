package issuer

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"swab/internal/auth"
	"swab/internal/fault"
)

// maxForm bounds the form in a request's body: 64 KiB.
const maxForm = 64 << 10

// tokenAnswer is the answer to an application. Numbers are numbers, and there
// is nothing else in it: no scope, no client_info, which libraries misread.
type tokenAnswer struct {
	Type       string `json:"token_type"`
	Expires    int    `json:"expires_in"`
	ExtExpires int    `json:"ext_expires_in"`
	Token      string `json:"access_token"`
}

// token answers a request for an access token.
func (s *Issuer) token(c *call) (any, error) {
	form, err := c.form()
	if err != nil {
		return nil, err
	}
	switch grant, err := form.need("grant_type"); {
	case err != nil:
		return nil, err
	case grant != "client_credentials":
		return nil, refused("unsupported_grant_type", 70003, "The grant type '%s' is not supported; applications use client_credentials", clip(grant))
	}
	scope, err := form.need("scope")
	if err != nil {
		return nil, err
	}
	app, err := s.application(c, form)
	if err != nil {
		return nil, err
	}
	resource, err := s.resource(scope)
	if err != nil {
		return nil, err
	}
	token, err := s.Tokens.Issue(c.base, resource, app)
	if err != nil {
		return nil, err
	}
	s.Log.DebugContext(c.r.Context(), "token issued", "caller", app.ID, "from", c.from, "correlation", c.trace)
	seconds := int(auth.TokenLife.Seconds())
	return tokenAnswer{Type: "Bearer", Expires: seconds, ExtExpires: seconds, Token: token}, nil
}

// application is the application that proves itself by a secret, in the body or
// by Basic. One that doesn't exist and a wrong secret are one answer, so that
// nobody learns which applications there are.
func (s *Issuer) application(c *call, form form) (auth.App, error) {
	id, secret, basic, err := basicAuth(c.r.Header.Values("Authorization"))
	if err != nil {
		return auth.App{}, err
	}
	if basic {
		if other := form["client_id"]; other != "" && other != id || form["client_secret"] != "" && form["client_secret"] != secret {
			return auth.App{}, invalidRequest(900144, "The Authorization header and the body name different clients; send the credentials in one of them")
		}
	} else {
		if id, err = form.need("client_id"); err != nil {
			return auth.App{}, err
		}
		if secret = form["client_secret"]; secret == "" {
			return auth.App{}, refused("invalid_client", 7000218, "The request body must contain the following parameter: 'client_secret'")
		}
	}
	app, err := s.Records.App(c.r.Context(), c.tenant.ID, strings.ToLower(id))
	if err != nil && !errors.Is(err, fault.NotFound) {
		return auth.App{}, err
	}
	if !app.Holds(secret, s.Now()) {
		e := refused("invalid_client", 7000215,
			"Invalid client secret provided, or no such application in this tenant. Ensure that client id and secret are those of the application, and that the secret has not expired")
		e.basic = basic
		return auth.App{}, e
	}
	return app, nil
}

// resource is what a scope asks for: one …/.default of this API. The scopes of
// OpenID Connect, which some libraries always add, are nothing to an application.
func (s *Issuer) resource(scope string) (string, error) {
	found := ""
	for _, one := range strings.Fields(scope) {
		switch strings.ToLower(one) {
		case "openid", "offline_access", "profile", "email":
			continue
		}
		resource, ok := s.Tokens.Resources.Default(one)
		if !ok || found != "" && found != resource {
			return "", refused("invalid_scope", 70011,
				"The provided value for the input parameter 'scope' is not valid: '%s'. An application asks for one resource of this API, such as https://api.securitycenter.microsoft.com/.default", clip(one))
		}
		found = resource
	}
	if found == "" {
		return "", refused("invalid_scope", 70011, "The parameter 'scope' names no resource; ask for one such as https://api.securitycenter.microsoft.com/.default")
	}
	return found, nil
}

// form is what was sent, each parameter once.
type form map[string]string

// need is a parameter that must be there.
func (f form) need(name string) (string, error) {
	if f[name] == "" {
		return "", invalidRequest(900144, "The request body must contain the following parameter: '%s'", name)
	}
	return f[name], nil
}

// form reads the form in the body, of a GET too. The query is not looked at.
func (c *call) form() (form, error) {
	media, _, _ := strings.Cut(c.r.Header.Get("Content-Type"), ";")
	switch strings.ToLower(strings.TrimSpace(media)) {
	case "", "application/x-www-form-urlencoded":
	default:
		return nil, invalidRequest(900144, "The body must be a form: send it as application/x-www-form-urlencoded, not as '%s'", clip(media))
	}
	data, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxForm))
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return nil, invalidRequest(900144, "The body has over %d bytes", maxForm)
	}
	if err != nil {
		return nil, invalidRequest(900144, "The body could not be read")
	}
	return parseForm(string(data))
}

// parseForm takes a form apart. A parameter that is read here and comes twice is
// refused, as RFC 6749 wants: two readers might take different ones.
func parseForm(body string) (form, error) {
	values, err := url.ParseQuery(strings.TrimSpace(body))
	if err != nil {
		return nil, invalidRequest(900144, "The body is not a form: it is not percent-encoded rightly")
	}
	f := form{}
	for _, name := range []string{"grant_type", "client_id", "client_secret", "scope"} {
		switch v := values[name]; {
		case len(v) > 1:
			return nil, invalidRequest(900144, "The parameter '%s' stands in the request body twice", name)
		case len(v) == 1:
			f[name] = v[0]
		}
	}
	return f, nil
}

// basicAuth reads client id and secret from an Authorization header of the
// scheme Basic, in which both are form-encoded (RFC 6749, section 2.3.1). What
// a client sent raw reads the same, as long as it has no % or +: the secrets
// that we make have neither. Another scheme is no proof of a client.
func basicAuth(headers []string) (id, secret string, ok bool, err error) {
	if len(headers) == 0 {
		return "", "", false, nil
	}
	scheme, encoded, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false, nil
	}
	wrong := refused("invalid_client", 7000218, "The Authorization header does not hold a client's id and secret")
	wrong.basic = true
	if len(headers) > 1 {
		return "", "", false, wrong
	}
	pair, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", "", false, wrong
	}
	user, pass, found := strings.Cut(string(pair), ":")
	if id, err = url.QueryUnescape(user); err != nil || !found || id == "" {
		return "", "", false, wrong
	}
	if secret, err = url.QueryUnescape(pass); err != nil || secret == "" {
		return "", "", false, wrong
	}
	return id, secret, true, nil
}
