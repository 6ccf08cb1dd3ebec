package access_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"swab/internal/access"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
)

// refused wants an operation refused as nobody's to do, and that in the log.
func (o office) refused(what string, act audit.Act, err error) {
	o.t.Helper()
	leaf, _ := o.changes()
	if !errors.Is(err, fault.DisallowedOperation) || leaf.Act != act || leaf.Result != audit.Refused || leaf.Detail != string(fault.DisallowedOperation) {
		o.t.Errorf("%s: %v, entry %+v", what, err, leaf)
	}
}

func TestLastPersonWhoAdministersStays(t *testing.T) {
	o := newOffice(t)
	first, _, err := o.CreateUser(t.Context(), admin, as(access.NewUser{Principal: "ann@contoso.example", Administrator: true}))
	must(t, err)
	group := first.Groups[0]
	gone := o.user("bob@contoso.example", group)
	_, err = o.DisableUser(t.Context(), admin, gone.ID) // who may not count
	must(t, err)
	other := o.group("Others") // in which there is nobody
	roleOf := func(groups ...string) error {
		_, err := o.ChangeRole(t.Context(), admin, auth.AdministratorRole, as(access.RoleChange{Groups: &groups}))
		return err
	}
	deeds := []struct {
		name string
		act  audit.Act
		do   func() error
	}{
		{"disable", audit.ActDisableUser, func() error { _, err := o.DisableUser(t.Context(), admin, first.ID); return err }},
		{"take out of the group", audit.ActChangeUserGroup, func() error { _, err := o.RemoveMember(t.Context(), admin, group, first.ID); return err }},
		{"take all groups from", audit.ActChangeUser, func() error {
			_, err := o.ChangeUser(t.Context(), admin, first.ID, as(access.UserChange{Groups: &[]string{}}))
			return err
		}},
		{"give the role to others than", audit.ActChangeRole, func() error { return roleOf(other) }},
	}
	for _, deed := range deeds {
		o.refused(deed.name+" the last administrator", deed.act, deed.do())
	}
	o.refused("give the role to nobody", audit.ActChangeRole, roleOf())
	second := o.user("eve@contoso.example", other)
	must(t, roleOf(group, other))
	for _, deed := range deeds {
		if err := deed.do(); err != nil {
			t.Errorf("%s one of two administrators: %v", deed.name, err)
		}
		must(t, roleOf(group, other))
		_, err = o.EnableUser(t.Context(), admin, first.ID)
		must(t, err)
		_, err = o.AddMember(t.Context(), admin, group, first.ID)
		must(t, err)
	}
	_, err = o.DisableUser(t.Context(), o.as(first.Person), second.ID)
	must(t, err)
	_, err = o.DisableUser(t.Context(), o.as(first.Person), first.ID)
	o.refused("disable oneself, the last", audit.ActDisableUser, err)
}

func TestLastApplicationMayGoWhereAPersonAdministers(t *testing.T) {
	o := newOffice(t)
	app, err := addApp(t, o.Register, admin, auth.Administer)
	must(t, err)
	bare, err := o.ChangeApp(t.Context(), admin, app.ID, as(access.AppChange{Roles: &[]string{}}))
	if !errors.Is(err, fault.DisallowedOperation) {
		t.Errorf("take the permission from the last: %+v, %v", bare, err)
	}
	ann, _, err := o.CreateUser(t.Context(), admin, as(access.NewUser{Principal: "ann@contoso.example", Administrator: true}))
	must(t, err)
	if _, err := o.RemoveSecret(t.Context(), admin, app.ID, app.Secrets[0].ID); err != nil {
		t.Errorf("remove its secret: %v", err)
	}
	if _, err := o.RevokeApp(t.Context(), o.as(ann.Person), app.ID); err != nil {
		t.Errorf("revoke it: %v", err)
	}
	_, err = o.DisableUser(t.Context(), o.as(ann.Person), ann.ID)
	o.refused("disable the last administrator of all", audit.ActDisableUser, err)
}

