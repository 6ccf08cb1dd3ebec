package gateway

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/dpop"
	"swab/internal/fault"
	"swab/internal/wire"
)

// refusal is an answer in OAuth's words.
type refusal struct {
	status int
	code   string // of wire's codes
	text   string // for people
	cause  error  // for the log
}

func (r *refusal) Error() string {
	if r.cause == nil {
		return r.code + ": " + r.text
	}
	return r.code + ": " + r.text + ": " + r.cause.Error()
}

func (r *refusal) Unwrap() error { return r.cause }

// bases are the public base URLs, normalised.
type bases []string

func newBases(urls []string) (bases, error) {
	var b bases
	for _, s := range urls {
		n, err := normal(s)
		if err != nil {
			return nil, fmt.Errorf("base URL %q: %w", s, err)
		}
		b = append(b, strings.TrimSuffix(n, "/"))
	}
	if len(b) == 0 {
		return nil, errors.New("at least one base URL is needed")
	}
	return b, nil
}

// has says whether s is path under one of the base URLs. Scheme and host are
// compared in any case and with or without the scheme's own port (RFC 9449,
// 4.3); everything else exactly.
func (b bases) has(s, path string) bool {
	n, err := normal(s)
	if err != nil {
		return false
	}
	for _, base := range b {
		if n == base+path {
			return true
		}
	}
	return false
}

func normal(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil {
		return "", err
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "" || u.Host == "" {
		return "", errors.New("not a plain URL of scheme, host and path")
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	if port != "" && !(scheme == "https" && port == "443" || scheme == "http" && port == "80") {
		host = net.JoinHostPort(host, port)
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return scheme + "://" + host + u.EscapedPath(), nil
}

// proof checks the request's one DPoP proof and returns the key that signed it.
// status is that of a refusal: 401 where an access token comes along, else 400.
// accessToken is the one that goes with the request, or "". The proof is not
// remembered yet: that is for once its key is known.
func (g *Gateway) proof(r *http.Request, accessToken string, status int) (dpop.Proof, ed25519.PublicKey, error) {
	refuse := func(text string, cause error) error {
		return &refusal{status: status, code: wire.CodeInvalidProof, text: text, cause: cause}
	}
	values := r.Header.Values("DPoP")
	if len(values) != 1 {
		return dpop.Proof{}, nil, refuse(fmt.Sprintf("%d DPoP headers, want 1", len(values)), nil)
	}
	p, pub, err := dpop.ParseProof(values[0])
	if err != nil {
		return dpop.Proof{}, nil, refuse("The proof does not hold", err)
	}
	ath := ""
	if accessToken != "" {
		ath = dpop.TokenHash(accessToken)
	}
	switch {
	case p.Method != r.Method:
		err = refuse(fmt.Sprintf("The proof is for method %.20q", p.Method), nil)
	case !g.bases.has(p.URL, r.URL.EscapedPath()):
		err = refuse(fmt.Sprintf("The proof is for %.200q, which is no URL of this request on this server", p.URL), nil)
	case p.TokenHash != ath:
		err = refuse("The proof is not for this access token", nil)
	case p.ID == "" || len(p.ID) > 128:
		err = refuse("The proof has no id, or too long a one", nil)
	case !g.nonces.fresh(p.Nonce):
		err = &refusal{status: status, code: wire.CodeUseNonce, text: "Repeat the request with the nonce that this answer gives"}
	}
	return p, pub, err
}

// once remembers a proof of a known key, or refuses it.
func (g *Gateway) once(p dpop.Proof, pub ed25519.PublicKey, status int) error {
	switch g.replays.take(pub, p.ID) {
	case takenTwice:
		g.count.Replayed.Add(1)
		return &refusal{status: status, code: wire.CodeInvalidProof, text: "The proof was used before"}
	case takenFull:
		return &refusal{status: http.StatusServiceUnavailable, code: wire.CodeUnavailable, text: "Too many requests; repeat this one in some minutes"}
	}
	return nil
}

// peer is the device that a request comes from, as its key and token prove it.
type peer struct {
	device device.Device
	token  auth.DeviceToken
	from   string // address
}

// peer checks token and proof of a request and reads the device's record.
func (g *Gateway) peer(r *http.Request) (peer, error) {
	invalid := func(text string, cause error) error {
		return &refusal{status: http.StatusUnauthorized, code: wire.CodeInvalidToken, text: text, cause: cause}
	}
	token, err := authorization(r, "DPoP")
	if err != nil {
		return peer{}, err
	}
	claims, err := g.tokens.ValidateDevice(r.Context(), token)
	switch {
	case errors.Is(err, fault.Unauthorized):
		return peer{}, invalid("The access token does not hold", err)
	case err != nil:
		return peer{}, err
	}
	p, pub, err := g.proof(r, token, http.StatusUnauthorized)
	if err != nil {
		return peer{}, err
	}
	if dpop.Thumbprint(pub) != claims.JKT {
		return peer{}, invalid("The access token is bound to another key", nil)
	}
	dev, err := g.devices.DeviceByID(r.Context(), claims.Device)
	switch {
	case errors.Is(err, fault.NotFound):
		return peer{}, invalid("The device is not enrolled", err)
	case err != nil:
		return peer{}, err
	case dev.Revoked || dev.Tenant != claims.Tenant:
		return peer{}, invalid("The device is no longer enrolled", nil)
	case !pub.Equal(dev.Key()):
		return peer{}, invalid("The key was superseded", nil)
	}
	if err := g.once(p, pub, http.StatusUnauthorized); err != nil {
		return peer{}, err
	}
	g.onKnown(r.Context())
	return peer{device: dev, token: claims, from: g.address(r)}, nil
}

// authorization returns the token of the request's one Authorization header.
func authorization(r *http.Request, scheme string) (string, error) {
	bad := &refusal{status: http.StatusUnauthorized, code: wire.CodeInvalidToken, text: "The request needs one Authorization header: " + scheme + " TOKEN"}
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", bad
	}
	got, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(got, scheme) || wire.CheckToken(token) != nil {
		return "", bad
	}
	return token, nil
}

// remoteAddress is the address of a request's direct peer.
func remoteAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
