package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/vault"
	"swab/internal/wire"
)

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func withTimes(f func(*Times)) change {
	return func(o *Options, _ *vault.Options) { f(&o.Times) }
}

func TestWaitingDeviceIsTold(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	c := d.connect(t)
	a := h.collect(t, d)
	got := c.beginNext(actionRef{a.ID, 1})
	if got.Profile != "triage" || got.Plan != wire.Digest(a.Plan) || string(got.Commitment) != a.Opening.Commitment() {
		t.Errorf("collect = %+v", got)
	}
	if _, _, err := audit.Proof(got.Proof).Check(tenantID, h.keys.PublicLogKey(), audit.Head{}); err != nil {
		t.Errorf("the proof does not hold: %v", err)
	}
	eventually(t, "InProgress", func() bool { return h.action(t, a.ID).Status == action.InProgress })
	dev, err := h.store.DeviceByID(t.Context(), d.id)
	if err != nil || dev.External != "127.0.0.1" {
		t.Errorf("device = %+v, %v; want it seen from 127.0.0.1", dev, err)
	}
}

func TestDeviceThatComesLaterIsTold(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	a := h.collect(t, d)
	d.begin(t, actionRef{a.ID, 1})
}

func TestOfferIsRepeatedUntilAnswered(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	c := d.connect(t)
	a := h.collect(t, d)
	if m, ok := c.hear().(wire.Collect); !ok || string(m.Action) != a.ID {
		t.Fatalf("heard %+v, want collect", m)
	}
	h.advance(30 * time.Second)
	if err := h.g.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.beginNext(actionRef{a.ID, 1})
	eventually(t, "begun", func() bool { return h.action(t, a.ID).Status == action.InProgress })
	h.advance(30 * time.Second)
	if err := h.g.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	// What comes next is the cancel, so nothing was offered again.
	if _, err := h.engine.Cancel(t.Context(), analyst(tenantID), a.ID, func() (string, error) { return "enough", nil }); err != nil {
		t.Fatal(err)
	}
	if m, ok := c.hear().(wire.Cancel); !ok || string(m.Action) != a.ID {
		t.Errorf("heard %+v, want cancel", m)
	}
}

func TestCancelledDeviceIsToldAndItsEndIsClosed(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	a := h.collect(t, d)
	c := d.begin(t, actionRef{a.ID, 1})
	eventually(t, "begun", func() bool { return h.action(t, a.ID).Status == action.InProgress })
	if _, err := h.engine.Cancel(t.Context(), analyst(tenantID), a.ID, func() (string, error) { return "enough", nil }); err != nil {
		t.Fatal(err)
	}
	if m, ok := c.hear().(wire.Cancel); !ok || string(m.Action) != a.ID {
		t.Fatalf("heard %+v, want cancel", m)
	}
	c.say(wire.Ended{Action: wire.ActionID(a.ID), Attempt: 1, Code: wire.EndCancelled})
	if m, ok := c.hear().(wire.Closed); !ok || string(m.Action) != a.ID {
		t.Errorf("heard %+v, want closed", m)
	}
	if got := h.action(t, a.ID).Status; got != action.Cancelled {
		t.Errorf("status = %s, want Cancelled", got)
	}
}

func TestEndedActionIsClosedAtHello(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	a := h.collect(t, d)
	c := d.begin(t, actionRef{a.ID, 1})
	eventually(t, "begun", func() bool { return h.action(t, a.ID).Status == action.InProgress })
	c.CloseNow()
	if _, err := h.engine.Cancel(t.Context(), analyst(tenantID), a.ID, func() (string, error) { return "enough", nil }); err != nil {
		t.Fatal(err)
	}
	c = d.connect(t, wire.Running{Action: wire.ActionID(a.ID), Attempt: 1})
	if m, ok := c.hear().(wire.Closed); !ok || string(m.Action) != a.ID {
		t.Errorf("heard %+v, want closed", m)
	}
}

