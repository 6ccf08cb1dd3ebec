package agent

import (
	"context"
	"sync"
	"time"

	"swab/internal/wire"
)

// progressEvery is the least time between two messages of progress, where no
// stage has changed.
const progressEvery = 250 * time.Millisecond

// reporter tells the server where an attempt is: at once where the stage
// changes, else a few times a second at most, however often it is told itself.
type reporter struct {
	now  func() time.Time
	wake chan struct{} // holds one signal

	mu     sync.Mutex
	latest wire.Progress
	urgent bool
}

func newReporter(action wire.ActionID, attempt int, now func() time.Time) *reporter {
	return &reporter{now: now, wake: make(chan struct{}, 1), latest: wire.Progress{Action: action, Attempt: attempt}}
}

// update changes what is to be told.
func (r *reporter) update(f func(*wire.Progress)) {
	r.mu.Lock()
	was := r.latest
	f(&r.latest)
	changed := r.latest != was
	r.urgent = r.urgent || r.latest.Stage != was.Stage || r.latest.TakenMs != was.TakenMs
	r.mu.Unlock()
	if changed {
		signal(r.wake)
	}
}

// run tells until ctx ends. Nothing ticks while nothing changes.
func (r *reporter) run(ctx context.Context, tell func(wire.Progress)) {
	var last time.Time
	for {
		select {
		case <-r.wake:
		case <-ctx.Done():
			return
		}
		if !r.settle(ctx, progressEvery-r.now().Sub(last)) {
			return
		}
		r.mu.Lock()
		p := r.latest
		r.urgent = false
		r.mu.Unlock()
		tell(p)
		last = r.now()
	}
}

// settle waits for d, or until something urgent is to be told; false: ctx ended.
func (r *reporter) settle(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		r.mu.Lock()
		urgent := r.urgent
		r.mu.Unlock()
		if urgent {
			return true
		}
		select {
		case <-t.C:
			return true
		case <-r.wake:
		case <-ctx.Done():
			return false
		}
	}
}
