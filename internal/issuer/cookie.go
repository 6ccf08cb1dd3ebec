package issuer

import (
	"crypto/rand"
	"net/http"
	"time"

	"swab/internal/auth"
	"swab/internal/signin"
)

// Cookies. Their prefix has browsers refuse them from another host, without TLS,
// or for a part of this one.
const (
	browserCookie = "__Host-swab-browser"  // which browser it is: tickets are bound to it
	sessionCookie = "__Host-swab-session-" // + tenant's id: who is signed in
	knownCookie   = "__Host-swab-known-"   // + tenant's id: whose sign-in failures are counted apart
	doneCookie    = "__Host-swab-done-"    // + tenant's id: what the person has just done to their account
)

// cookie is the value of a cookie; "" where there is none.
func (c *call) cookie(name string) string {
	found, err := c.r.Cookie(name)
	if err != nil {
		return ""
	}
	return found.Value
}

// keep sets a cookie: for so long, or until the browser ends where life is 0.
func (c *call) keep(name, value string, life time.Duration) {
	// Lax and not Strict: an application sends browsers here, and they are still
	// signed in when they come.
	http.SetCookie(c.w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(life.Seconds()), Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// drop deletes a cookie.
func (c *call) drop(name string) { c.keep(name, "", -time.Second) }

// browser is the secret that says which browser it is; one that has none gets it.
func (c *call) browser() string {
	if c.secret == "" {
		c.secret = c.cookie(browserCookie)
	}
	if len(c.secret) != len(rand.Text()) {
		c.secret = rand.Text() // at least 128 random bits
		c.keep(browserCookie, c.secret, 0)
	}
	return c.secret
}

// who is signed in in the browser; false if nobody is.
func (s *Issuer) who(c *call) (signin.Signed, bool, error) {
	return s.Desk.Find(c.r.Context(), c.visitor(), c.cookie(sessionCookie+c.tenant.ID))
}

// begin begins the session of somebody who has proved who they are, in the place
// of what the browser had.
func (s *Issuer) begin(c *call, p signin.Progress) (signin.Signed, error) {
	had, _, err := s.who(c)
	if err != nil {
		return signin.Signed{}, err
	}
	in, secret, err := s.Desk.Begin(c.r.Context(), c.visitor(), p, had.Session.ID)
	if err != nil {
		return signin.Signed{}, err
	}
	c.keep(sessionCookie+c.tenant.ID, secret.Reveal(), 0)
	return in, c.know(s, in.Person)
}

// know has the browser known as one in which a person has signed in.
func (c *call) know(s *Issuer, p auth.Person) error {
	known, err := s.Desk.Know(c.r.Context(), p)
	if err == nil {
		c.keep(knownCookie+c.tenant.ID, known, signin.KnownLife)
	}
	return err
}
