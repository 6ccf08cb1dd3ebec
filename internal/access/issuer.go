package access

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
)

// Bounds of the issuers that are trusted beside this one.
const (
	MaxIssuers   = 20   // of a tenant that are not revoked
	MaxAudiences = 20   // of one
	MaxNetworks  = 20   // of one
	MaxMapped    = 1000 // groups, and roles, of one that are mapped
	MaxURL       = 2000 // characters
)

// IssuerChange is what is to become of an issuer; nil: as it was. Its URL says
// which it is, and stays.
type IssuerChange struct {
	Name      *string
	Keys      *string
	Audiences *[]string
	Claims    *auth.Claims
	Groups    *map[string]string
	Roles     *map[string]string
	Networks  *[]string
}

// Issuers returns the issuers whose tokens hold for the tenant, in the order of
// their names, also those that are revoked.
func (r *Register) Issuers(ctx context.Context, who auth.Caller) ([]auth.TrustedIssuer, error) {
	if err := r.permit(ctx, who, audit.ActReadIssuer, who.Tenant, auth.AdministerAll); err != nil {
		return nil, err
	}
	return r.Records.IssuersOf(ctx, who.Tenant)
}

// Issuer returns one issuer.
func (r *Register) Issuer(ctx context.Context, who auth.Caller, id string) (auth.TrustedIssuer, error) {
	return r.issuer(ctx, who, audit.ActReadIssuer, id)
}

func (r *Register) issuer(ctx context.Context, who auth.Caller, act audit.Act, id string) (auth.TrustedIssuer, error) {
	if err := r.permit(ctx, who, act, id, auth.AdministerAll); err != nil {
		return auth.TrustedIssuer{}, err
	}
	all, err := r.Records.IssuersOf(ctx, who.Tenant)
	var i auth.TrustedIssuer
	if err == nil {
		i, err = issuerOf(all, id)
	}
	if err != nil {
		return auth.TrustedIssuer{}, r.refuse(ctx, who, act, id, err)
	}
	return i, nil
}

func issuerOf(all []auth.TrustedIssuer, id string) (auth.TrustedIssuer, error) {
	for _, i := range all {
		if i.ID == id {
			return i, nil
		}
	}
	return auth.TrustedIssuer{}, fault.NotFound.Errorf(nil, "Issuer %s was not found", audit.Clip(id))
}

// CreateIssuer makes tokens of another issuer hold for the tenant: read gives it,
// without tenant, id and times.
func (r *Register) CreateIssuer(ctx context.Context, who auth.Caller, read func() (auth.TrustedIssuer, error)) (auth.TrustedIssuer, error) {
	const act = audit.ActCreateIssuer
	if err := r.permit(ctx, who, act, who.Tenant, auth.AdministerAll); err != nil {
		return auth.TrustedIssuer{}, err
	}
	i, err := read()
	if err == nil {
		i, err = checkIssuer(i)
	}
	if err != nil {
		return auth.TrustedIssuer{}, r.refuse(ctx, who, act, who.Tenant, err)
	}
	i.Tenant, i.ID, i.Created, i.Revoked = who.Tenant, uuid.NewString(), r.now(), false
	err = r.amend(ctx, who, auth.AdministerAll, act, who.Tenant, func(ctx context.Context, a *amendment) error {
		all, err := a.Issuers(ctx)
		if err != nil {
			return err
		}
		live := slices.DeleteFunc(all, func(one auth.TrustedIssuer) bool { return one.Revoked })
		if len(live) >= MaxIssuers {
			return fault.InvalidInput.Errorf(nil, "The tenant has %d issuers already; revoke one that is not used any more", MaxIssuers)
		}
		if err := a.fits(ctx, i, live); err != nil {
			return err
		}
		if err := a.AddIssuer(ctx, i); err != nil {
			return err
		}
		return a.Record(ctx, r.changed(who, act, i.ID, issuerChanges(auth.TrustedIssuer{}, i)))
	})
	return i, err
}

