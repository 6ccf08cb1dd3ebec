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

// present is who may do what at a server at this moment, as a file has it, with
// the ids of everything by its name.
type present struct {
	file accessfile.File
	ids  map[accessfile.Kind]map[string]string
}

func (p *present) id(kind accessfile.Kind, name string) string {
	return p.ids[kind][strings.ToLower(name)]
}

func (p *present) keep(kind accessfile.Kind, name, id string) {
	if p.ids[kind] == nil {
		p.ids[kind] = map[string]string{}
	}
	p.ids[kind][strings.ToLower(name)] = id
}

// needs are the sections of a server that have to be known for others to be
// compared or exported: what names user groups, where those may go, and users,
// where they are members.
func needs(sections []string) []string {
	if slices.Contains(sections, "userGroups") {
		sections = append(slices.Clone(sections), "users", "roles", "deviceGroups")
	}
	return sections
}

// readPresent asks a server for some sections.
func readPresent(ctx context.Context, c *client.Client, sections []string) (*present, error) {
	p := &present{ids: map[accessfile.Kind]map[string]string{}}
	groups, err := c.UserGroups(ctx)
	if err != nil {
		return nil, err
	}
	names := called{}
	at := map[string]int{}
	p.file.UserGroups = []accessfile.UserGroup{}
	for i, g := range groups {
		names[g.ID], at[g.ID] = g.Name, i
		p.keep(accessfile.OfUserGroup, g.Name, g.ID)
		p.file.UserGroups = append(p.file.UserGroups, accessfile.UserGroup{Name: g.Name, Description: g.Description})
	}
	for _, section := range accessfile.Sections {
		if !slices.Contains(sections, section) {
			continue
		}
		switch section {
		case "users":
			err = p.readUsers(ctx, c, at)
		case "roles":
			err = p.readRoles(ctx, c, names)
		case "deviceGroups":
			err = p.readDeviceGroups(ctx, c, names)
		case "applications":
			err = p.readApplications(ctx, c)
		case "issuers":
			err = p.readIssuers(ctx, c, names)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", section, err)
		}
	}
	return p, nil
}

// readUsers reads users and who is in which user group; at says where the groups
// stand.
func (p *present) readUsers(ctx context.Context, c *client.Client, at map[string]int) error {
	p.file.Users = []accessfile.User{}
	for u, err := range c.Users(ctx) {
		if err != nil {
			return err
		}
		p.file.Users = append(p.file.Users, accessfile.User{Principal: u.Principal, Name: u.Name, Disabled: u.Disabled})
		for _, id := range u.Groups {
			if i, ok := at[id]; ok { // a group that was made a moment ago is none of these
				p.file.UserGroups[i].Members = append(p.file.UserGroups[i].Members, u.Principal)
			}
		}
	}
	return nil
}

func (p *present) readRoles(ctx context.Context, c *client.Client, names called) error {
	roles, err := c.Roles(ctx)
	p.file.Roles = []accessfile.Role{}
	for _, r := range roles {
		p.keep(accessfile.OfRole, r.Name, r.ID)
		one := accessfile.Role{Name: r.Name, UserGroups: names.of(r.UserGroups)}
		if !r.BuiltIn {
			one.Description, one.Permissions = r.Description, r.Permissions
		}
		p.file.Roles = append(p.file.Roles, one)
	}
	return err
}

func (p *present) readDeviceGroups(ctx context.Context, c *client.Client, names called) error {
	groups, err := c.DeviceGroups(ctx)
	p.file.DeviceGroups = []accessfile.DeviceGroup{}
	for _, g := range groups {
		p.keep(accessfile.OfDeviceGroup, g.Name, strconv.FormatInt(g.ID, 10))
		p.file.DeviceGroups = append(p.file.DeviceGroups, accessfile.DeviceGroup{
			Name: g.Name, Description: g.Description, Rule: ruleOf(g.Rule), UserGroups: names.of(g.UserGroups),
		})
	}
	return err
}

// readApplications reads those that are not revoked, as readIssuers does.
func (p *present) readApplications(ctx context.Context, c *client.Client) error {
	apps, err := c.Apps(ctx)
	p.file.Applications = []accessfile.Application{}
	for _, a := range apps {
		if !a.Revoked {
			p.file.Applications = append(p.file.Applications, accessfile.Application{
				Name: a.Name, ClientID: a.ID, Public: a.Public, Redirects: a.Redirects, Scopes: a.Scopes, Roles: a.Roles,
			})
		}
	}
	return err
}

func (p *present) readIssuers(ctx context.Context, c *client.Client, names called) error {
	issuers, err := c.Issuers(ctx)
	p.file.Issuers = []accessfile.Issuer{}
	for _, i := range issuers {
		if i.Revoked {
			continue
		}
		p.keep(accessfile.OfIssuer, issuerKey(i.Name, i.URL), i.ID)
		one := accessfile.Issuer{
			Name: i.Name, URL: i.URL, Keys: i.Keys, Audiences: i.Audiences, Claims: accessfile.Claims(i.Claims), Roles: i.Roles, Networks: i.Networks,
			Groups: map[string]string{},
		}
		for theirs, id := range i.Groups {
			one.Groups[theirs] = names.one(id)
		}
		p.file.Issuers = append(p.file.Issuers, one)
	}
	return err
}

// issuerKey is what an issuer is known by: another URL is another issuer.
func issuerKey(name, url string) string { return name + "\x00" + url }
