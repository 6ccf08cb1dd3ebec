package wire

import (
	"encoding/hex"
	"fmt"
	"regexp"

	"swab/internal/audit"
)

// ActionID is a UUID in lower case with hyphens.
type ActionID string

// Name is the name of a profile in the device's own catalogue.
type Name string

// Digest is "sha256:" and 64 lower-case hex digits.
type Digest string

// Statement is the signed statement of an [audit.Rebase], of at most
// audit.MaxRebase bytes.
type Statement []byte

// Reason is a code from the closed list of reasons to end a connection.
type Reason string

// The reasons of a bye.
const (
	ByeVersion  Reason = "version"  // no common version
	ByeProtocol Reason = "protocol" // a message that can't be
	ByeRevoked  Reason = "revoked"  // the device is no longer enrolled
	ByeReplaced Reason = "replaced" // a newer connection of the same device took over
	ByeShutdown Reason = "shutdown" // the server is going away; come again
	ByeExpired  Reason = "expired"  // the device's token ran out, or the key that it is bound to was succeeded
	ByeBusy     Reason = "busy"     // too much at once; come again later
)

var (
	actionPattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	namePattern   = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)
	reasons       = map[Reason]bool{
		ByeVersion: true, ByeProtocol: true, ByeRevoked: true, ByeReplaced: true, ByeShutdown: true, ByeExpired: true, ByeBusy: true,
	}
)

func (a ActionID) check() error {
	if !actionPattern.MatchString(string(a)) {
		return fmt.Errorf("%.60q is not an action id", string(a))
	}
	return nil
}

func (n Name) check() error {
	if !namePattern.MatchString(string(n)) {
		return fmt.Errorf("%.60q is not a profile's name", string(n))
	}
	return nil
}

func (d Digest) check() error {
	const prefix = "sha256:"
	s := string(d)
	if len(s) != len(prefix)+64 || s[:len(prefix)] != prefix {
		return fmt.Errorf("%.80q is not a digest", s)
	}
	for _, c := range s[len(prefix):] {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return fmt.Errorf("%.80q is not a digest", s)
		}
	}
	return nil
}

func (s Statement) check() error {
	if len(s) == 0 || len(s) > audit.MaxRebase {
		return fmt.Errorf("a statement has %d bytes, want 1 to %d", len(s), audit.MaxRebase)
	}
	return nil
}

func (r Reason) check() error {
	if !reasons[r] {
		return fmt.Errorf("%.40q is not a reason", string(r))
	}
	return nil
}

// Limits may lower the device's own bounds for one action; a value of 0, or one
// above the device's own, changes nothing.
type Limits struct {
	PackageBytes int64 `json:"packageBytes"`
	Seconds      int64 `json:"seconds"`
}

func (l Limits) check() error {
	if l.PackageBytes < 0 || l.Seconds < 0 {
		return fmt.Errorf("limits are negative")
	}
	return nil
}

// Proof is an audit proof in transit. Its leaves are read by package audit
// alone, and only to be compared with the message that brought them.
type Proof audit.Proof

func (p Proof) check() error {
	if len(p.Leaves) == 0 || len(p.Leaves) > audit.MaxProofLeaves || len(p.Checkpoint) > audit.MaxCheckpoint {
		return fmt.Errorf("proof has %d leaves and a checkpoint of %d bytes", len(p.Leaves), len(p.Checkpoint))
	}
	return nil
}

// Hex returns a digest's bytes in hex, without its prefix.
func (d Digest) Hex() string { return string(d)[len("sha256:"):] }

// DigestOfSum makes a digest of a SHA-256 sum.
func DigestOfSum(sum [32]byte) Digest { return Digest("sha256:" + hex.EncodeToString(sum[:])) }
