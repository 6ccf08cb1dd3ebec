// Package device says what a device is: its identity, which its key proves, and
// the facts it reports of itself, which prove nothing.
package device

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// ID names a device for the life of its enrolment: 40 lower-case hex digits,
// the first 20 bytes of the SHA-256 of its enrolment public key. The id proves
// the key, so nothing can be claimed by naming an id.
type ID string

// IDOf returns the id that belongs to an enrolment key.
func IDOf(pub ed25519.PublicKey) ID {
	sum := sha256.Sum256(pub)
	return ID(hex.EncodeToString(sum[:20]))
}

// ParseID takes an id in any case.
func ParseID(s string) (ID, error) {
	lower := strings.ToLower(s)
	if b, err := hex.DecodeString(lower); err != nil || len(b) != 20 {
		return "", fmt.Errorf("device id %.60q is not 40 hex digits", s)
	}
	return ID(lower), nil
}

// The systems that an agent is built for, as in GOOS.
const (
	Linux   = "linux"
	Windows = "windows"
	Darwin  = "darwin"
)

// Facts is what a device says of itself when it enrols and each time it
// connects. It is shown and searched, never trusted, and never becomes a path.
type Facts struct {
	Name         string    `json:"name"`         // fully qualified host name where known, lower case
	System       string    `json:"system"`       // GOOS: linux, windows, darwin
	Platform     string    `json:"platform"`     // as Defender names it: Debian, Ubuntu, Linux, Windows11, macOS
	Version      string    `json:"version"`      // of the system: "12.11"
	Build        int64     `json:"build"`        // of the system; 0 where it has none
	Arch         string    `json:"arch"`         // GOARCH: amd64, arm64
	BootID       string    `json:"bootId"`       // changes at each start of the system
	AgentVersion string    `json:"agentVersion"` // of the agent's release
	AgentSHA256  string    `json:"agentSha256"`  // of the agent's executable, hex; "" where it can't be read
	Addresses    []Address `json:"addresses"`    // of its interfaces, at most MaxAddresses
	LastAddress  string    `json:"lastAddress"`  // the one it speaks to the server from
}

// Address is one address of one interface.
type Address struct {
	IP   string `json:"ip"`   // canonical text
	MAC  string `json:"mac"`  // 12 upper-case hex digits, or "" where the interface has none
	Type string `json:"type"` // Ethernet, SoftwareLoopback, Wireless80211, Tunnel, Other
	Up   bool   `json:"up"`
}

// Bounds of facts.
const (
	MaxAddresses = 64
	maxText      = 256
)

// Clean returns the facts with every text cut to its bound and freed of control
// characters, so that no device can put more than text into a list or a log.
func (f Facts) Clean() Facts {
	for _, s := range []*string{
		&f.Name, &f.System, &f.Platform, &f.Version, &f.Arch, &f.BootID, &f.AgentVersion, &f.AgentSHA256, &f.LastAddress,
	} {
		*s = clean(*s)
	}
	f.Name = strings.ToLower(f.Name)
	if _, err := netip.ParseAddr(f.LastAddress); err != nil {
		f.LastAddress = ""
	}
	var addrs []Address
	for _, a := range f.Addresses {
		if _, err := netip.ParseAddr(a.IP); err != nil || len(addrs) == MaxAddresses {
			continue
		}
		a.MAC, a.Type = clean(a.MAC), clean(a.Type)
		addrs = append(addrs, a)
	}
	f.Addresses = addrs
	return f
}

func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError || (r >= 0x80 && r < 0xa0) {
			return -1
		}
		return r
	}, s)
	if len(s) <= maxText {
		return s
	}
	s = s[:maxText]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}

