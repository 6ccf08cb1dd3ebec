package limit

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"swab/internal/fault"
)

// How much a limiter remembers where its Config does not say: at most some 30
// MiB, and that only if a thousand callers use up their limits.
const (
	defaultKeys  = 1 << 16
	defaultCalls = 1 << 21 // of 8 bytes
)

// lookEvery is how often a caller who is refused because of what others hold
// makes the node look whether they still do.
const lookEvery = time.Second

// Config is what a limiter is made from.
type Config struct {
	Ledgers Ledgers

	// Now is the wall clock; nil for time.Now.
	Now func() time.Time

	// Steady is a clock that nobody puts forth or back; nil for the one in Now's
	// times, which time.Now has.
	Steady func() time.Duration

	Keys, Calls int // how many are remembered at most; 0 for the usual
}

// Limiter decides for one node. It is safe for concurrent use.
type Limiter struct {
	ledgers     Ledgers
	now         func() time.Time
	steady      func() moment
	keys, calls int
	count       struct{ refused, unknown atomic.Int64 }

	mu    sync.Mutex
	known map[Key]*list.Element
	order *list.List // of *entry, the one used latest first
	total int        // calls remembered
}

// entry is an account with what the limiter keeps of it.
type entry struct {
	*account
	touched moment
	calls   int
}

// New returns a limiter that remembers nothing yet.
func New(c Config) *Limiter {
	l := &Limiter{
		ledgers: c.Ledgers, now: c.Now, steady: c.Steady, keys: c.Keys, calls: c.Calls,
		known: map[Key]*list.Element{}, order: list.New(),
	}
	if l.now == nil {
		l.now = time.Now
	}
	if l.steady == nil {
		start := l.now()
		l.steady = func() moment { return l.now().Sub(start) }
	}
	if l.keys <= 0 {
		l.keys = defaultKeys
	}
	if l.calls <= 0 {
		l.calls = defaultCalls
	}
	return l
}

// Take takes one call out of the key's limits. It is nil if the call may be
// made, an *[Exceeded] if it may not, and fault.Unavailable where that can't be
// known.
func (l *Limiter) Take(ctx context.Context, key Key, f Figures) error {
	if f.Off() {
		return nil
	}
	e, err := l.turn(ctx, key)
	if err != nil {
		return err
	}
	defer func() { <-e.turn }()
	if err := l.ready(ctx, e.account, f); err != nil {
		if errors.Is(err, fault.TooMany) {
			l.count.refused.Add(1)
		} else {
			l.count.unknown.Add(1)
			// Whether the ledger was changed is not known, and it may be changed
			// when this holder's memory is another: so it is none any more.
			e.lost = true
			l.forget(e)
		}
		return err
	}
	e.left--
	l.note(e, e.own.add(l.steady()))
	return nil
}

// Stats is what a limiter remembers, and what has become of calls since the start.
type Stats struct {
	Keys    int   // accounts that are remembered
	Calls   int   // calls that are remembered
	Refused int64 // calls over a limit
	Unknown int64 // calls that were refused because the ledger could not be asked
}

// Stats returns the present figures.
func (l *Limiter) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{Keys: l.order.Len(), Calls: l.total, Refused: l.count.refused.Load(), Unknown: l.count.unknown.Load()}
}

// turn waits for the turn of the key's account.
func (l *Limiter) turn(ctx context.Context, key Key) (*entry, error) {
	for {
		e := l.find(key)
		select {
		case e.turn <- struct{}{}:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if !e.lost {
			return e, nil
		}
		<-e.turn
	}
}

// ready is nil when the account has a hold that allows a call.
func (l *Limiter) ready(ctx context.Context, a *account, f Figures) error {
	now := l.steady()
	if a.left > 0 && now < a.until && l.now().Round(0).Before(a.wall) {
		return nil
	}
	a.left = 0
	// What is full by the account's own calls is full; of what others hold a
	// newer look may show less.
	fresh := a.looked && now-a.seen < lookEvery
	if err := a.refusal(now, f, fresh); err != nil {
		if full := a.refusal(now, f, true); full != nil {
			err = full
		}
		return err
	}
	if err := l.reserve(ctx, a, f); err != nil {
		return unavailable(err)
	}
	if a.left > 0 {
		return nil
	}
	if err := a.refusal(l.steady(), f, true); err != nil {
		return err
	}
	// There was no room, and a moment later there is some.
	return &Exceeded{Calls: f.Minute, Per: windows[0].name, API: a.key.API, Retry: time.Second}
}

func unavailable(err error) error {
	if errors.Is(err, fault.Unavailable) {
		return err
	}
	return fault.Unavailable.Errorf(err, "The limit of calls could not be checked; ask again later")
}

// find returns the key's account, and makes one if there is none.
func (l *Limiter) find(key Key) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.known[key]; ok {
		e := at.Value.(*entry)
		e.touched = l.steady()
		l.order.MoveToFront(at)
		return e
	}
	e := &entry{account: newAccount(key), touched: l.steady()}
	l.known[key] = l.order.PushFront(e)
	l.shrink()
	return e
}

// note keeps that an account remembers so many calls more.
func (l *Limiter) note(e *entry, more int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.known[e.key]; !ok || at.Value != e {
		return // forgotten meanwhile
	}
	e.calls += more
	l.total += more
	l.shrink()
}

// shrink forgets what was used least lately while there is too much. l.mu is held.
func (l *Limiter) shrink() {
	for l.order.Len() > 1 && (l.order.Len() > l.keys || l.total > l.calls) {
		l.drop(l.order.Back())
	}
}

func (l *Limiter) drop(at *list.Element) {
	e := l.order.Remove(at).(*entry)
	delete(l.known, e.key)
	l.total -= e.calls
}

func (l *Limiter) forget(e *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.known[e.key]; ok && at.Value == e {
		l.drop(at)
	}
}

// Sweep forgets the keys that nobody asked for so long that no window needs
// them, here and in the ledgers.
func (l *Limiter) Sweep(ctx context.Context) error {
	l.mu.Lock()
	for at := l.order.Back(); at != nil && l.steady()-at.Value.(*entry).touched >= time.Hour+Hold; at = l.order.Back() {
		l.drop(at)
	}
	l.mu.Unlock()
	return l.ledgers.ForgetLedgers(ctx)
}
