// Package dpop signs and reads the two small tokens by which a device proves
// that it holds its key: DPoP proofs (RFC 9449), which go with each request, and
// client assertions (RFC 7523), which are traded for an access token.
//
// Both are JSON Web Signatures in compact form with one algorithm, EdDSA over
// Ed25519. The reader is narrow on purpose: header and claims must be the very
// bytes that the signer here gives (package canon), base64url has one form, and
// no other algorithm, header field or type of key exists. What generic JOSE
// readers forgive, and what attacks on them use (alg none, embedded keys in
// assertions, crit, jku, other cases, double members), can't be written down.
//
// A device's clock may be years off, so neither token is judged by its times:
// both carry the server's nonce, which is the server's own time under its seal.
// Reading checks form and signature. Whether the nonce is fresh, the URL ours,
// the key known and the id unused is the reader's policy, and is not here.
package dpop

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"swab/internal/canon"
)

// Proof is the claims of a DPoP proof.
type Proof struct {
	ID        string `json:"jti"`           // unique: NewID
	Method    string `json:"htm"`           // of the request
	URL       string `json:"htu"`           // of the request, without query and fragment
	Issued    int64  `json:"iat"`           // Unix seconds by the device's clock; not to be judged
	Nonce     string `json:"nonce"`         // the server's; "" before it gave one
	TokenHash string `json:"ath,omitempty"` // TokenHash of the access token that goes with it
}

// Assertion is the claims of a client assertion.
type Assertion struct {
	Issuer   string `json:"iss"` // the device id
	Subject  string `json:"sub"` // the same
	Audience string `json:"aud"` // URL of the token endpoint
	ID       string `json:"jti"` // unique: NewID
	Nonce    string `json:"nonce"`
	Expires  int64  `json:"exp"` // Unix seconds by the device's clock; not to be judged
	Issued   int64  `json:"iat"`
}

const (
	algorithm = "EdDSA"
	typeProof = "dpop+jwt"
	typeJWT   = "JWT"
)

type proofHeader struct {
	Type      string `json:"typ"`
	Algorithm string `json:"alg"`
	Key       jwk    `json:"jwk"`
}

type assertionHeader struct {
	Type      string `json:"typ"`
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"` // dsse.KeyID: hex SHA-256 of the public key
}

// Sign returns the proof as the value of a DPoP header.
func (p Proof) Sign(key ed25519.PrivateKey) (string, error) {
	pub, err := publicOf(key)
	if err != nil {
		return "", err
	}
	return sign(proofHeader{Type: typeProof, Algorithm: algorithm, Key: jwkOf(pub)}, p, key)
}

// ParseProof reads a proof and checks its signature with the key that it
// carries. The caller has to check that this key is one it knows.
func ParseProof(s string) (Proof, ed25519.PublicKey, error) {
	var p Proof
	var h proofHeader
	t, err := parse(s, &h, &p)
	if err != nil {
		return Proof{}, nil, fmt.Errorf("DPoP proof: %w", err)
	}
	if h.Type != typeProof || h.Algorithm != algorithm {
		return Proof{}, nil, fmt.Errorf("DPoP proof: %w: type %.20q, algorithm %.20q", ErrForm, h.Type, h.Algorithm)
	}
	pub, err := h.Key.publicKey()
	if err != nil {
		return Proof{}, nil, fmt.Errorf("DPoP proof: %w", err)
	}
	if err := t.verify(pub); err != nil {
		return Proof{}, nil, fmt.Errorf("DPoP proof: %w", err)
	}
	return p, pub, nil
}

// Sign returns the assertion as a token; keyID names the key to the reader.
func (a Assertion) Sign(keyID string, key ed25519.PrivateKey) (string, error) {
	if _, err := publicOf(key); err != nil {
		return "", err
	}
	return sign(assertionHeader{Type: typeJWT, Algorithm: algorithm, KeyID: keyID}, a, key)
}

// Unverified is an assertion that was read and proves nothing yet: it names the
// device and the key by which to verify it.
type Unverified struct {
	Claims Assertion
	KeyID  string
	token  token
}

// ParseAssertion reads an assertion without checking its signature.
func ParseAssertion(s string) (Unverified, error) {
	var u Unverified
	var h assertionHeader
	t, err := parse(s, &h, &u.Claims)
	if err != nil {
		return Unverified{}, fmt.Errorf("client assertion: %w", err)
	}
	if h.Type != typeJWT || h.Algorithm != algorithm {
		return Unverified{}, fmt.Errorf("client assertion: %w: type %.20q, algorithm %.20q", ErrForm, h.Type, h.Algorithm)
	}
	u.KeyID, u.token = h.KeyID, t
	return u, nil
}

// Verify returns the claims if the assertion is signed by that key.
func (u Unverified) Verify(pub ed25519.PublicKey) (Assertion, error) {
	if err := u.token.verify(pub); err != nil {
		return Assertion{}, fmt.Errorf("client assertion: %w", err)
	}
	return u.Claims, nil
}

// NewID returns 128 random bits for a token's jti.
func NewID() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// TokenHash is what a proof says of the access token that goes with it (ath).
func TokenHash(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func sign(header, claims any, key ed25519.PrivateKey) (string, error) {
	h, err := canon.Marshal(header)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	c, err := canon.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	e := base64.RawURLEncoding
	signed := e.EncodeToString(h) + "." + e.EncodeToString(c)
	if len(signed)+1+e.EncodedLen(ed25519.SignatureSize) > MaxSize {
		return "", fmt.Errorf("sign token: over %d bytes", MaxSize)
	}
	return signed + "." + e.EncodeToString(ed25519.Sign(key, []byte(signed))), nil
}

func publicOf(key ed25519.PrivateKey) (ed25519.PublicKey, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("sign token: not an Ed25519 private key")
	}
	return key.Public().(ed25519.PublicKey), nil
}
