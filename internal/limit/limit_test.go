package limit

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/fault"
)

func TestARefusalNamesTheLimitThatWasHit(t *testing.T) {
	w := newWorld(1, Figures{2, 3})
	for _, c := range []struct {
		after time.Duration
		want  string
	}{
		{0, ""},
		{10 * time.Second, ""},
		{500 * time.Millisecond, "The limit of 2 calls a minute of collectInvestigationPackage is reached; ask again in 50 seconds"},
		{49500*time.Millisecond - 1, "The limit of 2 calls a minute of collectInvestigationPackage is reached; ask again in 1 second"},
		{1, ""},
		{time.Second, "The limit of 3 calls an hour of collectInvestigationPackage is reached; ask again in 3539 seconds"},
		{3539*time.Second - 1, "The limit of 3 calls an hour of collectInvestigationPackage is reached; ask again in 1 second"},
		{1, ""},
	} {
		w.t += c.after
		text := ""
		if e := w.take(t, 0); e != nil {
			text = e.Error()
		}
		if text != c.want {
			t.Errorf("at %v: %q, want %q", w.t, text, c.want)
		}
	}
}

func TestKeysAreCountedApart(t *testing.T) {
	w := newWorld(1, Figures{1, 1})
	for _, k := range []Key{key, {"u", key.Caller, key.API}, {key.Tenant, "application/b", key.API}, {key.Tenant, key.Caller, "listMachines"}} {
		if err := w.nodes[0].Take(t.Context(), k, w.limits); err != nil {
			t.Errorf("%v: %v", k, err)
		}
		if err := w.nodes[0].Take(t.Context(), k, w.limits); !errors.Is(err, fault.TooMany) {
			t.Errorf("%v, again: %v", k, err)
		}
		if err := w.nodes[0].Take(t.Context(), k, Figures{}); err != nil {
			t.Errorf("%v, without a limit: %v", k, err)
		}
	}
}

func TestALedgerIsOpenedOnceAStep(t *testing.T) {
	for f, want := range map[Figures]int{{100, 1500}: 10, {50, 600}: 10, {100, 40}: 10, {2, 120}: 2} {
		w := newWorld(1, f)
		for w.take(t, 0) == nil {
		}
		if w.db.looks != want || len(w.taken) != min(f.Minute, f.Hour) {
			t.Errorf("%v: %d calls with %d looks, want %d", f, len(w.taken), w.db.looks, want)
		}
		for range 1000 { // refused from memory
			w.take(t, 0)
		}
		if w.db.looks != want {
			t.Errorf("%v: %d looks for refusals", f, w.db.looks-want)
		}
	}
}

// What another node holds may be given up at any time, so it is looked at again,
// but not for every call.
func TestARefusalBecauseOfOthersIsLookedAtOnceASecond(t *testing.T) {
	w := newWorld(2, Figures{100, 1500})
	for w.take(t, 0) == nil {
	}
	before := w.db.looks
	for range 1000 {
		if e := w.take(t, 1); e == nil || e.Retry > time.Minute {
			t.Fatalf("%v, want a refusal for what the other took", e)
		}
		w.t += 5 * time.Millisecond
	}
	if looks := w.db.looks - before; looks < 4 || looks > 6 {
		t.Errorf("%d looks in 5 seconds", looks)
	}
}

func TestARestartKeepsTheCountButForAStep(t *testing.T) {
	for _, used := range []int{1, 25, 30, 100} {
		w := newWorld(1, Figures{100, 1500})
		for range used {
			w.take(t, 0)
			w.t += time.Millisecond
		}
		w.start(0, 0)
		for w.take(t, 0) == nil {
		}
		if n := len(w.taken); n > 100 || n < 91 {
			t.Errorf("%d before the restart, %d in all; want 100, at most a step less", used, n)
		}
	}
	// Of a small limit nothing is lost.
	w := newWorld(1, Figures{2, 120})
	w.take(t, 0)
	w.start(0, 0)
	w.take(t, 0)
	if w.start(0, 0); len(w.taken) != 2 || w.take(t, 0) == nil {
		t.Errorf("%d calls taken, want 2", len(w.taken))
	}
}

