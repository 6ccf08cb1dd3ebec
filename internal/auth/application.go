package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"time"
)

// App is an application that may sign in by itself.
type App struct {
	Tenant  string
	ID      string // client id, a GUID
	Name    string
	Roles   []string
	Secrets []Secret
	Created time.Time
}

// Secret is one of an application's secrets. Secrets that we make are 256 random
// bits, so one SHA-256 keeps them as safe as a slow hash would, and a token
// costs microseconds.
type Secret struct {
	ID      string
	Hash    [sha256.Size]byte
	Expires time.Time // zero: never
}

// Holds says, in constant time for each secret, whether given is one of the
// application's secrets and not expired.
func (a App) Holds(given string, now time.Time) bool {
	sum, ok := sha256.Sum256([]byte(given)), false
	for _, s := range a.Secrets {
		if subtle.ConstantTimeCompare(sum[:], s.Hash[:]) == 1 && (s.Expires.IsZero() || now.Before(s.Expires)) {
			ok = true
		}
	}
	return ok
}

// Enrollment is a token by which devices join a tenant.
type Enrollment struct {
	Tenant  string
	ID      string
	Hash    [sha256.Size]byte // of the token
	Left    int               // enrolments that remain; -1: no count
	Expires time.Time         // zero: never
	Revoked bool
	Tags    []string // for the devices that join by it
}

// Tenant is an organisation on this server, apart from every other.
type Tenant struct {
	ID      string // a GUID
	Name    string
	Created time.Time
}
