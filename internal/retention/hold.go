package retention

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
)

// Bounds of holds.
const (
	MaxHolds  = 1000 // of one tenant at once
	MaxReason = 1000 // characters
)

// Hold is a legal hold: what it is on does not expire before it is removed.
type Hold struct {
	Tenant  string
	ID      string // a UUID
	Device  device.ID
	Action  action.ID // "": all of the device, what it delivers later too
	Reason  string
	Holder  string // the display name of who added it
	Created time.Time
}

// NewHold is a hold to be added, on an action or on a device.
type NewHold struct {
	Action action.ID
	Device string // id or name
	Reason string
}

// Holds returns the tenant's holds on devices within the caller's reach, and on
// actions of those, the oldest first.
func (k *Keeper) Holds(ctx context.Context, who auth.Caller) ([]Hold, error) {
	if err := k.permit(ctx, who, audit.ActReadHold, who.Tenant); err != nil {
		return nil, err
	}
	all, err := k.Records.Holds(ctx, who.Tenant)
	if err != nil || who.Reach().All {
		return all, err
	}
	seen := map[device.ID]bool{}
	var within []Hold
	for _, h := range all {
		sees, known := seen[h.Device]
		if !known {
			switch _, err := k.Devices.Find(ctx, who, string(h.Device)); {
			case err == nil:
				sees = true
			case !errors.Is(err, fault.NotFound):
				return nil, err
			}
			seen[h.Device] = sees
		}
		if sees {
			within = append(within, h)
		}
	}
	return within, nil
}

// Hold adds a hold. Several may be on one thing, for several cases. What it is on
// does not expire once this returns.
func (k *Keeper) Hold(ctx context.Context, who auth.Caller, read func() (NewHold, error)) (Hold, error) {
	if err := k.permitChange(ctx, who, audit.ActAddHold, who.Tenant); err != nil {
		return Hold{}, err
	}
	n, err := read()
	if err == nil {
		err = n.check()
	}
	h := Hold{Tenant: who.Tenant, ID: uuid.NewString(), Reason: n.Reason, Holder: who.Name, Created: k.now()}
	if err == nil {
		h.Device, h.Action, err = k.held(ctx, who, n)
	}
	if err == nil {
		err = k.Records.AddHold(ctx, h, k.ofHold(who, audit.ActAddHold, h, holdChanges(Hold{}, h)))
	}
	if err != nil {
		return Hold{}, k.refuse(ctx, who, audit.ActAddHold, who.Tenant, err)
	}
	k.Logger.InfoContext(ctx, "hold added", "hold", h.ID, "device", h.Device, "action", h.Action, "caller", who.ID, "correlation", who.Correlation)
	return h, nil
}

// held is what a hold is to be on.
func (k *Keeper) held(ctx context.Context, who auth.Caller, n NewHold) (device.ID, action.ID, error) {
	if n.Action == "" {
		d, err := k.Devices.Find(ctx, who, n.Device)
		return d.ID, "", err
	}
	if n.Action != audit.Clip(n.Action) {
		return "", "", action.Absent(n.Action, nil)
	}
	a, err := k.Records.Action(ctx, who.Tenant, n.Action)
	return a.Device, a.ID, err
}

func (n NewHold) check() error {
	switch {
	case (n.Action == "") == (n.Device == ""):
		return fault.InvalidInput.Errorf(nil, "A hold is on an action or on a device: exactly one of action and device is given")
	case strings.TrimSpace(n.Reason) == "":
		return fault.MissingParameter.Errorf(nil, "reason is missing")
	case !utf8.ValidString(n.Reason) || utf8.RuneCountInString(n.Reason) > MaxReason || strings.ContainsFunc(n.Reason, unseen):
		return fault.InvalidInput.Errorf(nil, "reason has over %d characters, or some that can't be seen", MaxReason)
	}
	return nil
}

// unseen says whether a character is none that people see.
func unseen(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

// Release removes a hold. What it was on expires with the next sweep, if the
// rules do not keep it and no other hold does.
func (k *Keeper) Release(ctx context.Context, who auth.Caller, id string) (Hold, error) {
	if err := k.permitChange(ctx, who, audit.ActRemoveHold, id); err != nil {
		return Hold{}, err
	}
	var (
		h   Hold
		err error
	)
	if id != audit.Clip(id) {
		err = NoHold(id, nil)
	} else {
		h, err = k.Records.RemoveHold(ctx, who.Tenant, id, func(h Hold) audit.Entry {
			return k.ofHold(who, audit.ActRemoveHold, h, holdChanges(h, Hold{}))
		})
	}
	if err != nil {
		return Hold{}, k.refuse(ctx, who, audit.ActRemoveHold, id, err)
	}
	k.Logger.InfoContext(ctx, "hold removed", "hold", h.ID, "device", h.Device, "action", h.Action, "caller", who.ID, "correlation", who.Correlation)
	return h, nil
}

// NoHold is that there is no such hold.
func NoHold(id string, cause error) error {
	return fault.NotFound.Errorf(cause, "Hold %s was not found", audit.Clip(id))
}

// ofHold is the entry of a deed on a hold.
func (k *Keeper) ofHold(who auth.Caller, act audit.Act, h Hold, c audit.Changes) audit.Entry {
	return audit.NewEntry(k.now(), audit.Leaf{Act: act, Object: h.ID, Device: string(h.Device), Result: audit.Done}, who.Hidden(c.String()))
}

func holdChanges(was, is Hold) (c audit.Changes) {
	c.Add("device", string(was.Device), string(is.Device))
	c.Add("action", was.Action, is.Action)
	c.Add("reason", was.Reason, is.Reason)
	return c
}
