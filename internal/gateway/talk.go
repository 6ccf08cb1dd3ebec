package gateway

import (
	"context"
	"errors"
	"slices"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/wire"
)

// hello greets a device: facts are kept, what it has in memory is settled, and
// what it has to do is told.
func (g *Gateway) hello(c *conn, m wire.Hello) error {
	version := wire.Agree(m.Versions)
	if version == 0 {
		g.log.WarnContext(g.life, "device speaks no version of the channel that this server does", "device", c.device, "versions", m.Versions)
		g.leave(c, wire.ByeVersion)
		return nil
	}
	ctx, cancel := context.WithTimeout(g.life, g.times.Work)
	defer cancel()
	now := g.now()
	err := g.devices.Seen(ctx, c.tenant, c.device, device.Device{
		Tenant: c.tenant, ID: c.device, Facts: m.Facts.Clean(), Catalog: m.Catalog, External: c.from, LastSeen: now,
	})
	c.kept.Store(now.UnixMilli())
	var (
		ended  []action.ID
		rebase []byte
	)
	if err == nil {
		ended, err = g.engine.Connected(ctx, c.tenant, c.device, m.Running)
	}
	if err == nil && version >= wire.Since(wire.Rebase{}) {
		rebase, err = g.engine.Rebase(ctx, c.tenant, m.Head)
	}
	if err != nil {
		g.trouble(c, "hello", "", err)
		return nil
	}
	c.mu.Lock()
	c.head, c.rebased = m.Head, rebase != nil
	for _, r := range m.Running {
		if !slices.Contains(ended, action.ID(r.Action)) {
			c.watch(action.ID(r.Action))
		}
	}
	c.mu.Unlock()
	c.version = uint8(version)
	if !c.phase.CompareAndSwap(greeting, talking) {
		return nil
	}
	g.send(c, wire.Welcome{Version: version})
	for _, id := range ended {
		g.send(c, wire.Closed{Action: wire.ActionID(id)})
	}
	if rebase != nil {
		g.log.InfoContext(g.life, "device is told that the audit log was restored", "device", c.device, "known", m.Head.Size)
		g.send(c, wire.Rebase{Statement: rebase})
	}
	g.attend(c)
	return nil
}

// watch remembers an action that the device has to be told the end of. The
// caller holds c.mu.
func (c *conn) watch(id action.ID) {
	if !slices.Contains(c.watched, id) && len(c.watched) <= wire.MaxRunning {
		c.watched = append(c.watched, id)
	}
}

// unwatch forgets it, and gives its memory back with the last one.
func (c *conn) unwatch(id action.ID) {
	c.watched = slices.DeleteFunc(c.watched, func(w action.ID) bool { return w == id })
	if len(c.watched) == 0 {
		c.watched = nil
	}
}

// listen takes what a device says of an action. Which device it is, its key has
// proved; the action that it names is its own or is refused by the engine.
func (g *Gateway) listen(c *conn, m wire.FromDevice) {
	ctx, cancel := context.WithTimeout(g.life, g.times.Work)
	defer cancel()
	switch m := m.(type) {
	case wire.Pong:
	case wire.Begun:
		err := g.engine.Begun(ctx, c.tenant, c.device, m)
		c.mu.Lock()
		c.answered(m.Action, m.Attempt)
		c.head = m.Head
		if err == nil {
			c.watch(action.ID(m.Action))
		}
		c.mu.Unlock()
		g.heardOf(ctx, c, "begun", m.Action, err)
		if errors.Is(err, fault.BadRequest) { // it ended meanwhile: the next one may have waited for this answer
			g.attend(c)
		}
	case wire.Progress:
		g.heardOf(ctx, c, "progress", m.Action, g.engine.Progress(ctx, c.tenant, c.device, m))
	case wire.Refused:
		err := g.engine.Refused(ctx, c.tenant, c.device, m)
		if m.Code == wire.RefusedBusy {
			// It is offered again when the other one ends, not at once.
			c.mu.Lock()
			c.answered(m.Action, m.Attempt)
			c.mu.Unlock()
			g.heardOf(ctx, c, "refused", m.Action, err)
			return
		}
		g.over(ctx, c, "refused", m.Action, m.Attempt, err)
	case wire.Rebased:
		c.mu.Lock()
		asked := c.rebased
		if asked {
			c.head, c.rebased = m.Head, false
		}
		c.mu.Unlock()
		if m.Text != "" {
			g.log.WarnContext(g.life, "device does not go on with the restored audit log", "device", c.device, "known", m.Head.Size, "reason", audit.Clip(m.Text))
		}
		if asked {
			g.attend(c)
		}
	case wire.Ended:
		g.over(ctx, c, "ended", m.Action, m.Attempt, g.engine.Ended(ctx, c.tenant, c.device, m))
	}
}

// answered takes an offer back that the device has answered. The caller holds c.mu.
func (c *conn) answered(id wire.ActionID, attempt int) {
	if c.offered.action == id && c.offered.attempt == attempt {
		c.offered = offer{}
	}
}

// heardOf tells the device if the action that it spoke of is over.
func (g *Gateway) heardOf(ctx context.Context, c *conn, what string, id wire.ActionID, err error) {
	switch {
	case err == nil:
	case errors.Is(err, fault.BadRequest):
		g.closing(ctx, c, action.ID(id))
	case errors.Is(err, fault.NotFound):
		g.foreign(ctx, c.tenant, c.device, c.from, what, string(id))
		g.send(c, wire.Closed{Action: id})
	default:
		g.trouble(c, what, string(id), err)
	}
}

