package issuer

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // x5t is the SHA-1 of a certificate: it names a key and proves nothing
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"time"

	"swab/internal/auth"
)

// Bounds of an assertion.
const (
	maxAssertion  = 32 << 10       // bytes: one with a chain of certificates in its header too
	assertionLife = 24 * time.Hour // how far off its end may be
	assertionSkew = 5 * time.Minute
	minRSA        = 2048 // bits
)

// assertion is a JWT by which a client proves itself (RFC 7523), taken apart.
// It is read here and not by a library for what libraries do with headers: the
// certificates in x5c are not parsed, let alone believed, whatever they are.
type assertion struct {
	header struct {
		Algorithm string          `json:"alg"`
		KeyID     string          `json:"kid"`
		SHA1      string          `json:"x5t"`
		SHA256    string          `json:"x5t#S256"`
		Critical  json.RawMessage `json:"crit"`
	}
	claims struct {
		Issuer    string   `json:"iss"`
		Subject   string   `json:"sub"`
		Audience  audience `json:"aud"`
		Expires   *float64 `json:"exp"` // seconds since 1970, fractions allowed, as in the two below
		NotBefore *float64 `json:"nbf"`
		IssuedAt  *float64 `json:"iat"`
	}
	signed    string // what the signature is over
	signature []byte
}

// audience is an aud: one, or a list.
type audience []string

// UnmarshalJSON takes both forms.
func (a *audience) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		return json.Unmarshal(data, (*[]string)(a))
	}
	var one string
	err := json.Unmarshal(data, &one)
	*a = audience{one}
	return err
}

func badAssertion(number int, format string, args ...any) error {
	return refused("invalid_client", number, "The client assertion "+format, args...)
}

// parseAssertion takes a compact JWS apart and believes nothing of it.
func parseAssertion(text string) (*assertion, error) {
	if len(text) > maxAssertion {
		return nil, badAssertion(50027, "has over %d bytes", maxAssertion)
	}
	parts := strings.Split(strings.TrimSpace(text), ".")
	if len(parts) != 3 {
		return nil, badAssertion(50027, "is not a signed JWT: it has not three parts")
	}
	var a assertion
	var err error
	for i, v := range []any{&a.header, &a.claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil, badAssertion(50027, "is not a signed JWT: a part of it is not base64url")
		}
		if err := json.Unmarshal(data, v); err != nil {
			return nil, badAssertion(50027, "is not a signed JWT with the claims iss, sub, aud and exp")
		}
	}
	if a.signature, err = base64.RawURLEncoding.DecodeString(parts[2]); err != nil {
		return nil, badAssertion(50027, "is not a signed JWT: a part of it is not base64url")
	}
	a.signed = parts[0] + "." + parts[1]
	switch {
	case !slices.Contains(assertionAlgorithms, a.header.Algorithm):
		return nil, badAssertion(5002738, "must be signed with RS256, PS256 or ES256")
	case a.header.Critical != nil:
		return nil, badAssertion(50027, "has critical header parameters, of which none is known here")
	case a.header.KeyID == "" && a.header.SHA1 == "" && a.header.SHA256 == "":
		return nil, badAssertion(700027, "names no key: its header needs the certificate's thumbprint as x5t, x5t#S256 or kid")
	}
	return &a, nil
}

// signedBy checks the signature by that certificate of app which the header
// names, and the certificate's dates.
func (a *assertion) signedBy(app auth.App, now time.Time) error {
	for _, c := range app.Certificates {
		if !a.names(c.DER) {
			continue
		}
		cert, err := x509.ParseCertificate(c.DER)
		if err != nil || !a.verify(cert.PublicKey) {
			continue
		}
		if !now.Before(c.Expires) || now.After(cert.NotAfter) || now.Add(assertionSkew).Before(cert.NotBefore) {
			return badAssertion(7000222, "is signed by a certificate that has expired, or is not valid yet; register a new one for the application")
		}
		return nil
	}
	return badAssertion(700027, "is not signed by a certificate of the application, or there is no such application in this tenant. "+
		"Ensure that the client id is the application's, and that the certificate whose thumbprint the assertion's header names is registered for it")
}