func TestRestartedAgentBeginsTheNextAttempt(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	a := h.collect(t, d)
	c := d.begin(t, actionRef{a.ID, 1})
	eventually(t, "begun", func() bool { return h.action(t, a.ID).Status == action.InProgress })
	c.CloseNow()
	c = d.begin(t, actionRef{a.ID, 2}) // it has nothing in memory
	c.say(wire.Ended{Action: wire.ActionID(a.ID), Attempt: 2, Code: wire.EndLost})
	c.beginNext(actionRef{a.ID, 3})
}

func TestRefusalEndsTheAction(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	c := d.connect(t)
	a := h.collect(t, d)
	m := c.hear().(wire.Collect)
	c.say(wire.Refused{Action: m.Action, Attempt: 1, Code: wire.RefusedPolicy, Text: "not at night"})
	if m, ok := c.hear().(wire.Closed); !ok || string(m.Action) != a.ID {
		t.Errorf("heard %+v, want closed", m)
	}
	if got := h.action(t, a.ID); got.Status != action.Failed || !strings.Contains(got.Trouble, "not at night") {
		t.Errorf("action = %s %q", got.Status, got.Trouble)
	}
}

func TestBusyDeviceIsOfferedAgainLater(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	c := d.connect(t)
	a := h.collect(t, d)
	m := c.hear().(wire.Collect)
	c.say(wire.Refused{Action: m.Action, Attempt: 1, Code: wire.RefusedBusy})
	c.say(wire.Pong{})
	h.advance(30 * time.Second)
	if err := h.g.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.beginNext(actionRef{a.ID, 1})
}

// Threat D1: a report for another device's action.
func TestReportForAnotherDevicesActionIsRefusedAndRecorded(t *testing.T) {
	h := newHouse(t)
	d, evil := enrolled(t, h, tenantID), enrolled(t, h, tenantID)
	foreign := enrolled(t, h, otherID)
	a := h.collect(t, d)
	for _, e := range []*agent{evil, foreign} {
		c := e.connect(t)
		id := wire.ActionID(a.ID)
		begun := wire.Begun{Action: id, Attempt: 1}
		begun.Head.Size = 1
		for _, m := range []wire.FromDevice{
			begun, wire.Progress{Action: id, Attempt: 1, Stage: 1},
			wire.Refused{Action: id, Attempt: 1, Code: wire.RefusedPolicy}, wire.Ended{Action: id, Attempt: 1, Code: wire.EndFailed},
		} {
			c.say(m)
			if got, ok := c.hear().(wire.Closed); !ok || got.Action != id {
				t.Errorf("%T: heard %+v, want closed", m, got)
			}
		}
	}
	if got := h.action(t, a.ID).Status; got != action.Pending {
		t.Errorf("status = %s, want Pending", got)
	}
	for _, tenant := range []string{tenantID, otherID} {
		n := 0
		for _, act := range h.acts(t, tenant) {
			if act == audit.ActForeign {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d entries in the log of %s, want 1 (one an hour)", n, tenant)
		}
	}
	if n := h.g.Stats().Foreign; n != 8 {
		t.Errorf("Foreign = %d, want 8", n)
	}
}

func TestConnectionEndsWithItsReason(t *testing.T) {
	h := newHouse(t)
	for name, c := range map[string]struct {
		say  func(*channel, *agent)
		want wire.Reason
	}{
		"no JSON":                 {func(c *channel, _ *agent) { c.sayRaw([]byte("hello")) }, wire.ByeProtocol},
		"not UTF-8":               {func(c *channel, _ *agent) { c.sayRaw([]byte("\xff")) }, wire.ByeProtocol},
		"unknown type":            {func(c *channel, _ *agent) { c.sayRaw([]byte(`{"v":1,"type":"exec","body":{}}`)) }, wire.ByeProtocol},
		"unknown version":         {func(c *channel, _ *agent) { c.sayRaw([]byte(`{"v":9,"type":"hello","body":{}}`)) }, wire.ByeVersion},
		"pong before hello":       {func(c *channel, _ *agent) { c.say(wire.Pong{}) }, wire.ByeProtocol},
		"versions that are other": {func(c *channel, d *agent) { m := d.hello(); m.Versions = [2]int{9, 12}; c.say(m) }, wire.ByeVersion},
		"over the bound": {func(c *channel, _ *agent) {
			c.sayRaw([]byte(`{"v":1,"type":"hello","body":{` + strings.Repeat(" ", wire.MaxMessage) + `}}`))
		}, wire.ByeProtocol},
		"binary": {func(c *channel, d *agent) {
			if err := c.Write(context.Background(), websocket.MessageBinary, []byte("{}")); err != nil {
				c.t.Error(err)
			}
		}, wire.ByeProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			d := enrolled(t, h, tenantID)
			ch, _, err := d.dial(t)
			if err != nil {
				t.Fatal(err)
			}
			c.say(ch, d)
			if got := ch.hearBye(); got != c.want {
				t.Errorf("bye %s, want %s", got, c.want)
			}
		})
	}
	t.Run("second hello", func(t *testing.T) {
		d := enrolled(t, h, tenantID)
		ch := d.connect(t)
		ch.say(d.hello())
		if got := ch.hearBye(); got != wire.ByeProtocol {
			t.Errorf("bye %s, want protocol", got)
		}
	})
	t.Run("flood", func(t *testing.T) {
		d := enrolled(t, h, tenantID)
		ch := d.connect(t)
		for range paceBurst + 50 {
			if ch.Write(t.Context(), websocket.MessageText, []byte(`{"v":1,"type":"pong","body":{}}`)) != nil {
				break
			}
		}
		if got := ch.hearBye(); got != wire.ByeBusy {
			t.Errorf("bye %s, want busy", got)
		}
	})
	eventually(t, "no connection left", func() bool { return h.g.Stats().Connections == 0 })
}