// fits refuses an issuer that is the same as another, or that maps a group to one
// that is not there. One of another tenant is the same, too: what a token is good
// for follows from its issuer and audience alone, and nobody may draw the people
// of others into a tenant of theirs.
func (a *amendment) fits(ctx context.Context, i auth.TrustedIssuer, live []auth.TrustedIssuer) error {
	same := func(other auth.TrustedIssuer) bool {
		return other.URL == i.URL && slices.ContainsFunc(i.Audiences, func(one string) bool { return slices.Contains(other.Audiences, one) })
	}
	for _, other := range live {
		if other.ID != i.ID && same(other) {
			return fault.InvalidInput.Errorf(nil, "Issuer %s has this url and one of these audiences already", other.ID)
		}
	}
	elsewhere, err := a.IssuersElsewhere(ctx, i.URL)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(elsewhere, same) {
		return fault.InvalidInput.Errorf(nil, "Another tenant of this installation trusts this url for one of these audiences; let the issuer make tokens for an audience of your own")
	}
	_, err = a.groups(ctx, slices.Collect(maps.Values(i.Groups)), MaxMapped)
	return err
}

// checkIssuer is an issuer in the form in which it is kept, or what is wrong with it.
func checkIssuer(i auth.TrustedIssuer) (auth.TrustedIssuer, error) {
	if err := title("name", i.Name, true); err != nil {
		return i, err
	}
	if err := address("url", i.URL, false); err != nil {
		return i, err
	}
	if i.Keys != "" {
		if err := address("keys", i.Keys, true); err != nil {
			return i, err
		}
	}
	if len(i.Audiences) == 0 {
		return i, fault.MissingParameter.Errorf(nil, "audiences is missing: it says whom a token must be meant for, such as api://swab")
	}
	if len(i.Audiences) > MaxAudiences || len(i.Networks) > MaxNetworks || len(i.Groups) > MaxMapped || len(i.Roles) > MaxMapped {
		return i, fault.InvalidInput.Errorf(nil, "There are over %d audiences, over %d networks, or over %d groups or roles", MaxAudiences, MaxNetworks, MaxMapped)
	}
	for n, audience := range i.Audiences {
		if err := title("an audience", audience, true); err != nil {
			return i, err
		}
		if slices.Contains(i.Audiences[:n], audience) {
			return i, fault.InvalidInput.Errorf(nil, "an audience stands in audiences twice")
		}
	}
	for _, claim := range []string{i.Claims.Person, i.Claims.Principal, i.Claims.Groups, i.Claims.Application, i.Claims.Roles, i.Claims.Scopes} {
		if err := title("the name of a claim", claim, false); err != nil {
			return i, err
		}
	}
	for theirs := range i.Groups {
		if err := title("the name of a group", theirs, true); err != nil {
			return i, err
		}
	}
	for theirs, ours := range i.Roles {
		if err := title("the name of a role", theirs, true); err != nil {
			return i, err
		}
		if !slices.Contains(auth.Permissions, ours) {
			return i, fault.InvalidInput.Errorf(nil, "roles maps to one that no application can hold: %s; there are %s", audit.Clip(ours), strings.Join(auth.Permissions, ", "))
		}
	}
	networks := make([]string, len(i.Networks))
	for n, network := range i.Networks {
		prefix, err := netip.ParsePrefix(network)
		if err != nil || prefix.Addr().Is4In6() {
			return i, fault.InvalidInput.Errorf(nil, "networks has one that is not of the form 10.0.0.0/8 or fd00::/8: %s", audit.Clip(network))
		}
		networks[n] = prefix.Masked().String()
	}
	i.Networks = networks
	return i, nil
}

// address refuses what is no address that keys may be fetched from.
func address(what, s string, query bool) error {
	u, err := url.Parse(s)
	if err != nil || len(s) > MaxURL || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" || strings.Contains(s, "#") ||
		!query && (u.RawQuery != "" || u.ForceQuery) || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fault.InvalidInput.Errorf(nil, "%s is not of the form https://HOST[:PORT][/PATH], of at most %d characters: %s", what, MaxURL, audit.Clip(s))
	}
	return nil
}

