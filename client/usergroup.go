package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// UserGroup is a set of users. What they may do comes from the roles and device
// groups that name it.
type UserGroup struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Created     time.Time `json:"created"`
}

// UserGroupRequest asks for a user group.
type UserGroupRequest struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// UserGroupChange is what is to become of a user group; nil: as it was.
type UserGroupChange struct {
	Name        *string `json:"name,omitempty"`
	Description *string `json:"description,omitempty"`
}

const userGroupsPath = "api/admin/v1/userGroups"

// UserGroups lists the tenant's user groups in the order of their names.
func (c *Client) UserGroups(ctx context.Context) ([]UserGroup, error) {
	return rows[UserGroup](ctx, c, userGroupsPath, nil)
}

// UserGroup returns one user group.
func (c *Client) UserGroup(ctx context.Context, id string) (UserGroup, error) {
	return c.ofUserGroup(ctx, http.MethodGet, id, nil)
}

// CreateUserGroup makes a user group.
func (c *Client) CreateUserGroup(ctx context.Context, r UserGroupRequest) (UserGroup, error) {
	var out UserGroup
	err := c.call(ctx, http.MethodPost, userGroupsPath, nil, r, &out, maxEntity)
	return out, err
}

// ChangeUserGroup changes what a user group is called.
func (c *Client) ChangeUserGroup(ctx context.Context, id string, change UserGroupChange) (UserGroup, error) {
	return c.ofUserGroup(ctx, http.MethodPatch, id, change)
}

// DeleteUserGroup deletes a user group that no role, device group or issuer
// names, and returns it as it was. Its users stay.
func (c *Client) DeleteUserGroup(ctx context.Context, id string) (UserGroup, error) {
	return c.ofUserGroup(ctx, http.MethodDelete, id, nil)
}

func (c *Client) ofUserGroup(ctx context.Context, method, id string, in any) (UserGroup, error) {
	var out UserGroup
	err := c.of(ctx, method, userGroupsPath, "user group", id, "", in, &out)
	return out, err
}

// Members lists the users of a user group in the order of their principals.
func (c *Client) Members(ctx context.Context, group string) iter.Seq2[User, error] {
	path, err := segment("user group", group)
	if err != nil {
		return func(yield func(User, error) bool) { yield(User{}, err) }
	}
	return c.people(ctx, userGroupsPath+"/"+path+"/members")
}

// AddMember puts a user, named by the id or the principal, into a user group.
func (c *Client) AddMember(ctx context.Context, group, user string) (User, error) {
	return c.member(ctx, http.MethodPut, group, user)
}

// RemoveMember takes a user out of a user group.
func (c *Client) RemoveMember(ctx context.Context, group, user string) (User, error) {
	return c.member(ctx, http.MethodDelete, group, user)
}

func (c *Client) member(ctx context.Context, method, group, user string) (User, error) {
	var out User
	last, err := segment("user", user)
	if err == nil {
		err = c.of(ctx, method, userGroupsPath, "user group", group, "members/"+last, nil, &out)
	}
	return out, err
}