func TestADeadNodesStepEndsWithItsHold(t *testing.T) {
	w := newWorld(2, Figures{100, 1500})
	w.take(t, 0) // holds 10, and is never heard of again
	for range 2 {
		n := 0
		for ; w.take(t, 1) == nil; n++ {
		}
		if n != 90 {
			t.Errorf("%d calls beside it, want 90", n)
		}
		w.t += time.Minute
	}
	w.t += time.Millisecond // to which ledgers round
	n := 0
	for ; w.take(t, 1) == nil; n++ {
	}
	if n != 100 {
		t.Errorf("%d calls after the hold and a minute, want 100", n)
	}
}

func TestAHoldIsNotUsedPastItsEnd(t *testing.T) {
	w := newWorld(2, Figures{100, 1500})
	w.take(t, 0) // and 9 more could be taken
	w.t += Hold + time.Minute + time.Millisecond
	for w.take(t, 1) == nil {
	}
	if w.take(t, 0) == nil || len(w.taken) != 101 {
		t.Errorf("%d calls in a minute, limit 100", len(w.taken)-1)
	}
}

// What is gathered by the minute is missed no longer than a hold is.
func TestARestartMissesCallsNoLongerThanAHold(t *testing.T) {
	w := newWorld(1, Figures{100, 120})
	for range 120 { // for half an hour
		if e := w.take(t, 0); e != nil {
			t.Fatal(e)
		}
		w.t += 15 * time.Second
	}
	w.start(0, 0)
	w.t = time.Hour + Hold + time.Second
	for n := range 100 {
		if e := w.take(t, 0); e != nil {
			t.Fatalf("call %d, %v after the one that it replaces: %v", n, w.t-w.taken[n], e)
		}
		w.t += 15 * time.Second
	}
}

// Threat P7: limits.
func TestADatabaseClockPutBackLocksNobodyOutForLonger(t *testing.T) {
	w := newWorld(2, Figures{100, 1500})
	for w.take(t, 0) == nil {
	}
	w.ahead, w.t = -time.Hour, w.t+time.Second
	for began, e := w.t, w.take(t, 1); e != nil; e = w.take(t, 1) {
		if w.t += e.Retry; w.t-began > time.Minute+Hold+time.Second {
			t.Fatalf("refused for %v, and still", w.t-began)
		}
	}
}

// A machine that slept has a steady clock that did not go on: what it held may
// be another's by now.
func TestAHoldEndsWhileTheMachineSleeps(t *testing.T) {
	w := newWorld(2, Figures{10, 1500})
	asleep := time.Duration(0)
	w.nodes[0].steady = func() time.Duration { return w.t - asleep }
	w.limits = Figures{100, 100}
	w.take(t, 0)
	asleep = 2 * time.Hour
	w.t += asleep
	for w.take(t, 1) == nil {
	}
	if w.take(t, 0) == nil {
		t.Errorf("%d calls in a minute, limit 100", len(w.taken)-1)
	}
}

func TestNothingIsTakenWhileTheLedgersAreAway(t *testing.T) {
	w := newWorld(1, Figures{100, 1500})
	w.db.lost = true
	if err := w.nodes[0].Take(t.Context(), key, w.limits); !errors.Is(err, fault.Unavailable) || !errors.Is(err, errDown) {
		t.Errorf("%v, want Unavailable because of %v", err, errDown)
	}
	if e := w.take(t, 0); e != nil {
		t.Errorf("once they are back: %v", e)
	}
}

// A change of a ledger that nobody heard of may still come: whoever waited for
// the same key must not go on under the same name.
func TestWhoWaitsDoesNotGoOnAsALostHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &database{held: map[Key][]Held{}, clock: time.Now, stuck: true}
		l, f := New(Config{Ledgers: db}), Figures{100, 1500}
		e := l.find(key)
		e.turn <- struct{}{} // the turn of the one whose change gets stuck
		taken := make(chan error, 1)
		go func() { taken <- l.Take(t.Context(), key, f) }()
		synctest.Wait()
		if err := l.ready(t.Context(), e.account, f); !errors.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
		e.lost = true
		l.forget(e)
		<-e.turn
		if err := <-taken; err != nil {
			t.Fatal(err)
		}
		db.late()
		sum := 0
		for _, h := range db.held[key] {
			sum += h.Calls
		}
		if e.own.len() != 0 || sum != 20 {
			t.Errorf("%d calls by the lost holder; %d are held, want 10 of each", e.own.len(), sum)
		}
	})
}

