package agent

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"swab/internal/agent/state"
	"swab/internal/collect"
	"swab/internal/device"
	"swab/internal/wire"
)

// settled checks that agent and server are at one about the device's keys: the
// server has n statements, the state file the same, and the last key signs.
func (r *rig) settled(c *peerConn, n int) {
	r.t.Helper()
	id, chain := r.state.Identity(), r.peer.keysOf(c.device)
	keys, err := device.Chain(id.Enrolment, chain)
	if err != nil || len(chain) != n || len(id.Statements) != n || id.Next != nil {
		r.t.Fatalf("the server has %d statements (%v), the device %d and %v to come; want %d", len(chain), err, len(id.Statements), id.Next, n)
	}
	if !keys[n].Equal(id.Key().Public()) || !keys[n].Equal(r.agent.server.present().Public()) {
		r.t.Error("another key than the last one signs")
	}
	if c.device != device.IDOf(id.Enrolment) {
		r.t.Errorf("the device is %s now", c.device)
	}
}

func TestAKeyIsSucceededWhenAsked(t *testing.T) {
	signer := make(chan ed25519.PublicKey, 9)
	r := newRig(t).start(options{make: func(ctx context.Context, o collect.Options, out io.Writer) error {
		signer <- o.Key.Public().(ed25519.PublicKey)
		if len(o.Device.Succession) != 1 {
			t.Errorf("the package names %d statements, want 1", len(o.Device.Succession))
		}
		return makeBytes(1000)(ctx, o, out)
	}})
	c := r.connected()
	old := r.state.Identity().Seed
	c.send(wire.Rotate{})
	c.ended()
	c = r.connected()
	r.settled(c, 1)
	c.order(1, 1, 0)
	expect[wire.Begun](c)
	if got := <-signer; !got.Equal(r.state.Identity().Key().Public()) {
		t.Error("the package is signed by another key than the new one")
	}
	until(t, "the package is there", func() bool { return delivered(r.peer) != nil })
	if bytes.Contains(stateBytes(t, r), []byte(base64.StdEncoding.EncodeToString(old))) {
		t.Error("the key before is still in the state file")
	}
	r.halt()
	r.start(options{})
	r.settled(r.connected(), 1)
	if n := r.peer.count("POST /device/key"); n > 2 { // one may have been given a nonce
		t.Errorf("the server was told %d times", n)
	}
}

// Wherever an agent or its server dies, both come to the same key, and to one
// key more than before.
func TestAfterACrashBothHaveTheSameKey(t *testing.T) {
	severed := func(w http.ResponseWriter) bool { sever(w); return true }
	for name, c := range map[string]struct {
		at   func(p *peer) *func(http.ResponseWriter) bool
		dies bool // the agent
	}{
		"the request is lost":                    {at: func(p *peer) *func(http.ResponseWriter) bool { return &p.keyTold }},
		"the answer is lost":                     {at: func(p *peer) *func(http.ResponseWriter) bool { return &p.keyKept }},
		"the agent dies before the server keeps": {at: func(p *peer) *func(http.ResponseWriter) bool { return &p.keyTold }, dies: true},
		"the agent dies after the server kept":   {at: func(p *peer) *func(http.ResponseWriter) bool { return &p.keyKept }, dies: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			told := make(chan struct{}, 9)
			*c.at(r.peer) = func(w http.ResponseWriter) bool {
				told <- struct{}{}
				return severed(w)
			}
			r.start(options{})
			first := r.connected()
			first.send(wire.Rotate{})
			<-told
			if next := r.state.Identity().Next; next == nil {
				t.Error("the server was told of a key that is not in the state file")
			}
			if c.dies {
				r.halt()
			}
			r.peer.set(func() { *c.at(r.peer) = nil })
			if c.dies {
				r.start(options{})
			}
			r.settled(r.connected(), 1)
		})
	}
}

