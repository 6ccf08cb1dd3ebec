package limit

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"swab/internal/fault"
)

func drawFigures(r *rapid.T) Figures {
	return Figures{Minute: rapid.IntRange(1, 40).Draw(r, "a minute"), Hour: rapid.IntRange(1, 120).Draw(r, "an hour")}
}

// drawPause is a time that passes: often less than a second, at times about as
// long as a window or a hold.
func drawPause(r *rapid.T) time.Duration {
	most := rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, 20 * time.Second, 3 * time.Minute, 70 * time.Minute}).Draw(r, "pause up to")
	return time.Duration(rapid.Int64Range(0, int64(most)).Draw(r, "pause"))
}

// On one node a call is taken if and only if the windows have room for it, and
// a refusal names the very second.
func TestOneNodeIsExactToTheCall(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(1, drawFigures(r))
		for range rapid.IntRange(1, 300).Draw(r, "calls") {
			w.t += drawPause(r)
			if rapid.IntRange(0, 20).Draw(r, "jump") == 0 {
				w.nodes[0].ahead = time.Duration(rapid.IntRange(-60, 60).Draw(r, "by")) * time.Minute
				w.ahead = time.Duration(rapid.IntRange(-60, 60).Draw(r, "and the database")) * time.Minute
			}
			room := func(t time.Duration) bool {
				return w.within(t, time.Minute) < w.limits.Minute && w.within(t, time.Hour) < w.limits.Hour
			}
			free := room(w.t)
			refused := w.take(t, 0)
			if (refused == nil) != free {
				r.Fatalf("at %v: %v, want taken %t; taken so far %v", w.t, refused, free, w.taken)
			}
			if refused != nil && (!room(w.t+refused.Retry) || refused.Retry > time.Second && room(w.t+refused.Retry-time.Second)) {
				r.Fatalf("at %v: ask again in %v is not exact; taken so far %v", w.t, refused.Retry, w.taken)
			}
		}
	})
}

// Whatever nodes, calls, crashes, failing transactions and clocks do: no window
// ever holds more calls than its limit, and nobody waits for longer than a
// window and a hold.
//
// Threat P7: limits, with clocks that are put forth and back.
func TestNoInterleavingExceedsALimitOrLocksACallerOut(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(rapid.IntRange(1, 4).Draw(r, "nodes"), drawFigures(r))
		for range rapid.IntRange(1, 200).Draw(r, "steps") {
			w.step(t, r)
		}
		w.quiet(t, r, rapid.IntRange(0, len(w.nodes)-1).Draw(r, "node"))
		for _, at := range w.taken {
			for k := range windows {
				if n := w.within(at, windows[k].length); n > w.limits.of(k) {
					r.Fatalf("%d calls in the window that ends at %v, limit %d: %v", n, at, w.limits.of(k), w.taken)
				}
			}
		}
	})
}

// quiet has nobody ask but node i, as often as it is told to.
func (w *world) quiet(t *testing.T, r *rapid.T, i int) {
	w.db.lost, w.db.untold, w.db.stuck = false, false, false
	began, longest := w.t, time.Minute
	for refused := w.take(t, i); refused != nil; refused = w.take(t, i) {
		if refused.Per == windows[1].name {
			longest = time.Hour
		}
		bound := longest + Hold + 2*time.Second // seconds are whole
		if refused.Retry > bound {
			r.Fatalf("refused for %v, over %v: %v", refused.Retry, bound, refused)
		}
		if w.t += refused.Retry; w.t-began > bound && w.ahead == 0 {
			r.Fatalf("refused for %v, over %v: %v", w.t-began, bound, refused)
		}
	}
}

// step is one thing that may happen. The database's clock only ever goes back:
// put forth, it is time that passed.
func (w *world) step(t *testing.T, r *rapid.T) {
	w.t += drawPause(r)
	i := rapid.IntRange(0, len(w.nodes)-1).Draw(r, "node")
	jump := func(from int) time.Duration {
		return time.Duration(rapid.IntRange(from, 60).Draw(r, "clock")) * time.Minute
	}
	switch what := rapid.IntRange(0, 30).Draw(r, "what"); what {
	case 0:
		w.start(i, jump(-60))
	case 1:
		w.nodes[i].ahead = jump(-60)
	case 2:
		w.ahead -= jump(0)
	case 3:
		w.db.lost = true
	case 4:
		w.db.untold = true
	case 5:
		w.db.stuck = true
	case 6:
		if w.db.late != nil {
			w.db.late()
			w.db.late = nil
		}
	case 7:
		if err := w.nodes[i].Sweep(t.Context()); err != nil {
			r.Fatal(err)
		}
	default:
		for range what {
			err := w.nodes[i].Take(t.Context(), key, w.limits)
			switch {
			case err == nil:
				w.taken = append(w.taken, w.t)
			case !errors.Is(err, fault.TooMany) && !errors.Is(err, fault.Unavailable):
				r.Fatal(err)
			}
		}
	}
}

// A database's clock that is put forth is time that passed, and nothing worse.
//
// Threat P7: limits.
func TestADatabaseClockPutForthLocksNobodyOut(t *testing.T) {
	w := newWorld(2, Figures{2, 5})
	w.take(t, 0)
	w.take(t, 0)
	if w.take(t, 1) == nil {
		t.Fatal("the other node took a third call")
	}
	w.ahead, w.t = time.Hour, w.t+time.Second
	if e := w.take(t, 1); e != nil {
		t.Errorf("after the hour: %v", e)
	}
	w.ahead = 0
	if e := w.take(t, 0); e == nil || e.Retry > time.Minute+Hold {
		t.Errorf("and when it is put back: %v", e)
	}
}
