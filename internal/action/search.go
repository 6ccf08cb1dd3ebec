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

// Search is what a caller looks for in the audit log.
type Search struct {
	audit.Filter        // its Device may be any name that means a device
	After        string // the Next of the page before; "" for the first
	Top          int    // the most entries of a page, up to MaxLogPage; 0: that many
}

// Entries returns the tenant's audit entries that a search selects, newest first.
// Each page that is given out is an entry itself, which says what was looked for.
// read reads the search: an error of it is the caller's, and told only to those
// who may read the log.
func (e *Engine) Entries(ctx context.Context, who auth.Caller, read func() (Search, error)) (odata.Page[audit.Logged], error) {
	var none odata.Page[audit.Logged]
	if err := e.guard().Permit(ctx, who, audit.ActRead, who.Tenant, auth.ReadAudit); err != nil {
		return none, err
	}
	s, err := read()
	if err != nil {
		return none, err
	}
	if s.Top < 0 || s.Top > MaxLogPage {
		return none, fault.InvalidInput.Errorf(nil, "top is a number from 1 to %d", MaxLogPage)
	}
	if err := s.Check(); err != nil {
		return none, err
	}
	if s.Device != "" {
		if s.Device, err = e.concerned(ctx, who, s.Device); err != nil {
			return none, err
		}
	}
	page, err := e.Log.AuditSearch(ctx, who.Tenant, s.Filter, s.After, s.Top)
	if errors.Is(err, fault.OData) {
		return none, fault.InvalidInput.Errorf(err, "after is none that a page of this search gave as its next; begin without it")
	}
	if err != nil {
		return none, err
	}
	return page, e.readLog(ctx, who, "search "+s.Filter.String())
}

// concerned is the id of the device that a name means. An id is taken as it is,
// since the log knows devices that are gone.
func (e *Engine) concerned(ctx context.Context, who auth.Caller, name string) (string, error) {
	if id, err := device.ParseID(name); err == nil {
		return string(id), nil
	}
	dev, err := e.Devices.Find(ctx, who, name)
	return string(dev.ID), err
}

// LogEntry is an entry with the proof that it is in the log.
type LogEntry struct {
	audit.Logged
	Proof audit.Proof // of this one leaf, from no head that was known before
}

// Entry returns the tenant's audit entry of an index. Reading it is an entry
// itself.
func (e *Engine) Entry(ctx context.Context, who auth.Caller, index func() (int64, error)) (LogEntry, error) {
	if err := e.guard().Permit(ctx, who, audit.ActRead, who.Tenant, auth.ReadAudit); err != nil {
		return LogEntry{}, err
	}
	at, err := index()
	if err != nil {
		return LogEntry{}, err
	}
	logged, proof, head, err := e.Log.AuditEntry(ctx, who.Tenant, at)
	if err != nil {
		return LogEntry{}, err
	}
	if proof.Checkpoint, err = head.Sign(who.Tenant, e.Keys.LogKey()); err != nil {
		return LogEntry{}, err
	}
	return LogEntry{logged, proof}, e.readLog(ctx, who, fmt.Sprint("entry ", at))
}

// readLog records that the log was read, and what of it.
func (e *Engine) readLog(ctx context.Context, who auth.Caller, what string) error {
	err := e.Records.Record(ctx, who.Tenant, audit.NewEntry(e.now(), audit.Leaf{
		Act: audit.ActRead, Object: who.Tenant, Result: audit.Done,
	}, who.Hidden(what)))
	if err != nil {
		return fault.Unavailable.Errorf(err, "The reading could not be recorded; ask again later")
	}
	return nil
}
