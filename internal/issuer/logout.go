package issuer

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"swab/internal/auth"
	"swab/internal/fault"
	"swab/internal/issuer/pages"
	"swab/internal/signin"
)

// leaving are the parameters of a request to sign out.
var leaving = []string{"id_token_hint", "post_logout_redirect_uri", "client_id", "state"}

const formLogout = "logout"

// logout signs a person out of this browser (OpenID Connect RP-Initiated Logout).
// An application that shows the id token which it got of the same person does so
// at once; at the word of anybody else the person is asked, so that no site signs
// people out behind their backs.
func (s *Issuer) logout(c *call) (any, error) {
	query := c.r.URL.RawQuery
	if c.r.Method == http.MethodPost {
		return s.loggedOut(c)
	}
	if len(query) > maxRequest {
		return nil, invalidRequest(900144, "The request has over %d bytes", maxRequest)
	}
	f, err := parseForm(query, leaving)
	if err != nil {
		return nil, err
	}
	hint, err := s.hinted(c, f["id_token_hint"])
	if err != nil {
		return nil, err
	}
	next, err := s.afterLogout(c, f, hint)
	if err != nil {
		return nil, err
	}
	in, signed, err := s.who(c)
	switch {
	case err != nil:
		return nil, err
	case !signed && next != "":
		return redirect(next), nil
	case !signed:
		return s.signedOut(c), nil
	case hint.Person != in.Person.ID:
		return shown{http.StatusOK, pages.SignOut{
			Form:   s.form(c, "oauth2/v2.0/logout", next, signin.Ticket{For: formLogout, Session: in.Session.ID, Request: next}),
			Tenant: c.tenant.Name, Name: in.Person.Name, Principal: in.Person.Principal, Cancel: c.path(accountPath),
		}}, nil
	}
	// The application's own sign-in goes along, if it has not ended.
	if err := s.Desk.SignOutOf(c.r.Context(), c.visitor(), in, hint.Session); err != nil && !errors.Is(err, fault.NotFound) {
		return nil, err
	}
	return s.leave(c, in, next)
}

// loggedOut takes the form of the page that asks; a form of an application is sent
// on with a GET, so that the cookies come too.
func (s *Issuer) loggedOut(c *call) (any, error) {
	body, err := c.body()
	if err != nil {
		return nil, err
	}
	f, err := parseForm(body, append([]string{ticketField, pages.FieldDo}, leaving...))
	if err != nil {
		return nil, err
	}
	if f[ticketField] == "" {
		query := url.Values{}
		for name, value := range f {
			query.Set(name, value)
		}
		return redirect(c.path("oauth2/v2.0/logout") + "?" + query.Encode()), nil
	}
	if err := c.sameOrigin(); err != nil {
		return nil, err
	}
	t, err := s.Desk.Open(c.tenant.ID, c.cookie(browserCookie), formLogout, f[ticketField])
	if err != nil {
		return nil, err
	}
	in, signed, err := s.who(c)
	if err != nil {
		return nil, err
	}
	if !signed {
		return s.signedOut(c), nil
	}
	return s.leave(c, in, t.Request)
}

// leave signs somebody out of this browser and sends it on, where it may be.
func (s *Issuer) leave(c *call, in signin.Signed, next string) (any, error) {
	if err := s.Desk.SignOut(c.r.Context(), c.visitor(), in); err != nil && !errors.Is(err, fault.NotFound) {
		return nil, err
	}
	page := s.signedOut(c)
	if next != "" {
		return redirect(next), nil
	}
	return page, nil
}

// hinted reads an id token that an application shows. One that says nothing is no
// mistake: the person is asked then.
func (s *Issuer) hinted(c *call, token string) (auth.Hint, error) {
	if token == "" {
		return auth.Hint{}, nil
	}
	hint, err := s.Tokens.Hinted(c.r.Context(), c.tenant.ID, token)
	if errors.Is(err, fault.Unauthorized) {
		return auth.Hint{}, nil
	}
	return hint, err
}

// afterLogout is the address to which a browser goes after it was signed out: one
// that is registered for the application that asks; else "", and there is a page.
func (s *Issuer) afterLogout(c *call, f form, hint auth.Hint) (string, error) {
	sent, client := f["post_logout_redirect_uri"], hint.App
	if client == "" {
		client = f["client_id"]
	}
	if sent == "" || client == "" {
		return "", nil
	}
	app, err := s.application(c, client)
	if err != nil {
		return "", err
	}
	target, _, err := redirectOf(app, sent)
	if err != nil {
		return "", nil //nolint:nilerr // it is not registered, so nobody is sent there
	}
	if state := f["state"]; state != "" {
		mark := "?"
		if strings.Contains(target, "?") {
			mark = "&"
		}
		target += mark + "state=" + url.QueryEscape(state)
	}
	return target, nil
}
