package store_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/store"
	"swab/internal/store/storetest"
	"swab/test/postgres"
)

func TestPostgreSQL(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *store.Store {
		return storetest.Open(t, store.Options{Database: storetest.Postgres(t)})
	})
}

// ask runs a statement on a database of PostgreSQL as another program would, and
// returns the one value of its answer.
func ask[T any](t *testing.T, database, query string, args ...any) (v T) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.WithoutCancel(t.Context()))
	if err := c.QueryRow(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestNodesThatStartAtOnceMakeOneSchema opens an empty database from several
// nodes at the same time; what they then make under Alone, they make once.
func TestNodesThatStartAtOnceMakeOneSchema(t *testing.T) {
	server, err := postgres.Shared()
	if err != nil {
		t.Fatal(err)
	}
	name, database, err := postgres.Create(server, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := postgres.Drop(server, name); err != nil {
			t.Error(err)
		}
	})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			s, err := store.Open(t.Context(), store.Options{Database: database})
			if err != nil {
				t.Error(err)
				return
			}
			err = s.Alone(t.Context(), func(context.Context) error {
				if list, err := s.Tenants(t.Context()); err != nil || len(list) > 0 {
					return err
				}
				newTenant(t, s) // fails where there is one
				return nil
			})
			if err := errors.Join(err, s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := ask[int](t, database, "SELECT count(*) FROM tenants"); n != 1 {
		t.Errorf("%d first tenants were made", n)
	}
}

func TestNewerSchemaOfPostgreSQLIsRefused(t *testing.T) {
	database := storetest.Postgres(t)
	ask[int](t, database, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true) RETURNING 1")
	if _, err := store.Open(t.Context(), store.Options{Database: database}); !errors.Is(err, store.ErrNewerSchema) || !strings.Contains(err.Error(), "9999") {
		t.Errorf("Open() = %v, want it refused, with the version", err)
	}
}

func TestDatabaseOfAnotherEncodingIsRefused(t *testing.T) {
	server, err := postgres.Shared()
	if err != nil {
		t.Fatal(err)
	}
	name, database, err := postgres.Create(server, "template0 ENCODING 'LATIN1' LOCALE 'C'")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := postgres.Drop(server, name); err != nil {
			t.Error(err)
		}
	})
	if _, err := store.Open(t.Context(), store.Options{Database: database}); err == nil || !strings.Contains(err.Error(), "LATIN1") {
		t.Errorf("Open() = %v, want it refused, with the encoding", err)
	}
}

// TestPasswordIsNeverTold opens what can't be opened.
func TestPasswordIsNeverTold(t *testing.T) {
	const secret = "s3cr%ft-p4ss"
	for _, url := range []string{
		"postgres://swab:" + secret + "@127.0.0.1:1/swab", "postgres://swab:s3cr%25ft-p4ss@127.0.0.1:1/swab", "postgresql://swab:p4ss@[::1/swab",
		"postgres://swab:p4ss@127.0.0.1:port/swab", "postgres://127.0.0.1:1/swab?password=p4ss", "postgres://127.0.0.1:1/swab?password=p4ss&sslmode=odd",
		"postgres://swab:p4ss@127.0.0.1:1/swab?sslrootcert=/nosuch/file&sslmode=verify-full", "mysql://swab:p4ss@127.0.0.1/swab", "swab:p4ss",
		"postgres://swab:p4ss@127.0.0.1:1/swab?pool_max_conns=many",
	} {
		_, err := store.Open(t.Context(), store.Options{Database: url})
		if err == nil || strings.Contains(err.Error(), "p4ss") {
			t.Errorf("Open(%s) = %v, want an error without the password", url, err)
		}
	}
}

