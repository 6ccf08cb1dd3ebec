package limit

import (
	"errors"
	"fmt"
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
