package signin

// Known is the id of a browser that is known for an account.
func (d *Desk) Known(cookie, tenant, principal string) string {
	return d.known(cookie, tenant, principal)
}
