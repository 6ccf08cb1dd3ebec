package agent

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"swab/internal/catalog"
	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/evidence"
	"swab/internal/wire"
)

// The whole road with a real package: of a fixture without a single file, so
// that every item is accounted for and none collected.
func TestARequestBecomesASignedPackage(t *testing.T) {
	root := t.TempDir()
	r := newRig(t).start(options{make: func(ctx context.Context, o collect.Options, out io.Writer) error {
		h, err := host.Fixture(root)
		if err != nil {
			return err
		}
		defer h.Close()
		o.Host = h
		return collect.Package(ctx, o, out)
	}})
	c := r.connected()
	asked := time.Now()
	o := c.order(1, 1, 0)
	begun := expect[wire.Begun](c)
	if begun.Action != o.Action || begun.Attempt != 1 || begun.Head != r.peer.log.head(t) {
		t.Errorf("begun %+v", begun)
	}
	if rec, ok := r.state.Progress().Action(string(o.Action)); !ok || rec.Attempt != 1 || rec.Ended || r.state.Progress().Head != begun.Head {
		t.Errorf("said begun, and the state has %+v", r.state.Progress())
	}
	u := r.peer.only()
	await(t, "the package", u.done)
	t.Logf("package here %s after it was asked for", time.Since(asked))

	check := evidence.NewChecker(evidence.DefaultLimits())
	check.Write(u.data)
	report := check.Close()
	if report.Class != evidence.Intact {
		t.Fatalf("package is %v: %v", report.Class, report.Flaws)
	}
	id, m := r.state.Identity(), report.Manifest
	if !report.Signer.Equal(ed25519.PublicKey(id.Enrolment)) || m.Device.ID != id.Device() || m.ActionID != string(o.Action) ||
		m.TenantID != testTenant || m.Attempt != 1 || m.Commitment != string(o.Commitment) || m.Checkpoint != o.Proof.Checkpoint ||
		m.Profile.Digest != testPlan("triage").Digest() || m.Clock.ServerOffsetMs == nil {
		t.Errorf("manifest %+v signed by %x", m, report.Signer)
	}
	if u.action != string(o.Action) || u.attempt != "1" {
		t.Errorf("uploaded for action %s, attempt %s", u.action, u.attempt)
	}

	c.send(wire.Closed{Action: o.Action})
	until(t, "the action is known as ended", func() bool {
		rec, _ := r.state.Progress().Action(string(o.Action))
		return rec.Ended
	})
	c.send(o)
	if got := expect[wire.Refused](c); got.Code != wire.RefusedEnded {
		t.Errorf("asked for an ended action: %+v", got)
	}
}

func TestARepeatedRequestDoesNothingTwice(t *testing.T) {
	began, release := make(chan string, 9), make(chan struct{})
	r := newRig(t).start(options{make: makeUntil(began, release)})
	c := r.connected()
	o := c.order(1, 1, 0)
	first := expect[wire.Begun](c)
	<-began
	for range 3 {
		c.send(o) // its proof starts at a head that is no longer the last
		if got := expect[wire.Begun](c); got != first {
			t.Errorf("asked again: %+v, want %+v", got, first)
		}
	}
	close(release)
	await(t, "the package", r.peer.only().done)
	c.send(o)
	if got := expect[wire.Begun](c); got != first {
		t.Errorf("asked again after delivery: %+v", got)
	}
	if len(began) != 0 || r.peer.only() == nil {
		t.Error("collected twice")
	}
}

func TestARestartedAgentSaysWhatIsLostAndBeginsTheNextAttempt(t *testing.T) {
	began, release := make(chan string, 9), make(chan struct{})
	r := newRig(t).start(options{make: makeUntil(began, release)})
	c := r.connected()
	o := c.order(1, 1, 0)
	begun := expect[wire.Begun](c)
	<-began
	if err := r.halt(); err != nil {
		t.Fatal(err)
	}
	if got := expect[wire.Ended](c); got.Code != wire.EndLost {
		t.Errorf("a stopping agent says %+v", got)
	}
	c.ended()

	r.start(options{make: makeUntil(began, release)})
	c = r.connected()
	if c.hello.Head != begun.Head || len(c.hello.Running) != 0 {
		t.Errorf("hello %+v, want head %v and nothing running", c.hello, begun.Head)
	}
	c.send(o)
	if got := expect[wire.Ended](c); got.Code != wire.EndLost || got.Attempt != 1 {
		t.Errorf("asked for the old attempt: %+v", got)
	}
	next := o
	next.Attempt = 2
	next.Proof = wire.Proof(r.peer.log.prove(t, begun.Head.Size, o.Proof.Leaves...))
	c.send(next)
	if got := expect[wire.Begun](c); got.Attempt != 2 {
		t.Errorf("begun %+v", got)
	}
	<-began
	c.send(o)
	if got := expect[wire.Refused](c); got.Code != wire.RefusedEnded {
		t.Errorf("asked for an attempt before the one begun: %+v", got)
	}
	close(release)
}

