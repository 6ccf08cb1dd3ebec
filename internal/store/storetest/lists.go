package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"swab/internal/action"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/fleet"
	"swab/internal/odata"
	"swab/internal/store"
)

// RunLists runs the tests of lists; database makes an empty one each time.
func RunLists(t *testing.T, database func(testing.TB) string) {
	// However few rows may be gathered, and so whichever way a list is made,
	// the answer is the same.
	for _, gather := range []int{0, 20, 1} {
		t.Run(fmt.Sprintf("AnswersAreThoseOfTheFilter/gather=%d", gather), func(t *testing.T) {
			answersAreThose(t, Open(t, store.Options{Database: database(t), Page: 25, Gather: gather}))
		})
	}
	t.Run("PagesStayWhereTheyAre", func(t *testing.T) {
		pagesStay(t, Open(t, store.Options{Database: database(t), Page: 7}))
	})
	t.Run("ForgedPagesAreRefused", func(t *testing.T) { forgedPages(t, Open(t, store.Options{Database: database(t)})) })
	t.Run("LongListIsGivenUp", func(t *testing.T) {
		longList(t, Open(t, store.Options{Database: database(t), ListTime: time.Nanosecond}))
	})
}

// actionsOf selects the actions of a device.
func actionsOf(id device.ID) odata.Query {
	q := odata.All()
	q.Filter = &odata.Compare{Operand: odata.Operand{Property: action.Entity.Find("machineId")}, Value: string(id)}
	return q
}

func answersAreThose(t *testing.T, s *store.Store) {
	r := seeded(t)
	tenant, devices, actions := crowd(t, s, r)
	now := time.Now()
	ofDevice := func(d device.Device, p *odata.Property) any { return fleet.Property(d, p, now) }
	compareAnswers(t, asker{r, &fleet.Entity, literals(devices, ofDevice), 400}, devices, ofDevice,
		func(d device.Device) (time.Time, string) { return d.FirstSeen, string(d.ID) },
		func(q odata.Query) (odata.Page[device.Device], error) {
			return s.Devices(t.Context(), tenant, device.Everywhere, q)
		})
	compareAnswers(t, asker{r, &action.Entity, literals(actions, action.Action.Property), 400}, actions, action.Action.Property,
		func(a action.Action) (time.Time, string) { return a.Created, a.ID },
		func(q odata.Query) (odata.Page[action.Action], error) {
			return s.Actions(t.Context(), tenant, device.Everywhere, q)
		})
}

// compareAnswers holds a store's answers, walked to the last page, against what
// odata.Match says of each row.
func compareAnswers[T any](t *testing.T, a asker, rows []T, get func(T, *odata.Property) any, place func(T) (time.Time, string), ask func(odata.Query) (odata.Page[T], error)) {
	t.Helper()
	asked, some := 0, 0
	for asked < a.count {
		raw := a.query()
		q, err := odata.Parse(raw, a.entity)
		if err != nil {
			if !strings.Contains(err.Error(), "compare") && !strings.Contains(err.Error(), "wants a GUID") { // null, and texts for parts of a GUID
				t.Fatalf("%s: %v", raw, err)
			}
			continue
		}
		asked++
		var want []T
		for _, row := range rows {
			if odata.Match(q.Filter, func(p *odata.Property) any { return get(row, p) }) {
				want = append(want, row)
			}
		}
		slices.SortFunc(want, func(a, b T) int { return byOrder(a, b, q.OrderBy, get, place) })
		total := len(want)
		want = want[min(q.Skip, len(want)):]
		if q.Top >= 0 {
			want = want[:min(q.Top, len(want))]
		}
		var got []T
		for {
			page, err := ask(q)
			if err != nil {
				t.Fatalf("%s: %v", raw, err)
			}
			if page.Total != int64(total) {
				t.Errorf("%s: the total is %d, want %d", raw, page.Total, total)
			}
			got = append(got, page.Rows...)
			if page.Next == "" {
				break
			}
			q.After, q.Skip = page.Next, 0
		}
		id := func(rows []T) (ids []string) {
			for _, row := range rows {
				_, id := place(row)
				ids = append(ids, id)
			}
			return ids
		}
		if diff := gocmp.Diff(id(want), id(got)); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", raw, diff)
		}
		some += min(1, len(got))
	}
	if some < asked/10 && len(rows) > 20 {
		t.Errorf("only %d of %d queries select anything", some, asked)
	}
}

