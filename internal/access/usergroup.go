package access

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
)

// MaxUserGroups bounds the user groups of a tenant.
const MaxUserGroups = 10_000

// MaxDescription bounds what an administrator says of a thing, in characters.
const MaxDescription = 1000

// NewUserGroup is a user group to be made.
type NewUserGroup struct {
	Name        string
	Description string // may be empty
}

// Naming is what is to become of a thing's name and description; nil: as it was.
type Naming struct {
	Name        *string
	Description *string
}

func (n Naming) check() error {
	if n.Name != nil {
		if err := title("name", *n.Name, true); err != nil {
			return err
		}
	}
	if n.Description != nil {
		return description(*n.Description)
	}
	return nil
}

// set puts what n has in the place of a name and a description.
func (n Naming) set(name, description *string) {
	if n.Name != nil {
		*name = *n.Name
	}
	if n.Description != nil {
		*description = *n.Description
	}
}

// UserGroups returns the tenant's user groups in the order of their names.
func (r *Register) UserGroups(ctx context.Context, who auth.Caller) ([]auth.UserGroup, error) {
	if err := r.permit(ctx, who, audit.ActReadUserGroup, who.Tenant, auth.AdministerAccess); err != nil {
		return nil, err
	}
	return r.Records.UserGroups(ctx, who.Tenant)
}

// UserGroup returns one user group.
func (r *Register) UserGroup(ctx context.Context, who auth.Caller, id string) (auth.UserGroup, error) {
	return r.userGroup(ctx, who, audit.ActReadUserGroup, id)
}

// userGroup is one user group, for a caller who administers.
func (r *Register) userGroup(ctx context.Context, who auth.Caller, act audit.Act, id string) (auth.UserGroup, error) {
	if err := r.permit(ctx, who, act, id, auth.AdministerAccess); err != nil {
		return auth.UserGroup{}, err
	}
	err := named("User group", id)
	var g auth.UserGroup
	if err == nil {
		g, err = r.Records.UserGroup(ctx, who.Tenant, id)
	}
	if err != nil {
		return auth.UserGroup{}, r.refuse(ctx, who, act, id, err)
	}
	return g, nil
}

// Members returns users of a user group as Users does those of the tenant.
func (r *Register) Members(ctx context.Context, who auth.Caller, id string, read func() (Paging, error)) (UserPage, error) {
	if _, err := r.userGroup(ctx, who, audit.ActReadUserGroup, id); err != nil {
		return UserPage{}, err
	}
	return r.people(ctx, who, audit.ActReadUserGroup, id, read)
}

// CreateUserGroup makes a user group, which grants nothing yet.
func (r *Register) CreateUserGroup(ctx context.Context, who auth.Caller, read func() (NewUserGroup, error)) (auth.UserGroup, error) {
	const act = audit.ActCreateUserGroup
	if err := r.permit(ctx, who, act, who.Tenant, auth.AdministerAccess); err != nil {
		return auth.UserGroup{}, err
	}
	n, err := read()
	if err == nil {
		err = Naming{&n.Name, &n.Description}.check()
	}
	if err != nil {
		return auth.UserGroup{}, r.refuse(ctx, who, act, who.Tenant, err)
	}
	g := auth.UserGroup{Tenant: who.Tenant, ID: uuid.NewString(), Name: n.Name, Description: n.Description, Created: r.now()}
	err = r.amend(ctx, who, auth.AdministerAccess, act, who.Tenant, func(ctx context.Context, a *amendment) error {
		if count, err := a.UserGroups(ctx); err != nil {
			return err
		} else if count >= MaxUserGroups {
			return fault.InvalidInput.Errorf(nil, "The tenant has %d user groups already", MaxUserGroups)
		}
		if err := a.AddUserGroup(ctx, g); err != nil {
			return err
		}
		return a.Record(ctx, r.changed(who, act, g.ID, groupChanges(auth.UserGroup{}, g)))
	})
	return g, err
}

func groupChanges(was, is auth.UserGroup) (c audit.Changes) {
	c.Add("name", was.Name, is.Name)
	c.Add("description", was.Description, is.Description)
	return c
}

// ChangeUserGroup changes what a user group is called.
func (r *Register) ChangeUserGroup(ctx context.Context, who auth.Caller, id string, read func() (Naming, error)) (auth.UserGroup, error) {
	const act = audit.ActChangeUserGroup
	if _, err := r.userGroup(ctx, who, act, id); err != nil {
		return auth.UserGroup{}, err
	}
	n, err := read()
	if err == nil {
		err = n.check()
	}
	if err != nil {
		return auth.UserGroup{}, r.refuse(ctx, who, act, id, err)
	}
	return r.amendUserGroup(ctx, who, act, id, func(ctx context.Context, a *amendment, g auth.UserGroup) (auth.UserGroup, audit.Changes, error) {
		was := g
		n.set(&g.Name, &g.Description)
		changes := groupChanges(was, g)
		if changes.Empty() {
			return g, changes, nil
		}
		return g, changes, a.ChangeUserGroup(ctx, g)
	})
}

