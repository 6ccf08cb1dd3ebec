package linux

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"sync"
	"testing"
	"time"

	"swab/internal/collect"
	"swab/internal/collect/host"
)

// recorder is a sink that keeps what it is given.
type recorder struct {
	mu        sync.Mutex
	rows      map[string][]any
	missing   map[string]error
	truncated []string
	notes     []string
	taken     int
	clean     int
	originals map[string]string // path to content
}

var _ collect.Sink = (*recorder)(nil)

func (r *recorder) Row(table string, row any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rows == nil {
		r.rows = map[string][]any{}
	}
	r.rows[table] = append(r.rows[table], reflect.Indirect(reflect.ValueOf(row)).Interface())
	return nil
}

func (r *recorder) Original(f *host.File, max int64) error {
	b, err := io.ReadAll(io.LimitReader(f, max))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.originals == nil {
		r.originals = map[string]string{}
	}
	r.originals[f.Path()] = string(b)
	return err
}

func (r *recorder) Recovered(f *host.File, name, method string, max int64) error {
	_, err := io.Copy(io.Discard, io.LimitReader(f, max))
	return err
}

func (r *recorder) Taken(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken++
	return nil
}

func (r *recorder) Missing(name string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.missing == nil {
		r.missing = map[string]error{}
	}
	r.missing[name] = err
}

func (r *recorder) Clean() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clean++
}

func (r *recorder) Truncated(cause string, rows, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.truncated = append(r.truncated, fmt.Sprintf("%s (%d rows, %d bytes)", cause, rows, bytes))
}

func (r *recorder) Note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// gather runs a collector and fails on its error.
func gather(t testing.TB, c collect.Collector, h *host.Host) *recorder {
	t.Helper()
	out := &recorder{}
	if err := c.Collect(t.Context(), h, out); err != nil {
		t.Fatalf("%s: %v", c.Spec().Item, err)
	}
	if out.taken != 1 {
		t.Errorf("%s said %d times that its state was taken, want once", c.Spec().Item, out.taken)
	}
	return out
}

// rowsOf is a table's rows in their type.
func rowsOf[R any](r *recorder, table string) []R {
	var out []R
	for _, x := range r.rows[table] {
		out = append(out, x.(R))
	}
	return out
}

// running is the host that the test runs on.
func running(t testing.TB) *host.Host {
	t.Helper()
	h, err := host.Live(host.Options{Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}
