package cli

import (
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"swab/internal/audit"
)

// changed tells where a log was changed that has the root of got at the size of
// h, another than h has. Which entry it is can be known where the hashes that
// the server keeps of the leaves are those that h was signed over: then a leaf
// that has another hash is not the leaf of that time. Else the change lies
// between two checkpoints, one that holds and one that does not.
func (l *auditLog) changed(h, got audit.Head) error {
	if at, ok := l.altered(h); ok {
		return l.first(&badEntry{at, fmt.Sprintf("changed since it was logged: it hashes to %s, the tree under the signed checkpoint has %s", l.leaf(at), l.told[at])})
	}
	from, to := l.between(h)
	if to-from == 1 {
		return l.first(&badEntry{from, fmt.Sprintf("changed since it was logged: the signed checkpoint over %d entries holds, the one over %d does not", from, to)})
	}
	err := fmt.Errorf("the log was changed: its first %d entries have the root %s, the signed checkpoint has %s; "+
		"the first change is in entries %d to %d", h.Size, got.Hash, h.Hash, from, to-1)
	if from == 0 {
		err = fmt.Errorf("%w, and --package FILE, of what was collected meanwhile, tells more closely", err)
	}
	if l.bad != nil {
		return fmt.Errorf("%w; %w", l.bad, err)
	}
	return err
}

// altered is the first leaf that is not the one under h. ok is false where the
// hashes that were told of the leaves do not make h's root, and so prove nothing.
func (l *auditLog) altered(h audit.Head) (at int64, ok bool) {
	var tree []tlog.Hash
	reader := readerOf(&tree)
	at = -1
	for i, hash := range l.told[:h.Size] {
		hashes, err := tlog.StoredHashesForRecordHash(int64(i), hash, reader)
		if err != nil {
			return 0, false
		}
		tree = append(tree, hashes...)
		if at < 0 && hash != l.leaf(int64(i)) {
			at = int64(i)
		}
	}
	root, err := audit.HeadOf(h.Size, reader)
	return at, err == nil && root == h && at >= 0
}

// leaf is the hash of a leaf as it came.
func (l *auditLog) leaf(at int64) tlog.Hash { return l.hashes[tlog.StoredHashIndex(0, at)] }

// between bounds the first change that h, which does not hold, tells of: the
// first from entries are proved by a checkpoint, and to is the size of the
// smallest one that does not hold.
func (l *auditLog) between(h audit.Head) (from, to int64) {
	known := append(slices.Clone(l.known), h)
	slices.SortFunc(known, func(a, b audit.Head) int { return cmp.Compare(a.Size, b.Size) })
	for _, k := range known {
		if k.Size > l.size {
			break
		}
		got, err := audit.HeadOf(k.Size, l.reader())
		if err != nil || got != k {
			return from, k.Size
		}
		from = k.Size
	}
	return from, h.Size
}
