package api

import (
	"context"
	"net/http"

	"swab/internal/access"
	"swab/internal/auth"
)

// userGroup is a user group as administrators see it.
type userGroup struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Description string  `json:"description"`
	Created     *string `json:"created"`
}

func userGroupOf(g auth.UserGroup) userGroup {
	return userGroup{ID: g.ID, Name: g.Name, Description: g.Description, Created: moment(g.Created)}
}

func (a *API) userGroups(ctx context.Context, c *call) (reply, error) {
	groups, err := a.Register.UserGroups(ctx, c.who)
	if err != nil {
		return reply{}, err
	}
	if err := c.plain(); err != nil {
		return reply{}, err
	}
	list := listed[userGroup]{Value: []userGroup{}}
	for _, g := range groups {
		list.Value = append(list.Value, userGroupOf(g))
	}
	return reply{body: list}, nil
}

func (a *API) userGroup(ctx context.Context, c *call) (reply, error) {
	found, err := a.Register.UserGroup(ctx, c.who, c.id("userGroup"))
	if err == nil {
		err = c.plain()
	}
	return oneUserGroup(found, err)
}

func oneUserGroup(g auth.UserGroup, err error) (reply, error) {
	if err != nil {
		return reply{}, err
	}
	return reply{body: userGroupOf(g)}, nil
}

func (a *API) createUserGroup(ctx context.Context, c *call) (reply, error) {
	made, err := a.Register.CreateUserGroup(ctx, c.who, func() (access.NewUserGroup, error) {
		f := c.form(false, "name", "description")
		n := access.NewUserGroup{Name: f.text("name"), Description: f.text("description")}
		return n, f.err
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, location: c.root + "/admin/v1/userGroups/" + made.ID, body: userGroupOf(made)}, nil
}

// naming are the properties of a thing that has a name and a description.
func naming(f *form) access.Naming {
	return access.Naming{Name: wanted(f, "name", f.text), Description: wanted(f, "description", f.text)}
}

func (a *API) changeUserGroup(ctx context.Context, c *call) (reply, error) {
	return oneUserGroup(a.Register.ChangeUserGroup(ctx, c.who, c.id("userGroup"), func() (access.Naming, error) {
		f := c.form(false, "name", "description")
		n := naming(f)
		return n, f.err
	}))
}

func (a *API) deleteUserGroup(ctx context.Context, c *call) (reply, error) {
	if err := c.bare(auth.AdministerAccess); err != nil {
		return reply{}, err
	}
	return oneUserGroup(a.Register.DeleteUserGroup(ctx, c.who, c.id("userGroup")))
}

func (a *API) addMember(ctx context.Context, c *call) (reply, error) {
	if err := c.bare(auth.AdministerAccess); err != nil {
		return reply{}, err
	}
	return oneUser(a.Register.AddMember(ctx, c.who, c.id("userGroup"), c.id("user")))
}

func (a *API) removeMember(ctx context.Context, c *call) (reply, error) {
	if err := c.bare(auth.AdministerAccess); err != nil {
		return reply{}, err
	}
	return oneUser(a.Register.RemoveMember(ctx, c.who, c.id("userGroup"), c.id("user")))
}
