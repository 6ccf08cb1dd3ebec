package gateway

import (
	"context"
	"sync"
	"time"

	"swab/internal/audit"
	"swab/internal/wire"
)

// replace says bye to the connection that a newer one of the same device takes
// the place of. Mostly the old one is dead and its end was not noticed yet.
func (g *Gateway) replace(old, c *conn) {
	if old.phase.Load() >= leaving {
		return
	}
	g.count.Replaced.Add(1)
	g.log.InfoContext(g.life, "a newer connection of a device takes over", "device", c.device, "from", c.from, "before", old.from)
	g.do(func() { g.leave(old, wire.ByeReplaced) })
}

// farewelled ends a connection whose peer closed it after the bye. If the bye
// was because a newer one took over, and this is the answer to it (an agent that
// stops by itself closes with another status), then two live agents hold one
// key: it was cloned.
func (g *Gateway) farewelled(c *conn, answer bool) {
	why := reasons[c.parted.Load()]
	g.drop(c, nil)
	if why != wire.ByeReplaced || !answer {
		return
	}
	other := ""
	if n := g.table.of(c.device); n != nil {
		other = n.from
	}
	g.count.Twice.Add(1)
	g.log.WarnContext(g.life, "two agents hold one device's key", "device", c.device, "tenant", c.tenant, "from", c.from, "other", other)
	ctx, cancel := context.WithTimeout(g.life, g.times.Work)
	defer cancel()
	g.noteBy(ctx, c.tenant, c.device, audit.Leaf{
		Act: audit.ActTwice, Object: string(c.device), Device: string(c.device), Result: audit.Refused, Detail: string(wire.ByeReplaced),
	}, c.from, func(ctx context.Context, at time.Time, e audit.Entry) error {
		return g.devices.Cloned(ctx, c.tenant, c.device, at, e)
	})
}

// farewell says bye to all devices and waits until they are gone or ctx ends.
func (g *Gateway) farewell(ctx context.Context) {
	const speakers = 64
	all := g.table.all()
	var wg sync.WaitGroup
	next := make(chan *conn)
	for range min(speakers, len(all)) {
		wg.Go(func() {
			for c := range next {
				g.leave(c, wire.ByeShutdown)
			}
		})
	}
	for _, c := range all {
		next <- c
	}
	close(next)
	wg.Wait()
	// Each connection that is leaving ends within Times.Leave.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for g.table.size.Load() > 0 && ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	for _, c := range g.table.all() {
		g.drop(c, errShutdown)
	}
}
