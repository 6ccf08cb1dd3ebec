package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"swab/internal/audit"
	"swab/internal/canon"
	"swab/internal/fault"
)

// record keeps an entry in the transaction of the act that it records, and
// returns its id.
func (t *tx) record(ctx context.Context, tenant string, e audit.Entry) (id int64, leaf []byte, err error) {
	leaf = e.Leaf.Bytes()
	if len(leaf) > audit.MaxLeaf {
		return 0, nil, fmt.Errorf("audit entry %s of %s: its leaf has %d bytes, over %d", e.Leaf.Act, e.Leaf.Object, len(leaf), audit.MaxLeaf)
	}
	made, err := canon.ParseTime(e.Leaf.Time)
	if err != nil {
		return 0, nil, fmt.Errorf("audit entry %s of %s: %w", e.Leaf.Act, e.Leaf.Object, err)
	}
	var number any // NULL: it has no leaf yet
	if t.trees != nil {
		if number, err = t.trees.add(ctx, tenant, leaf); err != nil {
			return 0, nil, err
		}
	}
	id, err = one(ctx, t.conn, value[int64],
		`INSERT INTO audit_entries (tenant, leaf, bytes, opening, time, act, object, device, result, who, name, correlation)
			SELECT id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM tenants WHERE id = ? RETURNING id`,
		number, leaf, text(e.Opening), ticks(made), e.Leaf.Act, e.Leaf.Object, e.Leaf.Device, e.Leaf.Result,
		e.Opening.Hidden.Who, lower(e.Opening.Hidden.Name), e.Opening.Hidden.Correlation, tenant)
	if e.Leaf.Result == audit.Refused {
		t.recorded.refused++
	} else {
		t.recorded.done++
	}
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, noTenant(tenant, err)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("audit entry %s of %s: %w", e.Leaf.Act, e.Leaf.Object, err)
	}
	return id, leaf, nil
}

