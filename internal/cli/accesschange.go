package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"swab/client"
	"swab/internal/accessfile"
)

// applier makes the changes that lead to what a file wants, one call each but for
// members, and remembers what is told once.
type applier struct {
	c    *client.Client
	want accessfile.File
	*present

	passwords []initialPassword
	apps      []newApplication
}

// initialPassword is one that was made for a new user.
type initialPassword struct {
	Principal string `json:"principal"`
	Password  string `json:"password"`
}

// newApplication is an application that was made. It has no secret yet.
type newApplication struct {
	Name     string `json:"name"`
	ClientID string `json:"clientId"`
	Public   bool   `json:"public"`
}

// do makes one change.
func (a *applier) do(ctx context.Context, ch accessfile.Change) error {
	switch ch.Kind {
	case accessfile.OfUserGroup:
		return a.userGroup(ctx, ch)
	case accessfile.OfUser:
		return a.user(ctx, ch)
	case accessfile.OfRole:
		return a.role(ctx, ch)
	case accessfile.OfDeviceGroup:
		return a.deviceGroup(ctx, ch)
	case accessfile.OfApplication:
		return a.application(ctx, ch)
	case accessfile.OfIssuer:
		return a.issuer(ctx, ch)
	}
	return fmt.Errorf("a change of the kind %q is not known", ch.Kind)
}

// wanted is the entry of a section that has a name.
func wanted[T any](section []T, name string, of func(T) string) (T, error) {
	at := slices.IndexFunc(section, func(one T) bool { return strings.EqualFold(of(one), name) })
	if at < 0 {
		var none T
		return none, fmt.Errorf("the file has no %q", name)
	}
	return section[at], nil
}

// groups are the ids of user groups that are there by now.
func (a *applier) groups(names []string) ([]string, error) {
	ids := make([]string, len(names))
	for i, name := range names {
		if ids[i] = a.id(accessfile.OfUserGroup, name); ids[i] == "" {
			return nil, fmt.Errorf("no user group %q", name)
		}
	}
	return ids, nil
}

// has says whether a change is of a field.
func has(ch accessfile.Change, field string) bool {
	return slices.ContainsFunc(ch.Parts, func(p accessfile.Part) bool { return p.Field == field })
}

// ifIn is a value where the change is of its field, else nil.
func ifIn[T any](ch accessfile.Change, field string, value T) *T {
	if !has(ch, field) {
		return nil
	}
	return &value
}

func (a *applier) userGroup(ctx context.Context, ch accessfile.Change) error {
	id := a.id(ch.Kind, ch.Name)
	switch {
	case ch.Verb == accessfile.Remove:
		_, err := a.c.DeleteUserGroup(ctx, id)
		return err
	case ch.Join != nil:
		return members(ctx, id, ch.Join, a.c.AddMember)
	case ch.Leave != nil:
		return members(ctx, id, ch.Leave, a.c.RemoveMember)
	}
	g, err := wanted(a.want.UserGroups, ch.Name, func(g accessfile.UserGroup) string { return g.Name })
	if err != nil {
		return err
	}
	if ch.Verb == accessfile.Alter {
		_, err := a.c.ChangeUserGroup(ctx, id, client.UserGroupChange{Name: ifIn(ch, "name", g.Name), Description: ifIn(ch, "description", g.Description)})
		return err
	}
	made, err := a.c.CreateUserGroup(ctx, client.UserGroupRequest{Name: g.Name, Description: g.Description})
	if err == nil {
		a.keep(ch.Kind, g.Name, made.ID)
	}
	return err
}

// members puts users into a group, or takes them out, one after another.
func members(ctx context.Context, group string, users []string, do func(ctx context.Context, group, user string) (client.User, error)) error {
	for i, u := range users {
		if _, err := do(ctx, group, u); err != nil {
			return fmt.Errorf("%s (the %d before are done): %w", u, i, err)
		}
	}
	return nil
}

func (a *applier) user(ctx context.Context, ch accessfile.Change) error {
	if ch.Verb == accessfile.Remove {
		_, err := a.c.DisableUser(ctx, ch.Name)
		return err
	}
	u, err := wanted(a.want.Users, ch.Name, func(u accessfile.User) string { return u.Principal })
	if err != nil {
		return err
	}
	if ch.Verb == accessfile.Add {
		made, err := a.c.CreateUser(ctx, client.UserRequest{Principal: u.Principal, Name: u.Name})
		if err != nil {
			return err
		}
		a.passwords = append(a.passwords, initialPassword{made.Principal, made.InitialPassword})
		if u.Disabled {
			_, err = a.c.DisableUser(ctx, u.Principal)
		}
		return err
	}
	if has(ch, "name") {
		if _, err := a.c.ChangeUser(ctx, u.Principal, client.UserChange{Name: &u.Name}); err != nil {
			return err
		}
	}
	if has(ch, "enabled") {
		_, err = a.c.EnableUser(ctx, u.Principal)
	}
	return err
}

