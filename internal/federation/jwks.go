package federation

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// Bounds of a set of keys.
const (
	maxKeys = 100
	maxKID  = 256  // bytes
	maxSize = 8192 // bits of an RSA modulus: a bigger one is there to keep us busy
	minSize = 2048 // bits: a smaller one proves nothing
)

// key is one that an issuer signs by.
type key struct {
	public crypto.PublicKey // *rsa.PublicKey or *ecdsa.PublicKey
	alg    string           // the algorithm that it is for; "" for any that fits
}

// member is what is read of a JSON Web Key. Certificates are not: what a key is
// good for is that the issuer publishes it.
type member struct {
	Type  string `json:"kty,omitempty"`
	ID    string `json:"kid,omitempty"`
	Use   string `json:"use,omitempty"`
	Alg   string `json:"alg,omitempty"`
	N     string `json:"n,omitempty"`
	E     string `json:"e,omitempty"`
	Curve string `json:"crv,omitempty"`
	X     string `json:"x,omitempty"`
	Y     string `json:"y,omitempty"`
}

// parseKeys reads a JSON Web Key Set (RFC 7517). Keys that are not for signatures,
// have no kid, or are of a kind or size that is not used here are left out, as
// the standard asks; of two with one kid the first counts. A set of which nothing
// is left is an error.
func parseKeys(text []byte) (map[string]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("not a set of keys: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("a set of %d keys, where there may be %d", len(set.Keys), maxKeys)
	}
	keys := map[string]key{}
	for _, raw := range set.Keys {
		var m member
		if json.Unmarshal(raw, &m) != nil || m.ID == "" || len(m.ID) > maxKID || m.Use != "" && m.Use != "sig" {
			continue
		}
		if _, doubled := keys[m.ID]; doubled {
			continue
		}
		if public := m.public(); public != nil {
			keys[m.ID] = key{public, m.Alg}
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("a set without a key that could be used: RSA of 2048 bits or more, or P-256, P-384, P-521, with a kid, for signatures")
	}
	return keys, nil
}

// public is the key itself, nil if it can't be used.
func (m member) public() crypto.PublicKey {
	if m.Type != "RSA" && m.Type != "EC" {
		return nil
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil
	}
	var one jose.JSONWebKey
	if one.UnmarshalJSON(text) != nil {
		return nil
	}
	switch public := one.Key.(type) {
	case *rsa.PublicKey:
		if size := public.N.BitLen(); size < minSize || size > maxSize || public.E < 3 || public.E%2 == 0 {
			return nil
		}
		return public
	case *ecdsa.PublicKey:
		return public
	default:
		return nil
	}
}
