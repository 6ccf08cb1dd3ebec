package store_test

import (
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/odata"
	"swab/internal/store"
	"swab/internal/store/storetest"
)

// wantLog fails the test unless the log's head is that of its leaves and it
// has size entries.
func wantLog(t *testing.T, s *store.Store, tenant string, size int) {
	t.Helper()
	want, entries := storetest.Recompute(t, s, tenant)
	if got, err := s.Head(t.Context(), tenant); err != nil || got != want || len(entries) != size {
		t.Errorf("Head() = %v, %v; its %d leaves give %v; want %d", got, err, len(entries), want, size)
	}
}

// TestLostBatchFailsEveryCallOfIt makes a commit fail: one call leaves a row
// behind that a check at the end of the transaction finds. All that were to be
// committed with it are told, none of them happened, and the next batch is well.
func TestLostBatchFailsEveryCallOfIt(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "swab.db"))
	tenant, d := newDevice(t, s)
	standing, err := s.CreateAction(t.Context(), newAction(d, 1), link(1))
	if err != nil {
		t.Fatal(err)
	}
	const others = 8
	var all sync.WaitGroup
	begun := make(chan struct{})
	all.Go(func() {
		err := s.Hold(t.Context(), others, begun, func(exec func(string, ...any) error) error {
			return errors.Join(exec("PRAGMA defer_foreign_keys = ON"), exec("UPDATE actions SET device = 'nobody' WHERE id = ?", standing.ID))
		})
		if !errors.Is(err, fault.Unavailable) {
			t.Errorf("the call that lost the batch: %v, want Unavailable", err)
		}
	})
	<-begun
	for n := range others {
		all.Go(func() {
			var err error
			if n%2 == 0 {
				err = s.Record(t.Context(), tenant, link(n))
			} else { // it would have been refused by itself
				_, err = s.CreateAction(t.Context(), newAction(d, 2), link(n))
			}
			if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "FOREIGN KEY") {
				t.Errorf("call %d of the lost batch: %v, want Unavailable with its cause", n, err)
			}
			if _, text := fault.Of(err); strings.Contains(text, "FOREIGN") {
				t.Errorf("call %d: the caller is told %q", n, text)
			}
		})
	}
	all.Wait()
	wantLog(t, s, tenant, 3)
	if got, err := s.Action(t.Context(), tenant, standing.ID); err != nil || got.Device != d.ID {
		t.Errorf("the action is of %s, %v; want it as it was", got.Device, err)
	}
	if err := s.Record(t.Context(), tenant, link(2)); err != nil {
		t.Errorf("the batch after the lost one: %v", err)
	}
	wantLog(t, s, tenant, 4)
}

// TestLostGroupsAreForgotten loses a change of device groups together with a call of
// its batch that went by them. The next change has the revision that the lost one
// would have had, and its own groups.
func TestLostGroupsAreForgotten(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "swab.db"))
	tenant, d := newDevice(t, s)
	standing, err := s.CreateAction(t.Context(), newAction(d, 1), link(1))
	if err != nil {
		t.Fatal(err)
	}
	named := func(name string) []device.Group {
		return []device.Group{{ID: 1, Name: "some", Rank: 1, Rule: device.Rule{{Property: device.ByName, Operator: device.Equals, Values: []string{name}}}}}
	}
	var all sync.WaitGroup
	begun := make(chan struct{})
	all.Go(func() {
		_ = s.Hold(t.Context(), 2, begun, func(exec func(string, ...any) error) error {
			return errors.Join(exec("PRAGMA defer_foreign_keys = ON"), exec("UPDATE actions SET device = 'nobody' WHERE id = ?", standing.ID))
		})
	})
	<-begun
	all.Go(func() {
		if err := store.SetGroups(t.Context(), s, tenant, named(d.Facts.Name)); !errors.Is(err, fault.Unavailable) {
			t.Errorf("the change of groups: %v, want Unavailable", err)
		}
	})
	for s.Waiting() < 1 {
		runtime.Gosched()
	}
	all.Go(func() {
		if _, err := enrol(t, s, 2); !errors.Is(err, fault.Unavailable) {
			t.Errorf("the call after it: %v, want Unavailable", err)
		}
	})
	all.Wait()
	if err := store.SetGroups(t.Context(), s, tenant, named("another")); err != nil {
		t.Fatal(err)
	}
	page, err := s.Devices(t.Context(), tenant, device.Reach{Groups: []int64{1}}, odata.All())
	if err != nil || len(page.Rows) != 0 {
		t.Errorf("Devices() within the group = %d devices, %v; want none", len(page.Rows), err)
	}
}