func TestMessageInFragmentsIsTaken(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	c, _, err := d.dial(t)
	if err != nil {
		t.Fatal(err)
	}
	b, err := wire.EncodeDevice(d.hello())
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Writer(t.Context(), websocket.MessageText)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		if i > 40 {
			_, err = w.Write(b[i:])
			break
		}
		if _, err = w.Write(b[i : i+1]); err != nil {
			break
		}
	}
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	if _, ok := c.hear().(wire.Welcome); !ok {
		t.Error("not welcomed")
	}
}

// Threat D5: the newest connection is kept, and both are flagged.
func TestNewestConnectionOfAKeyWinsAndAClonedKeyIsFlagged(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	first := d.connect(t)
	second := d.connect(t)
	if got := first.hearBye(); got != wire.ByeReplaced {
		t.Errorf("bye %s, want replaced", got)
	}
	a := h.collect(t, d)
	second.beginNext(actionRef{a.ID, 1})
	eventually(t, "the clone in the audit log", func() bool { return slices.Contains(h.acts(t, tenantID), audit.ActTwice) })
	if s := h.g.Stats(); s.Replaced != 1 || s.Twice != 1 || s.Connections != 1 {
		t.Errorf("stats = %+v", s)
	}
	if !strings.Contains(h.log.String(), "two agents hold one device's key") {
		t.Error("the log does not flag it")
	}
}

func TestDeviceThatComesAgainAfterACutIsNoClone(t *testing.T) {
	h := newHouse(t, withTimes(func(w *Times) { w.Leave = 10 * time.Millisecond }))
	d := enrolled(t, h, tenantID)
	_ = d.connect(t) // nobody reads from it any more
	c := d.connect(t)
	eventually(t, "the old connection is gone", func() bool { return h.g.Stats().Connections == 1 })
	a := h.collect(t, d)
	c.beginNext(actionRef{a.ID, 1})
	if n := h.g.Stats().Twice; n != 0 {
		t.Errorf("Twice = %d, want 0", n)
	}
}

