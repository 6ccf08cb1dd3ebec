package api

import (
	"context"
	"time"

	"swab/internal/canon"
	"swab/internal/device"
	"swab/internal/fleet"
)

// machine is a device in the form and order of Defender's answers. What is null
// for every device is what Swab does not know of devices.
type machine struct {
	Context          string      `json:"@odata.context,omitempty"` // of a single entity alone
	ID               device.ID   `json:"id"`
	MergedInto       *string     `json:"mergedIntoMachineId"`
	Duplication      bool        `json:"isPotentialDuplication"`
	Excluded         bool        `json:"isExcluded"`
	ExclusionReason  *string     `json:"exclusionReason"`
	ComputerDNSName  string      `json:"computerDnsName"`
	FirstSeen        *string     `json:"firstSeen"`
	LastSeen         *string     `json:"lastSeen"`
	OSPlatform       string      `json:"osPlatform"`
	OSVersion        *string     `json:"osVersion"`
	OSProcessor      *string     `json:"osProcessor"`
	Version          *string     `json:"version"`
	LastIPAddress    *string     `json:"lastIpAddress"`
	LastExternal     *string     `json:"lastExternalIpAddress"`
	AgentVersion     *string     `json:"agentVersion"`
	OSBuild          *int64      `json:"osBuild"`
	HealthStatus     string      `json:"healthStatus"`
	DeviceValue      string      `json:"deviceValue"`
	GroupID          int64       `json:"rbacGroupId"` // 0: in no device group
	GroupName        *string     `json:"rbacGroupName"`
	RiskScore        *string     `json:"riskScore"`
	ExposureLevel    *string     `json:"exposureLevel"`
	AADJoined        bool        `json:"isAadJoined"`
	AADDeviceID      *string     `json:"aadDeviceId"`
	Tags             []string    `json:"machineTags"`
	OnboardingStatus string      `json:"onboardingStatus"`
	OSArchitecture   string      `json:"osArchitecture"`
	ManagedBy        *string     `json:"managedBy"`
	ManagedByStatus  *string     `json:"managedByStatus"`
	IPAddresses      []ipAddress `json:"ipAddresses"`
	VirtualMachine   *string     `json:"vmMetadata"`
}

// ipAddress is one address of a machine.
type ipAddress struct {
	IP     string  `json:"ipAddress"`
	MAC    *string `json:"macAddress"`
	Type   string  `json:"type"`
	Status string  `json:"operationalStatus"`
}

func (a *API) machines(ctx context.Context, c *call) (reply, error) {
	return list(ctx, a, c, machineList, a.listMachines(c))
}

func (a *API) listMachines(*call) lister[device.Device] { return a.Fleet.List }

var machineList = listing[device.Device]{
	set: "Machines", entity: &fleet.Entity,
	show: func(d device.Device, now time.Time) any { return machineOf(d, now) },
}

func (a *API) machine(ctx context.Context, c *call) (reply, error) {
	d, err := a.Fleet.Get(ctx, c.who, c.path["machine"])
	if err != nil {
		return reply{}, err
	}
	if err := c.plain(); err != nil {
		return reply{}, err
	}
	m := machineOf(d, a.Now())
	m.Context = c.metadata("Machines/$entity")
	return reply{body: m}, nil
}

// machineOf is a device as the API shows it.
func machineOf(d device.Device, now time.Time) machine {
	m := machine{
		ID: d.ID, ComputerDNSName: d.Facts.Name, FirstSeen: moment(d.FirstSeen), LastSeen: moment(d.LastSeen),
		OSPlatform: d.Facts.Platform, OSProcessor: given(processors[d.Facts.Arch]), Version: given(d.Facts.Version),
		LastIPAddress: given(d.Facts.LastAddress), LastExternal: given(d.External), AgentVersion: given(d.Facts.AgentVersion),
		HealthStatus: d.Health(now), DeviceValue: d.Value, RiskScore: given(d.Risk), ExposureLevel: given(d.Exposure),
		AADDeviceID: given(d.AADDevice), AADJoined: d.AADDevice != "", Tags: []string{}, OnboardingStatus: fleet.Onboarded,
		OSArchitecture: "64-bit", IPAddresses: []ipAddress{}, Duplication: d.Twin || d.WasCloned(now),
	}
	if d.Retired {
		m.Excluded, m.ExclusionReason = true, given("Retired")
	}
	if d.Group != nil && d.Group.ID != device.DefaultGroup {
		m.GroupID, m.GroupName = d.Group.ID, &d.Group.Name
	}
	if d.Facts.Build != 0 {
		m.OSBuild = &d.Facts.Build
	}
	if d.Facts.Arch == "386" || d.Facts.Arch == "arm" {
		m.OSArchitecture = "32-bit"
	}
	m.Tags = append(m.Tags, d.Tags...)
	for _, at := range d.Facts.Addresses {
		status := "Down"
		if at.Up {
			status = "Up"
		}
		m.IPAddresses = append(m.IPAddresses, ipAddress{IP: at.IP, MAC: given(at.MAC), Type: at.Type, Status: status})
	}
	return m
}

// processors are Defender's names of architectures, by Go's.
var processors = map[string]string{"amd64": "x64", "arm64": "ARM64", "386": "x86"}

// given is null for a text that is not known.
func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// moment is a time in the contract's form, null where there is none.
func moment(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := canon.FormatTime(t)
	return &s
}
