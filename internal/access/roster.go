package access

import (
	"context"
	"errors"
	"slices"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
)

// Roster is the people of a tenant, and who of them may do what, within one
// transaction that is alone among those which change it. What is not there is
// fault.NotFound.
type Roster interface {
	// Policy is who may do what at this moment, with what the transaction has
	// changed.
	Policy(ctx context.Context) (*auth.Policy, error)

	// Administered says whether there is a person who is not disabled and has the
	// built-in role.
	Administered(ctx context.Context) (bool, error)

	// Memberships are the sets of these user groups that people are in together,
	// each once, but for the empty one.
	Memberships(ctx context.Context, of []string) ([][]string, error)

	// Person finds a person by the id, or by the user principal name.
	Person(ctx context.Context, name string) (auth.Person, error)
	People(ctx context.Context) (int, error) // how many there are

	// AddPerson and ChangePerson keep a person with the user groups they are in,
	// which are there. A principal that another has is fault.InvalidInput.
	AddPerson(ctx context.Context, p auth.Person, c auth.Credential) error
	ChangePerson(ctx context.Context, p auth.Person) error

	Credential(ctx context.Context, person string) (auth.Credential, error)
	SetCredential(ctx context.Context, person string, c auth.Credential) error
	EndSessions(ctx context.Context, person string) (ended int, err error)

	// A name that another has is fault.InvalidInput, for all that have one.
	UserGroup(ctx context.Context, id string) (auth.UserGroup, error)
	UserGroups(ctx context.Context) (int, error) // how many there are
	AddUserGroup(ctx context.Context, g auth.UserGroup) error
	ChangeUserGroup(ctx context.Context, g auth.UserGroup) error
	DeleteUserGroup(ctx context.Context, id string) error // with who is in it

	AddRole(ctx context.Context, role auth.Role) error
	ChangeRole(ctx context.Context, role auth.Role) error // of the built-in one: the user groups
	DeleteRole(ctx context.Context, id string) error

	// NextDeviceGroup is an id that no device group of the tenant ever had.
	NextDeviceGroup(ctx context.Context) (int64, error)

	// SetDeviceGroups puts these in the place of all that there are.
	SetDeviceGroups(ctx context.Context, groups []device.Group) error

	Issuers(ctx context.Context) ([]auth.TrustedIssuer, error)

	// IssuersElsewhere are those of a URL that other tenants trust, without what is
	// revoked.
	IssuersElsewhere(ctx context.Context, url string) ([]auth.TrustedIssuer, error)
	AddIssuer(ctx context.Context, i auth.TrustedIssuer) error
	ChangeIssuer(ctx context.Context, i auth.TrustedIssuer) error

	Record(ctx context.Context, e audit.Entry) error
}

// amendment is a change of the roster by a caller, who is bound where it is a
// person without the built-in role:
//
//   - Nobody raises their own access: what they may do afterwards is within what
//     they might before.
//   - Nobody gives what they do not have: whoever can do more afterwards can do
//     nothing that the caller can't.
//   - Nobody touches those above: a person, role or user group that may do what
//     the caller may not stays as it is, and whoever can do less afterwards could
//     do nothing before that the caller can't. A device group out of the caller's
//     reach stays as it is.
//
// Applications that administer, and administrators, are bound by nothing of
// this: they may do everything as it is. For all of them the last administrator
// stays.
type amendment struct {
	Roster
	who    auth.Caller
	policy *auth.Policy // before
	bound  bool
	own    auth.Rights // the caller's before, where bound
	here   bool        // the caller is a person of this installation, where bound

	regranted []string // user groups that grant something else than before
	opened    bool     // a device group came, went, is open to all, or is no more: as if all user groups did
	moved     bool     // devices may be in other groups than before
}

// amend changes the roster by f, which records what it did. Nobody's rights are
// taken from the caller's token here, or from a memory: two people who take each
// other's rights away at the same time must not both succeed.
func (r *Register) amend(ctx context.Context, who auth.Caller, right auth.Right, act audit.Act, object string, f func(ctx context.Context, a *amendment) error) error {
	err := r.Records.ChangeRoster(ctx, who.Tenant, func(ctx context.Context, roster Roster) error {
		a := &amendment{Roster: roster, who: who}
		if err := a.begin(ctx, right); err != nil {
			return err
		}
		administered, err := a.Administered(ctx)
		if err == nil {
			err = f(ctx, a)
		}
		if err != nil {
			return err
		}
		return a.end(ctx, administered)
	})
	if err != nil {
		return r.refuse(ctx, who, act, object, err)
	}
	r.Logger.InfoContext(ctx, "who may do what changed", "act", string(act), "object", object, "caller", who.ID, "correlation", who.Correlation)
	return nil
}

// begin looks up what the caller may do, and that it is still enough.
func (a *amendment) begin(ctx context.Context, right auth.Right) (err error) {
	if a.policy, err = a.Policy(ctx); err != nil || a.who.Kind != auth.User {
		return err
	}
	p, err := a.Person(ctx, a.who.ID)
	switch {
	case errors.Is(err, fault.NotFound): // of another issuer
	case err != nil:
		return err
	case p.Disabled:
		return fault.Unauthorized.Errorf(nil, "The user of the access token is disabled") // as at the next request
	default:
		a.here, a.who.Person = true, a.policy.Rights(p.Groups)
	}
	a.own = a.who.Person
	a.bound = !a.own.Administrates()
	return a.who.Need(right)
}

