package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"swab/internal/access"
	"swab/internal/action"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fleet"
	"swab/internal/odata"
	"swab/internal/store"
)

// reaches are some that see a part of groups.
func reaches(r *rand.Rand, groups *device.Groups) []device.Reach {
	list := []device.Reach{device.Everywhere, {Groups: []int64{device.DefaultGroup}}}
	for range 3 {
		reach := device.Reach{Groups: []int64{}}
		for _, g := range groups.All() {
			if r.IntN(2) == 0 {
				reach.Groups = append(reach.Groups, g.ID)
			}
		}
		slices.Sort(reach.Groups)
		list = append(list, reach)
	}
	return list
}

// listsWithinReach holds the answers of those who see a part of the devices
// against those devices' groups, by the rules as they are, wherever they stand.
func listsWithinReach(t *testing.T, s *store.Store, g Grouping, settled bool) {
	r := seeded(t)
	tenant, devices, actions := crowd(t, s, r)
	made := someGroups(r)
	rounds := 3
	if !settled {
		rounds = 5
	}
	for round := range rounds {
		if settled || round%4 == 0 {
			made = someGroups(r)
		} else {
			made = changedGroups(r, made)
		}
		if !settled && r.IntN(2) == 0 { // else more than one change is not settled
			settle(t, s)
		}
		if err := g.Set(t.Context(), s, tenant, made); err != nil {
			t.Fatal(err)
		}
		if settled {
			settle(t, s)
		} else if r.IntN(3) > 0 {
			var some []device.ID
			for _, d := range devices {
				if r.IntN(3) == 0 {
					some = append(some, d.ID)
				}
			}
			if err := g.Bring(t.Context(), s, tenant, some); err != nil {
				t.Fatal(err)
			}
		}
		groups, by := device.NewGroups(made), map[device.ID]device.Group{}
		for i, d := range devices {
			in := groups.Of(d)
			by[d.ID], devices[i].Group = in, &in
		}
		now := time.Now()
		ofDevice := func(d device.Device, p *odata.Property) any { return fleet.Property(d, p, now) }
		for _, reach := range reaches(r, groups) {
			t.Logf("groups %+v, reach %+v", made, reach)
			seen := slices.DeleteFunc(slices.Clone(devices), func(d device.Device) bool { return !reach.Has(d.Group.ID) })
			compareAnswers(t, asker{r, &fleet.Entity, literals(devices, ofDevice), 25}, seen, ofDevice,
				func(d device.Device) (time.Time, string) { return d.FirstSeen, string(d.ID) },
				func(q odata.Query) (odata.Page[device.Device], error) {
					return s.Devices(t.Context(), tenant, reach, q)
				})
			done := slices.DeleteFunc(slices.Clone(actions), func(a action.Action) bool { return !reach.Has(by[a.Device].ID) })
			compareAnswers(t, asker{r, &action.Entity, literals(actions, action.Action.Property), 25}, done, action.Action.Property,
				func(a action.Action) (time.Time, string) { return a.Created, a.ID },
				func(q odata.Query) (odata.Page[action.Action], error) {
					return s.Actions(t.Context(), tenant, reach, q)
				})
			for _, tag := range []string{"a", "b", "web"} {
				want := idsOf(slices.DeleteFunc(slices.Clone(seen), func(d device.Device) bool { return !slices.Contains(d.Tags, tag) }))
				for _, top := range []int{0, 2} {
					found, err := s.DevicesTagged(t.Context(), tenant, reach, tag, false, top)
					if top == 2 {
						want = want[:min(2, len(want))]
					}
					if diff := gocmp.Diff(want, idsOf(found)); err != nil || diff != "" {
						t.Fatalf("devices with the tag %s, at most %d: %v (-want +got):\n%s", tag, top, err, diff)
					}
				}
			}
		}
	}
}

