package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"swab/internal/device"
)

// What a device and a server say over plain HTTPS before there is a channel:
// enrolment, which is OAuth dynamic client registration (RFC 7591), and the
// answers of the token endpoint (RFC 6749). Both RFCs ask a reader to pass over
// fields that it does not know, so, unlike a channel message, these are read so.

// MaxEnrol bounds a body of enrolment or of a token answer: 64 KiB.
const MaxEnrol = 64 << 10

// The fixed values of a registration: a device proves itself by its key, and
// asks for tokens in its own name.
const (
	AuthMethod = "private_key_jwt"
	GrantType  = "client_credentials"
)

// JWK is an Ed25519 public key as RFC 8037 writes it.
type JWK struct {
	Kty string `json:"kty"` // OKP
	Crv string `json:"crv"` // Ed25519
	X   string `json:"x"`   // the key's 32 bytes, base64url without padding
}

// JWKOf returns the JWK of a key.
func JWKOf(pub ed25519.PublicKey) JWK {
	return JWK{Kty: "OKP", Crv: "Ed25519", X: base64.RawURLEncoding.EncodeToString(pub)}
}

// Key returns the key that k writes.
func (k JWK) Key() (ed25519.PublicKey, error) {
	if k.Kty != "OKP" || k.Crv != "Ed25519" {
		return nil, fmt.Errorf("key is of type %.20q, curve %.20q; want OKP, Ed25519", k.Kty, k.Crv)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(k.X)
	if err != nil || len(b) != ed25519.PublicKeySize || base64.RawURLEncoding.EncodeToString(b) != k.X {
		return nil, errors.New("key's x is not the base64url of 32 bytes")
	}
	return b, nil
}

// JWKSet is a list of keys.
type JWKSet struct {
	Keys []JWK `json:"keys"`
}

// Key returns the one key of the set.
func (s JWKSet) Key() (ed25519.PublicKey, error) {
	if len(s.Keys) != 1 {
		return nil, fmt.Errorf("%d keys, want 1", len(s.Keys))
	}
	return s.Keys[0].Key()
}

// EnrolRequest is the body of POST /enroll. The request's DPoP proof must be
// signed by the one key of Keys, which becomes the device's enrolment key.
type EnrolRequest struct {
	ClientName      string       `json:"client_name"` // the host's name
	AuthMethod      string       `json:"token_endpoint_auth_method"`
	GrantTypes      []string     `json:"grant_types"`
	Keys            JWKSet       `json:"jwks"`
	SoftwareVersion string       `json:"software_version"`
	Facts           device.Facts `json:"swab_facts"`
	Catalog         Digest       `json:"swab_catalog"`
}

func (r EnrolRequest) check() error {
	if r.AuthMethod != AuthMethod {
		return fmt.Errorf("token_endpoint_auth_method is %.40q, want %s", r.AuthMethod, AuthMethod)
	}
	if len(r.GrantTypes) != 1 || r.GrantTypes[0] != GrantType {
		return fmt.Errorf("grant_types are not [%q]", GrantType)
	}
	if _, err := r.Keys.Key(); err != nil {
		return fmt.Errorf("jwks: %w", err)
	}
	return errors.Join(checkText(r.ClientName), checkText(r.SoftwareVersion), r.Catalog.check())
}

// EnrolAnswer is the answer of POST /enroll: 201, or 200 where the key was
// enrolled already. The device pins the four swab_ values for good.
type EnrolAnswer struct {
	ClientID    device.ID `json:"client_id"`
	IssuedAt    int64     `json:"client_id_issued_at"` // Unix seconds
	ClientName  string    `json:"client_name"`
	Keys        JWKSet    `json:"jwks"`
	AuthMethod  string    `json:"token_endpoint_auth_method"`
	Tenant      TenantID  `json:"swab_tenant"`
	LogKey      []byte    `json:"swab_log_key"`      // Ed25519: signs checkpoints
	ReceiptKey  []byte    `json:"swab_receipt_key"`  // Ed25519: signs receipts
	RecoveryKey []byte    `json:"swab_recovery_key"` // Ed25519: signs a rebase of the log
}

// TenantID is a GUID in lower case.
type TenantID string

func (t TenantID) check() error {
	if !actionPattern.MatchString(string(t)) {
		return fmt.Errorf("%.60q is not a tenant id", string(t))
	}
	return nil
}

func (a EnrolAnswer) check() error {
	for _, k := range []struct {
		name string
		key  []byte
	}{{"swab_log_key", a.LogKey}, {"swab_receipt_key", a.ReceiptKey}, {"swab_recovery_key", a.RecoveryKey}} {
		if len(k.key) != ed25519.PublicKeySize {
			return fmt.Errorf("%s has %d bytes, want %d", k.name, len(k.key), ed25519.PublicKeySize)
		}
	}
	pub, err := a.Keys.Key()
	if err != nil {
		return fmt.Errorf("jwks: %w", err)
	}
	if _, err := device.ParseID(string(a.ClientID)); err != nil {
		return fmt.Errorf("client_id: %w", err)
	}
	if a.ClientID != device.IDOf(pub) {
		return errors.New("client_id is not that of the key")
	}
	return a.Tenant.check()
}

// TokenAnswer is what the device token endpoint answers with 200.
type TokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"` // DPoP
	ExpiresIn   int64  `json:"expires_in"` // seconds
}

