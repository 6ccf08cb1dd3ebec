package issuer

import (
	"errors"
	"strings"

	"swab/internal/auth"
	"swab/internal/fault"
)

// assertionType is the one kind of assertion by which a client proves itself
// (RFC 7523, section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// client is the application that proves itself, by one of the three ways: a
// secret in the body, a secret by Basic, or an assertion signed by the key of a
// certificate.
func (s *Issuer) client(c *call, form form) (auth.App, auth.Proof, error) {
	id, secret, basic, err := basicAuth(c.r.Header.Values("Authorization"))
	switch asserted := form["client_assertion"] != "" || form["client_assertion_type"] != ""; {
	case err != nil:
		return auth.App{}, "", err
	case asserted && (basic || form["client_secret"] != ""):
		return auth.App{}, "", invalidRequest(900144, "The request proves the client by an assertion and by a secret; send one of them")
	case asserted:
		app, err := s.byAssertion(c, form)
		return app, auth.ByCertificate, err
	case basic:
		if other := form["client_id"]; other != "" && !strings.EqualFold(other, id) || form["client_secret"] != "" && form["client_secret"] != secret {
			return auth.App{}, "", invalidRequest(900144, "The Authorization header and the body name different clients; send the credentials in one of them")
		}
	default:
		if id, err = form.need("client_id"); err != nil {
			return auth.App{}, "", err
		}
		if secret = form["client_secret"]; secret == "" {
			return auth.App{}, "", refused("invalid_client", 7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'")
		}
	}
	app, err := s.bySecret(c, id, secret)
	if e, ok := errors.AsType[*oauthError](err); ok {
		e.basic = basic
	}
	return app, auth.BySecret, err
}

// party is the application that asks for a person: it proves itself as client
// does, or is public and has nothing to prove itself by but its id, the code and
// PKCE.
func (s *Issuer) party(c *call, form form) (auth.App, auth.Proof, error) {
	proof := form["client_secret"] != "" || form["client_assertion"] != "" || form["client_assertion_type"] != "" || c.r.Header.Get("Authorization") != ""
	if id := form["client_id"]; id != "" && !proof {
		app, err := s.application(c, id)
		if err != nil || app.Public {
			return app, auth.ByNothing, err
		}
	}
	return s.client(c, form)
}

// bySecret finds an application whose secret was given. One that doesn't exist
// and a wrong secret are one answer, so that nobody learns which there are. Who
// sends wrong ones again and again has to wait, the application's owner at
// another address has not.
func (s *Issuer) bySecret(c *call, id, secret string) (auth.App, error) {
	id = strings.ToLower(id)
	if err := s.guesses.Check(c.tenant.ID, id, c.from); err != nil {
		return auth.App{}, err
	}
	app, err := s.application(c, id)
	if err != nil {
		return auth.App{}, err
	}
	if !app.Holds(secret, s.Now()) {
		s.guesses.Failed(c.tenant.ID, id, c.from)
		return auth.App{}, refused("invalid_client", 7000215,
			"Invalid client secret provided, or no such application in this tenant. Ensure that client id and secret are those of the application, and that the secret has not expired")
	}
	return app, nil
}

// byAssertion finds an application that signed an assertion. One that doesn't
// exist and one that has no such certificate are one answer, and what is wrong
// with the claims is told only to whoever signed them.
func (s *Issuer) byAssertion(c *call, form form) (auth.App, error) {
	if form["client_assertion_type"] != assertionType {
		return auth.App{}, invalidRequest(900144, "The parameter 'client_assertion_type' must be %s", assertionType)
	}
	text, err := form.need("client_assertion")
	if err != nil {
		return auth.App{}, err
	}
	a, err := parseAssertion(text)
	if err != nil {
		return auth.App{}, err
	}
	id := form["client_id"]
	if id == "" { // RFC 7521, section 4.2: the assertion names the client itself
		id = a.claims.Subject
	}
	app, err := s.application(c, id)
	if err != nil {
		return auth.App{}, err
	}
	now := s.Now()
	if err := a.signedBy(app, now); err != nil {
		return auth.App{}, err
	}
	return app, a.check(app.ID, c.audiences(s.Origin.Bases()), now)
}

// application is an application of the tenant, or a zero one, which holds no
// secret and no certificate.
func (s *Issuer) application(c *call, id string) (auth.App, error) {
	app, err := s.Tokens.Directory.App(c.r.Context(), c.tenant.ID, strings.ToLower(id))
	if err != nil && !errors.Is(err, fault.NotFound) {
		return auth.App{}, err
	}
	return app, nil
}

// audiences are the aud that an assertion for the tenant may have: its issuers
// and token endpoints, as the metadata print them, under every base URL; and the
// same with the tenant's name for its id, since clients make them themselves.
func (c *call) audiences(bases []string) []string {
	var all []string
	for _, base := range bases {
		for _, tenant := range []string{c.tenant.ID, c.tenant.Name} {
			root := base + "/" + tenant
			all = append(all, root+tokenPathV2, root+tokenPathV1, root+issuerPathV2, root+"/", root)
		}
	}
	return all
}
