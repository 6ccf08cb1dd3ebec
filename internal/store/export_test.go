package store

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"swab/internal/action"
	"swab/internal/device"
)

// Exec runs a statement as a call of its own.
func (s *Store) Exec(ctx context.Context, query string, args ...any) error {
	return s.writer.do(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, query, args...)
		return err
	})
}

// Set runs a PRAGMA on the connection that writes, while no call does.
func (s *Store) Set(ctx context.Context, pragma string) error {
	_, err := s.writer.(*batches).conn.exec(ctx, "PRAGMA "+pragma)
	return err
}

// Hold runs a call that closes begun when it begins and ends once n others
// wait, so that they are of its batch.
func (s *Store) Hold(ctx context.Context, n int, begun chan<- struct{}, then func(exec func(query string, args ...any) error) error) error {
	return s.writer.do(ctx, func(ctx context.Context, t *tx) error {
		s.writer.(*batches).longest = time.Hour // however slow this machine is
		close(begun)
		for len(s.writer.(*batches).requests) < n {
			runtime.Gosched()
		}
		return then(func(query string, args ...any) error {
			_, err := t.exec(ctx, query, args...)
			return err
		})
	})
}

// Waiting is how many calls wait for the writer.
func (s *Store) Waiting() int { return len(s.writer.(*batches).requests) }

// ReaderExec runs a statement on a connection for reading.
func (s *Store) ReaderExec(ctx context.Context, query string, args ...any) error {
	_, err := s.reader.exec(ctx, query, args...)
	return err
}

// Queries are those that were run so far.
func (s *Store) Queries() []string {
	var list []string
	for _, c := range []*conn{s.reader, s.writer.(*batches).conn} {
		p := c.runner.(*prepared)
		p.mu.Lock()
		for q := range p.stmts {
			list = append(list, q)
		}
		p.mu.Unlock()
	}
	return list
}

// Marked and Unmarked are the form in which PostgreSQL holds a text, and back.
func Marked(s string) string   { return marked(s) }
func Unmarked(s string) string { return unmarked(s) }

// Numbered puts a query into the words of a dialect with numbered parameters.
func Numbered(query string) string { return numbered(query) }

// SetGroups puts device groups in the place of those that a tenant has.
func SetGroups(ctx context.Context, s *Store, tenant string, groups []device.Group) error {
	_, err := write(ctx, s, "set device groups", func(ctx context.Context, t *tx) (struct{}, error) {
		if _, err := t.exec(ctx, "DELETE FROM device_groups WHERE tenant = ?", tenant); err != nil {
			return struct{}{}, err
		}
		for _, g := range groups {
			if _, err := t.exec(ctx, "INSERT INTO device_groups (tenant, id, name, folded, description, rank, rule) VALUES (?, ?, ?, ?, '', ?, ?)",
				tenant, g.ID, g.Name, strings.ToLower(g.Name), g.Rank, text(g.Rule.Fold())); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, t.regrouped(ctx, tenant)
	})
	return err
}

// Bring puts some devices into their groups, as Settle does in one of its
// transactions.
func Bring(ctx context.Context, s *Store, tenant string, ids []device.ID) error {
	g, err := s.unsettledOf(ctx, tenant)
	if err != nil {
		return err
	}
	_, _, err = s.bring(ctx, tenant, g.now.generation, ids)
	return err
}

// Query is a query with its arguments.
type Query struct {
	SQL  string
	Args []any
}

// watched takes note of the queries that are made for one call.
type watched struct {
	runner
	made *[]Query
}

func (w watched) once(ctx context.Context, query string, args []any) (rows, error) {
	*w.made = append(*w.made, Query{query, args})
	return w.runner.once(ctx, query, args)
}

// Watch takes note, in the list that it returns, of the queries that are made for
// one call and read, before anything else is done with the store.
func (s *Store) Watch() *[]Query {
	made := new([]Query)
	s.reader = &conn{runner: watched{s.reader.runner, made}, dialect: s.reader.dialect}
	return made
}

// stalled answers no query that is made for one call before its time is over.
type stalled struct{ runner }

func (stalled) once(ctx context.Context, _ string, _ []any) (rows, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// Stall makes every list take longer than it may.
func (s *Store) Stall() {
	s.reader = &conn{runner: stalled{s.reader.runner}, dialect: s.reader.dialect}
}

// interrupted runs something else before the first query that is made for one call.
type interrupted struct {
	runner
	done *atomic.Bool
	by   func()
}

func (i interrupted) once(ctx context.Context, query string, args []any) (rows, error) {
	if i.done.CompareAndSwap(false, true) {
		i.by()
	}
	return i.runner.once(ctx, query, args)
}

// Interrupt has something else done once while a list is being made, before
// anything else is done with the store.
func (s *Store) Interrupt(by func()) (over func()) {
	was := s.reader
	s.reader = &conn{runner: interrupted{was.runner, new(atomic.Bool), by}, dialect: was.dialect}
	return func() { s.reader = was }
}

// BacklogQueries are the queries of a backlog whose tables grow for ever.
func BacklogQueries() []string {
	return []string{countActions(action.Pending), countActions(action.InProgress), countUnnumbered}
}
