package issuer

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"swab/internal/auth"
	"swab/internal/fault"
	"swab/internal/issuer/pages"
	"swab/internal/signin"
)

// Paths of pages below a tenant.
const (
	authorizePathV2 = "oauth2/v2.0/authorize"
	authorizePathV1 = "oauth2/authorize"
	devicePath      = "device"
	accountPath     = "account"
	passwordPath    = "account/password"
	twoStepPath     = "account/two-step"
	recoveryPath    = "account/recovery-codes"
	removePath      = "account/remove-two-step"
)

// path is an address of this server, below the tenant.
func (c *call) path(below string) string { return "/" + c.tenant.ID + "/" + below }

// asked are the parameters of an application's request that are read; others are
// nothing to us.
var asked = []string{
	"client_id", "response_type", "redirect_uri", "response_mode", "scope", "resource", "state", "nonce", "prompt", "login_hint", "max_age",
	"code_challenge", "code_challenge_method", "request", "request_uri",
}

// maxRequest bounds an application's request: 16 KiB. It goes into a ticket.
const maxRequest = 16 << 10

// authorization is an application's request to sign a person in.
type authorization struct {
	path   string // of the endpoint
	query  string
	app    auth.App
	target string // redirect URI: where the answer goes
	native bool   // that is a program on the person's own machine, whoever it may be
	mode   string // response_mode
	state  string
	has    map[string]bool // prompt
	hint   string          // login_hint
	maxAge time.Duration   // -1: any
	signin.Request
}

func (s *Issuer) authorizeV2(c *call) (any, error) { return s.authorize(c, authorizePathV2) }

func (s *Issuer) authorizeV1(c *call) (any, error) { return s.authorize(c, authorizePathV1) }

// authorize answers an application that sends a browser here.
func (s *Issuer) authorize(c *call, path string) (any, error) {
	if c.r.Method == "POST" {
		// The browser kept its cookies from a form of another site. Sent on with a
		// GET, it comes with them.
		return c.again(path, asked)
	}
	a, err := s.readAuthorization(c, path, c.r.URL.RawQuery)
	if err != nil {
		return s.unauthorized(c, a, err)
	}
	in, signed, err := s.who(c)
	if err != nil {
		return nil, err
	}
	fresh := signed && (a.maxAge < 0 || in.ProvedWithin(a.maxAge, s.Now()))
	other := a.hint != "" && signed && !strings.EqualFold(a.hint, in.Person.Principal)
	meant := a.hint
	if meant == "" {
		meant = in.Person.Principal
	}
	switch {
	case a.has["none"]:
		switch {
		case !fresh || other:
			return s.unauthorized(c, a, refused("login_required", 50058, "Nobody is signed in in this browser as the request wants it"))
		case a.native:
			return s.unauthorized(c, a, refused("interaction_required", 50058, "A program on the person's machine can't be told from another one, so the person is asked"))
		}
	case !fresh || a.has["login"] || other && !a.has["select_account"]:
		return s.askPassword(c, a.continuation(), meant, pages.Problem{}, 200)
	case a.has["select_account"] || a.native:
		return s.askAccount(c, a, in)
	}
	return s.grant(c, a, in)
}

// again sends a browser that came with a POST here once more, with a GET and those
// parameters of the form that are named.
func (c *call) again(path string, names []string) (any, error) {
	form, err := c.read(names)
	if err != nil {
		return nil, err
	}
	query := url.Values{}
	for name, value := range form {
		query.Set(name, value)
	}
	return redirect(c.path(path) + "?" + query.Encode()), nil
}

// readAuthorization reads a request. With an error it gives the request as well
// where the application may be told: where it is known that the address is the
// application's.
func (s *Issuer) readAuthorization(c *call, path, query string) (*authorization, error) {
	if len(query) > maxRequest {
		return nil, invalidRequest(900144, "The request has over %d bytes", maxRequest)
	}
	f, err := parseForm(query, asked)
	if err != nil {
		return nil, err
	}
	id, err := f.need("client_id")
	if err != nil {
		return nil, err
	}
	a := &authorization{path: path, query: query, state: f["state"], mode: f["response_mode"], hint: f["login_hint"], maxAge: -1}
	if a.app, err = s.application(c, id); err != nil {
		return nil, err
	}
	if a.app.ID == "" {
		return nil, refused("unauthorized_client", 700016, "There is no application '%s' in this tenant; an administrator has to register it", clip(id))
	}
	if a.target, a.native, err = redirectOf(a.app, f["redirect_uri"]); err != nil {
		return nil, err
	}
	a.App, a.Redirect, a.Nonce, a.Challenge = a.app, f["redirect_uri"], f["nonce"], f["code_challenge"]
	switch {
	case a.mode == "":
		a.mode = "query"
	case !slices.Contains(responseModes, a.mode) || a.mode == "form_post" && !strings.HasPrefix(a.target, "http"):
		a.mode = "query"
		return a, invalidRequest(900144, "The parameter 'response_mode' must be query, fragment or form_post")
	}
	if f["response_type"] != "code" {
		return a, refused("unsupported_response_type", 700051, "The parameter 'response_type' must be code: no token is given to a browser")
	}
	if f["request"] != "" || f["request_uri"] != "" {
		return a, refused("request_not_supported", 900144, "Requests in a JWT are not supported; send the parameters themselves")
	}
	if method := f["code_challenge_method"]; a.Challenge != "" && method != "S256" {
		return a, invalidRequest(9002313, "The parameter 'code_challenge_method' must be S256; plain proves nothing")
	}
	resource := ""
	if path == authorizePathV1 {
		if resource = f["resource"]; resource == "" && !strings.Contains(f["scope"], "/") {
			resource = c.base // this API is the only one there is
		}
	}
	if a.Scope, err = s.Desk.ReadScope(a.app, f["scope"], resource); err != nil {
		return a, err
	}
	if err := a.Check(); err != nil {
		return a, err
	}
	return a, a.readPrompt(f)
}

