// Package dsse signs and opens DSSE envelopes with one Ed25519 signature.
//
// DSSE (Dead Simple Signing Envelope, v1) signs the payload together with its
// type, so that a signature over one kind of document can't be passed off as
// one over another. Swab's envelopes are canonical: exactly one signature, the
// key id is the SHA-256 of the public key in hex, the JSON is in the form of
// package canon and the base64 is the standard alphabet with padding. Anything
// else is refused, so that every bit of an envelope is bound.
package dsse

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"swab/internal/canon"
)

// MaxSize bounds an envelope: 1 MiB.
const MaxSize = 1 << 20

// Errors of Open. Their texts name the envelope's flaw, never its content.
var (
	ErrType      = errors.New("envelope holds another type of document")
	ErrKey       = errors.New("envelope is signed by another key")
	ErrSignature = errors.New("envelope's signature does not hold")
	ErrForm      = errors.New("envelope is not in its canonical form")
)

type envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     string      `json:"payload"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"`
}

// KeyID is the name of a public key: its SHA-256 in hex.
func KeyID(pub ed25519.PublicKey) string {
	sum := sha256.Sum256(pub)
	return hex.EncodeToString(sum[:])
}

// Sign returns the envelope around payload.
func Sign(payloadType string, payload []byte, key ed25519.PrivateKey) ([]byte, error) {
	pub, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("sign envelope: not an Ed25519 key")
	}
	return canon.Marshal(envelope{
		PayloadType: payloadType,
		Payload:     base64.StdEncoding.EncodeToString(payload),
		Signatures: []signature{{
			KeyID: KeyID(pub),
			Sig:   base64.StdEncoding.EncodeToString(ed25519.Sign(key, pae(payloadType, payload))),
		}},
	})
}

// Open returns the payload of an envelope of that type, signed by that key.
func Open(data []byte, payloadType string, pub ed25519.PublicKey) ([]byte, error) {
	if len(pub) != ed25519.PublicKeySize {
		return nil, ErrKey
	}
	env, payload, err := decode(data)
	if err != nil {
		return nil, err
	}
	if env.PayloadType != payloadType {
		return nil, fmt.Errorf("%w: %.80q, want %q", ErrType, env.PayloadType, payloadType)
	}
	if env.Signatures[0].KeyID != KeyID(pub) {
		return nil, ErrKey
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(env.Signatures[0].Sig)
	if err != nil || !ed25519.Verify(pub, pae(payloadType, payload), sig) {
		return nil, ErrSignature
	}
	return payload, nil
}

// Peek returns the type, the payload and the signer's key id without checking
// the signature. What it returns proves nothing; it serves to find the key.
func Peek(data []byte) (payloadType string, payload []byte, keyID string, err error) {
	env, payload, err := decode(data)
	if err != nil {
		return "", nil, "", err
	}
	return env.PayloadType, payload, env.Signatures[0].KeyID, nil
}

func decode(data []byte) (envelope, []byte, error) {
	var env envelope
	if len(data) > MaxSize {
		return env, nil, fmt.Errorf("%w: over %d bytes", ErrForm, MaxSize)
	}
	if err := canon.Unmarshal(data, &env); err != nil {
		return env, nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	if len(env.Signatures) != 1 {
		return env, nil, fmt.Errorf("%w: %d signatures, want 1", ErrForm, len(env.Signatures))
	}
	payload, err := base64.StdEncoding.Strict().DecodeString(env.Payload)
	if err != nil {
		return env, nil, fmt.Errorf("%w: payload: %w", ErrForm, err)
	}
	// Strict decoding still skips line breaks; encoding again refuses them.
	if base64.StdEncoding.EncodeToString(payload) != env.Payload {
		return env, nil, fmt.Errorf("%w: payload's base64", ErrForm)
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(env.Signatures[0].Sig)
	if err != nil || base64.StdEncoding.EncodeToString(sig) != env.Signatures[0].Sig {
		return env, nil, fmt.Errorf("%w: signature's base64", ErrForm)
	}
	return env, payload, nil
}

// pae is DSSE's pre-authentication encoding.
func pae(payloadType string, payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}
