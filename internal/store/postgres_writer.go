package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"swab/internal/fault"
)

const (
	maxCalls = 1024 // calls that run or wait for a connection; more are refused
	maxTries = 6    // of a call that others were faster than
)

// transactions runs each call in a transaction of its own, on whatever
// connection of the pool is free.
type transactions struct {
	pool     *pgxpool.Pool
	runner   *postgresRunner
	log      *slog.Logger
	recorded func() // after a commit: there are audit entries without a leaf
	count    *tallies
	waiting  atomic.Int64 // calls that wait for a connection

	room    chan struct{} // of maxCalls
	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

func newTransactions(pool *pgxpool.Pool, o Options) *transactions {
	return &transactions{pool: pool, runner: newPostgresRunner(pool), log: o.Log, count: newTallies(o), room: make(chan struct{}, maxCalls)}
}

// close lets in no more calls and waits until those that are in have ended.
func (w *transactions) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.running.Wait()
}

func (w *transactions) do(ctx context.Context, run func(context.Context, *tx) error) error {
	answer := make(chan error, 1) // of 1, so that nobody need be there to take it
	if err := w.start(func() { answer <- w.tries(ctx, run) }); err != nil {
		return err
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *transactions) stats() Stats {
	got, pool := w.count.stats(), w.pool.Stat()
	got.Waiting = int(w.waiting.Load())
	got.Pool = Pool{
		Used: int(pool.AcquiredConns()), Open: int(pool.TotalConns()), Most: int(pool.MaxConns()),
		Waits: pool.EmptyAcquireCount(), Waited: pool.EmptyAcquireWaitTime(),
	}
	return got
}

// start runs f beside its caller.
func (w *transactions) start(f func()) error {
	select {
	case w.room <- struct{}{}:
	default:
		w.count.busy.Add(1)
		return fault.Unavailable.Errorf(nil, "The server is busy; try again later")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		<-w.room
		return errClosed
	}
	w.running.Go(func() {
		defer func() { <-w.room }()
		f()
	})
	return nil
}

// tries runs a call until no other transaction is in its way.
func (w *transactions) tries(caller context.Context, run func(context.Context, *tx) error) error {
	// No caller's end interrupts what has begun.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(caller), callTime)
	defer cancel()
	for try := 1; ; try++ {
		err := w.try(caller, ctx, run)
		state := sqlState(err)
		if !errors.Is(err, errAgain) && state != "40001" && state != "40P01" { // serialization, deadlock
			if err != nil && postgresUnavailable(err) {
				w.count.lost.Add(1)
			}
			return err
		}
		if try == maxTries {
			w.count.lost.Add(1)
			return fault.Unavailable.Errorf(err, "Others are changing the same; try again later")
		}
		select { // so that those who met do not meet again
		case <-time.After(rand.N(time.Duration(try) * 4 * time.Millisecond)):
		case <-ctx.Done():
		}
	}
}

// try runs a call once.
func (w *transactions) try(caller, ctx context.Context, run func(context.Context, *tx) error) error {
	c, err := w.acquire(caller)
	if err != nil {
		return err
	}
	defer c.Release()
	pgtx, err := c.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	t := &tx{conn: &conn{runner: &postgresRunner{db: pgtx, words: w.runner.words}, dialect: postgresDialect}}
	if err := fenced(ctx, w.log, run, t); err != nil {
		w.rollback(ctx, pgtx)
		return err
	}
	start := time.Now() // of a metric
	if err := pgtx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	w.count.committed(1, time.Since(start), t.recorded)
	if t.recorded != (recorded{}) {
		w.recorded()
	}
	return nil
}

// acquire waits for a connection as long as the caller does, and within bounds.
func (w *transactions) acquire(caller context.Context) (*pgxpool.Conn, error) {
	ctx, cancel := context.WithTimeout(caller, acquireTime)
	defer cancel()
	w.waiting.Add(1)
	c, err := w.pool.Acquire(ctx)
	w.waiting.Add(-1)
	if err != nil && caller.Err() != nil {
		return nil, context.Cause(caller)
	}
	if err != nil {
		return nil, fmt.Errorf("wait for a connection: %w", err)
	}
	return c, nil
}

// rollback ends a transaction that failed. A connection on which even that does
// not succeed is closed, and the server rolls back.
func (w *transactions) rollback(ctx context.Context, t pgx.Tx) {
	if err := t.Rollback(ctx); err != nil {
		w.log.DebugContext(ctx, "a transaction could not be rolled back; its connection is closed", "err", err)
	}
}
