package signin

import (
	"fmt"
	"slices"
	"strings"

	"swab/internal/audit"
	"swab/internal/auth"
)

// Scope is what an application asks for in a person's name.
type Scope struct {
	Resource string   `json:"resource"` // this API, as it was spelt; what goes into aud
	Asked    []string `json:"asked"`    // each scope, as it was spelt
	Wanted   []string `json:"wanted"`   // among auth.Scopes, or All
	OpenID   bool     `json:"openid"`   // an id token
	Offline  bool     `json:"offline"`  // refresh tokens
}

// All stands for all scopes that the application has.
const All = ".default"

// ReadScope reads the scopes of a request: RESOURCE/Machine.Read … or
// RESOURCE/.default, of one resource, and those of OpenID Connect. resource is
// the one that a v1 request names, which then asks for all; "" where it names
// none. One that app can't be granted is an [Error]: nothing is left out in
// silence.
func (d *Desk) ReadScope(app auth.App, scope, resource string) (Scope, error) {
	var s Scope
	if len(scope)+len(resource) > maxScope {
		return s, refuse(InvalidScope, fmt.Sprintf("The scopes have over %d bytes", maxScope))
	}
	if resource != "" {
		if !d.Resources.Accept(resource) {
			return s, refuse(InvalidResource, fmt.Sprintf("The resource '%s' was not found here. Ask for this API, such as https://api.securitycenter.microsoft.com", audit.Clip(resource)))
		}
		s.Resource, s.Wanted = resource, []string{All}
		s.OpenID, s.Offline = true, true // v1 has no words for them, and gives both
	}
	for one := range strings.FieldsSeq(scope) {
		s.Asked = append(s.Asked, one)
		switch strings.ToLower(one) {
		case "openid":
			s.OpenID = true
			continue
		case "offline_access":
			s.Offline = true
			continue
		case "profile", "email":
			continue
		}
		of, name, err := d.readScope(one)
		if err != nil {
			return Scope{}, err
		}
		if s.Resource != "" && !strings.EqualFold(strings.TrimSuffix(s.Resource, "/"), strings.TrimSuffix(of, "/")) {
			return Scope{}, refuse(InvalidScope, fmt.Sprintf("The scopes name two resources: '%s' and '%s'", audit.Clip(s.Resource), audit.Clip(of)))
		}
		if s.Resource == "" {
			s.Resource = of
		}
		if !slices.Contains(s.Wanted, name) {
			s.Wanted = append(s.Wanted, name)
		}
	}
	if len(s.Asked) == 0 && s.Resource == "" {
		return Scope{}, refuse(InvalidScope, "The parameter 'scope' names nothing; ask for one such as https://api.securitycenter.microsoft.com/Machine.Read")
	}
	_, err := s.Granted(app)
	return s, err
}

// readScope takes RESOURCE/NAME apart. The resource is as it was spelt.
func (d *Desk) readScope(one string) (resource, name string, err error) {
	at := strings.LastIndexByte(one, '/')
	if at < 0 || !d.Resources.Accept(one[:at]) {
		return "", "", refuse(InvalidScope, fmt.Sprintf(
			"The provided value for the input parameter 'scope' is not valid: '%s'. Ask for scopes of this API, such as https://api.securitycenter.microsoft.com/Machine.Read or …/.default", audit.Clip(one)))
	}
	resource, name = one[:at], one[at+1:]
	if strings.EqualFold(name, All) {
		return resource, All, nil
	}
	for _, known := range auth.Scopes {
		if strings.EqualFold(name, known) {
			return resource, known, nil
		}
	}
	return "", "", refuse(InvalidScope, fmt.Sprintf("The scope '%s' is none of this API; there are %s", audit.Clip(one), strings.Join(auth.Scopes, ", ")))
}

// Granted is what of the scopes app has, now: all of it, or an [Error].
func (s Scope) Granted(app auth.App) ([]string, error) {
	var granted []string
	for _, one := range auth.Scopes {
		if slices.Contains(app.Scopes, one) && (slices.Contains(s.Wanted, All) || slices.Contains(s.Wanted, one)) {
			granted = append(granted, one)
		}
	}
	for _, one := range s.Wanted {
		switch {
		case one == All && len(granted) == 0:
			return nil, refuse(InvalidScope, fmt.Sprintf("The application %s may do nothing in people's names: an administrator has to give it scopes", app.ID))
		case one != All && !slices.Contains(granted, one):
			return nil, refuse(InvalidScope, fmt.Sprintf("The application %s does not have the scope %s: an administrator has to give it to it", app.ID, one))
		}
	}
	return granted, nil
}

// Within says whether a scope asks for no more than another, of an application.
func (s Scope) Within(other Scope, app auth.App) bool {
	mine, err := s.Granted(app)
	if err != nil {
		return false
	}
	theirs, err := other.Granted(app)
	if err != nil {
		return false
	}
	if s.OpenID && !other.OpenID || s.Offline && !other.Offline {
		return false
	}
	return !slices.ContainsFunc(mine, func(one string) bool { return !slices.Contains(theirs, one) })
}

// String is the scopes as an answer names them: each one granted in full, and
// each one asked for as it was spelt.
func (s Scope) String(granted []string) string {
	var all []string
	for _, one := range granted {
		all = append(all, strings.TrimSuffix(s.Resource, "/")+"/"+one)
	}
	for _, one := range s.Asked {
		if !slices.ContainsFunc(all, func(have string) bool { return strings.EqualFold(have, one) }) {
			all = append(all, one)
		}
	}
	return strings.Join(all, " ")
}
