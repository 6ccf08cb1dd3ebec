// Package issuer is the token issuer that Swab brings along: the endpoints and
// metadata documents that Defender's clients and OAuth libraries ask for when they
// are pointed at another authority, and the pages on which people sign in.
//
// An application proves itself by a secret, or by an assertion that it signed
// with a certificate's key, and gets an access token for itself
// (client_credentials) or, by a code or a refresh token, for a person who signed in
// to it. A public application, which can keep no secret, gets the latter alone.
// Package auth makes and checks tokens, package signin decides about people. There
// are two forms of the endpoints, v1 and v2, which differ in how the resource is
// named and in the answer's form. Every address stands under a tenant, by its id or
// its name, and every answer names the base URL that the request came to, since
// libraries refuse an issuer on another host than they asked.
//
// Failures have the form of RFC 6749, in which error is a string, with the
// additions that clients of Microsoft's issuer read; a browser gets a page. A
// secret is read from the body or the Authorization header alone, never from a
// query, which ends up in logs.
//
// # Pages
//
// A browser is sent on to an application only at an address that is registered
// for it, errors too. A form goes on where its ticket says (package signin), which
// only this server can make, only for this browser; what another site sends is
// refused beside that. Cookies are __Host- ones, which no other host can set, and
// no script reads. Their names hold the tenant's id: one browser may be signed in
// at several.
package issuer

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"swab/internal/auth"
	"swab/internal/fault"
	"swab/internal/issuer/pages"
	"swab/internal/keys"
	"swab/internal/limit"
	"swab/internal/origin"
	"swab/internal/signin"
)

// Config is what the issuer is put together from.
type Config struct {
	Keys   *keys.Ring
	Tokens *auth.Tokens // and the directory of tenants and applications
	Desk   *signin.Desk // where people sign in
	Tally  *auth.Tally  // counts what is answered 401
	Origin *origin.Set

	// Passwords lets applications sign people in by a password that they have
	// themselves (the grant password of RFC 6749).
	Passwords bool

	Now func() time.Time
	Log *slog.Logger

	// Observe is told of each answer, for metrics; nil for nobody.
	Observe func(method, route string, status int, took time.Duration)
}

// Issuer is the handler of everything under a tenant's id or name.
type Issuer struct {
	Config
	guesses *limit.Guesses // of secrets
}

// New returns the issuer.
func New(c Config) *Issuer { return &Issuer{Config: c, guesses: limit.NewGuesses(c.Now)} }

// endpoint is one address below a tenant. What serve gives is answered as JSON,
// unless it is an answer of its own.
type endpoint struct {
	path    string
	methods []string
	reach   reach
	serve   func(s *Issuer, c *call) (any, error)
}

// reach is whom an answer concerns.
type reach int

const (
	ofClient  reach = iota // one client of the tenant: nobody else may keep it
	ofBrowser              // one person's browser; what goes wrong is a page
	ofTenant               // the tenant: the same for everybody, for a while
	ofAll                  // the installation: there under the shared names too
)

// answer is what a browser gets: a page, or a redirect.
type answer interface {
	give(w http.ResponseWriter) (status int)
}

// Methods of endpoints. A form may come with a GET: see form.
var (
	asking   = []string{http.MethodGet, http.MethodPost}
	fetching = []string{http.MethodGet, http.MethodHead}
)

// endpoints is the whole surface. Paths are matched without regard to case.
var endpoints = []endpoint{
	{"oauth2/v2.0/token", asking, ofClient, (*Issuer).tokenV2},
	{"oauth2/token", asking, ofClient, (*Issuer).tokenV1},
	{"oauth2/v2.0/devicecode", asking, ofClient, (*Issuer).deviceCodeV2},
	{"oauth2/devicecode", asking, ofClient, (*Issuer).deviceCodeV1},
	{"oauth2/v2.0/revoke", asking, ofClient, (*Issuer).revoke},
	{authorizePathV2, asking, ofBrowser, (*Issuer).authorizeV2},
	{authorizePathV1, asking, ofBrowser, (*Issuer).authorizeV1},
	{"oauth2/v2.0/logout", asking, ofBrowser, (*Issuer).logout},
	{"oauth2/logout", asking, ofBrowser, (*Issuer).logout},
	{"signin", asking, ofBrowser, (*Issuer).signInPassword},
	{"signin/code", asking, ofBrowser, (*Issuer).signInCode},
	{"signin/password", asking, ofBrowser, (*Issuer).signInNewPassword},
	{"signin/account", asking, ofBrowser, (*Issuer).signInAccount},
	{devicePath, asking, ofBrowser, (*Issuer).device},
	{"device/confirm", asking, ofBrowser, (*Issuer).deviceConfirm},
	{accountPath, asking, ofBrowser, (*Issuer).account},
	{passwordPath, asking, ofBrowser, (*Issuer).accountPassword},
	{twoStepPath, asking, ofBrowser, (*Issuer).accountTwoStep},
	{"account/two-step/code", asking, ofBrowser, (*Issuer).accountTwoStepCode},
	{recoveryPath, asking, ofBrowser, (*Issuer).accountRecovery},
	{removePath, asking, ofBrowser, (*Issuer).accountRemove},
	{"v2.0/.well-known/openid-configuration", fetching, ofTenant, (*Issuer).metadataV2},
	{".well-known/openid-configuration", fetching, ofTenant, (*Issuer).metadataV1},
	{"discovery/v2.0/keys", fetching, ofAll, (*Issuer).jwks},
	{"discovery/keys", fetching, ofAll, (*Issuer).jwks},
	{"discovery/instance", fetching, ofAll, (*Issuer).instanceDiscovery},
}

