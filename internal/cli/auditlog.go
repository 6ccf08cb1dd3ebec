package cli

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"swab/client"
	"swab/internal/audit"
)

// auditLog is a tenant's log as it was read: the tree's hashes and what is
// looked up in it later. The leaves themselves are not kept.
type auditLog struct {
	tenant string
	key    ed25519.PublicKey
	head   audit.Head  // of the first checkpoint seen: what is checked
	hashes []tlog.Hash // in tlog's order
	size   int64
	places map[string]int64  // hex SHA-256 of a leaf's bytes → its index
	asked  map[string]asked  // action → the entry that asked for it
	sealed map[string]string // action → the package that was sealed, as "sha256:" and hex
}

// asked is the entry that asked for an action.
type asked struct {
	index      int64
	commitment string
}

// badEntry says which entry is wrong, the first one that is.
type badEntry struct {
	index int64
	why   string
}

func (e *badEntry) Error() string { return fmt.Sprintf("audit entry %d: %s", e.index, e.why) }

// pageOf is how many entries are asked for at once.
const pageOf = 1000

// pager gives a run of entries; *client.Client's Audit does.
type pager func(ctx context.Context, from int64, top int) (client.AuditPage, error)

// readLog reads the whole log up to the head that the first page's checkpoint
// names, and checks each entry by itself, the root over all of them, and every
// later checkpoint's signature. Reading adds entries, so the log is longer when
// the last page comes; they are checked as far as they came.
func readLog(ctx context.Context, tenant string, key ed25519.PublicKey, next pager) (*auditLog, error) {
	l := &auditLog{tenant: tenant, key: key, places: map[string]int64{}, asked: map[string]asked{}, sealed: map[string]string{}}
	var later []audit.Head
	for first := true; first || l.size < l.head.Size; first = false {
		page, err := next(ctx, l.size, pageOf)
		if err != nil {
			return nil, fmt.Errorf("read the audit log from entry %d: %w", l.size, err)
		}
		head, err := audit.OpenCheckpoint(page.Checkpoint, tenant, key)
		if err != nil {
			return nil, fmt.Errorf("the log's checkpoint: %w", err)
		}
		if first {
			l.head = head
		}
		later = append(later, head)
		if head.Size > 0 && len(page.Entries) == 0 && l.size < l.head.Size {
			return nil, &badEntry{l.size, fmt.Sprintf("missing; the checkpoint has %d entries", l.head.Size)}
		}
		for _, e := range page.Entries {
			if err := l.add(e); err != nil {
				return nil, err
			}
		}
	}
	for _, h := range later {
		if err := l.holds(h); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// add checks the next entry and puts it into the tree.
func (l *auditLog) add(e client.AuditEntry) error {
	if e.Index != l.size {
		return &badEntry{l.size, fmt.Sprintf("missing; entry %d came in its place", e.Index)}
	}
	leaf, err := audit.ParseLeaf(e.Leaf)
	if err != nil {
		return &badEntry{e.Index, err.Error()}
	}
	h := e.Opening.Hidden
	opening := audit.Opening{Salt: e.Opening.Salt, Hidden: audit.Hidden{
		Who: h.Who, Name: h.Name, From: h.From, Correlation: h.Correlation, Comment: h.Comment,
	}}
	if opening.Commitment() != leaf.Commitment {
		return &badEntry{e.Index, "who asked and why is not what the entry was committed to"}
	}
	hashes, err := audit.Extend(l.size, e.Leaf, l.reader())
	if err != nil {
		return &badEntry{e.Index, err.Error()}
	}
	l.hashes = append(l.hashes, hashes...)
	sum := sha256.Sum256(e.Leaf)
	l.places[hex.EncodeToString(sum[:])] = e.Index
	switch {
	case leaf.Result != audit.Done:
	case leaf.Act == audit.ActCollect:
		if _, twice := l.asked[leaf.Object]; twice {
			return &badEntry{e.Index, "asks for action " + leaf.Object + " a second time"}
		}
		l.asked[leaf.Object] = asked{e.Index, leaf.Commitment}
	case leaf.Act == audit.ActSeal:
		if _, twice := l.sealed[leaf.Object]; twice {
			return &badEntry{e.Index, "seals a second package of action " + leaf.Object}
		}
		l.sealed[leaf.Object] = leaf.Detail
	}
	l.size++
	return nil
}

func (l *auditLog) reader() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, at := range indexes {
			if at < 0 || at >= int64(len(l.hashes)) {
				return nil, fmt.Errorf("hash %d is not there", at)
			}
			out[i] = l.hashes[at]
		}
		return out, nil
	})
}

// holds says whether the log, as read, has the head h at its size. A head beyond
// what was read can't be judged and is left alone.
func (l *auditLog) holds(h audit.Head) error {
	if h.Size > l.size {
		return nil
	}
	got, err := audit.HeadOf(h.Size, l.reader())
	if err != nil {
		return err
	}
	if got.Hash != h.Hash {
		return fmt.Errorf("the log was changed: its first %d entries have the root %s, the signed checkpoint has %s", h.Size, got.Hash, h.Hash)
	}
	return nil
}
