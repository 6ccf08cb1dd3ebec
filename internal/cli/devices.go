package cli

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"swab/client"
	"swab/internal/command"
)

// Devices as those who administer them see them. They are named by their ids.

func (d *deviceList) administered(ctx context.Context, env command.Env) error {
	c, _, err := d.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	devices := []client.Device{}
	q := client.DeviceQuery{Name: d.Name}
	for more := true; more && len(devices) < d.Top; {
		q.Top = min(d.Top-len(devices), 1000)
		page, err := c.Devices(ctx, q)
		if err != nil {
			return err
		}
		devices = append(devices, page.Devices...)
		q.After, more = page.Next, page.Next != ""
	}
	return d.print(env.Stdout, devices, func(w io.Writer) error {
		rows := make([][]string, len(devices))
		for i, one := range devices {
			rows[i] = []string{one.ID, one.Name, one.Health, when(one.LastSeen), strconv.Itoa(one.Keys), strings.Join(marks(one), ", ")}
		}
		return table(w, "ID NAME HEALTH SEEN KEYS MARKS", rows)
	})
}

// marks are what is out of the ordinary of a device.
func marks(d client.Device) (words []string) {
	for _, m := range []struct {
		word string
		has  bool
	}{
		{"revoked", d.Revoked},
		{"retired", d.Retired},
		{"renamed", d.Name != d.ReportedName},
		{"cloned", !d.Cloned.IsZero()},
		{"twins", len(d.Twins) > 0},
		{"key pending", d.RotationPending},
	} {
		if m.has {
			words = append(words, m.word)
		}
	}
	return words
}

// administer asks something of one device, and shows the device as it is then.
func (c *connection) administer(ctx context.Context, env command.Env, o output, id string, ask func(*client.Client) (client.Device, error)) error {
	cl, _, err := c.open(env)
	if err != nil {
		return err
	}
	defer cl.Close()
	d, err := ask(cl)
	if err != nil {
		return noSuch("device", id, err)
	}
	return o.print(env.Stdout, d, func(w io.Writer) error { return showAdministered(w, d) })
}

func showAdministered(w io.Writer, d client.Device) error {
	pairs := []string{
		"id", d.ID,
		"name", d.Name,
		"reports itself as", d.ReportedName,
		"health", d.Health,
		"revoked", yesNo(d.Revoked),
		"retired", yesNo(d.Retired),
		"tags", strings.Join(d.Tags, ", "),
		"keys", strconv.Itoa(d.Keys),
		"key", d.KeyThumbprint,
		"key since", when(d.KeySince),
		"other key pending", yesNo(d.RotationPending),
		"cloned", when(d.Cloned),
	}
	for _, twin := range d.Twins {
		pairs = append(pairs, "twin", twin)
	}
	return fields(w, append(pairs, "enrolled", when(d.FirstSeen), "seen", when(d.LastSeen), "agent", d.AgentVersion)...)
}

// byID is the device of a command that administers it.
type byID struct {
	Device string `arg:"" name:"id" help:"The device's id, as swab device list shows it. A name does not serve: it may come to mean another device."`
	connection
	output
}

type deviceRename struct {
	byID
	Name  string `arg:"" optional:"" help:"The name, as DNS has them: web-01.corp.example."`
	Reset bool   `help:"Take the name back, for the one that the device tells of itself."`
}

func (*deviceRename) Help() string {
	return "Gives a device the name by which it is shown and found, in place of the one that it tells of itself." + administers
}

// Check judges the settings together.
func (d *deviceRename) Check() error {
	if (d.Name == "") != d.Reset {
		return errors.New("give a name, or --reset to take it back")
	}
	return nil
}

func (d *deviceRename) Run(ctx context.Context, env command.Env) error {
	return d.administer(ctx, env, d.output, d.Device, func(c *client.Client) (client.Device, error) {
		return c.RenameDevice(ctx, d.Device, d.Name)
	})
}

type deviceRetire struct{ byID }

func (*deviceRetire) Help() string {
	return "Says that a device is expected to be gone: nothing is collected from it, and its name means another device that has it. " +
		"Its key still connects, so that it is seen if it is not gone; swab device revoke shuts it out." + administers
}

func (d *deviceRetire) Run(ctx context.Context, env command.Env) error {
	return d.administer(ctx, env, d.output, d.Device, func(c *client.Client) (client.Device, error) { return c.RetireDevice(ctx, d.Device) })
}

type deviceRestore struct{ byID }

func (*deviceRestore) Help() string {
	return "Takes back that a device is retired. What was revoked is not restored: enrol it anew." + administers
}

func (d *deviceRestore) Run(ctx context.Context, env command.Env) error {
	return d.administer(ctx, env, d.output, d.Device, func(c *client.Client) (client.Device, error) { return c.RestoreDevice(ctx, d.Device) })
}

type deviceRotateKey struct{ byID }

func (*deviceRotateKey) Help() string {
	return "Asks a device to make itself another key, which succeeds the present one; its id stays. It does so when it is connected and collects nothing, " +
		"and an agent too old to know of it when it was replaced. Packages by keys before verify as ever. " +
		"Where a key is in wrong hands this does not serve, since they may answer first: revoke the device and enrol it anew." + administers
}

func (d *deviceRotateKey) Run(ctx context.Context, env command.Env) error {
	return d.administer(ctx, env, d.output, d.Device, func(c *client.Client) (client.Device, error) { return c.RotateDeviceKey(ctx, d.Device) })
}

type deviceRevoke struct{ byID }

func (*deviceRevoke) Help() string {
	return "Shuts a device out for good and at once: it gets no token, delivers nothing and can't enrol again with its key. " +
		"Packages that it delivered stay what they were. An action that waits for it ends by its time; swab action cancel ends it now." + administers
}

func (d *deviceRevoke) Run(ctx context.Context, env command.Env) error {
	c, _, err := d.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	gone, err := c.RevokeDevice(ctx, d.Device)
	if err != nil {
		return noSuch("device", d.Device, err)
	}
	return d.print(env.Stdout, gone, func(w io.Writer) error {
		return fields(w, "id", gone.ID, "name", gone.Name, "revoked", yesNo(gone.Revoked))
	})
}
