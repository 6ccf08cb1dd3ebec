package access_test

import (
	"errors"
	"strings"
	"testing"

	"swab/internal/access"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
)

// Whoever may do more than a person is not shut out by them, by way of a role or
// a device group either.
func TestNobodyTakesFromThoseAbove(t *testing.T) {
	c := newCompany(t)
	o, me := c.office, c.as(c.manager)
	lab := o.devices("Lab", c.managers, c.analysts) // which both reach
	vault := o.devices("Vault", c.analysts)         // which the manager does not
	shared := o.role("Shared", []auth.Permission{auth.ManagePortal}, c.readers, c.analysts)
	twice := o.role("Reader too", []auth.Permission{auth.ViewData}, c.analysts)
	below := o.group("Below")
	alone := o.group("Live responders")
	o.role("Live responder", []auth.Permission{auth.LiveResponseBasic}, alone)
	o.user("live@contoso.example", alone, c.readers)
	me.Person = o.rights(c.manager.ID)
	changeGroup := func(id string, n access.DeviceGroupChange) func() (audit.Act, error) {
		return func() (audit.Act, error) {
			_, err := o.ChangeDeviceGroup(t.Context(), me, id, as(n))
			return audit.ActChangeDeviceGroup, err
		}
	}
	changeRole := func(id string, n access.RoleChange) func() (audit.Act, error) {
		return func() (audit.Act, error) {
			_, err := o.ChangeRole(t.Context(), me, id, as(n))
			return audit.ActChangeRole, err
		}
	}
	const out = "is changed by those who reach its devices"
	const less = "would be able to do less"
	for name, deed := range map[string]struct {
		do  func() (audit.Act, error)
		why string
	}{
		"let others reach what one does not": {changeGroup(vault, access.DeviceGroupChange{Groups: &[]string{c.readers}}), out},
		"rename what one does not reach":     {changeGroup(vault, access.DeviceGroupChange{Naming: access.Naming{Name: new("x")}}), out},
		"describe what one does not reach":   {changeGroup(vault, access.DeviceGroupChange{Naming: access.Naming{Description: new("x")}}), out},
		"change nothing of it":               {changeGroup(vault, access.DeviceGroupChange{}), out},
		"change the rule of it":              {changeGroup(vault, access.DeviceGroupChange{Rule: new(tagged("none"))}), out},
		"delete it": {func() (audit.Act, error) {
			_, err := o.DeleteDeviceGroup(t.Context(), me, vault)
			return audit.ActDeleteDeviceGroup, err
		}, out},
		"keep those above from a group":       {changeGroup(lab, access.DeviceGroupChange{Groups: &[]string{c.managers}}), less},
		"take a role from those above":        {changeRole(shared, access.RoleChange{Groups: &[]string{c.readers}}), less},
		"empty a role of those above":         {changeRole(shared, access.RoleChange{Permissions: &[]auth.Permission{}}), less},
		"empty a role that somebody has more": {changeRole(c.reading, access.RoleChange{Permissions: &[]auth.Permission{}}), less},
		"delete that role": {func() (audit.Act, error) {
			_, err := o.DeleteRole(t.Context(), me, c.reading)
			return audit.ActDeleteRole, err
		}, less},
	} {
		before := snapshot(t, o.st)
		act, err := deed.do()
		o.refused(name, act, err)
		if err != nil && !strings.Contains(err.Error(), deed.why) {
			t.Errorf("%s: %v", name, err)
		}
		if after := snapshot(t, o.st); after != before {
			t.Errorf("%s: it was refused, and changed things", name)
		}
	}
	for name, do := range map[string]func() (audit.Act, error){
		"describe what one reaches":        changeGroup(lab, access.DeviceGroupChange{Naming: access.Naming{Description: new("x")}}),
		"let those below reach it":         changeGroup(lab, access.DeviceGroupChange{Groups: &[]string{c.managers, c.analysts, below}}),
		"rename a role of those above":     changeRole(shared, access.RoleChange{Naming: access.Naming{Name: new("x")}}),
		"take a role that they have twice": changeRole(twice, access.RoleChange{Groups: &[]string{}}),
	} {
		if _, err := do(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Administrators are bound by none of it.
	if _, err := o.DeleteDeviceGroup(t.Context(), admin, vault); err != nil {
		t.Errorf("delete it, as an administrator: %v", err)
	}
}

// A device group that is new keeps all out whom it does not name.
func TestANewDeviceGroupShutsOutNobodyAbove(t *testing.T) {
	c := newCompany(t)
	o, me := c.office, c.as(c.manager)
	_, err := o.CreateDeviceGroup(t.Context(), me, as(access.NewDeviceGroup{Name: "All", Rule: tagged("x"), Groups: []string{c.managers}}))
	o.refused("for oneself alone", audit.ActCreateDeviceGroup, err)
	if _, err := o.CreateDeviceGroup(t.Context(), me, as(access.NewDeviceGroup{Name: "All", Rule: tagged("x"), Groups: []string{c.managers, c.analysts}})); err != nil {
		t.Errorf("for those above, too: %v", err)
	}
}

// What a user group lets its people reach counts, though it has no role: they may
// get one by another.
func TestARoleIsNotGivenToThoseWhoReachMore(t *testing.T) {
	c := newCompany(t)
	o := c.office
	far, role := o.group("Reach the vault"), o.group("No role yet")
	o.devices("Vault", far)
	o.user("far@contoso.example", far, role)
	_, err := o.ChangeRole(t.Context(), c.as(c.manager), c.reading, as(access.RoleChange{Groups: &[]string{c.readers, role}}))
	o.refused("give a role to somebody who reaches more", audit.ActChangeRole, err)
}

// A person's own password, one-time codes and name are theirs by other ways.
func TestNobodyAdministersThemselves(t *testing.T) {
	c := newCompany(t)
	o := c.office
	ann, _, err := o.CreateUser(t.Context(), admin, as(access.NewUser{Principal: "ann@contoso.example", Administrator: true}))
	must(t, err)
	for _, p := range []auth.Person{c.manager, ann.Person} {
		me := o.as(p)
		_, _, err := o.ResetPassword(t.Context(), me, p.Principal, func() (string, error) { t.Error("the body was read"); return "", nil })
		o.refused("reset one's own password", audit.ActResetPassword, err)
		_, err = o.ResetTOTP(t.Context(), me, p.ID)
		o.refused("reset one's own codes", audit.ActResetTOTP, err)
	}
	rename := func(who auth.Person, to string) error {
		_, err := o.ChangeUser(t.Context(), o.as(who), who.ID, as(access.UserChange{Principal: new(to), Name: new("Me")}))
		return err
	}
	o.refused("take another principal", audit.ActChangeUser, rename(c.manager, "analyst2@contoso.example"))
	if err := rename(c.manager, c.manager.Principal); err != nil {
		t.Errorf("keep the principal: %v", err)
	}
	if err := rename(ann.Person, "lee@contoso.example"); err != nil {
		t.Errorf("take another principal, as an administrator: %v", err)
	}
	if _, _, err := o.ResetPassword(t.Context(), o.as(c.manager), c.beside.ID, as("")); err != nil {
		t.Errorf("reset another's password: %v", err)
	}
}

// Devices of an enrolment token may come to be in any group, and so the tokens are
// for those who reach all.
func TestEnrolmentTokensAreForThoseWhoReachAll(t *testing.T) {
	c := newCompany(t)
	o := c.office
	everywhere := o.as(c.manager)
	made, _, err := o.CreateEnrollment(t.Context(), everywhere, as(access.NewEnrollment{Name: "servers", Tags: []string{"Vault"}}))
	must(t, err)
	o.devices("Vault", c.analysts)
	me := o.as(c.manager)
	if me.Person.Reach.All {
		t.Fatal("the manager reaches all devices")
	}
	_, _, err = o.CreateEnrollment(t.Context(), me, func() (access.NewEnrollment, error) { t.Error("the body was read"); return access.NewEnrollment{}, nil })
	o.refused("make one", audit.ActCreateEnrollment, err)
	_, err = o.RevokeEnrollment(t.Context(), me, made.ID)
	o.refused("revoke one", audit.ActRevokeEnrollment, err)
	if _, err := o.RevokeEnrollment(t.Context(), admin, made.ID); err != nil {
		t.Errorf("revoke it, as an application: %v", err)
	}
}

// Whoever was disabled while they asked is told what they will be told from then
// on.
func TestWhoIsDisabledMeanwhileIsUnauthorized(t *testing.T) {
	c := newCompany(t)
	me := c.as(c.beside)
	_, err := c.DisableUser(t.Context(), admin, c.beside.ID)
	must(t, err)
	if _, err := c.DisableUser(t.Context(), me, c.below.ID); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("by somebody who is disabled: %v, want Unauthorized", err)
	}
}
