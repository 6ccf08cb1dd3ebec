package store

import (
	"context"
	"strings"
	"time"

	"swab/internal/action"
	"swab/internal/device"
	"swab/internal/odata"
)

// Actions returns those of devices within reach that q selects, newest first where it does not say
// another order.
func (s *Store) Actions(ctx context.Context, tenant string, reach device.Reach, q odata.Query) (odata.Page[action.Action], error) {
	return list(ctx, s, "actions of "+tenant, &actionList, tenant, reach, q)
}

// actionColumns are where the properties of actions are kept.
var actionColumns = map[string]column{
	"id":                    {name: "id", indexed: true},
	"type":                  {constant: action.Type, isConstant: true},
	"requestor":             {name: "requestor", also: "requestor_id", indexed: true, ordered: true},
	"status":                {name: "status", indexed: true, ordered: true},
	"machineId":             {name: "device", indexed: true, ordered: true},
	"computerDnsName":       {name: "device_name"},
	"creationDateTimeUtc":   {name: "created", indexed: true},
	"lastUpdateDateTimeUtc": {name: "updated", indexed: true},
	"lastUpdateTimeUtc":     {name: "updated", indexed: true},
	"externalId":            {name: "external_id", null: true, indexed: true, ordered: true, where: "@ <> ''"},
	"requestSource":         {name: "source", null: true},
}

var actionList = listing[action.Action]{
	table: "actions", grouped: "grouped_actions",
	own: []key[action.Action]{
		{column: "created", desc: true, indexed: true, of: func(a action.Action) any { return ticks(a.Created) }},
		{column: "id", desc: true, of: func(a action.Action) any { return a.ID }},
	},
	sort: map[string]key[action.Action]{
		"id":                    {column: "id", of: func(a action.Action) any { return a.ID }},
		"requestor":             {column: "requestor", of: func(a action.Action) any { return a.Requestor }},
		"status":                {column: "status", of: func(a action.Action) any { return string(a.Status) }},
		"machineId":             {column: "device", of: func(a action.Action) any { return string(a.Device) }},
		"computerDnsName":       {column: "device_name", of: func(a action.Action) any { return a.DeviceName }},
		"creationDateTimeUtc":   {column: "created", indexed: true, of: func(a action.Action) any { return ticks(a.Created) }},
		"lastUpdateDateTimeUtc": {column: "updated", indexed: true, of: func(a action.Action) any { return ticks(a.Updated) }},
		"lastUpdateTimeUtc":     {column: "updated", indexed: true, of: func(a action.Action) any { return ticks(a.Updated) }},
		"externalId":            {column: "external_id", of: func(a action.Action) any { return a.ExternalID }},
		"requestSource":         {column: "source", of: func(a action.Action) any { return a.Source }},
	},
	selected: strings.ReplaceAll(strings.TrimPrefix(selectAction, "SELECT "), "a.", "x."),
	beside:   " JOIN audit_entries e ON e.id = x.entry AND e.tenant = x.tenant",
	scan:     scanAction,
	columns:  func(time.Time, []device.Group) map[string]column { return actionColumns },
	ofGroup:  func(*odata.Property) bool { return false },
	groups:   groupsOfActions,
	property: func(a action.Action, _ device.Group, p *odata.Property, _ time.Time) any { return a.Property(p) },
}
