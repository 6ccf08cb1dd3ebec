package access

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
)

// MaxRedirects bounds the addresses to which an application's sign-ins may send
// their answers.
const MaxRedirects = 20

// ownScheme is the scheme of an application's own on a device, a domain name the
// other way round (RFC 8252, section 7.1).
var ownScheme = regexp.MustCompile(`^[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+$`)

// loopback are the hosts of a machine itself, at which an application listens on
// any port (RFC 8252, section 7.3).
var loopback = []string{"localhost", "127.0.0.1", "::1"}

// CheckRedirect refuses an address to which no sign-in may send its answer: one
// where others than the application could read it.
func CheckRedirect(s string) error {
	u, err := url.Parse(s)
	good := err == nil && len(s) <= MaxURL && u.User == nil && u.Opaque == "" && !strings.Contains(s, "#") &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) && strings.HasPrefix(s, u.Scheme+":")
	if good {
		switch u.Scheme {
		case "https":
			good = u.Hostname() != ""
		case "http":
			good = slices.Contains(loopback, u.Hostname())
		default:
			good = ownScheme.MatchString(u.Scheme) && strings.HasPrefix(s, u.Scheme+":/")
		}
	}
	if !good {
		return fault.InvalidInput.Errorf(nil, "redirects has one that is not https://HOST/PATH, http://localhost, http://127.0.0.1 or http://[::1] with any port, "+
			"or of a scheme of the application's own such as com.example.app:/signed-in; none has a fragment or over %d characters: %s", MaxURL, audit.Clip(s))
	}
	return nil
}

// checkApp is an application in the form in which it is kept, or what is wrong
// with it.
func checkApp(app auth.App) (auth.App, error) {
	if err := title("name", app.Name, true); err != nil {
		return app, err
	}
	for _, role := range app.Roles {
		if !slices.Contains(auth.Permissions, role) {
			return app, fault.InvalidInput.Errorf(nil, "roles has one that no application can hold: %s; there are %s",
				audit.Clip(role), strings.Join(auth.Permissions, ", "))
		}
	}
	for _, scope := range app.Scopes {
		if !slices.Contains(auth.Scopes, scope) {
			return app, fault.InvalidInput.Errorf(nil, "scopes has one that no application can use in a user's name: %s; there are %s",
				audit.Clip(scope), strings.Join(auth.Scopes, ", "))
		}
	}
	if len(app.Redirects) > MaxRedirects {
		return app, fault.InvalidInput.Errorf(nil, "redirects has over %d of them", MaxRedirects)
	}
	for i, redirect := range app.Redirects {
		if err := CheckRedirect(redirect); err != nil {
			return app, err
		}
		if slices.Contains(app.Redirects[:i], redirect) {
			return app, fault.InvalidInput.Errorf(nil, "an address stands in redirects twice")
		}
	}
	if app.Public && (len(app.Roles) > 0 || len(app.Secrets) > 0 || len(app.Certificates) > 0) {
		return app, fault.InvalidInput.Errorf(nil, "A public application can keep no secret: it has no roles of its own, no secrets and no certificates; give it scopes, which it uses in the name of users")
	}
	app.Roles, app.Scopes = inOrder(auth.Permissions, app.Roles), inOrder(auth.Scopes, app.Scopes)
	return app, nil
}

func appChanges(was, is auth.App) (c audit.Changes) {
	c.Add("name", was.Name, is.Name)
	c.AddList("roles", was.Roles, is.Roles)
	c.AddList("scopes", was.Scopes, is.Scopes)
	c.AddList("redirects", was.Redirects, is.Redirects)
	if was.Public != is.Public {
		c.Add("public", yes(was.Public), yes(is.Public))
	}
	return c
}

func yes(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
