package issuer

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"swab/internal/canon"
	"swab/internal/credential"
	"swab/internal/fault"
	"swab/internal/issuer/pages"
	"swab/internal/limit"
	"swab/internal/signin"
)

// oauthError is a failure that the client can act on, in the terms of RFC 6749.
// number is the one by which Microsoft's issuer names it: clients look for it in
// error_codes and at the beginning of the description.
type oauthError struct {
	code   string
	number int
	text   string
	status int  // 0: by the code
	basic  bool // the client tried Basic, so that a 401 must name it
}

func (e *oauthError) Error() string { return e.code + ": " + e.text }

func refused(code string, number int, format string, args ...any) *oauthError {
	return &oauthError{code: code, number: number, text: fmt.Sprintf(format, args...)}
}

func invalidRequest(number int, format string, args ...any) error {
	return refused("invalid_request", number, format, args...)
}

// Failures that need nothing of the request to tell them.
var (
	noEndpoint       = &oauthError{code: "invalid_request", number: 90043, text: "There is no such endpoint here", status: http.StatusNotFound}
	methodNotAllowed = &oauthError{code: "invalid_request", number: 900561, text: "The endpoint does not take this method", status: http.StatusMethodNotAllowed}
)

// failure is the body of every answer that is not a success.
type failure struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Codes       []int  `json:"error_codes"`
	Timestamp   string `json:"timestamp"`
	Trace       string `json:"trace_id"`
	Correlation string `json:"correlation_id"`

	text string // what happened, without numbers
}

// refuse makes the answer of an error, and tells the log why.
func (s *Issuer) refuse(c *call, err error) (int, failure) {
	ctx := c.r.Context()
	e, known := asOAuth(err)
	attrs := []any{"from", c.from, "correlation", c.trace, "err", err}
	switch code, _ := fault.Of(err); {
	case code == fault.TooMany:
		e = &oauthError{code: "temporarily_unavailable", number: 90055, text: "Too many attempts failed; ask again later", status: http.StatusTooManyRequests}
		s.Tally.Denied(c.tenant.ID, c.from)
		if over, ok := errors.AsType[*limit.Exceeded](err); ok {
			c.w.Header().Set("Retry-After", strconv.Itoa(int(over.Retry.Seconds())))
		}
	case known: // not the error: its text repeats what a client sent
		s.Log.DebugContext(ctx, "token refused", "code", e.code, "number", e.number, "from", c.from, "correlation", c.trace)
	case code == fault.Unavailable || ctx.Err() != nil:
		e = &oauthError{code: "temporarily_unavailable", number: 90033, text: "The server can't answer now; ask again later", status: http.StatusServiceUnavailable}
		wait, level := retryAfter, slog.LevelError
		if busy, ok := errors.AsType[*credential.Busy](err); ok { // as it should be, in a flood
			wait, level = int(busy.Retry.Seconds()), slog.LevelDebug
		}
		s.Log.Log(ctx, level, "token request failed", attrs...)
		c.w.Header().Set("Retry-After", strconv.Itoa(wait))
	default:
		s.Log.ErrorContext(ctx, "token request failed", attrs...)
		e = &oauthError{code: "server_error", number: 90099, text: "An internal error happened; the trace id finds it in the server's log", status: http.StatusInternalServerError}
	}
	status := e.status
	switch {
	case status != 0:
	case e.code == "invalid_client":
		status = http.StatusUnauthorized
		s.Tally.Denied(c.tenant.ID, c.from)
		if e.basic {
			c.w.Header().Set("WWW-Authenticate", `Basic realm="swab"`)
		}
	default:
		status = http.StatusBadRequest
	}
	now := s.Now().UTC()
	correlation := c.trace
	if given, err := uuid.Parse(c.r.Header.Get("client-request-id")); err == nil {
		correlation = given.String()
	}
	return status, failure{
		Error: e.code, text: e.text,
		Description: fmt.Sprintf("AADSTS%d: %s. Trace ID: %s Correlation ID: %s", e.number, e.text, c.trace, correlation),
		Codes:       []int{e.number}, Timestamp: now.Format("2006-01-02 15:04:05Z"), Trace: c.trace, Correlation: correlation,
	}
}

// numbers are those of the reasons why an application gets no token for a person.
var numbers = map[signin.ErrorCode]int{
	signin.InvalidScope: 70011, signin.InvalidResource: 500011, signin.InvalidGrant: 70008, signin.Pending: 70016, signin.SlowDown: 70016,
	signin.Denied: 65004, signin.Expired: 70020, signin.Interaction: 50076,
}

// asOAuth is an error in the terms of RFC 6749, and whether it has any: what the
// core says of a client's request, or of a person.
func asOAuth(err error) (*oauthError, bool) {
	if e, ok := errors.AsType[*oauthError](err); ok {
		return e, true
	}
	if e, ok := errors.AsType[*signin.Error](err); ok {
		return &oauthError{code: string(e.Code), number: numbers[e.Code], text: e.Text}, true
	}
	switch code, text := fault.Of(err); code {
	case fault.InvalidInput, fault.BadRequest, fault.NotFound:
		return &oauthError{code: "invalid_request", number: 900144, text: text}, true
	}
	return nil, false
}

// apology is a failure as a page.
func (s *Issuer) apology(c *call, status int, f failure) answer {
	p := pages.Failure{Tenant: c.tenant.Name, Title: "This did not work", Trace: c.trace}
	p.Text = strings.TrimSpace(f.text)
	switch {
	case status == http.StatusNotFound:
		p.Title = "There is nothing here"
	case status == http.StatusTooManyRequests:
		p.Title = "Too many attempts"
		p.Text = "Wait a minute, then try again."
	case status >= http.StatusInternalServerError:
		p.Title = "The server can’t answer now"
	}
	if p.Text != "" && !strings.HasSuffix(p.Text, ".") {
		p.Text += "."
	}
	if c.tenant.ID != "" {
		p.Next = pages.Link{Text: "Your account", Address: c.path(accountPath)}
	}
	return shown{status, p}
}

// retryAfter is how many seconds a client is asked to wait with a 503.
const retryAfter = 5

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := canon.Marshal(v)
	if err != nil {
		panic("issuer: plain data can't be encoded: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error here is a client that went away
}

// clip bounds what a client sent before it is repeated in a message.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\'' {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if r := []rune(s); len(r) > 128 {
		return string(r[:128]) + "…"
	}
	return s
}
