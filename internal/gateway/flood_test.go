package gateway

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"swab/internal/action"
	"swab/internal/vault"
	"swab/internal/wire"
)

// drip is a body that brings a byte at each tick, and ends with its test alone.
type drip struct {
	tick *time.Ticker
	test context.Context
}

func (d drip) Read(p []byte) (int, error) {
	select {
	case <-d.tick.C:
		p[0] = 'x'
		return 1, nil
	case <-d.test.Done():
		return 0, io.ErrUnexpectedEOF
	}
}

// Threat D10, a byte now and then: it is cut after as long as one that stalls.
func TestDrippingChunkIsCutAndKept(t *testing.T) {
	h := newHouse(t, withTimes(func(w *Times) { w.Stall = 300 * time.Millisecond }))
	d, _, a := running(t, h)
	id := d.create(t, a.ID, 1)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	resp, b, err := d.tryPatch(t.Context(), id, 0, -1, drip{tick, t.Context()})
	if err == nil && resp.StatusCode != http.StatusRequestTimeout {
		t.Errorf("%s %s, want 408 or a cut", resp.Status, b)
	}
	eventually(t, "it is counted with those that stall", func() bool { return h.g.Stats().Stalled == 1 })
	status, offset := d.head(t, id)
	if status != http.StatusOK || offset == 0 || offset > 300 {
		t.Errorf("HEAD = %d at %d, want the bytes that came", status, offset)
	}
}

// Threat D10, a hundred uploads at once that never end: another device's package
// gets through, and when their time is over they are ended, kept as unverified
// and hold no room.
func TestUploadsThatNeverEndLeaveOthersAlone(t *testing.T) {
	const hanging = 100
	h := newHouse(t, withTimes(func(w *Times) { w.Stall = time.Hour }), func(_ *Options, v *vault.Options) { v.Limits.Open = hanging + 1 })
	type upload struct {
		action action.ID
		id     string
		answer int // 0: it was cut
	}
	uploads := make([]upload, hanging)
	turn := make(chan struct{}, 8)
	var begun, ended sync.WaitGroup
	ctx, cut := context.WithCancel(t.Context())
	defer cut() // or a test that fails waits for them
	for i := range uploads {
		turn <- struct{}{}
		begun.Go(func() {
			defer func() { <-turn }()
			d, _, a := running(t, h)
			u := &uploads[i]
			u.action, u.id = a.ID, d.create(t, a.ID, 1)
			body, feed := io.Pipe()
			ended.Go(func() {
				if resp, _, err := d.tryPatch(ctx, u.id, 0, -1, body); err == nil {
					u.answer = resp.StatusCode
				}
				body.Close()
			})
			_, _ = feed.Write([]byte("PK\x03\x04 and then nothing"))
		})
	}
	begun.Wait()

	d, _, a := running(t, h)
	pkg := packageOf(t, d, a, 1, 4<<20, nil)
	d.send(t, d.create(t, a.ID, 1), pkg, 1<<20)
	if got := h.action(t, a.ID); got.Status != action.Succeeded {
		t.Errorf("beside them: %s %q", got.Status, got.Trouble)
	}
	d, _, a = running(t, h)
	d.create(t, a.ID, 1)
	late, _, b := running(t, h)
	if resp, _ := late.createAnswer(t, b.ID, 1); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one upload too many: %s, Retry-After %q, want 429", resp.Status, resp.Header.Get("Retry-After"))
	}

	h.advance(3 * time.Hour) // an action without progress ends after two
	if _, err := h.engine.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.g.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended.Wait()
	for _, u := range uploads {
		if u.answer != 0 && u.answer < 400 {
			t.Errorf("the upload that never ended was answered %d", u.answer)
		}
		if got := h.action(t, u.action); got.Status != action.TimeOut {
			t.Errorf("action %s is %s, want TimeOut", u.action, got.Status)
		}
		if got := h.upload(t, u.id); got.State != vault.Partial {
			t.Errorf("upload %s is %s, want partial", u.id, got.State)
		}
	}
	d = enrolled(t, h, tenantID)
	a = h.collect(t, d)
	d.begin(t, actionRef{a.ID, 1})
	eventually(t, "the attempt is begun", func() bool { return h.action(t, a.ID).Status == action.InProgress })
	pkg = packageOf(t, d, a, 1, 0, nil)
	d.send(t, d.create(t, a.ID, 1), pkg, len(pkg))
	if got := h.action(t, a.ID); got.Status != action.Succeeded {
		t.Errorf("after them: %s %q", got.Status, got.Trouble)
	}
}

// Threat D11. A server is killed with a request at each of its devices, and they
// all come back at the same moment: no request is lost, none is given out twice.
func TestDevicesThatComeBackAtOnceLoseNoAction(t *testing.T) {
	const devices = 200
	h := newHouse(t, withTimes(func(w *Times) { w.Leave = 10 * time.Millisecond }))
	fleet, asked := make([]*agent, devices), make([]action.Action, devices)
	turn := make(chan struct{}, 32)
	var all sync.WaitGroup
	for i := range fleet {
		turn <- struct{}{}
		all.Go(func() {
			defer func() { <-turn }()
			fleet[i] = enrolled(t, h, tenantID)
			switch i % 3 {
			case 0: // it has begun
				asked[i] = h.collect(t, fleet[i])
				fleet[i].begin(t, actionRef{asked[i].ID, 1})
			case 1: // it was told, and the server never heard of it
				asked[i] = h.collect(t, fleet[i])
				if m, ok := fleet[i].connect(t).hear().(wire.Collect); !ok || string(m.Action) != asked[i].ID {
					t.Errorf("heard %+v, want collect", m)
				}
			default: // it is connected, and asked while all come back
				fleet[i].connect(t)
			}
		})
	}
	all.Wait()
	eventually(t, "a third has begun", func() bool {
		for i := 0; i < devices; i += 3 {
			if h.action(t, asked[i].ID).Status != action.InProgress {
				return false
			}
		}
		return true
	})
	h.reopen(t)

	flood := make(chan struct{})
	for i, d := range fleet {
		all.Go(func() {
			<-flood
			switch i % 3 {
			case 0: // the agent lives, and so does its attempt
				d.connect(t, wire.Running{Action: wire.ActionID(asked[i].ID), Attempt: 1})
			default:
				c := d.connect(t)
				if i%3 == 2 {
					asked[i] = h.collect(t, d)
				}
				c.beginNext(actionRef{asked[i].ID, 1})
			}
		})
	}
	close(flood)
	all.Wait()
	eventually(t, "every action is under way", func() bool {
		for _, a := range asked {
			if got := h.action(t, a.ID); got.Status != action.InProgress {
				return false
			}
		}
		return true
	})
	for i, a := range asked {
		if got := h.action(t, a.ID); got.Attempt != 1 || got.Acked != 1 {
			t.Errorf("device %d is in attempt %d, acknowledged %d; want 1", i, got.Attempt, got.Acked)
		}
	}
	if s := h.g.Stats(); s.Connections != devices || s.Replaced != 0 || s.Twice != 0 {
		t.Errorf("stats = %+v", s)
	}
	// One of them, to its end.
	pkg := packageOf(t, fleet[0], asked[0], 1, 0, nil)
	id := fleet[0].create(t, asked[0].ID, 1)
	if resp, body := fleet[0].patch(t, id, 0, int64(len(pkg)), bytes.NewReader(pkg)); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("%s %s", resp.Status, body)
	}
	if got := h.action(t, asked[0].ID); got.Status != action.Succeeded {
		t.Errorf("action = %s %q", got.Status, got.Trouble)
	}
}
