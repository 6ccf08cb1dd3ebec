package store

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// maxNumbered is the most entries that are numbered in one transaction.
const maxNumbered = 1000

// numbering gives entries their leaves, on the connection that holds the lease.
type numbering struct {
	conn   *pgx.Conn
	reader *conn             // the same connection
	logs   map[string]growth // heads and edges by tenant, as this session left them
}

// waiting is an entry without a leaf.
type waiting struct {
	id     int64
	tenant string
	bytes  []byte
}

// next gives the entries that wait their leaves, maxNumbered at most, and returns
// them once that is committed.
//
// Those that wait are the ones without a leaf, never those beyond the last one:
// ids are given out before commits, and a lower one may be committed later. They
// are numbered in the order of their ids. An act that was answered before another
// one was asked has the lower id, and is there whenever the other one is.
func (n *numbering) next(ctx context.Context) ([]waiting, error) {
	entries, err := all(ctx, n.reader, func(r row) (w waiting, err error) {
		err = r.Scan(&w.id, &w.tenant, &w.bytes)
		return w, err
	}, "SELECT id, tenant, bytes FROM audit_entries WHERE leaf IS NULL ORDER BY id LIMIT ?", maxNumbered)
	if err != nil {
		return nil, fmt.Errorf("look for audit entries without a leaf: %w", err)
	}
	if len(entries) == 0 {
		return nil, nil
	}
	byTenant := map[string][]waiting{}
	for _, e := range entries {
		byTenant[e.tenant] = append(byTenant[e.tenant], e)
	}
	if err := n.number(ctx, byTenant); err != nil {
		return nil, fmt.Errorf("number audit entries: %w", err)
	}
	return entries, nil
}

// number does its work in one transaction, most of it in one round trip.
func (n *numbering) number(ctx context.Context, byTenant map[string][]waiting) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	batch, grown := &pgx.Batch{}, map[string]growth{}
	batch.BeginTx(pgx.TxOptions{})
	for _, tenant := range slices.Sorted(maps.Keys(byTenant)) {
		g, err := n.add(ctx, batch, tenant, byTenant[tenant])
		if err != nil {
			return fmt.Errorf("log of %s: %w", tenant, err)
		}
		grown[tenant] = g
	}
	results := n.conn.SendBatch(ctx, batch)
	if err := results.Close(); err != nil {
		_ = results.Tx().Rollback(ctx) // the connection is closed where that fails
		return err
	}
	if err := results.Tx().Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	maps.Copy(n.logs, grown)
	return nil
}

// add puts what gives a tenant's entries their leaves into the batch.
func (n *numbering) add(ctx context.Context, batch *pgx.Batch, tenant string, entries []waiting) (growth, error) {
	was, ok := n.logs[tenant]
	if !ok {
		head, err := head(ctx, n.reader, tenant)
		if err != nil {
			return was, err
		}
		was.head = head
	}
	ids, numbers, leaves := make([]int64, len(entries)), make([]int64, len(entries)), make([][]byte, len(entries))
	for i, e := range entries {
		ids[i], numbers[i], leaves[i] = e.id, was.head.Size+int64(i), e.bytes
	}
	g, err := grown(ctx, n.reader, tenant, was.head.Size, leaves, was.edge)
	if err != nil {
		return g, err
	}
	positions, hashes := make([]int64, len(g.hashes)), make([][]byte, len(g.hashes))
	for i, h := range g.hashes {
		positions[i], hashes[i] = g.first+int64(i), h[:]
	}
	// A compare-and-swap that fails undoes all: somebody else holds the log, or
	// numbered one of these entries.
	swapped := func(what string, want int) func(pgconn.CommandTag) error {
		return func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() != int64(want) {
				return fmt.Errorf("%s: %w", what, errAdvanced(tenant, was.head.Size))
			}
			return nil
		}
	}
	batch.Queue(numbered(advanceLog), g.head.Size, g.head.Hash[:], tenant, was.head.Size).Exec(swapped("head", 1))
	batch.Queue(`UPDATE audit_entries e SET leaf = n.leaf FROM unnest($1::bigint[], $2::bigint[]) n (id, leaf)
		WHERE e.id = n.id AND e.tenant = $3 AND e.leaf IS NULL`, ids, numbers, tenant).Exec(swapped("entries", len(entries)))
	batch.Queue("INSERT INTO audit_hashes (tenant, position, hash) SELECT $1, n.position, n.hash FROM unnest($2::bigint[], $3::bytea[]) n (position, hash)",
		tenant, positions, hashes)
	return g, nil
}
