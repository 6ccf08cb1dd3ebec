package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"

	"swab/internal/action"
	"swab/internal/canon"
	"swab/internal/fault"
	"swab/internal/limit"
)

// statuses is where the contract's codes meet HTTP, and the only place.
var statuses = map[fault.Code]int{
	fault.BadRequest:           http.StatusBadRequest,
	fault.OData:                http.StatusBadRequest,
	fault.InvalidInput:         http.StatusBadRequest,
	fault.InvalidIPAddress:     http.StatusBadRequest,
	fault.BatchTooLarge:        http.StatusBadRequest,
	fault.InvalidRequestBody:   http.StatusBadRequest,
	fault.MissingParameter:     http.StatusBadRequest,
	fault.OsNotSupported:       http.StatusBadRequest,
	fault.ClientNotSupported:   http.StatusBadRequest,
	fault.Active:               http.StatusBadRequest,
	fault.Unauthorized:         http.StatusUnauthorized,
	fault.Forbidden:            http.StatusForbidden,
	fault.DisallowedOperation:  http.StatusForbidden,
	fault.NotFound:             http.StatusNotFound,
	fault.NoRoute:              http.StatusNotFound,
	fault.MethodNotAllowed:     http.StatusMethodNotAllowed,
	fault.TooLarge:             http.StatusRequestEntityTooLarge,
	fault.UnsupportedMediaType: http.StatusUnsupportedMediaType,
	fault.BadRange:             http.StatusRequestedRangeNotSatisfiable,
	fault.Precondition:         http.StatusPreconditionFailed,
	fault.TooMany:              http.StatusTooManyRequests,
	fault.Internal:             http.StatusInternalServerError,
	fault.Unavailable:          http.StatusServiceUnavailable,
}

// retryAfter is how many seconds a caller is asked to wait where nothing says
// better. No other answer than 429 and 503 may have the header: clients sleep
// and repeat wherever they see it.
const retryAfter = 5

// wait is how many seconds a caller has to wait who asked too often.
func wait(err error) int {
	if over, ok := errors.AsType[*limit.Exceeded](err); ok {
		return int(over.Retry.Seconds())
	}
	return retryAfter
}

// failure is the body of every answer that is not a success.
type failure struct {
	Error struct {
		Code    fault.Code `json:"code"`
		Message string     `json:"message"`
		Target  string     `json:"target"` // the request's id
	} `json:"error"`
}

// refuse answers a request with an error, and tells the log why.
func (a *API) refuse(c *call, rt route, err error) {
	ctx := c.r.Context()
	code, text := fault.Of(err)
	if errors.Is(err, context.DeadlineExceeded) && code == fault.Internal {
		code, text = fault.Unavailable, "The server was too busy to answer in time; ask again later"
	}
	status := statuses[code]
	attrs := []any{"route", rt.pattern, "method", c.r.Method, "code", string(code), "caller", c.who.ID, "from", c.who.From, "correlation", c.who.Correlation}
	switch {
	case ctx.Err() != nil:
		a.Log.DebugContext(ctx, "caller went away", attrs...)
	case status >= http.StatusInternalServerError:
		a.Log.ErrorContext(ctx, "request failed", append(attrs, "err", err)...)
	default:
		// Not the error: its text repeats what a person typed.
		a.Log.DebugContext(ctx, "request refused", attrs...)
	}
	h := c.w.Header()
	switch code {
	case fault.Unauthorized:
		a.Tally.Denied("", c.who.From)
		h.Set("WWW-Authenticate", a.challenge(c, err, text))
	case fault.TooMany:
		a.Tally.Limited(c.who)
		h.Set("Retry-After", strconv.Itoa(wait(err)))
	case fault.Unavailable:
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if active, ok := errors.AsType[*action.ActiveError](err); ok {
		h.Set("Location", c.location(active.ID))
	}
	var f failure
	f.Error.Code, f.Error.Message, f.Error.Target = code, text, c.who.Correlation
	body, err := canon.Marshal(f)
	if err != nil {
		panic("api: plain strings can't be encoded: " + err.Error())
	}
	writeJSON(c.w, status, "application/json; charset=utf-8", body)
}

// challenge is the header of a 401 (RFC 6750): where to get a token and, if one
// was sent, what is wrong with it.
func (a *API) challenge(c *call, err error, text string) string {
	s := fmt.Sprintf("Bearer authorization_uri=%q", c.base+"/"+a.Home+"/oauth2/v2.0/authorize")
	if !errors.Is(err, errNoToken) {
		s += fmt.Sprintf(", error=%q, error_description=%q", "invalid_token", text)
	}
	return s
}

// panicked answers for a bug in this program; the rest of the server goes on.
func (a *API) panicked(ctx context.Context, c *call, rt route, caught any) {
	a.Log.ErrorContext(ctx, "request panicked", "route", rt.pattern, "correlation", c.who.Correlation,
		"err", caught, "stack", string(debug.Stack()))
	if seen, ok := c.w.(*watched); ok && seen.status != 0 {
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
	a.refuse(c, rt, fault.Internal)
}

// writeJSON writes an answer that no cache may keep.
func writeJSON(w http.ResponseWriter, status int, media string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("OData-Version", "4.0")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error here is a caller that went away
}

// clip bounds what a caller sent before it is repeated in a message.
func clip(s string) string {
	const most = 256
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