func (a *applier) role(ctx context.Context, ch accessfile.Change) error {
	id := a.id(ch.Kind, ch.Name)
	if ch.Verb == accessfile.Remove {
		_, err := a.c.DeleteRole(ctx, id)
		return err
	}
	r, err := wanted(a.want.Roles, ch.Name, func(r accessfile.Role) string { return r.Name })
	if err != nil {
		return err
	}
	groups, err := a.groups(r.UserGroups)
	if err != nil {
		return err
	}
	if ch.Verb == accessfile.Add {
		_, err := a.c.CreateRole(ctx, client.RoleRequest{Name: r.Name, Description: r.Description, Permissions: r.Permissions, UserGroups: groups})
		return err
	}
	_, err = a.c.ChangeRole(ctx, id, client.RoleChange{
		Name: ifIn(ch, "name", r.Name), Description: ifIn(ch, "description", r.Description),
		Permissions: ifIn(ch, "permissions", append([]string{}, r.Permissions...)), UserGroups: ifIn(ch, "userGroups", groups),
	})
	return err
}

func (a *applier) deviceGroup(ctx context.Context, ch accessfile.Change) error {
	var id int64
	if ch.Verb != accessfile.Add {
		var err error
		if id, err = strconv.ParseInt(a.id(ch.Kind, ch.Name), 10, 64); err != nil {
			return fmt.Errorf("no device group %q", ch.Name)
		}
	}
	if ch.Verb == accessfile.Remove {
		_, err := a.c.DeleteDeviceGroup(ctx, id)
		return err
	}
	g, err := wanted(a.want.DeviceGroups, ch.Name, func(g accessfile.DeviceGroup) string { return g.Name })
	if err != nil {
		return err
	}
	groups, err := a.groups(g.UserGroups)
	if err != nil {
		return err
	}
	if ch.Verb == accessfile.Add {
		_, err := a.c.CreateDeviceGroup(ctx, client.DeviceGroupRequest{
			Name: g.Name, Description: g.Description, Rank: ch.Rank, Rule: conditionsOf(g.Rule), UserGroups: groups,
		})
		return err
	}
	_, err = a.c.ChangeDeviceGroup(ctx, id, client.DeviceGroupChange{
		Name: ifIn(ch, "name", g.Name), Description: ifIn(ch, "description", g.Description), Rank: ifIn(ch, "rank", ch.Rank),
		Rule: ifIn(ch, "rule", conditionsOf(g.Rule)), UserGroups: ifIn(ch, "userGroups", groups),
	})
	return err
}

func (a *applier) application(ctx context.Context, ch accessfile.Change) error {
	if ch.Verb == accessfile.Remove {
		_, err := a.c.RevokeApp(ctx, ch.ID)
		return err
	}
	app, err := a.wantedApp(ch)
	if err != nil {
		return err
	}
	if ch.Verb == accessfile.Add {
		made, err := a.c.CreateApp(ctx, client.AppRequest{Name: app.Name, Roles: app.Roles, Public: app.Public, Redirects: app.Redirects, Scopes: app.Scopes})
		if err == nil {
			a.apps = append(a.apps, newApplication{made.Name, made.ID, made.Public})
		}
		return err
	}
	_, err = a.c.ChangeApp(ctx, ch.ID, client.AppChange{
		Name: ifIn(ch, "name", app.Name), Public: ifIn(ch, "public", app.Public), Redirects: ifIn(ch, "redirects", append([]string{}, app.Redirects...)),
		Scopes: ifIn(ch, "scopes", append([]string{}, app.Scopes...)), Roles: ifIn(ch, "roles", append([]string{}, app.Roles...)),
	})
	return err
}

// wantedApp is the entry of an application: by its client id, where the file has
// that, for the name may be another's too.
func (a *applier) wantedApp(ch accessfile.Change) (accessfile.Application, error) {
	for _, app := range a.want.Applications {
		if ch.ID != "" && strings.EqualFold(app.ClientID, ch.ID) {
			return app, nil
		}
	}
	return wanted(a.want.Applications, ch.Name, func(app accessfile.Application) string {
		if app.ClientID != "" {
			return ""
		}
		return app.Name
	})
}

func (a *applier) issuer(ctx context.Context, ch accessfile.Change) error {
	id := a.id(ch.Kind, issuerKey(ch.Name, ch.ID))
	if ch.Verb == accessfile.Remove {
		_, err := a.c.RevokeIssuer(ctx, id)
		return err
	}
	i, err := wanted(a.want.Issuers, issuerKey(ch.Name, ch.ID), func(i accessfile.Issuer) string { return issuerKey(i.Name, i.URL) })
	if err != nil {
		return err
	}
	groups := map[string]string{}
	for theirs, ours := range i.Groups {
		ids, err := a.groups([]string{ours})
		if err != nil {
			return err
		}
		groups[theirs] = ids[0]
	}
	roles := map[string]string{}
	for theirs, ours := range i.Roles {
		roles[theirs] = ours
	}
	if ch.Verb == accessfile.Add {
		_, err := a.c.CreateIssuer(ctx, client.IssuerRequest{
			Name: i.Name, URL: i.URL, Keys: i.Keys, Audiences: i.Audiences, Claims: client.IssuerClaims(i.Claims), Groups: groups, Roles: roles, Networks: i.Networks,
		})
		return err
	}
	_, err = a.c.ChangeIssuer(ctx, id, client.IssuerChange{
		Name: ifIn(ch, "name", i.Name), Keys: ifIn(ch, "keys", i.Keys), Audiences: ifIn(ch, "audiences", i.Audiences),
		Claims: ifIn(ch, "claims", client.IssuerClaims(i.Claims)), Groups: ifIn(ch, "groups", groups), Roles: ifIn(ch, "roles", roles),
		Networks: ifIn(ch, "networks", append([]string{}, i.Networks...)),
	})
	return err
}
