package agent

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"swab/internal/agent/state"
	"swab/internal/audit"
	"swab/internal/collect"
	"swab/internal/device"
	"swab/internal/wire"
)

// Threat N1. Whatever a stolen server says, nothing is read, nothing written.

// noCollection is a maker that is never to be called.
func noCollection(calls *atomic.Int64) Maker {
	return func(context.Context, collect.Options, io.Writer) error {
		calls.Add(1)
		return nil
	}
}

func TestAConnectionThatIsNotTheProtocolEndsWithAReason(t *testing.T) {
	valid, err := wire.EncodeServer(wire.Cancel{Action: actionID(1)})
	if err != nil {
		t.Fatal(err)
	}
	text := func(s string) func(*peerConn) {
		return func(c *peerConn) { c.ws.Write(context.Background(), websocket.MessageText, []byte(s)) }
	}
	for name, say := range map[string]func(*peerConn){
		"unknown type":       text(`{"v":1,"type":"run","body":{"command":"id"}}`),
		"another version":    text(`{"v":2,"type":"cancel","body":{}}`),
		"unknown field":      text(`{"v":1,"type":"cancel","body":{"action":"` + string(actionID(1)) + `","path":"/etc/shadow"}}`),
		"a path for an id":   text(`{"v":1,"type":"cancel","body":{"action":"../../../../etc/shadow"}}`),
		"a path for a name":  text(`{"v":1,"type":"collect","body":{"action":"` + string(actionID(1)) + `","attempt":1,"profile":"/etc/shadow"}}`),
		"a device's message": text(`{"v":1,"type":"begun","body":{}}`),
		"no JSON":            text("GET / HTTP/1.1\r\n\r\n"),
		"empty":              text(""),
		"trailing data":      text(string(valid) + "{}"),
		"huge number":        text(`{"v":1,"type":"collect","body":{"attempt":1e999}}`),
		"deep nesting":       text(`{"v":1,"type":"cancel","body":` + strings.Repeat("[", 30000) + strings.Repeat("]", 30000) + `}`),
		"second welcome":     func(c *peerConn) { c.send(wire.Welcome{Version: wire.Version}) },
		"binary":             func(c *peerConn) { c.ws.Write(context.Background(), websocket.MessageBinary, valid) },
		"too long":           text(strings.Repeat(" ", wire.MaxMessage+1)),
		"endless": func(c *peerConn) {
			w, err := c.ws.Writer(context.Background(), websocket.MessageText)
			for err == nil {
				_, err = w.Write(make([]byte, 4096))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			r := newRig(t).start(options{make: noCollection(&calls)})
			c := r.connected()
			before := stateBytes(t, r)
			say(c)
			c.ended()
			if code := websocket.CloseStatus(c.err); code != websocket.StatusPolicyViolation && code != websocket.StatusMessageTooBig {
				t.Errorf("the connection ended with %v, want a reason", c.err)
			}
			r.connected() // it comes again, and works
			if calls.Load() != 0 || !bytes.Equal(before, stateBytes(t, r)) {
				t.Error("something was read or written")
			}
		})
	}
}

func stateBytes(t testing.TB, r *rig) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, state.Name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRequestsThatAreNotInTheLogAreRefusedAndReported(t *testing.T) {
	var calls atomic.Int64
	r := newRig(t).start(options{make: noCollection(&calls)})
	c := r.connected()
	before := stateBytes(t, r)
	forged := newMerkle(t) // another key's log
	for n, o := range []wire.Collect{
		forged.order(t, c.device, 1, 1, 0),
		r.peer.log.order(t, somebody, 2, 1, 0),
		func() wire.Collect {
			o := r.peer.log.order(t, c.device, 3, 1, 0)
			o.Action, o.Limits = actionID(4), wire.Limits{PackageBytes: math.MaxInt64, Seconds: math.MaxInt64}
			return o
		}(),
		func() wire.Collect {
			o := r.peer.log.order(t, c.device, 5, 1<<20, 0)
			o.Profile = "root"
			return o
		}(),
	} {
		c.send(o)
		if got := expect[wire.Refused](c); got.Action != o.Action || got.Text == "" {
			t.Errorf("request %d: %+v", n, got)
		}
	}
	if calls.Load() != 0 || !bytes.Equal(before, stateBytes(t, r)) {
		t.Error("something was read or written")
	}
	if n := strings.Count(r.log.String(), "refused a request"); n != 4 {
		t.Errorf("%d refusals in the log", n)
	}
}

func TestALogThatForgotWhatTheDeviceSawIsRefused(t *testing.T) {
	r := newRig(t).start(options{})
	c := r.connected()
	c.order(1, 1, 0)
	head := expect[wire.Begun](c).Head
	until(t, "the package is there", func() bool { return delivered(r.peer) != nil })
	// The server's disk is set back to before the request: one entry shorter,
	// then as long with another entry in its place.
	old := &merkle{key: r.peer.log.key}
	for old.size < head.Size-1 {
		old.add(t, audit.Leaf{Act: audit.ActStart, Object: testTenant, Result: audit.Done})
	}
	o := old.order(t, c.device, 2, 1, 0)
	for _, from := range []int64{0, o.Proof.From} {
		o.Proof = wire.Proof(old.prove(t, from, o.Proof.Leaves...))
		c.send(o)
		if got := expect[wire.Refused](c); got.Code != wire.RefusedProof {
			t.Errorf("got %+v", got)
		}
	}
}

