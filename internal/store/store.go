package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"swab/internal/device"
	"swab/internal/fault"
)

// Options say where the store is and what it is given.
type Options struct {
	// Database is sqlite:PATH, the file and its folder made if they are missing,
	// or postgres://USER:PASSWORD@HOST:PORT/NAME. It may hold a password, and so
	// no error or log line repeats it.
	Database string

	Log *slog.Logger     // nil: nothing is logged
	Now func() time.Time // nil: time.Now

	// Wake is told of each device for which an entry of a request became a leaf
	// of the audit log, so that the request can now be proved to it. It must not
	// block. A store that gives entries their leaves as it commits them never
	// calls it. nil: nobody is told.
	Wake func(device.ID)

	// OnCommit is told of each transaction that was kept: of how many calls it was,
	// and how long the database took to make it durable. It must not block. nil:
	// nobody is told.
	OnCommit func(calls int, took time.Duration)

	// Bounds of lists, for tests: the rows of a page where the caller names no
	// number, the rows that are gathered and sorted rather than walked to, and
	// how long one may take. 0: the usual.
	Page, Gather int
	ListTime     time.Duration
}

// Store is the open database. It is safe for concurrent use.
type Store struct {
	now     func() time.Time
	dialect dialect
	writer  writer
	reader  *conn
	lists   lists
	alone   func(context.Context, func(context.Context) error) error
	settled func(ctx context.Context, tenant string) error
	stats   func() Stats
	close   func() error

	revision atomic.Uint64 // see AccessRevision

	groups    compiled
	unsettled chan struct{} // of 1: see Unsettled
	sequenced bool          // a sequencer numbers the audit entries
}

// writer runs calls that may change things.
type writer interface {
	// do runs a call and returns what came of it, once that is durable. If ctx
	// ends first, do returns its cause at once; the call then does not happen if
	// it had not begun, and comes to its end if it had. run may run more than
	// once, of which all but the last leave nothing behind.
	do(ctx context.Context, run func(context.Context, *tx) error) error
}

// tx is what a call sees of its transaction.
type tx struct {
	*conn
	trees    *trees   // nil: a sequencer numbers the audit entries
	recorded recorded // audit entries so far
	identity bool     // see revision.go

	groups     *compiled // see grouping.go
	revised    bool      // the transaction begins a revision of device groups
	regrouping bool      // the call begins a generation of them
}

var errClosed = fault.Unavailable.Errorf(nil, "The server is stopping; try again later")

// errAgain says that a call has to be run again from its beginning, since
// another transaction was faster. It is the call that says so; what the
// database says of the kind is known anyway.
var errAgain = errors.New("another transaction was faster")

// Open opens the database, makes what is missing of its schema, and brings it
// up to date. A schema that is newer than this program is refused.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wake == nil {
		o.Wake = func(device.ID) {}
	}
	kind, path, _ := strings.Cut(o.Database, ":")
	switch kind {
	case "sqlite":
		s, err := openSQLite(ctx, o, path)
		if err != nil {
			return nil, fmt.Errorf("open database %s: %w", path, err)
		}
		return s, nil
	case "postgres", "postgresql":
		s, err := openPostgres(ctx, o, o.Database)
		if err != nil {
			return nil, fmt.Errorf("open the PostgreSQL database: %w", err)
		}
		return s, nil
	}
	return nil, errors.New("open the database: want sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/NAME")
}

// Alone runs f while no other process that uses the database runs one: what an
// installation makes once, such as its first keys, two that start at the same
// time would else both make.
func (s *Store) Alone(ctx context.Context, f func(context.Context) error) error {
	return s.alone(ctx, f)
}

// Close lets the writes that are waiting come to their end, refuses new ones,
// and closes the database. A second Close returns what the first one did.
func (s *Store) Close() error { return s.close() }

// write runs a transaction that may change things; what says for an error what
// it was about.
func write[T any](ctx context.Context, s *Store, what string, run func(context.Context, *tx) (T, error)) (T, error) {
	var got, none T
	var identity, regrouping atomic.Bool // a call whose caller went away may still run
	err := s.writer.do(ctx, func(ctx context.Context, t *tx) (err error) {
		t.groups = &s.groups
		got, err = run(ctx, t)
		if t.identity {
			identity.Store(true)
		}
		if t.regrouping {
			regrouping.Store(true)
		}
		return err
	})
	if regrouping.Load() {
		s.settleSoon()
	}
	if identity.Load() {
		s.revision.Add(1)
	}
	if err != nil { // got may still be written to, if the caller's time ran out
		return none, s.fail(what, err)
	}
	return got, nil
}

// read runs queries that change nothing, and sees what is committed.
func read[T any](ctx context.Context, s *Store, what string, run func(context.Context, *conn) (T, error)) (T, error) {
	bounded, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	got, err := run(bounded, s.reader)
	if err != nil {
		var none T
		if ctx.Err() != nil { // it is the caller who ended it
			return none, fmt.Errorf("store: %s: %w: %w", what, ctx.Err(), context.Cause(ctx))
		}
		return none, s.fail(what, err)
	}
	return got, nil
}

// passed marks an error of a caller's own function, which goes back to the
// caller as it is.
type passed struct{ error }

// fail makes of an error what leaves the store: one that has a code, or is the
// caller's own, stays as it is; one that says that the database can't be used
// now is Unavailable; any other says what was being done.
func (s *Store) fail(what string, err error) error {
	if p, ok := errors.AsType[passed](err); ok {
		return p.error
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	err = fmt.Errorf("store: %s: %w", what, err)
	if s.dialect.unavailable(err) {
		return fault.Unavailable.Errorf(err, "The database can't be used now; try again later")
	}
	return err
}

// fenced runs a call and makes a panic of it the failure of that call.
func fenced(ctx context.Context, log *slog.Logger, run func(context.Context, *tx) error, t *tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			log.ErrorContext(ctx, "a database call panicked", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return run(ctx, t)
}

// Ready says whether the database can be read now.
func (s *Store) Ready(ctx context.Context) error {
	_, err := read(ctx, s, "look whether the database answers", func(ctx context.Context, c *conn) (int64, error) {
		return one(ctx, c, value[int64], "SELECT count(*) FROM tenants")
	})
	return err
}
