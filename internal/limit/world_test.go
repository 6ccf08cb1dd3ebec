package limit

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"swab/internal/fault"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// database keeps ledgers in memory, by a clock of its own.
type database struct {
	mu    sync.Mutex
	clock func() time.Time
	held  map[Key][]Held
	looks int // changes begun

	// What the next change meets, once: nothing is done; it is done and not told;
	// it is done when the test runs late.
	lost, untold, stuck bool
	late                func()
}

var errDown = errors.New("connection reset")

func (d *database) ChangeLedger(_ context.Context, key Key, change func(time.Time, []Held) []Held) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looks++
	run := func() {
		if kept := change(d.clock(), slices.Clone(d.held[key])); kept != nil {
			d.held[key] = kept
		}
	}
	lost, untold, stuck := d.lost, d.untold, d.stuck
	d.lost, d.untold, d.stuck = false, false, false
	switch {
	case lost:
		return errDown
	case stuck:
		d.late = run
		return errDown
	}
	run()
	if untold {
		return errDown
	}
	return nil
}

func (d *database) ForgetLedgers(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, held := range d.held {
		if !slices.ContainsFunc(held, func(h Held) bool { return d.clock().Sub(h.Last) <= time.Hour }) {
			delete(d.held, key)
		}
	}
	return nil
}

// world is nodes on one database, in a time that only the test moves.
type world struct {
	t      time.Duration // true time, which all steady clocks follow
	db     *database
	ahead  time.Duration // of the database's clock
	nodes  []*node
	taken  []time.Duration // true times of calls taken, of all nodes
	limits Figures
}

type node struct {
	*Limiter
	ahead time.Duration // of its wall clock
}

func newWorld(nodes int, f Figures) *world {
	w := &world{limits: f}
	w.db = &database{held: map[Key][]Held{}, clock: func() time.Time { return epoch.Add(w.t + w.ahead) }}
	for range nodes {
		w.nodes = append(w.nodes, nil)
	}
	for i := range nodes {
		w.start(i, 0)
	}
	return w
}

// start starts a node anew, as after a crash.
func (w *world) start(i int, ahead time.Duration) {
	n, began := &node{ahead: ahead}, w.t
	n.Limiter = New(Config{
		Ledgers: w.db, Now: func() time.Time { return epoch.Add(w.t + n.ahead) }, Steady: func() time.Duration { return w.t - began },
	})
	w.nodes[i] = n
}

var key = Key{"t", "application/a", "collectInvestigationPackage"}

// take asks node i for a call; a refusal is returned, nil is a call taken.
func (w *world) take(t testing.TB, i int) *Exceeded {
	t.Helper()
	err := w.nodes[i].Take(t.Context(), key, w.limits)
	if err == nil {
		w.taken = append(w.taken, w.t)
		return nil
	}
	e, ok := errors.AsType[*Exceeded](err)
	if code, text := fault.Of(err); !ok || code != fault.TooMany || text != e.Error() {
		t.Fatalf("refused by %v (%s %q)", err, code, text)
	}
	return e
}

// within is how many calls were taken within a window that ends at t.
func (w *world) within(t, length time.Duration) (n int) {
	for _, at := range w.taken {
		if at <= t && at > t-length {
			n++
		}
	}
	return n
}
