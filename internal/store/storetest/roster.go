package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/access"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/store"
)

// changeRoster runs steps in one change of a tenant's roster.
func changeRoster(t *testing.T, s *store.Store, tenant string, steps func(ctx context.Context, r access.Roster) error) {
	t.Helper()
	if err := s.ChangeRoster(t.Context(), tenant, steps); err != nil {
		t.Fatal(err)
	}
}

func tagRule(tag string) device.Rule {
	return device.Rule{{Property: device.ByTag, Operator: device.Equals, Values: []string{tag}}}
}

// rosterIsKept: what a change of the roster did is there afterwards, in its own
// tenant alone, and the revision tells of it.
func rosterIsKept(t *testing.T, s *store.Store) {
	tenant, other := newTenant(t, s, 1), newTenant(t, s, 2)
	person := func(n int, groups ...string) auth.Person {
		return auth.Person{Tenant: tenant, ID: id(1, n), Principal: id(1, n) + "@x.example", Name: "Ann", Groups: append([]string{}, groups...), Created: at(n)}
	}
	first, second := auth.UserGroup{Tenant: tenant, ID: id(2, 1), Name: "Zürich", Description: "ß", Created: at(1)}, auth.UserGroup{Tenant: tenant, ID: id(2, 2), Name: "Bern", Created: at(2)}
	role := auth.Role{ID: id(3, 1), Name: "Reader", Permissions: []auth.Permission{auth.ViewData}, Groups: []string{first.ID}}
	revision := s.AccessRevision()
	changeRoster(t, s, tenant, func(ctx context.Context, r access.Roster) error {
		g, err := r.NextDeviceGroup(ctx)
		return errors.Join(err,
			r.AddUserGroup(ctx, first), r.AddUserGroup(ctx, second),
			r.AddPerson(ctx, person(1, first.ID), auth.Credential{Password: "phc"}), r.AddPerson(ctx, person(2, first.ID, second.ID), auth.Credential{}),
			r.AddPerson(ctx, person(3, first.ID), auth.Credential{}), r.AddPerson(ctx, person(4, second.ID), auth.Credential{}), r.AddPerson(ctx, person(5), auth.Credential{}),
			r.AddRole(ctx, role),
			r.SetDeviceGroups(ctx, []device.Group{{ID: g, Name: "Lab", Rank: 1, Rule: tagRule("lab"), UserGroups: []string{second.ID}}, {Name: device.DefaultGroupName}}),
			r.Record(ctx, entry(audit.ActCreateRole, role.ID, "")))
	})
	if s.AccessRevision() == revision {
		t.Error("the revision tells of nothing")
	}
	for n, want := range map[int][]string{1: {first.ID}, 2: {first.ID, second.ID}, 5: {}} {
		got, err := s.PersonNamed(t.Context(), tenant, id(1, n)+"@X.example")
		if diff := cmp.Diff(person(n, want...), got); err != nil || diff != "" {
			t.Errorf("PersonNamed(): %v (-want +got):\n%s", err, diff)
		}
	}
	groups, err := s.UserGroups(t.Context(), tenant)
	if diff := cmp.Diff([]auth.UserGroup{second, first}, groups); err != nil || diff != "" {
		t.Errorf("UserGroups(): %v (-want +got):\n%s", err, diff)
	}
	policy, err := s.Policy(t.Context(), tenant)
	if err != nil || len(policy.Roles) != 2 || len(policy.Groups.All()) != 2 {
		t.Fatalf("Policy() = %+v, %v", policy, err)
	}
	if diff := cmp.Diff(role, policy.Roles[1]); diff != "" {
		t.Errorf("the role (-want +got):\n%s", diff)
	}
	changeRoster(t, s, tenant, func(ctx context.Context, r access.Roster) error {
		sets, err := r.Memberships(ctx, []string{first.ID, second.ID})
		if diff := cmp.Diff([][]string{{first.ID}, {first.ID, second.ID}, {second.ID}}, sets); diff != "" {
			t.Errorf("Memberships() (-want +got):\n%s", diff)
		}
		one, failed := r.Memberships(ctx, []string{second.ID})
		if diff := cmp.Diff([][]string{{second.ID}}, one); diff != "" {
			t.Errorf("Memberships() of one (-want +got):\n%s", diff)
		}
		if n, err := r.People(ctx); err != nil || n != 5 {
			t.Errorf("People() = %d, %v", n, err)
		}
		if administered, err := r.Administered(ctx); err != nil || administered {
			t.Errorf("Administered() without an administrator = %t, %v", administered, err)
		}
		builtin := auth.BuiltIn()
		builtin.Groups = []string{second.ID}
		failed = errors.Join(failed, r.ChangeRole(ctx, builtin))
		if administered, err := r.Administered(ctx); err != nil || !administered {
			t.Errorf("Administered() = %t, %v", administered, err)
		}
		for _, n := range []int{2, 4} {
			p := person(n, second.ID)
			p.Disabled = true
			failed = errors.Join(failed, r.ChangePerson(ctx, p))
		}
		if administered, err := r.Administered(ctx); err != nil || administered {
			t.Errorf("Administered() by those who are disabled = %t, %v", administered, err)
		}
		return errors.Join(err, failed)
	})

	// An error leaves everything as it was, and comes back as it is.
	want := fault.DisallowedOperation.Errorf(nil, "no")
	var taken int64
	err = s.ChangeRoster(t.Context(), tenant, func(ctx context.Context, r access.Roster) (err error) {
		if taken, err = r.NextDeviceGroup(ctx); err != nil {
			t.Error(err)
		}
		if err := errors.Join(r.DeleteRole(ctx, role.ID), r.SetDeviceGroups(ctx, []device.Group{{Name: device.DefaultGroupName}}), r.DeleteUserGroup(ctx, first.ID), r.Record(ctx, entry(audit.ActDeleteRole, role.ID, ""))); err != nil {
			t.Error(err)
		}
		return want
	})
	if err != want {
		t.Errorf("ChangeRoster() = %v", err)
	}
	if got, err := s.Policy(t.Context(), tenant); err != nil || len(got.Roles) != 2 || len(got.Groups.All()) != 2 {
		t.Errorf("what failed left something: %+v, %v", got, err)
	}
	for what, do := range map[string]func(ctx context.Context, r access.Roster) error{
		"User " + person(2).Principal: func(ctx context.Context, r access.Roster) error {
			p := person(1, first.ID)
			p.Principal = person(2).Principal
			return r.ChangePerson(ctx, p)
		},
		"User group zürich": func(ctx context.Context, r access.Roster) error {
			return r.AddUserGroup(ctx, auth.UserGroup{ID: id(2, 9), Name: "zürich"})
		},
		"Role READER": func(ctx context.Context, r access.Roster) error {
			return r.AddRole(ctx, auth.Role{ID: id(3, 9), Name: "READER", Permissions: []auth.Permission{}})
		},
	} {
		wantFault(t, what, s.ChangeRoster(t.Context(), tenant, do), fault.InvalidInput, what+" exists already")
	}

	// Another tenant has none of it, and its own numbers.
	if list, err := s.People(t.Context(), other, "", "", 100); err != nil || len(list) != 0 {
		t.Errorf("another tenant's people: %+v, %v", list, err)
	}
	if list, err := s.People(t.Context(), other, first.ID, "", 100); err != nil || len(list) != 0 {
		t.Errorf("another tenant's members: %+v, %v", list, err)
	}
	changeRoster(t, s, other, func(ctx context.Context, r access.Roster) error {
		for what, err := range map[string]error{
			"User " + id(1, 1): func() error { _, err := r.Person(ctx, id(1, 1)); return err }(), "User group " + first.ID: func() error { _, err := r.UserGroup(ctx, first.ID); return err }(),
		} {
			wantFault(t, "another tenant's", err, fault.NotFound, what+" was not found")
		}
		n, err := r.NextDeviceGroup(ctx)
		if n != 1 {
			t.Errorf("its first device group is %d", n)
		}
		return err
	})
	// A number that was given back is not given out to two.
	var next int64
	changeRoster(t, s, tenant, func(ctx context.Context, r access.Roster) (err error) {
		next, err = r.NextDeviceGroup(ctx)
		return err
	})
	if next != taken || taken != 2 {
		t.Errorf("device groups %d, %d", taken, next)
	}
	checkLog(t, s, tenant, 2)
}

// rosterChangesAlone: changes at the same time follow one another, and see each
// other's outcome.
func rosterChangesAlone(t *testing.T, s *store.Store) {
	tenant := newTenant(t, s, 1)
	const most = 3
	var all sync.WaitGroup
	errs := make([]error, 8)
	for n := range errs {
		all.Go(func() {
			errs[n] = s.ChangeRoster(t.Context(), tenant, func(ctx context.Context, r access.Roster) error {
				count, err := r.UserGroups(ctx)
				if err != nil || count >= most {
					return errors.Join(err, fault.InvalidInput.Errorf(nil, "no"))
				}
				return r.AddUserGroup(ctx, auth.UserGroup{ID: id(2, n), Name: id(2, n), Created: at(n)})
			})
		})
	}
	all.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
		} else if !errors.Is(err, fault.InvalidInput) {
			t.Error(err)
		}
	}
	if list, err := s.UserGroups(t.Context(), tenant); err != nil || len(list) != most || made != most {
		t.Errorf("%d were made and %d are there, want %d; %v", made, len(list), most, err)
	}
}
