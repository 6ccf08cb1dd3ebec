package auth

import (
	"slices"
	"strings"

	"swab/internal/fault"
)

// The permissions of applications, as they stand in a token's roles.
const (
	CollectForensics = "Machine.CollectForensics" // a scope as well
	ReadAll          = "Machine.Read.All"
	ReadWriteAll     = "Machine.ReadWrite.All"
	Administer       = "Swab.Administer" // a scope as well
)

// The permissions that a person lets an application use, as they stand in a
// token's scp, beside CollectForensics and Administer.
const (
	Read      = "Machine.Read"
	ReadWrite = "Machine.ReadWrite"
)

// Permissions lists those that an application can hold, Scopes those that it can
// use in a person's name.
var (
	Permissions = []string{CollectForensics, ReadAll, ReadWriteAll, Administer}
	Scopes      = []string{CollectForensics, Read, ReadWrite, Administer}
)

// Permission is what a role lets its people do, in the contract's words
// (defender-api.md, section 12).
type Permission string

// The permissions of roles.
const (
	ViewData             Permission = "View data"
	ActiveRemediation    Permission = "Active remediation actions"
	AlertsInvestigation  Permission = "Alerts investigation" // collecting packages is part of it
	ManageSecurity       Permission = "Manage security settings"
	ManagePortal         Permission = "Manage portal system settings" // people, roles, device groups, enrolment, devices
	LiveResponseBasic    Permission = "Live response (basic)"
	LiveResponseAdvanced Permission = "Live response (advanced)"

	// Administrator is what the built-in role has above all others, and no other
	// can: it may do what would give its people any other right, such as making
	// applications.
	Administrator Permission = "Administrator"
)

// RolePermissions lists those that a role can be given.
var RolePermissions = []Permission{
	ViewData, ActiveRemediation, AlertsInvestigation, ManageSecurity, ManagePortal, LiveResponseBasic, LiveResponseAdvanced,
}

// Right is what an operation takes. An application needs any one of the roles; a
// person needs any one of the scopes in the token, and the permission in one of
// their roles.
type Right struct {
	Roles  []string
	Scopes []string
	User   Permission // "": a person needs none
}

// The rights (defender-api.md, section 2). That the device is in a group within
// the caller's reach is asked for beside them.
var (
	ReadMachines  = Right{[]string{ReadAll, ReadWriteAll}, []string{Read, ReadWrite}, ViewData}
	ReadActions   = ReadMachines
	Collect       = Right{[]string{CollectForensics}, []string{CollectForensics}, AlertsInvestigation}
	Cancel        = Collect
	FetchPackage  = Right{[]string{ReadAll, ReadWriteAll}, []string{CollectForensics}, AlertsInvestigation}
	TagMachine    = Right{[]string{ReadWriteAll}, []string{ReadWrite}, ManageSecurity}
	UpdateMachine = Right{[]string{ReadWriteAll}, []string{ReadWrite}, AlertsInvestigation}
	AnyOf         = Right{[]string{CollectForensics, ReadAll, ReadWriteAll}, []string{CollectForensics, Read, ReadWrite}, ""}

	// AdministerAccess is for people, user groups, roles, device groups, enrolment
	// tokens and devices, AdministerAll for what could give its maker every right:
	// applications, other issuers, tenants, keys.
	AdministerAccess = Right{[]string{Administer}, []string{Administer}, ManagePortal}
	AdministerAll    = Right{[]string{Administer}, []string{Administer}, Administrator}
	ReadAudit        = AdministerAccess
	ReadPartial      = AdministerAll // what a dead attempt delivered, unverified
)

// Need is nil if the caller has the right, else a Forbidden whose text is the
// contract's, since clients parse it.
func (c Caller) Need(r Right) error {
	if c.Kind == Server {
		return nil
	}
	if c.Kind != User {
		if !overlap(r.Roles, c.Roles) {
			return missing("application roles", "roles", r.Roles, c.Roles)
		}
		return nil
	}
	if !overlap(r.Scopes, c.Scopes) {
		return missing("application scopes", "scopes", r.Scopes, c.Scopes)
	}
	if r.User != "" && !slices.Contains(c.Person.Permissions, r.User) {
		return missing("user roles", "roles", []Permission{r.User}, c.Person.Permissions)
	}
	return nil
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(one string) bool { return slices.Contains(b, one) })
}

func missing[T ~string](whose, what string, want, have []T) error {
	return fault.Forbidden.Errorf(nil, "Missing %s. API required %s: %s, %s: %s.", whose, what, join(want), whose, join(have))
}

func join[T ~string](list []T) string {
	s := make([]string, len(list))
	for i, one := range list {
		s[i] = string(one)
	}
	return strings.Join(s, ",")
}
