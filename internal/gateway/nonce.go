package gateway

import (
	"encoding/base64"
	"encoding/binary"
	"time"

	"swab/internal/keys"
)

// nonceLife is how long a device may use a nonce.
const nonceLife = 5 * time.Minute

// nonceSkew is how far the clocks of an installation's nodes may be apart.
const nonceSkew = time.Minute

// nonces makes and checks the server's nonces: its time in seconds under its
// HMAC, in base64url. Nothing is kept, so every node takes every node's.
type nonces struct {
	keys Keys
	now  func() time.Time
}

func (n nonces) make() string {
	b := binary.BigEndian.AppendUint64(nil, uint64(n.now().Unix()))
	return base64.RawURLEncoding.EncodeToString(append(b, n.keys.MAC(keys.Nonce, b)...))
}

// fresh says whether s is a nonce that was given out within nonceLife.
func (n nonces) fresh(s string) bool {
	if len(s) > 64 {
		return false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < 8 || !n.keys.CheckMAC(keys.Nonce, b[:8], b[8:]) {
		return false
	}
	age := n.now().Sub(time.Unix(int64(binary.BigEndian.Uint64(b)), 0))
	return age >= -nonceSkew && age <= nonceLife
}
