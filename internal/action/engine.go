package action

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/catalog"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/odata"
)

// Devices is where the engine finds devices; *fleet.Fleet satisfies it.
type Devices interface {
	// Find returns the device within the caller's reach that a name means, or
	// fault.NotFound. It asks for no right.
	Find(ctx context.Context, who auth.Caller, name string) (device.Device, error)
}

// Log is the audit log as the engine reads it.
type Log interface {
	// Head is the head of the committed log.
	Head(ctx context.Context, tenant string) (audit.Head, error)

	// Prove proves entries under the head it returns, consistent with the
	// first from leaves; the checkpoint is left to the caller.
	Prove(ctx context.Context, tenant string, entries []int64, from int64) (audit.Proof, audit.Head, error)

	// RebaseFor returns the statement by which one who knows a log by that head
	// goes on with this one; nil where the head is of this one, or there is none.
	RebaseFor(ctx context.Context, tenant string, known audit.Head) ([]byte, error)

	// AuditEntries returns entries from index from on.
	AuditEntries(ctx context.Context, tenant string, from int64, top int) ([]audit.Logged, error)

	// AuditSearch returns entries that f selects, newest first, at most top (0: as
	// many as a page may have), and those after the page that ended with next. A
	// next that is none is a fault.OData, a search that takes too long
	// fault.Unavailable.
	AuditSearch(ctx context.Context, tenant string, f audit.Filter, next string, top int) (odata.Page[audit.Logged], error)

	// AuditEntry returns the entry of a leaf's number, or fault.NotFound, with its
	// proof under the head it returns, from no head before; the checkpoint is left
	// to the caller.
	AuditEntry(ctx context.Context, tenant string, index int64) (audit.Logged, audit.Proof, audit.Head, error)
}

// Keys signs what the engine states.
type Keys interface {
	LogKey() ed25519.PrivateKey
	ReceiptKey() ed25519.PrivateKey
}

// Waker says "look again" to whoever holds the device's connection.
type Waker interface {
	Wake(device.ID)
}

// Times are how long an action may take.
type Times struct {
	Pending time.Duration // until the device acknowledges it; default 3 days
	Idle    time.Duration // without acknowledged progress; default 2 h
	Total   time.Duration // from acknowledged to ended; default 24 h
}

// DefaultTimes are those of the contract.
func DefaultTimes() Times {
	return Times{Pending: 3 * 24 * time.Hour, Idle: 2 * time.Hour, Total: 24 * time.Hour}
}

// MaxAttempts bounds the attempts of one action: an agent that dies of each
// collection must not be asked for ever.
const MaxAttempts = 32

// Engine runs the lives of actions.
type Engine struct {
	Records Records
	Devices Devices
	Log     Log
	Keys    Keys
	Bus     Waker
	Now     func() time.Time
	Times   Times
	Logger  *slog.Logger

	// Room says why no package can be taken now; nil: there is always room.
	Room func(context.Context) error

	// OnEnd is told of each action that ended here, after the commit; nil for
	// nobody. It serves promptness alone: the sweep finds what it misses.
	OnEnd func(Action)

	// OnBegin is told of each action that its device has begun, once, after the
	// commit: not of further attempts. nil for nobody.
	OnBegin func(Action)
}

// Request is what a caller asks for.
type Request struct {
	Comment    string // at most MaxComment characters, kept exactly
	ExternalID string
	Profile    string // "" for the default
}

// MaxComment bounds a comment, in characters.
const MaxComment = 4096

// Target is the device that who means to collect from, by id or name.
func (e *Engine) Target(ctx context.Context, who auth.Caller, name string) (device.Device, error) {
	if err := e.guard().Permit(ctx, who, audit.ActCollect, audit.Clip(name), auth.Collect); err != nil {
		return device.Device{}, err
	}
	dev, err := e.Devices.Find(ctx, who, name)
	if err != nil {
		return device.Device{}, e.guard().Refuse(ctx, who, audit.Leaf{Act: audit.ActCollect, Object: audit.Clip(name)}, "", err)
	}
	return dev, nil
}

