package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"swab/internal/audit"
	"swab/internal/fault"
)

// trees are the tenants' audit trees as the batch under way sees them. Entries
// get their numbers as they are made, their hashes all at once before the
// commit.
type trees struct {
	conn  *conn
	open  map[string]*tree // those that the batch has touched
	added []string         // tenants of the entries made since mark

	// edges are, by tenant, the hashes that the next leaf's are computed from.
	// A hash never changes once it is committed, so an edge can be missing but
	// never wrong, even if another process has written in the meantime.
	edges map[string]map[int64]tlog.Hash
}

// tree is one tenant's: the leaves it had when the batch began, and those that
// were added since.
type tree struct {
	size   int64
	leaves [][]byte
}

func newTrees(c *conn) *trees {
	return &trees{conn: c, open: map[string]*tree{}, edges: map[string]map[int64]tlog.Hash{}}
}

// mark begins a call's savepoint; back takes away what was added since.
func (ts *trees) mark() { ts.added = ts.added[:0] }

func (ts *trees) back() {
	for _, tenant := range ts.added {
		t := ts.open[tenant]
		t.leaves = t.leaves[:len(t.leaves)-1]
	}
	ts.mark()
}

// committed ends a batch, forget one that is lost.
func (ts *trees) committed() { clear(ts.open) }

func (ts *trees) forget() {
	for tenant := range ts.open {
		delete(ts.edges, tenant)
	}
	clear(ts.open)
	ts.mark()
}

// add gives the next leaf of a tenant's tree its number.
func (ts *trees) add(ctx context.Context, tenant string, leaf []byte) (int64, error) {
	t, ok := ts.open[tenant]
	if !ok {
		size, err := one(ctx, ts.conn, value[int64], "SELECT size FROM audit_logs WHERE tenant = ?", tenant)
		if errors.Is(err, sql.ErrNoRows) {
			return 0, noTenant(tenant, err)
		}
		if err != nil {
			return 0, fmt.Errorf("size of the audit log of %s: %w", tenant, err)
		}
		t = &tree{size: size}
		ts.open[tenant] = t
	}
	t.leaves = append(t.leaves, leaf)
	ts.added = append(ts.added, tenant)
	return t.size + int64(len(t.leaves)) - 1, nil
}

// integrate writes the hashes and the heads of all trees that grew.
func (ts *trees) integrate(ctx context.Context) error {
	for _, tenant := range slices.Sorted(maps.Keys(ts.open)) {
		t := ts.open[tenant]
		if len(t.leaves) == 0 {
			continue
		}
		edge, err := grow(ctx, ts.conn, tenant, t.size, t.leaves, ts.edges[tenant])
		if err != nil {
			return fmt.Errorf("extend the audit log of %s: %w", tenant, err)
		}
		ts.edges[tenant] = edge
	}
	return nil
}

// growth is what a tree gains with new leaves: their hashes and those above them,
// of positions one after the other from first on, and its new head and edge.
type growth struct {
	first  int64
	hashes []tlog.Hash
	head   audit.Head
	edge   map[int64]tlog.Hash
}

// grown computes what a tenant's tree of the given size gains with leaves. Known
// hashes are taken from edge, the others from the database.
func grown(ctx context.Context, c *conn, tenant string, size int64, leaves [][]byte, edge map[int64]tlog.Hash) (growth, error) {
	known := maps.Clone(edge)
	if known == nil {
		known = map[int64]tlog.Hash{}
	}
	reader := hashReader(ctx, c, tenant, known)
	g := growth{first: tlog.StoredHashIndex(0, size), edge: map[int64]tlog.Hash{}}
	for i, leaf := range leaves {
		hashes, err := audit.Extend(size+int64(i), leaf, reader)
		if err != nil {
			return g, err
		}
		for _, h := range hashes {
			known[g.first+int64(len(g.hashes))] = h
			g.hashes = append(g.hashes, h)
		}
	}
	var err error
	if g.head, err = audit.HeadOf(size+int64(len(leaves)), reader); err != nil {
		return g, err
	}
	for _, position := range edgeOf(g.head.Size) {
		if h, ok := known[position]; ok {
			g.edge[position] = h
		}
	}
	return g, nil
}

