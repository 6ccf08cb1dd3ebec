package credential

import (
	"crypto/sha256"
	"crypto/subtle"
)

// Recovery codes: how many a person gets, and of what form. 16 characters are 79
// bits: the hashes have no salt, so a thief of all of them tries each guess
// against every one at once.
const (
	recoveryCodes  = 10
	recoveryGroups = 2
	recoveryGroup  = 8
)

// NewRecoveryCodes makes ten codes, each of which stands in once for a lost
// authenticator app, and the hashes that are kept of them, in the same order.
func NewRecoveryCodes() (codes []Clear, hashes [][sha256.Size]byte) {
	for range recoveryCodes {
		code := random(readable, recoveryGroups, recoveryGroup)
		codes = append(codes, Clear{code})
		hashes = append(hashes, sha256.Sum256([]byte(typedRecovery(code))))
	}
	return codes, hashes
}

// MatchRecovery is the index of the hash that was kept of a code, -1 if there is
// none. Blanks, dashes and capital letters make no difference. The time it takes
// does not tell which hash it was; that hash is then to be removed, in one change
// that only succeeds where it is still there.
func MatchRecovery(code string, hashes [][sha256.Size]byte) int {
	code = typedRecovery(code)
	if code == "" {
		return -1
	}
	sum := sha256.Sum256([]byte(code))
	at := -1
	for i := range hashes {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], hashes[i][:]), i, at)
	}
	return at
}

func typedRecovery(code string) string {
	return typed(code, readable, recoveryGroups*recoveryGroup)
}
