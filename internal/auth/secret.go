package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// Clear is a secret as its holder has to send it: 256 random bits. It prints as
// ***, and is told once, to whoever had it made; what is kept is its hash.
type Clear struct{ text string }

// NewSecret makes a secret of letters, digits, - and _, which every client can
// send in a form or by Basic without encoding.
func NewSecret() Clear { return Clear{random()} }

// NewEnrollmentToken makes an enrolment token. Its beginning says what it is, to
// people and to programs that look for secrets in what is published.
func NewEnrollmentToken() Clear { return Clear{"swab-enrol-" + random()} }

func random() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Reveal is the secret itself.
func (c Clear) Reveal() string { return c.text }

// Hash is what is kept of the secret.
func (c Clear) Hash() [sha256.Size]byte { return sha256.Sum256([]byte(c.text)) }

func (c Clear) String() string   { return "***" }
func (c Clear) GoString() string { return "***" }

// MarshalText keeps the secret out of whatever is encoded in passing.
func (c Clear) MarshalText() ([]byte, error) { return []byte("***"), nil }
