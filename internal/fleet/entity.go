package fleet

import (
	"time"

	"swab/internal/device"
	"swab/internal/odata"
)

// Entity is what the list of machines can be asked for: every property that the
// API shows, in its order.
var Entity = odata.Entity{Name: "machines", Properties: []odata.Property{
	{Name: "id", Fold: true, Filter: true, Sort: true},
	{Name: "mergedIntoMachineId"},
	{Name: "isPotentialDuplication", Type: odata.Bool},
	{Name: "isExcluded", Type: odata.Bool},
	{Name: "exclusionReason"},
	{Name: "computerDnsName", Fold: true, Filter: true, Sort: true},
	{Name: "firstSeen", Type: odata.Time, Filter: true, Sort: true},
	{Name: "lastSeen", Type: odata.Time, Filter: true, Sort: true},
	{Name: "osPlatform", Filter: true, Sort: true},
	{Name: "osVersion"},
	{Name: "osProcessor"},
	{Name: "version", Filter: true, Sort: true},
	{Name: "lastIpAddress", Filter: true, Sort: true},
	{Name: "lastExternalIpAddress", Filter: true, Sort: true},
	{Name: "agentVersion", Filter: true, Sort: true},
	{Name: "osBuild", Type: odata.Int},
	{Name: "healthStatus", Type: odata.Enum, Filter: true, Values: []string{
		device.Active, device.Inactive, device.Impaired, "NoSensorData", "NoSensorDataImpairedCommunication", "Unknown",
	}},
	{Name: "deviceValue", Type: odata.Enum, Filter: true, Sort: true, Values: values},
	{Name: "rbacGroupId", Type: odata.Int, Filter: true},
	{Name: "rbacGroupName", Filter: true},
	{Name: "riskScore", Type: odata.Enum, Filter: true, Sort: true, Values: risks},
	{Name: "exposureLevel", Type: odata.Enum, Filter: true, Sort: true, Values: exposures},
	{Name: "isAadJoined", Type: odata.Bool},
	{Name: "aadDeviceId", Type: odata.GUID, Filter: true, Sort: true},
	{Name: "machineTags", Type: odata.Strings, Filter: true},
	{Name: "onboardingStatus", Type: odata.Enum, Filter: true, Values: []string{Onboarded, "CanBeOnboarded", "Unsupported", "InsufficientInfo"}},
	{Name: "osArchitecture"},
	{Name: "managedBy"},
	{Name: "managedByStatus"},
	{Name: "ipAddresses", Type: odata.Object},
	{Name: "vmMetadata", Type: odata.Object},
}}

// Onboarded is the onboarding status of every enrolled device.
const Onboarded = "Onboarded"

// GroupName is the name of a device group as it is shown and filtered by: nil for
// the default one, whose devices are in no other.
func GroupName(g device.Group) any {
	if g.ID == device.DefaultGroup {
		return nil
	}
	return g.Name
}

// Property is the value by which a device is filtered, as odata.Match wants it.
func Property(d device.Device, p *odata.Property, now time.Time) any {
	switch p.Name {
	case "id":
		return string(d.ID)
	case "computerDnsName":
		return d.Facts.Name
	case "firstSeen":
		return d.FirstSeen
	case "lastSeen":
		return d.LastSeen
	case "osPlatform":
		return d.Facts.Platform
	case "version":
		return odata.Given(d.Facts.Version)
	case "lastIpAddress":
		return odata.Given(d.Facts.LastAddress)
	case "lastExternalIpAddress":
		return odata.Given(d.External)
	case "agentVersion":
		return odata.Given(d.Facts.AgentVersion)
	case "healthStatus":
		return d.Health(now)
	case "deviceValue":
		return d.Value
	case "rbacGroupId":
		return group(d).ID
	case "rbacGroupName":
		return GroupName(group(d))
	case "riskScore":
		return odata.Given(d.Risk)
	case "exposureLevel":
		return odata.Given(d.Exposure)
	case "aadDeviceId":
		return odata.Given(d.AADDevice)
	case "machineTags":
		return d.Tags
	case "onboardingStatus":
		return Onboarded
	}
	panic("fleet: nothing is known of the property " + p.Name)
}

// group is the device group that a device was found to be in.
func group(d device.Device) device.Group {
	if d.Group == nil {
		return device.Group{ID: device.DefaultGroup, Name: device.DefaultGroupName}
	}
	return *d.Group
}
