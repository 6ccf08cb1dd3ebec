package dpop

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"swab/internal/canon"
)

// jwk is an Ed25519 public key as a JSON Web Key (RFC 8037). Its fields stand in
// the order in which RFC 7638 hashes them.
type jwk struct {
	Curve string `json:"crv"` // Ed25519
	Type  string `json:"kty"` // OKP
	X     string `json:"x"`   // base64url of the 32 bytes
}

// ErrKey is returned for a JWK that is not an Ed25519 public key.
var ErrKey = errors.New("JWK is not an Ed25519 public key")

// jwkOf returns pub as a JWK.
func jwkOf(pub ed25519.PublicKey) jwk {
	return jwk{Curve: "Ed25519", Type: "OKP", X: base64.RawURLEncoding.EncodeToString(pub)}
}

// publicKey returns the key that k holds.
func (k jwk) publicKey() (ed25519.PublicKey, error) {
	if k.Curve != "Ed25519" || k.Type != "OKP" {
		return nil, fmt.Errorf("%w: type %.20q, curve %.20q", ErrKey, k.Type, k.Curve)
	}
	b, err := decode(k.X)
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: x", ErrKey)
	}
	return b, nil
}

// Thumbprint is the key's RFC 7638 thumbprint in base64url: what an access token
// that is bound to the key names (cnf.jkt).
func Thumbprint(pub ed25519.PublicKey) string {
	b, err := canon.Marshal(jwkOf(pub))
	if err != nil {
		panic("dpop: plain strings can't be encoded: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
