package signin

import "swab/internal/auth"

// What a tenant keeps of device codes that nobody has decided.
const (
	MaxPending  = maxPending
	LeftPending = leftPending
)

// Known is the id of a browser that is known for a person with a credential.
func (d *Desk) Known(cookie string, p auth.Person, c auth.Credential) string {
	return d.known(cookie, p, c)
}