// What was forgotten for want of room is still in the ledger.
func TestMemoryIsBoundedAndForgetsNoCall(t *testing.T) {
	w := newWorld(1, Figures{20, 20})
	l := New(Config{Ledgers: w.db, Steady: func() time.Duration { return w.t }, Now: w.db.clock, Keys: 8, Calls: 50})
	taken := map[Key]int{}
	for i := range 2000 {
		w.t += 10 * time.Millisecond
		k := Key{Tenant: "t", Caller: fmt.Sprint(i * i % 31), API: "x"}
		if l.Take(t.Context(), k, w.limits) == nil {
			taken[k]++
		}
		sum := 0
		for at := l.order.Front(); at != nil; at = at.Next() {
			sum += at.Value.(*entry).own.len()
		}
		if len(l.known) != l.order.Len() || len(l.known) > 8 || l.total > 50 || sum != l.total {
			t.Fatalf("%d keys, %d calls, counted %d; bounds 8 and 50", len(l.known), sum, l.total)
		}
	}
	for k, n := range taken {
		if n > 20 || n < 10 {
			t.Errorf("%v: %d calls taken, limit 20", k, n)
		}
	}
}

func TestASweepForgetsWhatNoWindowNeeds(t *testing.T) {
	w := newWorld(1, Figures{100, 1500})
	w.take(t, 0)
	for _, c := range []struct {
		after time.Duration
		keys  int
	}{{time.Hour, 1}, {Hold + time.Second, 0}} {
		w.t += c.after
		if err := w.nodes[0].Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n, m := len(w.nodes[0].known), len(w.db.held); n != c.keys || m != c.keys {
			t.Errorf("after %v: %d keys in memory, %d ledgers; want %d", w.t, n, m, c.keys)
		}
	}
}

func TestALedgerStaysSmall(t *testing.T) {
	w := newWorld(2, Figures{100, 1500})
	for i := range 20_000 {
		w.take(t, i%2)
		w.t += 300 * time.Millisecond
		if n := len(w.db.held[key]); n > 2*(60+60+1) {
			t.Fatalf("%d holds after %d calls", n, len(w.taken))
		}
	}
	if len(w.taken) < 2000 {
		t.Errorf("only %d calls taken", len(w.taken))
	}
}

func TestManyCallersOfOneKeyShareItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &database{held: map[Key][]Held{}, clock: time.Now}
		nodes := []*Limiter{New(Config{Ledgers: db}), New(Config{Ledgers: db})}
		var taken atomic.Int64
		var all sync.WaitGroup
		for i := range 400 {
			all.Go(func() {
				if nodes[i%2].Take(t.Context(), key, Figures{100, 1500}) == nil {
					taken.Add(1)
				}
			})
		}
		all.Wait()
		if n := taken.Load(); n != 100 {
			t.Errorf("%d taken, want 100", n)
		}
	})
}

func TestFiguresAreChecked(t *testing.T) {
	got := map[Figures]bool{}
	for _, f := range []Figures{{}, {1, 1}, {MaxFigure, MaxFigure}, {0, 5}, {5, 0}, {-1, -1}, {1, MaxFigure + 1}} {
		got[f] = f.Check() == nil
	}
	want := map[Figures]bool{{}: true, {1, 1}: true, {MaxFigure, MaxFigure}: true, {0, 5}: false, {5, 0}: false, {-1, -1}: false, {1, MaxFigure + 1}: false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func BenchmarkTake(b *testing.B) {
	for name, f := range map[string]Figures{"taken": {MaxFigure, MaxFigure}, "refused": {100, 1500}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			w := newWorld(1, f)
			for b.Loop() {
				_ = w.nodes[0].Take(b.Context(), key, f)
				if f.Minute == MaxFigure {
					w.t += 700 * time.Microsecond // so that the limit is not met
				}
			}
		})
	}
}
