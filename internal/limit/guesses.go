package limit

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Bounds of Guesses.
const (
	maxFailures = 10      // of one guesser in a minute
	maxGuessers = 1 << 14 // of one kind that are counted apart; some 4 MiB, 10 where each may guess 60 times
	maxSums     = 1 << 10 // in which the others of a kind are counted together
)

// Guesses slows down those who guess a secret. What counts is failures alone. It
// is this node's own memory: over several nodes one may guess as often on each.
//
// Each kind of guess has a memory of its own, so that what anybody can make up
// pushes nothing out of another's, and nothing is forgotten while it counts. When a
// memory is full, those who are new share sums, by a hash that nobody outside can
// tell: they are bounded together, as one guesser is.
type Guesses struct {
	now   func() time.Time
	began time.Time // what times are counted from, as the clock may be steady
	salt  [sha256.Size]byte

	mu       sync.Mutex
	memories map[kind]*memory
}

// kind is what has a memory of its own.
type kind struct {
	name string
	per  time.Duration
}

type memory struct {
	kind
	known map[guesser]*failures
	sums  []failures    // maxSums, or none as long as there was room
	swept time.Duration // when what counts no more was last looked for
}

// guesser is a hash of what is counted by: what a stranger sends takes no more
// room than that.
type guesser [sha256.Size]byte

type failures struct {
	of    *memory
	who   guesser         // of a sum: none
	times []time.Duration // since began, at most as many as are allowed, in order
}

// NewGuesses returns an empty memory.
func NewGuesses(now func() time.Time) *Guesses {
	g := &Guesses{now: now, began: now(), memories: map[kind]*memory{}}
	rand.Read(g.salt[:]) // never fails (crypto/rand)
	return g
}

// Network is the address that guesses from an address are counted by: an IPv6
// network of 48 bits is one, for it is what one customer of a provider may get
// whole, with 65,536 networks of hosts in it.
func Network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	p, err := ip.Prefix(48)
	if err != nil {
		return address
	}
	return p.String()
}

func (g *Guesses) guesser(parts ...string) guesser {
	all := slices.Clone(g.salt[:])
	for _, part := range parts {
		h := sha256.Sum256([]byte(part))
		all = append(all, h[:]...)
	}
	return sha256.Sum256(all)
}

// secrets are the guesses at applications' secrets.
var secrets = kind{"secret", time.Minute}

// Check is nil if who asks from the address may try a secret of the application
// now, else an *[Exceeded]. It is asked before the secret is looked at, so that
// a right guess helps no more than a wrong one. Its owner, who knows the secret
// and asks from elsewhere, never notices. An application's secrets are 256 random
// bits, so what this saves is work and log: guesses that come side by side may be
// some more, and beyond what can be remembered nobody is refused for what others
// did.
func (g *Guesses) Check(tenant, app, address string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	f, ok := g.memory(secrets).known[g.guesser(tenant, app, Network(address))]
	if !ok {
		return nil
	}
	return f.wait(maxFailures, "sign-in with a wrong secret", g.at())
}

// Failed counts a wrong secret.
func (g *Guesses) Failed(tenant, app, address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m, who, now := g.memory(secrets), g.guesser(tenant, app, Network(address)), g.at()
	if m.known[who] == nil && m.full(now) {
		return
	}
	m.count(who, maxFailures, now)
}

// Allowance is how many guesses of one kind may fail.
type Allowance struct {
	Kind string   // one of a few: each has a memory of its own
	Of   []string // what they are counted by, such as an account and a network
	Most int      // failures within Per; each one is remembered
	Per  time.Duration
}

// Take counts a guess under each allowance, before it is looked at: those made
// side by side are never more than are allowed. Where one is used up it counts
// under none and returns an *[Exceeded] for what was guessed. A guess that was
// right, or was not looked at after all, is given back, once.
func (g *Guesses) Take(what string, allowances ...Allowance) (back func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.at()
	for _, a := range allowances {
		if f := g.memory(a.kind()).find(g.guesser(a.Of...), now); f != nil {
			if err := f.wait(a.Most, what, now); err != nil {
				return nil, err
			}
		}
	}
	counted := make([]*failures, len(allowances))
	for i, a := range allowances {
		counted[i] = g.memory(a.kind()).count(g.guesser(a.Of...), a.Most, now)
	}
	return func() { g.back(now, counted) }, nil
}

func (a Allowance) kind() kind { return kind{a.Kind, a.Per} }

// at is the time. g.mu is held.
func (g *Guesses) at() time.Duration { return g.now().Sub(g.began) }

// memory is that of a kind. g.mu is held here and in all that follows.
func (g *Guesses) memory(k kind) *memory {
	m, ok := g.memories[k]
	if !ok {
		m = &memory{kind: k, known: map[guesser]*failures{}}
		g.memories[k] = m
	}
	return m
}

// find is where a guesser is counted, nil where it is not yet. Who was counted in a
// sum stays there as long as it counts.
func (m *memory) find(who guesser, now time.Duration) *failures {
	if f, ok := m.known[who]; ok {
		return f
	}
	full := m.full(now)
	if m.sums == nil {
		if !full {
			return nil
		}
		m.sums = make([]failures, maxSums)
	}
	sum := &m.sums[binary.BigEndian.Uint64(who[:])%maxSums]
	if sum.of = m; full || sum.counts(now) {
		return sum
	}
	return nil
}

// full says whether there is no room for another guesser.
func (m *memory) full(now time.Duration) bool {
	if len(m.known) >= maxGuessers && (now-m.swept >= time.Second || now < m.swept) {
		m.swept = now
		for who, f := range m.known {
			if !f.counts(now) {
				delete(m.known, who)
			}
		}
	}
	return len(m.known) >= maxGuessers
}

// count remembers a failure, the last most of them.
func (m *memory) count(who guesser, most int, now time.Duration) *failures {
	f := m.find(who, now)
	if f == nil {
		f = &failures{of: m, who: who}
		m.known[who] = f
	}
	f.counts(now)
	if len(f.times) >= most {
		f.times = slices.Delete(f.times, 0, len(f.times)-most+1)
	}
	f.times = append(f.times, now)
	return f
}

// counts says whether any failure still counts, and forgets the others. Those of a
// time to come don't: the clock was put back.
func (f *failures) counts(now time.Duration) bool {
	f.times = slices.DeleteFunc(f.times, func(at time.Duration) bool { return now-at >= f.of.per || at > now })
	return len(f.times) > 0
}

// wait is an *Exceeded if as many failures count as may be.
func (f *failures) wait(most int, what string, now time.Duration) error {
	if f.counts(now); len(f.times) < most {
		return nil
	}
	per := windows[0].name
	if f.of.per > time.Minute {
		per = windows[1].name
	}
	return &Exceeded{Calls: most, Per: per, API: what, Retry: seconds(f.times[len(f.times)-most] + f.of.per - now)}
}

// back takes back what Take counted at a time.
func (g *Guesses) back(at time.Duration, counted []*failures) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range counted {
		if i := slices.Index(f.times, at); i >= 0 {
			f.times = slices.Delete(f.times, i, i+1)
		}
		if len(f.times) == 0 && f.of.known[f.who] == f {
			delete(f.of.known, f.who)
		}
	}
}
