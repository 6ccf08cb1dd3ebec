package credential

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// cost is what a hash takes: KiB of memory, and how often they are gone over.
// There is one lane, always: a hash takes one core, or bounding how many run at
// once would bound nothing.
type cost struct{ memory, passes uint32 }

// today is what new hashes cost: what OWASP's Password Storage Cheat Sheet asks
// at least. It may be raised; who signs in then gets a new hash.
var today = cost{memory: 19 << 10, passes: 2}

// most is what a hash may cost that the database holds: who can write there must
// not make the server take gigabytes. It costs some 13 times as much as today's.
var most = cost{memory: 64 << 10, passes: 8}

const (
	saltSize = 16
	keySize  = 32
	maxHash  = 128 // bytes of a hash's text; today's has 97
)

// hash is Argon2id's of a password, version 1.3 (RFC 9106).
type hash struct {
	cost
	salt [saltSize]byte
	key  [keySize]byte
}

// newHash hashes a password at today's cost.
func newHash(password string) hash {
	h := hash{cost: today}
	rand.Read(h.salt[:]) // never fails (crypto/rand)
	h.key = h.of(password)
	return h
}

// of is the key of a password under this hash's cost and salt. It takes the
// memory and the time that everything else here is about.
func (h *hash) of(password string) [keySize]byte {
	return [keySize]byte(argon2.IDKey([]byte(password), h.salt[:], h.passes, h.memory, 1, keySize))
}

// matches says whether the password is the one that was hashed.
func (h *hash) matches(password string) bool {
	key := h.of(password)
	return subtle.ConstantTimeCompare(key[:], h.key[:]) == 1
}

// String is the hash in the form of the PHC string format, as it is kept.
func (h *hash) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s",
		argon2.Version, h.memory, h.passes, b64.EncodeToString(h.salt[:]), b64.EncodeToString(h.key[:]))
}

// errHash says nothing of the text: that is no business of a log.
var errHash = errors.New("credential: what is kept is no Argon2id hash of one lane, 16 bytes of salt and 32 of key, within the bounds of its cost: set a new password")

// parseHash reads what String writes, byte for byte, at a cost from Argon2's
// least to most.
func parseHash(text string) (hash, error) {
	var h hash
	if len(text) > maxHash {
		return h, errHash
	}
	parts := strings.Split(text, "$")
	if len(parts) != 6 {
		return h, errHash
	}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return h, errHash
	}
	memory, err1 := strconv.ParseUint(strings.TrimPrefix(costs[0], "m="), 10, 32)
	passes, err2 := strconv.ParseUint(strings.TrimPrefix(costs[1], "t="), 10, 32)
	salt, err3 := base64.RawStdEncoding.DecodeString(parts[4])
	key, err4 := base64.RawStdEncoding.DecodeString(parts[5])
	if errors.Join(err1, err2, err3, err4) != nil || len(salt) != saltSize || len(key) != keySize {
		return h, errHash
	}
	h.cost = cost{uint32(memory), uint32(passes)}
	if h.memory < 8 || h.memory > most.memory || h.passes < 1 || h.passes > most.passes {
		return hash{}, errHash
	}
	h.salt, h.key = [saltSize]byte(salt), [keySize]byte(key)
	// Readers of numbers and of base64 forgive much; what is read must be the one
	// way to write it.
	if h.String() != text {
		return hash{}, errHash
	}
	return h, nil
}