// Collect asks a device for a package on behalf of who. It is refused, and the
// refusal recorded, unless who may collect, and unless the device has no action
// that still runs: then the error is an *ActiveError.
func (e *Engine) Collect(ctx context.Context, who auth.Caller, dev device.Device, r Request) (Action, error) {
	if err := e.guard().Permit(ctx, who, audit.ActCollect, string(dev.ID), auth.Collect); err != nil {
		return Action{}, err
	}
	refused := audit.Leaf{Act: audit.ActCollect, Object: string(dev.ID), Device: string(dev.ID)}
	plan, err := e.plan(dev, r)
	if err != nil {
		return Action{}, e.guard().Refuse(ctx, who, refused, inBounds(r.Comment), err)
	}
	if e.Room != nil {
		if err := e.Room(ctx); err != nil {
			return Action{}, err
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Action{}, fmt.Errorf("make an action id: %w", err)
	}
	now := e.now()
	entry := audit.NewEntry(now, audit.Leaf{
		Act: audit.ActCollect, Object: id.String(), Device: string(dev.ID), Profile: string(plan.Digest()), Result: audit.Done,
	}, who.Hidden(r.Comment))
	firm, done := firm(ctx)
	defer done()
	a, err := e.Records.CreateAction(firm, Action{
		Tenant: who.Tenant, ID: id.String(), Device: dev.ID, DeviceName: dev.Facts.Name,
		Status: Pending, Profile: plan.Profile, Plan: plan.Digest(), Source: who.Source, RequestorID: who.ID, Requestor: who.Name,
		Comment: r.Comment, ExternalID: r.ExternalID, Created: now, Updated: now, Touched: now,
		Due: now.Add(e.Times.Pending), Attempt: 1, Opening: entry.Opening, Leaf: entry.Leaf.Bytes(),
	}, entry)
	if err != nil {
		if errors.Is(err, fault.Active) {
			return Action{}, e.guard().Refuse(ctx, who, refused, r.Comment, err)
		}
		return Action{}, fmt.Errorf("create action for device %s: %w", dev.ID, err)
	}
	e.Bus.Wake(dev.ID)
	e.Logger.InfoContext(ctx, "collection requested", "action", a.ID, "device", dev.ID, "caller", who.ID, "correlation", who.Correlation)
	return a, nil
}

// plan is what a request asks of the device, if the device's agent knows it.
func (e *Engine) plan(dev device.Device, r Request) (catalog.Plan, error) {
	switch {
	case strings.TrimSpace(r.Comment) == "":
		return catalog.Plan{}, fault.MissingParameter.Errorf(nil, "Comment is missing")
	case r.Comment != inBounds(r.Comment):
		return catalog.Plan{}, fault.InvalidRequestBody.Errorf(nil, "Comment has over %d characters or is not UTF-8", MaxComment)
	case len(r.ExternalID) > 1024:
		return catalog.Plan{}, fault.InvalidRequestBody.Errorf(nil, "ExternalId has over 1024 bytes")
	case strings.ContainsRune(r.ExternalID, 0): // lists are sorted by it, and databases sort NUL each in its way
		return catalog.Plan{}, fault.InvalidRequestBody.Errorf(nil, "ExternalId has the character NUL")
	}
	profile := r.Profile
	if profile == "" {
		profile = catalog.DefaultProfile
	}
	return planFor(dev, profile)
}

// Takes says whether a device can be asked for a package at all: its system and
// its agent are supported, and it is enrolled.
func Takes(dev device.Device) bool {
	_, err := planFor(dev, catalog.DefaultProfile)
	return err == nil
}

// planFor is the plan of a profile as the device's agent holds it.
func planFor(dev device.Device, profile string) (catalog.Plan, error) {
	if dev.Revoked {
		return catalog.Plan{}, fault.DisallowedOperation.Errorf(nil, "Machine %s is no longer enrolled", dev.ID)
	}
	if dev.Retired {
		return catalog.Plan{}, fault.DisallowedOperation.Errorf(nil,
			"Machine %s is retired: it is expected to be gone; an administrator restores it, by swab device restore for one", dev.ID)
	}
	known := false
	for _, p := range catalog.Current().Plans {
		known = known || p.Profile == profile
	}
	if !known {
		return catalog.Plan{}, fault.InvalidInput.Errorf(nil, "Profile %q is not known here", audit.Clip(profile))
	}
	if _, ok := catalog.Current().Plan(profile, dev.Facts.System); !ok {
		return catalog.Plan{}, fault.OsNotSupported.Errorf(nil, "Machine %s has a system that is not supported: %s", dev.ID, dev.Facts.System)
	}
	held, ok := catalog.OfRelease(catalog.Digest(dev.Catalog))
	if ok {
		if plan, ok := held.Plan(profile, dev.Facts.System); ok {
			return plan, nil
		}
	}
	return catalog.Plan{}, fault.ClientNotSupported.Errorf(nil,
		"The agent on machine %s (version %s) does not have profile %s; version %s or above is needed",
		dev.ID, dev.Facts.AgentVersion, profile, catalog.Current().Release)
}

// Refuse records that what who asked was refused before it came to an operation,
// for its body or its form, and returns cause. The leaf says what was asked.
func (e *Engine) Refuse(ctx context.Context, who auth.Caller, leaf audit.Leaf, cause error) error {
	return e.guard().Refuse(ctx, who, leaf, "", cause)
}

// Cancel calls an action off, unless it has ended. The caller's comment is asked
// for last, when the caller may cancel and the action is known: an error of it
// refuses the cancellation.
func (e *Engine) Cancel(ctx context.Context, who auth.Caller, id ID, comment func() (string, error)) (Action, error) {
	if err := e.guard().Permit(ctx, who, audit.ActCancel, audit.Clip(id), auth.Cancel); err != nil {
		return Action{}, err
	}
	refused := audit.Leaf{Act: audit.ActCancel, Object: audit.Clip(id)}
	_, err := e.find(ctx, who, id)
	var said string
	if err == nil {
		said, err = comment()
	}
	if err == nil && said != inBounds(said) {
		err = fault.InvalidRequestBody.Errorf(nil, "Comment has over %d characters or is not UTF-8", MaxComment)
	}
	if err != nil {
		return Action{}, e.guard().Refuse(ctx, who, refused, "", err)
	}
	a, err := e.change(ctx, who.Tenant, id, func(a Action) (Action, []audit.Entry, error) {
		if a.Status.Ended() {
			return a, nil, fault.BadRequest.Errorf(nil, "Action %s is in state %s and can't be cancelled", a.ID, a.Status)
		}
		now := e.now()
		a = a.end(Cancelled, now)
		a.Cancel = &Cancellation{Requestor: who.Name, Comment: said, Time: now}
		return a, []audit.Entry{audit.NewEntry(now, audit.Leaf{
			Act: audit.ActCancel, Object: a.ID, Device: string(a.Device), Result: audit.Done,
		}, who.Hidden(said))}, nil
	})
	if err != nil {
		return Action{}, e.guard().Refuse(ctx, who, refused, said, err)
	}
	e.Logger.InfoContext(ctx, "action cancelled", "action", a.ID, "device", a.Device, "caller", who.ID, "correlation", who.Correlation)
	return a, nil
}

// end is a in its final state.
func (a Action) end(s Status, now time.Time) Action {
	a.Status, a.Updated, a.Due = s, now, time.Time{}
	return a
}

// inBounds is a comment that may be kept, or nothing.
func inBounds(comment string) string {
	if !utf8.ValidString(comment) || utf8.RuneCountInString(comment) > MaxComment {
		return ""
	}
	return comment
}

// firmFor bounds a write that no longer hangs on its caller.
const firmFor = 30 * time.Second

// firm is a context for a write that others must be told of: a caller who goes
// away in the middle must not take the wake-up along.
func firm(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), firmFor)
}

// change is ChangeAction, and tells who must know when the action ended by it.
func (e *Engine) change(ctx context.Context, tenant string, id ID, f func(Action) (Action, []audit.Entry, error)) (Action, error) {
	ended := false
	firm, done := firm(ctx)
	defer done()
	a, err := e.Records.ChangeAction(firm, tenant, id, func(before Action) (Action, []audit.Entry, error) {
		after, entries, err := f(before)
		if err == nil && after.Status != before.Status && !before.Status.May(after.Status) {
			return before, nil, fmt.Errorf("action %s can't go from %s to %s", before.ID, before.Status, after.Status)
		}
		ended = err == nil && !before.Status.Ended() && after.Status.Ended()
		return after, entries, err
	})
	if err != nil {
		return a, err
	}
	if ended {
		e.Bus.Wake(a.Device)
		if e.OnEnd != nil {
			e.OnEnd(a)
		}
	}
	return a, nil
}

// guard asks for permissions and records refusals.
func (e *Engine) guard() auth.Guard { return auth.Guard{Records: e.Records, Now: e.Now} }

func (e *Engine) now() time.Time { return e.Now().UTC().Truncate(100 * time.Nanosecond) }