// byOrder compares rows as a list sorts them: null before all else, and rows
// that are alike by their ids.
func byOrder[T any](a, b T, order []odata.Order, get func(T, *odata.Property) any, place func(T) (time.Time, string)) int {
	desc := true
	for _, o := range order {
		n := 0
		switch v := get(a, o.Property).(type) {
		case time.Time:
			n = v.Compare(get(b, o.Property).(time.Time))
		case []string:
			n = strings.Compare(v[0], get(b, o.Property).([]string)[0])
		default:
			x, _ := get(a, o.Property).(string)
			y, _ := get(b, o.Property).(string)
			n = strings.Compare(x, y)
		}
		if desc = o.Desc; n != 0 {
			return turned(n, desc)
		}
	}
	at, x := place(a)
	bt, y := place(b)
	if order == nil {
		return turned(cmp.Or(at.Compare(bt), strings.Compare(x, y)), true)
	}
	return turned(strings.Compare(x, y), desc)
}

func turned(n int, desc bool) int {
	if desc {
		return -n
	}
	return n
}

// pagesStay walks lists while newer rows come in: each row that was there is
// seen once, and none that came later.
func pagesStay(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	created := 0
	create := func() action.ID {
		a := newAction(w.device, created)
		a.Status = action.Failed
		created++
		return w.create(t, a).ID
	}
	want := []action.ID{}
	for range 30 {
		want = slices.Insert(want, 0, create())
	}
	for _, q := range []odata.Query{odata.All(), actionsOf(w.device.ID)} {
		got, pages := []action.ID{}, 1
		for {
			page, err := s.Actions(t.Context(), w.tenant, device.Everywhere, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range page.Rows {
				got = append(got, a.ID)
			}
			if page.Next == "" {
				break
			}
			q.After = page.Next
			pages++
			create()
		}
		if diff := gocmp.Diff(want, got); diff != "" || pages != (len(want)+6)/7 {
			t.Errorf("%d pages (-want +got):\n%s", pages, diff)
		}
		for n := len(want); n < created; n++ {
			want = slices.Insert(want, 0, id(0xc, n))
		}
	}
	list, err := s.Actions(t.Context(), w.tenant, device.Everywhere, odata.Query{Top: 4})
	if err != nil || len(list.Rows) != 4 || list.Next != "" {
		t.Errorf("a list with $top has %d rows and leads on to %q, %v", len(list.Rows), list.Next, err)
	}
}

func forgedPages(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	w.create(t, newAction(w.device, 1))
	byVersion := odata.All()
	byVersion.OrderBy = []odata.Order{{Property: fleet.Entity.Find("version")}}
	for _, key := range []string{"x", "[]", "[1]", `[1,2]`, `["1","x"]`, `[1,"x",2]`, `[1.5,"x"]`, `[ 1,"x"]`, `{"a":1}`, `[1,null]`, `[99999999999999999999,"x"]`, "[1,\"x\"] ", `[1,"x' OR 1=1 --"`} {
		q := odata.All()
		q.After = key
		_, err := s.Actions(t.Context(), w.tenant, device.Everywhere, q)
		wantFault(t, key, err, fault.OData, "")
		if key == `["1","x"]` {
			continue
		}
		byVersion.After = key
		_, err = s.Devices(t.Context(), w.tenant, device.Everywhere, byVersion)
		wantFault(t, key+" by version", err, fault.OData, "")
	}
	q := odata.All()
	q.After = `[9000000000000000000,"x' OR 1=1 --"]`
	if page, err := s.Actions(t.Context(), w.tenant, device.Everywhere, q); err != nil || len(page.Rows) != 1 {
		t.Errorf("a key with SQL in it: %d rows, %v; want it taken as text", len(page.Rows), err)
	}
}

func longList(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	_, err := s.Actions(t.Context(), w.tenant, device.Everywhere, actionsOf(w.device.ID))
	wantFault(t, "a list that takes too long", err, fault.Unavailable, "")
	if _, text := fault.Of(err); !strings.Contains(text, "no index serves") {
		t.Errorf("a list that takes too long: %q, want the reason", text)
	}
	if _, err := s.Device(t.Context(), w.tenant, w.device.ID); err != nil {
		t.Errorf("what comes after it: %v", err)
	}
}
