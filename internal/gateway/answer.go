package gateway

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/google/uuid"

	"swab/internal/fault"
	"swab/internal/wire"
)

// faults says in OAuth's words, and HTTP's, what a fault of the core is to a
// device. A code that is missing is the server's own failure.
var faults = map[fault.Code]refusal{
	fault.Unauthorized: {status: http.StatusUnauthorized, code: wire.CodeInvalidToken},
	fault.NotFound:     {status: http.StatusNotFound, code: wire.CodeInvalidRequest},
	fault.BadRequest:   {status: http.StatusGone, code: wire.CodeInvalidRequest}, // not in this state, and states don't go back
	fault.InvalidInput: {status: http.StatusBadRequest, code: wire.CodeInvalidRequest},
	fault.Forbidden:    {status: http.StatusForbidden, code: wire.CodeInvalidRequest},
	fault.TooLarge:     {status: http.StatusRequestEntityTooLarge, code: wire.CodeInvalidRequest},
	fault.TooMany:      {status: http.StatusTooManyRequests, code: wire.CodeUnavailable},
	fault.Unavailable:  {status: http.StatusServiceUnavailable, code: wire.CodeUnavailable},
}

// retryAfter is what an answer that says "later" names, in seconds.
const retryAfter = "10"

// refusalOf is what err is to a device.
func refusalOf(err error) refusal {
	if r, ok := errors.AsType[*refusal](err); ok {
		return *r
	}
	code, text := fault.Of(err)
	r, ok := faults[code]
	if !ok {
		return refusal{status: http.StatusInternalServerError, code: wire.CodeServer, text: "The server failed; its log tells why", cause: err}
	}
	r.text, r.cause = text, err
	return r
}

// head sets the headers that every answer to a device has. The device reads the
// server's time from Date, and its next proof carries the nonce.
func (g *Gateway) head(h http.Header) {
	h.Set("Date", g.now().UTC().Format(http.TimeFormat))
	h.Set("DPoP-Nonce", g.nonces.make())
	h.Set("request-id", uuid.NewString()) // in the log as well
	h.Set("Cache-Control", "no-store")
}

// refuse answers a request that failed, and tells the log.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, err error) {
	ref := refusalOf(err)
	h := w.Header()
	switch ref.status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `DPoP error="`+ref.code+`", algs="EdDSA"`)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfter)
	}
	from, id := g.address(r), h.Get("request-id")
	switch {
	case ref.status >= 500 && ref.status != http.StatusServiceUnavailable:
		g.log.ErrorContext(r.Context(), "device request failed",
			"request", id, "method", r.Method, "path", r.URL.Path, "from", from, "err", err)
	case ref.code == wire.CodeUseNonce: // each first request of a device
	case ref.status == http.StatusGone:
		// Mostly an attempt whose acknowledgement is still on its way on the
		// channel: the device asks again at once.
		g.log.DebugContext(r.Context(), "device request is early or late", "request", id, "path", r.URL.Path, "from", from, "err", err)
	default:
		g.log.InfoContext(r.Context(), "device request refused",
			"request", id, "method", r.Method, "path", r.URL.Path, "from", from, "status", ref.status, "err", err)
	}
	if ref.status == http.StatusUnauthorized && ref.code != wire.CodeUseNonce {
		g.count.Denied.Add(1)
		if g.onDenied != nil {
			g.onDenied("", from)
		}
	}
	answer(w, ref.status, wire.ErrorAnswer{Code: ref.code, Description: ref.text})
}

// answer writes a JSON body. A device that goes away meanwhile has no use for it.
func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic("gateway: an answer of plain data can't be encoded: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}