// end looks at what became of everybody's rights.
func (a *amendment) end(ctx context.Context, administered bool) error {
	if administered {
		still, err := a.Administered(ctx)
		if err != nil {
			return err
		}
		if !still {
			return fault.DisallowedOperation.Errorf(nil,
				"Nobody would be left who holds the role %s: give it to another user who is not disabled, by one of its user groups, before this", auth.BuiltIn().Name)
		}
	}
	if !a.bound {
		return nil
	}
	after, err := a.Policy(ctx)
	if err != nil {
		return err
	}
	if a.here {
		p, err := a.Person(ctx, a.who.ID)
		if err != nil {
			return err
		}
		if !after.Rights(p.Groups).Within(a.own) {
			return errRaised
		}
	}
	if len(a.regranted) == 0 && !a.opened && !a.moved {
		return nil
	}
	if !a.here {
		// Which user groups the caller is in, only the other issuer knows.
		return fault.DisallowedOperation.Errorf(nil, "Roles and device groups are changed by administrators, and by users of this installation; you are another issuer's")
	}
	groups := mentioned(a.policy, after)
	if a.moved {
		if err := a.mayMove(groups, after); err != nil {
			return err
		}
	}
	return a.mayRegrant(ctx, groups, after)
}

// mayChange refuses to change a device group that the caller does not reach.
func (a *amendment) mayChange(g device.Group) error {
	if a.bound && !a.own.Reach.Has(g.ID) {
		return fault.DisallowedOperation.Errorf(nil, "Device group %d is changed by those who reach its devices; you do not", g.ID)
	}
	return nil
}

// mayMove refuses a caller who would have devices in other groups than before.
// What somebody reaches may be more by then, though it is the same groups: whoever
// did not reach everything may do no more than the caller, who does. Of a person
// that is so if it is of each of their user groups.
func (a *amendment) mayMove(groups []string, after *auth.Policy) error {
	if !a.own.Reach.All {
		return fault.DisallowedOperation.Errorf(nil, "Which devices are in which group is changed by those who reach all devices")
	}
	for _, id := range groups {
		if one := []string{id}; !a.policy.Rights(one).Reach.All && !after.Rights(one).Within(a.own) {
			return errGiven
		}
	}
	return nil
}

// mayRegrant refuses a caller by whom somebody would be able to do more than
// before, and in all what the caller may not, or less, and might in all what the
// caller may not. A user group counts though nobody is in it yet: other issuers'
// people may be.
func (a *amendment) mayRegrant(ctx context.Context, groups []string, after *auth.Policy) error {
	touched := a.regranted
	if a.opened {
		touched = groups
	}
	if len(touched) == 0 {
		return nil
	}
	sets, err := a.Memberships(ctx, groups)
	if err != nil {
		return err
	}
	for _, id := range touched {
		sets = append(sets, []string{id})
	}
	is := map[string]bool{} // whether a user group is one of those
	for _, id := range touched {
		is[id] = true
	}
	within := map[string]bool{} // whether all that a user group grants is the caller's, and was
	for _, id := range groups {
		within[id] = a.grants(a.policy, id) && a.grants(after, id)
	}
	for _, set := range sets {
		// What people may do by several user groups is within what each of these
		// grants, if that is the caller's.
		if !slices.ContainsFunc(set, func(id string) bool { return is[id] }) || !slices.ContainsFunc(set, func(id string) bool { return !within[id] }) {
			continue
		}
		before, now := a.policy.Rights(set), after.Rights(set)
		if !now.Within(before) && !now.Within(a.own) {
			return errGiven
		}
		if !before.Within(now) && !before.Within(a.own) {
			return errTaken
		}
	}
	return nil
}

// grants says whether the caller may and reaches all that a user group lets its
// people do and reach: also what it lets them reach alone, which another user
// group may let them do something with.
func (a *amendment) grants(policy *auth.Policy, group string) bool {
	one := []string{group}
	return auth.Rights{Permissions: policy.Rights(one).Permissions, Reach: policy.Groups.Reach(one)}.Within(a.own)
}

var (
	errRaised = fault.DisallowedOperation.Errorf(nil, "Nobody raises their own access: ask an administrator")
	errGiven  = fault.DisallowedOperation.Errorf(nil, "Somebody would be able to do more, and in all what you may not yourself: ask an administrator")
	errTaken  = fault.DisallowedOperation.Errorf(nil, "Somebody who may do what you may not yourself would be able to do less: ask an administrator")
	errAbove  = fault.DisallowedOperation.Errorf(nil, "The user, user group or role that this is about may do, before or after it, what you may not yourself: ask an administrator")
)

// mentioned are the user groups that roles and device groups name.
func mentioned(policies ...*auth.Policy) []string {
	var ids []string
	for _, p := range policies {
		for _, role := range p.Roles {
			ids = append(ids, role.Groups...)
		}
		for _, g := range p.Groups.All() {
			ids = append(ids, g.UserGroups...)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// mayTouch refuses where any of the rights, of one person or user group before
// and after a change, is not the caller's too.
func (a *amendment) mayTouch(rights ...auth.Rights) error {
	if a.bound && slices.ContainsFunc(rights, func(r auth.Rights) bool { return !r.Within(a.own) }) {
		return errAbove
	}
	return nil
}

// mayGrant refuses permissions that the caller does not hold.
func (a *amendment) mayGrant(permissions []auth.Permission) error {
	return a.mayTouch(auth.Rights{Permissions: permissions})
}

// groups are the user groups of these ids, each once and in order, if all are there.
func (a *amendment) groups(ctx context.Context, ids []string, most int) ([]string, error) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) > most {
		return nil, fault.InvalidInput.Errorf(nil, "There are %d user groups, at most %d may be", len(ids), most)
	}
	for _, id := range ids {
		err := named("User group", id)
		if err == nil {
			_, err = a.UserGroup(ctx, id)
		}
		if errors.Is(err, fault.NotFound) {
			return nil, fault.InvalidInput.Errorf(err, "User group %s was not found", audit.Clip(id))
		}
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}
