package auth

import (
	"context"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Hint is what an id token says that an application shows us again: whom it means.
// It proves nothing about who shows it.
type Hint struct {
	App     string // client id
	Person  string // id
	Session string // id of the sign-in to the application
}

// Hinted reads an id token that was issued here for somebody of a tenant, also one
// that has expired. Whatever is wrong with it is fault.Unauthorized.
func (t *Tokens) Hinted(ctx context.Context, tenant, token string) (Hint, error) {
	if len(token) > MaxToken {
		return Hint{}, refuse(nil, "The id token is too long")
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return Hint{}, refuse(err, "The id token is not a JWT signed with RS256")
	}
	kid := parsed.Headers[0].KeyID
	if t.keys.PublicTokenKey(kid) == nil {
		if err := t.keys.Refresh(ctx); err != nil {
			return Hint{}, err
		}
	}
	key := t.keys.PublicTokenKey(kid)
	if key == nil {
		return Hint{}, refuse(nil, "The id token is signed by an unknown key")
	}
	var c claims
	if err := parsed.Claims(key, &c); err != nil {
		return Hint{}, refuse(err, "The id token's signature does not hold")
	}
	ours := slices.ContainsFunc(t.bases, func(b string) bool { return c.Issuer == Issuer(b, tenant) || c.Issuer == b+"/"+tenant+"/v2.0" })
	if c.Tenant != tenant || !ours || c.Object == "" || c.Session == "" || c.Scopes != "" || c.AppID != "" {
		return Hint{}, refuse(nil, "The token is no id token of this tenant")
	}
	return Hint{App: c.Audience, Person: c.Object, Session: c.Session}, nil
}
