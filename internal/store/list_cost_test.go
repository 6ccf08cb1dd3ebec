package store_test

import (
	"errors"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"swab/internal/action"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/fleet"
	"swab/internal/odata"
	"swab/internal/store"
	"swab/internal/store/storetest"
)

// TestListsOfAGroupVisitNoOthers asks SQLite how it makes the lists, with their
// totals, of those who see few devices, also while others are put into groups.
func TestListsOfAGroupVisitNoOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "swab.db")
	s := storetest.Open(t, store.Options{Database: "sqlite:" + path, Gather: 1})
	tenant := storetest.Fleet(t, s, 40)
	named := func(id int64, rank int, value string) device.Group {
		return device.Group{ID: id, Name: value, Rank: rank, Rule: device.Rule{{Property: device.ByName, Operator: device.StartsWith, Values: []string{value}}}}
	}
	few, others := named(1, 1, "host3."), named(2, 2, "host1")
	set := func(groups ...device.Group) {
		t.Helper()
		if err := store.SetGroups(t.Context(), s, tenant, groups); err != nil {
			t.Fatal(err)
		}
	}
	set(few)
	if _, err := s.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	db := beside(t, path)
	made := s.Watch()
	for _, when := range []string{"settled", "unsettled"} {
		if when == "unsettled" {
			set(few, others)
		}
		for _, c := range []struct {
			of     *odata.Entity
			filter string
		}{
			{&fleet.Entity, ""},
			{&fleet.Entity, "healthStatus eq 'Inactive'"},
			{&fleet.Entity, "lastSeen ge 2001-01-01T00:00:00Z"},
			{&fleet.Entity, "osPlatform eq 'Debian'"},
			{&fleet.Entity, "contains(computerDnsName,'host')"},
			{&action.Entity, ""},
			{&action.Entity, "status eq 'Failed'"},
			{&action.Entity, "contains(requestor,'test')"},
		} {
			raw := "$top=5&$count=true"
			if c.filter != "" {
				raw += "&$filter=" + url.QueryEscape(c.filter)
			}
			q, err := odata.Parse(raw, c.of)
			if err != nil {
				t.Fatal(err)
			}
			*made = nil
			var total int64
			if c.of == &action.Entity {
				var page odata.Page[action.Action]
				page, err = s.Actions(t.Context(), tenant, device.Reach{Groups: []int64{few.ID}}, q)
				total = page.Total
			} else {
				var page odata.Page[device.Device]
				page, err = s.Devices(t.Context(), tenant, device.Reach{Groups: []int64{few.ID}}, q)
				total = page.Total
			}
			if err != nil || total != 1 {
				t.Errorf("%s, %s of %s: %d, %v; want 1", when, c.filter, c.of.Name, total, err)
			}
			for _, q := range *made {
				if strings.Contains(q.SQL, " LIMIT ?) hits") || strings.Contains(q.SQL, ") ahead") { // looks ahead, so far and no further
					continue
				}
				rows, err := db.Query("EXPLAIN QUERY PLAN "+q.SQL, q.Args...)
				if err != nil {
					t.Fatalf("%s: %v", q.SQL, err)
				}
				for rows.Next() {
					var (
						id, parent, unused int
						step               string
					)
					if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
						t.Fatal(err)
					}
					_, of, many := strings.Cut(step, " devices ")
					if !many {
						_, of, many = strings.Cut(step, " actions ")
					}
					one := []string{"id=?", "first_seen=?", "created=?", "device=?"}
					if many && !slices.ContainsFunc(one, func(by string) bool { return strings.Contains(of, by) }) {
						t.Errorf("%s, %s of %s: %s\n\tvisits others: %s", when, c.filter, c.of.Name, q.SQL, step)
					}
				}
				if err := errors.Join(rows.Err(), rows.Close()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// TestLateListSaysThatDevicesMove: while devices are put into their groups, no index
// is to blame.
func TestLateListSaysThatDevicesMove(t *testing.T) {
	s := storetest.Open(t, store.Options{Database: storetest.SQLite(t), ListTime: 10 * time.Millisecond})
	tenant := storetest.Fleet(t, s, 1)
	group := device.Group{ID: 1, Name: "one", Rank: 1, Rule: device.Rule{{Property: device.ByName, Operator: device.Contains, Values: []string{"host"}}}}
	if err := store.SetGroups(t.Context(), s, tenant, []device.Group{group}); err != nil {
		t.Fatal(err)
	}
	s.Stall()
	_, err := s.Devices(t.Context(), tenant, device.Reach{Groups: []int64{1}}, odata.All())
	if code, text := fault.Of(err); code != fault.Unavailable || !strings.Contains(text, "being put into") || strings.Contains(text, "index") {
		t.Errorf("a list while devices are put into their groups: %v, %q", code, text)
	}
}
