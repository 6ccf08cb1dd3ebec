package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/fault"
	"swab/internal/store"
)

// RunSearch runs the tests of searching the audit log; database makes an empty
// one each time.
func RunSearch(t *testing.T, database func(testing.TB) string) {
	// Whichever way the entries are found, they are those of the filter.
	for _, gather := range []int{0, 20, 1} {
		t.Run(fmt.Sprintf("FoundIsWhatTheFilterSays/gather=%d", gather), func(t *testing.T) {
			foundIsWhatIsSaid(t, store.Options{Database: database(t), Gather: gather})
		})
	}
	t.Run("PagesAreOfThisSearch", func(t *testing.T) { searchPages(t, Open(t, store.Options{Database: database(t)})) })
	t.Run("EntryIsProvedAlone", func(t *testing.T) { entryIsProved(t, Open(t, store.Options{Database: database(t)})) })
	t.Run("LongSearchIsGivenUp", func(t *testing.T) {
		s := Open(t, store.Options{Database: database(t), ListTime: time.Nanosecond})
		tenant := newTenant(t, s, 1)
		_, err := s.AuditSearch(t.Context(), tenant, audit.Filter{}, "", 0)
		wantFault(t, "a search that takes too long", err, fault.Unavailable, "")
	})
}

// history fills a tenant's log with entries of all kinds, as the operations make
// them, and another tenant's with the same.
func history(t *testing.T, s *store.Store, r *rand.Rand) (tenant string, entries []audit.Entry) {
	t.Helper()
	w := newWorld(t, s)
	other := newTenant(t, s, 7)
	whos := []string{"application/a", "application/b", "user/1", "user/2", "device/1", "server/server", "unknown", "user0", "device0"}
	names := []string{"", "Ann@Contoso.com", "ann@contoso.com", "ÄNN", "a\x00b", "\U0010FFFF"}
	var ids []string
	made := func(leaf audit.Leaf) audit.Entry {
		leaf.Result = pick(r, audit.Done, audit.Done, audit.Refused)
		return audit.NewEntry(at(r.IntN(50)), leaf, audit.Hidden{
			Who: pick(r, whos...), Name: pick(r, names...), From: "192.0.2.1", Correlation: pick(r, "c1", "c2", "c3"), Comment: "x",
		})
	}
	for n := range 60 {
		a := newAction(w.device, n)
		a.Status = action.Failed
		e := made(audit.Leaf{Act: audit.ActCollect, Object: a.ID, Device: string(a.Device)})
		e.Leaf.Result = audit.Done
		if _, err := s.CreateAction(t.Context(), a, e); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, a.ID)
	}
	for range 240 {
		var e audit.Entry
		switch r.IntN(4) {
		case 0:
			e = made(audit.Leaf{Act: pick(r, audit.ActSeal, audit.ActLink, audit.ActFail), Object: pick(r, ids...), Device: string(w.device.ID)})
		case 1: // refused, so it may be of no action
			e = audit.NewEntry(at(3), audit.Leaf{
				Act: audit.ActCollect, Object: string(w.device.ID), Device: string(w.device.ID), Result: audit.Refused,
			}, audit.Hidden{Who: pick(r, whos...), Name: pick(r, names...)})
		default:
			e = made(audit.Leaf{
				Act:    pick(r, audit.ActApp, audit.ActRevokeApp, audit.ActRead, audit.ActUpdateDevice, audit.ActAddSecret),
				Object: pick(r, "o1", "o2", `"quoted"`, string(w.device.ID)), Device: pick(r, "", "", string(w.device.ID)),
			})
		}
		if err := s.Record(t.Context(), w.tenant, e); err != nil {
			t.Fatal(err)
		}
		if err := s.Record(t.Context(), other, e); err != nil {
			t.Fatal(err)
		}
	}
	_, logged := Recompute(t, s, w.tenant)
	for _, l := range logged {
		leaf, err := audit.ParseLeaf(l.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, audit.Entry{Leaf: leaf, Opening: l.Opening})
	}
	return w.tenant, entries
}

// selects says whether f selects an entry.
func selects(t *testing.T, f audit.Filter, e audit.Entry) bool {
	t.Helper()
	h := e.Opening.Hidden
	is := func(want, got string) bool { return want == "" || want == got }
	act := len(f.Acts) == 0 || slices.ContainsFunc(f.Acts, func(a audit.Act) bool {
		prefix, group := a.Group()
		return a == e.Leaf.Act || group && strings.HasPrefix(string(e.Leaf.Act), prefix)
	})
	lower := func(s string) string { // of ASCII alone
		return strings.Map(func(r rune) rune {
			if r < 0x80 {
				return []rune(strings.ToLower(string(r)))[0]
			}
			return r
		}, s)
	}
	made, err := time.Parse(time.RFC3339Nano, e.Leaf.Time)
	if err != nil {
		t.Fatal(err)
	}
	return act && (f.Since.IsZero() || !made.Before(f.Since)) && (f.Until.IsZero() || made.Before(f.Until)) &&
		is(f.Who, h.Who) && (f.User == "" || lower(f.User) == lower(h.Name) && strings.HasPrefix(h.Who, "user/")) &&
		is(f.Object, e.Leaf.Object) && (is(f.Device, e.Leaf.Device) || f.Device == e.Leaf.Object) && is(f.Result, e.Leaf.Result) && is(f.Correlation, h.Correlation)
}

