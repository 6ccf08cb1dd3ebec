package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// Machine is a device as the server knows it.
type Machine struct {
	ID             string      `json:"id"` // 40 lower-case hex digits, proved by the device's key
	Name           string      `json:"computerDnsName"`
	FirstSeen      time.Time   `json:"firstSeen"`
	LastSeen       time.Time   `json:"lastSeen"`
	Platform       string      `json:"osPlatform"`
	Version        string      `json:"version"`
	Processor      string      `json:"osProcessor"`
	Architecture   string      `json:"osArchitecture"`
	Build          *int64      `json:"osBuild"`
	LastIP         string      `json:"lastIpAddress"`
	LastExternalIP string      `json:"lastExternalIpAddress"`
	Addresses      []IPAddress `json:"ipAddresses"`
	Health         string      `json:"healthStatus"`
	Onboarding     string      `json:"onboardingStatus"`
	Tags           []string    `json:"machineTags"`
	AgentVersion   string      `json:"agentVersion"`
	Value          string      `json:"deviceValue"`   // Low, Normal or High
	Risk           string      `json:"riskScore"`     // "" until it is set
	Exposure       string      `json:"exposureLevel"` // "" until it is set
	AADDevice      string      `json:"aadDeviceId"`   // id in Microsoft Entra, "" until it is set
}

// IPAddress is an address of one of a device's interfaces.
type IPAddress struct {
	IP     string `json:"ipAddress"`
	MAC    string `json:"macAddress"` // 12 upper-case hex digits
	Status string `json:"operationalStatus"`
	Type   string `json:"type"`
}

// Machines lists devices, the newest first where p does not say another order:
// those of one answer, at most 10,000.
func (c *Client) Machines(ctx context.Context, p Page) ([]Machine, error) {
	return rows[Machine](ctx, c, machinesPath, p.query())
}

// AllMachines yields devices as Machines lists them, all of them where p has no
// Top, and asks for a next answer when it is needed. An error is the last thing
// that it yields.
func (c *Client) AllMachines(ctx context.Context, p Page) iter.Seq2[Machine, error] {
	return all[Machine](ctx, c, machinesPath, p.query())
}

// CountMachines says how many devices a filter of OData selects; "" for all.
func (c *Client) CountMachines(ctx context.Context, filter string) (int64, error) {
	return c.count(ctx, machinesPath, filter)
}

// Machine returns one device, by its id, full name or host name.
func (c *Client) Machine(ctx context.Context, name string) (Machine, error) {
	return c.ofMachine(ctx, http.MethodGet, name, "", nil)
}

// MachinesByIP lists devices that reported an internal address within 15 minutes
// of a time, which may be at most 30 days ago.
func (c *Client) MachinesByIP(ctx context.Context, ip netip.Addr, at time.Time) ([]Machine, error) {
	return rows[Machine](ctx, c, fmt.Sprintf("%s/findbyip(ip='%s',timestamp=%s)", machinesPath, ip.WithZone(""), at.UTC().Format(time.RFC3339)), nil)
}

// MachinesByTag lists devices that have a tag, or with begins one that begins so.
func (c *Client) MachinesByTag(ctx context.Context, tag string, begins bool) ([]Machine, error) {
	q := url.Values{"tag": {tag}, "useStartsWithFilter": {strconv.FormatBool(begins)}}
	return rows[Machine](ctx, c, machinesPath+"/findbytag", q)
}

// tagChange is a tag that comes or goes.
type tagChange struct {
	Value      string
	Action     string
	MachineIDs []string `json:"MachineIds,omitempty"`
}

// AddTag gives a device a tag. One that it has already is no error.
func (c *Client) AddTag(ctx context.Context, device, tag string) (Machine, error) {
	return c.ofMachine(ctx, http.MethodPost, device, "/tags", tagChange{Value: tag, Action: "Add"})
}

// RemoveTag takes a tag from a device. One that it has not is no error.
func (c *Client) RemoveTag(ctx context.Context, device, tag string) (Machine, error) {
	return c.ofMachine(ctx, http.MethodPost, device, "/tags", tagChange{Value: tag, Action: "Remove"})
}

// AddTagToAll gives several devices, named by their ids, a tag: all of them, or
// none where one is not there.
func (c *Client) AddTagToAll(ctx context.Context, devices []string, tag string) ([]Machine, error) {
	return c.tagAll(ctx, tagChange{tag, "Add", devices})
}

// RemoveTagFromAll takes it from several, as AddTagToAll gives it.
func (c *Client) RemoveTagFromAll(ctx context.Context, devices []string, tag string) ([]Machine, error) {
	return c.tagAll(ctx, tagChange{tag, "Remove", devices})
}

func (c *Client) tagAll(ctx context.Context, in tagChange) ([]Machine, error) {
	var out list[Machine]
	err := c.call(ctx, http.MethodPost, machinesPath+"/AddOrRemoveTagForMultipleMachines", nil, in, &out, maxList)
	return out.Value, err
}

// SetDeviceValue says what a device is worth to its owner: Low, Normal or High.
func (c *Client) SetDeviceValue(ctx context.Context, device, value string) (Machine, error) {
	in := struct{ DeviceValue string }{value}
	return c.ofMachine(ctx, http.MethodPost, device, "/setDeviceValue", in)
}

// MachineChange says what of a device shall change: what is nil stays, and a
// pointer to "" takes back what was set.
type MachineChange struct {
	Tags      []string `json:"machineTags,omitzero"` // in place of those that it has; empty and not nil for none
	Value     *string  `json:"deviceValue,omitempty"`
	Risk      *string  `json:"riskScore,omitempty"`     // None, Informational, Low, Medium or High
	Exposure  *string  `json:"exposureLevel,omitempty"` // None, Low, Medium or High
	AADDevice *string  `json:"aadDeviceId,omitempty"`   // a GUID
}

// UpdateMachine changes a device.
func (c *Client) UpdateMachine(ctx context.Context, device string, change MachineChange) (Machine, error) {
	return c.ofMachine(ctx, http.MethodPatch, device, "", change)
}

// AvailableAction says whether a device can be asked for an action.
type AvailableAction struct {
	Action    string `json:"action"`
	Available bool   `json:"isAvailable"` // false where its system or agent can't
}

// AvailableActions lists what a device can be asked for.
func (c *Client) AvailableActions(ctx context.Context, device string) ([]AvailableAction, error) {
	segment, err := segment("device", device)
	if err != nil {
		return nil, err
	}
	return rows[AvailableAction](ctx, c, machinesPath+"/"+segment+"/availableMachineActions", nil)
}

// ofMachine makes a call at a device's address or below it; the answer is the
// device.
func (c *Client) ofMachine(ctx context.Context, method, device, below string, in any) (Machine, error) {
	var out Machine
	segment, err := segment("device", device)
	if err != nil {
		return out, err
	}
	err = c.call(ctx, method, machinesPath+"/"+segment+below, nil, in, &out, maxEntity)
	return out, err
}

const machinesPath = "api/machines"

// segment escapes a name for one segment of a path. Those that a path gives
// another meaning name nothing.
func segment(what, name string) (string, error) {
	if name == "" || name == "." || name == ".." {
		return "", fmt.Errorf("%q names no %s", name, what)
	}
	return url.PathEscape(name), nil
}
