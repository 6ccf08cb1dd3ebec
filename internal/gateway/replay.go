package gateway

import (
	"crypto/ed25519"
	"crypto/sha256"
	"sync"
	"time"
)

// replays remembers the proofs that were taken for as long as their nonces are
// fresh, so that each is taken once. It holds two generations, each of one
// nonce's life. A device that fills its share, or devices that together fill the
// whole, are refused until the generation ends: what can't be remembered is not
// taken.
type replays struct {
	now       func() time.Time
	most      int // proofs of one generation
	perDevice int // of them by one key

	mu      sync.Mutex
	since   time.Time
	present map[[16]byte]struct{}
	before  map[[16]byte]struct{}
	counts  map[[8]byte]int
}

// The bounds: a device that sends 8 MiB chunks at 200 MB/s makes 7,500 proofs
// in a generation; a million take about 40 MB.
const (
	maxProofs       = 1_000_000
	maxDeviceProofs = 8192
)

func newReplays(now func() time.Time) *replays {
	return &replays{now: now, most: maxProofs, perDevice: maxDeviceProofs}
}

type taken int

const (
	takenFirst taken = iota // remembered now
	takenTwice              // seen before
	takenFull               // not remembered: too many
)

// take remembers a proof by its key and id.
func (r *replays) take(pub ed25519.PublicKey, id string) taken {
	h := sha256.New()
	h.Write(pub)
	h.Write([]byte(id))
	var proof [16]byte
	copy(proof[:], h.Sum(nil))
	var dev [8]byte
	copy(dev[:], pub) // a public key is as good as random

	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if age := now.Sub(r.since); age > nonceLife+nonceSkew || age < 0 || r.present == nil {
		r.before, r.present, r.counts, r.since = r.present, map[[16]byte]struct{}{}, map[[8]byte]int{}, now
	}
	if _, seen := r.present[proof]; seen {
		return takenTwice
	}
	if _, seen := r.before[proof]; seen {
		return takenTwice
	}
	if len(r.present) >= r.most || r.counts[dev] >= r.perDevice {
		return takenFull
	}
	r.present[proof] = struct{}{}
	r.counts[dev]++
	return takenFirst
}