// MaxToken bounds an access or enrolment token: 4 KiB.
const MaxToken = 4 << 10

func (t TokenAnswer) check() error {
	if t.TokenType != "DPoP" {
		return fmt.Errorf("token_type is %.20q, want DPoP", t.TokenType)
	}
	if t.ExpiresIn < 1 || t.ExpiresIn > 24*60*60 {
		return fmt.Errorf("expires_in is %d s", t.ExpiresIn)
	}
	return CheckToken(t.AccessToken)
}

// CheckToken says whether s can be a token in a header: visible ASCII, bounded.
func CheckToken(s string) error {
	if s == "" || len(s) > MaxToken {
		return fmt.Errorf("token has %d bytes", len(s))
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return errors.New("token has a character that no token has")
		}
	}
	return nil
}

// The codes of an ErrorAnswer (RFC 6749 5.2, RFC 7591 3.2.2, RFC 9449).
const (
	CodeInvalidRequest   = "invalid_request"
	CodeInvalidClient    = "invalid_client"          // the assertion does not prove the device
	CodeUnsupportedGrant = "unsupported_grant_type"  // another grant than client_credentials
	CodeInvalidToken     = "invalid_token"           // the enrolment or access token does not hold
	CodeInvalidMetadata  = "invalid_client_metadata" // the registration is not one of a device
	CodeInvalidProof     = "invalid_dpop_proof"      // the proof does not hold
	CodeUseNonce         = "use_dpop_nonce"          // repeat with the nonce of the DPoP-Nonce header
	CodeServer           = "server_error"            // the server's own fault
	CodeUnavailable      = "temporarily_unavailable" // ask again later
)

// ErrorAnswer is the body of every refusal to a device over HTTP.
type ErrorAnswer struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"` // for people
}

func (e ErrorAnswer) check() error {
	if len(e.Code) > 64 {
		return fmt.Errorf("error has %d bytes", len(e.Code))
	}
	return checkText(e.Description)
}

// ParseEnrolRequest reads a device's request to be enrolled. Its facts are
// cleaned.
func ParseEnrolRequest(data []byte) (EnrolRequest, error) {
	r, err := parseBody[EnrolRequest](data)
	r.Facts = r.Facts.Clean()
	return r, err
}

// ParseEnrolAnswer reads the server's answer to it.
func ParseEnrolAnswer(data []byte) (EnrolAnswer, error) { return parseBody[EnrolAnswer](data) }

// ParseTokenAnswer reads an answer of the token endpoint.
func ParseTokenAnswer(data []byte) (TokenAnswer, error) { return parseBody[TokenAnswer](data) }

// ParseErrorAnswer reads a refusal.
func ParseErrorAnswer(data []byte) (ErrorAnswer, error) { return parseBody[ErrorAnswer](data) }

func parseBody[T interface{ check() error }](data []byte) (T, error) {
	var v, zero T
	if len(data) > MaxEnrol {
		return zero, fmt.Errorf("body has over %d bytes", MaxEnrol)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&v); err != nil {
		return zero, fmt.Errorf("body: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return zero, errors.New("body: data after the JSON value")
	}
	if err := v.check(); err != nil {
		return zero, err
	}
	return v, nil
}
