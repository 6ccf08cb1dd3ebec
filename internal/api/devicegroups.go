package api

import (
	"context"
	"net/http"
	"strconv"

	"swab/internal/access"
	"swab/internal/auth"
	"swab/internal/device"
)

// deviceGroup is a device group as administrators see it.
type deviceGroup struct {
	ID          int64       `json:"id"` // rbacGroupId of its devices; 0: the default group
	Name        string      `json:"name"`
	Description string      `json:"description"`
	Rank        *int        `json:"rank"` // 1 is the highest; null: the default group, which comes last
	Rule        device.Rule `json:"rule"` // all conditions hold for its devices; none: the default group
	UserGroups  []string    `json:"userGroups"`
}

func deviceGroupOf(g device.Group) deviceGroup {
	shown := deviceGroup{
		ID: g.ID, Name: g.Name, Description: g.Description, Rule: append(device.Rule{}, g.Rule...), UserGroups: append([]string{}, g.UserGroups...),
	}
	if g.ID != device.DefaultGroup {
		shown.Rank = &g.Rank
	}
	return shown
}

func (a *API) deviceGroups(ctx context.Context, c *call) (reply, error) {
	groups, err := a.Register.DeviceGroups(ctx, c.who)
	if err == nil {
		err = c.plain()
	}
	return deviceGroupsOf(groups, err)
}

func deviceGroupsOf(groups []device.Group, err error) (reply, error) {
	if err != nil {
		return reply{}, err
	}
	list := listed[deviceGroup]{Value: []deviceGroup{}}
	for _, g := range groups {
		list.Value = append(list.Value, deviceGroupOf(g))
	}
	return reply{body: list}, nil
}

func (a *API) deviceGroup(ctx context.Context, c *call) (reply, error) {
	found, err := a.Register.DeviceGroup(ctx, c.who, c.id("deviceGroup"))
	if err == nil {
		err = c.plain()
	}
	return oneDeviceGroup(found, err)
}

func oneDeviceGroup(g device.Group, err error) (reply, error) {
	if err != nil {
		return reply{}, err
	}
	return reply{body: deviceGroupOf(g)}, nil
}

// deviceGroupProperties are what a device group is asked for with.
var deviceGroupProperties = []string{"name", "description", "rank", "rule", "userGroups"}

// rule is a list of conditions, nil where it is missing or null. What a
// condition says is for the core to judge.
func (f *form) rule(name string) device.Rule {
	var rule device.Rule
	for _, one := range f.objects(name, "property", "operator", "values") {
		rule = append(rule, device.Condition{
			Property: device.Property(one.text("property")), Operator: device.Operator(one.text("operator")), Values: one.texts("values"),
		})
		if f.err == nil {
			f.err = one.err
		}
	}
	return rule
}

func (a *API) createDeviceGroup(ctx context.Context, c *call) (reply, error) {
	made, err := a.Register.CreateDeviceGroup(ctx, c.who, func() (access.NewDeviceGroup, error) {
		f := c.form(false, deviceGroupProperties...)
		n := access.NewDeviceGroup{
			Name: f.text("name"), Description: f.text("description"), Rank: f.count("rank"), Rule: f.rule("rule"), Groups: f.texts("userGroups"),
		}
		return n, f.err
	})
	if err != nil {
		return reply{}, err
	}
	return reply{
		status: http.StatusCreated, location: c.root + "/admin/v1/deviceGroups/" + strconv.FormatInt(made.ID, 10), body: deviceGroupOf(made),
	}, nil
}

func (a *API) changeDeviceGroup(ctx context.Context, c *call) (reply, error) {
	return oneDeviceGroup(a.Register.ChangeDeviceGroup(ctx, c.who, c.id("deviceGroup"), func() (access.DeviceGroupChange, error) {
		f := c.form(false, deviceGroupProperties...)
		n := access.DeviceGroupChange{
			Naming: naming(f), Rank: wanted(f, "rank", f.count), Rule: wanted(f, "rule", f.rule), Groups: wanted(f, "userGroups", f.texts),
		}
		return n, f.err
	}))
}

func (a *API) deleteDeviceGroup(ctx context.Context, c *call) (reply, error) {
	if err := c.bare(auth.AdministerAccess); err != nil {
		return reply{}, err
	}
	return oneDeviceGroup(a.Register.DeleteDeviceGroup(ctx, c.who, c.id("deviceGroup")))
}

// rulePreview is what a rule matches.
type rulePreview struct {
	Count    int64             `json:"count"`
	Complete bool              `json:"complete"` // false: there may be more than were counted
	Devices  []previewedDevice `json:"devices"`  // the one enrolled last first, at most access.MaxPreview
}

// previewedDevice is a device with what rules look at.
type previewedDevice struct {
	ID       device.ID `json:"id"`
	Name     string    `json:"name"`
	Platform string    `json:"osPlatform"`
	Tags     []string  `json:"tags"`
}

func (a *API) previewRule(ctx context.Context, c *call) (reply, error) {
	found, err := a.Register.PreviewRule(ctx, c.who, func() (device.Rule, error) {
		f := c.form(false, "rule")
		rule := f.rule("rule")
		return rule, f.err
	})
	if err != nil {
		return reply{}, err
	}
	shown := rulePreview{Count: found.Count, Complete: found.Whole, Devices: []previewedDevice{}}
	for _, d := range found.Devices {
		shown.Devices = append(shown.Devices, previewedDevice{ID: d.ID, Name: d.Facts.Name, Platform: d.Facts.Platform, Tags: append([]string{}, d.Tags...)})
	}
	return reply{body: shown}, nil
}

// orderDeviceGroups gives the device groups the ranks in which the body names
// them.
func (a *API) orderDeviceGroups(ctx context.Context, c *call) (reply, error) {
	return deviceGroupsOf(a.Register.OrderDeviceGroups(ctx, c.who, func() ([]int64, error) {
		f := c.form(false, "ids")
		ids := f.numbers("ids")
		return ids, f.err
	}))
}