// Record keeps entries of acts that change nothing else.
func (s *Store) Record(ctx context.Context, tenant string, entries ...audit.Entry) error {
	_, err := write(ctx, s, "record audit entries", func(ctx context.Context, t *tx) (struct{}, error) {
		for _, e := range entries {
			if _, _, err := t.record(ctx, tenant, e); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	return err
}

// Head returns the head of a tenant's audit log, over every act that was
// answered before Head was called: where the sequencer is behind, Head waits for
// it, some seconds at most.
func (s *Store) Head(ctx context.Context, tenant string) (audit.Head, error) {
	return read(ctx, s, "head of the audit log of "+tenant, func(ctx context.Context, c *conn) (audit.Head, error) {
		if err := s.settled(ctx, tenant); err != nil {
			return audit.Head{}, err
		}
		return head(ctx, c, tenant)
	})
}

func head(ctx context.Context, c *conn, tenant string) (audit.Head, error) {
	h, err := one(ctx, c, func(r row) (h audit.Head, err error) {
		var root []byte
		if err := r.Scan(&h.Size, &root); err != nil {
			return h, err
		}
		if len(root) != tlog.HashSize {
			return h, fmt.Errorf("root of the audit log of %s has %d bytes", tenant, len(root))
		}
		h.Hash = tlog.Hash(root)
		return h, nil
	}, "SELECT size, root FROM audit_logs WHERE tenant = ?", tenant)
	if errors.Is(err, sql.ErrNoRows) {
		return h, noTenant(tenant, err)
	}
	return h, err
}

// Prove proves entries, named by their ids (as in action.Action.Entry), under
// the log's present head, which continues that of from leaves. The checkpoint
// of the proof is left to whoever has the log's key.
func (s *Store) Prove(ctx context.Context, tenant string, entries []int64, from int64) (audit.Proof, audit.Head, error) {
	type proved struct {
		proof audit.Proof
		head  audit.Head
	}
	p, err := read(ctx, s, "prove audit entries of "+tenant, func(ctx context.Context, c *conn) (p proved, err error) {
		if len(entries) > audit.MaxProofLeaves {
			return p, fmt.Errorf("%d entries asked for, over %d", len(entries), audit.MaxProofLeaves)
		}
		// The entries come first and the head after them: the log only grows,
		// so a head holds every leaf that was there before it.
		leaves := make([]audit.Proved, 0, len(entries))
		for _, id := range entries {
			l, err := leafOf(ctx, c, tenant, id)
			if err != nil {
				return p, err
			}
			leaves = append(leaves, l)
		}
		if p.head, err = head(ctx, c, tenant); err != nil {
			return p, err
		}
		if from < 0 || from > p.head.Size {
			return p, fault.BadRequest.Errorf(nil, "The audit log has %d entries, asked from %d", p.head.Size, from)
		}
		p.proof, err = audit.Prove(p.head, from, leaves, hashReader(ctx, c, tenant, nil))
		return p, err
	})
	return p.proof, p.head, err
}

func leafOf(ctx context.Context, c *conn, tenant string, id int64) (audit.Proved, error) {
	var number sql.NullInt64
	l, err := one(ctx, c, func(r row) (l audit.Proved, err error) {
		err = r.Scan(&number, &l.Leaf)
		return l, err
	}, "SELECT leaf, bytes FROM audit_entries WHERE tenant = ? AND id = ?", tenant, id)
	if errors.Is(err, sql.ErrNoRows) {
		return l, fault.NotFound.Errorf(err, "Audit entry %d was not found", id)
	}
	if err != nil {
		return l, fmt.Errorf("audit entry %d: %w", id, err)
	}
	if !number.Valid {
		return l, fault.Unavailable.Errorf(audit.ErrNotYet, "Audit entry %d is not in the log yet; try again later", id)
	}
	l.Index = number.Int64
	return l, nil
}

// MaxLogged is the most entries that one call of AuditEntries returns: about
// 10 MiB of usual ones.
const MaxLogged = 10_000

// AuditEntries returns entries in the order of their leaves, the first one that
// of number from, at most top (0: MaxLogged). Like Head, it waits for the entries
// of acts that were answered before.
func (s *Store) AuditEntries(ctx context.Context, tenant string, from int64, top int) ([]audit.Logged, error) {
	return read(ctx, s, "audit entries of "+tenant, func(ctx context.Context, c *conn) ([]audit.Logged, error) {
		if err := s.settled(ctx, tenant); err != nil {
			return nil, err
		}
		entries, err := all(ctx, c, scanLogged, "SELECT leaf, bytes, opening FROM audit_entries WHERE tenant = ? AND leaf >= ? ORDER BY leaf LIMIT ?",
			tenant, from, limit(top, MaxLogged))
		if err != nil || len(entries) == 0 {
			return entries, err
		}
		return entries, leafHashes(ctx, c, tenant, entries)
	})
}

// AuditEntry returns the entry of a leaf's number with the proof that it is in the
// log under the head returned; fault.NotFound where the log is not so long. The
// checkpoint of the proof is left to whoever has the log's key.
func (s *Store) AuditEntry(ctx context.Context, tenant string, index int64) (audit.Logged, audit.Proof, audit.Head, error) {
	type proved struct {
		entry audit.Logged
		proof audit.Proof
		head  audit.Head
	}
	what := fmt.Sprintf("audit entry %d of %s", index, tenant)
	p, err := read(ctx, s, what, func(ctx context.Context, c *conn) (p proved, err error) {
		if err := s.settled(ctx, tenant); err != nil {
			return p, err
		}
		p.entry, err = one(ctx, c, scanLogged, "SELECT leaf, bytes, opening FROM audit_entries WHERE tenant = ? AND leaf = ?", tenant, index)
		if errors.Is(err, sql.ErrNoRows) {
			return p, fault.NotFound.Errorf(err, "Audit entry %d was not found", index)
		}
		if err != nil {
			return p, err
		}
		list := []audit.Logged{p.entry}
		if err := leafHashes(ctx, c, tenant, list); err != nil {
			return p, err
		}
		p.entry = list[0]
		if p.head, err = head(ctx, c, tenant); err != nil { // after the entry, as in Prove
			return p, err
		}
		p.proof, err = audit.Prove(p.head, 0, []audit.Proved{{Index: index, Leaf: p.entry.Leaf}}, hashReader(ctx, c, tenant, nil))
		return p, err
	})
	return p.entry, p.proof, p.head, err
}

func scanLogged(r row) (l audit.Logged, err error) {
	err = r.Scan(&l.Index, &l.Leaf, fromText{&l.Opening})
	return l, err
}

// leafHashes gives entries the hashes that the tree has of them. One that is not
// there is left out: it is for the reader to tell what is wrong with the log.
func leafHashes(ctx context.Context, c *conn, tenant string, entries []audit.Logged) error {
	hashes := map[int64][]byte{}
	_, err := all(ctx, c, func(r row) (struct{}, error) {
		var (
			position int64
			hash     []byte
		)
		err := r.Scan(&position, &hash)
		hashes[position] = hash
		return struct{}{}, err
	}, "SELECT position, hash FROM audit_hashes WHERE tenant = ? AND position BETWEEN ? AND ?", tenant,
		tlog.StoredHashIndex(0, entries[0].Index), tlog.StoredHashIndex(0, entries[len(entries)-1].Index))
	for i := range entries {
		entries[i].Hash = hashes[tlog.StoredHashIndex(0, entries[i].Index)]
	}
	return err
}

// limit is the bound on a list's length: what was asked for, if that is in bounds.
func limit(asked, most int) int {
	if asked <= 0 || asked > most {
		return most
	}
	return asked
}
