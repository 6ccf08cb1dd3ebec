package api

import (
	"context"
	"encoding/json"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/fleet"
	"swab/internal/odata"
)

// devices is what the API asks of the core about devices, what is collected
// from them apart; *fleet.Fleet satisfies it, by the same rules as operations.
type devices interface {
	Get(ctx context.Context, who auth.Caller, name string) (device.Device, error)
	List(ctx context.Context, who auth.Caller, read func() (odata.Query, error)) (odata.Page[device.Device], error)
	ByAddress(ctx context.Context, who auth.Caller, what func() (netip.Addr, time.Time, error)) ([]device.Device, error)
	ByTag(ctx context.Context, who auth.Caller, what func() (tag string, begins bool, err error)) ([]device.Device, error)
	Update(ctx context.Context, who auth.Caller, name string, right auth.Right, read func() (fleet.Change, error)) (device.Device, error)
	UpdateMany(ctx context.Context, who auth.Caller, read func() ([]string, fleet.Change, error)) ([]device.Device, error)
}

// findByIP answers findbyip(ip='…',timestamp=…).
func (a *API) findByIP(ctx context.Context, c *call) (reply, error) {
	found, err := a.Fleet.ByAddress(ctx, c.who, func() (netip.Addr, time.Time, error) {
		given, err := arguments(c.path["arguments"])
		if err == nil {
			err = c.plain()
		}
		if err != nil {
			return netip.Addr{}, time.Time{}, err
		}
		return addressAndTime(given)
	})
	return c.machines(found, a.Now()), err
}

func addressAndTime(given map[string]string) (netip.Addr, time.Time, error) {
	for _, name := range []string{"ip", "timestamp"} {
		if given[name] == "" {
			return netip.Addr{}, time.Time{}, fault.MissingParameter.Errorf(nil, "The parameter %s is missing: ask for findbyip(ip='10.0.0.4',timestamp=2026-01-22T08:44:05Z)", name)
		}
	}
	address, err := netip.ParseAddr(given["ip"])
	if err != nil {
		return netip.Addr{}, time.Time{}, fault.InvalidIPAddress.Errorf(err, "The IP address '%s' is none", clip(given["ip"]))
	}
	at, err := time.Parse(time.RFC3339, given["timestamp"])
	if err != nil {
		return netip.Addr{}, time.Time{}, fault.InvalidInput.Errorf(err, "The timestamp '%s' is not of the form 2026-01-22T08:44:05Z", clip(given["timestamp"]))
	}
	return address, at, nil
}

// arguments reads the arguments of a function in a path: names with values, a
// value in quotes or without, in any order. Names are in lower case.
func arguments(text string) (map[string]string, error) {
	found := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(part, "=")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if n := len(value); n >= 2 && value[0] == '\'' && value[n-1] == '\'' {
			value = value[1 : n-1]
		}
		if _, twice := found[name]; !ok || twice {
			return nil, fault.InvalidInput.Errorf(nil, "The arguments (%s) are not of the form (name='value',name=value)", clip(text))
		}
		found[name] = value
	}
	return found, nil
}

// findByTag answers findbytag?tag=…&useStartsWithFilter=….
func (a *API) findByTag(ctx context.Context, c *call) (reply, error) {
	found, err := a.Fleet.ByTag(ctx, c.who, func() (tag string, begins bool, err error) {
		if err := c.plain(); err != nil {
			return "", false, err
		}
		return tagAsked(c.r.URL.RawQuery)
	})
	return c.machines(found, a.Now()), err
}

// tagAsked reads the query of findbytag. As in that of a list, a ; in it is a
// character like others, names are known in any case, and none may come twice.
func tagAsked(query string) (tag string, begins bool, err error) {
	given := map[string]string{}
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if name = strings.ToLower(name); err == nil && name != "tag" && name != "usestartswithfilter" {
			continue
		}
		if err == nil {
			value, err = url.QueryUnescape(value)
		}
		if err != nil {
			return "", false, fault.InvalidInput.Errorf(err, "The query is not percent-encoded rightly")
		}
		if _, twice := given[name]; twice {
			return "", false, fault.InvalidInput.Errorf(nil, "The parameter %s stands in the query twice", name)
		}
		given[name] = value
	}
	switch said := given["usestartswithfilter"]; strings.ToLower(said) {
	case "true":
		begins = true
	case "false", "":
	default:
		return "", false, fault.InvalidInput.Errorf(nil, "useStartsWithFilter is true or false, not '%s'", clip(said))
	}
	if given["tag"] == "" {
		return "", false, fault.MissingParameter.Errorf(nil, "The parameter tag is missing")
	}
	return given["tag"], begins, nil
}

