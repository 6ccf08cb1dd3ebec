package access

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
)

// devices is where devices are kept, as far as administrators see and change them.
type devices interface {
	// Device returns a device, DevicePage those within reach after an id in the
	// order of their ids, of one name or of all, at most so many. Twins are the ids
	// of those others within reach that have the name of each and are not revoked.
	Device(ctx context.Context, tenant string, id device.ID) (device.Device, error)
	DevicePage(ctx context.Context, tenant string, reach device.Reach, name string, after device.ID, most int) ([]device.Device, error)
	Twins(ctx context.Context, tenant string, reach device.Reach, devices []device.Device, most int) (map[device.ID][]device.ID, error)

	// AdministerDevice applies change to a device in one transaction and records
	// its entry; one without an act changes nothing. An error of change comes back
	// as it is.
	AdministerDevice(ctx context.Context, tenant string, id device.ID, change func(device.Device) (device.Device, audit.Entry, error)) (device.Device, error)

	// Policy is who may do what in a tenant, and the groups that its devices are in.
	Policy(ctx context.Context, tenant string) (*auth.Policy, error)
}

// Device is a device as those who administer it see it.
type Device struct {
	device.Device
	Twins []device.ID // others within the caller's reach that have its name and are not revoked, the newest first; at most MaxTwins
}

// DeviceQuery selects devices, in the order of their ids.
type DeviceQuery struct {
	Name  string    // in full or its first label, in any case; "" for all
	After device.ID // only those after this one; "" from the first
	Top   int       // at most so many; 0: DefaultDevices
}

// Bounds of what is listed of devices.
const (
	MaxTwins       = 10
	MaxDevices     = 1000
	DefaultDevices = 100
)

// DevicePage is a part of a list of devices. Nothing in it tells of devices out of
// the caller's reach.
type DevicePage struct {
	Devices []Device
	Next    device.ID // the last one of Devices, after which the list goes on; "" at its end
}

// Devices returns the devices within the caller's reach that a query selects,
// also those that were revoked. read reads the query.
func (r *Register) Devices(ctx context.Context, who auth.Caller, read func() (DeviceQuery, error)) (DevicePage, error) {
	if err := r.permit(ctx, who, audit.ActReadDevice, who.Tenant, auth.AdministerAccess); err != nil {
		return DevicePage{}, err
	}
	q, err := read()
	if err == nil && (q.Top < 0 || q.Top > MaxDevices) {
		err = fault.InvalidInput.Errorf(nil, "top is not from 1 to %d", MaxDevices)
	}
	if err != nil {
		return DevicePage{}, err
	}
	if q.Top == 0 {
		q.Top = DefaultDevices
	}
	found, err := r.Records.DevicePage(ctx, who.Tenant, who.Reach(), strings.ToLower(q.Name), q.After, q.Top+1)
	if err != nil {
		return DevicePage{}, err
	}
	var page DevicePage
	if len(found) > q.Top {
		found = found[:q.Top]
		page.Next = found[q.Top-1].ID
	}
	page.Devices, err = r.seen(ctx, who, found...)
	return page, err
}

// Device returns one device, named by its id.
func (r *Register) Device(ctx context.Context, who auth.Caller, id string) (Device, error) {
	if err := r.permit(ctx, who, audit.ActReadDevice, id, auth.AdministerAccess); err != nil {
		return Device{}, err
	}
	d, err := r.reached(ctx, who, id)
	if err != nil {
		return Device{}, r.refuse(ctx, who, audit.ActReadDevice, id, err)
	}
	return r.one(ctx, who, d)
}

// reached is a device within the caller's reach.
func (r *Register) reached(ctx context.Context, who auth.Caller, id string) (device.Device, error) {
	if id != audit.Clip(id) {
		return device.Device{}, absent(id)
	}
	d, err := r.Records.Device(ctx, who.Tenant, device.ID(id))
	if err != nil {
		return d, err
	}
	if !who.Sees(d) {
		return device.Device{}, absent(id)
	}
	return d, nil
}

