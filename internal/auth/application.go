package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"time"
)

// App is an application that may sign in by itself.
type App struct {
	Tenant       string
	ID           string // client id, a GUID
	Name         string
	Roles        []string // what it may do by itself
	Scopes       []string // what it may do in the name of people who sign in to it
	Redirects    []string // where a sign-in may send its answer
	Public       bool     // it runs where it can keep no secret: it has none, and proves each code by PKCE
	Secrets      []Secret
	Certificates []Certificate
	Created      time.Time
	Revoked      bool // it gets no token any more, and those it has are worth nothing
}

// CommandLine is the client id of the application by which people sign in from
// the command line. Every tenant begins with it, and may revoke it.
const CommandLine = "00000000-0000-4000-8000-0000000000c1"

// NewCommandLine is that application of a new tenant.
func NewCommandLine(tenant string, now time.Time) App {
	return App{
		Tenant: tenant, ID: CommandLine, Name: "Swab command line", Roles: []string{}, Scopes: slices.Clone(Scopes),
		Redirects: []string{"http://localhost", "http://127.0.0.1"}, Public: true, Created: now,
	}
}

// Secret is one of an application's secrets. Secrets that we make are 256 random
// bits, so one SHA-256 keeps them as safe as a slow hash would, and a token
// costs microseconds.
type Secret struct {
	ID      string
	Name    string // what it is for; may be empty
	Hash    [sha256.Size]byte
	Created time.Time
	Expires time.Time // zero: never
}

// Certificate is one of an application's certificates: whoever has its key may
// sign in as the application.
type Certificate struct {
	ID      string // hex SHA-256 of DER
	Name    string // what it is for; may be empty
	DER     []byte // the X.509 certificate, at most MaxCertificate bytes
	Created time.Time
	Expires time.Time // its own end, or an earlier one
}

// MaxCertificate bounds a registered certificate: 16 KiB.
const MaxCertificate = 16 << 10

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
	Name    string            // what it is for; may be empty
	Hash    [sha256.Size]byte // of the token
	Created time.Time
	Left    int       // enrolments that remain; -1: no count
	Expires time.Time // zero: never
	Revoked bool
	Tags    []string // for the devices that join by it
}

// Tenant is an organisation on this server, apart from every other.
type Tenant struct {
	ID      string // a GUID
	Name    string // one DNS name or label, lower case: it stands in addresses
	Created time.Time
	Revoked bool // nobody of it is let in: no application, no device
}
