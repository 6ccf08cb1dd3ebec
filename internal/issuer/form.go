package issuer

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxForm bounds the form in a request's body: 64 KiB.
const maxForm = 64 << 10

// parameters are those that are read of what a client sends; others are nothing
// to us.
var parameters = []string{
	"grant_type", "client_id", "client_secret", "client_assertion_type", "client_assertion", "scope", "resource",
	"code", "redirect_uri", "code_verifier", "refresh_token", "device_code", "username", "password", "token",
}

// form is what was sent, each parameter once.
type form map[string]string

// need is a parameter that must be there.
func (f form) need(name string) (string, error) {
	if f[name] == "" {
		return "", invalidRequest(900144, "The request body must contain the following parameter: '%s'", name)
	}
	return f[name], nil
}

// form reads the form in the body, of a GET too. The query is not looked at.
func (c *call) form() (form, error) { return c.read(parameters) }

// read reads those parameters of the form in the body that are named.
func (c *call) read(names []string) (form, error) {
	body, err := c.body()
	if err != nil {
		return nil, err
	}
	return parseForm(body, names)
}

// body is the form in the body, as it came.
func (c *call) body() (string, error) {
	media, _, _ := strings.Cut(c.r.Header.Get("Content-Type"), ";")
	switch strings.ToLower(strings.TrimSpace(media)) {
	case "", "application/x-www-form-urlencoded":
	default:
		return "", invalidRequest(900144, "The body must be a form: send it as application/x-www-form-urlencoded, not as '%s'", clip(media))
	}
	data, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxForm))
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return "", invalidRequest(900144, "The body has over %d bytes", maxForm)
	}
	if err != nil {
		return "", invalidRequest(900144, "The body could not be read")
	}
	return string(data), nil
}

// parseForm takes a form or a query apart. A parameter that is read here and comes twice is
// refused, as RFC 6749 wants: two readers might take different ones. What is not
// read here is not looked at, however it is written: a ; or a % alone in it is
// some client's telemetry.
func parseForm(body string, names []string) (form, error) {
	f := form{}
	for part := range strings.SplitSeq(strings.TrimSpace(body), "&") {
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err != nil || !slices.Contains(names, name) {
			continue
		}
		if _, twice := f[name]; twice {
			return nil, invalidRequest(900144, "The parameter '%s' stands in the request twice", name)
		}
		if f[name], err = url.QueryUnescape(value); err != nil {
			return nil, invalidRequest(900144, "The parameter '%s' is not percent-encoded rightly", name)
		}
	}
	return f, nil
}

// basicAuth reads client id and secret from an Authorization header of the
// scheme Basic, in which both are form-encoded (RFC 6749, section 2.3.1). What
// a client sent raw reads the same, as long as it has no % or +: the secrets
// that we make have neither. Another scheme is no proof of a client.
func basicAuth(headers []string) (id, secret string, ok bool, err error) {
	if len(headers) == 0 {
		return "", "", false, nil
	}
	scheme, encoded, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false, nil
	}
	wrong := refused("invalid_client", 7000218, "The Authorization header does not hold a client's id and secret")
	wrong.basic = true
	if len(headers) > 1 {
		return "", "", false, wrong
	}
	pair, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", "", false, wrong
	}
	user, pass, found := strings.Cut(string(pair), ":")
	if id, err = url.QueryUnescape(user); err != nil || !found || id == "" {
		return "", "", false, wrong
	}
	if secret, err = url.QueryUnescape(pass); err != nil || secret == "" {
		return "", "", false, wrong
	}
	return id, secret, true, nil
}
