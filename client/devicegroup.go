package client

import (
	"context"
	"net/http"
	"strconv"
)

// DeviceGroup is the devices that match a rule and none of a higher rank, and the
// user groups that reach them.
type DeviceGroup struct {
	ID          int64       `json:"id"` // 0: the default group, of the devices that match no rule
	Name        string      `json:"name"`
	Description string      `json:"description"`
	Rank        int         `json:"rank"`       // 1 is the highest; 0: the default group, which comes last
	Rule        []Condition `json:"rule"`       // all of which hold
	UserGroups  []string    `json:"userGroups"` // ids; none: whoever has a role reaches the devices
}

// Condition asks something of one property of a device: any one of the values
// has to fit.
type Condition struct {
	Property string   `json:"property"` // deviceName, domain, tag or os
	Operator string   `json:"operator"` // equals, startsWith, endsWith or contains
	Values   []string `json:"values"`
}

// DeviceGroupRequest asks for a device group.
type DeviceGroupRequest struct {
	Name        string      `json:"name"`
	Description string      `json:"description,omitempty"`
	Rank        int         `json:"rank,omitempty"` // those of it and below move down; 0: the last before the default group
	Rule        []Condition `json:"rule"`
	UserGroups  []string    `json:"userGroups,omitempty"`
}

// DeviceGroupChange is what is to become of a device group; nil: as it was.
type DeviceGroupChange struct {
	Name        *string      `json:"name,omitempty"`
	Description *string      `json:"description,omitempty"`
	Rank        *int         `json:"rank,omitempty"`
	Rule        *[]Condition `json:"rule,omitempty"`
	UserGroups  *[]string    `json:"userGroups,omitempty"`
}

const deviceGroupsPath = "api/admin/v1/deviceGroups"

// DeviceGroups lists the tenant's device groups in the order of their ranks, the
// default group last.
func (c *Client) DeviceGroups(ctx context.Context) ([]DeviceGroup, error) {
	return rows[DeviceGroup](ctx, c, deviceGroupsPath, nil)
}

// DeviceGroup returns one device group.
func (c *Client) DeviceGroup(ctx context.Context, id int64) (DeviceGroup, error) {
	return c.ofDeviceGroup(ctx, http.MethodGet, id, nil)
}

// CreateDeviceGroup makes a device group.
func (c *Client) CreateDeviceGroup(ctx context.Context, r DeviceGroupRequest) (DeviceGroup, error) {
	var out DeviceGroup
	err := c.call(ctx, http.MethodPost, deviceGroupsPath, nil, r, &out, maxEntity)
	return out, err
}

// ChangeDeviceGroup changes a device group; of the default one the description
// and the user groups alone.
func (c *Client) ChangeDeviceGroup(ctx context.Context, id int64, change DeviceGroupChange) (DeviceGroup, error) {
	return c.ofDeviceGroup(ctx, http.MethodPatch, id, change)
}

// DeleteDeviceGroup deletes a device group, and returns it as it was.
func (c *Client) DeleteDeviceGroup(ctx context.Context, id int64) (DeviceGroup, error) {
	return c.ofDeviceGroup(ctx, http.MethodDelete, id, nil)
}

func (c *Client) ofDeviceGroup(ctx context.Context, method string, id int64, in any) (DeviceGroup, error) {
	var out DeviceGroup
	err := c.of(ctx, method, deviceGroupsPath, "device group", strconv.FormatInt(id, 10), "", in, &out)
	return out, err
}

// RulePreview is what a rule matches, whatever device groups there are.
type RulePreview struct {
	Count    int64             `json:"count"`
	Complete bool              `json:"complete"` // false: there may be more than were counted
	Devices  []PreviewedDevice `json:"devices"`  // the one enrolled last first, at most 10
}

// PreviewedDevice is a device with what rules look at.
type PreviewedDevice struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Platform string   `json:"osPlatform"`
	Tags     []string `json:"tags"`
}

// PreviewRule says which devices a rule would match.
func (c *Client) PreviewRule(ctx context.Context, rule []Condition) (RulePreview, error) {
	var out RulePreview
	in := struct {
		Rule []Condition `json:"rule"`
	}{rule}
	err := c.call(ctx, http.MethodPost, deviceGroupsPath+"/preview", nil, in, &out, maxEntity)
	return out, err
}

// OrderDeviceGroups gives the device groups the ranks in which they are named:
// all of them but the default one. It returns them as they are then.
func (c *Client) OrderDeviceGroups(ctx context.Context, ids []int64) ([]DeviceGroup, error) {
	var out list[DeviceGroup]
	in := struct {
		IDs []int64 `json:"ids"`
	}{append([]int64{}, ids...)}
	err := c.call(ctx, http.MethodPost, deviceGroupsPath+"/order", nil, in, &out, maxList)
	return out.Value, err
}
