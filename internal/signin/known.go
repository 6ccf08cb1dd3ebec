package signin

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"swab/internal/auth"
	"swab/internal/canon"
	"swab/internal/keys"
)

// A browser in which a person signed in is known for a while by a cookie: an id,
// its end, and a MAC over both, the person, and what they proved themselves by. It
// lets nobody in; it says which failures are counted together. Once the person has
// another password, or another second step, it says nothing any more: whoever
// signed in by what was stolen is a stranger again.

// Know makes the cookie of a browser in which a person has signed in, good for
// [KnownLife].
func (d *Desk) Know(ctx context.Context, p auth.Person) (string, error) {
	c, err := d.Records.Credential(ctx, p.Tenant, p.ID)
	if err != nil {
		return "", err
	}
	id := auth.NewSecret().Reveal()[:22] // 132 bits
	end := binary.BigEndian.AppendUint64(nil, uint64(d.Now().Add(KnownLife).Unix()))
	until := base64.RawURLEncoding.EncodeToString(end)
	mac := d.Secrets.MAC(keys.SignIn, knownFor(p, c, id, until))
	return id + "." + until + "." + base64.RawURLEncoding.EncodeToString(mac), nil
}

// known is the id of a browser that is known for a person with a credential, "" for
// any other.
func (d *Desk) known(cookie string, p auth.Person, c auth.Credential) string {
	if cookie == "" || len(cookie) > 128 || p.ID == "" {
		return ""
	}
	id, rest, _ := strings.Cut(cookie, ".")
	until, sum, _ := strings.Cut(rest, ".")
	if strings.ContainsAny(rest, "\r\n") { // which a reader of base64 forgives
		return ""
	}
	end, err1 := base64.RawURLEncoding.Strict().DecodeString(until)
	mac, err2 := base64.RawURLEncoding.Strict().DecodeString(sum)
	if err1 != nil || err2 != nil || len(end) != 8 || !d.Secrets.CheckMAC(keys.SignIn, knownFor(p, c, id, until), mac) {
		return ""
	}
	if d.Now().Unix() >= int64(binary.BigEndian.Uint64(end)) {
		return ""
	}
	return id
}

func knownFor(p auth.Person, c auth.Credential, id, until string) []byte {
	return fmt.Appendf(nil, "swab.known/2\n%s\n%s\n%d\n%x\n%s\n%s", p.Tenant, p.ID, canon.Ticks(c.Changed), sha256.Sum256(c.TOTP), id, until)
}
