package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Head is a tree's size and root hash. The zero Head is the empty tree.
type Head struct {
	Size int64     `json:"size"`
	Hash tlog.Hash `json:"hash"`
}

// Origin is the name of a tenant's log, the first line of its checkpoints and
// the name under which its key signs.
func Origin(tenant string) string { return "swab/" + tenant }

// algEd25519 is the signature type of the note format.
const algEd25519 = 1

func keyHash(name string, pub ed25519.PublicKey) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"), append([]byte{algEd25519}, pub...)...))
	return binary.BigEndian.Uint32(sum[:])
}

type signer struct {
	name string
	key  ed25519.PrivateKey
}

func (s signer) Name() string                    { return s.name }
func (s signer) KeyHash() uint32                 { return keyHash(s.name, s.key.Public().(ed25519.PublicKey)) }
func (s signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

type verifier struct {
	name string
	key  ed25519.PublicKey
}

func (v verifier) Name() string                { return v.name }
func (v verifier) KeyHash() uint32             { return keyHash(v.name, v.key) }
func (v verifier) Verify(msg, sig []byte) bool { return ed25519.Verify(v.key, msg, sig) }

// Sign returns the checkpoint of a tenant's head: a signed note (the format of
// C2SP tlog-checkpoint) of origin, size and root hash.
func (h Head) Sign(tenant string, key ed25519.PrivateKey) (string, error) {
	text := Origin(tenant) + "\n" + strconv.FormatInt(h.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(h.Hash[:]) + "\n"
	signed, err := note.Sign(&note.Note{Text: text}, signer{Origin(tenant), key})
	if err != nil {
		return "", fmt.Errorf("sign checkpoint: %w", err)
	}
	return string(signed), nil
}

// MaxCheckpoint bounds a checkpoint: 4 KiB.
const MaxCheckpoint = 4 << 10

// OpenCheckpoint checks a checkpoint of a tenant's log against the log's key.
// Only the exact text that Sign gives is taken.
func OpenCheckpoint(checkpoint, tenant string, key ed25519.PublicKey) (Head, error) {
	var h Head
	if len(checkpoint) > MaxCheckpoint {
		return h, fmt.Errorf("checkpoint has over %d bytes", MaxCheckpoint)
	}
	if len(key) != ed25519.PublicKeySize {
		return h, errors.New("log key is not an Ed25519 public key")
	}
	n, err := note.Open([]byte(checkpoint), note.VerifierList(verifier{Origin(tenant), key}))
	if err != nil {
		return h, fmt.Errorf("checkpoint is not signed by the log's key: %w", err)
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[0] != Origin(tenant) {
		return h, errors.New("checkpoint is not of this tenant's log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return h, fmt.Errorf("checkpoint has size %.30q", lines[1])
	}
	hash, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(hash) != tlog.HashSize {
		return h, fmt.Errorf("checkpoint has root %.60q", lines[2])
	}
	return Head{Size: size, Hash: tlog.Hash(hash)}, nil
}

// Extend returns the hashes to keep when leaf becomes number n (from 0) of the
// tree, in the order in which [tlog.HashReader] numbers them: the first one's
// index is tlog.StoredHashIndex(0, n).
func Extend(n int64, leaf []byte, r tlog.HashReader) ([]tlog.Hash, error) {
	return tlog.StoredHashes(n, leaf, r)
}

// HeadOf computes the head of the first size leaves.
func HeadOf(size int64, r tlog.HashReader) (Head, error) {
	if size == 0 {
		return Head{}, nil
	}
	hash, err := tlog.TreeHash(size, r)
	if err != nil {
		return Head{}, fmt.Errorf("root of %d leaves: %w", size, err)
	}
	return Head{Size: size, Hash: hash}, nil
}