// seen are devices with their twins.
func (r *Register) seen(ctx context.Context, who auth.Caller, found ...device.Device) ([]Device, error) {
	twins, err := r.Records.Twins(ctx, who.Tenant, who.Reach(), found, MaxTwins)
	if err != nil {
		return nil, err
	}
	list := make([]Device, len(found))
	for i, d := range found {
		list[i] = Device{d, twins[d.ID]}
	}
	return list, nil
}

func (r *Register) one(ctx context.Context, who auth.Caller, d device.Device) (Device, error) {
	list, err := r.seen(ctx, who, d)
	if err != nil {
		return Device{}, err
	}
	return list[0], nil
}

func absent(id string) error {
	return fault.NotFound.Errorf(nil, "Machine %s was not found", audit.Clip(id))
}

// deed is what an administrator does to a device.
type deed struct {
	act audit.Act

	// read reads what comes with it, once the caller may and the device is there;
	// nil for nothing.
	read func() error

	// change makes the device what it should become, and says what changed; where
	// that is nothing, nothing is recorded. It may run more than once.
	change func(*device.Device) (audit.Changes, error)

	// after does what others must see of it; nil for nothing.
	after func(device.ID)
}

func (r *Register) administer(ctx context.Context, who auth.Caller, id string, do deed) (Device, error) {
	if err := r.permit(ctx, who, do.act, id, auth.AdministerAccess); err != nil {
		return Device{}, err
	}
	d, err := r.reached(ctx, who, id)
	if err == nil && do.read != nil {
		err = do.read()
	}
	if err == nil {
		firm, done := firm(ctx)
		defer done()
		d, err = r.changeDevice(firm, who, d.ID, do)
	}
	if err != nil {
		return Device{}, r.refuse(ctx, who, do.act, id, err)
	}
	if do.after != nil {
		do.after(d.ID)
	}
	r.Logger.InfoContext(ctx, "device administered", "act", string(do.act), "device", d.ID, "caller", who.ID, "correlation", who.Correlation)
	return r.one(ctx, who, d)
}

func (r *Register) changeDevice(ctx context.Context, who auth.Caller, id device.ID, do deed) (device.Device, error) {
	return r.Records.AdministerDevice(ctx, who.Tenant, id, func(d device.Device) (device.Device, audit.Entry, error) {
		if !who.Sees(d) {
			return d, audit.Entry{}, absent(string(id))
		}
		said, err := do.change(&d)
		if err != nil || said.Empty() {
			return d, audit.Entry{}, err
		}
		if !who.Sees(d) {
			return d, audit.Entry{}, fault.DisallowedOperation.Errorf(nil, "By this name machine %s would be in a device group that you do not reach", id)
		}
		return d, audit.NewEntry(r.Now(), audit.Leaf{
			Act: do.act, Object: string(id), Device: string(id), Result: audit.Done,
		}, who.Hidden(said.String())), nil
	})
}

// RevokeDevice shuts a device out for good and at once; its key never enrols
// again. Packages that it delivered stay what they were. An action that still
// runs ends by its time, or by being called off.
func (r *Register) RevokeDevice(ctx context.Context, who auth.Caller, id string) (device.Device, error) {
	if err := r.permit(ctx, who, audit.ActRevokeDevice, id, auth.AdministerAccess); err != nil {
		return device.Device{}, err
	}
	d, err := r.reached(ctx, who, id)
	if err == nil {
		firm, done := firm(ctx)
		defer done()
		d, err = r.Records.RevokeDevice(firm, who.Tenant, d.ID, audit.NewEntry(r.Now(), audit.Leaf{
			Act: audit.ActRevokeDevice, Object: id, Device: id, Result: audit.Done,
		}, who.Hidden("")))
	}
	if err != nil {
		return device.Device{}, r.refuse(ctx, who, audit.ActRevokeDevice, id, err)
	}
	r.Bus.Wake(d.ID)
	r.Logger.InfoContext(ctx, "device revoked", "device", d.ID, "caller", who.ID, "correlation", who.Correlation)
	return d, nil
}

// MaxDeviceName bounds the name of a device, in bytes, as DNS does.
const MaxDeviceName = 253

// label is a part of a device's name between dots. Names of Windows may have a low line.
var label = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)

