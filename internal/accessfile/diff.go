package accessfile

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"swab/internal/device"
)

// Options say what Diff may do.
type Options struct {
	RevokeMissing bool // revoke applications and issuers that the file does not name, rather than tell of them
}

// Diff lists what leads from what there is, all of it, to what a file wants, in an
// order in which it can be done: what is named before what names it, and what takes
// away last, so that whoever shall administer does so before others cease to. It
// refuses a file that names what is not there, or that leaves something naming
// what goes.
func Diff(have, want File, o Options) ([]Change, error) {
	have, want = have.inOrder(), want.inOrder()
	d := &differ{have: have, want: want, options: o}
	d.check()
	d.userGroups()
	d.users()
	d.deviceGroups()
	d.roles()
	d.applications()
	d.issuers()
	if err := errors.Join(d.problems...); err != nil {
		return nil, err
	}
	changes := d.early
	for _, at := range d.late {
		changes = append(changes, at...)
	}
	return changes, nil
}

type differ struct {
	have, want File
	options    Options
	problems   []error
	early      []Change
	late       [stages][]Change // what takes away
}

// The stages of taking away: what names another thing goes before it.
const (
	lateIssuer = iota
	lateApplication
	lateRole
	lateDeviceGroup
	lateMembers
	lateUser
	lateUserGroup
	stages
)

// stageOf is when a thing is removed.
var stageOf = map[Kind]int{
	OfIssuer: lateIssuer, OfApplication: lateApplication, OfRole: lateRole, OfDeviceGroup: lateDeviceGroup, OfUser: lateUser, OfUserGroup: lateUserGroup,
}

func (d *differ) say(format string, args ...any) {
	d.problems = append(d.problems, fmt.Errorf(format, args...))
}

// check looks at what the wanted names, and at what is left and names.
func (d *differ) check() {
	groups, removed := map[string]bool{}, map[string]string{}
	if d.want.UserGroups == nil {
		for _, g := range d.have.UserGroups {
			groups[fold(g.Name)] = true
		}
	} else {
		for _, g := range d.want.UserGroups {
			groups[fold(g.Name)] = true
		}
	}
	for _, g := range d.have.UserGroups {
		if !groups[fold(g.Name)] {
			removed[fold(g.Name)] = g.Name
		}
	}
	needs := func(kind Kind, name string, list []string, wanted bool) {
		for _, one := range list {
			switch gone, was := removed[fold(one)]; {
			case groups[fold(one)]:
			case wanted && !was:
				d.say("%s %s: there is no user group %s", kind, worded(name), worded(one))
			default:
				d.say("%s %s names the user group %s, which the file does not have", kind, worded(name), worded(gone))
			}
		}
	}
	for _, r := range left(d.want.Roles, d.have.Roles, Role.builtIn) {
		needs(OfRole, r.Name, r.UserGroups, d.want.Roles != nil)
	}
	for _, g := range left(d.want.DeviceGroups, d.have.DeviceGroups, DeviceGroup.isDefault) {
		needs(OfDeviceGroup, g.Name, g.UserGroups, d.want.DeviceGroups != nil)
	}
	for _, i := range left(d.want.Issuers, d.have.Issuers, func(Issuer) bool { return false }) {
		for _, theirs := range sortedKeys(i.Groups) {
			needs(OfIssuer, i.Name, []string{i.Groups[theirs]}, d.want.Issuers != nil)
		}
	}
	users := map[string]bool{}
	for _, u := range append(slices.Clone(d.have.Users), d.want.Users...) {
		users[u.Principal] = true
	}
	for _, g := range d.want.UserGroups {
		for _, m := range g.Members {
			if !users[m] {
				d.say("user group %s: there is no user %s", worded(g.Name), worded(m))
			}
		}
	}
}

// left is what a section comes to: what is wanted, or else what there is; with
// what stays where it is not named.
func left[T any](want, have []T, stays func(T) bool) []T {
	if want == nil {
		return have
	}
	if i := slices.IndexFunc(have, stays); i >= 0 && !slices.ContainsFunc(want, stays) {
		return append(slices.Clone(want), have[i])
	}
	return want
}

// pairs calls f for what is wanted, with what there is of it, if it is there; and
// gone for what there is and is not wanted.
func pairs[T any](have, want []T, name func(T) string, f func(was *T, is T), gone func(T)) {
	was := map[string]*T{}
	for i := range have {
		was[fold(name(have[i]))] = &have[i]
	}
	for _, w := range want {
		f(was[fold(name(w))], w)
		delete(was, fold(name(w)))
	}
	for _, h := range have {
		if was[fold(name(h))] != nil {
			gone(h)
		}
	}
}

// put adds or alters, where anything differs.
func (d *differ) put(kind Kind, there bool, name, id string, p parts) {
	switch {
	case !there:
		d.early = append(d.early, Change{Verb: Add, Kind: kind, Name: name, ID: id, Parts: p})
	case len(p) > 0:
		d.early = append(d.early, Change{Verb: Alter, Kind: kind, Name: name, ID: id, Parts: p})
	}
}

