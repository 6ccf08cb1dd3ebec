package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The codes that a caller is likely to act on. The server has more.
const (
	CodeActive       = "ActiveRequestAlreadyExists" // the device has an action that has not ended
	CodeNotFound     = "ResourceNotFound"
	CodeUnauthorized = "Unauthorized"
	CodeForbidden    = "Forbidden"
	CodeTooMany      = "TooManyRequests"
	CodeUnavailable  = "ServiceUnavailable"
)

// Error is a failure that the server reported.
type Error struct {
	Status     int           // of HTTP
	Code       string        // the contract's error code, or OAuth's where a token was refused
	Message    string        // for people, as the server has it
	Target     string        // the request's correlation id; it finds the request in the server's log
	RetryAfter time.Duration // how long to wait before asking again; 0 where the server does not say
	Running    string        // of CodeActive: the id of the action that runs, where the server says it
}

// Error is the message with its code and the request's id.
func (e *Error) Error() string {
	text := e.Message
	if text == "" {
		text = http.StatusText(e.Status)
	}
	text += " (" + e.Code
	if e.Target != "" {
		text += ", request " + e.Target
	}
	text += ")"
	if e.RetryAfter > 0 {
		text += fmt.Sprintf("; ask again in %s", e.RetryAfter)
	}
	return text
}

// maxErrorBody bounds what is read of an answer that reports a failure: 64 KiB.
const maxErrorBody = 64 << 10

// errorOf makes an Error of an answer. body is what could be read of it, in
// either form that the server writes: the API's object or OAuth's flat one.
func errorOf(resp *http.Response, body []byte) *Error {
	e := &Error{Status: resp.StatusCode, Target: resp.Header.Get("Request-Id")}
	var api struct {
		Error struct {
			Code, Message, Target string
		} `json:"error"`
	}
	var oauth struct {
		Error         string `json:"error"`
		Description   string `json:"error_description"`
		CorrelationID string `json:"correlation_id"`
	}
	switch {
	case json.Unmarshal(body, &api) == nil && api.Error.Code != "":
		e.Code, e.Message = api.Error.Code, api.Error.Message
		if api.Error.Target != "" {
			e.Target = api.Error.Target
		}
	case json.Unmarshal(body, &oauth) == nil && oauth.Error != "":
		e.Code, e.Message, e.Target = oauth.Error, oauth.Description, oauth.CorrelationID
	default:
		e.Code = "HTTP" + strconv.Itoa(resp.StatusCode)
		e.Message = fmt.Sprintf("the server answered %s", resp.Status)
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(min(s, maxRetryAfter)) * time.Second
	}
	if at := resp.Header.Get("Location"); at != "" && e.Code == CodeActive {
		e.Running = at[strings.LastIndexByte(at, '/')+1:]
	}
	return e
}

// maxRetryAfter bounds how long a server can make a client wait: a day, in seconds.
const maxRetryAfter = 24 * 60 * 60
