package store_test

import (
	"context"
	"errors"
	"testing"

	"swab/internal/access"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/odata"
	"swab/internal/store"
	"swab/internal/store/storetest"
)

var grouping = storetest.Grouping{Set: store.SetGroups, Bring: store.Bring}

func TestGroupsSQLite(t *testing.T)     { storetest.RunGroups(t, storetest.SQLite, grouping) }
func TestGroupsPostgreSQL(t *testing.T) { storetest.RunGroups(t, storetest.Postgres, grouping) }

// TestListIsOfOneRevision takes a group from a person and puts a device into it, in
// one change, while a list of that person is being made: at no time was the device
// within their reach.
func TestListIsOfOneRevision(t *testing.T) {
	for name, database := range map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		t.Run(name, func(t *testing.T) { listIsOfOneRevision(t, storetest.Open(t, store.Options{Database: database(t)})) })
	}
}

func listIsOfOneRevision(t *testing.T, s *store.Store) {
	tenant, d := newDevice(t, s)
	if _, err := s.CreateAction(t.Context(), newAction(d, 1), link(1)); err != nil {
		t.Fatal(err)
	}
	others := auth.UserGroup{Tenant: tenant, ID: "0000000d-0000-7000-8000-000000000001", Name: "others", Created: start}
	set := func(name string, userGroups ...string) {
		err := s.ChangeRoster(t.Context(), tenant, func(ctx context.Context, r access.Roster) error {
			return r.SetDeviceGroups(ctx, []device.Group{
				{Name: device.DefaultGroupName, UserGroups: []string{others.ID}},
				{ID: 1, Name: "near", Rank: 1, UserGroups: userGroups, Rule: device.Rule{{Property: device.ByName, Operator: device.Equals, Values: []string{name}}}},
			})
		})
		if _, failed := s.Settle(t.Context()); err != nil || failed != nil {
			t.Error(errors.Join(err, failed))
		}
	}
	if err := s.ChangeRoster(t.Context(), tenant, func(ctx context.Context, r access.Roster) error { return r.AddUserGroup(ctx, others) }); err != nil {
		t.Fatal(err)
	}
	person := device.Reach{Groups: []int64{1}, By: []string{"mine"}}
	for what, list := range map[string]func() (int, error){
		"Devices": func() (int, error) {
			page, err := s.Devices(t.Context(), tenant, person, odata.Query{Top: -1, Count: true})
			return max(len(page.Rows), int(page.Total)), err
		},
		"Actions": func() (int, error) {
			page, err := s.Actions(t.Context(), tenant, person, odata.Query{Top: -1, Count: true})
			return max(len(page.Rows), int(page.Total)), err
		},
		"DevicePage": func() (int, error) {
			found, err := s.DevicePage(t.Context(), tenant, person, "", "", 10)
			return len(found), err
		},
	} {
		set("nobody")
		interrupted := false
		over := s.Interrupt(func() {
			interrupted = true
			set(d.Facts.Name, others.ID)
		})
		n, err := list()
		over()
		if n != 0 || err != nil || !interrupted {
			t.Errorf("%s() has %d of what was never within reach, %v; interrupted %t", what, n, err, interrupted)
		}
	}
}