func TestConnectionEndsWithItsToken(t *testing.T) {
	h := newHouse(t, withTimes(func(w *Times) { w.Ping, w.Idle = 50*time.Millisecond, time.Hour }))
	d := enrolled(t, h, tenantID)
	c := d.connect(t)
	h.advance(auth.DeviceTokenLife)
	if got := c.hearBye(); got != wire.ByeExpired {
		t.Errorf("bye %s, want expired", got)
	}
	h.advance(2 * auth.Skew)
	resp, _, _ := d.dialStatus(t)
	if resp == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the expired token opens the channel: %v", resp)
	}
	d.login(t)
	d.connect(t)
}

func (d *agent) dialStatus(t testing.TB) (*http.Response, *channel, error) {
	t.Helper()
	c, resp, err := d.dial(t)
	return resp, c, err
}

func TestSilentAndHalfOpenConnectionsEnd(t *testing.T) {
	h := newHouse(t, withTimes(func(w *Times) { w.Ping, w.Hello, w.Idle = 100*time.Millisecond, 2*time.Second, 2*time.Second }))
	d := enrolled(t, h, tenantID)
	mute, _, err := d.dial(t)
	if err != nil {
		t.Fatal(err)
	}
	_ = mute // it never says hello
	eventually(t, "the one without hello is there", func() bool { return h.g.Stats().Connections == 1 })
	eventually(t, "the one without hello is gone", func() bool { return h.g.Stats().Connections == 0 })
	d.connect(t) // it never reads, so it answers no ping
	eventually(t, "the silent one is gone", func() bool { return h.g.Stats().Connections == 0 })

	c := d.connect(t)
	ctx := c.CloseRead(t.Context()) // answers pings
	mark := time.NewTimer(3 * time.Second)
	defer mark.Stop()
	select {
	case <-ctx.Done():
		t.Error("a connection that answers pings ended")
	case <-mark.C:
	}
}

func TestShutdownSaysByeAndRefusesNewChannels(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	c := d.connect(t)
	done := make(chan error, 1)
	go func() { done <- h.g.Shutdown(context.Background()) }()
	if got := c.hearBye(); got != wire.ByeShutdown {
		t.Errorf("bye %s, want shutdown", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	resp, _, _ := d.dialStatus(t)
	if resp == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("after shutdown: %v, want 503 with Retry-After", resp)
	}
}

func TestChannelIsForWebSocketsOfDevicesOnly(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	resp, body := d.do(t, d.bound(call{method: "GET", path: "/device/channel"}))
	if resp.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("without upgrade: %s %s, want 426", resp.Status, body)
	}
	resp, _ = d.do(t, call{method: "GET", path: "/device/channel", auth: "DPoP x"})
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %s, want 401", resp.Status)
	}
}

func TestConnectionsHaveABound(t *testing.T) {
	h := newHouse(t, func(o *Options, _ *vault.Options) { o.Connections = 1 })
	a, b := enrolled(t, h, tenantID), enrolled(t, h, tenantID)
	a.connect(t)
	resp, _, _ := b.dialStatus(t)
	if resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one too many: %v, want 503", resp)
	}
}

func TestSignsOfLifeOfAnIdleDeviceAreKept(t *testing.T) {
	h := newHouse(t, withTimes(func(w *Times) { w.Ping, w.Beat = 100*time.Millisecond, time.Millisecond }))
	d := enrolled(t, h, tenantID)
	d.connect(t).CloseRead(t.Context()) // answers pings, and says nothing more
	first, err := h.store.DeviceByID(t.Context(), d.id)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the device's last sign of life is a later one", func() bool {
		now, err := h.store.DeviceByID(t.Context(), d.id)
		return err == nil && now.LastSeen.After(first.LastSeen)
	})
}