func TestAnAttemptOutlivesItsConnection(t *testing.T) {
	began, release := make(chan string, 9), make(chan struct{})
	r := newRig(t).start(options{make: makeUntil(began, release)})
	c := r.connected()
	o := c.order(1, 1, 0)
	expect[wire.Begun](c)
	<-began
	c.ws.CloseNow()
	c = r.connected()
	if got := c.hello.Running; len(got) != 1 || got[0] != (wire.Running{Action: o.Action, Attempt: 1}) {
		t.Errorf("hello says %v runs", got)
	}
	close(release)
	await(t, "the package", r.peer.only().done)
}

func TestASecondActionIsRefusedWhileOneRuns(t *testing.T) {
	began, release := make(chan string, 9), make(chan struct{})
	r := newRig(t).start(options{make: makeUntil(began, release)})
	c := r.connected()
	c.order(1, 1, 0)
	head := expect[wire.Begun](c).Head
	<-began
	c.order(2, 1, head.Size)
	if got := expect[wire.Refused](c); got.Code != wire.RefusedBusy {
		t.Errorf("got %+v", got)
	}
	close(release)
	await(t, "the package", r.peer.only().done)
	// Delivered, and its verdict out: the next one may begin.
	c.order(3, 1, head.Size)
	expect[wire.Begun](c)
}

func TestCancelIsObeyedAtOnceAndTheNextActionBegins(t *testing.T) {
	began, release := make(chan string, 9), make(chan struct{})
	r := newRig(t).start(options{make: makeUntil(began, release)})
	c := r.connected()
	o := c.order(1, 1, 0)
	head := expect[wire.Begun](c).Head
	<-began
	cancelled := time.Now()
	c.send(wire.Cancel{Action: o.Action})
	c.order(2, 1, head.Size) // on the heels of it
	if got := expect[wire.Ended](c); got.Code != wire.EndCancelled || got.Action != o.Action {
		t.Errorf("cancelled: %+v", got)
	}
	if d := time.Since(cancelled); d > time.Second {
		t.Errorf("obeyed after %s", d)
	}
	if got := expect[wire.Begun](c); got.Action != actionID(2) {
		t.Errorf("begun %+v", got)
	}
	c.send(o)
	if got := expect[wire.Refused](c); got.Code != wire.RefusedEnded {
		t.Errorf("asked again for the cancelled one: %+v", got)
	}
	close(release)
}

func TestCancelIsObeyedWhileTheServerIsSilent(t *testing.T) {
	r := newRig(t)
	hang, hung := make(chan struct{}), make(chan struct{}, 9)
	r.peer.before = hold("PATCH", hang, hung)
	r.start(options{make: makeBytes(40 << 20)})
	c := r.connected()
	o := c.order(1, 1, 0)
	expect[wire.Begun](c)
	<-hung
	cancelled := time.Now()
	c.send(wire.Cancel{Action: o.Action})
	if got := expect[wire.Ended](c); got.Code != wire.EndCancelled {
		t.Errorf("cancelled: %+v", got)
	}
	if d := time.Since(cancelled); d > time.Second {
		t.Errorf("obeyed after %s", d)
	}
	close(hang)
}

// The server says that the action has ended before it answers the last chunk.
func TestAClosedActionWaitsForTheAnswerToItsLastBytes(t *testing.T) {
	r := newRig(t)
	var first atomic.Bool
	answer, kept := make(chan struct{}), make(chan struct{}, 9)
	r.peer.before = func(w http.ResponseWriter, req *http.Request) bool {
		if req.Method != http.MethodPatch || first.Swap(true) {
			return false
		}
		keep(r.peer, req, 1<<40)
		kept <- struct{}{}
		<-answer
		u := r.peer.only()
		r.peer.position(w, u)
		w.WriteHeader(http.StatusNoContent)
		return true
	}
	r.start(options{})
	c := r.connected()
	o := c.order(1, 1, 0)
	head := expect[wire.Begun](c).Head
	<-kept
	c.send(wire.Closed{Action: o.Action})
	c.order(2, 1, head.Size)
	until(t, "the action is known as ended", func() bool {
		rec, _ := r.state.Progress().Action(string(o.Action))
		return rec.Ended
	})
	close(answer)
	if got := expect[wire.Begun](c); got.Action != actionID(2) {
		t.Errorf("begun %+v", got)
	}
	if log := r.log.String(); !strings.Contains(log, "delivered") || strings.Contains(log, "without a package") {
		t.Errorf("log:\n%s", log)
	}
}

