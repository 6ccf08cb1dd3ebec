package vault

import (
	"time"

	"swab/internal/device"
)

// State is where an upload stands.
type State string

// The states.
const (
	Receiving   State = "receiving"   // chunks arrive
	Complete    State = "complete"    // all bytes are here; verification is due
	Sealed      State = "sealed"      // verified; the one package of its action
	Quarantined State = "quarantined" // it did not verify; kept, never served as good
	Partial     State = "partial"     // its attempt is dead; kept as unverified bytes
	Deleted     State = "deleted"     // the bytes are gone: cancelled, expired
)

// Upload is what one attempt delivers, or delivered.
type Upload struct {
	ID      string // random, 32 hex digits
	Tenant  string
	Device  device.ID
	Action  string
	Attempt int
	State   State
	Offset  int64  // bytes flushed
	Length  int64  // -1 until the device knows it
	Limit   int64  // most bytes it may have
	SHA256  string // hex, of the whole; "" before it is sealed
	Reason  string // why it was quarantined, kept or deleted
	Created time.Time
	Updated time.Time
}
