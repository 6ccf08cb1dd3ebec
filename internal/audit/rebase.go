package audit

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"swab/internal/canon"
	"swab/internal/dsse"
)

// Rebase is the statement by which devices accept a log that was restored from a
// backup, and so lacks entries that they have seen proved: from Head on, the log
// is what the restored one says. The recovery key signs it, which lies with the
// operator and not on the server: a stolen server can't take entries back.
type Rebase struct {
	Tenant string `json:"tenant"`
	LogKey []byte `json:"logKey"` // the public half of the key that signs the log
	Head   Head   `json:"head"`   // of the restored log
	Number int64  `json:"number"` // higher than that of any rebase before: Unix milliseconds of its making
}

const rebaseType = "application/vnd.swab.log-rebase+json"

// MaxRebase bounds a statement: 4 KiB.
const MaxRebase = 4 << 10

// Sign returns the statement, signed by the recovery key.
func (r Rebase) Sign(recovery ed25519.PrivateKey) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	payload, err := canon.Marshal(r)
	if err != nil {
		return nil, err
	}
	return dsse.Sign(rebaseType, payload, recovery)
}

// OpenRebase returns what a statement says that the recovery key signed.
func OpenRebase(statement []byte, recovery ed25519.PublicKey) (Rebase, error) {
	var r Rebase
	if len(statement) > MaxRebase {
		return r, fmt.Errorf("rebase has over %d bytes", MaxRebase)
	}
	payload, err := dsse.Open(statement, rebaseType, recovery)
	if err != nil {
		return r, fmt.Errorf("rebase: %w", err)
	}
	if err := canon.Unmarshal(payload, &r); err != nil {
		return Rebase{}, fmt.Errorf("rebase: %w", err)
	}
	return r, r.check()
}

func (r Rebase) check() error {
	if len(r.LogKey) != ed25519.PublicKeySize {
		return errors.New("rebase: its log key is not an Ed25519 public key")
	}
	if r.Tenant == "" || r.Head.Size < 1 || r.Number < 1 {
		return errors.New("rebase: its tenant, head or number is missing")
	}
	return nil
}