// TestNodesKeepOneLog has several nodes write to one database, and the one that
// numbers the entries go away in the midst of it.
func TestNodesKeepOneLog(t *testing.T) {
	database := storetest.Postgres(t)
	nodes := make([]*store.Store, 3)
	for i := range nodes {
		nodes[i] = storetest.Open(t, store.Options{Database: database})
	}
	tenant := newTenant(t, nodes[0])
	const writers, times = 4, 60
	var (
		all    sync.WaitGroup
		halves = make(chan struct{}, len(nodes)*writers)
		leader = nodes[0] // it was the first to ask for the lease
	)
	for i, s := range nodes {
		for range writers {
			all.Go(func() {
				for n := range times {
					if n == times/2 {
						halves <- struct{}{}
						if i == 0 {
							return
						}
					}
					if err := s.Record(t.Context(), tenant, link(n)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	for range writers * len(nodes) {
		<-halves
	}
	if err := leader.Close(); err != nil {
		t.Error(err)
	}
	all.Wait()
	wantLog(t, nodes[1], tenant, 1+writers*(2*times+times/2))
	if n := ask[int](t, database, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"); n != 1 {
		t.Errorf("%d sessions hold the lease, want 1", n)
	}
}

// TestDeviceIsWokenWhenItsRequestCanBeProved is what lets a device be offered a
// request at once: whoever is woken finds the entry in the log, whichever node
// the request came in by, and long before the sequencer looks by itself.
func TestDeviceIsWokenWhenItsRequestCanBeProved(t *testing.T) {
	database := storetest.Postgres(t)
	woken := make(chan device.ID, 100)
	first := storetest.Open(t, store.Options{Database: database, Wake: func(id device.ID) { woken <- id }})
	tenant, d := newDevice(t, first)
	if _, err := first.Head(t.Context(), tenant); err != nil { // by then it leads
		t.Fatal(err)
	}
	second := storetest.Open(t, store.Options{Database: database, Wake: func(device.ID) { t.Error("two nodes number entries") }})
	for n := range 20 {
		s := []*store.Store{first, second}[n%2]
		e := audit.NewEntry(start, audit.Leaf{Act: audit.ActCollect, Object: "x", Device: string(d.ID), Result: audit.Done}, audit.Hidden{})
		a, err := s.CreateAction(t.Context(), newAction(d, n), e)
		if err != nil {
			t.Fatal(err)
		}
		if id := <-woken; id != d.ID {
			t.Errorf("%s was woken", id)
		}
		if _, _, err := s.Prove(t.Context(), tenant, []int64{a.Entry}, 0); err != nil {
			t.Errorf("after the wake-up: %v", err)
		}
		if _, err := s.ChangeAction(t.Context(), tenant, a.ID, end); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWaitsForPostgreSQLAreBounded holds a row, and with it all but one of the
// connections.
func TestWaitsForPostgreSQLAreBounded(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, store.Options{Database: storetest.Postgres(t) + "&pool_max_conns=2"})
	tenant, d := newDevice(t, s)
	a, err := s.CreateAction(t.Context(), newAction(d, 1), link(1))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	holds, release := make(chan struct{}), make(chan struct{})
	all.Go(func() {
		_, err := s.ChangeAction(t.Context(), tenant, a.ID, func(a action.Action) (action.Action, []audit.Entry, error) {
			close(holds)
			<-release
			a.Bytes++
			return a, nil, nil
		})
		if err != nil {
			t.Errorf("the call that was slow: %v", err)
		}
	})
	<-holds
	begun := time.Now()
	var waiting sync.WaitGroup
	for range 4 { // of which one gets the last connection and waits for the row
		waiting.Go(func() {
			_, err := s.ChangeAction(t.Context(), tenant, a.ID, end)
			if !errors.Is(err, fault.Unavailable) {
				t.Errorf("a call that waits too long: %v, want Unavailable", err)
			}
		})
	}
	waiting.Wait()
	if took := time.Since(begun); took > 12*time.Second {
		t.Errorf("they waited %s", took)
	}
	close(release)
	all.Wait()
	got, err := s.Action(t.Context(), tenant, a.ID)
	if err != nil || got.Bytes != 1 || got.Status != action.Pending {
		t.Errorf("action = %d bytes, %s, %v; want the slow call's change alone", got.Bytes, got.Status, err)
	}
}

// cluster starts a server that flushes, for this test alone, with a tenant of
// so many devices.
func cluster(t *testing.T, devices int) (c *postgres.Cluster, database string) {
	t.Helper()
	c, err := postgres.Start(false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := store.Open(t.Context(), store.Options{Database: c.URL})
	if err != nil {
		t.Fatal(err)
	}
	newDevice(t, s)
	for n := range devices - 1 {
		if _, err := enrol(t, s, n+2); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return c, c.URL
}

// TestPostgreSQLRestartsUnderLoad crashes the database again and again, and
// leaves it away for a while. Every call is answered in bounded time, and
// refused as Unavailable; what was acknowledged is there, once.
func TestPostgreSQLRestartsUnderLoad(t *testing.T) {
	t.Parallel()
	const callers = 12
	c, database := cluster(t, callers)
	s := storetest.Open(t, store.Options{Database: database})
	devices := devicesOf(t, s, callers)
	ctx, stop := context.WithCancel(t.Context())
	var (
		all    sync.WaitGroup
		mu     sync.Mutex
		done   = map[action.ID]bool{}
		lost   int
		served = make(chan struct{}, callers*1000)
	)
	for i, d := range devices {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				begun := time.Now()
				a := newAction(d, i*1_000_000+n)
				_, err := s.CreateAction(context.WithoutCancel(ctx), a, link(n))
				if standing, ok := errors.AsType[*action.ActiveError](err); ok { // one whose answer was lost
					a.ID, err = standing.ID, nil
				}
				if err == nil {
					_, err = s.ChangeAction(context.WithoutCancel(ctx), tenantID, a.ID, end)
				}
				if took := time.Since(begun); took > 25*time.Second {
					t.Errorf("a call took %s", took)
				}
				mu.Lock()
				if err == nil {
					done[a.ID] = true
				} else if lost++; !errors.Is(err, fault.Unavailable) {
					t.Errorf("while the database restarts: %v, want Unavailable", err)
				}
				mu.Unlock()
				if err == nil {
					select {
					case served <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	for range 3 {
		for range 200 {
			<-served
		}
		if err := c.Do("restart"); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Do("stop"); err != nil {
		t.Fatal(err)
	}
	if err := s.Record(t.Context(), tenantID, link(1)); !errors.Is(err, fault.Unavailable) {
		t.Errorf("a write while the database is away: %v, want Unavailable", err)
	}
	if err := s.Ready(t.Context()); !errors.Is(err, fault.Unavailable) {
		t.Errorf("Ready() while the database is away: %v, want Unavailable", err)
	}
	if err := c.Do("start"); err != nil {
		t.Fatal(err)
	}
	for len(served) > 0 {
		<-served
	}
	<-served
	stop()
	all.Wait()
	_, entries := storetest.Recompute(t, s, tenantID)
	wantLog(t, s, tenantID, len(entries))
	// Each action has its entry and the one of its end.
	for id := range done {
		if a, err := s.Action(t.Context(), tenantID, id); err != nil || a.Status != action.Failed {
			t.Errorf("action %s was acknowledged as ended: %s, %v", id, a.Status, err)
		}
	}
	made := ask[int](t, database, "SELECT count(*) FROM actions")
	ended := ask[int](t, database, "SELECT count(*) FROM actions WHERE status = 'Failed'")
	if want := 1 + callers + made + ended; len(entries) != want {
		t.Errorf("the log has %d entries, want %d: one of the tenant, %d devices, %d actions, %d ends", len(entries), want, callers, made, ended)
	}
	t.Logf("%d actions, %d acknowledged, %d calls refused", made, len(done), lost)
	if lost == 0 {
		t.Error("no call was refused: nothing was tested")
	}
}
