package client

import (
	"context"
	"fmt"
	"net/http"
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
}

// IPAddress is an address of one of a device's interfaces.
type IPAddress struct {
	IP     string `json:"ipAddress"`
	MAC    string `json:"macAddress"` // 12 upper-case hex digits
	Status string `json:"operationalStatus"`
	Type   string `json:"type"`
}

// Page selects a part of a list.
type Page struct {
	Top  int // at most so many; 0 for the server's bound, 10,000
	Skip int
}

func (p Page) query() url.Values {
	q := url.Values{}
	if p.Top > 0 {
		q.Set("$top", strconv.Itoa(p.Top))
	}
	if p.Skip > 0 {
		q.Set("$skip", strconv.Itoa(p.Skip))
	}
	return q
}

type list[T any] struct {
	Value []T `json:"value"`
}

// Machines lists devices, the newest first.
func (c *Client) Machines(ctx context.Context, p Page) ([]Machine, error) {
	var out list[Machine]
	err := c.call(ctx, http.MethodGet, "api/machines", p.query(), nil, &out, maxList)
	return out.Value, err
}

// Machine returns one device, by its id, full name or host name.
func (c *Client) Machine(ctx context.Context, name string) (Machine, error) {
	var out Machine
	segment, err := segment("device", name)
	if err != nil {
		return out, err
	}
	err = c.call(ctx, http.MethodGet, "api/machines/"+segment, nil, nil, &out, maxEntity)
	return out, err
}

// RevokedDevice is a device that was shut out for good.
type RevokedDevice struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Revoked bool   `json:"revoked"`
}

// RevokeDevice shuts a device, named by its id, out for good and at once. The
// packages that it delivered stay what they were. It takes the permission
// Swab.Administer.
func (c *Client) RevokeDevice(ctx context.Context, id string) (RevokedDevice, error) {
	var out RevokedDevice
	path, err := segment("device", id)
	if err != nil {
		return out, err
	}
	err = c.call(ctx, http.MethodPost, "api/admin/v1/devices/"+path+"/revoke", nil, nil, &out, maxEntity)
	return out, err
}

// segment escapes a name for one segment of a path. Those that a path gives
// another meaning name nothing.
func segment(what, name string) (string, error) {
	if name == "" || name == "." || name == ".." {
		return "", fmt.Errorf("%q names no %s", name, what)
	}
	return url.PathEscape(name), nil
}
