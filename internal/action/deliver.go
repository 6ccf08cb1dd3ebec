package action

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/canon"
	"swab/internal/device"
	"swab/internal/evidence"
	"swab/internal/fault"
	"swab/internal/wire"
)

// What a device and the server tell each other of an action. The tenant and the
// device come from the key that opened the connection, never from a message.

// errorHResult is what errorHResult says of an action that failed: E_FAIL.
const errorHResult = -2147467259

// Delivery is what to tell a device.
type Delivery struct {
	Collect wire.Collect
}

// Next returns what the device has to be told, if anything: the attempt that is
// offered to it and not acknowledged yet, with its proof from the device's last
// head on.
func (e *Engine) Next(ctx context.Context, tenant string, dev device.ID, head audit.Head) (Delivery, bool, error) {
	a, ok, err := e.Records.ActiveAction(ctx, tenant, dev)
	if err != nil || !ok || a.Acked == a.Attempt {
		return Delivery{}, false, err
	}
	proof, now, err := e.Log.Prove(ctx, tenant, []int64{a.Entry}, head.Size)
	if errors.Is(err, audit.ErrNotYet) {
		return Delivery{}, false, nil // the device is woken when the entry is in the log
	}
	if errors.Is(err, fault.BadRequest) {
		// The device has seen more of the log than there is: a backup was
		// restored, and no rebase made for it, or this is not the server it knew.
		// It would refuse.
		return Delivery{}, false, e.fail(ctx, tenant, dev, a.ID, a.Attempt, "proof",
			fmt.Sprintf("The device knows an audit log of %d entries, and this server's is shorter", head.Size))
	}
	if err != nil {
		return Delivery{}, false, fmt.Errorf("prove action %s: %w", a.ID, err)
	}
	if proof.Checkpoint, err = now.Sign(tenant, e.Keys.LogKey()); err != nil {
		return Delivery{}, false, err
	}
	return Delivery{Collect: wire.Collect{
		Action: wire.ActionID(a.ID), Attempt: a.Attempt, Profile: wire.Name(a.Profile), Plan: wire.Digest(a.Plan),
		Commitment: wire.Digest(a.Opening.Commitment()), Proof: wire.Proof(proof),
	}}, true, nil
}

// Rebase returns the statement, signed by the recovery key, that a device has to be
// told before it can go on with the audit log of its tenant; nil where it can.
func (e *Engine) Rebase(ctx context.Context, tenant string, head audit.Head) ([]byte, error) {
	return e.Log.RebaseFor(ctx, tenant, head)
}

// Connected settles what the server believed to run against what the agent has
// in memory. An attempt that the agent no longer has is dead, and the next one
// is offered. It returns those of running that have ended.
func (e *Engine) Connected(ctx context.Context, tenant string, dev device.ID, running []wire.Running) ([]ID, error) {
	a, active, err := e.Records.ActiveAction(ctx, tenant, dev)
	if err != nil {
		return nil, err
	}
	var ended []ID
	for _, r := range running {
		if !active || ID(r.Action) != a.ID {
			ended = append(ended, ID(r.Action))
		}
	}
	alive := slices.Contains(running, wire.Running{Action: wire.ActionID(a.ID), Attempt: a.Acked})
	if active && a.Status == InProgress && a.Acked == a.Attempt && !alive {
		err = e.renew(ctx, tenant, dev, a.ID, a.Attempt, "the agent was restarted")
	}
	return ended, err
}

// renew ends an attempt and offers the next one. The device may have begun it
// without our knowing: the server or the device was gone before that was told.
func (e *Engine) renew(ctx context.Context, tenant string, dev device.ID, id ID, attempt int, why string) error {
	renewed := false
	_, err := e.change(ctx, tenant, id, func(a Action) (Action, []audit.Entry, error) {
		if renewed = a.Device == dev && !a.Status.Ended() && a.Attempt == attempt; !renewed {
			return a, nil, nil // somebody was first
		}
		now := e.now()
		if a.Attempt >= MaxAttempts {
			return e.failed(a, now, "attempts", fmt.Sprintf("%d attempts came to nothing; the last one because %s", a.Attempt, why))
		}
		a.Attempt++
		a.Stage, a.Items, a.Bytes, a.TakenMs = 0, 0, 0, 0
		return a, []audit.Entry{audit.NewEntry(now, audit.Leaf{
			Act: audit.ActAttempt, Object: a.ID, Device: string(a.Device), Profile: string(a.Plan), Result: audit.Done,
			Detail: fmt.Sprint(a.Attempt),
		}, e.server(tenant).Hidden(why))}, nil
	})
	if err == nil && renewed {
		e.Logger.InfoContext(ctx, "attempt ended without a package", "action", id, "device", dev, "attempt", attempt, "reason", why)
		e.Bus.Wake(dev)
	}
	return err
}

