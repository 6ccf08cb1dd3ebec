// Package issuer is the token issuer that Swab brings along: the token endpoint
// and the metadata documents that Defender's clients and OAuth libraries ask for
// when they are pointed at another authority.
//
// An application proves itself by a secret, or by an assertion that it signed
// with a certificate's key, and gets an access token (client_credentials);
// package auth makes and checks those. There are two token endpoints, v1 and v2,
// which differ in how the resource is named and in the answer's form. The other
// grants are refused as unsupported. Every address stands under a tenant, by its
// id or its name, and every answer names the base URL that the request came to,
// since libraries refuse an issuer on another host than they asked.
//
// Failures have the form of RFC 6749, in which error is a string, with the
// additions that clients of Microsoft's issuer read. A secret is read from the
// body or the Authorization header alone, never from a query, which ends up in
// logs.
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
	"swab/internal/keys"
	"swab/internal/limit"
	"swab/internal/origin"
)

// Config is what the issuer is put together from.
type Config struct {
	Keys    *keys.Ring
	Tokens  *auth.Tokens  // and the directory of tenants and applications
	Denials *auth.Denials // counts what is answered 401
	Origin  *origin.Set
	Now     func() time.Time
	Log     *slog.Logger

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

// endpoint is one address below a tenant.
type endpoint struct {
	path    string
	methods []string
	reach   reach
	serve   func(s *Issuer, c *call) (any, error)
}

// reach is whom an answer concerns.
type reach int

const (
	ofClient reach = iota // one client of the tenant: nobody else may keep it
	ofTenant              // the tenant: the same for everybody, for a while
	ofAll                 // the installation: there under the shared names too
)

// Methods of endpoints. A form may come with a GET: see form.
var (
	asking   = []string{http.MethodGet, http.MethodPost}
	fetching = []string{http.MethodGet, http.MethodHead}
)

// endpoints is the whole surface. Paths are matched without regard to case.
var endpoints = []endpoint{
	{"oauth2/v2.0/token", asking, ofClient, (*Issuer).tokenV2},
	{"oauth2/token", asking, ofClient, (*Issuer).tokenV1},
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
	_ = http.NewResponseController(w).SetReadDeadline(begun.Add(deadline))

	route, body, err := s.fenced(c)
	status := http.StatusOK
	if err != nil {
		status, body = s.refuse(c, err)
	}
	writeJSON(w, status, body)
	if s.Observe != nil {
		method := r.Method
		if status == http.StatusMethodNotAllowed || route == "" {
			method = "" // no caller makes a name of its own in the metrics
		}
		s.Observe(method, route, status, s.Now().Sub(begun))
	}
}

// fenced is serve, with a bug in this program made a failure of one request.
func (s *Issuer) fenced(c *call) (route string, body any, err error) {
	defer func() {
		if caught := recover(); caught != nil {
			s.Log.ErrorContext(c.r.Context(), "request panicked", "correlation", c.trace, "err", caught, "stack", string(debug.Stack()))
			err = errors.New("a panic")
		}
	}()
	return s.serve(c)
}

// serve finds the endpoint and the tenant, and gives what is to be answered.
func (s *Issuer) serve(c *call) (route string, body any, err error) {
	name, path, _ := strings.Cut(strings.TrimPrefix(c.r.URL.Path, "/"), "/")
	at := slices.IndexFunc(endpoints, func(e endpoint) bool { return strings.EqualFold(e.path, strings.TrimSuffix(path, "/")) })
	if at < 0 {
		return "", nil, noEndpoint
	}
	e := endpoints[at]
	if !slices.Contains(e.methods, c.r.Method) {
		c.w.Header().Set("Allow", strings.Join(e.methods, ", "))
		return e.path, nil, methodNotAllowed
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), deadline)
	defer cancel()
	c.r = c.r.WithContext(ctx)
	if e.reach != ofAll || !isShared(name) {
		if c.tenant, err = s.tenant(ctx, name); err != nil {
			return e.path, nil, err
		}
	}
	body, err = e.serve(s, c)
	if err == nil && e.reach != ofClient {
		c.w.Header().Set("Cache-Control", "public, max-age="+strconv.Itoa(int(documentAge.Seconds())))
		c.w.Header().Del("Pragma")
	}
	return e.path, body, err
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
