package audit

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Proof shows a device that leaves are in the log, and that the log is still
// the one it knew.
type Proof struct {
	Leaves      []Proved    `json:"leaves"`
	Checkpoint  string      `json:"checkpoint"`  // the head, signed
	From        int64       `json:"from"`        // size of the head that consistency starts at: the device's last
	Consistency []tlog.Hash `json:"consistency"` // from From to the checkpoint; empty where From is 0 or the size itself
}

// Proved is a leaf with its place and its inclusion proof under the checkpoint.
type Proved struct {
	Index     int64       `json:"index"`
	Leaf      []byte      `json:"leaf"` // Leaf.Bytes
	Inclusion []tlog.Hash `json:"inclusion"`
}

// MaxProofLeaves bounds the leaves of one proof.
const MaxProofLeaves = 16

// Prove makes the proof of leaves (index and bytes given, inclusion filled in)
// under head, consistent with the first from leaves. The checkpoint is left to
// the caller, who has the key.
func Prove(head Head, from int64, leaves []Proved, r tlog.HashReader) (Proof, error) {
	p := Proof{From: from, Consistency: []tlog.Hash{}}
	if from < 0 || from > head.Size {
		return p, fmt.Errorf("prove: the log has %d leaves, asked from %d", head.Size, from)
	}
	for _, l := range leaves {
		inclusion, err := tlog.ProveRecord(head.Size, l.Index, r)
		if err != nil {
			return p, fmt.Errorf("prove leaf %d: %w", l.Index, err)
		}
		l.Inclusion = inclusion
		p.Leaves = append(p.Leaves, l)
	}
	if from > 0 && from < head.Size {
		consistency, err := tlog.ProveTree(head.Size, from, r)
		if err != nil {
			return p, fmt.Errorf("prove consistency from %d: %w", from, err)
		}
		p.Consistency = consistency
	}
	return p, nil
}

// ErrNotYet is why an entry can't be proved that was made just now: it is not a
// leaf of the tree yet, and will be.
var ErrNotYet = errors.New("the entry is not in the log yet")

// Errors of Check: why a device refuses.
var (
	ErrCheckpoint   = errors.New("the checkpoint is not the log's")
	ErrRewritten    = errors.New("the log is not a continuation of the one known")
	ErrNotInLog     = errors.New("a leaf is not in the log")
	ErrShorter      = errors.New("the log is shorter than the one known")
	errTooManyProof = errors.New("the proof has too many leaves or hashes")
)

// Check verifies p against the log's key and the last head known, and returns
// the new head and the leaves it proves.
func (p Proof) Check(tenant string, key ed25519.PublicKey, known Head) (Head, []Leaf, error) {
	if len(p.Leaves) > MaxProofLeaves || len(p.Consistency) > 128 {
		return Head{}, nil, errTooManyProof
	}
	head, err := OpenCheckpoint(p.Checkpoint, tenant, key)
	if err != nil {
		return Head{}, nil, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	switch {
	case head.Size < known.Size:
		return Head{}, nil, fmt.Errorf("%w: %d leaves, known are %d", ErrShorter, head.Size, known.Size)
	case p.From != known.Size:
		return Head{}, nil, fmt.Errorf("%w: proof starts at %d, known are %d", ErrRewritten, p.From, known.Size)
	case head.Size == known.Size:
		if head.Hash != known.Hash {
			return Head{}, nil, fmt.Errorf("%w: another root over the same %d leaves", ErrRewritten, head.Size)
		}
	case known.Size > 0:
		if err := tlog.CheckTree(p.Consistency, head.Size, head.Hash, known.Size, known.Hash); err != nil {
			return Head{}, nil, fmt.Errorf("%w: %w", ErrRewritten, err)
		}
	}
	leaves := make([]Leaf, 0, len(p.Leaves))
	for _, l := range p.Leaves {
		if len(l.Inclusion) > 64 || len(l.Leaf) > MaxLeaf {
			return Head{}, nil, errTooManyProof
		}
		if l.Index < 0 || l.Index >= head.Size {
			return Head{}, nil, fmt.Errorf("%w: leaf %d of %d", ErrNotInLog, l.Index, head.Size)
		}
		if err := tlog.CheckRecord(l.Inclusion, head.Size, head.Hash, l.Index, tlog.RecordHash(l.Leaf)); err != nil {
			return Head{}, nil, fmt.Errorf("%w: %w", ErrNotInLog, err)
		}
		leaf, err := ParseLeaf(l.Leaf)
		if err != nil {
			return Head{}, nil, err
		}
		leaves = append(leaves, leaf)
	}
	return head, leaves, nil
}