// Begun records that a device has an attempt in its state file and has started.
// An action that has ended meanwhile is a fault.BadRequest: the device must be
// told that it is closed.
func (e *Engine) Begun(ctx context.Context, tenant string, dev device.ID, m wire.Begun) error {
	var (
		begun         Action
		begins, first bool
	)
	err := e.report(ctx, tenant, dev, m.Action, m.Attempt, func(a Action, now time.Time) (Action, []audit.Entry, error) {
		begins, first = false, false // it may be another try
		if a.Acked == a.Attempt {
			return a, nil, nil // told twice
		}
		if begins = a.Status == Pending; begins {
			a.Status, a.Updated, a.Begun = InProgress, now, now
		}
		a.Acked, first = a.Attempt, true
		begun = e.touched(a, now)
		return begun, nil, nil
	})
	if err == nil && begins && e.OnBegin != nil {
		e.OnBegin(begun)
	}
	if err == nil && first {
		e.Logger.InfoContext(ctx, "attempt begun", "action", m.Action, "device", dev, "attempt", m.Attempt)
	}
	return err
}

// touched is a with its time-out moved on.
func (e *Engine) touched(a Action, now time.Time) Action {
	a.Touched, a.Due = now, now.Add(e.Times.Idle)
	if last := a.Begun.Add(e.Times.Total); a.Due.After(last) {
		a.Due = last
	}
	return a
}

// report changes an action by what its device says of the current attempt. What
// is said of a dead attempt changes nothing.
func (e *Engine) report(ctx context.Context, tenant string, dev device.ID, id wire.ActionID, attempt int,
	f func(Action, time.Time) (Action, []audit.Entry, error),
) error {
	_, err := e.change(ctx, tenant, ID(id), func(a Action) (Action, []audit.Entry, error) {
		switch {
		case a.Device != dev:
			return a, nil, fault.NotFound.Errorf(nil, "Machine action %s was not found", audit.Clip(string(id)))
		case a.Status.Ended():
			return a, nil, fault.BadRequest.Errorf(nil, "Action %s has ended as %s", a.ID, a.Status)
		case a.Attempt != attempt:
			return a, nil, nil
		}
		return f(a, e.now())
	})
	return err
}

// progressEvery is how often progress that changes nothing but numbers is kept.
const progressEvery = 2 * time.Second

// Progress records where a running attempt is. It may keep only some of what it
// is told; the last message before an end counts for nothing.
func (e *Engine) Progress(ctx context.Context, tenant string, dev device.ID, m wire.Progress) error {
	a, err := e.Records.Action(ctx, tenant, ID(m.Action))
	if err != nil {
		return err
	}
	now := e.now()
	same := a.Stage == m.Stage && a.TakenMs == m.TakenMs
	if a.Device == dev && a.Status == InProgress && a.Attempt == m.Attempt && same && now.Sub(a.Touched) < progressEvery {
		return nil
	}
	return e.report(ctx, tenant, dev, m.Action, m.Attempt, func(a Action, now time.Time) (Action, []audit.Entry, error) {
		if a.Acked != a.Attempt {
			return a, nil, nil
		}
		on := m.Sent > a.Bytes || m.Stage > a.Stage || m.Items > a.Items
		a.Stage, a.Items, a.Of, a.Bytes, a.TakenMs = m.Stage, m.Items, m.Of, max(a.Bytes, m.Sent), m.TakenMs
		if on {
			a = e.touched(a, now)
		}
		return a, nil, nil
	})
}

