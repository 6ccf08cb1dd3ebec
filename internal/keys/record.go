package keys

import "time"

// Purpose is what a key is for. Purposes never share a key.
type Purpose string

// The purposes, with the kind of key that each one takes.
const (
	AccessToken Purpose = "access-token" // RSA 2048, signs RS256
	AuditLog    Purpose = "audit-log"    // Ed25519, signs checkpoints
	Receipt     Purpose = "receipt"      // Ed25519, signs receipts
	Link        Purpose = "link"         // 32 bytes, HMAC-SHA-256 over package links
	Nonce       Purpose = "nonce"        // 32 bytes, HMAC-SHA-256 over the times that device proofs carry
	SignIn      Purpose = "sign-in"      // 32 bytes, HMAC-SHA-256 over what browsers keep, and for keys of tickets
	Authority   Purpose = "authority"    // ECDSA P-256, signs this server's own TLS certificates
	Recovery    Purpose = "recovery"     // Ed25519; the public half alone, the operator has the other
)

// Record is a key as the store keeps it.
type Record struct {
	Purpose Purpose
	ID      string // hex SHA-256 of the public half, or random for a symmetric key
	From    time.Time
	To      time.Time // zero: in use; signs no more from then on, but still verifies. From itself: withdrawn, verifies nothing
	Public  []byte    // Ed25519, PKIX DER, or the authority's certificate in DER; nil for a symmetric key
	Sealed  []byte    // the private half under the master key; nil for the recovery key
	Succeed []byte    // a DSSE statement by the key before it; nil for the first
}

// State is where a key is in its life.
type State string

// The states, in their order.
const (
	Announced State = "announced" // published, and signs later
	Signs     State = "signs"
	Verifies  State = "verifies" // signs no more; what it signed holds
	Ended     State = "ended"
	Withdrawn State = "withdrawn" // nothing it signed holds
)

// State is the key's state at a time.
func (r Record) State(now time.Time) State {
	switch {
	case r.withdrawn():
		return Withdrawn
	case now.Before(r.From):
		return Announced
	case r.To.IsZero() || now.Before(r.To):
		return Signs
	case r.verifies(now):
		return Verifies
	default:
		return Ended
	}
}

// verifies says whether what the key signed may still hold.
func (r Record) verifies(now time.Time) bool {
	overlap := Recent
	if r.Purpose == AccessToken {
		overlap = TokenOverlap
	}
	return r.To.IsZero() || !r.withdrawn() && !now.After(r.To.Add(overlap))
}

// withdrawn says that nothing the key ever signed counts any more.
func (r Record) withdrawn() bool { return !r.To.IsZero() && !r.To.After(r.From) }