// amendUserGroup changes one user group by f. Where f says that nothing changed,
// nothing is recorded.
func (r *Register) amendUserGroup(ctx context.Context, who auth.Caller, act audit.Act, id string, f func(ctx context.Context, a *amendment, g auth.UserGroup) (auth.UserGroup, audit.Changes, error)) (auth.UserGroup, error) {
	var g auth.UserGroup
	err := r.amend(ctx, who, auth.AdministerAccess, act, id, func(ctx context.Context, a *amendment) error {
		was, err := a.UserGroup(ctx, id)
		if err != nil {
			return err
		}
		if err := a.mayTouch(a.policy.Rights([]string{id})); err != nil {
			return err
		}
		is, changes, err := f(ctx, a, was)
		g = is
		if err != nil || changes.Empty() {
			return err
		}
		return a.Record(ctx, r.changed(who, act, id, changes))
	})
	return g, err
}

// DeleteUserGroup deletes a user group and returns it as it was; its users stay.
// One that a role, a device group or an issuer names is not deleted: a device
// group that has lost its last user group would be open to everybody.
func (r *Register) DeleteUserGroup(ctx context.Context, who auth.Caller, id string) (auth.UserGroup, error) {
	const act = audit.ActDeleteUserGroup
	if _, err := r.userGroup(ctx, who, act, id); err != nil {
		return auth.UserGroup{}, err
	}
	return r.amendUserGroup(ctx, who, act, id, func(ctx context.Context, a *amendment, g auth.UserGroup) (auth.UserGroup, audit.Changes, error) {
		uses, err := a.uses(ctx, id)
		if err != nil {
			return g, audit.Changes{}, err
		}
		if len(uses) > 0 {
			const most = 5
			more := ""
			if len(uses) > most {
				more = fmt.Sprintf(" and %d more", len(uses)-most)
			}
			return g, audit.Changes{}, fault.BadRequest.Errorf(nil, "User group %s is in use by %s%s: take it out there first", id, strings.Join(uses[:min(len(uses), most)], ", "), more)
		}
		return g, groupChanges(g, auth.UserGroup{}), a.DeleteUserGroup(ctx, id)
	})
}

// uses is what names a user group.
func (a *amendment) uses(ctx context.Context, id string) (uses []string, err error) {
	for _, role := range a.policy.Roles {
		if slices.Contains(role.Groups, id) {
			uses = append(uses, "the role "+role.Name)
		}
	}
	for _, g := range a.policy.Groups.All() {
		if slices.Contains(g.UserGroups, id) {
			uses = append(uses, "the device group "+g.Name)
		}
	}
	issuers, err := a.Issuers(ctx)
	for _, i := range issuers {
		for _, group := range i.Groups {
			if group == id && !i.Revoked {
				uses = append(uses, "the issuer "+i.Name)
				break
			}
		}
	}
	return uses, err
}

// AddMember puts a user, named by the id or the principal, into a user group. Who
// is in it already stays, and that is no mistake.
func (r *Register) AddMember(ctx context.Context, who auth.Caller, group, user string) (User, error) {
	return r.amendMember(ctx, who, group, user, true)
}

// RemoveMember takes a user out of a user group. Who is not in it is no mistake.
func (r *Register) RemoveMember(ctx context.Context, who auth.Caller, group, user string) (User, error) {
	return r.amendMember(ctx, who, group, user, false)
}

func (r *Register) amendMember(ctx context.Context, who auth.Caller, group, user string, in bool) (User, error) {
	const act = audit.ActChangeUserGroup
	if _, err := r.userGroup(ctx, who, act, group); err != nil {
		return User{}, err
	}
	err := named("User", user)
	var known auth.Person
	if err == nil {
		known, err = r.Records.PersonNamed(ctx, who.Tenant, user)
	}
	if err != nil {
		return User{}, r.refuse(ctx, who, act, group, err)
	}
	var member User
	err = r.amend(ctx, who, auth.AdministerAccess, act, group, func(ctx context.Context, a *amendment) error {
		if _, err := a.UserGroup(ctx, group); err != nil {
			return err
		}
		p, err := a.Person(ctx, known.ID)
		if err != nil {
			return err
		}
		was := p.Groups
		p.Groups = slices.DeleteFunc(slices.Clone(was), func(id string) bool { return id == group })
		var changes audit.Changes
		if in {
			p.Groups = append(p.Groups, group)
			slices.Sort(p.Groups)
			changes.AddList("members", nil, []string{p.ID})
		} else {
			changes.AddList("members", []string{p.ID}, nil)
		}
		member = userOf(a.policy, p)
		switch err := a.mayTouch(a.policy.Rights(was), a.policy.Rights(p.Groups)); {
		case err != nil:
			return err
		case len(p.Groups) == len(was):
			return nil
		case len(p.Groups) > MaxGroupsOf:
			return fault.InvalidInput.Errorf(nil, "User %s is in %d user groups already", p.ID, MaxGroupsOf)
		}
		if err := a.ChangePerson(ctx, p); err != nil {
			return err
		}
		return a.Record(ctx, r.changed(who, act, group, changes))
	})
	return member, err
}