// Refused records that a device will not make an attempt.
func (e *Engine) Refused(ctx context.Context, tenant string, dev device.ID, m wire.Refused) error {
	if m.Code == wire.RefusedBusy {
		return nil // offered again by the sweep, or when the device says that the other one ended
	}
	why := map[wire.Refusal]string{
		wire.RefusedProof:   "The device refuses the proof that the request is in the audit log it knows",
		wire.RefusedProfile: "The device's agent does not have the profile",
		wire.RefusedPolicy:  "The device's own policy forbids the collection",
		wire.RefusedEnded:   "The device knows the action as ended",
	}[m.Code]
	e.Logger.WarnContext(ctx, "device refuses", "action", m.Action, "device", dev, "code", m.Code)
	return e.fail(ctx, tenant, dev, ID(m.Action), m.Attempt, string(m.Code), why+": "+audit.Clip(m.Text))
}

// Ended records that an attempt ended without a package.
func (e *Engine) Ended(ctx context.Context, tenant string, dev device.ID, m wire.Ended) error {
	if m.Code == wire.EndLost {
		return e.renew(ctx, tenant, dev, ID(m.Action), m.Attempt, "its upload was lost")
	}
	return e.fail(ctx, tenant, dev, ID(m.Action), m.Attempt, string(m.Code), "The device ended the collection: "+audit.Clip(m.Text))
}

// Spoiled records that what an attempt delivered did not verify.
func (e *Engine) Spoiled(ctx context.Context, tenant string, dev device.ID, id ID, attempt int, code, reason string) error {
	return e.fail(ctx, tenant, dev, id, attempt, code, code+": "+reason)
}

func (e *Engine) fail(ctx context.Context, tenant string, dev device.ID, id ID, attempt int, code, trouble string) error {
	return e.report(ctx, tenant, dev, wire.ActionID(id), attempt, func(a Action, now time.Time) (Action, []audit.Entry, error) {
		return e.failed(a, now, code, trouble)
	})
}

func (e *Engine) failed(a Action, now time.Time, code, trouble string) (Action, []audit.Entry, error) {
	a = a.end(Failed, now)
	a.ErrorHResult, a.Trouble = errorHResult, trouble
	return a, []audit.Entry{audit.NewEntry(now, audit.Leaf{
		Act: audit.ActFail, Object: a.ID, Device: string(a.Device), Profile: string(a.Plan), Result: audit.Done, Detail: audit.Clip(code),
	}, e.server(a.Tenant).Hidden(""))}, nil
}

// Uploading says whether an attempt may deliver bytes now. Being asked is
// progress.
func (e *Engine) Uploading(ctx context.Context, tenant string, dev device.ID, id ID, attempt int) error {
	a, err := e.Records.Action(ctx, tenant, id)
	if err != nil {
		return err
	}
	if a.Device != dev {
		return fault.NotFound.Errorf(nil, "Machine action %s was not found", audit.Clip(id))
	}
	if a.Status != InProgress || a.Attempt != attempt || a.Acked != attempt {
		return fault.BadRequest.Errorf(nil, "Action %s does not take attempt %d: it is %s in attempt %d", a.ID, attempt, a.Status, a.Attempt)
	}
	if e.now().Sub(a.Touched) < progressEvery {
		return nil
	}
	return e.report(ctx, tenant, dev, wire.ActionID(id), attempt, func(a Action, now time.Time) (Action, []audit.Entry, error) {
		return e.touched(a, now), nil, nil
	})
}

// SealedPackage is a package that verified and lies sealed in the vault.
type SealedPackage struct {
	Upload string
	SHA256 string // hex
	Size   int64
	Signer ed25519.PublicKey // the device key that signed its manifest
}

