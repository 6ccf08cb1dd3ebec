package cli

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"swab/client"
)

// pick is the one of some things that a person named: by its id, or by what it is
// called, in upper or lower case. A name that several have names none of them.
func pick[T any](what, name string, list []T, of func(T) (id, called string)) (T, error) {
	var found []T
	for _, one := range list {
		id, called := of(one)
		if id == name {
			return one, nil
		}
		if strings.EqualFold(called, name) {
			found = append(found, one)
		}
	}
	var none T
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return none, fmt.Errorf("no %s %q", what, name)
	default:
		return none, fmt.Errorf("%d of the kind %s are called %q: name one by its id, as the list shows it", len(found), what, name)
	}
}

func userGroupNamed(ctx context.Context, c *client.Client, name string) (client.UserGroup, error) {
	groups, err := c.UserGroups(ctx)
	if err != nil {
		return client.UserGroup{}, err
	}
	return pickUserGroup(groups, name)
}

func pickUserGroup(groups []client.UserGroup, name string) (client.UserGroup, error) {
	return pick("user group", name, groups, func(g client.UserGroup) (id, called string) { return g.ID, g.Name })
}

// userGroupIDs are those of the user groups that are named, each once.
func userGroupIDs(ctx context.Context, c *client.Client, names []string) ([]string, error) {
	if len(names) == 0 {
		return []string{}, nil
	}
	groups, err := c.UserGroups(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, name := range names {
		g, err := pickUserGroup(groups, name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ids, g.ID) {
			ids = append(ids, g.ID)
		}
	}
	return ids, nil
}

func roleNamed(ctx context.Context, c *client.Client, name string) (client.Role, error) {
	roles, err := c.Roles(ctx)
	if err != nil {
		return client.Role{}, err
	}
	return pick("role", name, roles, func(r client.Role) (id, called string) { return r.ID, r.Name })
}

func deviceGroupNamed(ctx context.Context, c *client.Client, name string) (client.DeviceGroup, error) {
	groups, err := c.DeviceGroups(ctx)
	if err != nil {
		return client.DeviceGroup{}, err
	}
	return pick("device group", name, groups, func(g client.DeviceGroup) (id, called string) { return fmt.Sprint(g.ID), g.Name })
}

// Revoked things keep their names, and are named by their ids alone.

func issuerNamed(ctx context.Context, c *client.Client, name string) (client.Issuer, error) {
	issuers, err := c.Issuers(ctx)
	if err != nil {
		return client.Issuer{}, err
	}
	return pick("issuer", name, issuers, func(i client.Issuer) (id, called string) {
		if i.Revoked {
			return i.ID, ""
		}
		return i.ID, i.Name
	})
}

// clientID is the form of an id: such a name is taken for one, without a look at
// what applications are called.
var clientID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// appNamed is the client id of the application that a person named.
func appNamed(ctx context.Context, c *client.Client, name string) (string, error) {
	if clientID.MatchString(name) {
		return name, nil
	}
	apps, err := c.Apps(ctx)
	if err != nil {
		return "", err
	}
	app, err := pick("application", name, apps, func(a client.App) (id, called string) {
		if a.Revoked {
			return a.ID, ""
		}
		return a.ID, a.Name
	})
	return app.ID, err
}

// called is what user groups are called, by their ids.
type called map[string]string

// userGroupNames asks for the names of all user groups.
func userGroupNames(ctx context.Context, c *client.Client) (called, error) {
	groups, err := c.UserGroups(ctx)
	if err != nil {
		return nil, err
	}
	names := called{}
	for _, g := range groups {
		names[g.ID] = g.Name
	}
	return names, nil
}

// of are the names of ids, in order; an id that is not known stands for itself.
func (c called) of(ids []string) []string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = c.one(id)
	}
	slices.SortFunc(list, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return list
}

func (c called) one(id string) string {
	if name, ok := c[id]; ok {
		return name
	}
	return id
}

func (c called) joined(ids []string) string { return strings.Join(c.of(ids), ", ") }