// grow adds leaves to a tenant's tree of the given size, and returns the new
// tree's edge.
func grow(ctx context.Context, c *conn, tenant string, size int64, leaves [][]byte, edge map[int64]tlog.Hash) (map[int64]tlog.Hash, error) {
	g, err := grown(ctx, c, tenant, size, leaves, edge)
	if err != nil {
		return nil, err
	}
	for i, h := range g.hashes {
		position := g.first + int64(i)
		if _, err := c.exec(ctx, "INSERT INTO audit_hashes (tenant, position, hash) VALUES (?, ?, ?)", tenant, position, h[:]); err != nil {
			return nil, fmt.Errorf("hash %d: %w", position, err)
		}
	}
	n, err := c.exec(ctx, advanceLog, g.head.Size, g.head.Hash[:], tenant, size)
	if err == nil && n != 1 {
		err = errAdvanced(tenant, size)
	}
	return g.edge, err
}

// advanceLog moves a log's head on from the size that its tree was grown from,
// and from no other.
const advanceLog = "UPDATE audit_logs SET size = ?, root = ? WHERE tenant = ? AND size = ?"

func errAdvanced(tenant string, size int64) error {
	return fault.Unavailable.Errorf(nil, "The audit log of %s no longer has the %d leaves it had", tenant, size)
}

// edgeOf lists the positions of the roots of the largest whole subtrees that
// make up a tree: all that its own root and the hashes of later leaves are
// computed from.
func edgeOf(size int64) []int64 {
	var positions []int64
	for from := int64(0); from < size; {
		level := bits.Len64(uint64(size-from)) - 1
		positions = append(positions, tlog.StoredHashIndex(level, from>>level))
		from += 1 << level
	}
	return positions
}

// hashReader gives the hashes of a tenant's tree: those in known, the others
// from the database.
func hashReader(ctx context.Context, c *conn, tenant string, known map[int64]tlog.Hash) tlog.HashReader {
	return tlog.HashReaderFunc(func(positions []int64) ([]tlog.Hash, error) {
		found := map[int64]tlog.Hash{}
		var missing []int64
		for _, p := range positions {
			if h, ok := known[p]; ok {
				found[p] = h
			} else {
				missing = append(missing, p)
			}
		}
		for part := range slices.Chunk(missing, 64) {
			if err := readHashes(ctx, c, tenant, part, found); err != nil {
				return nil, err
			}
		}
		hashes := make([]tlog.Hash, len(positions))
		for i, p := range positions {
			h, ok := found[p]
			if !ok {
				return nil, fmt.Errorf("hash %d of the audit log of %s is missing", p, tenant)
			}
			hashes[i] = h
		}
		return hashes, nil
	})
}

// readHashes adds hashes of the database to found.
func readHashes(ctx context.Context, c *conn, tenant string, positions []int64, found map[int64]tlog.Hash) error {
	// The list is filled up to a power of two, so that there are few queries to prepare.
	places := 1 << bits.Len(uint(len(positions)-1))
	args := []any{tenant}
	for i := range places {
		args = append(args, positions[min(i, len(positions)-1)])
	}
	query := "SELECT position, hash FROM audit_hashes WHERE tenant = ? AND position IN (?" + strings.Repeat(", ?", places-1) + ")"
	_, err := all(ctx, c, func(r row) (struct{}, error) {
		var (
			position int64
			hash     []byte
		)
		if err := r.Scan(&position, &hash); err != nil {
			return struct{}{}, err
		}
		if len(hash) != tlog.HashSize {
			return struct{}{}, fmt.Errorf("hash %d of the audit log of %s has %d bytes", position, tenant, len(hash))
		}
		found[position] = tlog.Hash(hash)
		return struct{}{}, nil
	}, query, args...)
	if err != nil {
		return fmt.Errorf("hashes of the audit log of %s: %w", tenant, err)
	}
	return nil
}
