package access

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
)

// NewDeviceGroup is a device group to be made.
type NewDeviceGroup struct {
	Name        string
	Description string // may be empty
	Rank        int    // from 1; those of it and below move down. 0: the last
	Rule        device.Rule
	Groups      []string // ids of the user groups that may reach its devices; none: whoever has a role
}

// DeviceGroupChange is what is to become of a device group; nil: as it was.
type DeviceGroupChange struct {
	Naming
	Rank   *int
	Rule   *device.Rule
	Groups *[]string
}

// DeviceGroups returns the tenant's device groups in the order of their ranks,
// the default group last.
func (r *Register) DeviceGroups(ctx context.Context, who auth.Caller) ([]device.Group, error) {
	if err := r.permit(ctx, who, audit.ActReadDeviceGroup, who.Tenant, auth.AdministerAccess); err != nil {
		return nil, err
	}
	policy, err := r.Records.Policy(ctx, who.Tenant)
	if err != nil {
		return nil, err
	}
	return policy.Groups.All(), nil
}

// DeviceGroup returns one device group.
func (r *Register) DeviceGroup(ctx context.Context, who auth.Caller, id string) (device.Group, error) {
	return r.deviceGroup(ctx, who, audit.ActReadDeviceGroup, id)
}

// deviceGroup is one device group, for a caller who administers.
func (r *Register) deviceGroup(ctx context.Context, who auth.Caller, act audit.Act, id string) (device.Group, error) {
	if err := r.permit(ctx, who, act, id, auth.AdministerAccess); err != nil {
		return device.Group{}, err
	}
	policy, err := r.Records.Policy(ctx, who.Tenant)
	var g device.Group
	if err == nil {
		g, err = groupOf(policy, id)
	}
	if err != nil {
		return device.Group{}, r.refuse(ctx, who, act, id, err)
	}
	return g, nil
}

// groupOf is the device group of an id as it is written, which has one form.
func groupOf(policy *auth.Policy, id string) (device.Group, error) {
	if n, err := strconv.ParseInt(id, 10, 64); err == nil && strconv.FormatInt(n, 10) == id {
		if g, found := policy.Groups.Get(n); found {
			return g, nil
		}
	}
	return device.Group{}, fault.NotFound.Errorf(nil, "Device group %s was not found", audit.Clip(id))
}

func rule(rule device.Rule) error {
	if err := rule.Check(); err != nil {
		return fault.InvalidInput.Errorf(nil, "The rule can't be taken: %s", err.Error())
	}
	return nil
}

// MaxPreview is how many devices a preview shows.
const MaxPreview = 10

// Preview is what a rule matches, whatever groups there are.
type Preview struct {
	Devices []device.Device // the one enrolled last first, at most MaxPreview
	Count   int64           // of all that match
	Whole   bool            // false: there may be more, counting them would take too long
}

// PreviewRule says which devices within the caller's reach a rule matches.
func (r *Register) PreviewRule(ctx context.Context, who auth.Caller, read func() (device.Rule, error)) (Preview, error) {
	const act = audit.ActReadDeviceGroup
	if err := r.permit(ctx, who, act, who.Tenant, auth.AdministerAccess); err != nil {
		return Preview{}, err
	}
	asked, err := read()
	if err == nil {
		err = rule(asked)
	}
	if err != nil {
		return Preview{}, r.refuse(ctx, who, act, who.Tenant, err)
	}
	var p Preview
	p.Devices, p.Count, p.Whole, err = r.Records.Preview(ctx, who.Tenant, who.Reach(), asked, MaxPreview)
	return p, err
}

