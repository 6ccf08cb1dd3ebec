package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"swab/client"
	"swab/internal/accessfile"
	"swab/internal/command"
)

// permission is what a role lets its people do.
type permission struct {
	Permission []string `help:"What its people may do, in the words of Microsoft Defender, once for each: View data, Active remediation actions, Alerts investigation, Manage security settings, Manage portal system settings, Live response (basic), Live response (advanced)." sep:"none" placeholder:"PERMISSION"`
}

// words are the permissions as they are written, whatever the case in which they
// were given.
func (p permission) words() ([]string, error) {
	list := []string{}
	var wrong []error
	for _, given := range p.Permission {
		at := slices.IndexFunc(accessfile.Permissions, func(one string) bool { return strings.EqualFold(one, given) })
		if at < 0 {
			wrong = append(wrong, fmt.Errorf("--permission: there is none %.60q; there are %s", given, strings.Join(accessfile.Permissions, ", ")))
			continue
		}
		list = append(list, accessfile.Permissions[at])
	}
	return list, errors.Join(wrong...)
}

type roleCreate struct {
	Name        string   `arg:"" help:"What it is called: each name once, without regard to upper and lower case."`
	Description string   `help:"What it is for." placeholder:"TEXT"`
	Group       []string `help:"A user group that holds it, by name or id; once for each." sep:"none" placeholder:"GROUP"`
	permission
	connection
	output
}

func (*roleCreate) Help() string {
	return "Makes a role: its permissions are those of the members of its user groups, on the devices that they reach. Nobody gives by a role what they may not do themselves." + administers
}

// Check judges the settings together.
func (r *roleCreate) Check() error {
	_, err := r.words()
	return err
}

func (r *roleCreate) Run(ctx context.Context, env command.Env) error {
	permissions, err := r.words()
	if err != nil {
		return err
	}
	c, _, err := r.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	groups, err := userGroupIDs(ctx, c, r.Group)
	if err != nil {
		return err
	}
	made, err := c.CreateRole(ctx, client.RoleRequest{Name: r.Name, Description: r.Description, Permissions: permissions, UserGroups: groups})
	if err != nil {
		return err
	}
	return r.showRole(ctx, env, c, made)
}

func (o output) showRole(ctx context.Context, env command.Env, c *client.Client, r client.Role) error {
	if o.JSON {
		return o.print(env.Stdout, r, nil)
	}
	names, err := userGroupNames(ctx, c)
	if err != nil {
		return err
	}
	pairs := []string{"id", r.ID, "name", r.Name, "description", r.Description, "built in", yesNo(r.BuiltIn)}
	for _, p := range r.Permissions {
		pairs = append(pairs, "permission", p)
	}
	for _, g := range names.of(r.UserGroups) {
		pairs = append(pairs, "user group", g)
	}
	return fields(env.Stdout, pairs...)
}

type roleList struct {
	connection
	output
}

func (*roleList) Help() string {
	return "Lists roles, the built-in one first, and the others in the order of their names." + administers
}

func (l *roleList) Run(ctx context.Context, env command.Env) error {
	c, _, err := l.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	roles, err := c.Roles(ctx)
	if err != nil {
		return err
	}
	if l.JSON {
		return l.print(env.Stdout, roles, nil)
	}
	names, err := userGroupNames(ctx, c)
	if err != nil {
		return err
	}
	rows := make([][]string, len(roles))
	for i, r := range roles {
		may := strings.Join(r.Permissions, ", ")
		if r.BuiltIn {
			may = "all"
		}
		rows[i] = []string{r.ID, r.Name, may, names.joined(r.UserGroups)}
	}
	return table(env.Stdout, "ID NAME PERMISSIONS GROUPS", rows)
}

// oneRole is the role of a command.
type oneRole struct {
	Role string `arg:"" help:"The role's name or id."`
	connection
	output
}

// of asks something of the role, and shows it as it is then.
func (r *oneRole) of(ctx context.Context, env command.Env, ask func(*client.Client, client.Role) (client.Role, error)) error {
	c, _, err := r.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	role, err := roleNamed(ctx, c, r.Role)
	if err == nil {
		role, err = ask(c, role)
	}
	if err != nil {
		return err
	}
	return r.showRole(ctx, env, c, role)
}

type roleShow struct{ oneRole }

func (*roleShow) Help() string { return "Shows a role." + administers }

func (r *roleShow) Run(ctx context.Context, env command.Env) error {
	return r.of(ctx, env, func(_ *client.Client, role client.Role) (client.Role, error) { return role, nil })
}

type roleChange struct {
	oneRole
	renamed
	permission
}

func (*roleChange) Help() string {
	return "Changes what a role is called, or what it permits: the permissions that are given take the place of all that it has. Its user groups are changed by swab role assign." + administers
}

// Check judges the settings together.
func (r *roleChange) Check() error {
	if !r.given() && len(r.Permission) == 0 {
		return errors.New("give --name, --description or --permission: what shall change?")
	}
	_, err := r.words()
	return err
}

func (r *roleChange) Run(ctx context.Context, env command.Env) error {
	return r.of(ctx, env, func(c *client.Client, role client.Role) (client.Role, error) {
		change := client.RoleChange{Name: r.Name, Description: r.Description}
		if len(r.Permission) > 0 {
			permissions, err := r.words()
			if err != nil {
				return role, err
			}
			change.Permissions = &permissions
		}
		return c.ChangeRole(ctx, role.ID, change)
	})
}

type roleDelete struct{ oneRole }

func (*roleDelete) Help() string {
	return "Deletes a role, and shows it as it was. What its people could do by it ends with their next request." + administers
}

func (r *roleDelete) Run(ctx context.Context, env command.Env) error {
	return r.of(ctx, env, func(c *client.Client, role client.Role) (client.Role, error) { return c.DeleteRole(ctx, role.ID) })
}

type roleAssign struct {
	Role   string   `arg:"" help:"The role's name or id."`
	Group  []string `arg:"" help:"User groups, by their names or ids."`
	Remove bool     `help:"Take the role from them."`
	connection
	output
}

func (*roleAssign) Help() string {
	return "Gives a role to user groups, or takes it from them with --remove; others that hold it keep it. " +
		"The built-in role can be given as well, by those who have it; somebody always has to." + administers
}

func (r *roleAssign) Run(ctx context.Context, env command.Env) error {
	one := oneRole{Role: r.Role, connection: r.connection, output: r.output}
	return one.of(ctx, env, func(c *client.Client, role client.Role) (client.Role, error) {
		ids, err := userGroupIDs(ctx, c, r.Group)
		if err != nil {
			return role, err
		}
		groups := slices.DeleteFunc(slices.Clone(role.UserGroups), func(id string) bool { return slices.Contains(ids, id) })
		if !r.Remove {
			groups = append(groups, ids...)
		}
		if groups == nil {
			groups = []string{}
		}
		return c.ChangeRole(ctx, role.ID, client.RoleChange{UserGroups: &groups})
	})
}
