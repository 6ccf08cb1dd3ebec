package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"time"

	"swab/internal/catalog"
	"swab/internal/collect"
	"swab/internal/evidence"
	"swab/internal/wire"
)

// A Maker makes a package and writes it to out. It is handed everything but the
// host and its collectors, and returns ctx's cause when cancelled.
type Maker func(ctx context.Context, o collect.Options, out io.Writer) error

// Why an attempt stops before it is done.
var (
	errCancelled  = errors.New("the action was cancelled")
	errClosed     = errors.New("the action has ended")
	errSuperseded = errors.New("the next attempt of the action begins")
	errStopping   = errors.New("the agent is stopping")
	errTooOld     = errors.New("the attempt is over a day old")
)

// attemptLife bounds an attempt: no server waits longer.
const attemptLife = 24 * time.Hour

// lastAnswer is how long an attempt whose action is closed waits for the answer
// to its last bytes.
const lastAnswer = time.Second

// attempt is one attempt of an action, in memory. What is not said to be fixed
// is guarded by the agent's lock.
type attempt struct {
	action wire.ActionID // fixed, as are those up to stop
	number int
	begun  wire.Begun
	stop   context.CancelCauseFunc

	stopping bool        // was told to stop
	sent     bool        // all is made, and the last bytes are on their way
	over     bool        // nothing of it runs any more
	end      *wire.Ended // how it ended without a package; nil with one
	told     bool        // the server was told of that end
}

// collect answers a request for an attempt, and begins it if all is in order.
// It says whether the request was reasonable.
func (a *Agent) collect(ctx context.Context, c wire.Collect) bool {
	arrived := a.cfg.Now()
	if answer := a.known(c); answer != nil {
		a.tell(ctx, answer)
		return true
	}
	id := a.state.Identity()
	known := a.state.Progress()
	o, refused := examine(c, a.device, *id.Pins, known.Head, policy{a.cfg.Bounds, a.cfg.Profiles})
	if refused == nil {
		o.arrived, o.rebase = arrived, known.Rebase
		refused = a.admit(ctx, o)
	}
	if refused == nil {
		return true
	}
	a.log.WarnContext(ctx, "refused a request", "action", c.Action, "attempt", c.Attempt, "code", refused.Code, "reason", refused.Text)
	a.tell(ctx, *refused)
	return refused.Code == wire.RefusedBusy
}

// known is the answer to a request for an attempt that the device knows, or
// knows to be past: to repeat it does nothing twice. nil: it is new.
func (a *Agent) known(c wire.Collect) wire.FromDevice {
	a.mu.Lock()
	defer a.mu.Unlock()
	rec, ok := a.state.Progress().Action(string(c.Action))
	switch {
	case !ok:
		return nil
	case rec.Ended:
		return wire.Refused{Action: c.Action, Attempt: c.Attempt, Code: wire.RefusedEnded, Text: "the device knows the action as ended"}
	case c.Attempt > rec.Attempt:
		return nil
	case c.Attempt < rec.Attempt:
		return wire.Refused{Action: c.Action, Attempt: c.Attempt, Code: wire.RefusedEnded, Text: fmt.Sprintf("attempt %d was begun since", rec.Attempt)}
	}
	at := a.find(c.Action, c.Attempt)
	switch {
	case at == nil:
		return wire.Ended{Action: c.Action, Attempt: c.Attempt, Code: wire.EndLost, Text: "the agent was started anew; what the attempt had read is gone"}
	case at.end != nil:
		return *at.end
	}
	return at.begun
}

func (a *Agent) find(action wire.ActionID, number int) *attempt {
	i := slices.IndexFunc(a.attempts, func(at *attempt) bool { return at.action == action && at.number == number })
	if i < 0 {
		return nil
	}
	return a.attempts[i]
}

// admit begins an order, now or when the attempt that is stopping has stopped.
func (a *Agent) admit(ctx context.Context, o order) *wire.Refused {
	a.mu.Lock()
	i := slices.IndexFunc(a.attempts, running)
	if i < 0 {
		a.mu.Unlock()
		a.begin(ctx, o)
		return nil
	}
	defer a.mu.Unlock()
	present := a.attempts[i]
	if present.action == o.Action {
		present.stopping = true
		present.stop(errSuperseded)
	}
	if present.stopping || present.sent { // who asks for the next action has the package, or does not want it
		a.waiting = &o
		return nil
	}
	return &wire.Refused{Action: o.Action, Attempt: o.Attempt, Code: wire.RefusedBusy, Text: "action " + string(present.action) + " runs"}
}

