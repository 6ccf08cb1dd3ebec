package auth

import (
	"slices"
	"strings"
)

// hosts are the API hosts that clients were written for: whichever of them a
// client names as the resource, it means this API.
var hosts = []string{
	"api.securitycenter.windows.com", "api.securitycenter.microsoft.com", "api.security.microsoft.com",
	"us.api.security.microsoft.com", "eu.api.security.microsoft.com", "uk.api.security.microsoft.com",
	"au.api.security.microsoft.com", "swa.api.security.microsoft.com", "ina.api.security.microsoft.com",
	"aea.api.security.microsoft.com",
	"api-us.securitycenter.microsoft.com", "api-eu.securitycenter.microsoft.com",
	"api-uk.securitycenter.microsoft.com", "api-au.securitycenter.microsoft.com",
	"api-us.securitycenter.windows.com", "api-eu.securitycenter.windows.com", "api-uk.securitycenter.windows.com",
	"api-gcc.securitycenter.microsoft.us", "api-gov.securitycenter.microsoft.us",
	"api-gcc.security.microsoft.us", "api-gov.security.microsoft.us",
}

// service is the one resource identifier that is no host of the API.
const service = "https://securitycenter.onmicrosoft.com/windowsatpservice"

// Resources are the identifiers under which clients know this API: what they
// ask for in a scope, and what stands in a token's aud.
type Resources []string

// NewResources returns the identifiers of an installation with these base URLs.
func NewResources(bases []string) Resources {
	r := Resources{service}
	for _, h := range hosts {
		r = append(r, "https://"+h)
	}
	for _, b := range bases {
		r = append(r, strings.ToLower(b))
	}
	return r
}

// Accept says whether id names this API: any case, with or without one slash
// at its end.
func (r Resources) Accept(id string) bool {
	return slices.Contains(r, strings.ToLower(strings.TrimSuffix(id, "/")))
}

// Default returns the resource of a scope of the form resource/.default, as the
// client spelt it; ok is false for another form or another resource.
func (r Resources) Default(scope string) (resource string, ok bool) {
	const suffix = "/.default"
	at := len(scope) - len(suffix)
	if at < 0 || !strings.EqualFold(scope[at:], suffix) || !r.Accept(scope[:at]) {
		return "", false
	}
	return scope[:at], true
}
