package store_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"swab/internal/store"
	"swab/internal/store/storetest"
)

// Every call that was answered is in one transaction that was told of, on either
// database.
func TestCommitsAreTold(t *testing.T) {
	for name, database := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			var (
				mu   sync.Mutex
				told int
			)
			s := storetest.Open(t, store.Options{Database: database(t), OnCommit: func(calls int, took time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				if told += calls; took <= 0 {
					t.Errorf("a commit took %v", took)
				}
			}})
			tenant := newTenant(t, s)
			var all sync.WaitGroup
			for range 40 {
				all.Go(func() {
					if err := s.Record(t.Context(), tenant, link(1)); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if done := s.Stats().Done; done != 41 { // the tenant's own
				t.Errorf("%d entries were counted, want 41", done)
			}
			mu.Lock()
			defer mu.Unlock()
			if told != 41 {
				t.Errorf("commits of %d calls were told, want 41", told)
			}
		})
	}
}

// A batch that the database does not keep is lost for each of its calls, and none
// of its entries is counted.
func TestLostCallsAreCounted(t *testing.T) {
	s := storetest.Open(t, store.Options{Database: storetest.SQLite(t)})
	tenant, d := newDevice(t, s)
	standing, err := s.CreateAction(t.Context(), newAction(d, 1), link(1))
	if err != nil {
		t.Fatal(err)
	}
	before := s.Stats()
	begun := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		if err := s.Hold(t.Context(), 1, begun, func(exec func(string, ...any) error) error {
			if n := s.Stats().Waiting; n != 1 {
				t.Errorf("%d calls wait, want 1", n)
			}
			return errors.Join(exec("PRAGMA defer_foreign_keys = ON"), exec("UPDATE actions SET device = 'nobody' WHERE id = ?", standing.ID))
		}); err == nil {
			t.Error("a batch that breaks the database was kept")
		}
	})
	<-begun
	if err := s.Record(t.Context(), tenant, link(2)); err == nil {
		t.Error("an entry of a lost batch was kept")
	}
	all.Wait()
	if after := s.Stats(); after.Lost-before.Lost != 2 || after.Done != before.Done || after.Waiting != 0 {
		t.Errorf("%+v, before %+v; want two lost", after, before)
	}
}
