package api

import (
	"context"
	"net/http"

	"swab/internal/access"
	"swab/internal/auth"
)

// trustedIssuer is an issuer beside this one as administrators see it.
type trustedIssuer struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	URL       string            `json:"url"`  // the iss of its tokens
	Keys      *string           `json:"keys"` // address of its keys; null: found by discovery below the url
	Audiences []string          `json:"audiences"`
	Claims    claims            `json:"claims"`
	Groups    map[string]string `json:"groups"` // what its tokens call a group, to the id of a user group
	Roles     map[string]string `json:"roles"`  // what its tokens call an application's role, to a permission
	Networks  []string          `json:"networks"`
	Created   *string           `json:"created"`
	Revoked   bool              `json:"revoked"`
}

// claims are the names of the claims that say who and what; null: the usual one.
type claims struct {
	Person      *string `json:"person"`
	Principal   *string `json:"principal"`
	Groups      *string `json:"groups"`
	Application *string `json:"application"`
	Roles       *string `json:"roles"`
	Scopes      *string `json:"scopes"`
}

func issuerOf(i auth.TrustedIssuer) trustedIssuer {
	return trustedIssuer{
		ID: i.ID, Name: i.Name, URL: i.URL, Keys: given(i.Keys), Audiences: append([]string{}, i.Audiences...),
		Claims: claims{
			Person: given(i.Claims.Person), Principal: given(i.Claims.Principal), Groups: given(i.Claims.Groups),
			Application: given(i.Claims.Application), Roles: given(i.Claims.Roles), Scopes: given(i.Claims.Scopes),
		},
		Groups: table(i.Groups), Roles: table(i.Roles), Networks: append([]string{}, i.Networks...), Created: moment(i.Created), Revoked: i.Revoked,
	}
}

// table is a map that is never null.
func table(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func (a *API) issuers(ctx context.Context, c *call) (reply, error) {
	found, err := a.Register.Issuers(ctx, c.who)
	if err != nil {
		return reply{}, err
	}
	if err := c.plain(); err != nil {
		return reply{}, err
	}
	list := listed[trustedIssuer]{Value: []trustedIssuer{}}
	for _, i := range found {
		list.Value = append(list.Value, issuerOf(i))
	}
	return reply{body: list}, nil
}

func (a *API) issuer(ctx context.Context, c *call) (reply, error) {
	found, err := a.Register.Issuer(ctx, c.who, c.id("issuer"))
	if err == nil {
		err = c.plain()
	}
	return oneIssuer(found, err)
}

func oneIssuer(i auth.TrustedIssuer, err error) (reply, error) {
	if err != nil {
		return reply{}, err
	}
	return reply{body: issuerOf(i)}, nil
}

// claims reads the names of claims.
func (f *form) claims(name string) auth.Claims {
	raw, there := f.raw[name]
	if !there || f.err != nil {
		return auth.Claims{}
	}
	given := readForm(raw, []string{"person", "principal", "groups", "application", "roles", "scopes"})
	c := auth.Claims{
		Person: given.text("person"), Principal: given.text("principal"), Groups: given.text("groups"),
		Application: given.text("application"), Roles: given.text("roles"), Scopes: given.text("scopes"),
	}
	f.err = given.err
	return c
}

func (a *API) createIssuer(ctx context.Context, c *call) (reply, error) {
	made, err := a.Register.CreateIssuer(ctx, c.who, func() (auth.TrustedIssuer, error) {
		f := c.form(false, "name", "url", "keys", "audiences", "claims", "groups", "roles", "networks")
		i := auth.TrustedIssuer{
			Name: f.text("name"), URL: f.text("url"), Keys: f.text("keys"), Audiences: f.texts("audiences"), Claims: f.claims("claims"),
			Groups: f.table("groups"), Roles: f.table("roles"), Networks: f.texts("networks"),
		}
		return i, f.err
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, location: c.root + "/admin/v1/issuers/" + made.ID, body: issuerOf(made)}, nil
}

func (a *API) changeIssuer(ctx context.Context, c *call) (reply, error) {
	return oneIssuer(a.Register.ChangeIssuer(ctx, c.who, c.id("issuer"), func() (access.IssuerChange, error) {
		f := c.form(false, "name", "keys", "audiences", "claims", "groups", "roles", "networks")
		n := access.IssuerChange{
			Name: wanted(f, "name", f.text), Keys: wanted(f, "keys", f.text), Audiences: wanted(f, "audiences", f.texts), Claims: wanted(f, "claims", f.claims),
			Groups: wanted(f, "groups", f.table), Roles: wanted(f, "roles", f.table), Networks: wanted(f, "networks", f.texts),
		}
		return n, f.err
	}))
}

func (a *API) revokeIssuer(ctx context.Context, c *call) (reply, error) {
	if err := c.bare(auth.AdministerAll); err != nil {
		return reply{}, err
	}
	return oneIssuer(a.Register.RevokeIssuer(ctx, c.who, c.id("issuer")))
}
