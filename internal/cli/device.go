package cli

import (
	"context"
	"io"

	"swab/client"
	"swab/internal/command"
)

// page is which part of a list is asked for.
type page struct {
	Top  int `help:"Most rows to list." default:"100"`
	Skip int `help:"How many of the first rows to leave out." placeholder:"N"`
}

func (p page) of() client.Page { return client.Page{Top: p.Top, Skip: p.Skip} }

type deviceList struct {
	connection
	page
	output
}

func (d *deviceList) Run(ctx context.Context, env command.Env) error {
	c, _, err := d.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	machines, err := c.Machines(ctx, d.of())
	if err != nil {
		return err
	}
	return d.print(env.Stdout, machines, func(w io.Writer) error {
		rows := make([][]string, len(machines))
		for i, m := range machines {
			rows[i] = []string{m.ID, m.Name, m.Platform + " " + m.Version, m.Health, when(m.LastSeen), m.LastIP}
		}
		return table(w, "ID NAME SYSTEM HEALTH SEEN ADDRESS", rows)
	})
}

type deviceRevoke struct {
	Device string `arg:"" name:"id" help:"The device's id, as swab device list shows it. A name does not serve: it may come to mean another device."`
	connection
	output
}

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
