package limit

import (
	"container/list"
	"crypto/sha256"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Bounds of Guesses.
const (
	maxFailures = 10      // of one guesser in a minute
	maxGuessers = 1 << 14 // remembered at once; some 5 MiB, 30 where each may guess 60 times
)

// Guesses slows down those who guess a secret. What counts is failures alone. It
// is this node's own memory: over several nodes one may guess as often on each.
type Guesses struct {
	now func() time.Time

	mu    sync.Mutex
	known map[guesser]*list.Element
	order *list.List // of *failures, the latest first
}

// guesser is a hash of what is counted by: what a stranger sends takes no more
// room than that.
type guesser [sha256.Size]byte

type failures struct {
	guesser
	times []time.Time // at most as many as are allowed, in order
}

// NewGuesses returns an empty memory.
func NewGuesses(now func() time.Time) *Guesses {
	return &Guesses{now: now, known: map[guesser]*list.Element{}, order: list.New()}
}

// Network is the address that guesses from an address are counted by: the
// addresses of one IPv6 network of 64 bits, which one host can use all of, are
// one.
func Network(address string) string {
	if ip, err := netip.ParseAddr(address); err == nil && ip.Is6() && !ip.Is4In6() {
		if p, err := ip.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return address
}

func guesserOf(parts ...string) guesser {
	var all []byte
	for _, part := range parts {
		h := sha256.Sum256([]byte(part))
		all = append(all, h[:]...)
	}
	return sha256.Sum256(all)
}

// Check is nil if who asks from the address may try a secret of the application
// now, else an *[Exceeded]. It is asked before the secret is looked at, so that
// a right guess helps no more than a wrong one. Its owner, who knows the secret
// and asks from elsewhere, never notices. An application's secrets are 256 random
// bits, so what this saves is work and log: guesses that come side by side may be
// some more.
func (g *Guesses) Check(tenant, app, address string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wait(guesserOf(tenant, app, Network(address)), Allowance{Most: maxFailures, Per: time.Minute}, "sign-in with a wrong secret")
}

// Failed counts a wrong secret.
func (g *Guesses) Failed(tenant, app, address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count(guesserOf(tenant, app, Network(address)), maxFailures, g.now())
}

// Allowance is how many guesses of one kind may fail.
type Allowance struct {
	Of   []string // what they are counted by, such as an account and a network
	Most int      // failures within Per; each one is remembered
	Per  time.Duration
}

// Take counts a guess under each allowance, before it is looked at: those made
// side by side are never more than are allowed. Where one is used up it counts
// under none and returns an *[Exceeded] for what was guessed. A guess that was
// right, or was not looked at after all, is given back.
func (g *Guesses) Take(what string, allowances ...Allowance) (back func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range allowances {
		if err := g.wait(a.guesser(), a, what); err != nil {
			return nil, err
		}
	}
	now := g.now()
	for _, a := range allowances {
		g.count(a.guesser(), a.Most, now)
	}
	return func() { g.back(now, allowances) }, nil
}

func (a Allowance) guesser() guesser {
	return guesserOf(append([]string{a.Per.String()}, a.Of...)...)
}

// wait is an *Exceeded if a guesser has failed as often as may be. g.mu is held.
func (g *Guesses) wait(who guesser, a Allowance, what string) error {
	at, ok := g.known[who]
	if !ok {
		return nil
	}
	times := at.Value.(*failures).times
	if len(times) < a.Most {
		return nil
	}
	wait := times[0].Add(a.Per).Sub(g.now())
	if wait <= 0 || wait > a.Per { // the latter: the clock was put back
		return nil
	}
	per := windows[0].name
	if a.Per > time.Minute {
		per = windows[1].name
	}
	return &Exceeded{Calls: a.Most, Per: per, API: what, Retry: seconds(wait)}
}

// count remembers a failure, the last most of them. g.mu is held.
func (g *Guesses) count(who guesser, most int, now time.Time) {
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
	if len(f.times) >= most {
		f.times = f.times[:copy(f.times, f.times[len(f.times)-most+1:])]
	}
	f.times = append(f.times, now)
}

// back takes back what Take counted at a time.
func (g *Guesses) back(at time.Time, allowances []Allowance) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range allowances {
		e, ok := g.known[a.guesser()]
		if !ok {
			continue
		}
		f := e.Value.(*failures)
		if i := slices.IndexFunc(f.times, at.Equal); i >= 0 {
			f.times = slices.Delete(f.times, i, i+1)
		}
		if len(f.times) == 0 {
			delete(g.known, g.order.Remove(e).(*failures).guesser)
		}
	}
}
