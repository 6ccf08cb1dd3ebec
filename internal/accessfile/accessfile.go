// Package accessfile is who may do what in a tenant, written down: user groups,
// users, roles, device groups, applications and other issuers, as one YAML file
// that people review and a pipeline applies.
//
//	userGroups:
//	  - name: Tier 1
//	    members: [ann@contoso.example]
//	roles:
//	  - name: Responder
//	    permissions: [View data, Alerts investigation]
//	    userGroups: [Tier 1]
//
// Things are known by their names, never by ids, so that a file fits more than
// one installation. A section that the file lacks is left alone. A section that
// is there is whole: what it does not name is removed, and a field that an entry
// lacks is empty. Two things can't be removed, and stay as they are where a
// section does not name them: the built-in role and the default device group.
//
// The package reads nothing and changes nothing: [Parse] judges a file, [Write]
// makes the one that states what there is, [Diff] lists what leads from one to
// the other, in an order in which it can be done.
package accessfile

import (
	"slices"
	"strings"

	"swab/internal/device"
)

// File is who may do what. A section that is nil is not in the file; one that is
// empty says that there are none.
type File struct {
	UserGroups   []UserGroup
	Users        []User
	Roles        []Role
	DeviceGroups []DeviceGroup // by rank, the highest first; the default group, if it is there, last
	Applications []Application
	Issuers      []Issuer
}

// UserGroup is a set of users.
type UserGroup struct {
	Name        string
	Description string
	Members     []string // their user principal names
}

// User is a person who signs in here. A user is never deleted: one that goes is
// disabled.
type User struct {
	Principal string // user principal name, in lower case
	Name      string
	Disabled  bool
}

// Role gives the members of its user groups permissions.
type Role struct {
	Name        string
	Description string
	Permissions []string // among Permissions
	UserGroups  []string
}

// DeviceGroup is a set of devices, and who reaches them.
type DeviceGroup struct {
	Name        string
	Description string
	Rule        device.Rule // of the default group none
	UserGroups  []string    // empty: whoever has a role
}

// Application is a program that calls the API. Its secrets and certificates are in
// no file.
type Application struct {
	Name      string
	ClientID  string   // "": the one of that name
	Public    bool     // it can keep no secret: people sign in to it
	Redirects []string // where browsers may be sent after a sign-in
	Scopes    []string // among Scopes: in the name of people
	Roles     []string // among AppRoles: in its own name
}

// Issuer is another OpenID Connect issuer whose tokens hold here.
type Issuer struct {
	Name      string
	URL       string
	Keys      string // address of its keys; "": found by discovery
	Audiences []string
	Claims    Claims
	Groups    map[string]string // what its tokens call a group: a user group's name
	Roles     map[string]string // what its tokens call an application's role: one of AppRoles
	Networks  []string          // CIDRs
}

// Claims are the names of the claims that say who and what; an empty one has the
// usual name.
type Claims struct {
	Person, Principal, Groups, Application, Roles, Scopes string
}

// BuiltIn is the name of the role that every tenant has. A file can say which
// user groups hold it, and nothing else about it.
const BuiltIn = "Administrator"

// The words of roles and applications.
var (
	Permissions = []string{
		"View data", "Active remediation actions", "Alerts investigation", "Manage security settings", "Manage portal system settings",
		"Live response (basic)", "Live response (advanced)",
	}
	AppRoles = []string{"Machine.CollectForensics", "Machine.Read.All", "Machine.ReadWrite.All", "Swab.Administer"}
	Scopes   = []string{"Machine.CollectForensics", "Machine.Read", "Machine.ReadWrite", "Swab.Administer"}
)

// Sections are the sections, in the order in which a file has them.
var Sections = []string{"userGroups", "users", "roles", "deviceGroups", "applications", "issuers"}

// Has are the sections that the file has.
func (f File) Has() []string {
	var has []string
	for _, s := range []struct {
		name string
		is   bool
	}{
		{"userGroups", f.UserGroups != nil},
		{"users", f.Users != nil},
		{"roles", f.Roles != nil},
		{"deviceGroups", f.DeviceGroups != nil},
		{"applications", f.Applications != nil},
		{"issuers", f.Issuers != nil},
	} {
		if s.is {
			has = append(has, s.name)
		}
	}
	return has
}

// Only returns the file with some of its sections alone, by the names that
// Sections has.
func (f File) Only(sections []string) File {
	for _, s := range Sections {
		if slices.Contains(sections, s) {
			continue
		}
		switch s {
		case "userGroups":
			f.UserGroups = nil
		case "users":
			f.Users = nil
		case "roles":
			f.Roles = nil
		case "deviceGroups":
			f.DeviceGroups = nil
		case "applications":
			f.Applications = nil
		case "issuers":
			f.Issuers = nil
		}
	}
	return f
}

// fold is a name as it is compared.
func fold(name string) string { return strings.ToLower(name) }

// isDefault says whether a device group is the one of the devices that match no
// rule.
func (g DeviceGroup) isDefault() bool { return fold(g.Name) == fold(device.DefaultGroupName) }

func (r Role) builtIn() bool { return fold(r.Name) == fold(BuiltIn) }
