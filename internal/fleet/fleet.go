// Package fleet is what people find out about devices and say of them: which
// one had an address, which ones have a tag, how dear one is.
//
// As everywhere in the core, an operation takes its caller, asks for the
// permission first, and is an entry in the tenant's audit log: a deed in the
// transaction that does it, a refusal by itself. What a device says of itself
// comes through the gateway and can't be changed here.
package fleet

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/odata"
)

// Records is where devices are kept; *store.Store satisfies it.
type Records interface {
	auth.Recorder

	// FindDevices returns the tenant's devices whose id, Entra id, full name or
	// host name is name.
	FindDevices(ctx context.Context, tenant, name string) ([]device.Device, error)

	// Twins returns for each of some devices the ids of others within reach that
	// have its name and are not revoked, at most so many.
	Twins(ctx context.Context, tenant string, reach device.Reach, devices []device.Device, most int) (map[device.ID][]device.ID, error)

	// Devices returns the tenant's devices within reach that q selects, the newest
	// first where it does not say another order.
	Devices(ctx context.Context, tenant string, reach device.Reach, q odata.Query) (odata.Page[device.Device], error)

	// DevicesAt returns the tenant's devices within reach that told of an address at some
	// time in an interval, both ends included, the one enrolled last first.
	DevicesAt(ctx context.Context, tenant string, reach device.Reach, address netip.Addr, from, to time.Time, top int) ([]device.Device, error)

	// DevicesTagged returns the tenant's devices within reach that have a tag, or one that
	// begins so, the one enrolled last first.
	DevicesTagged(ctx context.Context, tenant string, reach device.Reach, tag string, begins bool, top int) ([]device.Device, error)

	// ChangeDevices reads devices, has change make of each what it should
	// become and keeps that with the entry, in one transaction for all; whoever
	// comes second sees what the first one made. Only what people say of a
	// device can change. An entry without an act is not recorded: nothing
	// changed. One that is not there is fault.NotFound, and then nothing is done.
	ChangeDevices(ctx context.Context, tenant string, ids []device.ID, change func(device.Device) (device.Device, audit.Entry, error)) ([]device.Device, error)
}

// Groups is where the device groups of a tenant are known, as they are now;
// *auth.Directory satisfies it.
type Groups interface {
	Groups(ctx context.Context, tenant string) (*device.Groups, error)
}

// Fleet is a tenant's devices, as people see them.
type Fleet struct {
	Records Records
	Groups  Groups
	Now     func() time.Time
	Logger  *slog.Logger
}

// Bounds of what is looked up.
const (
	MaxFound   = 10_000              // devices of one answer
	MaxName    = 255                 // bytes of a name that is looked up
	Around     = 15 * time.Minute    // either side of the moment at which an address is looked for
	Remembered = 30 * 24 * time.Hour // how long it is known who had an address
)

func (f *Fleet) guard() auth.Guard { return auth.Guard{Records: f.Records, Now: f.Now} }

// Get returns the device that a name means: its id, its Entra id, its full name
// or its host name. It is told whether the device has a twin that the caller sees.
func (f *Fleet) Get(ctx context.Context, who auth.Caller, name string) (device.Device, error) {
	if err := f.guard().Permit(ctx, who, audit.ActReadDevice, audit.Clip(name), auth.ReadMachines); err != nil {
		return device.Device{}, err
	}
	found, err := f.Find(ctx, who, name)
	if err != nil {
		return device.Device{}, err
	}
	grouped, err := f.grouped(ctx, who, []device.Device{found})
	if err != nil {
		return device.Device{}, err
	}
	twins, err := f.Records.Twins(ctx, who.Tenant, who.Reach(), grouped, 1)
	if err != nil {
		return device.Device{}, err
	}
	grouped[0].Twin = len(twins[found.ID]) > 0
	return grouped[0], nil
}

