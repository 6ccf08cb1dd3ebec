// Package auth says who a caller is and what a caller may do.
//
// Permission belongs to the operation, not to the door it came through: an
// operation of the core takes a [Caller] and asks [Caller.Need] first, so API,
// console and command line can't differ, and nothing runs without a caller.
package auth

import (
	"context"
	"slices"
	"strings"

	"swab/internal/audit"
	"swab/internal/fault"
)

// The permissions, as they stand in a token's roles (applications) or scp (users).
const (
	CollectForensics = "Machine.CollectForensics"
	ReadAll          = "Machine.Read.All"
	ReadWriteAll     = "Machine.ReadWrite.All"
	Administer       = "Swab.Administer"
)

// Permissions lists those that an application can hold.
var Permissions = []string{CollectForensics, ReadAll, ReadWriteAll, Administer}

// Kind is what sort of caller it is.
type Kind string

// The kinds.
const (
	Application Kind = "application"
	DeviceKind  Kind = "device"
	Server      Kind = "server" // this program itself: time-outs, sweeps, first start
)

// Caller is who asks, as far as a token or a key proved it.
type Caller struct {
	Kind        Kind
	Tenant      string   // id; every look-up is within it
	ID          string   // of the application or device
	Name        string   // to show; an application's name, or its id
	Roles       []string // application permissions
	From        string   // address
	Source      string   // requestSource: PublicApi, Portal, Cli
	Correlation string   // the request's id

	// Charge takes one call of the caller's limit for the API it came by, if it
	// has not yet for this request, and fails where there is none left. nil: no
	// limit.
	Charge func(context.Context) error
}

// Need is nil if the caller holds any one of the permissions, else a Forbidden
// whose text is the contract's, since clients parse it.
func (c Caller) Need(anyOf ...string) error {
	if c.Kind == Server {
		return nil
	}
	for _, p := range anyOf {
		if slices.Contains(c.Roles, p) {
			return nil
		}
	}
	return fault.Forbidden.Errorf(nil, "Missing application roles. API required roles: %s, application roles: %s.",
		strings.Join(anyOf, ","), strings.Join(c.Roles, ","))
}

// Hidden is what the audit log keeps of the caller, hidden from devices.
func (c Caller) Hidden(comment string) audit.Hidden {
	return audit.Hidden{
		Who: string(c.Kind) + "/" + c.ID, Name: c.Name, From: c.From, Correlation: c.Correlation, Comment: comment,
	}
}
