package row

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// EntityID is a process's identity across tables and packages of one boot, where
// a pid is used again: SHA-256 over boot id, pid and start in ticks since the
// boot, each followed by a newline, in hex.
func EntityID(boot string, pid int, start uint64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%d\n", boot, pid, start))
	return hex.EncodeToString(sum[:])
}
