package agent

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// neverConn is the rest of a net.Conn.
type neverConn struct{ net.Conn }

func TestTriesAreSpacedMoreAndMoreAtRandom(t *testing.T) {
	b := newBackoff()
	if d := b.next(); d != 0 {
		t.Errorf("the first try waits %v", d)
	}
	bound, distinct := b.min, map[time.Duration]bool{}
	for range 60 {
		d := b.next()
		if d < 0 || d > bound {
			t.Errorf("waits %v, bound %v", d, bound)
		}
		bound = min(2*bound, b.max)
		distinct[d] = true
	}
	if len(distinct) < 30 {
		t.Errorf("only %d different waits", len(distinct))
	}
	b.reset()
	if d := b.next(); d != 0 {
		t.Errorf("after all went well it waits %v", d)
	}
}

// Ten thousand devices that lose their server at once: at no time does more than
// a small part of them come back within one second.
//
// Threat D11: the device's side of it.
func TestAFleetComesBackSpread(t *testing.T) {
	const fleet = 10_000
	perSecond := map[int]int{}
	for range fleet {
		b, at := newBackoff(), time.Duration(0)
		b.skipFirst()
		for at < time.Minute { // the server is away for a minute
			at += b.next()
		}
		perSecond[int(at/time.Second)]++
	}
	for s, n := range perSecond {
		if n > fleet/10 {
			t.Errorf("%d of %d devices come in second %d", n, fleet, s)
		}
	}
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		b := newBackoff()
		start := time.Now()
		if err := b.wait(ctx, 0); err != nil || time.Since(start) != 0 {
			t.Errorf("the first: %v after %v", err, time.Since(start))
		}
		if err := b.wait(ctx, time.Minute); err != nil || time.Since(start) < time.Minute {
			t.Errorf("at least a minute: %v after %v", err, time.Since(start))
		}
		want := errors.New("enough")
		time.AfterFunc(time.Second, func() { cancel(want) })
		if err := b.wait(ctx, time.Hour); !errors.Is(err, want) {
			t.Errorf("got %v", err)
		}
		if err := b.wait(ctx, 0); !errors.Is(err, want) {
			t.Errorf("got %v", err)
		}
	})
}
