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
	if err := g.Check("t", "app", "2001:db8:1::1"); err != nil {
		t.Errorf("another network: %v", err)
	}
}

func TestNetworks(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3::4": "2001:db8:1::/48", "2001:db8:1:ffff::": "2001:db8:1::/48",
		"fe80::1%eth0": "fe80::/48", "": "", "a name": "a name",
	} {
		if got := Network(address); got != want {
			t.Errorf("Network(%q) = %q, want %q", address, got, want)
		}
	}
}

// Whoever can make up names and has many addresses gets nobody's failures forgotten:
// not those of another kind, and not those of the same.
func TestWhatCountsIsPushedOutByNothing(t *testing.T) {
	now := epoch
	g := NewGuesses(func() time.Time { return now })
	of := func(kind string, who any) Allowance { return Allowance{kind, []string{fmt.Sprint(who)}, 5, time.Hour} }
	for range 5 {
		for _, kind := range []string{"code", "network"} {
			if _, err := g.Take("sign-in", of(kind, "ann")); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n := range 2 * maxGuessers {
		_, _ = g.Take("sign-in", of("network", n))
		now = now.Add(time.Millisecond)
	}
	for _, kind := range []string{"code", "network"} {
		if _, err := g.Take("sign-in", of(kind, "ann")); !errors.Is(err, fault.TooMany) {
			t.Errorf("%s: %v, want that the failures still count", kind, err)
		}
	}
	m := g.memories[kind{"network", time.Hour}]
	if len(m.known) != maxGuessers || len(m.sums) != maxSums {
		t.Errorf("%d guessers and %d sums are remembered, want %d and %d", len(m.known), len(m.sums), maxGuessers, maxSums)
	}
	now = now.Add(time.Hour)
	if _, err := g.Take("sign-in", of("network", "new")); err != nil || len(m.known) != 1 {
		t.Errorf("after an hour: %v, with %d remembered", err, len(m.known))
	}
}

// Those who are new to a full memory may fail as often as the sums that they share,
// however many they are, also when there is room again.
func TestNewGuessersOfAFullMemoryAreBoundedTogether(t *testing.T) {
	now := epoch
	g := NewGuesses(func() time.Time { return now })
	of := func(who any) Allowance { return Allowance{"network", []string{fmt.Sprint(who)}, 2, time.Minute} }
	for n := range maxGuessers {
		if _, err := g.Take("sign-in", of(n)); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(30 * time.Second)
	taken := 0
	for n := range 20 * maxSums {
		if _, err := g.Take("sign-in", of(fmt.Sprint("new ", n))); err == nil {
			taken++
		}
	}
	if taken != 2*maxSums {
		t.Errorf("%d guesses of those who are new were taken, want %d", taken, 2*maxSums)
	}
	now = now.Add(30 * time.Second)
	if _, err := g.Take("sign-in", of("new 0")); !errors.Is(err, fault.TooMany) {
		t.Errorf("there is room, but those of the last half minute count: %v", err)
	}
	now = now.Add(30 * time.Second)
	back, err := g.Take("sign-in", of("new 0"))
	if err != nil {
		t.Fatal(err)
	}
	back()
	if n := len(g.memories[kind{"network", time.Minute}].known); n != 0 {
		t.Errorf("%d are remembered of whom nothing counts", n)
	}
}

// Secrets are not to be guessed: nobody has to wait for what others did.
func TestManyWrongSecretsKeepNobodyOut(t *testing.T) {
	g := NewGuesses(func() time.Time { return epoch })
	for range maxFailures {
		g.Failed("t", "app", "192.0.2.1")
	}
	for i := range 2 * maxGuessers {
		g.Failed("t", fmt.Sprint("app ", i), "192.0.2.1")
	}
	if n := len(g.memories[secrets].known); n != maxGuessers {
		t.Errorf("%d are remembered, bound %d", n, maxGuessers)
	}
	if err := g.Check("t", "app", "192.0.2.2"); err != nil {
		t.Errorf("the owner elsewhere: %v", err)
	}
	if g.Check("t", "app", "192.0.2.1") == nil {
		t.Error("who guessed before the others is forgotten")
	}
}

func TestGuessesSideBySideAreNeverMoreThanAllowed(t *testing.T) {
	g := NewGuesses(func() time.Time { return epoch })
	account := Allowance{"account", []string{"t", "ann"}, 30, time.Minute}
	var taken atomic.Int64
	var all sync.WaitGroup
	for i := range 8 { // addresses
		pair := Allowance{"pair", []string{"t", "ann", fmt.Sprint(i)}, 10, time.Minute}
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
	hour, minute := Allowance{"code", []string{"ann"}, 3, time.Hour}, Allowance{"code", []string{"ann"}, 2, time.Minute}
	for range 10 {
		back, err := g.Take("code", hour, minute)
		if err != nil {
			t.Fatal(err)
		}
		back()
	}
	for _, m := range g.memories {
		if len(m.known) != 0 {
			t.Errorf("%d are remembered of whom nobody failed", len(m.known))
		}
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