// sharedNames are those that stand for any tenant at Microsoft's issuer. Here
// they name none, but what is the same for all is served under them too.
var sharedNames = []string{"common", "organizations", "consumers"}

// call is a request to a known endpoint.
type call struct {
	w      http.ResponseWriter
	r      *http.Request
	base   string // the base URL that the request came to
	from   string // the client's address
	tenant auth.Tenant
	trace  string // the request's id, in the log as well
	secret string // of the browser, once it was looked at
}

// visitor is who sent the request, as far as the connection tells.
func (c *call) visitor() signin.Visitor {
	return signin.Visitor{Tenant: c.tenant, From: c.from, Agent: c.r.UserAgent(), Correlation: c.trace}
}

// shown is a page with its status.
type shown struct {
	status int
	pages.Page
}

func (p shown) give(w http.ResponseWriter) int {
	pages.Render(w, p.status, p.Page)
	return p.status
}

// redirect sends a browser on, with a GET whatever it came with.
type redirect string

func (to redirect) give(w http.ResponseWriter) int {
	h := w.Header()
	h.Set("Location", string(to))
	h.Set("Content-Length", "0")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
	return http.StatusSeeOther
}

// deadline is how long one request may take.
const deadline = 30 * time.Second

// ServeHTTP answers a request to one of the endpoints.
func (s *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := s.Now()
	c := &call{w: w, r: r, base: s.Origin.Base(r), from: s.Origin.Client(r), trace: uuid.NewString()}
	h := w.Header()
	h.Set("request-id", c.trace)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache") // RFC 6749 asks for it beside Cache-Control
	// A body that never comes must not hold the connection.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(deadline)) // by the network's clock, whatever ours is

	e, body, err := s.fenced(c)
	status := http.StatusOK
	var failed failure
	if err != nil {
		status, failed = s.refuse(c, err)
		if body = failed; e.reach == ofBrowser {
			body = s.apology(c, status, failed)
		}
	}
	if a, ok := body.(answer); ok {
		status = a.give(w)
	} else {
		writeJSON(w, status, body)
	}
	if s.Observe != nil {
		method := r.Method
		if status == http.StatusMethodNotAllowed || e.path == "" {
			method = "" // no caller makes a name of its own in the metrics
		}
		s.Observe(method, e.path, status, s.Now().Sub(begun))
	}
}

// fenced is serve, with a bug in this program made a failure of one request.
func (s *Issuer) fenced(c *call) (e endpoint, body any, err error) {
	defer func() {
		if caught := recover(); caught != nil {
			s.Log.ErrorContext(c.r.Context(), "request panicked", "correlation", c.trace, "err", caught, "stack", string(debug.Stack()))
			err = errors.New("a panic")
		}
	}()
	return s.serve(c)
}

// serve finds the endpoint and the tenant, and gives what is to be answered.
func (s *Issuer) serve(c *call) (e endpoint, body any, err error) {
	name, path, _ := strings.Cut(strings.TrimPrefix(c.r.URL.Path, "/"), "/")
	at := slices.IndexFunc(endpoints, func(e endpoint) bool { return strings.EqualFold(e.path, strings.TrimSuffix(path, "/")) })
	if at < 0 {
		return e, nil, noEndpoint
	}
	e = endpoints[at]
	if !slices.Contains(e.methods, c.r.Method) {
		c.w.Header().Set("Allow", strings.Join(e.methods, ", "))
		return e, nil, methodNotAllowed
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), deadline)
	defer cancel()
	c.r = c.r.WithContext(ctx)
	if e.reach != ofAll || !isShared(name) {
		if c.tenant, err = s.tenant(ctx, name); err != nil {
			return e, nil, err
		}
	}
	body, err = e.serve(s, c)
	if err == nil && e.reach >= ofTenant {
		c.w.Header().Set("Cache-Control", "public, max-age="+strconv.Itoa(int(documentAge.Seconds())))
		c.w.Header().Del("Pragma")
	}
	return e, body, err
}

// documentAge is how long whoever fetched a document may go without asking
// again: less than a new key is published before it signs.
const documentAge = keys.TokenSoon / 2

func isShared(name string) bool {
	return slices.ContainsFunc(sharedNames, func(n string) bool { return strings.EqualFold(n, name) })
}

// tenant finds a tenant by id or name, in any case.
func (s *Issuer) tenant(ctx context.Context, name string) (auth.Tenant, error) {
	t, err := s.Tokens.Directory.Tenant(ctx, name)
	switch {
	case err == nil, !errors.Is(err, fault.NotFound):
		return t, err
	case isShared(name):
		return t, invalidRequest(90002, "'%s' names no tenant, and an application signs in at its own: put the tenant's id or name in its place", clip(name))
	default:
		return t, invalidRequest(90002, "There is no tenant '%s' here; use the tenant's id or its name", clip(name))
	}
}
