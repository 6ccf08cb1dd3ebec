package collect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"swab/internal/catalog"
	"swab/internal/collect/host"
	"swab/internal/evidence"
)

// DefaultTimeout is how long a collector may take that does not say.
const DefaultTimeout = 30 * time.Second

// grace is how long a collector that is told to end may take to do so.
const grace = 500 * time.Millisecond

// runner runs a plan's items.
type runner struct {
	Options
	h     *host.Host
	w     *evidence.Writer
	gate  *gate
	start time.Time // by the device's clock
	began time.Time // by the process's, for bounds and durations

	held atomic.Int64 // bytes of rows that are kept back

	mu       sync.Mutex
	progress Progress
}

// worked is how long the package has taken, the waiting for the upload aside.
func (r *runner) worked() time.Duration { return time.Since(r.began) - r.gate.idle() }

// elapsed is how long the package has taken.
func (r *runner) elapsed() time.Duration { return time.Since(r.began) }

// run runs all stages and returns the ledger, in the plan's order.
func (r *runner) run(ctx context.Context) ([]evidence.Line, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	if limit := time.Duration(r.Bounds.DeadlineSeconds) * time.Second; limit > 0 {
		over := make(chan struct{})
		defer close(over)
		go r.watch(over, limit, func() time.Duration { return r.worked() }, func() { end(errOverall) })
	}
	r.tell(func(p *Progress) { p.Of = len(r.Plan.Items) })
	ledger := make([]evidence.Line, 0, len(r.Plan.Items))
	for rest := r.Plan.Items; len(rest) > 0; {
		n := slices.IndexFunc(rest, func(i catalog.Item) bool { return i.Stage != rest[0].Stage })
		if n < 0 {
			n = len(rest)
		}
		ledger = append(ledger, r.stage(ctx, rest[:n])...)
		rest = rest[n:]
		if err := context.Cause(ctx); err != nil && !errors.Is(err, errOverall) {
			return nil, err
		}
	}
	return ledger, nil
}

// stage runs the collectors of a stage, all at once.
func (r *runner) stage(ctx context.Context, items []catalog.Item) []evidence.Line {
	lines := make([]evidence.Line, len(items))
	r.tell(func(p *Progress) { p.Stage = int(items[0].Stage) })
	taken := newBarrier(len(items), func() {
		if items[0].Stage == catalog.Volatile {
			r.tell(func(p *Progress) { p.Taken = r.elapsed() })
		}
	})
	var wg sync.WaitGroup
	for i, item := range items {
		wg.Go(func() {
			lines[i] = r.item(ctx, item, taken)
			r.tell(func(p *Progress) { p.Items++ })
		})
	}
	wg.Wait()
	return lines
}

// tell changes the progress and passes it on.
func (r *runner) tell(change func(*Progress)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.progress)
	r.progress.Bytes = r.w.Bytes()
	if r.Progress != nil {
		r.Progress(r.progress)
	}
}

// item runs one collector to its end, or leaves it behind, and writes its line.
func (r *runner) item(ctx context.Context, item catalog.Item, taken *barrier) evidence.Line {
	s := newSink(r, item, taken)
	whole := ctx
	c, err := r.collector(item)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx) // the package's time had run out before
		s.open()
	}
	if err != nil {
		s.arrive()
		return s.end(err)
	}
	s.open()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timeout := c.Spec().Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	over := make(chan struct{})
	defer close(over)
	go r.watch(over, timeout, s.worked, func() { cancel(errDeadline) })

	done := make(chan error, 1)
	go func() { done <- fenced(ctx, c, r.h, s) }()
	select {
	case err = <-done:
	case <-ctx.Done():
		if err = r.lastWords(done); err == nil || errors.Is(err, context.Canceled) {
			err = context.Cause(ctx)
		}
	}
	if cause := context.Cause(ctx); err != nil && cause != nil && errors.Is(err, context.Canceled) {
		err = cause
	}
	s.settle(whole)
	return s.end(err)
}

// errStuck is a collector that does not end when it is told to.
var errStuck = fmt.Errorf("a read of it blocks in the kernel, and was left behind: %w", errDeadline)

// lastWords waits a moment for a collector that was told to end.
func (r *runner) lastWords(done <-chan error) error {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errStuck
	}
}

// fenced runs a collector; a panic is its failure, and no one else's.
func fenced(ctx context.Context, c Collector, h *host.Host, s Sink) (err error) {
	defer func() {
		if crash := recover(); crash != nil {
			err = fmt.Errorf("the collector crashed: %.200s", fmt.Sprint(crash))
		}
	}()
	return c.Collect(ctx, h, s)
}

// collector is the item's collector, once its needs are met.
func (r *runner) collector(item catalog.Item) (Collector, error) {
	i := slices.IndexFunc(r.Collectors, func(c Collector) bool { return c.Spec().Item == item.Name })
	if i < 0 {
		return nil, fmt.Errorf("this release has no collector for it on %s", r.Plan.System)
	}
	c := r.Collectors[i]
	switch needs := c.Spec().Needs; {
	case needs.Live && !r.h.Live:
		return c, errors.New("it can be had of a running system only, and this is a tree of files")
	case needs.Root && !r.h.Self.Root:
		return c, errRights
	}
	return c, nil
}

// watch calls late once used reaches limit, unless over is closed before.
func (r *runner) watch(over <-chan struct{}, limit time.Duration, used func() time.Duration, late func()) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case <-over:
			return
		case <-timer.C:
		}
		left := limit - used()
		if left <= 0 {
			late()
			return
		}
		timer.Reset(max(left, 10*time.Millisecond))
	}
}

// barrier is where the collectors of a stage wait for one another.
type barrier struct {
	mu   sync.Mutex
	left int
	open chan struct{}
	last func()
}

func newBarrier(n int, last func()) *barrier {
	return &barrier{left: n, open: make(chan struct{}), last: last}
}

// arrive counts one collector, which must come once.
func (b *barrier) arrive() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left--; b.left == 0 {
		b.last()
		close(b.open)
	}
}
