package issuer

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"swab/internal/auth"
	"swab/internal/canon"
	"swab/internal/fault"
	"swab/internal/signin"
)

// version is one of the two forms in which the endpoints are spoken to.
type version int

const (
	v1 version = 1 // resource=RESOURCE, numbers are strings
	v2 version = 2 // scope=RESOURCE/…
)

// tokenAnswer is the answer to a client. Numbers are numbers. An application that
// asks for itself gets nothing else but these four: no scope, no client_info,
// which libraries misread.
type tokenAnswer struct {
	Type       string `json:"token_type"`
	Expires    int64  `json:"expires_in"`
	ExtExpires int64  `json:"ext_expires_in"`
	Token      string `json:"access_token"`
	forPerson
}

// tokenAnswerV1 is the same as the v1 endpoint gives it: every number is a
// string, and times and resource are there too.
type tokenAnswerV1 struct {
	Type       string `json:"token_type"`
	Expires    string `json:"expires_in"`
	ExtExpires string `json:"ext_expires_in"`
	ExpiresOn  string `json:"expires_on"` // seconds since 1970, as not_before
	NotBefore  string `json:"not_before"`
	Resource   string `json:"resource"` // as asked for
	Token      string `json:"access_token"`
	forPerson
}

// forPerson is what an application gets besides that acts for a person.
type forPerson struct {
	Scope      string `json:"scope,omitempty"`
	Refresh    string `json:"refresh_token,omitempty"`
	ID         string `json:"id_token,omitempty"`
	ClientInfo string `json:"client_info,omitempty"`
}

// issue is what a grant came to.
type issue struct {
	auth.Issued
	resource string
	forPerson
}

// tokenV2 answers at the endpoint that takes scope=RESOURCE/….
func (s *Issuer) tokenV2(c *call) (any, error) {
	i, err := s.token(c, v2)
	if err != nil {
		return nil, err
	}
	seconds := int64(auth.TokenLife.Seconds())
	return tokenAnswer{Type: "Bearer", Expires: seconds, ExtExpires: seconds, Token: i.Token, forPerson: i.forPerson}, nil
}

// tokenV1 answers at the endpoint that takes resource=RESOURCE. A library that
// was led here by the v1 metadata, and speaks v2, sends a scope in its place.
func (s *Issuer) tokenV1(c *call) (any, error) {
	i, err := s.token(c, v1)
	if err != nil {
		return nil, err
	}
	seconds := strconv.FormatInt(int64(auth.TokenLife.Seconds()), 10)
	return tokenAnswerV1{
		Type: "Bearer", Expires: seconds, ExtExpires: seconds, Resource: i.resource, Token: i.Token, forPerson: i.forPerson,
		ExpiresOn: strconv.FormatInt(i.Until.Unix(), 10), NotBefore: strconv.FormatInt(i.From.Unix(), 10),
	}, nil
}

// grants are what can be asked for by, each under all of its names.
var grants = map[string]func(s *Issuer, c *call, v version, f form) (issue, error){
	"client_credentials": (*Issuer).forItself,
	"authorization_code": (*Issuer).byCode,
	"refresh_token":      (*Issuer).byRefresh,
	"device_code":        (*Issuer).byDeviceCode,
	deviceGrant:          (*Issuer).byDeviceCode,
	"password":           (*Issuer).byPassword,
}

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// token is what both endpoints share.
func (s *Issuer) token(c *call, v version) (issue, error) {
	form, err := c.form()
	if err != nil {
		return issue{}, err
	}
	name, err := form.need("grant_type")
	if err != nil {
		return issue{}, err
	}
	grant, ok := grants[name]
	if !ok || name == "password" && !s.Passwords {
		return issue{}, refused("unsupported_grant_type", 70003, "The grant type '%s' is not supported; applications use client_credentials, and authorization_code or device_code for people", clip(name))
	}
	return grant(s, c, v, form)
}

// forItself gives an application that proves itself a token for what it may do.
func (s *Issuer) forItself(c *call, v version, form form) (issue, error) {
	app, by, err := s.client(c, form)
	if err != nil {
		return issue{}, err
	}
	resource, err := s.resource(v, form)
	if err != nil {
		return issue{}, err
	}
	issued, err := s.Tokens.Grant(c.base, resource, app, by)
	if err != nil {
		return issue{}, err
	}
	s.Log.DebugContext(c.r.Context(), "token issued", "caller", app.ID, "from", c.from, "correlation", c.trace)
	return issue{Issued: issued, resource: resource}, nil
}

// resource is the one that an application asks for itself.
func (s *Issuer) resource(v version, f form) (string, error) {
	if v == v2 || f["resource"] == "" && f["scope"] != "" {
		scope, err := f.need("scope")
		if err != nil {
			return "", err
		}
		return s.scope(scope)
	}
	resource, err := f.need("resource")
	if err != nil {
		return "", err
	}
	if !s.Tokens.Resources.Accept(resource) {
		return "", refused("invalid_resource", 500011,
			"The resource '%s' was not found here. Ask for this API, such as https://api.securitycenter.microsoft.com", clip(resource))
	}
	return resource, nil
}

