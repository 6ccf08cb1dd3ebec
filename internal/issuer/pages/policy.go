package pages

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// policy is the Content-Security-Policy of a page whose forms may lead to the
// given addresses besides this server.
func policy(redirects ...string) string {
	targets := []string{"'self'"}
	for _, r := range redirects {
		if t := target(r); t != "" {
			targets = append(targets, t)
		}
	}
	return "default-src 'none'; style-src '" + styleHash + "'; img-src data:; form-action " + strings.Join(targets, " ") +
		"; base-uri 'none'; frame-ancestors 'none'"
}

var (
	scheme = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)
	host   = regexp.MustCompile(`^[a-z0-9.-]+(:[0-9]+)?$`)
)

// within are schemes of what a page could be made to show or run.
var within = []string{"javascript", "vbscript", "data", "blob", "about", "filesystem", "view-source"}

// target is the narrowest source by which a policy can name an address: its
// origin, or its scheme where a program is woken (msal…://auth), and where the
// host is of a form that sources don't have ([::1]). "" for what is no address.
func target(address string) string {
	u, err := url.Parse(address)
	if err != nil || !scheme.MatchString(u.Scheme) || slices.Contains(within, u.Scheme) {
		return ""
	}
	if name := strings.ToLower(u.Host); (u.Scheme == "https" || u.Scheme == "http") && host.MatchString(name) {
		return u.Scheme + "://" + name
	}
	return u.Scheme + ":"
}
