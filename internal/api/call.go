package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"swab/internal/action"
	"swab/internal/auth"
	"swab/internal/canon"
	"swab/internal/fault"
)

// Bounds of a request.
const (
	maxBody  = 64 << 10 // bytes of a body, in either direction of method
	deadline = 30 * time.Second
)

// call is a request whose route and caller are known.
type call struct {
	w    http.ResponseWriter
	r    *http.Request
	who  auth.Caller
	base string            // the base URL that the request came to
	root string            // base and the prefix /api or /api/v1.0
	path map[string]string // what stands in the route's braces
	sent []byte            // the body, or its first maxBody bytes
	long bool              // it has more
}

// handler serves a call; an error that it returns is still to be answered.
type handler func(ctx context.Context, c *call) error

// reply is the answer of an operation.
type reply struct {
	status   int    // 0: 200
	location string // "" for none
	body     any
}

// answer makes a handler of an operation that answers in JSON. There is a
// deadline, so that a store which hangs does not hold its callers for ever.
func answer(operation func(ctx context.Context, c *call) (reply, error)) handler {
	return func(ctx context.Context, c *call) error {
		ctx, cancel := context.WithTimeout(ctx, deadline)
		defer cancel()
		r, err := operation(ctx, c)
		if err == nil {
			err = c.counted(ctx, nil)
		}
		if err != nil {
			return err
		}
		body, err := canon.Marshal(r.body)
		if err != nil {
			return err
		}
		if r.location != "" {
			c.w.Header().Set("Location", r.location)
		}
		if r.status == 0 {
			r.status = http.StatusOK
		}
		writeJSON(c.w, r.status, "application/json; odata.metadata=minimal; charset=utf-8", body)
		return nil
	}
}

// ServeHTTP takes a request through the steps that every route shares.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun, id := a.Now(), uuid.NewString()
	seen := &watched{ResponseWriter: w}
	seen.Header().Set("request-id", id)
	seen.Header().Set("X-Content-Type-Options", "nosniff")
	rt, path, prefix, allow, err := a.match(r)
	c := &call{w: seen, r: r, base: a.Origin.Base(r), path: path}
	c.root = c.base + prefix
	c.who = auth.Caller{From: a.Origin.Client(r), Correlation: id}
	// A body that never comes must not hold the connection, whether it is read
	// here or drained by the server after a refusal.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(a.arrive)) // by the network's clock, whatever ours is

	defer func() {
		caught := recover()
		if caught == http.ErrAbortHandler { //nolint:errorlint // what net/http itself compares
			panic(caught)
		}
		if caught != nil {
			a.panicked(r.Context(), c, rt, caught)
		}
		if a.Observe != nil {
			a.Observe(rt.method, rt.pattern, seen.status, a.Now().Sub(begun))
		}
	}()
	if allow != nil {
		seen.Header().Set("Allow", strings.Join(allow, ", "))
	}
	if err == nil {
		err = a.serve(c, rt)
	}
	if err != nil {
		a.refuse(c, rt, err)
	}
}

// serve is what a request with a route goes through.
func (a *API) serve(c *call, rt route) error {
	ctx := c.r.Context()
	if !rt.open {
		if err := a.know(ctx, c); err != nil {
			return err
		}
		if a.OnKnown != nil {
			a.OnKnown(ctx)
		}
	}
	if err := c.receive(); err != nil {
		return err
	}
	if !rt.open {
		// A body may take half a minute, in which its sender may be shut out: what
		// they may do is what they may when all of it is there.
		if len(c.sent) > 0 {
			if err := a.know(ctx, c); err != nil {
				return err
			}
		}
		c.who.Charge = a.charge(c, rt)
	}
	// A client sends {} with each GET: read, so that the connection stays
	// usable, and otherwise nothing.
	if rt.method == http.MethodGet && c.long {
		return c.counted(ctx, fault.TooLarge.Errorf(nil, "The body of the request has over %d bytes", maxBody))
	}
	return c.counted(ctx, rt.serve(ctx, c))
}

// know finds out who calls.
func (a *API) know(ctx context.Context, c *call) error {
	who, err := a.caller(ctx, c.r)
	if err != nil {
		return err
	}
	who.From, who.Correlation = c.who.From, c.who.Correlation
	c.who = who
	if a.Tally != nil {
		c.who.Refused = func() bool { return a.Tally.Refused(who) }
	}
	return nil
}

// receive takes the body, at most maxBody bytes of it.
func (c *call) receive() error {
	var err error
	c.sent, err = io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxBody))
	if _, c.long = errors.AsType[*http.MaxBytesError](err); err == nil || c.long {
		return nil
	}
	// Its connection is gone, or about to be.
	return fault.BadRequest.Errorf(err, "The body of the request could not be read")
}

// caller is who the request's token names.
func (a *API) caller(ctx context.Context, r *http.Request) (auth.Caller, error) {
	given := r.Header.Values("Authorization")
	if len(given) == 0 {
		return auth.Caller{}, errNoToken
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	if len(given) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return auth.Caller{}, fault.Unauthorized.Errorf(nil, "The Authorization header is not one Bearer token")
	}
	return a.Tokens.Validate(ctx, strings.TrimSpace(token))
}

// errNoToken is told apart from a token that is wrong: RFC 6750 wants no error
// in the challenge then.
var errNoToken = fault.Unauthorized.Errorf(nil, "No access token was sent; get one and send it as Authorization: Bearer")

// watched remembers the status of an answer.
type watched struct {
	http.ResponseWriter
	status int
}

func (w *watched) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *watched) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController find what is below.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// metadata is the @odata.context of an answer.
func (c *call) metadata(fragment string) string { return c.root + "/$metadata#" + fragment }

// location is the address of an action.
func (c *call) location(id action.ID) string { return c.root + "/machineactions/" + id }

// id is the id that stands in a path's braces of that name. Ids are compared in
// lower case; what is longer than any id is cut, so that it fits a message and
// is none.
func (c *call) id(name string) string { return clip(strings.ToLower(c.path[name])) }
