package limit

import (
	"container/list"
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"
)

// Bounds of Guesses.
const (
	maxFailures = 10      // of one guesser in a minute
	maxGuessers = 1 << 14 // remembered at once; some 5 MiB
)

// Guesses slows down those who guess an application's secret. What counts is
// failures alone, of one address at one application: its owner, who knows the
// secret and asks from elsewhere, never notices. It is this node's own memory;
// secrets are 256 random bits, so what it saves is work and log, not the secret.
type Guesses struct {
	now func() time.Time

	mu    sync.Mutex
	known map[guesser]*list.Element
	order *list.List // of *failures, the latest first
}

// guesser is a hash of address, tenant and application: what a stranger sends
// takes no more room than that.
type guesser [sha256.Size]byte

type failures struct {
	guesser
	times []time.Time // at most maxFailures, in order
}

// NewGuesses returns an empty memory.
func NewGuesses(now func() time.Time) *Guesses {
	return &Guesses{now: now, known: map[guesser]*list.Element{}, order: list.New()}
}

// guesserOf takes the addresses of one IPv6 network of 64 bits, which one host
// can use all of, for one.
func guesserOf(tenant, app, address string) guesser {
	if ip, err := netip.ParseAddr(address); err == nil && ip.Is6() && !ip.Is4In6() {
		if p, err := ip.WithZone("").Prefix(64); err == nil {
			address = p.String()
		}
	}
	sum := func(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }
	return sha256.Sum256(append(append(sum(tenant), sum(app)...), sum(address)...))
}

// Check is nil if who asks from the address may try a secret of the application
// now, else an *[Exceeded]. It is asked before the secret is looked at, so that
// a right guess helps no more than a wrong one.
func (g *Guesses) Check(tenant, app, address string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	at, ok := g.known[guesserOf(tenant, app, address)]
	if !ok {
		return nil
	}
	times := at.Value.(*failures).times
	now := g.now()
	wait := times[0].Add(time.Minute).Sub(now)
	if len(times) < maxFailures || wait <= 0 || wait > time.Minute { // the last: the clock was put back
		return nil
	}
	return &Exceeded{Calls: maxFailures, Per: windows[0].name, API: "sign-in with a wrong secret", Retry: seconds(wait)}
}

// Failed counts a wrong secret.
func (g *Guesses) Failed(tenant, app, address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	who := guesserOf(tenant, app, address)
	at, ok := g.known[who]
	if !ok {
		if g.order.Len() >= maxGuessers {
			delete(g.known, g.order.Remove(g.order.Back()).(*failures).guesser)
		}
		at = g.order.PushFront(&failures{guesser: who})
		g.known[who] = at
	}
	g.order.MoveToFront(at)
	f := at.Value.(*failures)
	if len(f.times) == maxFailures {
		f.times = f.times[:copy(f.times, f.times[1:])]
	}
	f.times = append(f.times, g.now())
}
