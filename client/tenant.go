package client

import (
	"context"
	"net/http"
	"time"
)

// Tenant is an organisation on the server, apart from every other.
type Tenant struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Revoked bool      `json:"revoked"`
}

// NewTenant is a tenant that was made, with what its administrators begin with.
// Its secrets are in no other answer. CAFile is "": where the certificate of the
// server's authority lies on their machine, the server does not know.
type NewTenant struct {
	Credentials
	TenantName string `json:"tenantName"`
	Warning    string `json:"warning"` // what is unwise about the name, "" for nothing
}

// Tenants lists tenants, the oldest first: to administrators of the
// installation's first tenant all of them, to those of another their own. It
// takes the permission Swab.Administer.
func (c *Client) Tenants(ctx context.Context) ([]Tenant, error) {
	var out list[Tenant]
	err := c.call(ctx, http.MethodGet, "api/admin/v1/tenants", nil, nil, &out, maxList)
	return out.Value, err
}

// CreateTenant makes a tenant with its first application and enrolment token.
// Only administrators of the installation's first tenant may. The name is a DNS
// name or label in lower case.
func (c *Client) CreateTenant(ctx context.Context, name string) (NewTenant, error) {
	var out NewTenant
	in := struct {
		Name string `json:"name"`
	}{name}
	err := c.call(ctx, http.MethodPost, "api/admin/v1/tenants", nil, in, &out, maxEntity)
	return out, err
}

// RevokeTenant shuts a tenant out for good: nobody of it is let in, no
// application and no device. Its data stay. Only administrators of the
// installation's first tenant may.
func (c *Client) RevokeTenant(ctx context.Context, id string) (Tenant, error) {
	var out Tenant
	path, err := segment("tenant", id)
	if err != nil {
		return out, err
	}
	err = c.call(ctx, http.MethodPost, "api/admin/v1/tenants/"+path+"/revoke", nil, nil, &out, maxEntity)
	return out, err
}
