package api

import (
	"context"
	"strconv"

	"swab/internal/access"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/dsse"
	"swab/internal/fault"
)

// Administrators name a device by its id alone: a name may come to mean another
// device between a look and a deed.

// administered is a device as those who administer it see it.
type administered struct {
	ID              device.ID   `json:"id"`
	Name            string      `json:"name"`         // by which it is shown and found
	ReportedName    string      `json:"reportedName"` // that it tells of itself
	Health          string      `json:"health"`
	Revoked         bool        `json:"revoked"`
	Retired         bool        `json:"retired"` // expected to be gone
	Tags            []string    `json:"tags"`
	Keys            int         `json:"keys"`            // that it has had, the present one among them
	KeyThumbprint   string      `json:"keyThumbprint"`   // of the present one: SHA-256 in hex, as a package's signature names it
	KeySince        *string     `json:"keySince"`        // null: it is the key of the enrolment
	RotationPending bool        `json:"rotationPending"` // it is to make itself another key, and has not yet
	Cloned          *string     `json:"cloned"`          // when two live agents last held its key; null: never
	Twins           []device.ID `json:"twins"`           // others of its name that are not revoked, at most access.MaxTwins
	FirstSeen       *string     `json:"firstSeen"`
	LastSeen        *string     `json:"lastSeen"`
	AgentVersion    string      `json:"agentVersion"`
}

func (a *API) administeredOf(d access.Device) administered {
	return administered{
		ID: d.ID, Name: d.Facts.Name, ReportedName: d.OwnName(), Health: d.Health(a.Now()), Revoked: d.Revoked, Retired: d.Retired,
		Tags: append([]string{}, d.Tags...), Keys: len(d.Keys), KeyThumbprint: dsse.KeyID(d.Key()), KeySince: moment(d.KeySince),
		RotationPending: !d.KeyAsked.IsZero(), Cloned: moment(d.Cloned), Twins: append([]device.ID{}, d.Twins...),
		FirstSeen: moment(d.FirstSeen), LastSeen: moment(d.LastSeen), AgentVersion: d.Facts.AgentVersion,
	}
}

// administeredPage is a part of the list of devices.
type administeredPage struct {
	Value []administered `json:"value"`
	Next  *string        `json:"next"` // what after has to be for the next part; null: there is none
}

func (a *API) devices(ctx context.Context, c *call) (reply, error) {
	page, err := a.Register.Devices(ctx, c.who, c.devices)
	if err != nil {
		return reply{}, err
	}
	shown := administeredPage{Value: []administered{}, Next: given(string(page.Next))}
	for _, d := range page.Devices {
		shown.Value = append(shown.Value, a.administeredOf(d))
	}
	return reply{body: shown}, nil
}

// devices reads which devices are asked for.
func (c *call) devices() (q access.DeviceQuery, err error) {
	if err := c.plain(); err != nil {
		return q, err
	}
	for name, values := range c.r.URL.Query() {
		if len(values) != 1 {
			return q, fault.InvalidInput.Errorf(nil, "The parameter %s is given twice", clip(name))
		}
		switch value := values[0]; name {
		case "name":
			q.Name = value
		case "after":
			if q.After, err = device.ParseID(value); err != nil {
				return q, fault.InvalidInput.Errorf(err, "The parameter after is not the id of a device")
			}
		case "top":
			if q.Top, err = strconv.Atoi(value); err != nil || q.Top < 1 {
				return q, fault.InvalidInput.Errorf(err, "The parameter top is not a whole number from 1 to %d", access.MaxDevices)
			}
		default:
			return q, fault.InvalidInput.Errorf(nil, "There is no parameter %s here", clip(name))
		}
	}
	return q, nil
}

func (a *API) device(ctx context.Context, c *call) (reply, error) {
	d, err := a.Register.Device(ctx, c.who, c.id("device"))
	if err != nil {
		return reply{}, err
	}
	if err := c.plain(); err != nil {
		return reply{}, err
	}
	return reply{body: a.administeredOf(d)}, nil
}

func (a *API) renameDevice(ctx context.Context, c *call) (reply, error) {
	d, err := a.Register.RenameDevice(ctx, c.who, c.id("device"), func() (string, error) {
		f := c.form(false, "name")
		if _, there := f.raw["name"]; f.err == nil && !there {
			return "", missing("name")
		}
		return f.text("name"), f.err
	})
	if err != nil {
		return reply{}, err
	}
	return reply{body: a.administeredOf(d)}, nil
}

func (a *API) retireDevice(ctx context.Context, c *call) (reply, error) {
	return a.administer(ctx, c, a.Register.RetireDevice)
}

func (a *API) restoreDevice(ctx context.Context, c *call) (reply, error) {
	return a.administer(ctx, c, a.Register.RestoreDevice)
}

func (a *API) rotateDeviceKey(ctx context.Context, c *call) (reply, error) {
	return a.administer(ctx, c, a.Register.RotateDeviceKey)
}

// administer does to a device what takes nothing but its id.
func (a *API) administer(ctx context.Context, c *call, do func(context.Context, auth.Caller, string) (access.Device, error)) (reply, error) {
	if err := c.bare(auth.AdministerAccess); err != nil {
		return reply{}, err
	}
	d, err := do(ctx, c.who, c.id("device"))
	if err != nil {
		return reply{}, err
	}
	return reply{body: a.administeredOf(d)}, nil
}

// revoked is a device that was shut out for good.
type revoked struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Revoked bool   `json:"revoked"`
}

func (a *API) revokeDevice(ctx context.Context, c *call) (reply, error) {
	if err := c.bare(auth.AdministerAccess); err != nil {
		return reply{}, err
	}
	d, err := a.Register.RevokeDevice(ctx, c.who, c.id("device"))
	if err != nil {
		return reply{}, err
	}
	return reply{body: revoked{ID: string(d.ID), Name: d.Facts.Name, Revoked: d.Revoked}}, nil
}