// CreateDeviceGroup makes a device group. Devices that match its rule leave the
// groups of lower ranks for it.
func (r *Register) CreateDeviceGroup(ctx context.Context, who auth.Caller, read func() (NewDeviceGroup, error)) (device.Group, error) {
	const act = audit.ActCreateDeviceGroup
	if err := r.permit(ctx, who, act, who.Tenant, auth.AdministerAccess); err != nil {
		return device.Group{}, err
	}
	n, err := read()
	if err == nil {
		err = Naming{&n.Name, &n.Description}.check()
	}
	if err == nil {
		err = rule(n.Rule)
	}
	if err != nil {
		return device.Group{}, r.refuse(ctx, who, act, who.Tenant, err)
	}
	var g device.Group
	err = r.amend(ctx, who, auth.AdministerAccess, act, who.Tenant, func(ctx context.Context, a *amendment) (err error) {
		all := a.policy.Groups.All()
		if len(all) > device.MaxGroups {
			return fault.InvalidInput.Errorf(nil, "The tenant has %d device groups already", device.MaxGroups)
		}
		g = device.Group{Name: n.Name, Description: n.Description, Rule: n.Rule.Fold()}
		if g.UserGroups, err = a.groups(ctx, n.Groups, MaxGroupsIn); err != nil {
			return err
		}
		rank := n.Rank
		if rank == 0 {
			rank = len(all) // the default group is among them
		}
		if g.ID, err = a.NextDeviceGroup(ctx); err != nil {
			return err
		}
		if all, err = ranked(all, g, rank); err != nil {
			return err
		}
		g.Rank = rank
		a.moved, a.opened = true, true
		if err := a.SetDeviceGroups(ctx, all); err != nil {
			return err
		}
		return a.Record(ctx, r.changed(who, act, strconv.FormatInt(g.ID, 10), deviceGroupChanges(device.Group{}, g)))
	})
	return g, err
}

// ranked are the groups with g at a rank, which may be there already. Ranks are
// dense: 1, 2, 3 …
func ranked(all []device.Group, g device.Group, rank int) ([]device.Group, error) {
	all = slices.DeleteFunc(slices.Clone(all), func(one device.Group) bool { return one.ID == g.ID })
	if rank < 1 || rank > len(all) { // the default group is among them, and stays the last
		return nil, fault.InvalidInput.Errorf(nil, "rank is not from 1 to %d", len(all))
	}
	return renumbered(slices.Insert(all, rank-1, g)), nil
}

func renumbered(all []device.Group) []device.Group {
	for i := range all {
		if all[i].ID != device.DefaultGroup {
			all[i].Rank = i + 1
		}
	}
	return all
}

func deviceGroupChanges(was, is device.Group) (c audit.Changes) {
	c.Add("name", was.Name, is.Name)
	c.Add("description", was.Description, is.Description)
	c.Add("rank", rankText(was.Rank), rankText(is.Rank))
	c.AddList("rule", conditions(was.Rule), conditions(is.Rule))
	c.AddList("userGroups", was.UserGroups, is.UserGroups)
	return c
}

func rankText(rank int) string {
	if rank == 0 {
		return ""
	}
	return strconv.Itoa(rank)
}

// conditions is a rule as people read it.
func conditions(rule device.Rule) []string {
	list := make([]string, len(rule))
	for i, c := range rule {
		list[i] = string(c.Property) + " " + string(c.Operator) + " " + strings.Join(c.Values, ", ")
	}
	return list
}

// ChangeDeviceGroup changes a device group; of the default one the description
// and the user groups alone can be others.
func (r *Register) ChangeDeviceGroup(ctx context.Context, who auth.Caller, id string, read func() (DeviceGroupChange, error)) (device.Group, error) {
	const act = audit.ActChangeDeviceGroup
	if _, err := r.deviceGroup(ctx, who, act, id); err != nil {
		return device.Group{}, err
	}
	n, err := read()
	if err == nil {
		err = n.check()
	}
	if err == nil && n.Rule != nil {
		err = rule(*n.Rule)
	}
	if err != nil {
		return device.Group{}, r.refuse(ctx, who, act, id, err)
	}
	var g device.Group
	err = r.amend(ctx, who, auth.AdministerAccess, act, id, func(ctx context.Context, a *amendment) (err error) {
		was, err := groupOf(a.policy, id)
		if err == nil {
			err = a.mayChange(was)
		}
		if err != nil {
			return err
		}
		g = was
		n.set(&g.Name, &g.Description)
		if g.ID == device.DefaultGroup && (g.Name != was.Name || n.Rank != nil || n.Rule != nil) {
			return errDefaultGroup
		}
		if n.Rule != nil {
			g.Rule = n.Rule.Fold()
		}
		if n.Groups != nil {
			if g.UserGroups, err = a.groups(ctx, *n.Groups, MaxGroupsIn); err != nil {
				return err
			}
		}
		all := a.policy.Groups.All()
		if n.Rank != nil {
			if all, err = ranked(all, g, *n.Rank); err != nil {
				return err
			}
			g.Rank = *n.Rank
		} else {
			all[slices.IndexFunc(all, func(one device.Group) bool { return one.ID == g.ID })] = g
		}
		changes := deviceGroupChanges(was, g)
		if changes.Empty() {
			return nil
		}
		if !slices.Equal(was.UserGroups, g.UserGroups) {
			a.regranted = append(slices.Clone(was.UserGroups), g.UserGroups...)
			a.opened = len(was.UserGroups) == 0 || len(g.UserGroups) == 0
		}
		a.moved = was.Rank != g.Rank || !slices.Equal(conditions(was.Rule), conditions(g.Rule))
		if err := a.SetDeviceGroups(ctx, all); err != nil {
			return err
		}
		return a.Record(ctx, r.changed(who, act, id, changes))
	})
	return g, err
}

