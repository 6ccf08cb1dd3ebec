package access

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
)

// Bounds of roles.
const (
	MaxRoles    = 1000 // of a tenant, beside the built-in one
	MaxGroupsIn = 1000 // user groups that a role or a device group names
)

// NewRole is a role to be made.
type NewRole struct {
	Name        string
	Description string            // may be empty
	Permissions []auth.Permission // among auth.RolePermissions
	Groups      []string          // ids of user groups
}

// RoleChange is what is to become of a role; nil: as it was.
type RoleChange struct {
	Naming
	Permissions *[]auth.Permission
	Groups      *[]string
}

// Roles returns the tenant's roles, the built-in one first and the others in the
// order of their names.
func (r *Register) Roles(ctx context.Context, who auth.Caller) ([]auth.Role, error) {
	if err := r.permit(ctx, who, audit.ActReadRole, who.Tenant, auth.AdministerAccess); err != nil {
		return nil, err
	}
	policy, err := r.Records.Policy(ctx, who.Tenant)
	if err != nil {
		return nil, err
	}
	return policy.Roles, nil
}

// Role returns one role.
func (r *Register) Role(ctx context.Context, who auth.Caller, id string) (auth.Role, error) {
	return r.role(ctx, who, audit.ActReadRole, id)
}

// role is one role, for a caller who administers.
func (r *Register) role(ctx context.Context, who auth.Caller, act audit.Act, id string) (auth.Role, error) {
	if err := r.permit(ctx, who, act, id, auth.AdministerAccess); err != nil {
		return auth.Role{}, err
	}
	policy, err := r.Records.Policy(ctx, who.Tenant)
	var role auth.Role
	if err == nil {
		role, err = roleOf(policy, id)
	}
	if err != nil {
		return auth.Role{}, r.refuse(ctx, who, act, id, err)
	}
	return role, nil
}

func roleOf(policy *auth.Policy, id string) (auth.Role, error) {
	for _, role := range policy.Roles {
		if role.ID == id {
			return role, nil
		}
	}
	return auth.Role{}, fault.NotFound.Errorf(nil, "Role %s was not found", audit.Clip(id))
}

// CreateRole makes a role.
func (r *Register) CreateRole(ctx context.Context, who auth.Caller, read func() (NewRole, error)) (auth.Role, error) {
	const act = audit.ActCreateRole
	if err := r.permit(ctx, who, act, who.Tenant, auth.AdministerAccess); err != nil {
		return auth.Role{}, err
	}
	n, err := read()
	if err == nil {
		err = Naming{&n.Name, &n.Description}.check()
	}
	if err == nil {
		n.Permissions, err = rolePermissions(n.Permissions)
	}
	if err != nil {
		return auth.Role{}, r.refuse(ctx, who, act, who.Tenant, err)
	}
	role := auth.Role{ID: uuid.NewString(), Name: n.Name, Description: n.Description, Permissions: n.Permissions}
	err = r.amend(ctx, who, auth.AdministerAccess, act, who.Tenant, func(ctx context.Context, a *amendment) (err error) {
		if len(a.policy.Roles) > MaxRoles {
			return fault.InvalidInput.Errorf(nil, "The tenant has %d roles already", MaxRoles)
		}
		if role.Groups, err = a.groups(ctx, n.Groups, MaxGroupsIn); err != nil {
			return err
		}
		if err := a.setRole(ctx, auth.Role{}, role); err != nil {
			return err
		}
		return a.Record(ctx, r.changed(who, act, role.ID, roleChanges(auth.Role{}, role)))
	})
	return role, err
}

// rolePermissions is a set of permissions, each once, in the order of
// auth.RolePermissions.
func rolePermissions(given []auth.Permission) ([]auth.Permission, error) {
	set := []auth.Permission{}
	for _, p := range auth.RolePermissions {
		if slices.Contains(given, p) {
			set = append(set, p)
		}
	}
	for _, p := range given {
		if !slices.Contains(auth.RolePermissions, p) {
			return nil, fault.InvalidInput.Errorf(nil, "permissions has one that no role can be given: %s; there are %s", audit.Clip(string(p)), strings.Join(words(auth.RolePermissions), ", "))
		}
	}
	return set, nil
}

