package signin

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"swab/internal/auth"
	"swab/internal/keys"
)

// A browser in which a person signed in is known for a while by a cookie: an id,
// its end, and a MAC over both and the account. It lets nobody in; it says which
// failures are counted together.

// Know makes the cookie of a browser in which a person has signed in, good for
// [KnownLife].
func (d *Desk) Know(p auth.Person) string {
	id := auth.NewSecret().Reveal()[:22] // 132 bits
	end := binary.BigEndian.AppendUint64(nil, uint64(d.Now().Add(KnownLife).Unix()))
	until := base64.RawURLEncoding.EncodeToString(end)
	mac := d.Secrets.MAC(keys.SignIn, knownFor(p.Tenant, p.Principal, id, until))
	return id + "." + until + "." + base64.RawURLEncoding.EncodeToString(mac)
}

// known is the id of a browser that is known for an account, "" for any other.
func (d *Desk) known(cookie, tenant, principal string) string {
	if len(cookie) > 128 || principal == "" {
		return ""
	}
	id, rest, _ := strings.Cut(cookie, ".")
	until, sum, _ := strings.Cut(rest, ".")
	if strings.ContainsAny(rest, "\r\n") { // which a reader of base64 forgives
		return ""
	}
	end, err1 := base64.RawURLEncoding.Strict().DecodeString(until)
	mac, err2 := base64.RawURLEncoding.Strict().DecodeString(sum)
	if err1 != nil || err2 != nil || len(end) != 8 || !d.Secrets.CheckMAC(keys.SignIn, knownFor(tenant, principal, id, until), mac) {
		return ""
	}
	if d.Now().Unix() >= int64(binary.BigEndian.Uint64(end)) {
		return ""
	}
	return id
}

func knownFor(tenant, principal, id, until string) []byte {
	return fmt.Appendf(nil, "swab.known/1\n%s\n%s\n%s\n%s", tenant, principal, id, until)
}