// tags adds or removes a tag of a machine.
func (a *API) tags(ctx context.Context, c *call) (reply, error) {
	d, err := a.Fleet.Update(ctx, c.who, c.path["machine"], auth.TagMachine, func() (fleet.Change, error) {
		if err := c.plain(); err != nil {
			return fleet.Change{}, err
		}
		body, err := c.properties(false, "Value", "Action")
		if err != nil {
			return fleet.Change{}, err
		}
		return tagChange(body)
	})
	return c.machine(d, a.Now()), err
}

// tagMany adds or removes a tag of several machines.
func (a *API) tagMany(ctx context.Context, c *call) (reply, error) {
	changed, err := a.Fleet.UpdateMany(ctx, c.who, func() ([]string, fleet.Change, error) {
		if err := c.plain(); err != nil {
			return nil, fleet.Change{}, err
		}
		body, err := c.properties(false, "Value", "Action", "MachineIds")
		if err != nil {
			return nil, fleet.Change{}, err
		}
		change, err := tagChange(body)
		if err != nil {
			return nil, fleet.Change{}, err
		}
		raw, there := body["MachineIds"]
		if !there {
			return nil, fleet.Change{}, missing("MachineIds")
		}
		ids, err := texts(raw)
		if err != nil {
			return nil, fleet.Change{}, bad("MachineIds %s", err)
		}
		return ids, change, nil
	})
	return c.machines(changed, a.Now()), err
}

// tagChange is what Value and Action of a body ask for.
func tagChange(body map[string]json.RawMessage) (fleet.Change, error) {
	said := map[string]string{}
	for _, name := range []string{"Value", "Action"} {
		raw, there := body[name]
		if !there {
			return fleet.Change{}, missing(name)
		}
		value, err := text(raw)
		if err != nil {
			return fleet.Change{}, bad("%s %s", name, err)
		}
		if strings.TrimSpace(value) == "" {
			return fleet.Change{}, missing(name)
		}
		said[name] = value
	}
	switch strings.ToLower(said["Action"]) {
	case "add":
		return fleet.Change{Add: said["Value"]}, nil
	case "remove":
		return fleet.Change{Remove: said["Value"]}, nil
	}
	return fleet.Change{}, fault.InvalidInput.Errorf(nil, "Action is Add or Remove, not '%s'", clip(said["Action"]))
}

func missing(name string) error { return fault.MissingParameter.Errorf(nil, "%s is missing", name) }

// setDeviceValue says how dear a machine is.
func (a *API) setDeviceValue(ctx context.Context, c *call) (reply, error) {
	d, err := a.Fleet.Update(ctx, c.who, c.path["machine"], auth.TagMachine, func() (fleet.Change, error) {
		if err := c.plain(); err != nil {
			return fleet.Change{}, err
		}
		body, err := c.fields(false, "DeviceValue")
		if err != nil {
			return fleet.Change{}, err
		}
		value, there := body["DeviceValue"]
		if !there || strings.TrimSpace(value) == "" {
			return fleet.Change{}, missing("DeviceValue")
		}
		return fleet.Change{Value: &value}, nil
	})
	return c.machine(d, a.Now()), err
}

// updateMachine changes those properties of a machine that the body has. Tags
// replace those that were there. riskScore, exposureLevel and aadDeviceId can be
// said here alone; "" takes back what was said.
func (a *API) updateMachine(ctx context.Context, c *call) (reply, error) {
	d, err := a.Fleet.Update(ctx, c.who, c.path["machine"], auth.UpdateMachine, func() (fleet.Change, error) {
		var change fleet.Change
		if err := c.plain(); err != nil {
			return change, err
		}
		fields := map[string]**string{
			"deviceValue": &change.Value, "riskScore": &change.Risk, "exposureLevel": &change.Exposure, "aadDeviceId": &change.AADDevice,
		}
		body, err := c.properties(false, "machineTags", "deviceValue", "riskScore", "exposureLevel", "aadDeviceId")
		if err != nil {
			return change, err
		}
		for name, raw := range body {
			if name == "machineTags" {
				if change.Tags, err = texts(raw); err != nil {
					return change, bad("%s %s", name, err)
				}
				continue
			}
			value, err := text(raw)
			if err != nil {
				return change, bad("%s %s", name, err)
			}
			*fields[name] = &value
		}
		return change, nil
	})
	return c.machine(d, a.Now()), err
}

// machines is an answer that lists devices, machine one that is a device.
func (c *call) machines(found []device.Device, now time.Time) reply {
	list := collection[machine]{Context: c.metadata("Machines"), Value: []machine{}}
	for _, d := range found {
		list.Value = append(list.Value, machineOf(d, now))
	}
	return reply{body: list}
}

func (c *call) machine(d device.Device, now time.Time) reply {
	m := machineOf(d, now)
	m.Context = c.metadata("Machines/$entity")
	return reply{body: m}
}
