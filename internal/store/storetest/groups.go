package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/device"
	"swab/internal/fleet"
	"swab/internal/odata"
	"swab/internal/store"
)

// Grouping is what the tests of device groups do beside what everybody can.
type Grouping struct {
	// Set puts device groups in the place of those that a tenant has.
	Set func(ctx context.Context, s *store.Store, tenant string, groups []device.Group) error

	// Bring puts some devices into their groups, as a settling does that ends then.
	Bring func(ctx context.Context, s *store.Store, tenant string, ids []device.ID) error
}

// RunGroups runs the tests of device groups; database makes an empty one each time.
func RunGroups(t *testing.T, database func(testing.TB) string, g Grouping) {
	for _, gather := range []int{0, 20, 1} {
		for _, settled := range []bool{true, false} {
			t.Run(fmt.Sprintf("ListsHoldWhatIsWithinReach/gather=%d/settled=%t", gather, settled), func(t *testing.T) {
				listsWithinReach(t, Open(t, store.Options{Database: database(t), Page: 25, Gather: gather, ListTime: 8 * time.Second}), g, settled)
			})
		}
	}
	t.Run("DevicesEndInTheirGroups", func(t *testing.T) { endInTheirGroups(t, Open(t, store.Options{Database: database(t)}), g) })
	t.Run("ChangedRuleHoldsAtOnce", func(t *testing.T) { holdsAtOnce(t, database(t), g) })
	t.Run("PagesOfAReachStay", func(t *testing.T) { pagesOfAReach(t, Open(t, store.Options{Database: database(t), Page: 7}), g) })
	t.Run("ManyGroupsAreWalked", func(t *testing.T) { manyGroups(t, Open(t, store.Options{Database: database(t)}), g) })
	t.Run("WritersAndSettlingsMeet", func(t *testing.T) { writersMeet(t, Open(t, store.Options{Database: database(t)}), g) })
	t.Run("RuleIsPreviewed", func(t *testing.T) { ruleIsPreviewed(t, Open(t, store.Options{Database: database(t)}), g) })
}

// someGroups are random groups over what crowd and newDevice make.
func someGroups(r *rand.Rand) []device.Group {
	var groups []device.Group
	for n := range 1 + r.IntN(7) {
		g := device.Group{ID: int64(1 + n*3), Name: pick(r, "Web ", "web ", "db'") + fmt.Sprint(n)}
		for range 1 + r.IntN(2) {
			c := device.Condition{Property: pick(r, device.Properties...), Operator: pick(r, device.Operators...)}
			for range 1 + r.IntN(2) {
				c.Values = append(c.Values, pick(r, "a", "A", "ab", "b", "zü", "zürich", "a'b", "host", "host1", "org", "example.org", "debian", "Linux", "windows11", "Zürich", "web", "\U0010FFFF", "i", "ki", "K", "#"))
			}
			g.Rule = append(g.Rule, c)
		}
		groups = append(groups, g)
	}
	r.Shuffle(len(groups), func(i, j int) { groups[i], groups[j] = groups[j], groups[i] })
	for i := range groups {
		groups[i].Rank = i + 1
	}
	return groups
}

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

// changedGroups are groups after a small change of them: one that comes, goes, has
// another rule or another rank.
func changedGroups(r *rand.Rand, groups []device.Group) []device.Group {
	groups = slices.Clone(groups)
	at, other := r.IntN(len(groups)), someGroups(r)[0]
	switch r.IntN(4) {
	case 0:
		other.ID = groups[at].ID + 1 + r.Int64N(1<<40)
		other.Name = fmt.Sprint("new ", other.ID)
		groups = slices.Insert(groups, at, other)
	case 1:
		if len(groups) > 1 {
			groups = slices.Delete(groups, at, at+1)
		}
	case 2:
		groups[at].Rule = other.Rule
	case 3:
		groups[0], groups[at] = groups[at], groups[0]
	}
	for i := range groups {
		groups[i].Rank = i + 1
	}
	return groups
}

