// Package auth says who a caller is and what a caller may do.
//
// Permission belongs to the operation, not to the door it came through: an
// operation of the core takes a [Caller] and asks [Caller.Need] first, so API,
// console and command line can't differ, and nothing runs without a caller.
package auth

import (
	"context"

	"swab/internal/audit"
	"swab/internal/device"
)

// Kind is what sort of caller it is.
type Kind string

// The kinds.
const (
	Application Kind = "application"
	User        Kind = "user" // a person, by an application that they signed in to
	DeviceKind  Kind = "device"
	Server      Kind = "server" // this program itself: time-outs, sweeps, first start
)

// Caller is who asks, as far as a token or a key proved it.
type Caller struct {
	Kind        Kind
	Tenant      string   // id; every look-up is within it
	ID          string   // of the application, person or device
	Name        string   // to show: an application's name or id, a person's user principal name
	Roles       []string // an application's permissions
	App         string   // a person's: the client id of the application that asks for them
	Scopes      []string // a person's: what the application may do in their name
	Person      Rights   // a person's, as they are at this request
	Policy      *Policy  // a person's: what these rights follow from
	Session     string   // a person's: the id of the sign-in, where it was here
	From        string   // address
	Source      string   // requestSource: PublicApi, Portal, Cli
	Correlation string   // the request's id

	// Refused is told that the caller lacks a right, and says whether that is still
	// to be an entry of its own. nil: it always is.
	Refused func() bool

	// Charge takes one call of the caller's limit for the API it came by, if it
	// has not yet for this request, and fails where there is none left. nil: no
	// limit.
	Charge func(context.Context) error
}

// Reach are the device groups whose devices the caller may see and act on: all
// of the tenant's, unless it is a person.
func (c Caller) Reach() device.Reach {
	if c.Kind == User {
		return c.Person.Reach
	}
	return device.Everywhere
}

// Sees says whether a device is within reach, by the rules of which the caller's
// rights follow: those of another moment could put a device that was out of reach
// into a group that no longer is, or not yet.
func (c Caller) Sees(d device.Device) bool {
	reach := c.Reach()
	return reach.All || c.Policy != nil && reach.Has(c.Policy.Groups.Of(d).ID)
}

// Hidden is what the audit log keeps of the caller, hidden from devices.
func (c Caller) Hidden(comment string) audit.Hidden {
	return audit.Hidden{
		Who: string(c.Kind) + "/" + c.ID, Name: c.Name, From: c.From, Correlation: c.Correlation, Comment: comment,
	}
}
