package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"swab/internal/fault"
)

// Options say where the store is and what it is given.
type Options struct {
	Path string           // the database's file; it and its folder are made if they are missing
	Log  *slog.Logger     // nil: nothing is logged
	Now  func() time.Time // nil: time.Now
}

// Store is the open database. It is safe for concurrent use.
type Store struct {
	now     func() time.Time
	dialect dialect
	writer  *writer
	reader  *conn
	close   func() error

	revision atomic.Uint64 // see AccessRevision
}

// Open opens the database, makes it if there is none, and brings its schema up
// to date. A schema that is newer than this program is refused.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s, err := openSQLite(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", o.Path, err)
	}
	return s, nil
}

// Close lets the writes that are waiting come to their end, refuses new ones,
// and closes the database. A second Close returns what the first one did.
func (s *Store) Close() error { return s.close() }

// write runs a transaction that may change things; what says for an error what
// it was about.
func write[T any](ctx context.Context, s *Store, what string, run func(context.Context, *tx) (T, error)) (T, error) {
	var got, none T
	var identity atomic.Bool // a call whose caller went away may still run
	err := s.writer.do(ctx, func(ctx context.Context, t *tx) (err error) {
		got, err = run(ctx, t)
		if t.identity {
			identity.Store(true)
		}
		return err
	})
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
	got, err := run(ctx, s.reader)
	if err != nil {
		var none T
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

// Ready says whether the database can be read now.
func (s *Store) Ready(ctx context.Context) error {
	_, err := read(ctx, s, "look whether the database answers", func(ctx context.Context, c *conn) (int64, error) {
		return one(ctx, c, value[int64], "SELECT count(*) FROM tenants")
	})
	return err
}
