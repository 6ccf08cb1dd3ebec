package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"swab/client"
	"swab/internal/command"
	"swab/internal/device"
)

// reach is who reaches the devices of a group.
type reach struct {
	Group []string `help:"A user group that reaches its devices, by name or id; once for each." sep:"none" placeholder:"GROUP"`
	Open  bool     `help:"In place of --group: everybody who has a role reaches its devices."`
}

func (r reach) given() bool { return len(r.Group) > 0 || r.Open }

// check refuses both. A group that is open because nothing was said of it would be
// a hole.
func (r reach) check(needed bool) error {
	switch {
	case len(r.Group) > 0 && r.Open:
		return errors.New("--open: its devices are reached by everybody who has a role, or by those of --group")
	case needed && !r.given():
		return errors.New("who reaches its devices? give --group for each user group, or --open for everybody who has a role")
	}
	return nil
}

// ruled is which devices are in a group.
type ruled struct {
	Rule []string `help:"Which devices are in it, as 'os equals Linux,Debian' or 'tag startsWith prod'; once for each condition, all of which have to hold. Properties: deviceName, domain, tag, os; operators: equals, startsWith, endsWith, contains." sep:"none" placeholder:"CONDITION"`
}

// conditions are those of the rule, as the API has them.
func (r ruled) conditions() ([]client.Condition, error) {
	rule, err := parseRule(r.Rule)
	if err != nil {
		return nil, err
	}
	return conditionsOf(rule), nil
}

func conditionsOf(rule device.Rule) []client.Condition {
	list := make([]client.Condition, len(rule))
	for i, c := range rule {
		list[i] = client.Condition{Property: string(c.Property), Operator: string(c.Operator), Values: c.Values}
	}
	return list
}

func ruleOf(conditions []client.Condition) device.Rule {
	var rule device.Rule
	for _, c := range conditions {
		rule = append(rule, device.Condition{Property: device.Property(c.Property), Operator: device.Operator(c.Operator), Values: c.Values})
	}
	return rule
}

type deviceGroupCreate struct {
	Name        string `arg:"" help:"What it is called: each name once, without regard to upper and lower case."`
	Description string `help:"What it is for." placeholder:"TEXT"`
	Rank        int    `help:"Its rank: 1 is the highest, and those of it and below move down. Default: the last before the default group." placeholder:"N"`
	ruled
	reach
	connection
	output
}

func (*deviceGroupCreate) Help() string {
	return "Makes a device group. A device is in the group of the highest rank whose rule it matches, from the next request on; those that match none are in \"" + device.DefaultGroupName + "\". " +
		"swab device-group preview shows beforehand which devices a rule matches." + administers
}

// Check judges the settings together.
func (g *deviceGroupCreate) Check() error {
	_, err := parseRule(g.Rule)
	return errors.Join(err, g.check(true))
}

func (g *deviceGroupCreate) Run(ctx context.Context, env command.Env) error {
	rule, err := g.conditions()
	if err != nil {
		return err
	}
	c, _, err := g.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	groups, err := userGroupIDs(ctx, c, g.Group)
	if err != nil {
		return err
	}
	made, err := c.CreateDeviceGroup(ctx, client.DeviceGroupRequest{Name: g.Name, Description: g.Description, Rank: g.Rank, Rule: rule, UserGroups: groups})
	if err != nil {
		return err
	}
	return g.showDeviceGroup(ctx, env, c, made)
}

func (o output) showDeviceGroup(ctx context.Context, env command.Env, c *client.Client, g client.DeviceGroup) error {
	if o.JSON {
		return o.print(env.Stdout, g, nil)
	}
	names, err := userGroupNames(ctx, c)
	if err != nil {
		return err
	}
	pairs := []string{"id", strconv.FormatInt(g.ID, 10), "name", g.Name, "description", g.Description, "rank", rankOf(g)}
	for _, condition := range ruleText(ruleOf(g.Rule)) {
		pairs = append(pairs, "rule", condition)
	}
	for _, name := range names.of(g.UserGroups) {
		pairs = append(pairs, "user group", name)
	}
	if len(g.UserGroups) == 0 {
		pairs = append(pairs, "open to", everybody)
	}
	return fields(env.Stdout, pairs...)
}

// everybody is who reaches the devices of a group that names no user group.
const everybody = "everybody who has a role"

func rankOf(g client.DeviceGroup) string {
	if g.Rank == 0 {
		return "last"
	}
	return strconv.Itoa(g.Rank)
}

type deviceGroupList struct {
	connection
	output
}

func (*deviceGroupList) Help() string {
	return "Lists device groups in the order of their ranks, the default group last." + administers
}

func (l *deviceGroupList) Run(ctx context.Context, env command.Env) error {
	c, _, err := l.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	groups, err := c.DeviceGroups(ctx)
	if err != nil {
		return err
	}
	return l.listDeviceGroups(ctx, env, c, groups)
}

func (o output) listDeviceGroups(ctx context.Context, env command.Env, c *client.Client, groups []client.DeviceGroup) error {
	if o.JSON {
		return o.print(env.Stdout, groups, nil)
	}
	names, err := userGroupNames(ctx, c)
	if err != nil {
		return err
	}
	rows := make([][]string, len(groups))
	for i, g := range groups {
		who := names.joined(g.UserGroups)
		if len(g.UserGroups) == 0 {
			who = "(" + everybody + ")"
		}
		rows[i] = []string{rankOf(g), strconv.FormatInt(g.ID, 10), g.Name, strings.Join(ruleText(ruleOf(g.Rule)), " and "), who}
	}
	return table(env.Stdout, "RANK ID NAME RULE GROUPS", rows)
}

