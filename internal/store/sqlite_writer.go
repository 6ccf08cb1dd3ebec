package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"swab/internal/fault"
)

// Bounds of a batch. The first bounds what a failed commit takes with it, the
// second how long the first call of a batch waits for the last one.
const (
	maxBatch     = 512
	maxBatchTime = 20 * time.Millisecond
	maxWaiting   = 1024 // calls that wait for the writer; more wait to be let in
)

// batches owns the one connection that writes to SQLite.
type batches struct {
	conn    *conn
	trees   *trees
	log     *slog.Logger
	count   *tallies
	made    recorded      // by the batch
	revised bool          // a call of the batch began a revision of device groups
	clean   bool          // no call of the batch has changed anything
	longest time.Duration // how long a batch takes in more calls
	done    chan struct{} // closed once the goroutine has ended

	mu       sync.RWMutex // held by those who send
	closed   bool
	requests chan *request
	sending  atomic.Int64 // calls that wait to be let in
}

// request is one call, from its arrival to its answer.
type request struct {
	ctx    context.Context // the caller's; asked only whether there still is one
	run    func(context.Context, *tx) error
	err    error      // what run came to
	answer chan error // of 1, so that nobody need be there to take it
}

func newBatches(c *conn, o Options) *batches {
	w := &batches{conn: c, trees: newTrees(c), log: o.Log, count: newTallies(o), done: make(chan struct{}), longest: maxBatchTime, requests: make(chan *request, maxWaiting)}
	go w.loop()
	return w
}

// do has the writer run a call and returns what came of it, once that is
// durable. If ctx ends first, do returns its cause at once; the call then does
// not happen if it had not begun, and comes to its end if it had.
func (w *batches) do(ctx context.Context, run func(context.Context, *tx) error) error {
	r := &request{ctx: ctx, run: run, answer: make(chan error, 1)}
	if err := w.send(r); err != nil {
		return err
	}
	select {
	case err := <-r.answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *batches) send(r *request) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return errClosed
	}
	w.sending.Add(1)
	defer w.sending.Add(-1)
	select {
	case w.requests <- r:
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

// close lets in no more calls and waits until those that are in are answered.
// It is called once.
func (w *batches) close() {
	w.mu.Lock()
	w.closed = true
	close(w.requests)
	w.mu.Unlock()
	<-w.done
}

// stats are the writer's own.
func (w *batches) stats() Stats {
	got := w.count.stats()
	got.Waiting = len(w.requests) + int(w.sending.Load())
	return got
}

func (w *batches) loop() {
	defer close(w.done)
	for r := range w.requests {
		w.batch(r)
	}
}

// batch runs first and whatever else is waiting in one transaction, and answers
// them all.
func (w *batches) batch(first *request) {
	ctx := context.Background() // the writer's own: no caller's end interrupts it
	ran, lost := w.transact(ctx, first)
	if lost != nil {
		w.count.lost.Add(int64(len(ran)))
		w.abandon(ctx, lost, len(ran))
	}
	for _, r := range ran {
		if lost != nil {
			r.err = fault.Unavailable.Errorf(lost, "The database can't be written now; try again later")
		}
		r.answer <- r.err
	}
}

// transact returns the calls that it has taken, and an error if all of them are
// lost.
func (w *batches) transact(ctx context.Context, first *request) (ran []*request, lost error) {
	if _, err := w.conn.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return []*request{first}, fmt.Errorf("begin: %w", err)
	}
	w.revised, w.made, w.clean = false, recorded{}, true
	start := time.Now() // paces the batch, decides nothing
	for r := first; r != nil; r = w.next(len(ran), start) {
		ran = append(ran, r)
		if err := w.savepoint(ctx, r); err != nil {
			return ran, err
		}
	}
	return ran, w.commit(ctx, len(ran))
}

// next is a call for the batch, if one is waiting and the batch has room.
func (w *batches) next(have int, start time.Time) *request {
	if have >= maxBatch || time.Since(start) > w.longest {
		return nil
	}
	select {
	case r := <-w.requests: // nil when closed and empty
		return r
	default:
		return nil
	}
}

// savepoint runs a call by itself. What it came to is in r.err; an error of
// savepoint says that the whole transaction is lost.
//
// A savepoint has SQLite keep each page as it was, once more than the transaction
// does. What comes first in one needs none: it is undone with the transaction.
func (w *batches) savepoint(ctx context.Context, r *request) error {
	if r.err = context.Cause(r.ctx); r.err != nil {
		return nil // nobody waits for it any more
	}
	clean := w.clean
	if !clean {
		if _, err := w.conn.exec(ctx, "SAVEPOINT call"); err != nil {
			return fmt.Errorf("begin a savepoint: %w", err)
		}
	}
	w.trees.mark()
	t := &tx{conn: w.conn, trees: w.trees, revised: w.revised}
	if r.err = fenced(ctx, w.log, r.run, t); r.err == nil {
		w.revised, w.made, w.clean = t.revised, w.made.plus(t.recorded), false
	} else {
		w.trees.back()
		if err := w.undo(ctx, clean); err != nil {
			return errors.Join(r.err, err)
		}
	}
	if clean {
		return nil
	}
	if _, err := w.conn.exec(ctx, "RELEASE call"); err != nil {
		return fmt.Errorf("end a savepoint: %w", err)
	}
	return nil
}

// undo takes back what a call did, or the transaction in which there is nothing
// else. SQLite ends the transaction itself after some errors, such as a full disk;
// there is nothing to go back to then.
func (w *batches) undo(ctx context.Context, clean bool) error {
	if !clean {
		_, err := w.conn.exec(ctx, "ROLLBACK TO call")
		return err
	}
	if _, err := w.conn.exec(ctx, "ROLLBACK"); err != nil {
		return err
	}
	_, err := w.conn.exec(ctx, "BEGIN IMMEDIATE")
	return err
}

// commit numbers the batch's audit entries and commits all of it.
func (w *batches) commit(ctx context.Context, calls int) error {
	start := time.Now() // of a metric
	if err := w.trees.integrate(ctx); err != nil {
		return err
	}
	if _, err := w.conn.exec(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	w.trees.committed()
	w.count.committed(calls, time.Since(start), w.made)
	return nil
}

// abandon makes the connection fit for the next batch after this one is lost.
func (w *batches) abandon(ctx context.Context, lost error, calls int) {
	w.log.ErrorContext(ctx, "database writes were lost and their callers told so", "calls", calls, "err", lost)
	w.trees.forget()
	// It fails where SQLite has ended the transaction already.
	if _, err := w.conn.exec(ctx, "ROLLBACK"); err != nil {
		w.log.DebugContext(ctx, "no transaction to roll back", "err", err)
	}
}