// pagesOfAReach walks the lists of a part while devices outside it are added:
// each row within is seen once.
func pagesOfAReach(t *testing.T, s *store.Store, g Grouping) {
	w := newWorld(t, s)
	groups := []device.Group{
		{ID: 1, Name: "one", Rank: 1, Rule: device.Rule{{Property: device.ByName, Operator: device.Contains, Values: []string{"3", "5"}}}},
		{ID: 2, Name: "two", Rank: 2, Rule: device.Rule{{Property: device.ByName, Operator: device.Contains, Values: []string{"4"}}}},
	}
	if err := g.Set(t.Context(), s, w.tenant, groups); err != nil {
		t.Fatal(err)
	}
	made, reach := device.NewGroups(groups), device.Reach{Groups: []int64{1, 2}}
	var want []device.ID
	for n := range 100 {
		if d := enrol(t, s, "token", 100+n); reach.Has(made.Of(d).ID) {
			want = slices.Insert(want, 0, d.ID)
		}
	}
	for _, settled := range []bool{false, true} {
		if settled {
			settle(t, s)
		}
		q, got := odata.All(), []device.ID{}
		for n := 0; ; n++ {
			page, err := s.Devices(t.Context(), w.tenant, reach, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range page.Rows {
				got = append(got, d.ID)
			}
			if q.After = page.Next; q.After == "" {
				break
			}
			if d := enrol(t, s, "token", 1000+n); reach.Has(made.Of(d).ID) {
				want = slices.Insert(want, 0, d.ID)
			}
		}
		if diff := gocmp.Diff(want[len(want)-len(got):], got); diff != "" {
			t.Errorf("settled %t (-want +got):\n%s", settled, diff)
		}
	}
}

// reachIsKept asks, within one group, for devices of another or with a property that
// none has: what an index finds no row of leaves nothing of the filter but a group.
func reachIsKept(t *testing.T, s *store.Store, g Grouping) {
	w := newWorld(t, s)
	for n := range 20 {
		enrol(t, s, "token", 100+n)
	}
	groups := []device.Group{{ID: 1, Name: "one", Rank: 1, Rule: device.Rule{{Property: device.ByName, Operator: device.Contains, Values: []string{"3"}}}}}
	if err := g.Set(t.Context(), s, w.tenant, groups); err != nil {
		t.Fatal(err)
	}
	for _, settled := range []bool{false, true} {
		if settled {
			settle(t, s)
		}
		for _, reach := range []device.Reach{{Groups: []int64{1}}, {Groups: []int64{device.DefaultGroup}}} {
			within := list(t, s, w.tenant, reach, "")
			for _, other := range []string{"1", "0"} {
				raw := "$count=true&$filter=rbacGroupId+eq+" + other + "+or+osPlatform+eq+'none'"
				var want []device.ID
				if fmt.Sprint(reach.Groups[0]) == other {
					want = within
				}
				if diff := gocmp.Diff(want, list(t, s, w.tenant, reach, raw)); diff != "" {
					t.Errorf("settled %t, reach %v, %s (-want +got):\n%s", settled, reach.Groups, raw, diff)
				}
			}
		}
	}
}

// namesHoldAtOnce changes the name of a group and who may see it, and neither rule
// nor rank: the next list goes by it.
func namesHoldAtOnce(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	group := device.Group{Name: "before", Rank: 1, Rule: device.Rule{{Property: device.ByName, Operator: device.Contains, Values: []string{"host"}}}}
	others := auth.UserGroup{Tenant: w.tenant, ID: id(2, 1), Name: "others", Created: at(1)}
	changeRoster(t, s, w.tenant, func(ctx context.Context, r access.Roster) (err error) {
		group.ID, err = r.NextDeviceGroup(ctx)
		return errors.Join(err, r.AddUserGroup(ctx, others))
	})
	set := func() {
		t.Helper()
		changeRoster(t, s, w.tenant, func(ctx context.Context, r access.Roster) error {
			return r.SetDeviceGroups(ctx, []device.Group{group, {Name: device.DefaultGroupName}})
		})
		settle(t, s)
	}
	ids := []device.ID{w.device.ID}
	person := device.Reach{All: true, By: []string{"nobody"}}
	set()
	for _, raw := range []string{"", "$count=true&$filter=rbacGroupName+eq+'before'"} {
		if diff := gocmp.Diff(ids, list(t, s, w.tenant, person, raw)); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", raw, diff)
		}
	}
	group.Name = "after"
	set()
	for raw, want := range map[string][]device.ID{"$count=true&$filter=rbacGroupName+eq+'before'": nil, "$count=true&$filter=rbacGroupName+eq+'after'": ids} {
		if diff := gocmp.Diff(want, list(t, s, w.tenant, person, raw)); diff != "" {
			t.Errorf("renamed: %s (-want +got):\n%s", raw, diff)
		}
	}
	group.UserGroups = []string{others.ID}
	set()
	if got := list(t, s, w.tenant, person, "$count=true"); got != nil {
		t.Errorf("who may not see the group any more sees %v", got)
	}
	group.UserGroups = nil
	set()
	if diff := gocmp.Diff(ids, list(t, s, w.tenant, person, "$count=true")); diff != "" {
		t.Errorf("who may see the group again (-want +got):\n%s", diff)
	}
}

