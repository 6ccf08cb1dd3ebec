package gateway

import (
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/wire"
)

// Threat P8: who knows more of the log than was restored is told of the rebase
// before anything is asked of it, and asked from the head that it answers with.
func TestDeviceOfALongerLogIsToldThatItWasRestored(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	head, err := h.store.Head(t.Context(), tenantID)
	if err != nil {
		t.Fatal(err)
	}
	entry := audit.NewEntry(time.Now(), audit.Leaf{Act: audit.ActRebase, Object: tenantID, Result: audit.Done}, audit.Hidden{Who: "server"})
	if err := h.store.AddRebase(t.Context(), audit.Rebase{Tenant: tenantID, Head: head, Number: 1}, []byte("statement"), entry); err != nil {
		t.Fatal(err)
	}
	a := h.collect(t, d)
	longer := audit.Head{Size: 1000, Hash: tlog.Hash{1}}
	greet := func(known audit.Head, versions [2]int) *channel {
		t.Helper()
		c, _, err := d.dial(t)
		if err != nil {
			t.Fatal(err)
		}
		hello := d.hello()
		hello.Head, hello.Versions = known, versions
		c.say(hello)
		if _, ok := c.hear().(wire.Welcome); !ok {
			t.Fatal("not welcomed")
		}
		return c
	}
	both := [2]int{wire.MinVersion, wire.Version}

	c := greet(longer, both)
	if m, ok := c.hear().(wire.Rebase); !ok || string(m.Statement) != "statement" {
		t.Fatalf("heard %+v, want the rebase", m)
	}
	if err := h.g.Sweep(t.Context()); err != nil { // it looks, and offers nothing yet
		t.Fatal(err)
	}
	c.say(wire.Rebased{Head: head})
	if m, ok := c.hear().(wire.Collect); !ok || string(m.Action) != a.ID || m.Proof.From != head.Size {
		t.Fatalf("heard %+v, want the collect, proved from %d", m, head.Size)
	}
	c.CloseNow()

	// The log that is here, though it goes on, needs no rebase.
	c = greet(head, both)
	if m, ok := c.hear().(wire.Collect); !ok || m.Proof.From != head.Size {
		t.Fatalf("heard %+v, want the collect", m)
	}
	c.CloseNow()

	// One that does not take it is not asked for anything more.
	c = greet(longer, both)
	if m, ok := c.hear().(wire.Rebase); !ok {
		t.Fatalf("heard %+v, want the rebase", m)
	}
	c.say(wire.Rebased{Head: longer, Text: "no"})
	eventually(t, "the action failed", func() bool { return h.action(t, a.ID).Status == action.Failed })
	c.CloseNow()

	// Nor one whose agent does not know the message.
	a = h.collect(t, d)
	greet(longer, [2]int{1, 2})
	eventually(t, "the action failed", func() bool { return h.action(t, a.ID).Status == action.Failed })
}
