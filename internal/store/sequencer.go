package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"swab/internal/audit"
	"swab/internal/device"
)

const (
	sequencerPoll = time.Second            // how often it looks without being told; the backstop
	sequencerIdle = 10 * time.Second       // after which the server ends the session of a node that is silent
	settleTime    = 3 * time.Second        // how long a reader of the log waits for the sequencer
	settlePoll    = 5 * time.Millisecond   // how often it looks where another node numbers
	quietTime     = 500 * time.Millisecond // between two tries to get hold of the database
	channel       = "swab_audit"           // of NOTIFY
)

// sequencer gives audit entries their leaves, on one node at a time. Every node
// has one; the one whose session holds the advisory lock leads, the others tell
// it what they have committed.
type sequencer struct {
	pool   *pgxpool.Pool
	config *pgx.ConnConfig
	log    *slog.Logger
	wake   func(device.ID)

	signal chan struct{} // of 1: entries were committed here
	stop   context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex
	advanced chan struct{} // closed at the next advance of a log by this node
}

func newSequencer(pool *pgxpool.Pool, config *pgx.ConnConfig, o Options) *sequencer {
	config = config.Copy()
	// The lease is the session: a node that hangs or is cut off must not keep it.
	config.RuntimeParams["idle_session_timeout"] = milliseconds(sequencerIdle)
	config.RuntimeParams["tcp_keepalives_idle"] = "5"
	config.RuntimeParams["tcp_keepalives_interval"] = "2"
	config.RuntimeParams["tcp_keepalives_count"] = "3"
	ctx, stop := context.WithCancel(context.Background()) // it outlives the call that opens the store
	q := &sequencer{
		pool: pool, config: config, log: o.Log, wake: o.Wake,
		signal: make(chan struct{}, 1), stop: stop, done: make(chan struct{}), advanced: make(chan struct{}),
	}
	go q.run(ctx)
	return q
}

// look has the leader look for entries without a leaf, soon. It never blocks.
func (q *sequencer) look() {
	select {
	case q.signal <- struct{}{}:
	default: // the look that is due finds these as well
	}
}

func (q *sequencer) close() {
	q.stop()
	<-q.done
}

// run leads or stands by until ctx ends. While the database is away it comes
// back to it again and again.
func (q *sequencer) run(ctx context.Context) {
	defer close(q.done)
	var last string
	for ctx.Err() == nil {
		err := q.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != last { // once, not twice a second
			last = text
			q.log.WarnContext(ctx, "numbering of audit entries is interrupted; it is resumed", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(quietTime):
		}
	}
}

// session has one connection, tries to lead on it, and tells the leader what is
// committed here as long as that is another node.
func (q *sequencer) session(ctx context.Context) error {
	c, err := pgx.ConnectConfig(ctx, q.config)
	if err != nil {
		return err
	}
	defer func() { _ = bye(ctx, c) }() // which gives the lease back
	for {
		var leads bool
		if err := c.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(lockSequencer)).Scan(&leads); err != nil {
			return fmt.Errorf("ask for the lease: %w", err)
		}
		if leads {
			return q.lead(ctx, c)
		}
		if err := q.standBy(ctx, c); err != nil {
			return err
		}
	}
}

// standBy tells the leader of commits here, until it is time to ask for the
// lease again. NOTIFY makes commits queue for one lock of the whole server, so it
// is sent here, once for all that was committed meanwhile, and not in the
// transactions of the acts.
func (q *sequencer) standBy(ctx context.Context, c *pgx.Conn) error {
	again := time.NewTimer(sequencerPoll)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
			return nil
		case <-q.signal:
			if _, err := c.Exec(ctx, "NOTIFY "+channel); err != nil {
				return fmt.Errorf("tell the leader: %w", err)
			}
		}
	}
}

// lead numbers entries until ctx or the session ends.
func (q *sequencer) lead(ctx context.Context, c *pgx.Conn) error {
	if _, err := c.Exec(ctx, "LISTEN "+channel); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	q.log.DebugContext(ctx, "this node numbers the audit entries")
	n := &numbering{conn: c, reader: &conn{runner: &postgresRunner{db: c, words: new(sync.Map)}, dialect: postgresDialect}, logs: map[string]growth{}}
	for {
		entries, err := n.next(ctx)
		if err != nil {
			return err
		}
		if len(entries) > 0 {
			q.tell(entries)
		}
		if len(entries) == maxNumbered {
			continue // there are more
		}
		if err := q.await(ctx, c); err != nil {
			return err
		}
	}
}

// tell says that entries have their leaves now: to readers of the log, and to
// the devices of requests.
func (q *sequencer) tell(entries []waiting) {
	q.mu.Lock()
	close(q.advanced)
	q.advanced = make(chan struct{})
	q.mu.Unlock()
	for _, e := range entries {
		leaf, err := audit.ParseLeaf(e.bytes)
		if err == nil && leaf.Act == audit.ActCollect && leaf.Result == audit.Done && leaf.Device != "" {
			q.wake(device.ID(leaf.Device))
		}
	}
}

// await returns when there may be entries without a leaf.
func (q *sequencer) await(ctx context.Context, c *pgx.Conn) error {
	select {
	case <-q.signal:
		return nil
	default:
	}
	wait, cancel := context.WithTimeout(ctx, sequencerPoll)
	defer cancel()
	listening := make(chan struct{})
	var here sync.WaitGroup
	here.Go(func() {
		select {
		case <-q.signal:
			cancel()
		case <-listening:
		}
	})
	_, err := c.WaitForNotification(wait)
	close(listening)
	here.Wait()
	if ctx.Err() != nil || c.IsClosed() || err != nil && wait.Err() == nil {
		return errors.Join(err, ctx.Err())
	}
	return nil
}

// settled waits until the entries of a tenant that are committed now have their
// leaves. A log that is behind is true all the same: so after some seconds, in
// which no node numbered anything, what there is has to do.
func (q *sequencer) settled(ctx context.Context, tenant string) error {
	c := &conn{runner: newPostgresRunner(q.pool), dialect: postgresDialect}
	const last = "SELECT coalesce(max(id), 0) FROM audit_entries WHERE leaf IS NULL AND tenant = ? AND id <= ?"
	mine := int64(1<<63 - 1)
	limit := time.NewTimer(settleTime)
	defer limit.Stop()
	for {
		q.mu.Lock()
		advanced := q.advanced
		q.mu.Unlock()
		id, err := one(ctx, c, value[int64], last, tenant, mine)
		if err != nil || id == 0 {
			return err
		}
		mine = min(mine, id)
		select {
		case <-advanced:
		case <-time.After(settlePoll):
		case <-limit.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
