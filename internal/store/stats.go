package store

import (
	"context"
	"sync/atomic"
	"time"

	"swab/internal/action"
)

// Stats is how the store is doing: what waits now, and what has happened since it
// was opened.
type Stats struct {
	Waiting int   // calls that wait for the writer (SQLite), or for a connection (PostgreSQL)
	Busy    int64 // calls that were refused because too many ran or waited (PostgreSQL)
	Lost    int64 // calls whose writes the database did not keep
	Done    int64 // audit entries of acts that were done
	Refused int64 // audit entries of acts that were refused
	Pool    Pool  // of all calls (PostgreSQL), or of those that read (SQLite)
}

// Pool is how many connections to the database there are, and what waited for one.
type Pool struct {
	Used, Open, Most int
	Waits            int64         // calls that found all of them in use
	Waited           time.Duration // of those, together
}

// tallies are what the writers of both databases count.
type tallies struct {
	busy, lost, done, refused atomic.Int64
	commit                    func(calls int, took time.Duration) // see Options.OnCommit; never nil
}

func newTallies(o Options) *tallies {
	if o.OnCommit == nil {
		o.OnCommit = func(int, time.Duration) {}
	}
	return &tallies{commit: o.OnCommit}
}

// committed counts what a transaction kept.
func (t *tallies) committed(calls int, took time.Duration, r recorded) {
	t.done.Add(int64(r.done))
	t.refused.Add(int64(r.refused))
	t.commit(calls, took)
}

func (t *tallies) stats() Stats {
	return Stats{Busy: t.busy.Load(), Lost: t.lost.Load(), Done: t.done.Load(), Refused: t.refused.Load()}
}

// recorded is how many audit entries a transaction made, by result.
type recorded struct{ done, refused int }

func (r recorded) plus(o recorded) recorded {
	return recorded{r.done + o.done, r.refused + o.refused}
}

// Stats returns the present figures. It asks nothing of the database.
func (s *Store) Stats() Stats { return s.stats() }

// MaxCounted is where a [Backlog] counts no further: to look costs some
// milliseconds, however much waits.
const MaxCounted = 100_000

// Backlog is what waits in the database, of all tenants and for all nodes. Each
// number of rows ends at MaxCounted.
type Backlog struct {
	Pending    int           // actions that wait for their device
	Running    int           // actions that a device has begun
	Unnumbered int           // audit entries that have no leaf yet (PostgreSQL)
	Oldest     time.Duration // age of the oldest of those; 0: there is none
	Unsettled  int           // tenants some of whose devices do not stand in their group yet
}

// countActions is the query of how many actions are in a status, up to a number.
// It goes by tenant, for SQLite to take the index of statuses; and has the status
// in it, for PostgreSQL to see that an index of active actions will do: with a
// parameter it reads all actions.
func countActions(status action.Status) string {
	return "SELECT count(*) FROM (SELECT 1 AS one FROM tenants t CROSS JOIN actions a WHERE a.tenant = t.id AND a.status = '" + string(status) + "' LIMIT ?) found"
}

const countUnnumbered = "SELECT count(*), coalesce(min(time), 0) FROM (SELECT time FROM audit_entries WHERE leaf IS NULL ORDER BY id LIMIT ?) waiting"

// Backlog looks at what waits.
func (s *Store) Backlog(ctx context.Context) (Backlog, error) {
	return read(ctx, s, "look at what waits", func(ctx context.Context, c *conn) (b Backlog, err error) {
		for _, of := range []struct {
			status action.Status
			count  *int
		}{{action.Pending, &b.Pending}, {action.InProgress, &b.Running}} {
			if *of.count, err = one(ctx, c, value[int], countActions(of.status), MaxCounted); err != nil {
				return b, err
			}
		}
		if b.Unsettled, err = one(ctx, c, value[int], "SELECT count(*) FROM groupings WHERE settled <> generation"); err != nil || !s.sequenced {
			return b, err
		}
		var oldest time.Time
		b.Unnumbered, err = one(ctx, c, func(r row) (n int, err error) { return n, r.Scan(&n, when{&oldest}) },
			countUnnumbered, MaxCounted)
		if b.Unnumbered > 0 {
			b.Oldest = max(s.now().Sub(oldest), 0)
		}
		return b, err
	})
}
