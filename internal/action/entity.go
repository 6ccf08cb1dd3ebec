package action

import (
	"swab/internal/device"
	"swab/internal/odata"
)

// Entity is what the list of actions can be asked for: every property that the
// API shows, in its order. The types beside our one are Defender's, which
// clients ask for.
var Entity = odata.Entity{Name: "machine actions", Properties: []odata.Property{
	{Name: "id", Type: odata.GUID, Filter: true, Sort: true},
	{Name: "type", Type: odata.Enum, Open: true, Filter: true, Values: []string{
		Type, "RunAntiVirusScan", "Offboard", "LiveResponse", "Isolate", "Unisolate", "StopAndQuarantineFile",
		"RestrictCodeExecution", "UnrestrictCodeExecution", "RequestSample", "Unknown",
	}},
	{Name: "title"},
	{Name: "requestor", Filter: true, Sort: true},
	{Name: "requestorComment"},
	{Name: "status", Type: odata.Enum, Filter: true, Sort: true, Values: []string{
		string(Pending), string(InProgress), string(Succeeded), string(Failed), string(TimeOut), string(Cancelled), "Canceled=" + string(Cancelled),
	}},
	{Name: "machineId", Fold: true, Filter: true, Sort: true},
	{Name: "computerDnsName", Fold: true, Filter: true, Sort: true},
	{Name: "creationDateTimeUtc", Type: odata.Time, Filter: true, Sort: true},
	{Name: "lastUpdateDateTimeUtc", Type: odata.Time, Filter: true, Sort: true},
	{Name: "lastUpdateTimeUtc", Type: odata.Time, Filter: true, Sort: true},
	{Name: "cancellationRequestor"},
	{Name: "cancellationComment"},
	{Name: "cancellationDateTimeUtc", Type: odata.Time},
	{Name: "errorHResult", Type: odata.Int},
	{Name: "scope"},
	{Name: "externalId", Filter: true, Sort: true},
	{Name: "requestSource", Filter: true, Sort: true},
	{Name: "relatedFileInfo", Type: odata.Object},
	{Name: "commands", Type: odata.Object},
	{Name: "troubleshootInfo"},
}}

// Property is the value by which an action is filtered, as odata.Match wants it.
func (a Action) Property(p *odata.Property) any {
	switch p.Name {
	case "id":
		return a.ID
	case "type":
		return Type
	case "requestor":
		return []string{a.Requestor, a.RequestorID}
	case "status":
		return string(a.Status)
	case "machineId":
		return string(a.Device)
	case "computerDnsName":
		return a.DeviceName
	case "creationDateTimeUtc":
		return a.Created
	case "lastUpdateDateTimeUtc", "lastUpdateTimeUtc":
		return a.Updated
	case "externalId":
		return odata.Given(a.ExternalID)
	case "requestSource":
		return odata.Given(a.Source)
	}
	panic("action: nothing is known of the property " + p.Name)
}

// of is a query that selects only the actions of a device.
func of(id device.ID, q odata.Query) odata.Query {
	only := &odata.Compare{Operand: odata.Operand{Property: Entity.Find("machineId")}, Value: string(id)}
	if q.Filter == nil {
		q.Filter = only
	} else {
		q.Filter = &odata.And{Terms: []odata.Expr{only, q.Filter}}
	}
	return q
}
