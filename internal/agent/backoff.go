package agent

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff spaces repeated tries: the first one at once, then after a random time
// between nothing and a bound that doubles from min to max. Full jitter spreads
// a fleet that lost its server at one instant evenly over the time it takes to
// serve it.
type backoff struct {
	min, max time.Duration
	tries    int
}

func newBackoff() *backoff { return &backoff{min: 200 * time.Millisecond, max: time.Minute} }

// next is how long to wait before the next try.
func (b *backoff) next() time.Duration {
	b.tries++
	if b.tries == 1 {
		return 0
	}
	bound := b.max
	if shift := b.tries - 2; shift < 20 {
		bound = min(b.max, b.min<<shift)
	}
	return rand.N(bound + 1)
}

// skipFirst makes the next wait a random one.
func (b *backoff) skipFirst() { b.tries = max(b.tries, 1) }

// reset starts over, after something went well.
func (b *backoff) reset() { b.tries = 0 }

// wait waits for the next try, at least so long, or for the end of ctx.
func (b *backoff) wait(ctx context.Context, least time.Duration) error {
	d := b.next()
	if least > 0 {
		d += least
	}
	if d == 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
