package issuer

import (
	"strconv"
	"strings"

	"swab/internal/auth"
)

// tokenAnswer is the answer to an application. Numbers are numbers, and there
// is nothing else in it: no scope, no client_info, which libraries misread.
type tokenAnswer struct {
	Type       string `json:"token_type"`
	Expires    int64  `json:"expires_in"`
	ExtExpires int64  `json:"ext_expires_in"`
	Token      string `json:"access_token"`
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
}

// tokenV2 answers at the endpoint that takes scope=RESOURCE/.default.
func (s *Issuer) tokenV2(c *call) (any, error) {
	issued, _, err := s.token(c, func(f form) (string, error) {
		scope, err := f.need("scope")
		if err != nil {
			return "", err
		}
		return s.scope(scope)
	})
	if err != nil {
		return nil, err
	}
	seconds := int64(auth.TokenLife.Seconds())
	return tokenAnswer{Type: "Bearer", Expires: seconds, ExtExpires: seconds, Token: issued.Token}, nil
}

// tokenV1 answers at the endpoint that takes resource=RESOURCE. A library that
// was led here by the v1 metadata, and speaks v2, sends a scope in its place.
func (s *Issuer) tokenV1(c *call) (any, error) {
	issued, resource, err := s.token(c, func(f form) (string, error) {
		if f["resource"] == "" && f["scope"] != "" {
			return s.scope(f["scope"])
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
	})
	if err != nil {
		return nil, err
	}
	seconds := strconv.FormatInt(int64(auth.TokenLife.Seconds()), 10)
	return tokenAnswerV1{
		Type: "Bearer", Expires: seconds, ExtExpires: seconds, Resource: resource, Token: issued.Token,
		ExpiresOn: strconv.FormatInt(issued.Until.Unix(), 10), NotBefore: strconv.FormatInt(issued.From.Unix(), 10),
	}, nil
}

// token is what both endpoints share: a grant, a client that proves itself, and
// the resource that of names.
func (s *Issuer) token(c *call, of func(form) (string, error)) (auth.Issued, string, error) {
	var none auth.Issued
	form, err := c.form()
	if err != nil {
		return none, "", err
	}
	switch grant, err := form.need("grant_type"); {
	case err != nil:
		return none, "", err
	case grant != "client_credentials":
		return none, "", refused("unsupported_grant_type", 70003, "The grant type '%s' is not supported; applications use client_credentials", clip(grant))
	}
	app, by, err := s.client(c, form)
	if err != nil {
		return none, "", err
	}
	resource, err := of(form)
	if err != nil {
		return none, "", err
	}
	issued, err := s.Tokens.Grant(c.base, resource, app, by)
	if err != nil {
		return none, "", err
	}
	s.Denials.Issued(app)
	s.Log.DebugContext(c.r.Context(), "token issued", "caller", app.ID, "from", c.from, "correlation", c.trace)
	return issued, resource, nil
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
