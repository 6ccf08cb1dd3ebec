package limit

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"swab/internal/fault"
)

func TestGuessesAreSlowedByAddressAndApplication(t *testing.T) {
	now := epoch
	g := NewGuesses(func() time.Time { return now })
	for i := range maxFailures {
		if err := g.Check("t", "app", "192.0.2.1"); err != nil {
			t.Fatalf("guess %d: %v", i, err)
		}
		g.Failed("t", "app", "192.0.2.1")
		now = now.Add(time.Second)
	}
	err := g.Check("t", "app", "192.0.2.1")
	if e, ok := errors.AsType[*Exceeded](err); !ok || !errors.Is(err, fault.TooMany) || e.Retry != 50*time.Second {
		t.Fatalf("one guess more: %v, want 50 seconds", err)
	}
	for _, other := range [][3]string{{"t", "app", "192.0.2.2"}, {"t", "other", "192.0.2.1"}, {"u", "app", "192.0.2.1"}} {
		if err := g.Check(other[0], other[1], other[2]); err != nil {
			t.Errorf("%v: %v", other, err)
		}
	}
	now = now.Add(50*time.Second - 1)
	if g.Check("t", "app", "192.0.2.1") == nil {
		t.Error("too early")
	}
	now = now.Add(1)
	if err := g.Check("t", "app", "192.0.2.1"); err != nil {
		t.Errorf("after the minute: %v", err)
	}
	now = now.Add(-time.Hour)
	if err := g.Check("t", "app", "192.0.2.1"); err != nil {
		t.Errorf("after the clock was put back: %v", err)
	}
}

func TestAHostsIPv6AddressesAreOneGuesser(t *testing.T) {
	g := NewGuesses(func() time.Time { return epoch })
	for i := range maxFailures {
		g.Failed("t", "app", fmt.Sprintf("2001:db8::%x", i))
	}
	if g.Check("t", "app", "2001:db8::ffff") == nil {
		t.Error("another address of the network may guess on")
	}
	if err := g.Check("t", "app", "2001:db8:0:1::1"); err != nil {
		t.Errorf("another network: %v", err)
	}
}

func TestManyGuessersAreBounded(t *testing.T) {
	g := NewGuesses(func() time.Time { return epoch })
	for i := range maxGuessers + 100 {
		g.Failed("t", fmt.Sprint("app ", i), "192.0.2.1")
	}
	if len(g.known) != maxGuessers || g.order.Len() != maxGuessers {
		t.Errorf("%d and %d are remembered, bound %d", len(g.known), g.order.Len(), maxGuessers)
	}
}

func TestGuessesSideBySideAreNeverMoreThanAllowed(t *testing.T) {
	g := NewGuesses(func() time.Time { return epoch })
	account := Allowance{[]string{"t", "ann"}, 30, time.Minute}
	var taken atomic.Int64
	var all sync.WaitGroup
	for i := range 8 { // addresses
		pair := Allowance{[]string{"t", "ann", fmt.Sprint(i)}, 10, time.Minute}
		for range 25 {
			all.Go(func() {
				if _, err := g.Take("sign-in", account, pair); err == nil {
					taken.Add(1)
				}
			})
		}
	}
	all.Wait()
	if n := taken.Load(); n != 30 {
		t.Errorf("%d guesses were taken, want 30", n)
	}
}

func TestARightGuessIsGivenBack(t *testing.T) {
	now := epoch
	g := NewGuesses(func() time.Time { return now })
	hour, minute := Allowance{[]string{"ann"}, 3, time.Hour}, Allowance{[]string{"ann"}, 2, time.Minute}
	for range 10 {
		back, err := g.Take("code", hour, minute)
		if err != nil {
			t.Fatal(err)
		}
		back()
	}
	if len(g.known) != 0 || g.order.Len() != 0 {
		t.Errorf("%d are remembered of whom nobody failed", len(g.known))
	}
	for i, want := range []time.Duration{0, 0, time.Minute, 0, time.Hour - time.Minute} {
		_, err := g.Take("code", hour, minute)
		e, refused := errors.AsType[*Exceeded](err)
		switch {
		case want == 0 && err != nil:
			t.Errorf("guess %d: %v", i, err)
		case want != 0 && (!refused || e.Retry != want):
			t.Errorf("guess %d: %v, want to wait %s", i, err, want)
		case want == time.Minute:
			now = now.Add(time.Minute)
		}
	}
	now = now.Add(-2 * time.Hour)
	if _, err := g.Take("code", hour, minute); err != nil {
		t.Errorf("after the clock was put back: %v", err)
	}
}