// begin writes an attempt and the head that proves it to the state file, says
// so, and starts it, in this order: what is said to be begun is never forgotten.
func (a *Agent) begin(ctx context.Context, o order) {
	a.mu.Lock()
	if ctx.Err() != nil || a.keys.settling || o.rebase != a.state.Progress().Rebase {
		a.mu.Unlock() // it is offered again: to the key that comes, by the log as it is now
		return
	}
	if err := a.state.Begin(string(o.Action), o.Attempt, o.head, a.clock.now()); err != nil {
		a.mu.Unlock()
		a.log.ErrorContext(ctx, "can't begin an action: its attempt can't be kept", "action", o.Action, "err", err)
		a.tell(ctx, wire.Ended{Action: o.Action, Attempt: o.Attempt, Code: wire.EndFailed, Text: text(err.Error())})
		return
	}
	began := a.cfg.Now()
	own, stop := context.WithCancelCause(ctx)
	at := &attempt{
		action: o.Action, number: o.Attempt, stop: stop,
		begun: wire.Begun{Action: o.Action, Attempt: o.Attempt, Head: o.head},
	}
	a.attempts = slices.DeleteFunc(a.attempts, func(old *attempt) bool { return old.over && old.action == o.Action })
	if n := len(a.attempts) - wire.MaxRunning + 1; n > 0 {
		a.attempts = slices.Delete(a.attempts, 0, n)
	}
	a.attempts = append(a.attempts, at)
	a.work.Add(1)
	a.mu.Unlock()

	a.log.InfoContext(ctx, "began", "action", o.Action, "attempt", o.Attempt, "profile", o.Profile)
	a.tell(ctx, at.begun)
	go func() {
		defer a.work.Done()
		err := a.attempt(own, at, o, began)
		stop(nil)
		a.finished(ctx, at, err)
	}()
}

// attempt collects and uploads until the server has the whole package.
func (a *Agent) attempt(ctx context.Context, at *attempt, o order, began time.Time) error {
	ctx, cancel := context.WithTimeoutCause(ctx, attemptLife, errTooOld)
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)

	rep := newReporter(at.action, at.number, a.cfg.Now)
	rep.update(func(p *wire.Progress) { p.Of, p.BegunMs = len(o.plan.Items), began.Sub(o.arrived).Milliseconds() })
	up := newUpload(a.server, at.action, at.number, a.log.With("action", at.action, "attempt", at.number), func(n int64) {
		rep.update(func(p *wire.Progress) { p.Sent = n })
	})
	up.retry = a.retry
	quiet := make(chan struct{})
	go func() {
		defer close(quiet)
		rep.run(ctx, func(p wire.Progress) { a.tell(ctx, p) })
	}()
	defer func() { fail(nil); <-quiet }()

	uploaded := make(chan error, 1)
	go func() {
		err := up.run(ctx)
		if err != nil {
			fail(err)
		}
		uploaded <- err
	}()
	err := a.make(ctx, o, up.writer(ctx), rep, began)
	if err == nil {
		rep.update(func(p *wire.Progress) { p.Stage = int(catalog.OnDemand) + 1 })
		a.mu.Lock()
		at.sent = true
		a.mu.Unlock()
		up.finish()
		return <-uploaded
	}
	fail(err)
	<-uploaded //nolint:errcheck // it ends because of what was told just now
	return context.Cause(ctx)
}

