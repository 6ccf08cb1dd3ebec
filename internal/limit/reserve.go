package limit

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// request is what a holder asks of a ledger. It has a copy of all that it needs:
// a change whose outcome nobody waits for any more may still run.
type request struct {
	holder string
	mine   [len(windows)]int // its own calls within each window
	used   []spent           // and all of them
	limits Figures
}

// outcome is what a change of a ledger came to.
type outcome struct {
	calls  int    // the step; 0: there is no room
	others []past // by the steady clock, the latest first
}

// change is the transaction on a ledger: see the package's comment. now is the
// shared clock's time, read when the steady clock showed no more than at.
func (r request) change(now time.Time, at moment, held []Held) ([]Held, outcome) {
	var (
		out     outcome
		kept    []Held
		changed bool
		sums    = r.mine
	)
	for _, h := range held {
		if h.Holder == r.holder {
			continue
		}
		// No hold lasts longer, so the clock was put back.
		if most := upTo(now.Add(Hold)); h.Last.After(most) {
			h.Last, changed = most, true
		}
		age := now.Sub(h.Last)
		if age >= time.Hour {
			continue
		}
		kept = append(kept, h)
		out.others = append(out.others, past{at: at - age, calls: h.Calls})
		for w := range windows {
			if age < windows[w].length {
				sums[w] += h.Calls
			}
		}
	}
	slices.SortFunc(out.others, func(a, b past) int { return cmp.Compare(b.at, a.at) })
	out.calls = r.limits.step()
	for w := range windows {
		out.calls = max(0, min(out.calls, r.limits.of(w)-sums[w]))
	}
	if out.calls == 0 && !changed {
		return nil, out
	}
	for _, u := range r.used {
		kept = append(kept, Held{r.holder, u.calls, upTo(now.Add(-u.age))})
	}
	if out.calls > 0 {
		kept = append(kept, Held{r.holder, out.calls, upTo(now.Add(Hold))})
	}
	return kept, out
}

// upTo is a moment that is kept shortly and no earlier than it is.
func upTo(t time.Time) time.Time { return t.Add(time.Millisecond - 1).Truncate(time.Millisecond) }

// changeFor bounds one change of a ledger.
const changeFor = 5 * time.Second

// reserve gets the account a step from its ledger, or learns that there is no
// room for one. It does not end with its caller: others wait for it too.
func (l *Limiter) reserve(ctx context.Context, a *account, f Figures) error {
	begun, wall := l.steady(), l.now().Round(0)
	r := request{holder: a.holder, used: a.used(begun), limits: f}
	for w := range windows {
		r.mine[w] = a.own.within(begun, windows[w].length)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeFor)
	defer cancel()
	var out outcome
	err := l.ledgers.ChangeLedger(ctx, a.key, func(now time.Time, held []Held) (kept []Held) {
		kept, out = r.change(now, l.steady(), held)
		return kept
	})
	if err != nil { // out may still be written to, and the ledger changed
		return err
	}
	// The hold ends a Hold after a moment when the ledger's clock had not been
	// read yet, so never later than the ledger says.
	a.left, a.until, a.wall = out.calls, begun+Hold, wall.Add(Hold)
	a.others, a.seen, a.looked = out.others, begun, true
	return nil
}
