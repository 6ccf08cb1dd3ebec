package client

import (
	"context"
	"net/http"
	"time"
)

// Issuer is an OpenID Connect issuer beside the server's own, whose tokens hold
// for the tenant: Microsoft Entra ID, Keycloak, another installation. All calls
// on issuers take the permission Swab.Administer; of a person also the built-in
// role.
type Issuer struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	URL       string            `json:"url"`  // the iss of its tokens
	Keys      string            `json:"keys"` // address of its keys; "": found by discovery below the URL
	Audiences []string          `json:"audiences"`
	Claims    IssuerClaims      `json:"claims"`
	Groups    map[string]string `json:"groups"`   // what its tokens call a group, to the id of a user group
	Roles     map[string]string `json:"roles"`    // what its tokens call an application's role, to a permission
	Networks  []string          `json:"networks"` // CIDRs that may be connected to beside public addresses
	Created   time.Time         `json:"created"`
	Revoked   bool              `json:"revoked"`
}

// IssuerClaims are the names of the claims that say who and what; dots lead into
// objects. "": the usual one.
type IssuerClaims struct {
	Person      string `json:"person,omitempty"`
	Principal   string `json:"principal,omitempty"`
	Groups      string `json:"groups,omitempty"`
	Application string `json:"application,omitempty"`
	Roles       string `json:"roles,omitempty"`
	Scopes      string `json:"scopes,omitempty"`
}

// IssuerRequest asks for an issuer.
type IssuerRequest struct {
	Name      string            `json:"name"`
	URL       string            `json:"url"`
	Keys      string            `json:"keys,omitempty"`
	Audiences []string          `json:"audiences"`
	Claims    IssuerClaims      `json:"claims,omitzero"`
	Groups    map[string]string `json:"groups,omitempty"`
	Roles     map[string]string `json:"roles,omitempty"`
	Networks  []string          `json:"networks,omitempty"`
}

// IssuerChange is what is to become of an issuer; nil: as it was.
type IssuerChange struct {
	Name      *string            `json:"name,omitempty"`
	Keys      *string            `json:"keys,omitempty"`
	Audiences *[]string          `json:"audiences,omitempty"`
	Claims    *IssuerClaims      `json:"claims,omitempty"`
	Groups    *map[string]string `json:"groups,omitempty"`
	Roles     *map[string]string `json:"roles,omitempty"`
	Networks  *[]string          `json:"networks,omitempty"`
}

const issuersPath = "api/admin/v1/issuers"

// Issuers lists the tenant's issuers in the order of their names, also those that
// are revoked.
func (c *Client) Issuers(ctx context.Context) ([]Issuer, error) {
	return rows[Issuer](ctx, c, issuersPath, nil)
}

// Issuer returns one issuer.
func (c *Client) Issuer(ctx context.Context, id string) (Issuer, error) {
	return c.ofIssuer(ctx, http.MethodGet, id, "", nil)
}

// CreateIssuer makes the tokens of an issuer hold for the tenant.
func (c *Client) CreateIssuer(ctx context.Context, r IssuerRequest) (Issuer, error) {
	var out Issuer
	err := c.call(ctx, http.MethodPost, issuersPath, nil, r, &out, maxEntity)
	return out, err
}

// ChangeIssuer changes an issuer. Its URL says which it is, and stays.
func (c *Client) ChangeIssuer(ctx context.Context, id string, change IssuerChange) (Issuer, error) {
	return c.ofIssuer(ctx, http.MethodPatch, id, "", change)
}

// RevokeIssuer makes the tokens of an issuer worthless for good.
func (c *Client) RevokeIssuer(ctx context.Context, id string) (Issuer, error) {
	return c.ofIssuer(ctx, http.MethodPost, id, "revoke", nil)
}

func (c *Client) ofIssuer(ctx context.Context, method, id, what string, in any) (Issuer, error) {
	var out Issuer
	err := c.of(ctx, method, issuersPath, "issuer", id, what, in, &out)
	return out, err
}
