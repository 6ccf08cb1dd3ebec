package auth

import (
	"slices"
	"time"

	"swab/internal/device"
)

// Person is a user of this installation: somebody who signs in here.
type Person struct {
	Tenant    string
	ID        string // a GUID: oid in tokens
	Principal string // the user principal name, in lower case: ann@example.com
	Name      string // to show
	Groups    []string
	Created   time.Time
	Disabled  bool // gets no token any more, and those that are out are worth nothing
}

// UserGroup is a set of people. What they may do comes from the roles and device
// groups that name it.
type UserGroup struct {
	Tenant      string
	ID          string // a GUID
	Name        string // each once in a tenant, without regard to case
	Description string
	Created     time.Time
}

// Role gives the people of its user groups permissions.
type Role struct {
	ID          string // a GUID
	Name        string // each once in a tenant, without regard to case
	Description string
	Permissions []Permission
	Groups      []string // ids of user groups
	BuiltIn     bool     // it can't be changed or deleted; its user groups can
}

// AdministratorRole is the id of the role that every tenant has, which holds all
// permissions and whose people no device group bounds.
const AdministratorRole = "00000000-0000-4000-8000-000000000001"

// BuiltIn is the role of administrators, without its user groups.
func BuiltIn() Role {
	return Role{
		ID: AdministratorRole, Name: "Administrator", Description: "Holds all permissions, on all devices",
		Permissions: append(slices.Clone(RolePermissions), Administrator), BuiltIn: true,
	}
}

// Policy is who may do what in a tenant: its roles, the built-in one first, and
// its device groups. Nobody changes it.
type Policy struct {
	Roles  []Role
	Groups *device.Groups
}

// Rights are what a person may do at this moment.
type Rights struct {
	Permissions []Permission // in the order of RolePermissions, Administrator last
	Reach       device.Reach
}

// Administrates says whether a person has the built-in role.
func (r Rights) Administrates() bool { return slices.Contains(r.Permissions, Administrator) }

// Within says whether each right is among those of others.
func (r Rights) Within(other Rights) bool {
	for _, p := range r.Permissions {
		if !slices.Contains(other.Permissions, p) {
			return false
		}
	}
	if other.Reach.All {
		return true
	}
	for _, g := range r.Reach.Groups {
		if !other.Reach.Has(g) {
			return false
		}
	}
	return !r.Reach.All
}

// Rights are those of the members of user groups, by their ids. Who has no role
// reaches no device.
func (p *Policy) Rights(groups []string) Rights {
	held := map[Permission]bool{}
	for _, role := range p.Roles {
		if !overlap(role.Groups, groups) {
			continue
		}
		if role.BuiltIn {
			return Rights{BuiltIn().Permissions, device.Everywhere}
		}
		for _, one := range role.Permissions {
			held[one] = true
		}
	}
	r := Rights{Permissions: []Permission{}, Reach: device.Reach{Groups: []int64{}}}
	for _, one := range RolePermissions {
		if held[one] {
			r.Permissions = append(r.Permissions, one)
		}
	}
	if len(r.Permissions) > 0 {
		r.Reach = p.Groups.Reach(groups)
	}
	return r
}

// Credential is what a person proves themselves by here. It never leaves the
// server.
type Credential struct {
	Password   string     // PHC string of package credential; "": none, so that nobody can sign in by one
	Changed    time.Time  // when the password was set
	MustChange bool       // somebody else knows the password: the next sign-in sets another
	TOTP       []byte     // secret of the one-time codes, sealed under the master key; nil: none
	Step       int64      // of the last one-time code that was taken: no code is taken twice
	Recovery   [][32]byte // SHA-256 of the recovery codes that are left
}
