package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/device"
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
	t.Run("NoConditionWidensAReach", func(t *testing.T) { reachIsKept(t, Open(t, store.Options{Database: database(t)}), g) })
	t.Run("RenamedAndReopenedGroupsHoldAtOnce", func(t *testing.T) { namesHoldAtOnce(t, Open(t, store.Options{Database: database(t)})) })
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
	r := seeded(t)
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
			t.Fatalf("step %d: %v", step, err)
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