// TestFullDatabase fills a database that may not grow. What was acknowledged
// stays, what was not did not happen, reading goes on, and so does writing once
// there is room.
//
// Threat P2: a full database.
func TestFullDatabase(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "swab.db"))
	tenant, d := newDevice(t, s)
	if err := s.Set(t.Context(), "max_page_count = 80"); err != nil {
		t.Fatal(err)
	}
	var (
		mu   sync.Mutex
		kept []action.ID
		all  sync.WaitGroup
	)
	for caller := range 8 {
		all.Go(func() {
			for n := range 1000 {
				a := newAction(d, caller*1000+n)
				a.Status, a.Comment = action.Failed, strings.Repeat("x", 300)
				_, err := s.CreateAction(t.Context(), a, link(n))
				if err != nil {
					if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "full") {
						t.Errorf("a full database: %v, want Unavailable with its cause", err)
					}
					return
				}
				mu.Lock()
				kept = append(kept, a.ID)
				mu.Unlock()
			}
			t.Error("the database was never full")
		})
	}
	all.Wait()
	wantActions(t, s, tenant, kept)
	wantLog(t, s, tenant, 2+len(kept))
	if err := s.Set(t.Context(), "max_page_count = 100000"); err != nil {
		t.Fatal(err)
	}
	a, err := s.CreateAction(t.Context(), newAction(d, 9999), link(9))
	if err != nil {
		t.Fatalf("with room again: %v", err)
	}
	wantActions(t, s, tenant, append(kept, a.ID))
	wantLog(t, s, tenant, 3+len(kept))
}

// wantActions fails the test unless the tenant's actions are those of ids.
func wantActions(t *testing.T, s *store.Store, tenant string, ids []action.ID) {
	t.Helper()
	list, err := s.Actions(t.Context(), tenant, device.Everywhere, odata.All())
	if err != nil {
		t.Fatal(err)
	}
	have := map[action.ID]bool{}
	for _, a := range list.Rows {
		have[a.ID] = true
		if leaf, err := audit.ParseLeaf(a.Leaf); err != nil {
			t.Errorf("action %s: %v (%v)", a.ID, err, leaf)
		}
	}
	for _, id := range ids {
		if !have[id] {
			t.Errorf("action %s was acknowledged and is not there", id)
		}
	}
	if len(list.Rows) != len(ids) {
		t.Errorf("there are %d actions, %d were acknowledged", len(list.Rows), len(ids))
	}
}

// TestDatabaseHeldByAnother has another program hold the lock for writing.
func TestDatabaseHeldByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "swab.db")
	s := open(t, path)
	tenant := newTenant(t, s)
	if err := s.Set(t.Context(), "busy_timeout = 20"); err != nil { // not the 5 s that it is
		t.Fatal(err)
	}
	other, err := beside(t, path).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if err := s.Record(t.Context(), tenant, link(1)); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "locked") {
		t.Errorf("while another writes: %v, want Unavailable with its cause", err)
	}
	wantLog(t, s, tenant, 1) // reading goes on
	if _, err := other.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := s.Record(t.Context(), tenant, link(1)); err != nil {
		t.Errorf("once it has ended: %v", err)
	}
	wantLog(t, s, tenant, 2)
}

// TestReadOnlyDatabase has the engine refuse whatever is not reading.
//
// Threat P2: a read-only file system.
func TestReadOnlyDatabase(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "swab.db"))
	tenant := newTenant(t, s)
	if err := s.Set(t.Context(), "query_only = ON"); err != nil {
		t.Fatal(err)
	}
	if err := s.Record(t.Context(), tenant, link(1)); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "readonly") {
		t.Errorf("a write to a read-only database: %v, want Unavailable with its cause", err)
	}
	wantLog(t, s, tenant, 1)
	if err := s.Set(t.Context(), "query_only = OFF"); err != nil {
		t.Fatal(err)
	}
	if err := s.Record(t.Context(), tenant, link(1)); err != nil {
		t.Errorf("once it may be written: %v", err)
	}
	wantLog(t, s, tenant, 2)
}
