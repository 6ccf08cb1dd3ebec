package access

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
)

// Reserved are the names that no tenant can have: a tenant's name is the first
// segment of its addresses, and these are, or may become, other things there.
var Reserved = []string{
	"api", "packages", "enroll", "device", "healthz", "readyz", "metrics", "docs", "debug", "openapi.yaml", "openapi.json",
	"common", "organizations", "consumers", "oauth2", "discovery", "v2.0", "v1.0", "console", "login", "logout", "static", "assets",
	"favicon.ico", "robots.txt",
}

// nameForm is a DNS name or label; how long it is, is checked apart.
var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

// CheckTenantName refuses a name that a tenant can't have.
func CheckTenantName(name string) error {
	_, guid := uuid.Parse(name)
	switch {
	case name == "":
		return fault.MissingParameter.Errorf(nil, "name is missing")
	case len(name) > 253 || !nameForm.MatchString(name):
		return fault.InvalidInput.Errorf(nil, "name is not a DNS name or label in lower case, such as contoso or contoso.example: %s", audit.Clip(name))
	case guid == nil:
		return fault.InvalidInput.Errorf(nil, "name has the form of a tenant's id; a tenant gets an id of its own beside its name")
	case slices.Contains(Reserved, name):
		return fault.InvalidInput.Errorf(nil, "name is one that addresses of the server begin with: %s", name)
	}
	return nil
}

// OddTenantName says what is unwise about a name that a tenant can have; "" for
// nothing.
func OddTenantName(name string) string {
	if !strings.Contains(name, "token") {
		return ""
	}
	return "the name has the word token in it: some sign-in libraries replace that word in addresses and then ask for the wrong one; " +
		"use the tenant's id in their addresses, or another name"
}

// MadeTenant is a tenant that was made, with what its administrators begin with:
// an application that may do everything, and an enrolment token. The secrets
// are told here and never again. Neither has an end, as at an installation's
// first start: there is nobody who could let a tenant in again whose only
// administrator had expired.
type MadeTenant struct {
	auth.Tenant
	App             auth.App
	Secret          auth.Clear
	EnrollmentToken auth.Clear
}

// Tenants returns the tenants, the oldest first: to administrators of the home
// tenant all of them, to those of another their own.
func (r *Register) Tenants(ctx context.Context, who auth.Caller) ([]auth.Tenant, error) {
	if err := r.permit(ctx, who, audit.ActReadTenant, who.Tenant, auth.AdministerAll); err != nil {
		return nil, err
	}
	if who.Tenant == r.Home {
		return r.Records.Tenants(ctx)
	}
	own, err := r.Records.Tenant(ctx, who.Tenant)
	if err != nil {
		return nil, err
	}
	return []auth.Tenant{own}, nil
}

// CreateTenant makes a tenant with its first application and enrolment token, for
// administrators of the home tenant. read gives its name.
func (r *Register) CreateTenant(ctx context.Context, who auth.Caller, read func() (string, error)) (MadeTenant, error) {
	if err := r.atHome(ctx, who, audit.ActCreateTenant, who.Tenant); err != nil {
		return MadeTenant{}, err
	}
	name, err := read()
	if err == nil {
		err = CheckTenantName(name)
	}
	if err != nil {
		return MadeTenant{}, r.refuse(ctx, who, audit.ActCreateTenant, who.Tenant, err)
	}
	made := MadeTenant{Tenant: auth.Tenant{ID: uuid.NewString(), Name: name, Created: r.now()}, Secret: auth.NewSecret()}
	made.App = auth.App{
		Tenant: made.ID, ID: uuid.NewString(), Name: "bootstrap", Roles: slices.Clone(auth.Permissions), Created: made.Created,
		Secrets: []auth.Secret{{ID: uuid.NewString(), Hash: made.Secret.Hash(), Created: made.Created}},
	}
	line := auth.NewCommandLine(made.ID, made.Created)
	token, clear := enrollment(made.ID, NewEnrollment{}, made.Created)
	made.EnrollmentToken = clear
	err = r.Records.AddTenant(ctx, who.Tenant, r.done(who, audit.ActCreateTenant, made.ID, ""), made.Tenant, []auth.App{made.App, line}, token,
		r.done(who, audit.ActStart, made.ID, ""),
		r.done(who, audit.ActApp, made.App.ID, strings.Join(made.App.Roles, ",")),
		r.done(who, audit.ActApp, line.ID, strings.Join(line.Scopes, ",")),
		r.done(who, audit.ActCreateEnrollment, token.ID, ""))
	if err != nil {
		return MadeTenant{}, r.refuse(ctx, who, audit.ActCreateTenant, who.Tenant, err)
	}
	r.Logger.InfoContext(ctx, "tenant made", "tenant", made.ID, "name", name, "caller", who.ID, "correlation", who.Correlation)
	if odd := OddTenantName(name); odd != "" {
		r.Logger.WarnContext(ctx, "a tenant's name has the word token in it: some sign-in libraries replace that word in addresses and then ask for the wrong one", "tenant", made.ID, "name", name)
	}
	return made, nil
}

// RevokeTenant shuts a tenant out for good, for administrators of the home
// tenant, which itself can't be: its applications get no token and those they
// have are worth nothing, its devices are cut off, nobody enrols, and its links
// lead nowhere. Its data stay.
func (r *Register) RevokeTenant(ctx context.Context, who auth.Caller, id string) (auth.Tenant, error) {
	if err := r.atHome(ctx, who, audit.ActRevokeTenant, id); err != nil {
		return auth.Tenant{}, err
	}
	err := named("Tenant", id)
	if id == r.Home {
		err = fault.DisallowedOperation.Errorf(nil, "Tenant %s is the installation's first: its administrators make and revoke the others, and nobody could undo its revocation", id)
	}
	firm, done := firm(ctx)
	defer done()
	var t auth.Tenant
	if err == nil {
		t, err = r.Records.RevokeTenant(firm, who.Tenant, id, r.done(who, audit.ActRevokeTenant, id, ""))
	}
	if err != nil {
		return auth.Tenant{}, r.refuse(ctx, who, audit.ActRevokeTenant, id, err)
	}
	r.Logger.InfoContext(ctx, "tenant revoked", "tenant", t.ID, "name", t.Name, "caller", who.ID, "correlation", who.Correlation)
	if err := r.cutOff(firm, t.ID); err != nil {
		// They are refused whatever they ask for next, and at their token's end at
		// the latest.
		r.Logger.ErrorContext(ctx, "connected devices of a revoked tenant could not all be told", "tenant", t.ID, "err", err)
	}
	return t, nil
}

// cutOff wakes all devices of a tenant, so that those which are connected are
// looked at, and leave.
func (r *Register) cutOff(ctx context.Context, tenant string) error {
	const batch = 10_000
	for after := device.ID(""); ; {
		ids, err := r.Records.DeviceIDs(ctx, tenant, after, batch)
		if err != nil {
			return err
		}
		for _, id := range ids {
			r.Bus.Wake(id)
		}
		if len(ids) < batch {
			return nil
		}
		after = ids[len(ids)-1]
	}
}

// atHome is nil for an administrator of the home tenant.
func (r *Register) atHome(ctx context.Context, who auth.Caller, act audit.Act, object string) error {
	if err := r.permit(ctx, who, act, object, auth.AdministerAll); err != nil {
		return err
	}
	if who.Tenant == r.Home {
		return nil
	}
	return r.refuse(ctx, who, act, object, fault.DisallowedOperation.Errorf(nil,
		"Tenants are made and revoked by administrators of the installation's first tenant alone"))
}
