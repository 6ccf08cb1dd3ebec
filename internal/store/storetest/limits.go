package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/fault"
	"swab/internal/limit"
	"swab/internal/store"
)

// held are the holds of a key as the store has them.
func held(t testing.TB, s *store.Store, key limit.Key) (list []limit.Held) {
	t.Helper()
	err := s.ChangeLedger(t.Context(), key, func(_ time.Time, was []limit.Held) []limit.Held {
		list = was
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func keep(t testing.TB, s *store.Store, key limit.Key, list []limit.Held) {
	t.Helper()
	if err := s.ChangeLedger(t.Context(), key, func(time.Time, []limit.Held) []limit.Held { return list }); err != nil {
		t.Fatal(err)
	}
}

func ledgersAreKept(t *testing.T, s *store.Store) {
	tenant, other := newTenant(t, s, 1), newTenant(t, s, 2)
	key := limit.Key{Tenant: tenant, Caller: "application/a", API: "listMachines"}
	if list := held(t, s, key); list == nil || len(list) != 0 {
		t.Errorf("holds of a new key: %v", list)
	}
	moment := time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC)
	want := []limit.Held{{Holder: "ABCD", Calls: 10, Last: moment.Add(time.Minute)}, {Holder: "EFGH", Calls: 1, Last: moment}}
	keep(t, s, key, want)
	if diff := cmp.Diff(want, held(t, s, key)); diff != "" {
		t.Errorf("holds (-want +got):\n%s", diff)
	}
	for _, apart := range []limit.Key{{Tenant: other, Caller: key.Caller, API: key.API}, {Tenant: tenant, Caller: "application/b", API: key.API}, {Tenant: tenant, Caller: key.Caller, API: "x"}} {
		if list := held(t, s, apart); len(list) != 0 {
			t.Errorf("%v has the holds of %v: %v", apart, key, list)
		}
	}
	if err := s.ChangeLedger(t.Context(), limit.Key{Tenant: id(9, 9)}, func(time.Time, []limit.Held) []limit.Held { return nil }); err == nil {
		t.Error("there is a ledger of no tenant")
	}
	keep(t, s, key, []limit.Held{})
	if list := held(t, s, key); len(list) != 0 {
		t.Errorf("after all were taken away: %v", list)
	}
}

// changesOfALedgerFollow has many add to one ledger at once; the first of them
// finds none.
func changesOfALedgerFollow(t *testing.T, s *store.Store) {
	key := limit.Key{Tenant: newTenant(t, s, 1), Caller: "application/a", API: "x"}
	const callers, times = 8, 10
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for n := range times {
				before := time.Now().Add(-time.Hour) // the shared clock need not be this machine's
				err := s.ChangeLedger(t.Context(), key, func(now time.Time, was []limit.Held) []limit.Held {
					if now.Before(before) {
						t.Errorf("the time is %v", now)
					}
					return append(was, limit.Held{Holder: fmt.Sprint(c), Calls: n, Last: now})
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	list, next := held(t, s, key), map[string]int{}
	for i, h := range list {
		if h.Calls != next[h.Holder] || i > 0 && h.Last.Before(list[i-1].Last) {
			t.Errorf("change %d of caller %s came as number %d, at %v", h.Calls, h.Holder, i, h.Last)
		}
		next[h.Holder]++
	}
	if len(list) != callers*times {
		t.Errorf("%d changes are there, want %d", len(list), callers*times)
	}
}

func oldLedgersAreForgotten(t *testing.T, s *store.Store) {
	tenant, now := newTenant(t, s, 1), time.Time{}
	key := func(api string) limit.Key { return limit.Key{Tenant: tenant, Caller: "application/a", API: api} }
	err := s.ChangeLedger(t.Context(), key("empty"), func(at time.Time, _ []limit.Held) []limit.Held { now = at; return nil })
	if err != nil {
		t.Fatal(err)
	}
	past := now.Add(-61 * time.Minute).Truncate(time.Millisecond)
	keep(t, s, key("old"), []limit.Held{{Holder: "a", Calls: 1, Last: past}})
	keep(t, s, key("needed"), []limit.Held{{Holder: "a", Calls: 1, Last: past.Add(2 * time.Minute)}, {Holder: "b", Calls: 1, Last: past}})
	if err := s.ForgetLedgers(t.Context()); err != nil {
		t.Fatal(err)
	}
	for api, want := range map[string]int{"old": 0, "needed": 2} {
		if list := held(t, s, key(api)); len(list) != want {
			t.Errorf("%s: %v, want %d holds", api, list, want)
		}
	}
}

// twoNodesKeepOneLimit has two limiters on the database as two servers have.
func twoNodesKeepOneLimit(t *testing.T, s *store.Store) {
	key := limit.Key{Tenant: newTenant(t, s, 1), Caller: "application/a", API: "x"}
	nodes := []*limit.Limiter{limit.New(limit.Config{Ledgers: s}), limit.New(limit.Config{Ledgers: s})}
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		taken int
	)
	for i := range 8 {
		all.Go(func() {
			for range 40 {
				switch err := nodes[i%2].Take(t.Context(), key, limit.Figures{Minute: 100, Hour: 1500}); {
				case err == nil:
					mu.Lock()
					taken++
					mu.Unlock()
				case !errors.Is(err, fault.TooMany):
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if taken != 100 {
		t.Errorf("%d calls were taken, limit 100", taken)
	}
	third := limit.New(limit.Config{Ledgers: s}) // as after a restart
	if err := third.Take(t.Context(), key, limit.Figures{Minute: 100, Hour: 1500}); !errors.Is(err, fault.TooMany) {
		t.Errorf("after a restart: %v", err)
	}
}

// benchTake measures what limits cost: each caller asks for its own key, and
// one in ten calls opens a ledger.
func benchTake(b *testing.B, s *store.Store, callers int) {
	tenant, at := newTenant(b, s, 1), time.Now()
	l := limit.New(limit.Config{Ledgers: s})
	// The limit is never met: each caller's calls are spread over a few keys.
	keys := make([]limit.Key, 1+b.N/1000)
	for i := range keys {
		keys[i] = limit.Key{Tenant: tenant, Caller: fmt.Sprint("application/", i), API: "x"}
	}
	Spread(b, callers, func(i int) error {
		return l.Take(b.Context(), keys[i%len(keys)], limit.Figures{Minute: 1500, Hour: 1500})
	})
	b.ReportMetric(float64(time.Since(at).Microseconds())/float64(b.N), "µs/call")
}