// The agent dies when its key is in the file and nobody was told of it, and when
// the server has answered and the file does not say so yet: the file is the same.
func TestAKeyThatNobodyWasToldOfIsToldAtTheStart(t *testing.T) {
	r := newRig(t).start(options{})
	r.connected()
	r.halt()
	st, err := state.Open(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	id, err := st.Succeed()
	if err != nil || id.Next == nil {
		t.Fatal(id.Next, err)
	}
	st.Close()
	r.start(options{})
	c := r.connected()
	r.settled(c, 1)
	if !bytes.Equal(r.peer.keysOf(c.device)[0], id.Next.Statement) {
		t.Error("another key than the one that was made came")
	}
}

func TestWithAServerThatRefusesThePresentKeyGoesOn(t *testing.T) {
	r := newRig(t)
	var now atomic.Int64 // seconds that the device's clock is ahead
	r.peer.keyTold = func(w http.ResponseWriter) bool {
		refuse(w, http.StatusServiceUnavailable, wire.CodeUnavailable)
		return true
	}
	r.start(options{now: func() time.Time { return time.Now().Add(time.Duration(now.Load()) * time.Second) }})
	c := r.connected()
	c.send(wire.Rotate{})
	c.ended()
	c = r.connected()
	next := r.state.Identity().Next
	if next == nil || len(r.state.Identity().Statements) != 0 {
		t.Fatalf("identity %+v", r.state.Identity())
	}
	c.order(1, 1, 0)
	expect[wire.Begun](c)
	until(t, "the package is there", func() bool { return delivered(r.peer) != nil })
	r.peer.set(func() { r.peer.keyTold = nil })
	until(t, "nothing runs", func() bool { r.agent.mu.Lock(); defer r.agent.mu.Unlock(); return !r.agent.busy() })
	now.Add(int64(keyTryEvery/time.Second) + 1)
	c.send(wire.Rotate{})
	c.ended()
	c = r.connected()
	r.settled(c, 1)
	if !bytes.Equal(r.peer.keysOf(c.device)[0], next.Statement) {
		t.Error("another key was made")
	}
}

func TestAnotherKeyWaitsForTheAttempt(t *testing.T) {
	began, release := make(chan string, 1), make(chan struct{})
	r := newRig(t).start(options{make: makeUntil(began, release)})
	c := r.connected()
	c.order(1, 1, 0)
	expect[wire.Begun](c)
	<-began
	c.send(wire.Rotate{})
	c.send(wire.Closed{Action: actionID(9)}) // of no matter, but it comes after
	until(t, "it is wanted", func() bool { r.agent.mu.Lock(); defer r.agent.mu.Unlock(); return r.agent.keys.wanted })
	if n := r.peer.count("POST /device/key"); n != 0 || r.state.Identity().Next != nil {
		t.Error("the key was succeeded while an attempt ran")
	}
	close(release)
	c.ended()
	r.settled(r.connected(), 1)
	if u := delivered(r.peer); u == nil {
		t.Error("the package did not arrive")
	}
}

// A stolen server can have a device make one key an hour, and no more.
func TestAServerCannotUseUpADevicesKeys(t *testing.T) {
	r := newRig(t).start(options{})
	r.connected().send(wire.Rotate{})
	c := r.connected()
	r.settled(c, 1)
	for range maxRefusals + 1 {
		c.send(wire.Rotate{})
	}
	c.ended()
	if code := websocket.CloseStatus(c.err); code != websocket.StatusPolicyViolation {
		t.Errorf("the connection ended with %v", c.err)
	}
	r.settled(r.connected(), 1)
}

func TestAMessageOfANewerVersionThanAgreedEndsTheConnection(t *testing.T) {
	r := newRig(t)
	r.peer.greet = func(c *peerConn) bool { c.send(wire.Welcome{Version: 1}); return false }
	r.start(options{})
	c := r.connected()
	before := stateBytes(t, r)
	c.send(wire.Rotate{})
	c.ended()
	if code := websocket.CloseStatus(c.err); code != websocket.StatusPolicyViolation {
		t.Errorf("the connection ended with %v", c.err)
	}
	r.connected()
	if !bytes.Equal(before, stateBytes(t, r)) {
		t.Error("something was written")
	}
}

// A server that was restored from a backup does not know the last key. It is told
// of it, and may take it.
func TestAServerThatLostAKeyIsToldOfIt(t *testing.T) {
	r := newRig(t).start(options{})
	first := r.connected()
	was := r.peer.devices[first.device]
	first.send(wire.Rotate{})
	c := r.connected()
	r.settled(c, 1)
	r.peer.set(func() {
		r.peer.devices[c.device], r.peer.chains[c.device] = was, nil
		clear(r.peer.tokens)
	})
	c.ws.CloseNow()
	until(t, "the key is refused", func() bool { return strings.Contains(r.log.String(), wire.CodeInvalidClient) })
	r.settled(r.connected(), 1)
}
