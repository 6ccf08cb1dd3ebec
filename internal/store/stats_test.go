package store_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

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

// However many actions have ended, and entries have leaves, what waits is found by
// an index.
func TestBacklogReadsNothingThatHasEnded(t *testing.T) {
	const many = 20_000
	database := storetest.Postgres(t)
	s := storetest.Open(t, store.Options{Database: database})
	_, d := newDevice(t, s)
	if _, err := s.CreateAction(t.Context(), newAction(d, 1), link(1)); err != nil {
		t.Fatal(err)
	}
	c, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	for _, q := range []string{
		fmt.Sprintf(`INSERT INTO actions SELECT (jsonb_populate_record(a, jsonb_build_object('id', n, 'status', 'Succeeded'))).* FROM actions a, generate_series(1, %d) n`, many),
		fmt.Sprintf(`INSERT INTO audit_entries OVERRIDING SYSTEM VALUE SELECT (jsonb_populate_record(e, jsonb_build_object('id', 1000 + n, 'leaf', 1000 + n))).*
			FROM audit_entries e, generate_series(1, %d) n WHERE e.id = (SELECT min(id) FROM audit_entries)`, many),
		"ANALYZE",
		"SET plan_cache_mode = force_generic_plan", // what a query that is asked for ever ends with
	} {
		if _, err := c.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	for n, q := range store.BacklogQueries() {
		name := fmt.Sprint("q", n)
		if _, err := c.Exec(t.Context(), "PREPARE "+name+" AS "+strings.Replace(q, "?", "$1", 1)); err != nil {
			t.Fatal(err)
		}
		rows, err := c.Query(t.Context(), "EXPLAIN EXECUTE "+name+"(100)")
		if err != nil {
			t.Fatal(err)
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if text := strings.Join(plan, "\n"); err != nil || strings.Contains(text, "Seq Scan on a") || !strings.Contains(text, "Index") {
			t.Errorf("%s: %v\n%s", q, err, text)
		}
	}

	path := filepath.Join(t.TempDir(), "swab.db")
	open(t, path)
	db := beside(t, path)
	for _, q := range store.BacklogQueries()[:2] { // SQLite has no entries without a leaf
		rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+q, 100)
		if err != nil {
			t.Fatal(err)
		}
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, step)
		}
		if text := strings.Join(plan, "\n"); rows.Err() != nil || !strings.Contains(text, "SEARCH a USING COVERING INDEX actions_of_status (tenant=? AND status=?)") {
			t.Errorf("%s: %v\n%s", q, rows.Err(), text)
		}
		rows.Close()
	}
}