// list are the devices within reach that a query selects, whose total, where it asks
// for that, is right.
func list(t *testing.T, s *store.Store, tenant string, reach device.Reach, raw string) (ids []device.ID) {
	t.Helper()
	q, err := odata.Parse(raw, &fleet.Entity)
	if err != nil {
		t.Fatal(err)
	}
	page, err := s.Devices(t.Context(), tenant, reach, q)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	for _, d := range page.Rows {
		ids = append(ids, d.ID)
	}
	if q.Count && page.Total != int64(len(ids)) {
		t.Errorf("%s: the total is %d, and there are %d", raw, page.Total, len(ids))
	}
	return ids
}

// manyGroups lists what somebody sees who reaches more groups than are walked side
// by side.
func manyGroups(t *testing.T, s *store.Store, g Grouping) {
	w := newWorld(t, s)
	var groups []device.Group
	reach := device.Reach{}
	for n := range 300 {
		groups = append(groups, device.Group{ID: int64(n + 1), Name: fmt.Sprint(n), Rank: n + 1, Rule: device.Rule{
			{Property: device.ByName, Operator: device.Equals, Values: []string{fmt.Sprintf("host%d.example.org", n)}},
		}})
		if n%3 > 0 {
			reach.Groups = append(reach.Groups, int64(n+1))
		}
	}
	if err := g.Set(t.Context(), s, w.tenant, groups); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	for _, n := range shuffled(240) {
		enrol(t, s, "token", n)
	}
	all, err := s.Devices(t.Context(), w.tenant, device.Everywhere, odata.All())
	if err != nil {
		t.Fatal(err)
	}
	var want []device.ID
	made := device.NewGroups(groups)
	for _, d := range all.Rows {
		if reach.Has(made.Of(d).ID) {
			want = append(want, d.ID)
		}
	}
	for _, raw := range []string{"$top=20", "$top=20&$skip=50", "$top=1000", "", "$orderby=firstSeen&$top=30", "$top=20&$filter=osPlatform+eq+'Debian'", "$top=10&$filter=rbacGroupId+gt+100"} {
		q, err := odata.Parse(raw, &fleet.Entity)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Clone(want)
		if strings.Contains(raw, "orderby") {
			slices.Reverse(want)
		}
		if strings.Contains(raw, "gt+100") {
			want = slices.DeleteFunc(want, func(id device.ID) bool {
				return !slices.ContainsFunc(all.Rows, func(d device.Device) bool { return d.ID == id && made.Of(d).ID > 100 })
			})
		}
		want = want[min(q.Skip, len(want)):]
		if q.Top > 0 {
			want = want[:min(q.Top, len(want))]
		}
		page, err := s.Devices(t.Context(), w.tenant, reach, q)
		got := []device.ID{}
		for _, d := range page.Rows {
			got = append(got, d.ID)
		}
		if diff := gocmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", raw, err, diff)
		}
	}
}

func ruleIsPreviewed(t *testing.T, s *store.Store, g Grouping) {
	r := seeded(t)
	tenant, devices, _ := crowd(t, s, r)
	for i := range 8 { // what only Go makes small letters of
		d := &devices[i]
		d.Facts.Platform, d.LastSeen = pick(r, "\u212A\u0130", "Deb\u0130an", "ZÜRICH"), time.Now()
		if err := s.Seen(t.Context(), tenant, d.ID, *d); err != nil {
			t.Fatal(err)
		}
	}
	for range 60 {
		made := someGroups(r)
		if err := g.Set(t.Context(), s, tenant, made); err != nil {
			t.Fatal(err)
		}
		groups, rule := device.NewGroups(made), someGroups(r)[0].Rule
		for _, reach := range reaches(r, groups) {
			want := idsOf(slices.DeleteFunc(slices.Clone(devices), func(d device.Device) bool { return !rule.Fold().Matches(d) || !reach.Has(groups.Of(d).ID) }))
			got, total, whole, err := s.Preview(t.Context(), tenant, reach, rule, 5)
			if err != nil || !whole || total != int64(len(want)) {
				t.Errorf("%+v matches %d devices, all: %t, %v, want %d", rule, total, whole, err, len(want))
			}
			if diff := gocmp.Diff(want[:min(5, len(want))], idsOf(got)); diff != "" {
				t.Errorf("%+v matches (-want +got):\n%s", rule, diff)
			}
		}
	}
	if list, err := s.DevicesAt(t.Context(), tenant, device.Reach{Groups: []int64{}}, netip.MustParseAddr("10.0.0.1"), time.Time{}, time.Now(), 0); err != nil || len(list) != 0 {
		t.Errorf("somebody who sees nothing sees %d devices at an address, %v", len(list), err)
	}
}