// deviceName is a name for a device in the one form in which it is kept, or says
// what is wrong with it. What means a device by its id can't mean another by its
// name.
func deviceName(name string) (string, error) {
	lower := strings.ToLower(name)
	_, noID := device.ParseID(lower)
	_, noGUID := uuid.Parse(lower)
	switch {
	case noID == nil || noGUID == nil:
		return "", fault.InvalidInput.Errorf(nil, "name has the form of a machine's id; give it one that people know it by")
	case len(lower) > MaxDeviceName || slices.ContainsFunc(strings.Split(lower, "."), func(l string) bool { return !label.MatchString(l) }):
		return "", fault.InvalidInput.Errorf(nil, "name is not one as DNS has them: labels of letters, digits and hyphens between dots, at most 63 characters each and %d in all", MaxDeviceName)
	}
	return lower, nil
}

// RenameDevice gives a device the name by which it is shown and found, in place of
// the one that it tells of itself; "" takes it back. read gives the name. Another
// device may have it too: then they are twins.
func (r *Register) RenameDevice(ctx context.Context, who auth.Caller, id string, read func() (string, error)) (Device, error) {
	var name string
	return r.administer(ctx, who, id, deed{
		act: audit.ActRenameDevice,
		read: func() (err error) {
			if name, err = read(); err == nil && name != "" {
				name, err = deviceName(name)
			}
			return err
		},
		change: func(d *device.Device) (said audit.Changes, _ error) {
			own := d.OwnName()
			said.Add("name", given(*d), name)
			switch {
			case said.Empty():
			case name == "":
				d.Facts.Name, d.Reported = own, nil
			default:
				d.Facts.Name, d.Reported = name, &own
			}
			return said, nil
		},
	})
}

// given is the name that people gave a device, "" where they did not.
func given(d device.Device) string {
	if d.Reported == nil {
		return ""
	}
	return d.Facts.Name
}

// RetireDevice says that a device is expected to be gone: nothing is collected
// from it, and its name means another device that has it. Its key still connects,
// which is how it would be seen that it is not gone.
func (r *Register) RetireDevice(ctx context.Context, who auth.Caller, id string) (Device, error) {
	return r.retire(ctx, who, audit.ActRetireDevice, id, true)
}

// RestoreDevice takes back that a device is expected to be gone.
func (r *Register) RestoreDevice(ctx context.Context, who auth.Caller, id string) (Device, error) {
	return r.retire(ctx, who, audit.ActRestoreDevice, id, false)
}

func (r *Register) retire(ctx context.Context, who auth.Caller, act audit.Act, id string, retired bool) (Device, error) {
	return r.administer(ctx, who, id, deed{act: act, change: func(d *device.Device) (said audit.Changes, _ error) {
		said.Add("retired", strconv.FormatBool(d.Retired), strconv.FormatBool(retired))
		d.Retired = retired
		return said, nil
	}})
}

// KeyEvery is how long after a device's key was succeeded another can be asked for.
const KeyEvery = time.Hour

// RotateDeviceKey asks a device to make itself another key, which succeeds the
// present one: at once where it is connected and collects nothing, else as soon
// as it is. Where it was asked already, it is told again and nothing is recorded.
func (r *Register) RotateDeviceKey(ctx context.Context, who auth.Caller, id string) (Device, error) {
	return r.administer(ctx, who, id, deed{act: audit.ActAskDeviceKey, after: r.Bus.Wake, change: func(d *device.Device) (said audit.Changes, _ error) {
		now := r.now()
		switch {
		case d.Revoked:
			return said, fault.DisallowedOperation.Errorf(nil, "Machine %s is no longer enrolled", d.ID)
		case !d.KeyAsked.IsZero():
			return said, nil
		case len(d.Keys) >= device.MaxKeys:
			return said, fault.DisallowedOperation.Errorf(nil, "Machine %s has had %d keys, the most that there may be; enrol it anew with a fresh state folder", d.ID, device.MaxKeys)
		case now.Sub(d.KeySince) < KeyEvery:
			return said, fault.DisallowedOperation.Errorf(nil, "The key of machine %s was succeeded at %s; ask for another an hour after that",
				d.ID, d.KeySince.Format(time.RFC3339))
		}
		said.Add("rotationPending", "false", "true")
		d.KeyAsked = now
		return said, nil
	}})
}
