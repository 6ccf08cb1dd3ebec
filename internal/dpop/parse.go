package dpop

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"swab/internal/canon"
)

// MaxSize bounds a token: 8 KiB.
const MaxSize = 8 << 10

// Errors of the reader. Their texts never hold a token.
var (
	ErrForm      = errors.New("token is not in its one form")
	ErrSignature = errors.New("token's signature does not hold")
)

// token is a compact JWS taken apart.
type token struct {
	signed    string // header and claims as signed
	signature []byte
}

// parse takes a token apart and reads its header and claims, each of which must
// be in canonical form.
func parse(s string, header, claims any) (token, error) {
	if len(s) > MaxSize {
		return token{}, fmt.Errorf("%w: over %d bytes", ErrForm, MaxSize)
	}
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return token{}, fmt.Errorf("%w: %d parts, want 3", ErrForm, len(parts))
	}
	for i, to := range []any{header, claims} {
		b, err := decode(parts[i])
		if err != nil {
			return token{}, fmt.Errorf("%w: part %d: %w", ErrForm, i+1, err)
		}
		if err := canon.Unmarshal(b, to); err != nil {
			return token{}, fmt.Errorf("%w: part %d: %w", ErrForm, i+1, err)
		}
	}
	sig, err := decode(parts[2])
	if err != nil {
		return token{}, fmt.Errorf("%w: part 3: %w", ErrForm, err)
	}
	return token{signed: parts[0] + "." + parts[1], signature: sig}, nil
}

func (t token) verify(pub ed25519.PublicKey) error {
	if len(pub) != ed25519.PublicKeySize || len(t.signature) != ed25519.SignatureSize ||
		!ed25519.Verify(pub, []byte(t.signed), t.signature) {
		return ErrSignature
	}
	return nil
}

var errBase64 = errors.New("base64url is not in its one form")

// decode reads base64url without padding. Go's strict decoder still skips line
// breaks; encoding again refuses them.
func decode(s string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || base64.RawURLEncoding.EncodeToString(b) != s {
		return nil, errBase64
	}
	return b, nil
}