// Two administrators who shut each other out at the same time: one stays.
func TestTwoAdministratorsDoNotShutEachOtherOut(t *testing.T) {
	o := newOffice(t)
	for i := range 5 {
		var pair [2]access.User
		for j := range pair {
			var err error
			pair[j], _, err = o.CreateUser(t.Context(), admin, as(access.NewUser{Principal: fmt.Sprintf("a%d.%d@contoso.example", i, j), Administrator: true}))
			must(t, err)
		}
		if i > 0 { // those of before
			page, err := o.Users(t.Context(), admin, as(access.Paging{}))
			must(t, err)
			for _, u := range page.Users {
				if u.ID != pair[0].ID && u.ID != pair[1].ID && !u.Disabled {
					_, err := o.DisableUser(t.Context(), admin, u.ID)
					must(t, err)
				}
			}
		}
		callers := [2]auth.Caller{o.as(pair[0].Person), o.as(pair[1].Person)}
		var errs [2]error
		var both sync.WaitGroup
		for j := range pair {
			both.Go(func() { _, errs[j] = o.DisableUser(t.Context(), callers[j], pair[1-j].ID) })
		}
		both.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("disabled by each other: %v, %v", errs[0], errs[1])
		}
	}
}

func TestBuiltInRoleAndDefaultGroupStay(t *testing.T) {
	o := newOffice(t)
	change := func(what string, c access.RoleChange) {
		_, err := o.ChangeRole(t.Context(), admin, auth.AdministratorRole, as(c))
		o.refused(what, audit.ActChangeRole, err)
	}
	change("rename", access.RoleChange{Naming: access.Naming{Name: new("x")}})
	change("describe", access.RoleChange{Naming: access.Naming{Description: new("x")}})
	change("take permissions", access.RoleChange{Permissions: &[]auth.Permission{}})
	_, err := o.DeleteRole(t.Context(), admin, auth.AdministratorRole)
	o.refused("delete", audit.ActDeleteRole, err)
	for _, name := range []string{"Administrator", "ADMINISTRATOR"} {
		if _, err := o.CreateRole(t.Context(), admin, as(access.NewRole{Name: name})); !errors.Is(err, fault.InvalidInput) {
			t.Errorf("another role %s: %v", name, err)
		}
	}
	if _, err := o.CreateRole(t.Context(), admin, as(access.NewRole{Name: "x", Permissions: []auth.Permission{auth.Administrator}})); !errors.Is(err, fault.InvalidInput) {
		t.Errorf("another role that administers: %v", err)
	}
	byDefault := func(what string, c access.DeviceGroupChange) {
		_, err := o.ChangeDeviceGroup(t.Context(), admin, "0", as(c))
		o.refused(what, audit.ActChangeDeviceGroup, err)
	}
	byDefault("rename", access.DeviceGroupChange{Naming: access.Naming{Name: new("x")}})
	byDefault("rank", access.DeviceGroupChange{Rank: new(1)})
	byDefault("give a rule", access.DeviceGroupChange{Rule: new(tagged("x"))})
	_, err = o.DeleteDeviceGroup(t.Context(), admin, "0")
	o.refused("delete", audit.ActDeleteDeviceGroup, err)
	group := o.group("Responders")
	g, err := o.ChangeDeviceGroup(t.Context(), admin, "0", as(access.DeviceGroupChange{Naming: access.Naming{Description: new("the rest")}, Groups: &[]string{group}}))
	if err != nil || g.Description != "the rest" || !slices.Equal(g.UserGroups, []string{group}) || g.Name != device.DefaultGroupName {
		t.Errorf("its user groups: %+v, %v", g, err)
	}
	if again, err := o.DeviceGroup(t.Context(), admin, "0"); err != nil || again.Description != g.Description {
		t.Errorf("DeviceGroup(0) = %+v, %v", again, err)
	}
	if _, err := o.CreateDeviceGroup(t.Context(), admin, as(access.NewDeviceGroup{Name: strings.ToUpper(device.DefaultGroupName), Rule: tagged("x")})); !errors.Is(err, fault.InvalidInput) {
		t.Errorf("another group of its name: %v", err)
	}
}