var errDefaultGroup = fault.DisallowedOperation.Errorf(nil,
	"The group %s has the devices that match no rule: its name, its rank and that it is there can't be changed", device.DefaultGroupName)

// DeleteDeviceGroup deletes a device group and returns it as it was. Its devices
// are in the group of the next rank whose rule they match.
func (r *Register) DeleteDeviceGroup(ctx context.Context, who auth.Caller, id string) (device.Group, error) {
	const act = audit.ActDeleteDeviceGroup
	if _, err := r.deviceGroup(ctx, who, act, id); err != nil {
		return device.Group{}, err
	}
	var g device.Group
	err := r.amend(ctx, who, auth.AdministerAccess, act, id, func(ctx context.Context, a *amendment) (err error) {
		if g, err = groupOf(a.policy, id); err != nil {
			return err
		}
		if g.ID == device.DefaultGroup {
			return errDefaultGroup
		}
		if err := a.mayChange(g); err != nil {
			return err
		}
		a.moved, a.opened = true, true
		all := slices.DeleteFunc(a.policy.Groups.All(), func(one device.Group) bool { return one.ID == g.ID })
		if err := a.SetDeviceGroups(ctx, renumbered(all)); err != nil {
			return err
		}
		return a.Record(ctx, r.changed(who, act, id, deviceGroupChanges(g, device.Group{})))
	})
	return g, err
}

// OrderDeviceGroups gives all device groups the ranks in which read names them,
// the default one apart, which has none.
func (r *Register) OrderDeviceGroups(ctx context.Context, who auth.Caller, read func() ([]int64, error)) ([]device.Group, error) {
	const act = audit.ActOrderDeviceGroups
	if err := r.permit(ctx, who, act, who.Tenant, auth.AdministerAccess); err != nil {
		return nil, err
	}
	ids, err := read()
	if err != nil {
		return nil, r.refuse(ctx, who, act, who.Tenant, err)
	}
	var all []device.Group
	err = r.amend(ctx, who, auth.AdministerAccess, act, who.Tenant, func(ctx context.Context, a *amendment) (err error) {
		all = nil
		var was, is []string
		for _, id := range ids {
			g, found := a.policy.Groups.Get(id)
			if !found || id == device.DefaultGroup || slices.ContainsFunc(all, func(one device.Group) bool { return one.ID == id }) {
				return fault.InvalidInput.Errorf(nil, "ids has one twice, or one that is no device group with a rank: %d", id)
			}
			all = append(all, g)
			is = append(is, strconv.FormatInt(id, 10))
		}
		before := a.policy.Groups.All()
		if len(all) != len(before)-1 {
			return fault.InvalidInput.Errorf(nil, "ids has %d device groups; name all %d that have a rank", len(all), len(before)-1)
		}
		for _, g := range before[:len(all)] {
			was = append(was, strconv.FormatInt(g.ID, 10))
		}
		all = renumbered(append(all, before[len(all)]))
		var changes audit.Changes
		changes.AddList("ids", was, is)
		if changes.Empty() {
			return nil
		}
		a.moved = true
		if err := a.SetDeviceGroups(ctx, all); err != nil {
			return err
		}
		return a.Record(ctx, r.changed(who, act, who.Tenant, changes))
	})
	return all, err
}
