package cli

import (
	"context"
	"errors"
	"io"
	"strings"

	"swab/client"
	"swab/internal/command"
)

// page is which part of a list is asked for.
type page struct {
	Filter string `help:"Which rows, in the words of OData: lastSeen lt 2026-01-31T12:00:00Z." placeholder:"ODATA"`
	Top    int    `help:"Most rows to list." default:"100"`
	Skip   int    `help:"How many of the first rows to leave out." placeholder:"N"`
}

// of is the page, of the rows for which all of more hold too.
func (p page) of(more ...string) client.Page {
	if p.Filter != "" && len(more) > 0 {
		p.Filter = "(" + p.Filter + ")"
	}
	if p.Filter != "" {
		more = append([]string{p.Filter}, more...)
	}
	return client.Page{Filter: strings.Join(more, " and "), Top: p.Top, Skip: p.Skip}
}

// literal is a text as OData has it.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

type deviceList struct {
	Tag   string `help:"Those that have this tag." placeholder:"TAG"`
	Admin bool   `help:"As they are administered, in the order of their ids: keys, clones, twins; also those that were revoked. It takes the permission Swab.Administer."`
	Name  string `help:"With --admin: those of this name, in full or its first label." placeholder:"NAME"`
	connection
	page
	output
}

// Check judges the settings together.
func (d *deviceList) Check() error {
	switch {
	case d.Admin && (d.Tag != "" || d.Filter != "" || d.Skip != 0):
		return errors.New("--admin lists by --name alone; leave --tag, --filter and --skip out")
	case !d.Admin && d.Name != "":
		return errors.New("--name needs --admin; without it, ask by --filter \"computerDnsName eq 'NAME'\"")
	}
	return nil
}

func (d *deviceList) Run(ctx context.Context, env command.Env) error {
	if d.Admin {
		return d.administered(ctx, env)
	}
	c, _, err := d.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	var more []string
	if d.Tag != "" {
		more = append(more, "machineTags/any(t: t eq "+literal(d.Tag)+")")
	}
	machines, err := c.Machines(ctx, d.of(more...))
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

type deviceShow struct {
	Device string `arg:"" help:"The device: its id, full name or host name."`
	Admin  bool   `help:"As it is administered, by its id: keys, clones, twins. It takes the permission Swab.Administer."`
	connection
	output
}

func (d *deviceShow) Run(ctx context.Context, env command.Env) error {
	if d.Admin {
		return d.administer(ctx, env, d.output, d.Device, func(c *client.Client) (client.Device, error) { return c.Device(ctx, d.Device) })
	}
	return d.ofDevice(ctx, env, d.output, d.Device, func(c *client.Client) (client.Machine, error) { return c.Machine(ctx, d.Device) })
}

type deviceTag struct {
	Device string `arg:"" help:"The device: its id, full name or host name."`
	Tag    string `arg:"" help:"The tag."`
	Remove bool   `help:"Take the tag away."`
	connection
	output
}

func (*deviceTag) Help() string {
	return "Gives a device a tag, or takes it away. A tag that is there already, or is not there, changes nothing. " + writes
}

func (d *deviceTag) Run(ctx context.Context, env command.Env) error {
	return d.ofDevice(ctx, env, d.output, d.Device, func(c *client.Client) (client.Machine, error) {
		if d.Remove {
			return c.RemoveTag(ctx, d.Device, d.Tag)
		}
		return c.AddTag(ctx, d.Device, d.Tag)
	})
}

type deviceValue struct {
	Device string `arg:"" help:"The device: its id, full name or host name."`
	Value  string `arg:"" enum:"Low,Normal,High" help:"Low, Normal or High."`
	connection
	output
}

func (*deviceValue) Help() string { return "Says what a device is worth to its owner. " + writes }

func (d *deviceValue) Run(ctx context.Context, env command.Env) error {
	return d.ofDevice(ctx, env, d.output, d.Device, func(c *client.Client) (client.Machine, error) {
		return c.SetDeviceValue(ctx, d.Device, d.Value)
	})
}

// writes says what changing a device takes.
const writes = "It takes the permission Machine.ReadWrite.All."

// ofDevice asks something of one device, and shows the device that is answered.
func (c *connection) ofDevice(ctx context.Context, env command.Env, o output, name string, ask func(*client.Client) (client.Machine, error)) error {
	cl, _, err := c.open(env)
	if err != nil {
		return err
	}
	defer cl.Close()
	m, err := ask(cl)
	if err != nil {
		return noSuch("device", name, err)
	}
	return o.print(env.Stdout, m, func(w io.Writer) error { return showDevice(w, m) })
}

func showDevice(w io.Writer, m client.Machine) error {
	pairs := []string{
		"id", m.ID,
		"name", m.Name,
		"system", strings.TrimSpace(m.Platform + " " + m.Version),
		"processor", strings.TrimSpace(m.Processor + " " + m.Architecture),
		"agent", m.AgentVersion,
		"health", m.Health,
		"value", m.Value,
		"risk", m.Risk,
		"exposure", m.Exposure,
		"tags", strings.Join(m.Tags, ", "),
		"enrolled", when(m.FirstSeen),
		"seen", when(m.LastSeen),
		"from", m.LastExternalIP,
	}
	for _, a := range m.Addresses {
		pairs = append(pairs, "address", strings.Join([]string{a.IP, a.Type, a.Status}, "  "))
	}
	return fields(w, append(pairs, "entra id", m.AADDevice)...)
}
