package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"swab/internal/access"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
)

// ChangeRoster changes a tenant's people and who of them may do what, as
// access.Records says. It is alone among the changes of them, and of the
// tenant's applications.
func (s *Store) ChangeRoster(ctx context.Context, tenant string, change func(ctx context.Context, r access.Roster) error) error {
	_, err := write(ctx, s, "change who may do what in "+tenant, func(ctx context.Context, t *tx) (struct{}, error) {
		if _, err := tenantOf(ctx, t.conn, tenant, t.dialect.lock("tenants")); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, change(ctx, &roster{t, tenant})
	})
	return err
}

// roster is access.Roster within a transaction.
type roster struct {
	*tx
	tenant string
}

func (r *roster) Policy(ctx context.Context) (*auth.Policy, error) {
	return policyOf(ctx, r.conn, r.tenant)
}

func (r *roster) Record(ctx context.Context, e audit.Entry) error {
	_, _, err := r.record(ctx, r.tenant, e)
	return err
}

func (r *roster) Administered(ctx context.Context) (bool, error) {
	return administered(ctx, r.conn, r.tenant)
}

// administered says whether a person of a tenant who is not disabled has the
// built-in role.
func administered(ctx context.Context, c *conn, tenant string) (bool, error) {
	// CROSS JOIN: in the order in which they stand, by the few user groups of the
	// role, and not by all members of all.
	_, err := one(ctx, c, value[string], `SELECT u.id FROM role_groups g CROSS JOIN user_group_members m CROSS JOIN users u
		WHERE g.tenant = ? AND g.role = ? AND m.tenant = g.tenant AND m.user_group = g.user_group
		AND u.tenant = m.tenant AND u.id = m.member AND u.disabled = ? LIMIT 1`, tenant, auth.AdministratorRole, false)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// Memberships reads who is in which user group from the first to the last: at
// the most people that there may be, some hundred thousand rows.
func (r *roster) Memberships(ctx context.Context, of []string) ([][]string, error) {
	wanted := map[string]bool{}
	for _, id := range of {
		wanted[id] = true
	}
	rows, err := r.ask(ctx, "SELECT member, user_group FROM user_group_members WHERE tenant = ? ORDER BY member, user_group", []any{r.tenant})
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	sets, known := [][]string{}, map[string]bool{}
	var member string
	var groups []string
	keep := func() {
		if key := strings.Join(groups, ","); len(groups) > 0 && !known[key] {
			known[key] = true
			sets = append(sets, slices.Clone(groups))
		}
		groups = groups[:0]
	}
	for rows.Next() {
		p, err := scanPair[string](rows)
		if err != nil {
			return nil, err
		}
		if p.of != member {
			keep()
			member = p.of
		}
		if wanted[p.name] {
			groups = append(groups, p.name)
		}
	}
	keep()
	return sets, rows.Err()
}

// PersonNamed returns one person with the user groups they are in, by the id or
// the user principal name, or fault.NotFound.
func (s *Store) PersonNamed(ctx context.Context, tenant, name string) (auth.Person, error) {
	return read(ctx, s, "user "+name, func(ctx context.Context, c *conn) (auth.Person, error) {
		return personNamed(ctx, c, tenant, name)
	})
}

func personNamed(ctx context.Context, c *conn, tenant, name string) (auth.Person, error) {
	if strings.Contains(name, "@") { // no id has one, and each principal has
		return personBy(ctx, c, tenant, "principal", strings.ToLower(name))
	}
	return personBy(ctx, c, tenant, "id", name)
}

func (r *roster) Person(ctx context.Context, name string) (auth.Person, error) {
	return personNamed(ctx, r.conn, r.tenant, name)
}

// People returns people with the user groups they are in, as access.Records says.
func (s *Store) People(ctx context.Context, tenant, group, after string, most int) ([]auth.Person, error) {
	return read(ctx, s, "users of "+tenant, func(ctx context.Context, c *conn) ([]auth.Person, error) {
		query, args := selectUsers+" AND principal > ?", []any{tenant, after}
		if group != "" {
			query += " AND id IN (SELECT member FROM user_group_members WHERE tenant = ? AND user_group = ?)"
			args = append(args, tenant, group)
		}
		people, err := all(ctx, c, scanPerson, query+" ORDER BY principal LIMIT ?", append(args, most)...)
		if err != nil || len(people) == 0 {
			return people, err
		}
		groups, err := all(ctx, c, scanPair[string], `SELECT m.member, m.user_group FROM users u CROSS JOIN user_group_members m
			WHERE u.tenant = ? AND u.principal >= ? AND u.principal <= ? AND m.tenant = u.tenant AND m.member = u.id ORDER BY m.member, m.user_group`,
			tenant, people[0].Principal, people[len(people)-1].Principal)
		by := byFirst(groups)
		for i := range people {
			people[i].Groups = append([]string{}, by[people[i].ID]...)
		}
		return people, err
	})
}

func (r *roster) People(ctx context.Context) (int, error) {
	return one(ctx, r.conn, value[int], "SELECT count(*) FROM users WHERE tenant = ?", r.tenant)
}

func (r *roster) AddPerson(ctx context.Context, p auth.Person, c auth.Credential) error {
	if err := r.createUser(ctx, p, c); err != nil {
		return err
	}
	return r.setGroups(ctx, p.ID, nil, p.Groups)
}

func (r *roster) ChangePerson(ctx context.Context, p auth.Person) error {
	was, err := r.Person(ctx, p.ID)
	if err != nil {
		return err
	}
	_, err = r.exec(ctx, "UPDATE users SET principal = ?, name = ?, disabled = ? WHERE tenant = ? AND id = ?",
		p.Principal, p.Name, p.Disabled, r.tenant, p.ID)
	if err := r.taken(err, "User", p.Principal); err != nil {
		return err
	}
	return r.setGroups(ctx, p.ID, was.Groups, p.Groups)
}

// taken makes of a key that another row has a fault of the caller.
func (r *roster) taken(err error, what, name string) error {
	if r.dialect.duplicate(err) {
		return fault.InvalidInput.Errorf(err, "%s %s exists already", what, name)
	}
	return err
}

func (r *roster) setGroups(ctx context.Context, person string, was, is []string) error {
	return r.relate(was, is, func(group string) error {
		_, err := r.exec(ctx, "DELETE FROM user_group_members WHERE tenant = ? AND user_group = ? AND member = ?", r.tenant, group, person)
		return err
	}, func(group string) error {
		_, err := r.exec(ctx, "INSERT INTO user_group_members (tenant, user_group, member) VALUES (?, ?, ?)", r.tenant, group, person)
		return err
	})
}

// relate takes away what of a list is not in another, and adds what is there
// alone.
func (r *roster) relate(was, is []string, remove, add func(string) error) error {
	for _, one := range was {
		if !slices.Contains(is, one) {
			if err := remove(one); err != nil {
				return err
			}
		}
	}
	for _, one := range is {
		if !slices.Contains(was, one) {
			if err := add(one); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *roster) Credential(ctx context.Context, person string) (auth.Credential, error) {
	return credentialOf(ctx, r.conn, r.tenant, person, "")
}

func (r *roster) SetCredential(ctx context.Context, person string, c auth.Credential) error {
	return r.setCredential(ctx, r.tenant, person, c)
}

func (r *roster) EndSessions(ctx context.Context, person string) (int, error) {
	n, err := r.exec(ctx, "UPDATE sessions SET ended = ? WHERE tenant = ? AND person = ? AND ended = ?", true, r.tenant, person, false)
	return int(n), err
}

// SessionsOf returns a person's sign-ins, as access.Records says.
func (s *Store) SessionsOf(ctx context.Context, tenant, person string) ([]access.Session, error) {
	return read(ctx, s, "sign-ins of "+person, func(ctx context.Context, c *conn) ([]access.Session, error) {
		return all(ctx, c, func(r row) (o access.Session, err error) {
			err = r.Scan(&o.ID, &o.App, fromText{&o.Methods}, when{&o.Proved}, when{&o.Created}, when{&o.Used}, when{&o.Expires}, &o.Address, &o.Agent)
			return o, err
		}, `SELECT id, app, methods, proved, created, used, expires, address, agent FROM sessions
			WHERE tenant = ? AND person = ? AND ended = ? AND expires > ? ORDER BY created DESC, id LIMIT ?`,
			tenant, person, false, ticks(s.now()), access.MaxSessions)
	})
}

const selectUserGroups = "SELECT tenant, id, name, description, created FROM user_groups WHERE tenant = ?"

func scanUserGroup(r row) (g auth.UserGroup, err error) {
	err = r.Scan(&g.Tenant, &g.ID, &g.Name, &g.Description, when{&g.Created})
	return g, err
}

// UserGroups returns a tenant's user groups in the order of their names.
func (s *Store) UserGroups(ctx context.Context, tenant string) ([]auth.UserGroup, error) {
	return read(ctx, s, "user groups of "+tenant, func(ctx context.Context, c *conn) ([]auth.UserGroup, error) {
		return all(ctx, c, scanUserGroup, selectUserGroups+" ORDER BY folded", tenant)
	})
}

// UserGroup returns one user group, or fault.NotFound.
func (s *Store) UserGroup(ctx context.Context, tenant, id string) (auth.UserGroup, error) {
	return read(ctx, s, "user group "+id, func(ctx context.Context, c *conn) (auth.UserGroup, error) {
		return userGroupOf(ctx, c, tenant, id)
	})
}

func userGroupOf(ctx context.Context, c *conn, tenant, id string) (auth.UserGroup, error) {
	g, err := one(ctx, c, scanUserGroup, selectUserGroups+" AND id = ?", tenant, id)
	if errors.Is(err, sql.ErrNoRows) {
		return g, fault.NotFound.Errorf(err, "User group %s was not found", id)
	}
	return g, err
}

func (r *roster) UserGroup(ctx context.Context, id string) (auth.UserGroup, error) {
	return userGroupOf(ctx, r.conn, r.tenant, id)
}

func (r *roster) UserGroups(ctx context.Context) (int, error) {
	return one(ctx, r.conn, value[int], "SELECT count(*) FROM user_groups WHERE tenant = ?", r.tenant)
}

func (r *roster) AddUserGroup(ctx context.Context, g auth.UserGroup) error {
	_, err := r.exec(ctx, "INSERT INTO user_groups (tenant, id, name, folded, description, created) VALUES (?, ?, ?, ?, ?, ?)",
		r.tenant, g.ID, g.Name, strings.ToLower(g.Name), g.Description, ticks(g.Created))
	return r.taken(err, "User group", g.Name)
}

func (r *roster) ChangeUserGroup(ctx context.Context, g auth.UserGroup) error {
	_, err := r.exec(ctx, "UPDATE user_groups SET name = ?, folded = ?, description = ? WHERE tenant = ? AND id = ?",
		g.Name, strings.ToLower(g.Name), g.Description, r.tenant, g.ID)
	return r.taken(err, "User group", g.Name)
}

func (r *roster) DeleteUserGroup(ctx context.Context, id string) error {
	if _, err := r.exec(ctx, "DELETE FROM user_group_members WHERE tenant = ? AND user_group = ?", r.tenant, id); err != nil {
		return err
	}
	_, err := r.exec(ctx, "DELETE FROM user_groups WHERE tenant = ? AND id = ?", r.tenant, id)
	return err
}

func (r *roster) AddRole(ctx context.Context, role auth.Role) error {
	_, err := r.exec(ctx, "INSERT INTO roles (tenant, id, name, folded, description, permissions) VALUES (?, ?, ?, ?, ?, ?)",
		r.tenant, role.ID, role.Name, strings.ToLower(role.Name), role.Description, text(role.Permissions))
	if err := r.taken(err, "Role", role.Name); err != nil {
		return err
	}
	return r.setRoleGroups(ctx, role.ID, nil, role.Groups)
}

func (r *roster) ChangeRole(ctx context.Context, role auth.Role) error {
	if !role.BuiltIn {
		_, err := r.exec(ctx, "UPDATE roles SET name = ?, folded = ?, description = ?, permissions = ? WHERE tenant = ? AND id = ?",
			role.Name, strings.ToLower(role.Name), role.Description, text(role.Permissions), r.tenant, role.ID)
		if err := r.taken(err, "Role", role.Name); err != nil {
			return err
		}
	}
	was, err := all(ctx, r.conn, value[string], "SELECT user_group FROM role_groups WHERE tenant = ? AND role = ?", r.tenant, role.ID)
	if err != nil {
		return err
	}
	return r.setRoleGroups(ctx, role.ID, was, role.Groups)
}

func (r *roster) setRoleGroups(ctx context.Context, role string, was, is []string) error {
	return r.relate(was, is, func(group string) error {
		_, err := r.exec(ctx, "DELETE FROM role_groups WHERE tenant = ? AND role = ? AND user_group = ?", r.tenant, role, group)
		return err
	}, func(group string) error {
		_, err := r.exec(ctx, "INSERT INTO role_groups (tenant, role, user_group) VALUES (?, ?, ?)", r.tenant, role, group)
		return err
	})
}

func (r *roster) DeleteRole(ctx context.Context, id string) error {
	if _, err := r.exec(ctx, "DELETE FROM role_groups WHERE tenant = ? AND role = ?", r.tenant, id); err != nil {
		return err
	}
	_, err := r.exec(ctx, "DELETE FROM roles WHERE tenant = ? AND id = ?", r.tenant, id)
	return err
}

// NextDeviceGroup counts on from the last device group that the tenant ever had.
func (r *roster) NextDeviceGroup(ctx context.Context) (int64, error) {
	return one(ctx, r.conn, value[int64], "UPDATE tenants SET last_device_group = last_device_group + 1 WHERE id = ? RETURNING last_device_group", r.tenant)
}

func (r *roster) SetDeviceGroups(ctx context.Context, groups []device.Group) error {
	list, err := deviceGroupsOf(ctx, r.conn, r.tenant)
	if err != nil {
		return err
	}
	was := map[int64]device.Group{}
	for _, g := range list {
		was[g.ID] = g
	}
	for _, g := range groups {
		if err := r.setDeviceGroup(ctx, was[g.ID], g); err != nil {
			return err
		}
		delete(was, g.ID)
	}
	for id := range was {
		if err := r.deleteDeviceGroup(ctx, id); err != nil {
			return err
		}
	}
	return r.regrouped(ctx, r.tenant)
}

// setDeviceGroup keeps a group as it is to be, where it was another or, by the
// zero one, not there.
func (r *roster) setDeviceGroup(ctx context.Context, was, is device.Group) error {
	if was.Name != is.Name || was.Description != is.Description || was.Rank != is.Rank || text(was.Rule) != text(is.Rule) {
		_, err := r.exec(ctx, `INSERT INTO device_groups (tenant, id, name, folded, description, rank, rule) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name, folded = excluded.folded, description = excluded.description, rank = excluded.rank, rule = excluded.rule`,
			r.tenant, is.ID, is.Name, strings.ToLower(is.Name), is.Description, is.Rank, text(append(device.Rule{}, is.Rule...)))
		if err := r.taken(err, "Device group", is.Name); err != nil {
			return err
		}
	}
	return r.relate(was.UserGroups, is.UserGroups, func(group string) error {
		_, err := r.exec(ctx, "DELETE FROM device_group_access WHERE tenant = ? AND device_group = ? AND user_group = ?", r.tenant, is.ID, group)
		return err
	}, func(group string) error {
		_, err := r.exec(ctx, "INSERT INTO device_group_access (tenant, device_group, user_group) VALUES (?, ?, ?)", r.tenant, is.ID, group)
		return err
	})
}

func (r *roster) deleteDeviceGroup(ctx context.Context, id int64) error {
	if _, err := r.exec(ctx, "DELETE FROM device_group_access WHERE tenant = ? AND device_group = ?", r.tenant, id); err != nil {
		return err
	}
	_, err := r.exec(ctx, "DELETE FROM device_groups WHERE tenant = ? AND id = ?", r.tenant, id)
	return err
}

// IssuersOf returns a tenant's issuers in the order of their names.
func (s *Store) IssuersOf(ctx context.Context, tenant string) ([]auth.TrustedIssuer, error) {
	return read(ctx, s, "issuers of "+tenant, func(ctx context.Context, c *conn) ([]auth.TrustedIssuer, error) {
		return issuersOf(ctx, c, tenant)
	})
}

func issuersOf(ctx context.Context, c *conn, tenant string) ([]auth.TrustedIssuer, error) {
	return all(ctx, c, scanIssuer, selectIssuers+" WHERE tenant = ? ORDER BY name, id", tenant)
}

func (r *roster) Issuers(ctx context.Context) ([]auth.TrustedIssuer, error) {
	return issuersOf(ctx, r.conn, r.tenant)
}

func (r *roster) IssuersElsewhere(ctx context.Context, url string) ([]auth.TrustedIssuer, error) {
	return all(ctx, r.conn, scanIssuer, selectIssuers+` WHERE url = ? AND tenant <> ? AND revoked = ?
		AND tenant IN (SELECT id FROM tenants WHERE revoked = ?) ORDER BY created, id`, url, r.tenant, false, false)
}

func (r *roster) AddIssuer(ctx context.Context, i auth.TrustedIssuer) error {
	_, err := r.exec(ctx, `INSERT INTO trusted_issuers (tenant, id, name, url, keys, audiences, claims, groups, roles, networks, created, revoked)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.tenant, i.ID, i.Name, i.URL, i.Keys, texts(i.Audiences), text(i.Claims), text(i.Groups), text(i.Roles), texts(i.Networks), ticks(i.Created), i.Revoked)
	return err
}

func (r *roster) ChangeIssuer(ctx context.Context, i auth.TrustedIssuer) error {
	_, err := r.exec(ctx, "UPDATE trusted_issuers SET name = ?, keys = ?, audiences = ?, claims = ?, groups = ?, roles = ?, networks = ?, revoked = ? WHERE tenant = ? AND id = ?",
		i.Name, i.Keys, texts(i.Audiences), text(i.Claims), text(i.Groups), text(i.Roles), texts(i.Networks), i.Revoked, r.tenant, i.ID)
	return err
}