// listsWithinReach holds the answers of those who see a part of the devices
// against those devices' groups, by the rules as they are, wherever they stand.
func listsWithinReach(t *testing.T, s *store.Store, g Grouping, settled bool) {
	r := rand.New(rand.NewPCG(2, uint64(time.Now().UnixNano())))
	tenant, devices, actions := crowd(t, s, r)
	made := someGroups(r)
	rounds := 3
	if !settled {
		rounds = 8
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

// Fleet makes a tenant with so many devices, named host0.example.org and so on, each
// with an action that failed.
func Fleet(t *testing.T, s *store.Store, count int) (tenant string) {
	w := newWorld(t, s)
	for n := range count {
		d := enrol(t, s, "token", 10_000+n)
		d.Facts.Name = fmt.Sprintf("host%d.example.org", n)
		if err := s.Seen(t.Context(), w.tenant, d.ID, d); err != nil {
			t.Fatal(err)
		}
		a := newAction(d, n)
		a.Status = action.Failed
		w.create(t, a)
	}
	return w.tenant
}

// idsOf are the ids of devices, those of the newest first.
func idsOf(devices []device.Device) []device.ID {
	slices.SortFunc(devices, func(a, b device.Device) int {
		if n := b.FirstSeen.Compare(a.FirstSeen); n != 0 {
			return n
		}
		return strings.Compare(string(b.ID), string(a.ID))
	})
	ids := make([]device.ID, len(devices))
	for i, d := range devices {
		ids[i] = d.ID
	}
	return ids
}

func settle(t testing.TB, s *store.Store) int {
	t.Helper()
	n, err := s.Settle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// wantGroups fails the test unless the lists of each group hold those of its
// devices and actions, and no others.
func wantGroups(t *testing.T, s *store.Store, tenant string, groups *device.Groups) {
	t.Helper()
	all, err := s.Devices(t.Context(), tenant, device.Everywhere, odata.All())
	if err != nil {
		t.Fatal(err)
	}
	actions, err := s.Actions(t.Context(), tenant, device.Everywhere, odata.All())
	if err != nil {
		t.Fatal(err)
	}
	wantDevices, wantActions, in := map[int64][]device.ID{}, map[int64][]action.ID{}, map[device.ID]int64{}
	for _, d := range all.Rows {
		in[d.ID] = groups.Of(d).ID
		wantDevices[in[d.ID]] = append(wantDevices[in[d.ID]], d.ID)
	}
	for _, a := range actions.Rows {
		wantActions[in[a.Device]] = append(wantActions[in[a.Device]], a.ID)
	}
	gotDevices, gotActions := map[int64][]device.ID{}, map[int64][]action.ID{}
	for _, g := range groups.All() {
		reach := device.Reach{Groups: []int64{g.ID}}
		devices, err := s.Devices(t.Context(), tenant, reach, odata.All())
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range devices.Rows {
			gotDevices[g.ID] = append(gotDevices[g.ID], d.ID)
		}
		actions, err := s.Actions(t.Context(), tenant, reach, odata.All())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range actions.Rows {
			gotActions[g.ID] = append(gotActions[g.ID], a.ID)
		}
	}
	if diff := gocmp.Diff(wantDevices, gotDevices); diff != "" {
		t.Fatalf("devices by group (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff(wantActions, gotActions); diff != "" {
		t.Fatalf("actions by group (-want +got):\n%s", diff)
	}
}

// endInTheirGroups changes rules, tags, names and systems in any order, settles or
// not in between, and finds every device and action in its group at the end.
func endInTheirGroups(t *testing.T, s *store.Store, g Grouping) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(3, seed))
	w := newWorld(t, s)
	devices := []device.Device{w.device}
	groups, made := device.NewGroups(nil), 0
	for step := range 200 {
		d := &devices[r.IntN(len(devices))]
		var err error
		switch r.IntN(8) {
		case 0:
			list := someGroups(r)
			if groups, err = device.NewGroups(list), g.Set(t.Context(), s, w.tenant, list); r.IntN(2) == 0 {
				settle(t, s)
			}
		case 1:
			var ids []device.ID
			for _, one := range devices {
				if r.IntN(3) == 0 {
					ids = append(ids, one.ID)
				}
			}
			if len(ids) > 0 {
				err = g.Bring(t.Context(), s, w.tenant, ids)
			}
		case 2:
			devices = append(devices, enrol(t, s, "token", 10+step))
		case 3:
			a := newAction(*d, 1000+made)
			a.Status, made = action.Failed, made+1
			w.create(t, a)
		case 4, 5:
			tags := []string{pick(r, "a", "ab", "web", "Zürich", "b")}
			_, err = s.ChangeDevices(t.Context(), w.tenant, []device.ID{d.ID}, func(d device.Device) (device.Device, audit.Entry, error) {
				d.Tags = tags
				return d, entry(audit.ActUpdateDevice, string(d.ID), d.ID), nil
			})
		case 6:
			said := *d
			said.Facts.Name, said.Facts.Platform, said.Facts.System = pick(r, "a.b", "host1.example.org", "zürich", ""), pick(r, "Debian", "Windows11", "KÜBEL"), pick(r, device.Linux, device.Windows)
			err = s.Seen(t.Context(), w.tenant, d.ID, said)
		case 7:
			name, own := pick(r, "host1", "ab.org", "a"), "x"
			_, err = s.AdministerDevice(t.Context(), w.tenant, d.ID, func(d device.Device) (device.Device, audit.Entry, error) {
				if d.Facts.Name, d.Reported = name, &own; r.IntN(2) == 0 {
					d.Facts.Name, d.Reported = own, nil
				}
				return d, entry(audit.ActUpdateDevice, string(d.ID), d.ID), nil
			})
		}
		if err != nil {
			t.Fatalf("seed %d, step %d: %v", seed, step, err)
		}
		if step%20 == 19 {
			wantGroups(t, s, w.tenant, groups)
		}
	}
	settle(t, s)
	wantGroups(t, s, w.tenant, groups)
	if n := settle(t, s); n != 0 {
		t.Errorf("a second settling moved %d devices", n)
	}
}

// holdsAtOnce changes a rule and looks before, amid and after the settling, which
// another process takes up.
func holdsAtOnce(t *testing.T, database string, g Grouping) {
	s, err := store.Open(t.Context(), store.Options{Database: database})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, s)
	devices := []device.Device{w.device}
	for n := range 20 {
		devices = append(devices, enrol(t, s, "token", 10+n))
	}
	for n, d := range devices {
		w.create(t, newAction(d, n))
	}
	rule := func(name string) []device.Group {
		return []device.Group{{ID: 7, Name: "seven", Rank: 1, Rule: device.Rule{{Property: device.ByName, Operator: device.StartsWith, Values: []string{name}}}}}
	}
	for _, name := range []string{"host1", "host2", "nosuch", "host"} {
		if err := g.Set(t.Context(), s, w.tenant, rule(name)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-s.Unsettled():
		default:
			t.Error("nobody is told that there is something to settle")
		}
		wantGroups(t, s, w.tenant, device.NewGroups(rule(name)))
		if err := g.Bring(t.Context(), s, w.tenant, []device.ID{devices[3].ID, devices[0].ID, devices[12].ID}); err != nil {
			t.Fatal(err)
		}
		wantGroups(t, s, w.tenant, device.NewGroups(rule(name)))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = store.Open(t.Context(), store.Options{Database: database}); err != nil {
			t.Fatal(err)
		}
		wantGroups(t, s, w.tenant, device.NewGroups(rule(name)))
		settle(t, s)
		wantGroups(t, s, w.tenant, device.NewGroups(rule(name)))
	}
	if err := g.Set(t.Context(), s, w.tenant, rule("host")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Unsettled():
		t.Error("rules that stay as they are begin a generation")
	default:
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
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

// writersMeet changes tags and makes actions of the same devices while rules
// change and are settled, all at once.
func writersMeet(t *testing.T, s *store.Store, g Grouping) {
	w := newWorld(t, s)
	ids := []device.Device{w.device}
	for n := range 30 {
		ids = append(ids, enrol(t, s, "token", 10+n))
	}
	done := make(chan error)
	writers := 0
	run := func(f func(r *rand.Rand, n int) error) {
		writers++
		r := rand.New(rand.NewPCG(uint64(writers), 4))
		go func() {
			for n := range 60 {
				if err := f(r, n); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for writer := range 3 {
		run(func(r *rand.Rand, n int) error {
			list := []device.ID{ids[r.IntN(len(ids))].ID}
			if other := ids[r.IntN(len(ids))].ID; other != list[0] {
				list = append(list, other)
			}
			_, err := s.ChangeDevices(t.Context(), w.tenant, list, func(d device.Device) (device.Device, audit.Entry, error) {
				d.Tags = []string{pick(r, "a", "b", "ab", "web")}
				return d, entry(audit.ActUpdateDevice, string(d.ID), d.ID), nil
			})
			return err
		})
		run(func(r *rand.Rand, n int) error {
			a := newAction(ids[r.IntN(len(ids))], 1000*writer+n)
			a.Status = action.Failed
			_, err := s.CreateAction(t.Context(), a, entry(audit.ActCollect, a.ID, a.Device))
			return err
		})
	}
	var last []device.Group
	run(func(r *rand.Rand, n int) error {
		last = someGroups(r)
		return g.Set(t.Context(), s, w.tenant, last)
	})
	for range 2 {
		run(func(*rand.Rand, int) error {
			_, err := s.Settle(t.Context())
			return err
		})
	}
	for range writers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	settle(t, s)
	wantGroups(t, s, w.tenant, device.NewGroups(last))
}

func ruleIsPreviewed(t *testing.T, s *store.Store, g Grouping) {
	r := rand.New(rand.NewPCG(5, uint64(time.Now().UnixNano())))
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