// scope is the resource that a scope asks for: one …/.default of this API. The
// scopes of OpenID Connect, which some libraries always add, are nothing to an
// application.
func (s *Issuer) scope(scope string) (string, error) {
	found := ""
	for one := range strings.FieldsSeq(scope) {
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

// byCode gives an application what an authorization code is worth.
func (s *Issuer) byCode(c *call, v version, form form) (issue, error) {
	app, by, err := s.party(c, form)
	if err != nil {
		return issue{}, err
	}
	code, err := form.need("code")
	if err != nil {
		return issue{}, err
	}
	g, err := s.Desk.Redeem(c.r.Context(), c.visitor(), app, code, form["redirect_uri"], form["code_verifier"])
	if err != nil {
		return issue{}, err
	}
	return s.delegate(c, v, app, by, g)
}

// byRefresh gives an application another token for somebody who has signed in to
// it.
func (s *Issuer) byRefresh(c *call, v version, form form) (issue, error) {
	app, by, err := s.party(c, form)
	if err != nil {
		return issue{}, err
	}
	token, err := form.need("refresh_token")
	if err != nil {
		return issue{}, err
	}
	var narrow *signin.Scope
	if resource := form.resourceOf(v); form["scope"]+resource != "" {
		scope, err := s.Desk.ReadScope(app, form["scope"], resource)
		if err != nil {
			return issue{}, err
		}
		narrow = &scope
	}
	g, err := s.Desk.Renew(c.r.Context(), c.visitor(), app, token, narrow)
	if err != nil {
		return issue{}, err
	}
	return s.delegate(c, v, app, by, g)
}

// resourceOf is the resource that a v1 request names, "" for a v2 one.
func (f form) resourceOf(v version) string {
	if v == v1 {
		return f["resource"]
	}
	return ""
}

// byDeviceCode gives a device what its code is worth by now. Some clients call it
// device_code, others code, and some both.
func (s *Issuer) byDeviceCode(c *call, v version, form form) (issue, error) {
	app, by, err := s.party(c, form)
	if err != nil {
		return issue{}, err
	}
	code := form["device_code"]
	if code == "" {
		code = form["code"]
	}
	if code == "" {
		_, err := form.need("device_code")
		return issue{}, err
	}
	if other := form["code"]; other != "" && other != code {
		return issue{}, invalidRequest(900144, "The parameters 'device_code' and 'code' are two device codes; send one")
	}
	g, err := s.Desk.RedeemDevice(c.r.Context(), c.visitor(), app, code)
	if err != nil {
		return issue{}, err
	}
	return s.delegate(c, v, app, by, g)
}

// byPassword signs in a person whose password the application has.
func (s *Issuer) byPassword(c *call, v version, form form) (issue, error) {
	app, by, err := s.party(c, form)
	if err != nil {
		return issue{}, err
	}
	user, err := form.need("username")
	if err != nil {
		return issue{}, err
	}
	password, err := form.need("password")
	if err != nil {
		return issue{}, err
	}
	scope, err := s.Desk.ReadScope(app, form["scope"], form.resourceOf(v))
	if err != nil {
		return issue{}, err
	}
	g, err := s.Desk.ByPassword(c.r.Context(), signin.Attempt{Visitor: c.visitor(), Principal: user, Password: password}, app, scope)
	if errors.Is(err, fault.Unauthorized) {
		_, text := fault.Of(err)
		return issue{}, refused("invalid_grant", 50126, "%s", text)
	}
	if err != nil {
		return issue{}, err
	}
	return s.delegate(c, v, app, by, g)
}

// delegate makes the tokens of a grant.
func (s *Issuer) delegate(c *call, v version, app auth.App, by auth.Proof, g signin.Grant) (issue, error) {
	i := issue{resource: g.Scope.Resource}
	if i.resource == "" {
		i.resource = c.base
	}
	d := auth.Delegation{
		App: app, By: by, Person: g.Person, Scopes: g.Granted, Session: g.Session.ID, Methods: g.Session.Methods, At: g.Session.Proved,
	}
	var err error
	if i.Issued, err = s.Tokens.Delegate(c.base, i.resource, d); err != nil {
		return issue{}, err
	}
	i.Scope = g.Scope.String(g.Granted)
	if g.Refresh != nil {
		i.Refresh = g.Refresh.Reveal()
	}
	if g.Scope.OpenID {
		issuer := auth.Issuer(c.base, c.tenant.ID)
		if v == v2 {
			issuer = c.base + "/" + c.tenant.ID + issuerPathV2
		}
		if i.ID, err = s.Tokens.Identify(c.base, issuer, g.Nonce, d); err != nil {
			return issue{}, err
		}
	}
	i.ClientInfo, err = clientInfo(g.Person)
	s.Log.DebugContext(c.r.Context(), "token issued", "caller", app.ID, "person", g.Person.ID, "from", c.from, "correlation", c.trace)
	return i, err
}

// clientInfo is by what libraries of Microsoft's know an account again: without
// it they have none, and can't refresh in silence.
func clientInfo(p auth.Person) (string, error) {
	b, err := canon.Marshal(struct {
		Person string `json:"uid"`
		Tenant string `json:"utid"`
	}{p.ID, p.Tenant})
	return base64URL(b), err
}

// revoke ends the sign-in that a refresh token keeps alive (RFC 7009).
func (s *Issuer) revoke(c *call) (any, error) {
	form, err := c.form()
	if err != nil {
		return nil, err
	}
	app, _, err := s.party(c, form)
	if err != nil {
		return nil, err
	}
	token, err := form.need("token")
	if err != nil {
		return nil, err
	}
	return struct{}{}, s.Desk.Revoke(c.r.Context(), c.visitor(), app, token)
}

func base64URL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