// Sealed ends an action as Succeeded: receipt, audit entry and status in one
// transaction. An action that has ended otherwise, or is in another attempt, is
// a fault.BadRequest, and the package is not its.
func (e *Engine) Sealed(ctx context.Context, tenant string, dev device.ID, id ID, attempt int, p SealedPackage) (Action, error) {
	done, err := e.change(ctx, tenant, id, func(a Action) (Action, []audit.Entry, error) {
		switch {
		case a.Device != dev:
			return a, nil, fault.NotFound.Errorf(nil, "Machine action %s was not found", audit.Clip(id))
		case a.Status == Succeeded && a.Package != nil && a.Package.Upload == p.Upload:
			return a, nil, nil // told twice
		case a.Status != InProgress || a.Attempt != attempt:
			return a, nil, fault.BadRequest.Errorf(nil, "Action %s does not take attempt %d: it is %s in attempt %d", a.ID, attempt, a.Status, a.Attempt)
		}
		now := e.now()
		leaf := sha256.Sum256(a.Leaf)
		receipt, err := evidence.SignReceipt(evidence.Receipt{
			Format: evidence.ReceiptFormat, SHA256: p.SHA256, Size: p.Size, Tenant: tenant, Device: dev, Key: p.Signer,
			Action: a.ID, Attempt: attempt, Plan: a.Plan, Time: canon.FormatTime(now), Requestor: a.Requestor, Comment: a.Comment,
			Opening: a.Opening, Leaf: hex.EncodeToString(leaf[:]),
		}, e.Keys.ReceiptKey())
		if err != nil {
			return a, nil, fmt.Errorf("receipt of action %s: %w", a.ID, err)
		}
		a = a.end(Succeeded, now)
		a.Bytes = p.Size
		a.Package = &Package{Upload: p.Upload, SHA256: p.SHA256, Size: p.Size, Receipt: receipt, Sealed: now}
		return a, []audit.Entry{audit.NewEntry(now, audit.Leaf{
			Act: audit.ActSeal, Object: a.ID, Device: string(a.Device), Profile: string(a.Plan), Result: audit.Done,
			Detail: "sha256:" + p.SHA256,
		}, e.server(tenant).Hidden(""))}, nil
	})
	if err == nil {
		e.Logger.InfoContext(ctx, "package sealed", "action", id, "device", dev, "attempt", attempt, "bytes", p.Size, "takenMs", done.TakenMs)
	}
	return done, err
}

// Sweep ends the actions whose time has run out, and returns how many. It also
// wakes the devices that have not acknowledged what is offered to them, since a
// wake-up may have been lost.
func (e *Engine) Sweep(ctx context.Context) (int, error) {
	const batch = 100
	n := 0
	for more := true; more; {
		due, err := e.Records.DueActions(ctx, e.now(), batch)
		if err != nil {
			return n, fmt.Errorf("look for actions that are due: %w", err)
		}
		for _, ref := range due {
			if err := e.timeOut(ctx, ref); err != nil {
				return n, fmt.Errorf("time out action %s: %w", ref.ID, err)
			}
			n++
		}
		more = len(due) == batch
	}
	offered, err := e.Records.Offered(ctx, MaxTop)
	if err != nil {
		return n, fmt.Errorf("look for actions that are offered: %w", err)
	}
	for _, dev := range offered {
		e.Bus.Wake(dev)
	}
	return n, nil
}

func (e *Engine) timeOut(ctx context.Context, ref Ref) error {
	_, err := e.change(ctx, ref.Tenant, ref.ID, func(a Action) (Action, []audit.Entry, error) {
		now := e.now()
		if a.Status.Ended() || a.Due.After(now) {
			return a, nil, nil // it moved on meanwhile
		}
		why := fmt.Sprintf("The device made no progress for %s, or was not done within %s", e.Times.Idle, e.Times.Total)
		if a.Status == Pending {
			why = fmt.Sprintf("The device did not take the request within %s", e.Times.Pending)
		}
		a = a.end(TimeOut, now)
		a.ErrorHResult, a.Trouble = errorHResult, why
		return a, []audit.Entry{audit.NewEntry(now, audit.Leaf{
			Act: audit.ActTimeOut, Object: a.ID, Device: string(a.Device), Profile: string(a.Plan), Result: audit.Done,
		}, e.server(a.Tenant).Hidden(""))}, nil
	})
	return err
}

// server is this program as a caller, within a tenant.
func (e *Engine) server(tenant string) auth.Caller {
	return auth.Caller{Kind: auth.Server, Tenant: tenant, ID: "server", Name: "server"}
}
