package client

import (
	"context"
	"net/http"
)

// Role gives the users of its user groups permissions.
type Role struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Permissions []string `json:"permissions"` // such as "Alerts investigation"
	UserGroups  []string `json:"userGroups"`  // ids
	BuiltIn     bool     `json:"builtIn"`     // nothing of it can be changed but the user groups
}

// RoleRequest asks for a role.
type RoleRequest struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Permissions []string `json:"permissions,omitempty"`
	UserGroups  []string `json:"userGroups,omitempty"`
}

// RoleChange is what is to become of a role; nil: as it was.
type RoleChange struct {
	Name        *string   `json:"name,omitempty"`
	Description *string   `json:"description,omitempty"`
	Permissions *[]string `json:"permissions,omitempty"`
	UserGroups  *[]string `json:"userGroups,omitempty"`
}

const rolesPath = "api/admin/v1/roles"

// Roles lists the tenant's roles, the built-in one first and the others in the
// order of their names.
func (c *Client) Roles(ctx context.Context) ([]Role, error) {
	return rows[Role](ctx, c, rolesPath, nil)
}

// Role returns one role.
func (c *Client) Role(ctx context.Context, id string) (Role, error) {
	return c.ofRole(ctx, http.MethodGet, id, nil)
}

// CreateRole makes a role.
func (c *Client) CreateRole(ctx context.Context, r RoleRequest) (Role, error) {
	var out Role
	err := c.call(ctx, http.MethodPost, rolesPath, nil, r, &out, maxEntity)
	return out, err
}

// ChangeRole changes a role; of the built-in one the user groups alone.
func (c *Client) ChangeRole(ctx context.Context, id string, change RoleChange) (Role, error) {
	return c.ofRole(ctx, http.MethodPatch, id, change)
}

// DeleteRole deletes a role, and returns it as it was.
func (c *Client) DeleteRole(ctx context.Context, id string) (Role, error) {
	return c.ofRole(ctx, http.MethodDelete, id, nil)
}

func (c *Client) ofRole(ctx context.Context, method, id string, in any) (Role, error) {
	var out Role
	err := c.of(ctx, method, rolesPath, "role", id, "", in, &out)
	return out, err
}