// names says whether the header names the certificate, by any of its names.
func (a *assertion) names(der []byte) bool {
	short, long := sha1.Sum(der), sha256.Sum256(der) //nolint:gosec // see the import
	for _, name := range []string{a.header.SHA256, a.header.SHA1, a.header.KeyID} {
		sum := thumbprint(name)
		if bytes.Equal(sum, short[:]) || bytes.Equal(sum, long[:]) {
			return true
		}
	}
	return false
}

// thumbprint is the hash of a certificate, SHA-1 or SHA-256, as libraries write
// it: in base64url or standard base64, with or without =, or in hex. nil for
// anything else.
func thumbprint(text string) []byte {
	switch len(text) {
	case 2 * sha1.Size, 2 * sha256.Size:
		if sum, err := hex.DecodeString(text); err == nil {
			return sum
		}
	case 27, 28, 43, 44: // base64 of as many bytes
		text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
		if sum, err := base64.RawStdEncoding.DecodeString(text); err == nil {
			return sum
		}
	}
	return nil
}

// assertionAlgorithms are those by which an assertion may be signed.
var assertionAlgorithms = []string{"RS256", "PS256", "ES256"}

// verify checks the signature by a public key. The key's kind and the algorithm
// must belong together, so no key is ever used for what it is not.
func (a *assertion) verify(public crypto.PublicKey) bool {
	sum := sha256.Sum256([]byte(a.signed))
	switch key := public.(type) {
	case *rsa.PublicKey:
		switch {
		case key.N.BitLen() < minRSA:
			return false
		case a.header.Algorithm == "RS256":
			return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], a.signature) == nil
		case a.header.Algorithm == "PS256":
			return rsa.VerifyPSS(key, crypto.SHA256, sum[:], a.signature, nil) == nil
		}
	case *ecdsa.PublicKey:
		if a.header.Algorithm != "ES256" || key.Curve != elliptic.P256() || len(a.signature) != 64 {
			return false
		}
		r, s := new(big.Int).SetBytes(a.signature[:32]), new(big.Int).SetBytes(a.signature[32:])
		return ecdsa.Verify(key, sum[:], r, s)
	}
	return false
}

// check judges the claims of an assertion whose signature holds. A jti is not
// looked at: libraries keep an assertion, and send it again until it expires.
func (a *assertion) check(client string, audiences []string, now time.Time) error {
	c, at, skew := a.claims, float64(now.Unix()), assertionSkew.Seconds()
	addressed := slices.ContainsFunc(c.Audience, func(aud string) bool {
		return slices.ContainsFunc(audiences, func(one string) bool { return strings.EqualFold(aud, one) })
	})
	switch {
	case !strings.EqualFold(c.Issuer, client) || !strings.EqualFold(c.Subject, client):
		return badAssertion(700021, "must have the application's client id as iss and as sub")
	case !addressed:
		return badAssertion(700023, "is meant for another audience: aud must be the address of the tenant's token endpoint, as its metadata name it")
	case c.Expires == nil:
		return badAssertion(50027, "has no exp")
	case *c.Expires <= at-skew:
		return badAssertion(700024, "has expired; look at the clock of the machine that made it")
	case *c.Expires > at+skew+assertionLife.Seconds():
		return badAssertion(700024, "is valid for over %d hours; make one for each request, good for minutes", int(assertionLife.Hours()))
	case c.NotBefore != nil && *c.NotBefore > at+skew, c.IssuedAt != nil && *c.IssuedAt > at+skew:
		return badAssertion(700024, "is not valid yet; look at the clock of the machine that made it")
	}
	return nil
}