func TestTheNextAttemptTakesTheOneBeforeItsPlace(t *testing.T) {
	began, release := make(chan string, 9), make(chan struct{})
	r := newRig(t).start(options{make: makeUntil(began, release)})
	c := r.connected()
	o := c.order(1, 1, 0)
	head := expect[wire.Begun](c).Head
	<-began
	o.Attempt, o.Proof = 2, wire.Proof(r.peer.log.prove(t, head.Size, o.Proof.Leaves...))
	c.send(o)
	if got := expect[wire.Begun](c); got.Attempt != 2 {
		t.Errorf("begun %+v", got)
	}
	<-began
	close(release)
}

func TestAFailureAndAPanicAreReported(t *testing.T) {
	for name, do := range map[string]Maker{
		"failure": func(context.Context, collect.Options, io.Writer) error { return io.ErrUnexpectedEOF },
		"panic":   func(context.Context, collect.Options, io.Writer) error { panic("oh") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t).start(options{make: do})
			c := r.connected()
			o := c.order(1, 1, 0)
			expect[wire.Begun](c)
			got := expect[wire.Ended](c)
			if got.Code != wire.EndFailed || got.Text == "" {
				t.Errorf("ended %+v", got)
			}
			c.send(o)
			if again := expect[wire.Ended](c); again != got {
				t.Errorf("asked again: %+v, want %+v", again, got)
			}
		})
	}
}

// An end that nobody was there to hear is told at the next connection.
func TestAnEndIsToldWhenTheServerIsBack(t *testing.T) {
	release, parted := make(chan struct{}), make(chan struct{})
	r := newRig(t).start(options{make: func(context.Context, collect.Options, io.Writer) error {
		<-release
		<-parted
		return io.ErrUnexpectedEOF
	}})
	c := r.connected()
	o := c.order(1, 1, 0)
	expect[wire.Begun](c)
	hold, held := make(chan struct{}), make(chan struct{}, 9)
	r.peer.set(func() {
		r.peer.greet = func(*peerConn) bool { held <- struct{}{}; <-hold; return true }
	})
	close(release)
	c.ws.CloseNow()
	<-held // no connection is up
	close(parted)
	until(t, "the attempt ended", func() bool { return strings.Contains(r.log.String(), "ended without a package") })
	close(hold)
	c = r.connected()
	if got := expect[wire.Ended](c); got.Action != o.Action || got.Code != wire.EndFailed {
		t.Errorf("got %+v", got)
	}
}

func TestProgressIsToldByStageAndNotTooOften(t *testing.T) {
	r := newRig(t).start(options{make: func(ctx context.Context, o collect.Options, out io.Writer) error {
		for n := range 5000 {
			o.Progress(collect.Progress{Stage: n / 2500, Items: n / 100, Of: 50, Bytes: int64(n), Taken: time.Duration(n/2000) * time.Second})
		}
		return makeBytes(1000)(ctx, o, out)
	}})
	c := r.connected()
	c.order(1, 1, 0)
	expect[wire.Begun](c)
	await(t, "the package", r.peer.only().done)
	n := 0
	for len(c.messages) > 0 {
		p, ok := (<-c.messages).(wire.Progress)
		if !ok || p.Of == 0 || p.Action != actionID(1) {
			t.Errorf("message %+v", p)
		}
		n++
	}
	if n > 20 {
		t.Errorf("%d messages of progress", n)
	}
}

func TestAServerLowersBoundsAndNeverRaisesThem(t *testing.T) {
	own := policy{bounds: evidence.Bounds{MemoryBytes: 1, PackageBytes: 100, DeadlineSeconds: 10}}
	for _, c := range []struct {
		ask           wire.Limits
		bytes, second int64
	}{
		{wire.Limits{}, 100, 10},
		{wire.Limits{PackageBytes: 50, Seconds: 5}, 50, 5},
		{wire.Limits{PackageBytes: 1 << 62, Seconds: 1 << 62}, 100, 10},
		{wire.Limits{PackageBytes: -1, Seconds: -1}, 100, 10},
	} {
		want := evidence.Bounds{MemoryBytes: 1, PackageBytes: c.bytes, DeadlineSeconds: c.second}
		if got := own.lowered(c.ask); got != want {
			t.Errorf("lowered(%+v) = %+v, want %+v", c.ask, got, want)
		}
	}
}

func TestTheCatalogueHasPlansForThisSystem(t *testing.T) {
	if len(profiles()) == 0 || checkProfile(catalog.DefaultProfile) != nil || checkProfile("nonsense") == nil {
		t.Errorf("profiles() = %v", profiles())
	}
	if !bytes.Contains(testPlan("triage").Canonical(), []byte("processes")) {
		t.Error("the plan asks for no processes")
	}
}