func (d *differ) remove(kind Kind, name, id string) {
	d.late[stageOf[kind]] = append(d.late[stageOf[kind]], Change{Verb: Remove, Kind: kind, Name: name, ID: id})
}

func (d *differ) userGroups() {
	pairs(d.have.UserGroups, d.want.UserGroups, func(g UserGroup) string { return g.Name }, func(was *UserGroup, is UserGroup) {
		there := was != nil
		if !there {
			was = &UserGroup{}
		}
		var p parts
		p.renamed(was.Name, is.Name)
		p.text("description", was.Description, is.Description)
		d.put(OfUserGroup, there, is.Name, "", p)
	}, func(g UserGroup) {
		if d.want.UserGroups != nil {
			d.remove(OfUserGroup, g.Name, "")
		}
	})
}

// users come when their user groups are there, and go when they have left them.
func (d *differ) users() {
	pairs(d.have.Users, d.want.Users, func(u User) string { return u.Principal }, func(was *User, is User) {
		there := was != nil
		if !there {
			was = &User{}
		}
		var p parts
		p.text("name", was.Name, is.Name)
		switch {
		case there && was.Disabled && !is.Disabled:
			p = append(p, Part{Field: "enabled"})
		case !there && is.Disabled:
			p = append(p, Part{Field: "disabled"})
		case is.Disabled && !was.Disabled:
			d.remove(OfUser, is.Principal, "")
		}
		d.put(OfUser, there, is.Principal, "", p)
	}, func(u User) {
		if d.want.Users != nil && !u.Disabled {
			d.remove(OfUser, u.Principal, "")
		}
	})
	if d.want.UserGroups == nil {
		return
	}
	pairs(d.have.UserGroups, d.want.UserGroups, func(g UserGroup) string { return g.Name }, func(was *UserGroup, is UserGroup) {
		if was == nil {
			was = &UserGroup{}
		}
		if join := without(is.Members, was.Members, exactly); len(join) > 0 {
			d.early = append(d.early, Change{Verb: Alter, Kind: OfUserGroup, Name: is.Name, Join: join, Parts: []Part{{Field: "members", Given: join}}})
		}
		if leave := without(was.Members, is.Members, exactly); len(leave) > 0 {
			d.late[lateMembers] = append(d.late[lateMembers], Change{Verb: Alter, Kind: OfUserGroup, Name: is.Name, Leave: leave, Parts: []Part{{Field: "members", Taken: leave}}})
		}
	}, func(UserGroup) {})
}

func (d *differ) roles() {
	pairs(d.have.Roles, d.want.Roles, func(r Role) string { return r.Name }, func(was *Role, is Role) {
		there := was != nil
		if !there {
			was = &Role{}
		}
		var p parts
		if !is.builtIn() {
			p.renamed(was.Name, is.Name)
			p.text("description", was.Description, is.Description)
			p.list("permissions", was.Permissions, is.Permissions, exactly)
		} else if !there {
			is.Name, there = BuiltIn, true
		}
		p.list("userGroups", was.UserGroups, is.UserGroups, fold)
		d.put(OfRole, there, is.Name, "", p)
	}, func(r Role) {
		if d.want.Roles != nil && !r.builtIn() {
			d.remove(OfRole, r.Name, "")
		}
	})
}

func (d *differ) deviceGroups() {
	ranks := d.ranks()
	pairs(d.have.DeviceGroups, d.want.DeviceGroups, func(g DeviceGroup) string { return g.Name }, func(was *DeviceGroup, is DeviceGroup) {
		there := was != nil
		if !there {
			was = &DeviceGroup{}
		}
		if is.isDefault() {
			is.Name, there = device.DefaultGroupName, true
			was.Name = is.Name
		}
		var p parts
		p.renamed(was.Name, is.Name)
		p.text("description", was.Description, is.Description)
		p.composed("rule", conditions(was.Rule), conditions(is.Rule))
		p.list("userGroups", was.UserGroups, is.UserGroups, fold)
		if len(is.UserGroups) == 0 && (!there || len(was.UserGroups) > 0) {
			p = append(p, Part{Field: "open to everybody who has a role"})
		}
		place, moved := ranks[fold(is.Name)]
		if moved {
			p = append(p, Part{Field: "rank", Given: []string{strconv.Itoa(place.final)}, Replaced: true})
		}
		before := len(d.early)
		d.put(OfDeviceGroup, there, is.Name, "", p)
		if len(d.early) > before {
			d.early[before].Rank = place.now
		}
	}, func(g DeviceGroup) {
		if d.want.DeviceGroups != nil && !g.isDefault() {
			d.remove(OfDeviceGroup, g.Name, "")
		}
	})
}