func foundIsWhatIsSaid(t *testing.T, o store.Options) {
	r := seeded(t)
	s := Open(t, o)
	tenant, entries := history(t, s, r)
	some := 0
	for range 300 {
		var f audit.Filter
		one := entries[r.IntN(len(entries))] // which is found more often than not
		for _, set := range []func(){
			func() { f.Since = at(r.IntN(50)) },
			func() { f.Until = at(r.IntN(50)) },
			func() {
				f.Acts = []audit.Act{pick(r, one.Leaf.Act, "action.*", "app.*", "audit.read", "user.*"), pick(r, one.Leaf.Act, audit.ActCollect, "app.secret.*")}
			},
			func() { f.Who = one.Opening.Hidden.Who },
			func() { f.User = strings.ToUpper(one.Opening.Hidden.Name) },
			func() { f.Object = one.Leaf.Object },
			func() { f.Device = one.Leaf.Device },
			func() { f.Result = pick(r, audit.Done, audit.Refused) },
			func() { f.Correlation = one.Opening.Hidden.Correlation },
		} {
			if r.IntN(4) == 0 {
				set()
			}
		}
		var want []int64
		for i, e := range entries {
			if selects(t, f, e) {
				want = append(want, int64(i))
			}
		}
		slices.SortFunc(want, func(a, b int64) int {
			if n := strings.Compare(entries[b].Leaf.Time, entries[a].Leaf.Time); n != 0 {
				return n
			}
			return int(b - a)
		})
		got, next := []int64(nil), ""
		for {
			page, err := s.AuditSearch(t.Context(), tenant, f, next, 25)
			if err != nil {
				t.Fatalf("%s: %v", f, err)
			}
			if len(page.Rows) > 25 {
				t.Fatalf("%s: a page of %d", f, len(page.Rows))
			}
			for _, l := range page.Rows {
				got = append(got, l.Index)
				if l.Index >= 0 && (string(l.Leaf) != string(entries[l.Index].Leaf.Bytes()) || gocmp.Diff(l.Opening, entries[l.Index].Opening) != "") {
					t.Fatalf("%s: entry %d is another one", f, l.Index)
				}
			}
			if next = page.Next; next == "" {
				break
			}
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", f, diff)
		}
		some += min(1, len(got))
	}
	if some < 30 {
		t.Errorf("only %d of 300 searches find anything", some)
	}
}

// searchPages goes on where a page ended while newer entries come, and refuses
// what no page ended with.
func searchPages(t *testing.T, s *store.Store) {
	tenant := newTenant(t, s, 1)
	for n := range 9 {
		e := entry(audit.ActApp, fmt.Sprint(n), "")
		e.Leaf.Time = audit.NewEntry(at(n), e.Leaf, e.Opening.Hidden).Leaf.Time
		if err := s.Record(t.Context(), tenant, e); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	f, next := audit.Filter{Acts: []audit.Act{audit.ActApp}}, ""
	for {
		page, err := s.AuditSearch(t.Context(), tenant, f, next, 4)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range page.Rows {
			leaf, err := audit.ParseLeaf(l.Leaf)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, leaf.Object)
		}
		if next = page.Next; next == "" {
			break
		}
		late := audit.NewEntry(at(100), audit.Leaf{Act: audit.ActApp, Object: "late", Result: audit.Done}, audit.Hidden{})
		if err := s.Record(t.Context(), tenant, late); err != nil {
			t.Fatal(err)
		}
	}
	if want := "8 7 6 5 4 3 2 1 0"; strings.Join(got, " ") != want {
		t.Errorf("pages have %v, want %s", got, want)
	}
	for _, key := range []string{"x", "[]", "[1]", `["1",2]`, `[1,"2"]`, "[1,2,3]", "[1,2] ", "[1, 2]", "null"} {
		_, err := s.AuditSearch(t.Context(), tenant, f, key, 4)
		wantFault(t, key, err, fault.OData, "")
	}
}

func entryIsProved(t *testing.T, s *store.Store) {
	tenant := newTenant(t, s, 1)
	for n := range 5 {
		if err := s.Record(t.Context(), tenant, entry(audit.ActApp, fmt.Sprint(n), "")); err != nil {
			t.Fatal(err)
		}
	}
	l, proof, head, err := s.AuditEntry(t.Context(), tenant, 3)
	if err != nil || l.Index != 3 || len(l.Hash) == 0 || head.Size != 6 || len(proof.Leaves) != 1 {
		t.Fatalf("AuditEntry = %+v, %+v, %v, %v", l, proof, head, err)
	}
	proved := proof.Leaves[0]
	if err := tlog.CheckRecord(proved.Inclusion, head.Size, head.Hash, proved.Index, tlog.RecordHash(l.Leaf)); err != nil {
		t.Error(err)
	}
	for _, index := range []int64{-1, 6, 1 << 40} {
		_, _, _, err := s.AuditEntry(t.Context(), tenant, index)
		wantFault(t, fmt.Sprint("entry ", index), err, fault.NotFound, fmt.Sprintf("Audit entry %d was not found", index))
	}
	if _, _, _, err := s.AuditEntry(t.Context(), newTenant(t, s, 2), 3); err == nil {
		t.Error("another tenant's entry was found")
	}
}