func TestAFloodOfNonsenseEndsTheConnection(t *testing.T) {
	var calls atomic.Int64
	r := newRig(t).start(options{make: noCollection(&calls)})
	c := r.connected()
	before := stateBytes(t, r)
	o := newMerkle(t).order(t, c.device, 1, 1, 0)
	for range 10 * maxRefusals {
		c.send(o)
		c.send(wire.Closed{Action: actionID(2)})
		c.send(wire.Cancel{Action: actionID(3)})
	}
	c.ended()
	if calls.Load() != 0 || !bytes.Equal(before, stateBytes(t, r)) {
		t.Error("something was read or written")
	}
	if n := strings.Count(r.log.String(), "refused a request"); n > maxRefusals+1 {
		t.Errorf("%d lines in the log", n)
	}
}

// A server that says goodbye at once is not met with a storm of connections.
func TestGoodbyesAtOnceAreSpaced(t *testing.T) {
	for _, reason := range []wire.Reason{wire.ByeExpired, wire.ByeReplaced, wire.ByeRevoked, wire.ByeShutdown, wire.ByeBusy} {
		retry := newBackoff()
		var first, all time.Duration
		for n := range 8 {
			least := atLeast(&byeError{reason}, retry)
			d := least + retry.next()
			if n == 0 {
				first = d
			}
			all += d
		}
		if all < time.Millisecond {
			t.Errorf("%s: eight connections within %v", reason, all)
		}
		if (reason == wire.ByeReplaced || reason == wire.ByeRevoked) && first < retry.max {
			t.Errorf("%s: back after %v", reason, first)
		}
	}
}

func TestAChannelIsReadAtABoundedRate(t *testing.T) {
	now := time.Now()
	endless := &endlessConn{}
	p := newPaced(endless, func() time.Time { return now })
	b := make([]byte, 64<<10)
	for p.credit > 0 {
		p.Read(b)
	}
	if endless.n < paceBurst || endless.n > paceBurst+len(b) {
		t.Errorf("%d bytes at once, want %d", endless.n, paceBurst)
	}
	done := make(chan error, 1)
	go func() { _, err := p.Read(b); done <- err }()
	p.Close()
	if err := <-done; err == nil && endless.n > paceBurst+2*len(b) {
		t.Error("a closed connection is read on")
	}
	now = now.Add(time.Hour)
	p = newPaced(endless, func() time.Time { return now })
	p.credit = -1
	now = now.Add(time.Hour)
	if _, err := p.Read(b); err != nil || p.credit > paceBurst {
		t.Errorf("after an hour: credit %d, %v", p.credit, err)
	}
}

type endlessConn struct {
	neverConn
	n int
}

func (e *endlessConn) Read(b []byte) (int, error) { e.n += len(b); return len(b), nil }
func (e *endlessConn) Close() error               { return nil }

// FuzzServerFrames plays a server that says anything at all: whatever it is, no
// collection begins and the state file stays as it is.
func FuzzServerFrames(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "state")
	st, err := state.Open(dir)
	if err != nil {
		f.Fatal(err)
	}
	defer st.Close()
	log := newMerkle(f)
	key := log.key[32:]
	if err := st.Enrolled(state.Pins{Tenant: testTenant, LogKey: key, ReceiptKey: key, RecoveryKey: key}); err != nil {
		f.Fatal(err)
	}
	var calls atomic.Int64
	a, err := New(Config{
		Server: "https://127.0.0.1:1", Make: noCollection(&calls), Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Facts: func() device.Facts { return device.Facts{} },
	}, st)
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range []wire.FromServer{
		wire.Welcome{Version: 1}, wire.Cancel{Action: actionID(1)}, wire.Closed{Action: actionID(1)}, wire.Bye{Reason: wire.ByeBusy},
		newMerkle(f).order(f, a.device, 1, 1, 0), log.order(f, somebody, 2, 1, 0),
	} {
		b, err := wire.EncodeServer(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(fmt.Appendf(nil, "%s\n%s", b, b))
	}
	before, err := os.ReadFile(st.Path())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, frames []byte) {
		for frame := range bytes.SplitSeq(frames, []byte("\n")) {
			m, err := wire.DecodeServer(frame)
			if err != nil {
				continue
			}
			_, _ = a.handle(t.Context(), m)
		}
		after, err := os.ReadFile(st.Path())
		if err != nil {
			t.Fatal(err)
		}
		if calls.Load() != 0 || len(a.attempts) != 0 || !bytes.Equal(before, after) {
			t.Fatal("something was read or written")
		}
	})
}
