package agent

import (
	"bytes"
	"crypto/ed25519"
	"sync/atomic"
	"testing"

	"swab/internal/agent/state"
	"swab/internal/audit"
	"swab/internal/wire"
)

// restored is the log with the key of another, as it was after its first entry.
func restored(t *testing.T, m *merkle) *merkle {
	t.Helper()
	r := &merkle{key: m.key}
	r.add(t, audit.Leaf{Act: audit.ActStart, Object: "restored", Result: audit.Done})
	return r
}

// rebaseOf is the statement that a log goes on from its present head.
func (p *peer) rebaseOf(t *testing.T, m *merkle, number int64, change func(*audit.Rebase), key ed25519.PrivateKey) wire.Rebase {
	t.Helper()
	r := audit.Rebase{Tenant: testTenant, LogKey: m.key.Public().(ed25519.PublicKey), Head: m.head(t), Number: number}
	if change != nil {
		change(&r)
	}
	statement, err := r.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return wire.Rebase{Statement: statement}
}

// Threat P8: a device refuses the shorter log until the recovery key says that it
// was restored, and obeys it from then on, also after a restart.
func TestARestoredLogIsObeyedOnceTheRecoveryKeySaysSo(t *testing.T) {
	began, release := make(chan string, 9), make(chan struct{})
	defer close(release)
	r := newRig(t).start(options{make: makeUntil(began, release)})
	c := r.connected()
	for n := 1; n <= 2; n++ {
		c.order(n, 1, r.state.Progress().Head.Size)
		expect[wire.Begun](c)
		c.send(wire.Closed{Action: actionID(n)})
		until(t, "nothing runs", func() bool { r.agent.mu.Lock(); defer r.agent.mu.Unlock(); return !r.agent.busy() })
	}
	seen := r.state.Progress().Head
	r.peer.log = restored(t, r.peer.log)

	c.order(3, 1, 0)
	if got := expect[wire.Refused](c); got.Code != wire.RefusedProof {
		t.Errorf("the shorter log: %+v", got)
	}
	head := r.peer.log.head(t)
	c.send(r.peer.rebaseOf(t, r.peer.log, 7, nil, r.peer.recovery))
	if got := expect[wire.Rebased](c); got.Text != "" || got.Head != head {
		t.Errorf("rebased: %+v, want head %+v", got, head)
	}
	if p := r.state.Progress(); p.Head != head || p.Rebase != 7 {
		t.Errorf("the state has %+v; seen before was %+v", p, seen)
	}
	c.order(4, 1, head.Size)
	if got := expect[wire.Begun](c); got.Action != actionID(4) {
		t.Errorf("begun %+v", got)
	}
	// The log goes on by itself: what it was before can't come back.
	c.send(r.peer.rebaseOf(t, r.peer.log, 7, nil, r.peer.recovery))
	if got := expect[wire.Rebased](c); got.Text == "" || got.Head != r.state.Progress().Head {
		t.Errorf("the same rebase again: %+v", got)
	}
}

func TestARebaseThatTheRecoveryKeyDidNotSignForThisLogWritesNothing(t *testing.T) {
	var calls atomic.Int64
	r := newRig(t).start(options{make: noCollection(&calls)})
	c := r.connected()
	if err := r.state.Rebase(r.peer.log.head(t), 5); err != nil {
		t.Fatal(err)
	}
	before := stateBytes(t, r)
	other := restored(t, r.peer.log)
	for name, m := range map[string]wire.Rebase{
		"the log's key":   r.peer.rebaseOf(t, other, 9, nil, r.peer.log.key),
		"another key":     r.peer.rebaseOf(t, other, 9, nil, newMerkle(t).key),
		"another tenant":  r.peer.rebaseOf(t, other, 9, func(r *audit.Rebase) { r.Tenant = "another" }, r.peer.recovery),
		"another log key": r.peer.rebaseOf(t, other, 9, func(r *audit.Rebase) { r.LogKey = newMerkle(t).key.Public().(ed25519.PublicKey) }, r.peer.recovery),
		"the last number": r.peer.rebaseOf(t, other, 5, nil, r.peer.recovery),
		"an older one":    r.peer.rebaseOf(t, other, 4, nil, r.peer.recovery),
		"no statement":    {Statement: []byte("{}")},
	} {
		c.send(m)
		if got := expect[wire.Rebased](c); got.Text == "" || got.Head != r.state.Progress().Head {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if !bytes.Equal(before, stateBytes(t, r)) {
		t.Error("something was written to", state.Name)
	}
}
