package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/audit"
)

// ledger keeps entries in memory; down makes it refuse.
type ledger struct {
	mu   sync.Mutex
	down error
	sums map[string]string // tenant and address → how many
}

func (l *ledger) Tenants(context.Context) ([]Tenant, error) {
	return []Tenant{{ID: "second", Created: time.Unix(2, 0)}, {ID: "first", Created: time.Unix(1, 0)}}, nil
}

func (l *ledger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = err
}

func (l *ledger) Record(ctx context.Context, tenant string, entries ...audit.Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down != nil {
		return l.down
	}
	for _, e := range entries {
		h := e.Opening.Hidden
		if e.Leaf.Object != tenant || (e.Leaf.Result == audit.Refused) == (e.Leaf.Act == audit.ActToken) || (e.Leaf.Act == audit.ActDenied) != (h.Who == "unknown" && h.Name == "") {
			return fmt.Errorf("unexpected entry %+v of %+v", e.Leaf, h)
		}
		if e.Leaf.Act != audit.ActDenied {
			h.From += h.Who + " " + h.Name
		}
		l.sums[tenant+" "+h.From] += e.Leaf.Detail + " "
	}
	return nil
}

func TestRefusedRequestsAreSummedByAddressAndMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{sums: map[string]string{}}
		d := NewTally(l, time.Now, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); d.Run(ctx) }()

		d.Denied("", "192.0.2.1")
		d.Denied("", "192.0.2.1")
		d.Denied("second", "192.0.2.1")
		time.Sleep(61 * time.Second) // the bubble's clock, not the machine's
		l.fail(errors.New("disk full"))
		d.Denied("", "192.0.2.1")
		d.Denied("", "192.0.2.9")
		time.Sleep(time.Minute) // nothing can be kept: it is counted on
		l.fail(nil)
		d.Denied("", "192.0.2.1")
		stop()
		<-done
		want := map[string]string{"first 192.0.2.1": "2 2 ", "second 192.0.2.1": "1 ", "first 192.0.2.9": "1 "}
		if diff := cmp.Diff(want, l.sums); diff != "" {
			t.Errorf("sums (-want +got):\n%s", diff)
		}
	})
}

func TestAFloodFromManyAddressesIsOneSum(t *testing.T) {
	l := &ledger{sums: map[string]string{}}
	d := NewTally(l, time.Now, slog.New(slog.DiscardHandler))
	for i := range 10_000 {
		d.Denied("", fmt.Sprintf("2001:db8::%x", i))
	}
	if len(d.counts) > maxApart+1 {
		t.Errorf("%d sums are held, bound is %d", len(d.counts), maxApart)
	}
	d.flush(t.Context())
	if got, want := l.sums["first "], fmt.Sprint(10_000-maxApart, " "); got != want {
		t.Errorf("without an address: %q, want %q", got, want)
	}
}

func TestCallsOverALimitAreSummedByCaller(t *testing.T) {
	l := &ledger{sums: map[string]string{}}
	d := NewTally(l, time.Now, slog.New(slog.DiscardHandler))
	who := Caller{Kind: Application, Tenant: "second", ID: "a", Name: "SOAR", From: "192.0.2.1"}
	d.Limited(who)
	who.From = "192.0.2.2" // from wherever it asks
	d.Limited(who)
	who.ID = "b"
	d.Limited(who)
	d.Denied("second", "192.0.2.1")
	d.flush(t.Context())
	want := map[string]string{"second application/a SOAR": "2 ", "second application/b SOAR": "1 ", "second 192.0.2.1": "1 "}
	if diff := cmp.Diff(want, l.sums); diff != "" {
		t.Errorf("sums (-want +got):\n%s", diff)
	}
}

func TestRefusalsBeyondTheFirstAreSummedByCaller(t *testing.T) {
	l := &ledger{sums: map[string]string{}}
	d := NewTally(l, time.Now, slog.New(slog.DiscardHandler))
	who, own := Caller{Kind: User, Tenant: "second", ID: "ann", Name: "ann@contoso.example"}, 0
	for range maxOwn + 5 {
		if d.Refused(who) {
			own++
		}
	}
	if who.ID = "bob"; !d.Refused(who) || own != maxOwn {
		t.Errorf("%d refusals of one caller are entries of their own, want %d, and another caller's too", own, maxOwn)
	}
	d.flush(t.Context())
	want := map[string]string{"second user/ann ann@contoso.example": "5 "}
	if diff := cmp.Diff(want, l.sums); diff != "" {
		t.Errorf("sums (-want +got):\n%s", diff)
	}
	if who.ID = "ann"; !d.Refused(who) {
		t.Error("a minute later a refusal is still no entry of its own")
	}
}

func TestTokensOfApplicationsAreSummedByCaller(t *testing.T) {
	l := &ledger{sums: map[string]string{}}
	d := NewTally(l, time.Now, slog.New(slog.DiscardHandler))
	for range 3 {
		d.Issued(App{Tenant: "second", ID: "a", Name: "SOAR"})
	}
	d.Issued(App{Tenant: "first", ID: "a", Name: "Playbook"})
	d.flush(t.Context())
	want := map[string]string{"second application/a SOAR": "3 ", "first application/a Playbook": "1 "}
	if diff := cmp.Diff(want, l.sums); diff != "" {
		t.Errorf("sums (-want +got):\n%s", diff)
	}
}

func TestAFloodOfStrangersHidesNoCallerOverItsLimit(t *testing.T) {
	l := &ledger{sums: map[string]string{}, down: errors.New("disk full")}
	d := NewTally(l, time.Now, slog.New(slog.DiscardHandler))
	for i := range 2 * maxApart {
		d.Denied("", fmt.Sprintf("2001:db8::%x", i))
	}
	d.flush(t.Context()) // in vain: it is counted on
	d.Limited(Caller{Kind: Application, Tenant: "second", ID: "a", Name: "SOAR"})
	l.fail(nil)
	d.flush(t.Context())
	if got := l.sums["second application/a SOAR"]; got != "1 " {
		t.Errorf("the caller's sum is %q, want 1", got)
	}
}