func TestUserGroupInUseStays(t *testing.T) {
	o := newOffice(t)
	group := o.group("Responders")
	ann := o.user("ann@contoso.example", group)
	uses := []struct {
		name string
		take func() error
	}{}
	role := o.role("Reader", []auth.Permission{auth.ViewData}, group)
	uses = append(uses, struct {
		name string
		take func() error
	}{"the role Reader", func() error { _, err := o.DeleteRole(t.Context(), admin, role); return err }})
	devices := o.devices("Zürich", group)
	uses = append(uses, struct {
		name string
		take func() error
	}{"the device group Zürich", func() error {
		_, err := o.ChangeDeviceGroup(t.Context(), admin, devices, as(access.DeviceGroupChange{Groups: &[]string{}}))
		return err
	}})
	issuer, err := o.CreateIssuer(t.Context(), admin, as(auth.TrustedIssuer{Name: "Entra ID", URL: "https://x.example", Audiences: []string{"y"}, Groups: map[string]string{"a": group}}))
	must(t, err)
	uses = append(uses, struct {
		name string
		take func() error
	}{"the issuer Entra ID", func() error { _, err := o.RevokeIssuer(t.Context(), admin, issuer.ID); return err }})
	for _, use := range uses {
		if _, err := o.DeleteUserGroup(t.Context(), admin, group); !errors.Is(err, fault.BadRequest) || !strings.Contains(err.Error(), use.name) {
			t.Errorf("delete, in use by %s: %v", use.name, err)
		}
		must(t, use.take())
	}
	if _, err := o.DeleteUserGroup(t.Context(), admin, group); err != nil {
		t.Errorf("delete what nothing names: %v", err)
	}
	if got, err := o.User(t.Context(), admin, ann.ID); err != nil || len(got.Groups) != 0 {
		t.Errorf("who was in it: %+v, %v", got, err)
	}
	if _, err := o.UserGroup(t.Context(), admin, group); !errors.Is(err, fault.NotFound) {
		t.Errorf("UserGroup() after that: %v", err)
	}
}

func TestRanksAreDenseAndIDsNeverUsedAgain(t *testing.T) {
	o := newOffice(t)
	want := []int64{} // by rank
	next := int64(0)
	check := func(what string) {
		t.Helper()
		groups, err := o.DeviceGroups(t.Context(), admin)
		must(t, err)
		for i, g := range groups {
			if last := i == len(groups)-1; last != (g.ID == device.DefaultGroup) || !last && (g.Rank != i+1 || g.ID != want[i]) || last && g.Rank != 0 {
				t.Errorf("%s: rank %d has group %d at place %d, want %v", what, g.Rank, g.ID, i, want)
			}
		}
		if len(groups) != len(want)+1 {
			t.Errorf("%s: %d groups, want %v", what, len(groups), want)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		place := func(name string) int { return rapid.IntRange(1, max(1, len(want))).Draw(rt, name) }
		for range rapid.IntRange(1, 6).Draw(rt, "steps") {
			switch what := rapid.SampledFrom([]string{"create", "create", "move", "delete", "order"}).Draw(rt, "what"); {
			case what == "create" || len(want) == 0:
				rank := rapid.IntRange(0, len(want)+1).Draw(rt, "rank")
				next++
				g, err := o.CreateDeviceGroup(t.Context(), admin, as(access.NewDeviceGroup{Name: fmt.Sprint("group ", next), Rank: rank, Rule: tagged("x")}))
				if rank == 0 {
					rank = len(want) + 1
				}
				if err != nil || g.ID != next || g.Rank != rank {
					t.Fatalf("create at %d: %+v, %v; want %d", rank, g, err, next)
				}
				want = slices.Insert(want, rank-1, next)
			case what == "move":
				from, to := place("from"), place("to")
				id := want[from-1]
				_, err := o.ChangeDeviceGroup(t.Context(), admin, strconv.FormatInt(id, 10), as(access.DeviceGroupChange{Rank: &to}))
				must(t, err)
				want = slices.Insert(slices.Delete(want, from-1, from), to-1, id)
			case what == "delete":
				at := place("which")
				_, err := o.DeleteDeviceGroup(t.Context(), admin, strconv.FormatInt(want[at-1], 10))
				must(t, err)
				want = slices.Delete(want, at-1, at)
			case what == "order":
				want = rapid.Permutation(want).Draw(rt, "order")
				_, err := o.OrderDeviceGroups(t.Context(), admin, as(slices.Clone(want)))
				must(t, err)
			}
			check("after that")
		}
	})
	for what, ids := range map[string][]int64{"one too few": want[1:], "one twice": append(slices.Clone(want[1:]), want[1]), "the default group": append(slices.Clone(want[1:]), 0), "nobody's": append(slices.Clone(want[1:]), next+1)} {
		if _, err := o.OrderDeviceGroups(t.Context(), admin, as(ids)); !errors.Is(err, fault.InvalidInput) {
			t.Errorf("order with %s: %v", what, err)
		}
	}
	for _, rank := range []int{-1, len(want) + 2} {
		if _, err := o.CreateDeviceGroup(t.Context(), admin, as(access.NewDeviceGroup{Name: "x", Rank: rank, Rule: tagged("x")})); !errors.Is(err, fault.InvalidInput) {
			t.Errorf("rank %d: %v", rank, err)
		}
	}
	check("after what was refused")
}