// make makes the package. A panic is a failure of this attempt alone.
func (a *Agent) make(ctx context.Context, o order, out io.Writer, rep *reporter, began time.Time) (err error) {
	defer func() {
		if p := recover(); p != nil {
			a.log.ErrorContext(ctx, "panic while collecting", "action", o.Action, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("a bug in the agent: %v", p)
		}
	}()
	id := a.state.Identity()
	facts := a.cfg.Facts()
	started := a.cfg.Now()
	return a.cfg.Make(ctx, collect.Options{
		Plan: o.plan, Bounds: o.bounds, Key: id.Key(),
		Device:   deviceFacts(facts, id),
		Agent:    evidence.AgentFacts{Version: facts.AgentVersion, SHA256: facts.AgentSHA256},
		ActionID: string(o.Action), TenantID: id.Pins.Tenant, Attempt: o.Attempt,
		Commitment: string(o.Commitment), Checkpoint: o.Proof.Checkpoint, ServerOffset: a.clock.offset(),
		Progress: func(p collect.Progress) {
			rep.update(func(w *wire.Progress) {
				w.Stage, w.Items, w.Of, w.Bytes = p.Stage, p.Items, p.Of, p.Bytes
				if p.Taken > 0 && w.TakenMs == 0 {
					w.TakenMs = max(1, (started.Sub(began) + p.Taken).Milliseconds())
				}
			})
		},
	}, out)
}

// finished settles what became of an attempt, and begins the one that waits.
func (a *Agent) finished(ctx context.Context, at *attempt, err error) {
	debug.FreeOSMemory()
	a.mu.Lock()
	at.over = true
	switch {
	case err == nil:
		a.log.InfoContext(ctx, "delivered", "action", at.action, "attempt", at.number)
	case errors.Is(err, errClosed), errors.Is(err, errSuperseded):
		at.told = true
		at.end = at.ended(wire.EndLost, err)
	case errors.Is(err, errCancelled):
		at.end = at.ended(wire.EndCancelled, err)
	case ctx.Err() != nil:
		at.end = at.ended(wire.EndLost, errStopping)
	case errors.Is(err, errLost), errors.Is(err, errTooOld):
		at.end = at.ended(wire.EndLost, err)
	default:
		at.end = at.ended(wire.EndFailed, err)
	}
	next := a.waiting
	a.waiting = nil
	a.mu.Unlock()
	if at.end != nil {
		a.log.WarnContext(ctx, "ended without a package", "action", at.action, "attempt", at.number, "code", at.end.Code, "reason", at.end.Text)
	}
	a.report(context.WithoutCancel(ctx)) // an agent that stops still says what it drops
	if next != nil && ctx.Err() == nil {
		a.begin(ctx, *next)
	}
	a.turnToKey()
}

// running says whether something of an attempt runs.
func running(at *attempt) bool { return !at.over }

// busy says whether an attempt runs. The caller holds a.mu.
func (a *Agent) busy() bool { return slices.ContainsFunc(a.attempts, running) }

func (at *attempt) ended(code wire.End, why error) *wire.Ended {
	return &wire.Ended{Action: at.action, Attempt: at.number, Code: code, Text: text(why.Error())}
}

// endAction ends an action for good, as the server says. What the device never
// began costs nothing, above all no write.
func (a *Agent) endAction(ctx context.Context, action wire.ActionID, why error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.state.End(string(action)); err != nil {
		a.log.ErrorContext(ctx, "can't keep that an action has ended", "action", action, "err", err)
	}
	if w := a.waiting; w != nil && w.Action == action {
		a.waiting = nil
		// The offer has to have an answer, or no other is made.
		refused := wire.Refused{Action: action, Attempt: w.Attempt, Code: wire.RefusedEnded, Text: text(why.Error())}
		a.work.Go(func() { a.tell(ctx, refused) })
	}
	a.attempts = slices.DeleteFunc(a.attempts, func(at *attempt) bool { return at.over && at.action == action })
	for _, at := range a.attempts {
		if at.action != action {
			continue
		}
		at.stopping = true
		at.told = at.told || errors.Is(why, errClosed) // by the server itself
		if at.told && at.sent {
			// The answer to the last bytes is on its way, most likely.
			time.AfterFunc(lastAnswer, func() { at.stop(why) })
			continue
		}
		at.stop(why)
	}
}

// running is what a hello says of the attempts in memory: those that run, those
// delivered whose verdict is out, and those whose end has not been told.
func (a *Agent) running() []wire.Running {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := []wire.Running{}
	for _, at := range a.attempts {
		if !at.told {
			list = append(list, wire.Running{Action: at.action, Attempt: at.number})
		}
	}
	return list
}

// report tells the ends that have not been told.
func (a *Agent) report(ctx context.Context) {
	a.mu.Lock()
	var ends []*attempt
	for _, at := range a.attempts {
		if at.over && at.end != nil && !at.told {
			ends = append(ends, at)
		}
	}
	a.mu.Unlock()
	for _, at := range ends {
		if !a.tell(ctx, *at.end) {
			return
		}
		a.mu.Lock()
		at.told = true
		a.mu.Unlock()
	}
}