// Device is an enrolled device as the server knows it.
type Device struct {
	Tenant     string
	ID         ID
	Keys       []ed25519.PublicKey // the enrolment key, then those that succeeded it; the last one signs
	Statements [][]byte            // the succession statements, one fewer than Keys
	Facts      Facts               // its Name is the one that people gave the device, where they did
	Reported   *string             // the name that it tells of itself, where people gave it another; nil: they did not
	KeyAsked   time.Time           // when it was asked for another key, of which it has not told yet; zero: it was not
	KeySince   time.Time           // when its present key succeeded the one before; zero: it is the enrolment key
	Cloned     time.Time           // when two live agents last held its key; zero: never
	Catalog    string              // digest of the catalogue that its agent holds; "" before its first hello
	Tags       []string            // as people gave them, in the order given, each once
	Value      string              // how dear it is: Normal, Low, High
	Risk       string              // None, Informational, Low, Medium, High; "": not assessed
	Exposure   string              // None, Low, Medium, High; "": not assessed
	AADDevice  string              // Entra device id, a GUID in lower case; "": not known
	FirstSeen  time.Time
	LastSeen   time.Time
	External   string // the address the server saw it from last
	Revoked    bool   // shut out for good
	Retired    bool   // expected to be gone, until it is restored
	Twin       bool   // another device that the caller sees and that is not revoked has its name; told where one device is asked for
	Group      *Group // the device group that it is in, by the rules as they were when it was looked up; nil: nobody looked
}

// Beat is a sign of life of a device.
type Beat struct {
	Tenant string
	Device ID
	At     time.Time
}

// Key is the key that signs for the device now.
func (d Device) Key() ed25519.PublicKey { return d.Keys[len(d.Keys)-1] }

// OwnName is the name that the device tells of itself.
func (d Device) OwnName() string {
	if d.Reported != nil {
		return *d.Reported
	}
	return d.Facts.Name
}

// ClonedFor is how long a device counts as one that may be there twice after two
// live agents held its key.
const ClonedFor = 30 * 24 * time.Hour

// WasCloned says whether two live agents held the device's key of late.
func (d Device) WasCloned(now time.Time) bool {
	return !d.Cloned.IsZero() && now.Sub(d.Cloned) < ClonedFor
}

// HostName is the first label of the device's name.
func (d Device) HostName() string {
	host, _, _ := strings.Cut(d.Facts.Name, ".")
	return host
}

// How long after its last sign of life a device counts as impaired in its
// communication, and as inactive. A device that is connected gives one every
// few minutes.
const (
	ImpairedAfter = 24 * time.Hour
	InactiveAfter = 7 * 24 * time.Hour
)

// What a device's health may be, as Defender names it.
const (
	Active   = "Active"
	Impaired = "ImpairedCommunication"
	Inactive = "Inactive"
)

// Health is Active, Impaired or Inactive. A revoked or retired device is inactive.
func (d Device) Health(now time.Time) string {
	switch silent := now.Sub(d.LastSeen); {
	case d.Revoked || d.Retired || silent > InactiveAfter:
		return Inactive
	case silent > ImpairedAfter:
		return Impaired
	}
	return Active
}

// Resolve picks the device that a caller's name means, among those whose id,
// Entra id, full name or host name fits it: an id wins, then an Entra id, then a
// full name, then a host name; of several with one name the only one that is not
// inactive is meant. What has the form of an id means no device by its name: each
// tells its own, and the one of that id need not be among the candidates. Nothing
// is ever guessed: ok is false where it is not exactly one, and ambiguous tells why.
func Resolve(name string, candidates []Device, now time.Time) (d Device, ok, ambiguous bool) {
	lower := strings.ToLower(name)
	means := []func(Device) bool{
		func(d Device) bool { return string(d.ID) == lower },
		func(d Device) bool { return d.AADDevice == lower },
		func(d Device) bool { return d.Facts.Name == lower },
		func(d Device) bool { return d.HostName() == lower },
	}
	if _, err := ParseID(lower); err == nil {
		means = means[:1]
	}
	for _, fits := range means {
		found := slices.DeleteFunc(slices.Clone(candidates), func(d Device) bool { return !fits(d) })
		if len(found) > 1 {
			active := slices.DeleteFunc(slices.Clone(found), func(d Device) bool { return d.Health(now) == Inactive })
			if len(active) != 1 {
				return Device{}, false, true
			}
			found = active
		}
		if len(found) == 1 {
			return found[0], true, false
		}
	}
	return Device{}, false, false
}