// List returns the tenant's devices that a query selects, the newest first where
// it does not say another order. read reads the query: an error of it is the
// caller's, and told only to those who may look.
func (f *Fleet) List(ctx context.Context, who auth.Caller, read func() (odata.Query, error)) (odata.Page[device.Device], error) {
	if err := f.guard().Permit(ctx, who, audit.ActReadDevice, who.Tenant, auth.ReadMachines); err != nil {
		return odata.Page[device.Device]{}, err
	}
	q, err := read()
	if err != nil {
		return odata.Page[device.Device]{}, err
	}
	page, err := f.Records.Devices(ctx, who.Tenant, who.Reach(), q)
	if err == nil {
		page.Rows, err = f.grouped(ctx, who, page.Rows)
	}
	return page, err
}

// ByAddress returns the devices that told of an address within 15 minutes of a
// moment, which must be one of the last 30 days; one still to come is no
// mistake. what reads the address and the moment, as for List.
func (f *Fleet) ByAddress(ctx context.Context, who auth.Caller, what func() (netip.Addr, time.Time, error)) ([]device.Device, error) {
	if err := f.guard().Permit(ctx, who, audit.ActReadDevice, who.Tenant, auth.ReadMachines); err != nil {
		return nil, err
	}
	address, at, err := what()
	if err != nil {
		return nil, err
	}
	if f.Now().Sub(at) > Remembered {
		return nil, fault.BadRequest.Errorf(nil, "The timestamp lies over 30 days back; ask for one within the last 30 days")
	}
	found, err := f.Records.DevicesAt(ctx, who.Tenant, who.Reach(), address.Unmap().WithZone(""), at.Add(-Around), at.Add(Around), MaxFound)
	if err != nil {
		return nil, err
	}
	return f.grouped(ctx, who, found)
}

// ByTag returns the devices that have a tag, or one that begins with it. what
// reads which, as for List.
func (f *Fleet) ByTag(ctx context.Context, who auth.Caller, what func() (tag string, begins bool, err error)) ([]device.Device, error) {
	if err := f.guard().Permit(ctx, who, audit.ActReadDevice, who.Tenant, auth.ReadMachines); err != nil {
		return nil, err
	}
	tag, begins, err := what()
	if err != nil {
		return nil, err
	}
	found, err := f.Records.DevicesTagged(ctx, who.Tenant, who.Reach(), tag, begins, MaxFound)
	if err != nil {
		return nil, err
	}
	return f.grouped(ctx, who, found)
}

// Find returns the device within a caller's reach that a name means. It asks for
// no right: that is for the operation that looks for the device.
func (f *Fleet) Find(ctx context.Context, who auth.Caller, name string) (device.Device, error) {
	if len(name) > MaxName {
		return device.Device{}, absent(name)
	}
	found, err := f.Records.FindDevices(ctx, who.Tenant, name)
	if err == nil {
		found = slices.DeleteFunc(found, func(d device.Device) bool { return !who.Sees(d) })
	}
	if err != nil {
		return device.Device{}, err
	}
	dev, ok, ambiguous := device.Resolve(name, found, f.Now())
	switch {
	case ambiguous:
		return device.Device{}, fault.NotFound.Errorf(nil, "Machine %s was not found: the name fits several machines, name one by its id", audit.Clip(name))
	case !ok:
		return device.Device{}, absent(name)
	}
	return dev, nil
}

// grouped are devices with the groups that they are in, by the rules as they are
// now.
func (f *Fleet) grouped(ctx context.Context, who auth.Caller, found []device.Device) ([]device.Device, error) {
	if len(found) == 0 {
		return found, nil
	}
	groups, err := f.Groups.Groups(ctx, who.Tenant)
	if err != nil {
		return nil, err
	}
	for i, d := range found {
		in := groups.Of(d)
		found[i].Group = &in
	}
	return found, nil
}

func absent(name string) error {
	return fault.NotFound.Errorf(nil, "Machine %s was not found", audit.Clip(name))
}