// over tells the device what became of an action after it said that an attempt
// is over: that the action is closed, or that another attempt begins.
func (g *Gateway) over(ctx context.Context, c *conn, what string, id wire.ActionID, attempt int, err error) {
	c.mu.Lock()
	c.answered(id, attempt)
	if err == nil {
		c.watch(action.ID(id))
	}
	c.mu.Unlock()
	if errors.Is(err, fault.BadRequest) { // over before, and the device knows it now
		c.mu.Lock()
		c.unwatch(action.ID(id))
		c.mu.Unlock()
		g.send(c, wire.Closed{Action: id})
		g.attend(c) // the next one may have waited for this answer
		return
	}
	g.heardOf(ctx, c, what, id, err)
	if err == nil {
		g.attend(c)
	}
}

// trouble ends a connection because the core can't do its part now. The device
// comes again and settles by its next hello what was lost.
func (g *Gateway) trouble(c *conn, what, id string, err error) {
	if g.life.Err() == nil {
		g.log.ErrorContext(g.life, "a device's message can't be dealt with", "device", c.device, "message", what, "action", id, "err", err)
	}
	g.leave(c, wire.ByeBusy)
}

// attend looks after a device: is it still enrolled, with the key that opened the
// connection, and what has it to be told?
func (g *Gateway) attend(c *conn) {
	if c.phase.Load() != talking {
		return // its hello leads here
	}
	ctx, cancel := context.WithTimeout(g.life, g.times.Work)
	defer cancel()
	dev, err := g.devices.DeviceByID(ctx, c.device)
	if errors.Is(err, fault.NotFound) || err == nil && dev.Revoked {
		g.leave(c, wire.ByeRevoked)
		return
	}
	if err == nil && len(dev.Keys) != int(c.keys) {
		g.leave(c, wire.ByeExpired)
		return
	}
	if err == nil {
		err = g.tell(ctx, c)
	}
	if err == nil && !dev.KeyAsked.IsZero() {
		g.askForKey(c)
	}
	if err != nil {
		g.trouble(c, "look", "", err)
	}
}

// tell offers what is to be done and says which of the watched actions are over.
// It offers one thing at a time: the proof of an offer starts from the head that
// the device knows, and taking an offer moves that head, so until the answer is
// here nobody knows which head the next proof must start from.
func (g *Gateway) tell(ctx context.Context, c *conn) error {
	c.mu.Lock()
	watched, head, rebased := slices.Clone(c.watched), c.head, c.rebased
	c.mu.Unlock()
	for _, id := range watched {
		a, err := g.engine.Get(ctx, server(c.tenant), id)
		switch {
		case errors.Is(err, fault.NotFound):
			g.farewellOf(c, id, wire.Closed{Action: wire.ActionID(id)})
		case err != nil:
			return err
		case a.Status.Ended():
			g.farewellOf(c, id, endOf(a))
		}
	}
	if rebased { // what is offered has to be proved from the head that it answers with
		return nil
	}
	next, ok, err := g.engine.Next(ctx, c.tenant, c.device, head)
	if err != nil || !ok {
		return err
	}
	now := g.now().UnixMilli()
	c.mu.Lock()
	// The head may have moved since the proof was made; who moved it looks again.
	free := c.head == head && (c.offered.action == "" || now-c.offered.at >= g.times.Offer.Milliseconds())
	if free {
		c.offered = offer{next.Collect.Action, next.Collect.Attempt, now}
		c.watch(action.ID(next.Collect.Action))
	}
	c.mu.Unlock()
	if free {
		g.send(c, next.Collect)
	}
	return nil
}

// askForKey asks a device for another key, once on a connection, unless it has
// something else to do: a package is signed by the key under which it was begun.
// An agent that does not know the message is asked when a newer one has taken its
// place.
func (g *Gateway) askForKey(c *conn) {
	c.mu.Lock()
	idle := c.offered.action == "" && len(c.watched) == 0
	c.mu.Unlock()
	if m := (wire.Rotate{}); idle && int(c.version) >= wire.Since(m) && !c.asked.Swap(true) {
		g.log.InfoContext(g.life, "device is asked for another key", "device", c.device)
		g.send(c, m)
	}
}

// endOf is how a device is told of an action's end.
func endOf(a action.Action) wire.FromServer {
	if a.Status == action.Cancelled {
		return wire.Cancel{Action: wire.ActionID(a.ID)}
	}
	return wire.Closed{Action: wire.ActionID(a.ID)}
}

// farewellOf tells of an action's end, once.
func (g *Gateway) farewellOf(c *conn, id action.ID, m wire.FromServer) {
	c.mu.Lock()
	mine := slices.Contains(c.watched, id)
	c.unwatch(id)
	c.mu.Unlock()
	if mine {
		g.send(c, m)
	}
}

// closing tells a device that goes on with an action that it is over.
func (g *Gateway) closing(ctx context.Context, c *conn, id action.ID) {
	a, err := g.engine.Get(ctx, server(c.tenant), id)
	if err != nil {
		g.trouble(c, "look", id, err)
		return
	}
	c.mu.Lock()
	c.unwatch(id)
	c.mu.Unlock()
	g.send(c, endOf(a))
}

// server is this program as a caller, within a tenant.
func server(tenant string) auth.Caller {
	return auth.Caller{Kind: auth.Server, Tenant: tenant, ID: "server", Name: "server"}
}