// oneDeviceGroup is the device group of a command.
type oneDeviceGroup struct {
	DeviceGroup string `arg:"" name:"group" help:"The device group's name or id."`
	connection
	output
}

// of asks something of the device group, and shows it.
func (g *oneDeviceGroup) of(ctx context.Context, env command.Env, ask func(*client.Client, client.DeviceGroup) (client.DeviceGroup, error)) error {
	c, _, err := g.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	group, err := deviceGroupNamed(ctx, c, g.DeviceGroup)
	if err == nil {
		group, err = ask(c, group)
	}
	if err != nil {
		return err
	}
	return g.showDeviceGroup(ctx, env, c, group)
}

type deviceGroupShow struct{ oneDeviceGroup }

func (*deviceGroupShow) Help() string { return "Shows a device group." + administers }

func (g *deviceGroupShow) Run(ctx context.Context, env command.Env) error {
	return g.of(ctx, env, func(_ *client.Client, group client.DeviceGroup) (client.DeviceGroup, error) { return group, nil })
}

type deviceGroupChange struct {
	oneDeviceGroup
	renamed
	ruled
	reach
}

func (*deviceGroupChange) Help() string {
	return "Changes a device group; the conditions and user groups that are given take the place of all that it has. Of the default group the description and the user groups can be changed." + administers
}

// Check judges the settings together.
func (g *deviceGroupChange) Check() error {
	if !g.renamed.given() && len(g.Rule) == 0 && !g.reach.given() {
		return errors.New("give --name, --description, --rule, --group or --open: what shall change?")
	}
	var err error
	if len(g.Rule) > 0 {
		_, err = parseRule(g.Rule)
	}
	return errors.Join(err, g.check(false))
}

func (g *deviceGroupChange) Run(ctx context.Context, env command.Env) error {
	return g.of(ctx, env, func(c *client.Client, group client.DeviceGroup) (client.DeviceGroup, error) {
		change := client.DeviceGroupChange{Name: g.Name, Description: g.Description}
		if len(g.Rule) > 0 {
			rule, err := g.conditions()
			if err != nil {
				return group, err
			}
			change.Rule = &rule
		}
		if g.reach.given() {
			groups, err := userGroupIDs(ctx, c, g.Group)
			if err != nil {
				return group, err
			}
			change.UserGroups = &groups
		}
		return c.ChangeDeviceGroup(ctx, group.ID, change)
	})
}

type deviceGroupMove struct {
	DeviceGroup string `arg:"" name:"group" help:"The device group's name or id."`
	Rank        int    `arg:"" help:"Its new rank: 1 is the highest. Those between move up or down."`
	connection
	output
}

func (*deviceGroupMove) Help() string {
	return "Gives a device group another rank. Devices that match the rules of several groups are in the highest of them, and so may change groups." + administers
}

func (g *deviceGroupMove) Run(ctx context.Context, env command.Env) error {
	one := oneDeviceGroup{g.DeviceGroup, g.connection, g.output}
	return one.of(ctx, env, func(c *client.Client, group client.DeviceGroup) (client.DeviceGroup, error) {
		return c.ChangeDeviceGroup(ctx, group.ID, client.DeviceGroupChange{Rank: &g.Rank})
	})
}

type deviceGroupDelete struct{ oneDeviceGroup }

func (*deviceGroupDelete) Help() string {
	return "Deletes a device group, and shows it as it was. Its devices are in the next group whose rule they match, and may so be reached by others." + administers
}

func (g *deviceGroupDelete) Run(ctx context.Context, env command.Env) error {
	return g.of(ctx, env, func(c *client.Client, group client.DeviceGroup) (client.DeviceGroup, error) {
		return c.DeleteDeviceGroup(ctx, group.ID)
	})
}

type deviceGroupPreview struct {
	ruled
	connection
	output
}

func (*deviceGroupPreview) Help() string {
	return "Shows which devices a rule matches, without making anything: how many, and those that were enrolled last. Device groups that are there do not count: of a higher rank, they may have some of these." + administers
}

// Check judges the settings together.
func (p *deviceGroupPreview) Check() error {
	_, err := parseRule(p.Rule)
	return err
}

func (p *deviceGroupPreview) Run(ctx context.Context, env command.Env) error {
	rule, err := p.conditions()
	if err != nil {
		return err
	}
	c, _, err := p.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	preview, err := c.PreviewRule(ctx, rule)
	if err != nil {
		return err
	}
	return p.print(env.Stdout, preview, func(w io.Writer) error {
		atLeast := ""
		if !preview.Complete {
			atLeast = "at least "
		}
		if _, err := fmt.Fprintf(w, "%s%s\n", atLeast, count(int(preview.Count), "device")); err != nil || len(preview.Devices) == 0 {
			return err
		}
		rows := make([][]string, len(preview.Devices))
		for i, d := range preview.Devices {
			rows[i] = []string{d.ID, d.Name, d.Platform, strings.Join(d.Tags, ", ")}
		}
		fmt.Fprintln(w)
		return table(w, "ID NAME SYSTEM TAGS", rows)
	})
}