// responseModes are the ways by which an answer goes to an application.
var responseModes = []string{"query", "fragment", "form_post"}

// readPrompt reads what the application wants of the person.
func (a *authorization) readPrompt(f form) error {
	a.has = map[string]bool{}
	for one := range strings.FieldsSeq(f["prompt"]) {
		if !slices.Contains([]string{"none", "login", "select_account", "consent", "create"}, one) {
			return invalidRequest(90023, "The parameter 'prompt' must be none, login or select_account")
		}
		a.has[one] = true
	}
	if a.has["none"] && len(a.has) > 1 {
		return invalidRequest(90023, "The parameter 'prompt' is none, and something else beside")
	}
	if text := f["max_age"]; text != "" {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return invalidRequest(900144, "The parameter 'max_age' must be a number of seconds")
		}
		a.maxAge = time.Duration(n) * time.Second
	}
	return nil
}

// redirectOf is where an answer to an application goes: the address that its
// request names, if that is registered for it. An address of the person's own
// machine matches with any port, since a program can't choose it (RFC 8252,
// section 7.3); the rest of it, and all others, character for character.
func redirectOf(app auth.App, sent string) (target string, native bool, err error) {
	if sent == "" {
		if len(app.Redirects) != 1 || loopback(app.Redirects[0]) != "" {
			return "", false, invalidRequest(900144, "The request must contain the following parameter: 'redirect_uri'")
		}
		sent = app.Redirects[0]
	}
	own := loopback(sent)
	for _, registered := range app.Redirects {
		if sent == registered || own != "" && own == loopback(registered) {
			return sent, app.Public && !strings.HasPrefix(strings.ToLower(sent), "https:"), nil
		}
	}
	return "", false, invalidRequest(50011, "The redirect URI '%s' is not registered for the application %s. An administrator can register it, character for character", clip(sent), app.ID)
}

// loopback is an address of the machine on which the browser runs without its
// port; "" for any other.
func loopback(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || u.User != nil || u.Fragment != "" || strings.Contains(address, "#") {
		return ""
	}
	host := strings.ToLower(u.Hostname())
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return ""
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return host + path + "?" + u.RawQuery
}

// continuation is what a ticket says of the request.
func (a *authorization) continuation() string { return a.path + "?" + a.query }

// grant answers the application with a code.
func (s *Issuer) grant(c *call, a *authorization, in signin.Signed) (any, error) {
	code, err := s.Desk.Authorize(c.r.Context(), in, a.Request)
	if err != nil {
		return s.unauthorized(c, a, err)
	}
	return a.answer(c, [][2]string{{"code", code.Reveal()}}), nil
}

// unauthorized tells an application why it gets no code; who it is not known to be,
// or what it can do nothing about, is a page.
func (s *Issuer) unauthorized(c *call, a *authorization, err error) (any, error) {
	e, known := asOAuth(err)
	if a == nil || !known {
		return nil, err
	}
	_, f := s.refuse(c, err)
	return a.answer(c, [][2]string{{"error", e.code}, {"error_description", f.Description}}), nil
}

// answer sends the browser back to the application.
func (a *authorization) answer(c *call, values [][2]string) answer {
	if a.state != "" {
		values = append(values, [2]string{"state", a.state})
	}
	if a.mode == "form_post" {
		p := pages.FormPost{Tenant: c.tenant.Name, Application: title(a.app), Redirect: a.target}
		for _, v := range values {
			p.Fields = append(p.Fields, pages.Field{Name: v[0], Value: v[1]})
		}
		return shown{200, p}
	}
	var query []string
	for _, v := range values {
		query = append(query, v[0]+"="+url.QueryEscape(v[1]))
	}
	target, mark := a.target, "#"
	if a.mode == "query" {
		if mark = "?"; strings.Contains(target, "?") {
			mark = "&"
		}
	}
	return redirect(target + mark + strings.Join(query, "&"))
}

// title is what an application is called on pages.
func title(app auth.App) string {
	if app.Name == "" {
		return app.ID
	}
	return app.Name
}

// about is what a page says of the application that a sign-in is for, and where
// its forms may lead: nothing where it is for this server itself.
func (s *Issuer) about(c *call, request string) (application, target string) {
	path, query, _ := strings.Cut(request, "?")
	if path != authorizePathV2 && path != authorizePathV1 {
		return "", ""
	}
	a, _ := s.readAuthorization(c, path, query)
	if a == nil {
		return "", ""
	}
	return title(a.app), a.target
}

// resume goes on with what somebody signed in for.
func (s *Issuer) resume(c *call, request string, in signin.Signed) (any, error) {
	path, query, _ := strings.Cut(request, "?")
	if path != authorizePathV2 && path != authorizePathV1 {
		return redirect(c.path(request)), nil // one of our own pages: the ticket says so
	}
	a, err := s.readAuthorization(c, path, query)
	if err != nil {
		return s.unauthorized(c, a, err)
	}
	return s.grant(c, a, in)
}

var errForged = fault.BadRequest.Errorf(nil, "The form was not sent by a page of this server. Go back, and load the page again")

// sameOrigin refuses a form that a page of another site has sent. Browsers say so
// in one of two headers.
func (c *call) sameOrigin() error {
	if site := c.r.Header.Get("Sec-Fetch-Site"); site != "" {
		if site != "same-origin" {
			return errForged
		}
		return nil
	}
	if from := c.r.Header.Get("Origin"); from != "" && from != c.base {
		return errForged
	}
	return nil
}
