package gateway

import (
	"net/http"
	"strings"

	"github.com/gobwas/ws"

	"swab/internal/wire"
)

// channel opens a device's channel on the connection of the request.
func (g *Gateway) channel(w http.ResponseWriter, r *http.Request) error {
	p, err := g.peer(r)
	if err != nil {
		return err
	}
	switch {
	case !isUpgrade(r):
		w.Header().Set("Upgrade", "websocket")
		return &refusal{status: http.StatusUpgradeRequired, code: wire.CodeInvalidRequest, text: "The channel is a WebSocket"}
	case g.shut() || g.table.size.Load() >= int64(g.most):
		return &refusal{status: http.StatusServiceUnavailable, code: wire.CodeUnavailable, text: "The server takes no more connections now"}
	}
	// The upgrader writes its own headers: those that each answer has go with it.
	up := ws.HTTPUpgrader{Header: w.Header().Clone(), Timeout: g.times.Write}
	nc, rw, _, err := up.Upgrade(r, w)
	if err != nil {
		// The upgrader has answered, on a connection that is no longer the server's.
		g.log.InfoContext(r.Context(), "channel refused", "device", p.device.ID, "from", p.from, "err", err)
		if nc != nil {
			_ = nc.Close() // it is over; nobody can be told
		}
		return nil
	}
	now := g.now()
	c := &conn{
		net: nc, device: p.device.ID, tenant: p.device.Tenant, from: p.from,
		since: now.UnixMilli(), expires: p.token.Expires.Unix(), keys: uint8(len(p.device.Keys)), // at most device.MaxKeys
	}
	c.heard.Store(now.UnixMilli())
	if rw.Reader.Buffered() > 0 {
		// A device speaks only after the answer to its upgrade.
		g.count.Protocol.Add(1)
		_ = nc.Close() // it is over; nobody can be told
		return nil
	}
	g.count.Connected.Add(1)
	if old := g.table.add(c); old != nil {
		g.replace(old, c)
	}
	if err := g.wait.add(c); err != nil {
		g.drop(c, err)
		g.log.ErrorContext(r.Context(), "wait for a connection", "device", c.device, "err", err)
	}
	if g.shut() { // Shutdown may have looked before the connection was there
		g.leave(c, wire.ByeShutdown)
	}
	return nil
}

func isUpgrade(r *http.Request) bool {
	return r.ProtoMajor == 1 && strings.EqualFold(r.Header.Get("Upgrade"), "websocket") &&
		r.Header.Get("Sec-WebSocket-Version") == "13"
}

func (g *Gateway) shut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}
