package api

import (
	"context"
	"net/http"

	"swab/internal/access"
	"swab/internal/auth"
)

// tenant is an organisation on this server as administrators see it.
type tenant struct {
	ID      string  `json:"id"`
	Name    string  `json:"name"`
	Created *string `json:"created"`
	Revoked bool    `json:"revoked"`
}

// madeTenant is what the administrators of a new tenant begin with: the
// properties of the first start's bootstrap.json, in the one answer that has its
// secrets. caFile is left to whoever keeps it as a file: where the authority's
// certificate lies on their machine, the server can't know.
type madeTenant struct {
	APIBase         string  `json:"apiBase"` // as this request was sent to
	Authority       string  `json:"authority"`
	TenantID        string  `json:"tenantId"`
	TenantName      string  `json:"tenantName"`
	ClientID        string  `json:"clientId"`
	ClientSecret    string  `json:"clientSecret"`
	EnrollmentToken string  `json:"enrollmentToken"`
	CAFile          string  `json:"caFile"`
	ReceiptKey      []byte  `json:"receiptKey"`
	LogKey          []byte  `json:"logKey"`
	Warning         *string `json:"warning"` // what is unwise about the name; null: nothing
}

func (a *API) tenants(ctx context.Context, c *call) (reply, error) {
	tenants, err := a.Register.Tenants(ctx, c.who)
	if err != nil {
		return reply{}, err
	}
	if err := c.plain(); err != nil {
		return reply{}, err
	}
	list := listed[tenant]{Value: []tenant{}}
	for _, t := range tenants {
		list.Value = append(list.Value, tenantOf(t))
	}
	return reply{body: list}, nil
}

func (a *API) createTenant(ctx context.Context, c *call) (reply, error) {
	made, err := a.Register.CreateTenant(ctx, c.who, func() (string, error) {
		f := c.form(false, "name")
		name := f.text("name")
		return name, f.err
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, body: madeTenant{
		APIBase: c.base, Authority: c.base + "/" + made.ID, TenantID: made.ID, TenantName: made.Name,
		ClientID: made.App.ID, ClientSecret: made.Secret.Reveal(), EnrollmentToken: made.EnrollmentToken.Reveal(),
		ReceiptKey: a.Keys.PublicReceiptKey(), LogKey: a.Keys.PublicLogKey(), Warning: given(access.OddTenantName(made.Name)),
	}}, nil
}

func (a *API) revokeTenant(ctx context.Context, c *call) (reply, error) {
	if err := c.bare(auth.AdministerAll); err != nil {
		return reply{}, err
	}
	t, err := a.Register.RevokeTenant(ctx, c.who, c.id("tenant"))
	if err != nil {
		return reply{}, err
	}
	return reply{body: tenantOf(t)}, nil
}

func tenantOf(t auth.Tenant) tenant {
	return tenant{ID: t.ID, Name: t.Name, Created: moment(t.Created), Revoked: t.Revoked}
}
