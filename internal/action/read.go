package action

import (
	"context"
	"errors"
	"fmt"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/odata"
)

// Get returns one action.
func (e *Engine) Get(ctx context.Context, who auth.Caller, id ID) (Action, error) {
	if err := e.guard().Permit(ctx, who, audit.ActReadAction, audit.Clip(id), auth.ReadActions); err != nil {
		return Action{}, err
	}
	return e.find(ctx, who, id)
}

// find is an action of a device within the caller's reach, or fault.NotFound: one
// that is beyond it is as if it were not there.
func (e *Engine) find(ctx context.Context, who auth.Caller, id ID) (Action, error) {
	a, err := e.Records.Action(ctx, who.Tenant, id)
	if err != nil || who.Reach().All {
		return a, err
	}
	if _, err := e.Devices.Find(ctx, who, string(a.Device)); errors.Is(err, fault.NotFound) {
		return Action{}, Absent(id, err)
	} else if err != nil {
		return Action{}, err
	}
	return a, nil
}

// Absent is that there is no such action.
func Absent(id ID, cause error) error {
	return fault.NotFound.Errorf(cause, "Machine action %s was not found", audit.Clip(id))
}

// List returns the actions of devices within the caller's reach that a query selects, the newest first where
// it does not say another order. read reads the query: an error of it is the
// caller's, and told only to those who may read.
func (e *Engine) List(ctx context.Context, who auth.Caller, read func() (odata.Query, error)) (odata.Page[Action], error) {
	if err := e.guard().Permit(ctx, who, audit.ActReadAction, who.Tenant, auth.ReadActions); err != nil {
		return odata.Page[Action]{}, err
	}
	q, err := read()
	if err != nil {
		return odata.Page[Action]{}, err
	}
	return e.Records.Actions(ctx, who.Tenant, who.Reach(), q)
}

// ListOf is List for the actions of the device that a name means.
func (e *Engine) ListOf(ctx context.Context, who auth.Caller, name string, read func() (odata.Query, error)) (odata.Page[Action], error) {
	if err := e.guard().Permit(ctx, who, audit.ActReadAction, audit.Clip(name), auth.ReadActions); err != nil {
		return odata.Page[Action]{}, err
	}
	dev, err := e.Devices.Find(ctx, who, name)
	if err != nil {
		return odata.Page[Action]{}, err
	}
	q, err := read()
	if err != nil {
		return odata.Page[Action]{}, err
	}
	return e.Records.Actions(ctx, who.Tenant, device.Everywhere, of(dev.ID, q))
}

// Disallowed refuses an action of Defender that is not done here. A device that
// the caller can't see is not found, before anything else is said.
func (e *Engine) Disallowed(ctx context.Context, who auth.Caller, name, what string) error {
	leaf := audit.Leaf{Act: audit.ActOther, Object: audit.Clip(name)}
	if err := e.guard().Permit(ctx, who, leaf.Act, leaf.Object, auth.AnyOf); err != nil {
		return err
	}
	dev, err := e.Devices.Find(ctx, who, name)
	if err == nil {
		leaf.Device = string(dev.ID)
		err = fault.DisallowedOperation.Errorf(nil, "The action %s is not done here: this server collects investigation packages and does nothing else to a machine", what)
	}
	return e.guard().Refuse(ctx, who, leaf, what, err)
}

// Link is the right to a link to the action's package: it returns the action if
// there is one to link to, and there finds its bytes. Giving it out is an entry
// in the audit log.
func (e *Engine) Link(ctx context.Context, who auth.Caller, id ID, there func(Action) error) (Action, error) {
	if err := e.guard().Permit(ctx, who, audit.ActLink, audit.Clip(id), auth.FetchPackage); err != nil {
		return Action{}, err
	}
	a, err := e.find(ctx, who, id)
	if err == nil && (a.Status != Succeeded || a.Package == nil) {
		err = fault.NotFound.Errorf(nil, "Action %s has no package: its state is %s", a.ID, a.Status)
	}
	if err == nil {
		err = there(a)
	}
	if err != nil {
		return Action{}, e.guard().Refuse(ctx, who, audit.Leaf{Act: audit.ActLink, Object: audit.Clip(id)}, "", err)
	}
	err = e.Records.Record(ctx, who.Tenant, audit.NewEntry(e.now(), audit.Leaf{
		Act: audit.ActLink, Object: a.ID, Device: string(a.Device), Result: audit.Done,
	}, who.Hidden("")))
	if err != nil {
		return Action{}, fault.Unavailable.Errorf(err, "The link could not be recorded; ask again later")
	}
	return a, nil
}

// Partial is the right to the unverified bytes that a dead attempt delivered.
func (e *Engine) Partial(ctx context.Context, who auth.Caller, id ID, attempt int) (Action, error) {
	if err := e.guard().Permit(ctx, who, audit.ActPartial, audit.Clip(id), auth.ReadPartial); err != nil {
		return Action{}, err
	}
	a, err := e.find(ctx, who, id)
	if err == nil && (attempt < 1 || attempt > a.Attempt) {
		err = fault.NotFound.Errorf(nil, "Action %s has no attempt %d", a.ID, attempt)
	}
	if err != nil {
		return Action{}, e.guard().Refuse(ctx, who, audit.Leaf{Act: audit.ActPartial, Object: audit.Clip(id)}, "", err)
	}
	err = e.Records.Record(ctx, who.Tenant, audit.NewEntry(e.now(), audit.Leaf{
		Act: audit.ActPartial, Object: a.ID, Device: string(a.Device), Result: audit.Done, Detail: fmt.Sprint(attempt),
	}, who.Hidden("")))
	if err != nil {
		return Action{}, fault.Unavailable.Errorf(err, "The reading could not be recorded; ask again later")
	}
	return a, nil
}

// LogPage is a part of the audit log.
type LogPage struct {
	Checkpoint string // of the whole log as it stood
	Size       int64
	Entries    []audit.Logged
}

// MaxLogPage is the most entries of one page.
const MaxLogPage = 1000

// ReadLog returns entries of the tenant's audit log from index from on, under a
// checkpoint of the log as it stands. Each reading is an entry itself, so a
// reader goes on to the size of the first page's checkpoint, not to an end.
func (e *Engine) ReadLog(ctx context.Context, who auth.Caller, from int64, top int) (LogPage, error) {
	if err := e.guard().Permit(ctx, who, audit.ActRead, who.Tenant, auth.ReadAudit); err != nil {
		return LogPage{}, err
	}
	if from < 0 || top < 0 {
		return LogPage{}, fault.InvalidInput.Errorf(nil, "from and top are numbers from 0 on")
	}
	if top == 0 || top > MaxLogPage {
		top = MaxLogPage
	}
	if err := e.readLog(ctx, who, fmt.Sprint("entries from ", from)); err != nil {
		return LogPage{}, err
	}
	head, err := e.Log.Head(ctx, who.Tenant)
	if err != nil {
		return LogPage{}, err
	}
	entries, err := e.Log.AuditEntries(ctx, who.Tenant, from, top)
	if err != nil {
		return LogPage{}, err
	}
	// The log may have grown between the two reads: what is beyond the
	// checkpoint is not proved by it and is left to the next reading.
	for len(entries) > 0 && entries[len(entries)-1].Index >= head.Size {
		entries = entries[:len(entries)-1]
	}
	checkpoint, err := head.Sign(who.Tenant, e.Keys.LogKey())
	if err != nil {
		return LogPage{}, err
	}
	return LogPage{Checkpoint: checkpoint, Size: head.Size, Entries: entries}, nil
}
