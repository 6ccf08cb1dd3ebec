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
	head   audit.Head   // of the first checkpoint seen: what is checked
	hashes []tlog.Hash  // in tlog's order, of the leaves as they came
	told   []tlog.Hash  // of each leaf, by the server's account; zero for none
	known  []audit.Head // of every checkpoint that the key signed
	bad    *badEntry    // the first entry that is wrong by itself
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
// the last page comes; they are checked as far as they came. seen are heads that
// devices saw of the log: where it was changed, they help to say where.
func readLog(ctx context.Context, tenant string, key ed25519.PublicKey, next pager, seen ...audit.Head) (*auditLog, error) {
	l := &auditLog{tenant: tenant, key: key, known: seen, places: map[string]int64{}, asked: map[string]asked{}, sealed: map[string]string{}}
	var own []audit.Head
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
		own = append(own, head)
		if head.Size > 0 && len(page.Entries) == 0 && l.size < l.head.Size {
			return nil, l.first(&badEntry{l.size, fmt.Sprintf("missing; the checkpoint has %d entries", l.head.Size)})
		}
		for _, e := range page.Entries {
			if e.Index != l.size {
				return nil, l.first(&badEntry{l.size, fmt.Sprintf("missing; entry %d came in its place", e.Index)})
			}
			if err := l.add(e); err != nil {
				return nil, err
			}
		}
	}
	l.known = append(l.known, own...)
	for _, h := range own {
		if err := l.holds(h); err != nil {
			return nil, err
		}
	}
	if l.bad != nil {
		return nil, l.bad
	}
	return l, nil
}

// add puts the next entry into the tree, and keeps what is wrong with the first
// bad one: only the whole tree tells whether an earlier one is worse.
func (l *auditLog) add(e client.AuditEntry) error {
	hashes, err := audit.Extend(l.size, e.Leaf, l.reader())
	if err != nil {
		return err
	}
	l.hashes = append(l.hashes, hashes...)
	var told tlog.Hash
	if len(e.Hash) == len(told) {
		told = tlog.Hash(e.Hash)
	}
	l.told = append(l.told, told)
	sum := sha256.Sum256(e.Leaf)
	l.places[hex.EncodeToString(sum[:])] = e.Index
	l.size++
	if why := l.judge(e); why != "" {
		l.bad = l.first(&badEntry{e.Index, why})
	}
	return nil
}

// first is the earlier one of b and the first bad entry found so far.
func (l *auditLog) first(b *badEntry) *badEntry {
	if l.bad != nil && l.bad.index <= b.index {
		return l.bad
	}
	return b
}

// judge says what is wrong with an entry by itself, "" for nothing, and keeps
// what is looked up of it later.
func (l *auditLog) judge(e client.AuditEntry) (why string) {
	leaf, err := audit.ParseLeaf(e.Leaf)
	if err != nil {
		return err.Error()
	}
	h := e.Opening.Hidden
	opening := audit.Opening{Salt: e.Opening.Salt, Hidden: audit.Hidden{
		Who: h.Who, Name: h.Name, From: h.From, Correlation: h.Correlation, Comment: h.Comment,
	}}
	if opening.Commitment() != leaf.Commitment {
		return "who asked and why is not what the entry was committed to"
	}
	switch {
	case leaf.Result != audit.Done:
	case leaf.Act == audit.ActCollect:
		if _, twice := l.asked[leaf.Object]; twice {
			return "asks for action " + leaf.Object + " a second time"
		}
		l.asked[leaf.Object] = asked{e.Index, leaf.Commitment}
	case leaf.Act == audit.ActSeal:
		if _, twice := l.sealed[leaf.Object]; twice {
			return "seals a second package of action " + leaf.Object
		}
		l.sealed[leaf.Object] = leaf.Detail
	}
	return ""
}

func (l *auditLog) reader() tlog.HashReader { return readerOf(&l.hashes) }

// readerOf reads a tree's hashes, which may grow meanwhile.
func readerOf(hashes *[]tlog.Hash) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, at := range indexes {
			if at < 0 || at >= int64(len(*hashes)) {
				return nil, fmt.Errorf("hash %d is not there", at)
			}
			out[i] = (*hashes)[at]
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
		return l.changed(h, got)
	}
	return nil
}
