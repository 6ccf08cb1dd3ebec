package auth

import "time"

// TrustedIssuer is an OpenID Connect issuer beside this one whose tokens hold for
// a tenant: Microsoft Entra ID, Keycloak, another installation.
type TrustedIssuer struct {
	Tenant    string
	ID        string   // a GUID
	Name      string   // to show
	URL       string   // the iss of its tokens, https; its keys are found by discovery below it
	Keys      string   // address of its keys where discovery shall not be asked; "" otherwise
	Audiences []string // the aud that its tokens must have one of
	Claims    Claims
	Groups    map[string]string // what its tokens call a group → id of a user group here
	Roles     map[string]string // what its tokens call an application's role → permission here
	Networks  []string          // CIDRs that may be connected to beside public addresses: where it is an internal one
	Created   time.Time
	Revoked   bool
}

// Claims are the names of the claims that say who and what; dots lead into
// objects (realm_access.roles). An empty one has the usual name.
type Claims struct {
	Person      string `json:"person,omitempty"`      // what tells one person from another: oid, sub
	Principal   string `json:"principal,omitempty"`   // user principal name: upn, preferred_username
	Groups      string `json:"groups,omitempty"`      // groups
	Application string `json:"application,omitempty"` // client id: appid, azp
	Roles       string `json:"roles,omitempty"`       // an application's: roles
	Scopes      string `json:"scopes,omitempty"`      // a person's: scp, scope
}