func words[W ~string](list []W) []string {
	s := make([]string, len(list))
	for i, w := range list {
		s[i] = string(w)
	}
	return s
}

func roleChanges(was, is auth.Role) (c audit.Changes) {
	c.Add("name", was.Name, is.Name)
	c.Add("description", was.Description, is.Description)
	c.AddList("permissions", words(was.Permissions), words(is.Permissions))
	c.AddList("userGroups", was.Groups, is.Groups)
	return c
}

// setRole keeps a role that is new, where was has no id, or was another.
func (a *amendment) setRole(ctx context.Context, was, is auth.Role) error {
	if strings.EqualFold(is.Name, auth.BuiltIn().Name) && !is.BuiltIn {
		return fault.InvalidInput.Errorf(nil, "Role %s exists already", is.Name)
	}
	if err := a.mayGrant(append(slices.Clone(was.Permissions), is.Permissions...)); err != nil {
		return err
	}
	a.regranted = append(slices.Clone(was.Groups), is.Groups...)
	if was.ID == "" {
		return a.AddRole(ctx, is)
	}
	return a.ChangeRole(ctx, is)
}

// ChangeRole changes a role; of the built-in one the user groups alone can be
// another's.
func (r *Register) ChangeRole(ctx context.Context, who auth.Caller, id string, read func() (RoleChange, error)) (auth.Role, error) {
	const act = audit.ActChangeRole
	if _, err := r.role(ctx, who, act, id); err != nil {
		return auth.Role{}, err
	}
	n, err := read()
	if err == nil {
		err = n.check()
	}
	if err == nil && n.Permissions != nil {
		*n.Permissions, err = rolePermissions(*n.Permissions)
	}
	if err != nil {
		return auth.Role{}, r.refuse(ctx, who, act, id, err)
	}
	var role auth.Role
	err = r.amend(ctx, who, auth.AdministerAccess, act, id, func(ctx context.Context, a *amendment) (err error) {
		was, err := roleOf(a.policy, id)
		if err != nil {
			return err
		}
		role = was
		if n.set(&role.Name, &role.Description); n.Permissions != nil {
			role.Permissions = *n.Permissions
		}
		if role.BuiltIn && (role.Name != was.Name || role.Description != was.Description || n.Permissions != nil) {
			return fault.DisallowedOperation.Errorf(nil, "The role %s is built in: nothing of it can be changed but its user groups", was.Name)
		}
		if n.Groups != nil {
			if role.Groups, err = a.groups(ctx, *n.Groups, MaxGroupsIn); err != nil {
				return err
			}
		}
		changes := roleChanges(was, role)
		if changes.Empty() {
			return a.mayGrant(was.Permissions)
		}
		if err := a.setRole(ctx, was, role); err != nil {
			return err
		}
		return a.Record(ctx, r.changed(who, act, id, changes))
	})
	return role, err
}

// DeleteRole deletes a role, and returns it as it was.
func (r *Register) DeleteRole(ctx context.Context, who auth.Caller, id string) (auth.Role, error) {
	const act = audit.ActDeleteRole
	if _, err := r.role(ctx, who, act, id); err != nil {
		return auth.Role{}, err
	}
	var role auth.Role
	err := r.amend(ctx, who, auth.AdministerAccess, act, id, func(ctx context.Context, a *amendment) (err error) {
		if role, err = roleOf(a.policy, id); err != nil {
			return err
		}
		if role.BuiltIn {
			return fault.DisallowedOperation.Errorf(nil, "The role %s is built in: it can't be deleted", role.Name)
		}
		if err := a.mayGrant(role.Permissions); err != nil {
			return err
		}
		a.regranted = role.Groups
		if err := a.DeleteRole(ctx, id); err != nil {
			return err
		}
		return a.Record(ctx, r.changed(who, act, id, roleChanges(role, auth.Role{})))
	})
	return role, err
}
