package gateway

import (
	"context"
	"errors"
	"fmt"

	"swab/internal/fault"
	"swab/internal/vault"
)

// sweepBatch bounds the uploads of one state that one sweep looks at.
const sweepBatch = 1000

// Sweep does again what may have been lost: it offers devices what they have
// not answered, deletes what cancelled actions had delivered, judges uploads
// that are complete, and ends uploads whose attempt is over. The server calls it
// every 30 s and once at its start.
func (g *Gateway) Sweep(ctx context.Context) error {
	for _, c := range g.table.all() {
		c.mu.Lock()
		due := c.offered.action != "" || len(c.watched) > 0
		c.mu.Unlock()
		if due {
			g.Wake(c.device)
		}
	}
	// One that fails does not keep the next from being done.
	return errors.Join(g.Discard(ctx), g.sweepComplete(ctx), g.sweepReceiving(ctx))
}

// Discard deletes what cancelled actions had delivered. The sweep does so too;
// after a cancel the server need not wait for it.
func (g *Gateway) Discard(ctx context.Context) error {
	return g.vault.DiscardUnwanted(ctx, sweepBatch)
}

func (g *Gateway) sweepComplete(ctx context.Context) error {
	complete, err := g.vault.UploadsIn(ctx, vault.Complete, sweepBatch)
	if err != nil {
		return fmt.Errorf("look for complete uploads: %w", err)
	}
	for _, u := range complete {
		g.judge(u)
	}
	return nil
}

func (g *Gateway) sweepReceiving(ctx context.Context) error {
	receiving, err := g.vault.UploadsIn(ctx, vault.Receiving, sweepBatch)
	if err != nil {
		return fmt.Errorf("look for open uploads: %w", err)
	}
	for _, u := range receiving {
		if e := g.sweepUpload(ctx, u); e != nil {
			err = errors.Join(err, fmt.Errorf("end upload %s of action %s: %w", u.ID, u.Action, e))
		}
	}
	return err
}

// sweepUpload ends an upload whose attempt will not go on with it.
func (g *Gateway) sweepUpload(ctx context.Context, u vault.Upload) error {
	a, err := g.engine.Get(ctx, server(u.Tenant), u.Action)
	if errors.Is(err, fault.NotFound) {
		_, err = g.vault.Keep(ctx, u.ID, "its action is not known")
		return err
	}
	if err != nil || takes(a, u) {
		return err
	}
	return g.late(ctx, u, a)
}
