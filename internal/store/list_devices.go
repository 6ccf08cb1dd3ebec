package store

import (
	"context"
	"strings"
	"time"

	"swab/internal/device"
	"swab/internal/fleet"
	"swab/internal/odata"
)

// MaxDevices is the most devices that one list holds.
const MaxDevices = odata.MaxTop

// Devices returns a tenant's devices within reach that q selects, the one enrolled last first
// where it does not say another order.
func (s *Store) Devices(ctx context.Context, tenant string, reach device.Reach, q odata.Query) (odata.Page[device.Device], error) {
	return list(ctx, s, "devices of "+tenant, &deviceList, tenant, reach, q)
}

// deviceColumnsAt are where the properties of devices are kept, or what they are
// made of at a moment, where there are these device groups.
func deviceColumnsAt(now time.Time, groups []device.Group) map[string]column {
	return map[string]column{
		"id":                    {name: "id", indexed: true},
		"computerDnsName":       {name: "name", indexed: true, ordered: true},
		"firstSeen":             {name: "first_seen", indexed: true},
		"lastSeen":              {name: "last_seen", indexed: true},
		"osPlatform":            {name: "platform", indexed: true, ordered: true},
		"version":               {name: "version", null: true, indexed: true, ordered: true},
		"lastIpAddress":         {name: "last_address", null: true, indexed: true, ordered: true},
		"lastExternalIpAddress": {name: "external", null: true, indexed: true, ordered: true},
		"agentVersion":          {name: "agent_version", null: true, indexed: true, ordered: true},
		"healthStatus":          {each: health(now)},
		"deviceValue":           {name: "value", indexed: true, ordered: true, where: "@ <> 'Normal'", others: "Normal"},
		"rbacGroupId":           {groups: groups, group: func(g device.Group) any { return g.ID }},
		"rbacGroupName":         {groups: groups, group: func(g device.Group) any { return fleet.GroupName(g) }},
		"riskScore":             {name: "risk", null: true, indexed: true, ordered: true, where: "@ <> ''"},
		"exposureLevel":         {name: "exposure", null: true, indexed: true, ordered: true, where: "@ <> ''"},
		"aadDeviceId":           {name: "aad_device", null: true, indexed: true, ordered: true, where: "@ <> ''"},
		"onboardingStatus":      {constant: fleet.Onboarded, isConstant: true},
	}
}

// health is device.Device.Health as conditions.
func health(now time.Time) map[string]pred {
	seen := func(sql string, ago time.Duration) pred {
		return &leaf{column: "last_seen", sql: sql, args: []any{ticks(now.Add(-ago))}, indexed: true}
	}
	flag := func(column string) pred { return &leaf{column: column, sql: "@", indexed: true, ordered: true} }
	revoked, retired := flag("revoked"), flag("retired")
	return map[string]pred{
		device.Active:   join(false, []pred{seen("@ >= ?", device.ImpairedAfter), not(revoked), not(retired)}),
		device.Impaired: join(false, []pred{seen("@ < ?", device.ImpairedAfter), seen("@ >= ?", device.InactiveAfter), not(revoked), not(retired)}),
		device.Inactive: join(true, []pred{seen("@ < ?", device.InactiveAfter), revoked, retired}),
	}
}

var deviceList = listing[device.Device]{
	table: "devices", grouped: "grouped_devices",
	own: []key[device.Device]{
		{column: "first_seen", desc: true, indexed: true, of: func(d device.Device) any { return ticks(d.FirstSeen) }},
		{column: "id", desc: true, of: func(d device.Device) any { return string(d.ID) }},
	},
	sort: map[string]key[device.Device]{
		"id":                    {column: "id", indexed: true, of: func(d device.Device) any { return string(d.ID) }},
		"computerDnsName":       {column: "name", indexed: true, of: func(d device.Device) any { return d.Facts.Name }},
		"firstSeen":             {column: "first_seen", indexed: true, of: func(d device.Device) any { return ticks(d.FirstSeen) }},
		"lastSeen":              {column: "last_seen", indexed: true, of: func(d device.Device) any { return ticks(d.LastSeen) }},
		"osPlatform":            {column: "platform", of: func(d device.Device) any { return d.Facts.Platform }},
		"version":               {column: "version", of: func(d device.Device) any { return d.Facts.Version }},
		"lastIpAddress":         {column: "last_address", of: func(d device.Device) any { return d.Facts.LastAddress }},
		"lastExternalIpAddress": {column: "external", of: func(d device.Device) any { return d.External }},
		"agentVersion":          {column: "agent_version", of: func(d device.Device) any { return d.Facts.AgentVersion }},
		"deviceValue":           {column: "value", of: func(d device.Device) any { return d.Value }},
		"riskScore":             {column: "risk", of: func(d device.Device) any { return d.Risk }},
		"exposureLevel":         {column: "exposure", of: func(d device.Device) any { return d.Exposure }},
		"aadDeviceId":           {column: "aad_device", of: func(d device.Device) any { return d.AADDevice }},
	},
	selected: "x." + strings.Join(strings.FieldsFunc(deviceColumns, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' }), ", x."),
	scan:     scanDevice,
	columns:  deviceColumnsAt,
	ofGroup:  func(p *odata.Property) bool { return p.Name == "rbacGroupId" || p.Name == "rbacGroupName" },
	groups:   groupsOfDevices,
	property: func(d device.Device, in device.Group, p *odata.Property, now time.Time) any {
		d.Group = &in
		return fleet.Property(d, p, now)
	},
}
