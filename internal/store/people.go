package store

import (
	"context"
	"database/sql"
	"errors"

	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
)

func noUser(id string, cause error) error {
	return fault.NotFound.Errorf(cause, "User %s was not found", id)
}

// Person returns one person with the user groups they are in, or fault.NotFound.
func (s *Store) Person(ctx context.Context, tenant, id string) (auth.Person, error) {
	return read(ctx, s, "user "+id, func(ctx context.Context, c *conn) (auth.Person, error) {
		return personBy(ctx, c, tenant, "id", id)
	})
}

const selectUsers = "SELECT tenant, id, principal, name, created, disabled FROM users WHERE tenant = ?"

func scanPerson(r row) (p auth.Person, err error) {
	err = r.Scan(&p.Tenant, &p.ID, &p.Principal, &p.Name, when{&p.Created}, &p.Disabled)
	return p, err
}

// personBy is the person that has a value in a column, which has each value once.
func personBy(ctx context.Context, c *conn, tenant, column, value string) (auth.Person, error) {
	p, err := one(ctx, c, scanPerson, selectUsers+" AND "+column+" = ?", tenant, value)
	if errors.Is(err, sql.ErrNoRows) {
		return p, noUser(value, err)
	}
	if err == nil {
		p.Groups, err = groupsOf(ctx, c, p)
	}
	return p, err
}

// groupsOf are the ids of the user groups that a person is in.
func groupsOf(ctx context.Context, c *conn, p auth.Person) ([]string, error) {
	return all(ctx, c, value[string], "SELECT user_group FROM user_group_members WHERE tenant = ? AND member = ? ORDER BY user_group", p.Tenant, p.ID)
}

// pair is one thing that names another.
type pair[K comparable] struct {
	of   K
	name string
}

func scanPair[K comparable](r row) (p pair[K], err error) {
	err = r.Scan(&p.of, &p.name)
	return p, err
}

// byFirst gathers the names of each thing.
func byFirst[K comparable](pairs []pair[K]) map[K][]string {
	by := map[K][]string{}
	for _, p := range pairs {
		by[p.of] = append(by[p.of], p.name)
	}
	return by
}

// Policy returns the roles and device groups of a tenant.
func (s *Store) Policy(ctx context.Context, tenant string) (*auth.Policy, error) {
	return read(ctx, s, "policy of "+tenant, func(ctx context.Context, c *conn) (*auth.Policy, error) {
		return policyOf(ctx, c, tenant)
	})
}

func policyOf(ctx context.Context, c *conn, tenant string) (*auth.Policy, error) {
	roles, err := rolesOf(ctx, c, tenant)
	if err != nil {
		return nil, err
	}
	groups, err := deviceGroupsOf(ctx, c, tenant)
	if err != nil {
		return nil, err
	}
	return &auth.Policy{Roles: roles, Groups: device.NewGroups(groups)}, nil
}

// rolesOf are a tenant's roles, the built-in one first, the others by their names.
func rolesOf(ctx context.Context, c *conn, tenant string) ([]auth.Role, error) {
	roles, err := all(ctx, c, func(r row) (role auth.Role, err error) {
		err = r.Scan(&role.ID, &role.Name, &role.Description, fromText{&role.Permissions})
		return role, err
	}, "SELECT id, name, description, permissions FROM roles WHERE tenant = ? ORDER BY folded", tenant)
	if err != nil {
		return nil, err
	}
	roles = append([]auth.Role{auth.BuiltIn()}, roles...)
	groups, err := all(ctx, c, scanPair[string], "SELECT role, user_group FROM role_groups WHERE tenant = ? ORDER BY role, user_group", tenant)
	by := byFirst(groups)
	for i := range roles {
		roles[i].Groups = by[roles[i].ID]
	}
	return roles, err
}

// deviceGroupsOf are a tenant's device groups in the order of their ids.
func deviceGroupsOf(ctx context.Context, c *conn, tenant string) ([]device.Group, error) {
	groups, err := all(ctx, c, func(r row) (g device.Group, err error) {
		err = r.Scan(&g.ID, &g.Name, &g.Description, &g.Rank, fromText{&g.Rule})
		return g, err
	}, "SELECT id, name, description, rank, rule FROM device_groups WHERE tenant = ? ORDER BY id", tenant)
	if err != nil {
		return nil, err
	}
	if len(groups) == 0 || groups[0].ID != device.DefaultGroup {
		groups = append([]device.Group{{ID: device.DefaultGroup, Name: device.DefaultGroupName}}, groups...)
	}
	access, err := all(ctx, c, scanPair[int64], "SELECT device_group, user_group FROM device_group_access WHERE tenant = ? ORDER BY device_group, user_group", tenant)
	by := byFirst(access)
	for i := range groups {
		groups[i].UserGroups = by[groups[i].ID]
	}
	return groups, err
}

// SessionOf returns the id of the person whose sign-in a session is. One that has
// ended is fault.NotFound.
func (s *Store) SessionOf(ctx context.Context, tenant, session string) (string, error) {
	return read(ctx, s, "sign-in", func(ctx context.Context, c *conn) (string, error) {
		person, err := one(ctx, c, value[string], "SELECT person FROM sessions WHERE tenant = ? AND id = ? AND ended = ? AND expires > ?",
			tenant, session, false, ticks(s.now()))
		if errors.Is(err, sql.ErrNoRows) {
			return "", fault.NotFound.Errorf(err, "Sign-in %s was not found, or has ended", session)
		}
		return person, err
	})
}

// TrustedIssuers returns the issuers whose tokens hold, of all tenants, the oldest
// first, also those that are revoked.
func (s *Store) TrustedIssuers(ctx context.Context) ([]auth.TrustedIssuer, error) {
	return read(ctx, s, "trusted issuers", func(ctx context.Context, c *conn) ([]auth.TrustedIssuer, error) {
		return all(ctx, c, scanIssuer, selectIssuers+" ORDER BY created, id")
	})
}

const selectIssuers = "SELECT tenant, id, name, url, keys, audiences, claims, groups, roles, networks, created, revoked FROM trusted_issuers"

func scanIssuer(r row) (t auth.TrustedIssuer, err error) {
	err = r.Scan(&t.Tenant, &t.ID, &t.Name, &t.URL, &t.Keys, fromText{&t.Audiences}, fromText{&t.Claims},
		fromText{&t.Groups}, fromText{&t.Roles}, fromText{&t.Networks}, when{&t.Created}, &t.Revoked)
	return t, err
}
