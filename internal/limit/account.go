package limit

import (
	"crypto/rand"
	"slices"
	"time"
)

// account is one holder: what a node remembers of one key. Whoever has its turn
// may read and change it.
type account struct {
	key    Key
	turn   chan struct{} // of 1: full while someone has the turn
	holder string
	lost   bool // this holder must not change the ledger any more

	own    calls  // taken here, within the last hour
	others []past // as the ledger had them, the latest first
	seen   moment // when that was
	looked bool   // whether it was ever

	left  int       // calls that the present hold still allows
	until moment    // and until when, by the steady clock
	wall  time.Time // and by the wall's: a machine that slept has a steady clock that did not go
}

// moment is a time of the steady clock.
type moment = time.Duration

// past is calls of others, as late as they can have been.
type past struct {
	at    moment
	calls int
}

func newAccount(key Key) *account {
	return &account{key: key, turn: make(chan struct{}, 1), holder: rand.Text()[:12]}
}

// calls are times of calls in order.
type calls struct {
	times []moment
	gone  int // of times, at its beginning
}

func (c *calls) all() []moment { return c.times[c.gone:] }

func (c *calls) len() int { return len(c.times) - c.gone }

// add adds a call and drops those that no window needs. It returns by how many
// more calls are remembered.
func (c *calls) add(now moment) int {
	before := c.len()
	if n := len(c.times); n > 0 {
		now = max(now, c.times[n-1])
	}
	for c.gone < len(c.times) && now-c.times[c.gone] >= time.Hour {
		c.gone++
	}
	if c.gone > len(c.times)/2 {
		c.times, c.gone = slices.Delete(c.times, 0, c.gone), 0
	}
	c.times = append(c.times, now)
	return c.len() - before
}

// within is how many calls were made less than a window's length ago.
func (c *calls) within(now moment, length time.Duration) int {
	all := c.all()
	first, _ := slices.BinarySearch(all, now-length+1)
	return len(all) - first
}

// wait is how long after now fewer than limit calls, own and others', lie within
// a window: 0 or less if that is so now.
func (a *account) wait(now moment, length time.Duration, limit int, withOthers bool) time.Duration {
	own, others := a.own.all(), a.others
	if !withOthers {
		others = nil
	}
	if len(others) == 0 { // the common case: the call that must leave is known by its number
		if len(own) < limit {
			return 0
		}
		return own[len(own)-limit] + length - now
	}
	// Backward from the latest: the one that makes it limit must leave.
	for sum, i, o := 0, len(own)-1, 0; i >= 0 || o < len(others); {
		var at moment
		if o == len(others) || i >= 0 && own[i] >= others[o].at {
			at, sum, i = own[i], sum+1, i-1
		} else {
			at, sum, o = others[o].at, sum+others[o].calls, o+1
		}
		if sum >= limit {
			return at + length - now
		}
	}
	return 0
}

// refusal is the limit that a call at now would exceed, as far as the account
// knows; nil if it would exceed none.
func (a *account) refusal(now moment, f Figures, withOthers bool) error {
	longest, hit := time.Duration(0), 0
	for w := range windows {
		if wait := a.wait(now, windows[w].length, f.of(w), withOthers); wait > longest {
			longest, hit = wait, w
		}
	}
	if longest <= 0 {
		return nil
	}
	return &Exceeded{Calls: f.of(hit), Per: windows[hit].name, API: a.key.API, Retry: seconds(longest)}
}

// spent is calls of one's own, none of which is older than age.
type spent struct {
	age   time.Duration
	calls int
}

// used is the account's calls within the last hour, the latest first: those of
// one second together, those older than a minute by the minute, each as if made
// with the latest of them.
func (a *account) used(now moment) []spent {
	var list []spent
	for _, at := range slices.Backward(a.own.all()) {
		age := now - at
		if age >= time.Hour {
			break
		}
		if n := len(list); n > 0 {
			granule := time.Second
			if list[n-1].age >= time.Minute {
				granule = time.Minute
			}
			if age-list[n-1].age < granule {
				list[n-1].calls++
				continue
			}
		}
		list = append(list, spent{age, 1})
	}
	return list
}
