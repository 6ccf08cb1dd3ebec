package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Device is a device as those who administer it see it. Whatever is asked of one
// names it by its id: a name may come to mean another device.
type Device struct {
	ID              string    `json:"id"`
	Name            string    `json:"name"`         // by which it is shown and found
	ReportedName    string    `json:"reportedName"` // that it tells of itself
	Health          string    `json:"health"`
	Revoked         bool      `json:"revoked"` // shut out for good
	Retired         bool      `json:"retired"` // expected to be gone
	Tags            []string  `json:"tags"`
	Keys            int       `json:"keys"`               // that it has had, the present one among them
	KeyThumbprint   string    `json:"keyThumbprint"`      // of the present one: SHA-256 in hex, as a package's signature names it
	KeySince        time.Time `json:"keySince,omitzero"`  // zero: it is the key of the enrolment
	RotationPending bool      `json:"rotationPending"`    // it is to make itself another key, and has not yet
	Cloned          time.Time `json:"cloned,omitzero"`    // when two live agents last held its key; zero: never
	Twins           []string  `json:"twins"`              // ids of others of its name that are not revoked; ten at most
	FirstSeen       time.Time `json:"firstSeen,omitzero"` // enrolled
	LastSeen        time.Time `json:"lastSeen,omitzero"`
	AgentVersion    string    `json:"agentVersion"`
}

// DeviceQuery selects devices, in the order of their ids.
type DeviceQuery struct {
	Name  string // in full or its first label; "" for all
	After string // only those after this id; "" from the first
	Top   int    // at most so many, 1,000; 0 leaves it to the server
}

// DevicePage is a part of the list of devices.
type DevicePage struct {
	Devices []Device `json:"value"` // may be fewer than were asked for, though there are more
	Next    string   `json:"next"`  // After of the next part; "" at the end
}

const devicesPath = "api/admin/v1/devices"

// Devices lists devices as they are administered, also those that were revoked.
// It takes the permission Swab.Administer, as all of these do.
func (c *Client) Devices(ctx context.Context, d DeviceQuery) (DevicePage, error) {
	q := url.Values{}
	if d.Name != "" {
		q.Set("name", d.Name)
	}
	if d.After != "" {
		q.Set("after", d.After)
	}
	if d.Top > 0 {
		q.Set("top", strconv.Itoa(d.Top))
	}
	var out DevicePage
	err := c.call(ctx, http.MethodGet, devicesPath, q, nil, &out, maxList)
	return out, err
}

// Device returns one device.
func (c *Client) Device(ctx context.Context, id string) (Device, error) {
	return c.ofDevice(ctx, http.MethodGet, id, "", nil)
}

// RenameDevice gives a device the name by which it is shown and found; "" takes
// it back, for the one that the device tells of itself.
func (c *Client) RenameDevice(ctx context.Context, id, name string) (Device, error) {
	in := struct {
		Name string `json:"name"`
	}{name}
	return c.ofDevice(ctx, http.MethodPatch, id, "", in)
}

// RetireDevice says that a device is expected to be gone: nothing is collected
// from it, and its name means another device that has it.
func (c *Client) RetireDevice(ctx context.Context, id string) (Device, error) {
	return c.ofDevice(ctx, http.MethodPost, id, "/retire", nil)
}

// RestoreDevice takes that back.
func (c *Client) RestoreDevice(ctx context.Context, id string) (Device, error) {
	return c.ofDevice(ctx, http.MethodPost, id, "/restore", nil)
}

// RotateDeviceKey asks a device to make itself another key, which succeeds the
// present one. It does so when it is connected and collects nothing.
func (c *Client) RotateDeviceKey(ctx context.Context, id string) (Device, error) {
	return c.ofDevice(ctx, http.MethodPost, id, "/rotateKey", nil)
}

// RevokedDevice is a device that was shut out for good.
type RevokedDevice struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Revoked bool   `json:"revoked"`
}

// RevokeDevice shuts a device, named by its id, out for good and at once. The
// packages that it delivered stay what they were. It takes the permission
// Swab.Administer.
func (c *Client) RevokeDevice(ctx context.Context, id string) (RevokedDevice, error) {
	var out RevokedDevice
	err := c.administer(ctx, http.MethodPost, id, "/revoke", nil, &out)
	return out, err
}

func (c *Client) ofDevice(ctx context.Context, method, id, below string, in any) (Device, error) {
	var out Device
	err := c.administer(ctx, method, id, below, in, &out)
	return out, err
}

// administer makes a call at the address of a device under administration.
func (c *Client) administer(ctx context.Context, method, id, below string, in, out any) error {
	path, err := segment("device", id)
	if err != nil {
		return err
	}
	return c.call(ctx, method, devicesPath+"/"+path+below, nil, in, out, maxEntity)
}