func issuerChanges(was, is auth.TrustedIssuer) (c audit.Changes) {
	c.Add("name", was.Name, is.Name)
	c.Add("url", was.URL, is.URL)
	c.Add("keys", was.Keys, is.Keys)
	c.AddList("audiences", was.Audiences, is.Audiences)
	c.AddList("claims", claimsText(was.Claims), claimsText(is.Claims))
	c.AddList("groups", mapText(was.Groups), mapText(is.Groups))
	c.AddList("roles", mapText(was.Roles), mapText(is.Roles))
	c.AddList("networks", was.Networks, is.Networks)
	return c
}

func claimsText(c auth.Claims) []string {
	named := map[string]string{
		"person": c.Person, "principal": c.Principal, "groups": c.Groups, "application": c.Application, "roles": c.Roles, "scopes": c.Scopes,
	}
	maps.DeleteFunc(named, func(_, claim string) bool { return claim == "" })
	return mapText(named)
}

// mapText is a map as lines, in order.
func mapText(m map[string]string) (lines []string) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		lines = append(lines, fmt.Sprintf("%s: %s", name, m[name]))
	}
	return lines
}

// ChangeIssuer changes an issuer; what its tokens may do is judged by the new
// form at the next request.
func (r *Register) ChangeIssuer(ctx context.Context, who auth.Caller, id string, read func() (IssuerChange, error)) (auth.TrustedIssuer, error) {
	const act = audit.ActChangeIssuer
	if _, err := r.issuer(ctx, who, act, id); err != nil {
		return auth.TrustedIssuer{}, err
	}
	n, err := read()
	if err != nil {
		return auth.TrustedIssuer{}, r.refuse(ctx, who, act, id, err)
	}
	return r.amendIssuer(ctx, who, act, id, func(ctx context.Context, a *amendment, i auth.TrustedIssuer, live []auth.TrustedIssuer) (auth.TrustedIssuer, error) {
		if i.Revoked {
			return i, fault.BadRequest.Errorf(nil, "Issuer %s is revoked; make a new one", i.ID)
		}
		put(&i.Name, n.Name)
		put(&i.Keys, n.Keys)
		put(&i.Audiences, n.Audiences)
		put(&i.Claims, n.Claims)
		put(&i.Groups, n.Groups)
		put(&i.Roles, n.Roles)
		put(&i.Networks, n.Networks)
		i, err := checkIssuer(i)
		if err == nil {
			err = a.fits(ctx, i, live)
		}
		return i, err
	})
}

// put puts a value in the place of another, if there is one.
func put[T any](place, value *T) {
	if value != nil {
		*place = *value
	}
}

// RevokeIssuer makes the tokens of an issuer worthless for good.
func (r *Register) RevokeIssuer(ctx context.Context, who auth.Caller, id string) (auth.TrustedIssuer, error) {
	const act = audit.ActRevokeIssuer
	if _, err := r.issuer(ctx, who, act, id); err != nil {
		return auth.TrustedIssuer{}, err
	}
	return r.amendIssuer(ctx, who, act, id, func(_ context.Context, _ *amendment, i auth.TrustedIssuer, _ []auth.TrustedIssuer) (auth.TrustedIssuer, error) {
		i.Revoked = true
		return i, nil
	})
}

// amendIssuer changes one issuer by f, which is told of those that are not
// revoked.
func (r *Register) amendIssuer(ctx context.Context, who auth.Caller, act audit.Act, id string, f func(ctx context.Context, a *amendment, i auth.TrustedIssuer, live []auth.TrustedIssuer) (auth.TrustedIssuer, error)) (auth.TrustedIssuer, error) {
	var i auth.TrustedIssuer
	err := r.amend(ctx, who, auth.AdministerAll, act, id, func(ctx context.Context, a *amendment) error {
		all, err := a.Issuers(ctx)
		if err != nil {
			return err
		}
		was, err := issuerOf(all, id)
		if err != nil {
			return err
		}
		if i, err = f(ctx, a, was, slices.DeleteFunc(all, func(one auth.TrustedIssuer) bool { return one.Revoked })); err != nil {
			return err
		}
		changes := issuerChanges(was, i)
		if changes.Empty() && i.Revoked == was.Revoked {
			return nil
		}
		if err := a.ChangeIssuer(ctx, i); err != nil {
			return err
		}
		return a.Record(ctx, r.changed(who, act, id, changes))
	})
	return i, err
}
