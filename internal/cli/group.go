package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"swab/client"
	"swab/internal/command"
)

type groupCreate struct {
	Name        string `arg:"" help:"What it is called: each name once, without regard to upper and lower case."`
	Description string `help:"What it is for." placeholder:"TEXT"`
	connection
	output
}

func (*groupCreate) Help() string {
	return "Makes a user group. It gives its members nothing until a role or a device group names it." + administers
}

func (g *groupCreate) Run(ctx context.Context, env command.Env) error {
	c, _, err := g.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	made, err := c.CreateUserGroup(ctx, client.UserGroupRequest{Name: g.Name, Description: g.Description})
	if err != nil {
		return err
	}
	return g.showGroup(env.Stdout, made)
}

func (o output) showGroup(w io.Writer, g client.UserGroup) error {
	return o.print(w, g, func(w io.Writer) error {
		return fields(w, "id", g.ID, "name", g.Name, "description", g.Description, "created", when(g.Created))
	})
}

type groupList struct {
	connection
	output
}

func (*groupList) Help() string {
	return "Lists user groups in the order of their names." + administers
}

func (l *groupList) Run(ctx context.Context, env command.Env) error {
	c, _, err := l.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	groups, err := c.UserGroups(ctx)
	if err != nil {
		return err
	}
	return l.print(env.Stdout, groups, func(w io.Writer) error {
		rows := make([][]string, len(groups))
		for i, g := range groups {
			rows[i] = []string{g.ID, g.Name, g.Description}
		}
		return table(w, "ID NAME DESCRIPTION", rows)
	})
}

// oneGroup is the user group of a command.
type oneGroup struct {
	Group string `arg:"" help:"The user group's name or id."`
	connection
	output
}

type groupShow struct {
	oneGroup
	Top int `help:"Most members to list." default:"100"`
}

func (*groupShow) Help() string {
	return "Shows a user group, its members, and which roles and device groups name it." + administers
}

// shownGroup is a user group with what belongs to it.
type shownGroup struct {
	client.UserGroup
	Members      []client.User `json:"members"`
	Roles        []string      `json:"roles"` // their names
	DeviceGroups []string      `json:"deviceGroups"`
}

func (g *groupShow) Run(ctx context.Context, env command.Env) error {
	c, _, err := g.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	found, err := userGroupNamed(ctx, c, g.Group)
	if err != nil {
		return err
	}
	shown := shownGroup{UserGroup: found, Roles: []string{}, DeviceGroups: []string{}}
	more := false
	if shown.Members, more, err = first(c.Members(ctx, found.ID), g.Top); err != nil {
		return err
	}
	roles, err := c.Roles(ctx)
	if err != nil {
		return err
	}
	for _, r := range roles {
		if slices.Contains(r.UserGroups, found.ID) {
			shown.Roles = append(shown.Roles, r.Name)
		}
	}
	devices, err := c.DeviceGroups(ctx)
	if err != nil {
		return err
	}
	for _, d := range devices {
		if slices.Contains(d.UserGroups, found.ID) {
			shown.DeviceGroups = append(shown.DeviceGroups, d.Name)
		}
	}
	return errors.Join(g.print(env.Stdout, shown, shown.show), tellMore(env.Stderr, more, g.Top))
}

func (g shownGroup) show(w io.Writer) error {
	pairs := []string{"id", g.ID, "name", g.Name, "description", g.Description, "created", when(g.Created)}
	for _, r := range g.Roles {
		pairs = append(pairs, "role", r)
	}
	for _, d := range g.DeviceGroups {
		pairs = append(pairs, "device group", d)
	}
	err := fields(w, pairs...)
	if err != nil || len(g.Members) == 0 {
		return err
	}
	rows := make([][]string, len(g.Members))
	for i, u := range g.Members {
		rows[i] = []string{u.Principal, u.Name, yesNo(u.Disabled)}
	}
	fmt.Fprintln(w)
	return table(w, "MEMBER NAME DISABLED", rows)
}

type groupChange struct {
	oneGroup
	renamed
}

// renamed is what a thing shall be called.
type renamed struct {
	Name        *string `help:"Another name." placeholder:"NAME"`
	Description *string `help:"What it is for; '' for nothing." placeholder:"TEXT"`
}

func (r renamed) given() bool { return r.Name != nil || r.Description != nil }

func (*groupChange) Help() string { return "Changes what a user group is called." + administers }

// Check judges the settings together.
func (g *groupChange) Check() error {
	if !g.given() {
		return errors.New("give --name or --description: what shall change?")
	}
	return nil
}

func (g *groupChange) Run(ctx context.Context, env command.Env) error {
	return g.of(ctx, env, func(c *client.Client, id string) (client.UserGroup, error) {
		return c.ChangeUserGroup(ctx, id, client.UserGroupChange{Name: g.Name, Description: g.Description})
	})
}

// of asks something of the user group, and shows it.
func (g *oneGroup) of(ctx context.Context, env command.Env, ask func(c *client.Client, id string) (client.UserGroup, error)) error {
	c, _, err := g.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	found, err := userGroupNamed(ctx, c, g.Group)
	if err != nil {
		return err
	}
	is, err := ask(c, found.ID)
	if err != nil {
		return err
	}
	return g.showGroup(env.Stdout, is)
}

type groupDelete struct{ oneGroup }

func (*groupDelete) Help() string {
	return "Deletes a user group, and shows it as it was; its members stay. One that a role, a device group or an issuer names is not deleted: take it out there first." + administers
}

func (g *groupDelete) Run(ctx context.Context, env command.Env) error {
	return g.of(ctx, env, func(c *client.Client, id string) (client.UserGroup, error) { return c.DeleteUserGroup(ctx, id) })
}

// groupMembers is a user group and some users.
type groupMembers struct {
	Group string   `arg:"" help:"The user group's name or id."`
	User  []string `arg:"" help:"User principal names, or ids of users."`
	connection
	output
}

type groupAdd struct{ groupMembers }

func (*groupAdd) Help() string {
	return "Puts users into a user group. Who is in it already stays. Nobody gives by this what they may not do themselves." + administers
}

func (g *groupAdd) Run(ctx context.Context, env command.Env) error {
	return g.each(ctx, env, (*client.Client).AddMember)
}

type groupRemove struct{ groupMembers }

func (*groupRemove) Help() string {
	return "Takes users out of a user group. What they could do by it ends with their next request." + administers
}

func (g *groupRemove) Run(ctx context.Context, env command.Env) error {
	return g.each(ctx, env, (*client.Client).RemoveMember)
}

// each does something to each of the users, and stops at one for whom it can't be
// done; those before are shown all the same.
func (g *groupMembers) each(ctx context.Context, env command.Env, do func(*client.Client, context.Context, string, string) (client.User, error)) error {
	c, _, err := g.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	names, err := userGroupNames(ctx, c)
	if err != nil {
		return err
	}
	group, err := userGroupNamed(ctx, c, g.Group)
	if err != nil {
		return err
	}
	done := []client.User{}
	for _, name := range g.User {
		var u client.User
		if u, err = do(c, ctx, group.ID, name); err != nil {
			err = noSuch("user", name, err)
			break
		}
		done = append(done, u)
	}
	if err != nil && len(done) == 0 {
		return err
	}
	return errors.Join(g.print(env.Stdout, done, func(w io.Writer) error { return userTable(w, done, names) }), err)
}