// company is an office with a manager who holds two permissions and reaches all
// devices, somebody above them, somebody beside, and somebody below.
type company struct {
	office
	manager, above, beside, below auth.Person
	managers, analysts, readers   string // user groups
	managing, analysing, reading  string // roles
}

func newCompany(t *testing.T) company {
	o := newOffice(t)
	c := company{office: o, managers: o.group("Managers"), analysts: o.group("Analysts"), readers: o.group("Readers")}
	c.managing = o.role("Manager", []auth.Permission{auth.ManagePortal, auth.ViewData}, c.managers)
	c.analysing = o.role("Analyst", []auth.Permission{auth.ViewData, auth.AlertsInvestigation}, c.analysts)
	c.reading = o.role("Reader", []auth.Permission{auth.ViewData}, c.readers)
	c.manager, c.above = o.user("manager@contoso.example", c.managers), o.user("analyst@contoso.example", c.analysts)
	c.beside, c.below = o.user("other@contoso.example", c.managers), o.user("reader@contoso.example", c.readers)
	return c
}

func TestNobodyRaisesTheirOwnAccessOrGivesWhatTheyLack(t *testing.T) {
	c := newCompany(t)
	o, me := c.office, c.as(c.manager)
	devices := o.devices("Vault", c.analysts) // which the manager does not reach
	me.Person = o.rights(c.manager.ID)
	more := []auth.Permission{auth.ManagePortal, auth.ViewData, auth.LiveResponseBasic}
	empty := o.group("Nobody yet")
	for name, do := range map[string]func() (audit.Act, error){
		"put oneself into a group above": func() (audit.Act, error) {
			_, err := o.AddMember(t.Context(), me, c.analysts, c.manager.ID)
			return audit.ActChangeUserGroup, err
		},
		"change one's own groups": func() (audit.Act, error) {
			_, err := o.ChangeUser(t.Context(), me, c.manager.ID, as(access.UserChange{Groups: &[]string{c.managers, c.analysts}}))
			return audit.ActChangeUser, err
		},
		"give one's own role more": func() (audit.Act, error) {
			_, err := o.ChangeRole(t.Context(), me, c.managing, as(access.RoleChange{Permissions: &more}))
			return audit.ActChangeRole, err
		},
		"give one's own group another role": func() (audit.Act, error) {
			_, err := o.ChangeRole(t.Context(), me, c.analysing, as(access.RoleChange{Groups: &[]string{c.analysts, c.managers}}))
			return audit.ActChangeRole, err
		},
		"give one's own group the built-in role": func() (audit.Act, error) {
			_, err := o.ChangeRole(t.Context(), me, auth.AdministratorRole, as(access.RoleChange{Groups: &[]string{c.managers}}))
			return audit.ActChangeRole, err
		},
		"let one's own group reach more": func() (audit.Act, error) {
			_, err := o.ChangeDeviceGroup(t.Context(), me, devices, as(access.DeviceGroupChange{Groups: &[]string{c.analysts, c.managers}}))
			return audit.ActChangeDeviceGroup, err
		},
		"open a device group to all": func() (audit.Act, error) {
			_, err := o.ChangeDeviceGroup(t.Context(), me, devices, as(access.DeviceGroupChange{Groups: &[]string{}}))
			return audit.ActChangeDeviceGroup, err
		},
		"empty a device group's rule": func() (audit.Act, error) {
			_, err := o.ChangeDeviceGroup(t.Context(), me, devices, as(access.DeviceGroupChange{Rule: new(tagged("none"))}))
			return audit.ActChangeDeviceGroup, err
		},
		"delete a device group": func() (audit.Act, error) {
			_, err := o.DeleteDeviceGroup(t.Context(), me, devices)
			return audit.ActDeleteDeviceGroup, err
		},
		"put a device group of all above": func() (audit.Act, error) {
			rule := device.Rule{{Property: device.BySystem, Operator: device.Contains, Values: []string{"i"}}}
			_, err := o.CreateDeviceGroup(t.Context(), me, as(access.NewDeviceGroup{Name: "All", Rank: 1, Rule: rule, Groups: []string{c.managers}}))
			return audit.ActCreateDeviceGroup, err
		},
		"make a role of what one lacks": func() (audit.Act, error) {
			_, err := o.CreateRole(t.Context(), me, as(access.NewRole{Name: "x", Permissions: more, Groups: []string{empty}}))
			return audit.ActCreateRole, err
		},
		"give a role more for others": func() (audit.Act, error) {
			_, err := o.ChangeRole(t.Context(), me, c.reading, as(access.RoleChange{Permissions: &more}))
			return audit.ActChangeRole, err
		},
		"lift somebody below above": func() (audit.Act, error) {
			_, err := o.AddMember(t.Context(), me, c.analysts, c.below.ID)
			return audit.ActChangeUserGroup, err
		},
		"make an administrator": func() (audit.Act, error) {
			_, _, err := o.CreateUser(t.Context(), me, as(access.NewUser{Principal: "x@contoso.example", Administrator: true}))
			return audit.ActCreateUser, err
		},
		"make somebody above": func() (audit.Act, error) {
			_, _, err := o.CreateUser(t.Context(), me, as(access.NewUser{Principal: "x@contoso.example", Groups: []string{c.analysts}}))
			return audit.ActCreateUser, err
		},
		"disable somebody above": func() (audit.Act, error) {
			_, err := o.DisableUser(t.Context(), me, c.above.ID)
			return audit.ActDisableUser, err
		},
		"enable somebody above": func() (audit.Act, error) {
			_, err := o.EnableUser(t.Context(), me, c.above.ID)
			return audit.ActEnableUser, err
		},
		"reset the password of somebody above": func() (audit.Act, error) {
			_, _, err := o.ResetPassword(t.Context(), me, c.above.ID, as("an Otter in the 3rd canoe"))
			return audit.ActResetPassword, err
		},
		"reset the codes of somebody above": func() (audit.Act, error) {
			_, err := o.ResetTOTP(t.Context(), me, c.above.ID)
			return audit.ActResetTOTP, err
		},
		"end the sessions of somebody above": func() (audit.Act, error) {
			_, err := o.RevokeSessions(t.Context(), me, c.above.ID)
			return audit.ActRevokeSessions, err
		},
		"take somebody above out of their group": func() (audit.Act, error) {
			_, err := o.RemoveMember(t.Context(), me, c.analysts, c.above.ID)
			return audit.ActChangeUserGroup, err
		},
		"rename a group above": func() (audit.Act, error) {
			_, err := o.ChangeUserGroup(t.Context(), me, c.analysts, as(access.Naming{Name: new("x")}))
			return audit.ActChangeUserGroup, err
		},
		"take from a role above": func() (audit.Act, error) {
			_, err := o.ChangeRole(t.Context(), me, c.analysing, as(access.RoleChange{Permissions: &[]auth.Permission{}}))
			return audit.ActChangeRole, err
		},
		"delete a role above": func() (audit.Act, error) {
			_, err := o.DeleteRole(t.Context(), me, c.analysing)
			return audit.ActDeleteRole, err
		},
	} {
		before := snapshot(t, o.st)
		act, err := do()
		o.refused(name, act, err)
		if own := name == "put a device group of all above"; own != strings.HasPrefix(err.Error(), "Nobody raises their own access") {
			t.Errorf("%s: %v", name, err)
		}
		if after := snapshot(t, o.st); after != before {
			t.Errorf("%s: it was refused, and changed things", name)
		}
	}
	// What is within is done.
	for name, do := range map[string]func() error{
		"make somebody below": func() error {
			_, _, err := o.CreateUser(t.Context(), me, as(access.NewUser{Principal: "new@contoso.example", Groups: []string{c.readers}, Password: "an Otter in the 3rd canoe"}))
			return err
		},
		"put somebody beside": func() error { _, err := o.AddMember(t.Context(), me, c.managers, c.below.ID); return err },
		"disable somebody beside": func() error {
			_, err := o.DisableUser(t.Context(), me, c.beside.ID)
			return err
		},
		"make a role of what one holds": func() error {
			_, err := o.CreateRole(t.Context(), me, as(access.NewRole{Name: "y", Permissions: []auth.Permission{auth.ViewData}, Groups: []string{empty}}))
			return err
		},
		"change a role below": func() error {
			_, err := o.ChangeRole(t.Context(), me, c.reading, as(access.RoleChange{Permissions: &[]auth.Permission{auth.ViewData, auth.ManagePortal}}))
			return err
		},
	} {
		if err := do(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A person whose rights were taken since the token was looked at, or whose token
// says more than is so, does nothing by it.
func TestRightsAreThoseOfTheMoment(t *testing.T) {
	c := newCompany(t)
	me := c.as(c.manager)
	me.Person = auth.Rights{Permissions: auth.BuiltIn().Permissions, Reach: device.Everywhere}
	_, err := c.AddMember(t.Context(), me, c.analysts, c.manager.ID)
	c.refused("with the rights of before", audit.ActChangeUserGroup, err)
	_, err = c.RemoveMember(t.Context(), admin, c.managers, c.manager.ID)
	must(t, err)
	if _, err := c.CreateUserGroup(t.Context(), me, as(access.NewUserGroup{Name: "x"})); !errors.Is(err, fault.Forbidden) {
		t.Errorf("without the role: %v", err)
	}
	me = c.as(c.beside)
	_, err = c.DisableUser(t.Context(), admin, c.beside.ID)
	must(t, err)
	if _, err := c.CreateUserGroup(t.Context(), me, as(access.NewUserGroup{Name: "x"})); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("disabled: %v", err)
	}
}

// A person of another issuer is bound as others are, and changes no roles.
func TestForeignPersonsAreBound(t *testing.T) {
	c := newCompany(t)
	me := c.as(c.manager)
	me.ID = uuidOf(1) + "/subject"
	if _, err := c.AddMember(t.Context(), me, c.managers, c.below.ID); err != nil {
		t.Errorf("what is within: %v", err)
	}
	_, err := c.AddMember(t.Context(), me, c.analysts, c.below.ID)
	c.refused("what is not", audit.ActChangeUserGroup, err)
	_, err = c.ChangeRole(t.Context(), me, c.reading, as(access.RoleChange{Groups: &[]string{c.managers, c.readers}}))
	c.refused("a role", audit.ActChangeRole, err)
}

// However a bound person goes about it: nobody can do more afterwards than before
// that the person could not, and they themselves no more at all; nor less, who
// could do what the person could not.
func TestNobodyGainsWhatTheCallerLacks(t *testing.T) {
	c := newCompany(t)
	groups := []string{c.managers, c.analysts, c.readers, c.group("Fourth")}
	roles := []string{c.managing, c.analysing, c.reading}
	people := []auth.Person{c.manager, c.above, c.beside, c.below, c.user("both@contoso.example", c.readers, c.analysts)}
	devices := []string{"0", c.devices("Vault", c.analysts), c.devices("Lab", c.managers, c.readers)}
	rights := func() []auth.Rights {
		list := make([]auth.Rights, len(people))
		for i, p := range people {
			list[i] = c.rights(p.ID)
		}
		return list
	}
	rapid.Check(t, func(rt *rapid.T) {
		some := func(name string) *[]string {
			list := rapid.SliceOfNDistinct(rapid.SampledFrom(groups), 0, 3, rapid.ID).Draw(rt, name)
			return &list
		}
		who := rapid.IntRange(0, len(people)-1).Draw(rt, "who")
		// Now and then an administrator shuffles what there is.
		by, me := c.as(people[who]), rapid.IntRange(0, 2).Draw(rt, "by") > 0
		if !me {
			by = admin
		}
		before := rights()
		var err error
		switch rapid.SampledFrom([]string{"groups", "role", "permissions", "devices", "rank", "member"}).Draw(rt, "what") {
		case "groups":
			_, err = c.ChangeUser(t.Context(), by, rapid.SampledFrom(people).Draw(rt, "user").ID, as(access.UserChange{Groups: some("groups")}))
		case "role":
			_, err = c.ChangeRole(t.Context(), by, rapid.SampledFrom(roles).Draw(rt, "role"), as(access.RoleChange{Groups: some("groups")}))
		case "permissions":
			p := rapid.SliceOfNDistinct(rapid.SampledFrom(auth.RolePermissions[:5]), 0, 4, rapid.ID).Draw(rt, "permissions")
			_, err = c.ChangeRole(t.Context(), by, rapid.SampledFrom(roles).Draw(rt, "role"), as(access.RoleChange{Permissions: &p}))
		case "devices":
			_, err = c.ChangeDeviceGroup(t.Context(), by, rapid.SampledFrom(devices).Draw(rt, "devices"), as(access.DeviceGroupChange{Groups: some("groups")}))
		case "rank":
			_, err = c.ChangeDeviceGroup(t.Context(), by, rapid.SampledFrom(devices[1:]).Draw(rt, "devices"), as(access.DeviceGroupChange{Rank: new(rapid.IntRange(1, 2).Draw(rt, "rank"))}))
		case "member":
			_, err = c.AddMember(t.Context(), by, rapid.SampledFrom(groups).Draw(rt, "group"), rapid.SampledFrom(people).Draw(rt, "user").ID)
		}
		code, _ := fault.Of(err)
		if err != nil && (!me || code != fault.DisallowedOperation && code != fault.Forbidden) {
			t.Fatal(err)
		}
		if !me {
			return
		}
		for i, after := range rights() {
			if i == who && !after.Within(before[i]) {
				rt.Fatalf("%s raised their own access from %+v to %+v", people[i].Principal, before[i], after)
			}
			if !after.Within(before[i]) && !after.Within(before[who]) {
				rt.Fatalf("%s, of %+v, gave %s %+v, who had %+v", people[who].Principal, before[who], people[i].Principal, after, before[i])
			}
			if !before[i].Within(after) && !before[i].Within(before[who]) {
				rt.Fatalf("%s, of %+v, left %s %+v of %+v", people[who].Principal, before[who], people[i].Principal, after, before[i])
			}
		}
	})
}

func uuidOf(n int) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", n) }

func TestPeopleAndGroupsAreBounded(t *testing.T) {
	o := newOffice(t)
	long, odd := strings.Repeat("ä", access.MaxName+1), "a\u202eb"
	wide := strings.Repeat("ä", access.MaxDescription+1)
	many := func(n int) (ids []string) {
		for i := range n {
			ids = append(ids, uuidOf(i))
		}
		return ids
	}
	ann := o.user("ann@contoso.example")
	user := func(n access.NewUser) error {
		n.Principal = "x@contoso.example"
		_, _, err := o.CreateUser(t.Context(), admin, as(n))
		return err
	}
	group := func(n access.NewUserGroup) error { _, err := o.CreateUserGroup(t.Context(), admin, as(n)); return err }
	role := func(n access.NewRole) error { _, err := o.CreateRole(t.Context(), admin, as(n)); return err }
	devices := func(n access.NewDeviceGroup) error {
		_, err := o.CreateDeviceGroup(t.Context(), admin, as(n))
		return err
	}
	change := func(c access.UserChange) error { _, err := o.ChangeUser(t.Context(), admin, ann.ID, as(c)); return err }
	for what, err := range map[string]error{
		"a long name":                        user(access.NewUser{Name: long}),
		"a name that turns":                  user(access.NewUser{Name: odd}),
		"a group that is not there":          user(access.NewUser{Groups: []string{uuidOf(1)}}),
		"a group that is no id":              change(access.UserChange{Groups: &[]string{strings.Repeat("x", 1000)}}),
		"too many groups":                    change(access.UserChange{Groups: new(many(access.MaxGroupsOf + 1))}),
		"no principal":                       change(access.UserChange{Principal: new("")}),
		"a user group without a name":        group(access.NewUserGroup{Name: " "}),
		"a user group with a long name":      group(access.NewUserGroup{Name: long}),
		"a user group that says too much":    group(access.NewUserGroup{Name: "x", Description: wide}),
		"a role without a name":              role(access.NewRole{}),
		"a role of too many groups":          role(access.NewRole{Name: "x", Groups: many(access.MaxGroupsIn + 1)}),
		"a role with a permission of no one": role(access.NewRole{Name: "x", Permissions: []auth.Permission{"Do everything"}}),
		"devices without a name":             devices(access.NewDeviceGroup{Rule: tagged("x")}),
		"devices without a rule":             devices(access.NewDeviceGroup{Name: "x"}),
		"devices of too many values":         devices(access.NewDeviceGroup{Name: "x", Rule: tagged(many(device.MaxValues + 1)...)}),
		"devices for too many groups":        devices(access.NewDeviceGroup{Name: "x", Rule: tagged("x"), Groups: many(access.MaxGroupsIn + 1)}),
	} {
		if _, text := fault.Of(err); !errors.Is(err, fault.InvalidInput) && !errors.Is(err, fault.MissingParameter) || len(text) > 600 {
			t.Errorf("%s: %v", what, err)
		}
	}
	must(t, group(access.NewUserGroup{Name: long[2:], Description: "of\nseveral lines, " + wide[40:]}))

	must(t, o.st.ChangeRoster(t.Context(), tenant, func(ctx context.Context, r access.Roster) error {
		for i := range access.MaxUserGroups - 1 {
			if err := r.AddUserGroup(ctx, auth.UserGroup{ID: uuidOf(i), Name: fmt.Sprint("group ", i), Created: noon}); err != nil {
				return err
			}
		}
		for i := range access.MaxRoles {
			if err := r.AddRole(ctx, auth.Role{ID: uuidOf(i), Name: fmt.Sprint("role ", i), Permissions: []auth.Permission{}}); err != nil {
				return err
			}
		}
		var all []device.Group
		for i := range device.MaxGroups {
			all = append(all, device.Group{ID: int64(i + 1), Name: fmt.Sprint("devices ", i), Rank: i + 1, Rule: tagged("x")})
		}
		return r.SetDeviceGroups(ctx, append(all, device.Group{Name: device.DefaultGroupName}))
	}))
	for what, err := range map[string]error{
		"a user group": group(access.NewUserGroup{Name: "one more"}), "a role": role(access.NewRole{Name: "one more"}), "a device group": devices(access.NewDeviceGroup{Name: "one more", Rule: tagged("x")}),
	} {
		if _, text := fault.Of(err); !errors.Is(err, fault.InvalidInput) || !strings.Contains(text, "already") {
			t.Errorf("%s more than may be: %v", what, err)
		}
	}
}
