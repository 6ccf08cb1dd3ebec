package api

import (
	"context"
	"net/http"

	"swab/internal/access"
	"swab/internal/auth"
)

// role is a role as administrators see it.
type role struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Permissions []auth.Permission `json:"permissions"`
	UserGroups  []string          `json:"userGroups"` // ids
	BuiltIn     bool              `json:"builtIn"`    // nothing of it can be changed but the user groups
}

func roleOf(r auth.Role) role {
	return role{
		ID: r.ID, Name: r.Name, Description: r.Description, Permissions: append([]auth.Permission{}, r.Permissions...),
		UserGroups: append([]string{}, r.Groups...), BuiltIn: r.BuiltIn,
	}
}

func (a *API) roles(ctx context.Context, c *call) (reply, error) {
	roles, err := a.Register.Roles(ctx, c.who)
	if err != nil {
		return reply{}, err
	}
	if err := c.plain(); err != nil {
		return reply{}, err
	}
	list := listed[role]{Value: []role{}}
	for _, r := range roles {
		list.Value = append(list.Value, roleOf(r))
	}
	return reply{body: list}, nil
}

func (a *API) role(ctx context.Context, c *call) (reply, error) {
	found, err := a.Register.Role(ctx, c.who, c.id("role"))
	if err == nil {
		err = c.plain()
	}
	return oneRole(found, err)
}

func oneRole(r auth.Role, err error) (reply, error) {
	if err != nil {
		return reply{}, err
	}
	return reply{body: roleOf(r)}, nil
}

// roleProperties are what a role is asked for with.
var roleProperties = []string{"name", "description", "permissions", "userGroups"}

// permissions are those of roles, nil where they are missing or null.
func (f *form) permissions(name string) []auth.Permission {
	var list []auth.Permission
	for _, p := range f.texts(name) {
		list = append(list, auth.Permission(p))
	}
	return list
}

func (a *API) createRole(ctx context.Context, c *call) (reply, error) {
	made, err := a.Register.CreateRole(ctx, c.who, func() (access.NewRole, error) {
		f := c.form(false, roleProperties...)
		n := access.NewRole{Name: f.text("name"), Description: f.text("description"), Permissions: f.permissions("permissions"), Groups: f.texts("userGroups")}
		return n, f.err
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, location: c.root + "/admin/v1/roles/" + made.ID, body: roleOf(made)}, nil
}

func (a *API) changeRole(ctx context.Context, c *call) (reply, error) {
	return oneRole(a.Register.ChangeRole(ctx, c.who, c.id("role"), func() (access.RoleChange, error) {
		f := c.form(false, roleProperties...)
		n := access.RoleChange{Naming: naming(f), Permissions: wanted(f, "permissions", f.permissions), Groups: wanted(f, "userGroups", f.texts)}
		return n, f.err
	}))
}

func (a *API) deleteRole(ctx context.Context, c *call) (reply, error) {
	if err := c.bare(auth.AdministerAccess); err != nil {
		return reply{}, err
	}
	return oneRole(a.Register.DeleteRole(ctx, c.who, c.id("role")))
}