// conditions are those of a rule, each as people read it. Their order, and that of
// their values, means nothing.
func conditions(rule device.Rule) []said {
	list := make([]said, len(rule))
	folded := rule.Fold()
	for i := range rule {
		list[i] = said{condition(rule[i]), condition(folded[i])}
	}
	slices.SortFunc(list, func(a, b said) int { return strings.Compare(a.mark, b.mark) })
	return list
}

func condition(c device.Condition) string {
	values := sorted(c.Values)
	for i, v := range values {
		values[i] = worded(v)
	}
	return fmt.Sprintf("%s %s %s", c.Property, c.Operator, strings.Join(values, " or "))
}

func (d *differ) applications() {
	byID, byName := map[string]int{}, map[string][]int{}
	for i, a := range d.have.Applications {
		byID[fold(a.ClientID)] = i
		byName[fold(a.Name)] = append(byName[fold(a.Name)], i)
	}
	named := map[int]bool{}
	for _, is := range d.want.Applications {
		at, there := byID[fold(is.ClientID)]
		switch same := byName[fold(is.Name)]; {
		case is.ClientID != "" && !there:
			d.say("application %s: there is none with the client id %s; leave the id out to make one", worded(is.Name), worded(is.ClientID))
			continue
		case is.ClientID == "" && len(same) > 1:
			d.say("application %s: %d are called so; give each its clientId, as swab app list shows it", worded(is.Name), len(same))
			continue
		case is.ClientID == "" && len(same) == 1:
			at, there = same[0], true
		case is.ClientID == "":
			there = false
		}
		var was Application
		if there {
			was = d.have.Applications[at]
			if named[at] {
				d.say("application %s: the file names it twice, by its name and by its client id %s", worded(is.Name), was.ClientID)
			}
			named[at] = true
		}
		var p parts
		p.renamed(was.Name, is.Name)
		if was.Public != is.Public {
			p.text("public", strconv.FormatBool(was.Public), strconv.FormatBool(is.Public))
		}
		p.list("redirects", was.Redirects, is.Redirects, exactly)
		p.list("scopes", was.Scopes, is.Scopes, exactly)
		p.list("roles", was.Roles, is.Roles, exactly)
		d.put(OfApplication, there, is.Name, was.ClientID, p)
	}
	for i, a := range d.have.Applications {
		if d.want.Applications != nil && !named[i] {
			d.stray(OfApplication, a.Name, a.ClientID)
		}
	}
}

// stray is what is revoked where that was asked for, and else told of.
func (d *differ) stray(kind Kind, name, id string) {
	if d.options.RevokeMissing {
		d.remove(kind, name, id)
		return
	}
	d.early = append(d.early, Change{Verb: Stray, Kind: kind, Name: name, ID: id})
}

// issuers are known by name and URL together: an issuer at another address is
// another one.
func (d *differ) issuers() {
	known := func(i Issuer) string { return i.Name + "\x00" + i.URL }
	twice := map[string]bool{}
	for _, i := range d.have.Issuers {
		if twice[fold(known(i))] && d.want.Issuers != nil {
			d.say("issuer %s: two of %s are called so; revoke one by its id, as swab issuer list shows it", worded(i.Name), i.URL)
		}
		twice[fold(known(i))] = true
	}
	pairs(d.have.Issuers, d.want.Issuers, known, func(was *Issuer, is Issuer) {
		there := was != nil
		if !there {
			was = &Issuer{}
		}
		var p parts
		p.renamed(was.Name, is.Name)
		p.text("url", was.URL, is.URL)
		p.text("keys", was.Keys, is.Keys)
		p.list("audiences", was.Audiences, is.Audiences, exactly)
		p.composed("claims", was.Claims.rows(), is.Claims.rows())
		p.composed("groups", rows(was.Groups), rows(is.Groups))
		p.composed("roles", rows(was.Roles), rows(is.Roles))
		p.list("networks", was.Networks, is.Networks, exactly)
		d.put(OfIssuer, there, is.Name, is.URL, p)
	}, func(i Issuer) {
		if d.want.Issuers != nil {
			d.stray(OfIssuer, i.Name, i.URL)
		}
	})
}

func (c Claims) rows() []said {
	list := rows(map[string]string{
		"person": c.Person, "principal": c.Principal, "groups": c.Groups, "application": c.Application, "roles": c.Roles, "scopes": c.Scopes,
	})
	for i := range list {
		list[i].mark = list[i].shown // upper and lower case matter
	}
	return list
}

// rows are those of a table that have a value, each as people read it. Our own
// words are compared without regard to case.
func rows(table map[string]string) (list []said) {
	for _, theirs := range sortedKeys(table) {
		if ours := table[theirs]; ours != "" {
			list = append(list, said{worded(theirs) + "=" + worded(ours), theirs + "\x00" + fold(ours)})
		}
	}
	return list
}
