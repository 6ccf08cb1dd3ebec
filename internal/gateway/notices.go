package gateway

import (
	"context"
	"sync"
	"time"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
)

// noticeEvery is how often one device can make an entry of one act in the audit
// log by misbehaving: what it does in between is in the server's log.
const noticeEvery = time.Hour

// maxNotices bounds the devices that are remembered for it.
const maxNotices = 10_000

// notices remembers which entries were made lately.
type notices struct {
	mu   sync.Mutex
	last map[notice]time.Time
}

type notice struct {
	tenant string // whose log it is in
	device device.ID
	act    audit.Act
}

func (n *notices) due(k notice, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at, ok := n.last[k]; ok && now.Sub(at) < noticeEvery {
		return false
	}
	if n.last == nil || len(n.last) >= maxNotices {
		n.last = map[notice]time.Time{}
	}
	n.last[k] = now
	return true
}

// note makes an entry in the audit log of what a device must not do.
func (g *Gateway) note(ctx context.Context, tenant string, dev device.ID, leaf audit.Leaf, from string) {
	g.noteBy(ctx, tenant, dev, leaf, from, func(ctx context.Context, _ time.Time, e audit.Entry) error {
		return g.devices.Record(ctx, tenant, e)
	})
}

// noteBy makes the entry by keep, which may keep more with it.
func (g *Gateway) noteBy(ctx context.Context, tenant string, dev device.ID, leaf audit.Leaf, from string, keep func(context.Context, time.Time, audit.Entry) error) {
	now := g.now()
	if !g.notices.due(notice{tenant, dev, leaf.Act}, now) {
		return
	}
	who := auth.Caller{Kind: auth.DeviceKind, ID: string(dev), From: from}
	err := keep(context.WithoutCancel(ctx), now, audit.NewEntry(now, leaf, who.Hidden("")))
	if err != nil {
		g.log.ErrorContext(ctx, "a device's misdeed can't be recorded", "device", dev, "act", leaf.Act, "err", err)
	}
}

// foreign tells of a device that named an action or upload that is not its own.
func (g *Gateway) foreign(ctx context.Context, tenant string, dev device.ID, from, what, object string) {
	g.count.Foreign.Add(1)
	g.log.WarnContext(ctx, "device names what is not its own", "device", dev, "tenant", tenant, "from", from, "what", what, "object", object)
	g.note(ctx, tenant, dev, audit.Leaf{
		Act: audit.ActForeign, Object: object, Device: string(dev), Result: audit.Refused, Detail: string(fault.NotFound),
	}, from)
}
