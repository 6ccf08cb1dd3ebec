package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/gobwas/ws"

	"swab/internal/device"
	"swab/internal/wire"
)

var (
	errSilent = errors.New("nothing was heard from the device for too long")
	errCut    = errors.New("the device did not end a message that it began")
	errHello  = errors.New("the device did not say hello in time")
)

// pingers bounds the pings that are being written at once: a peer that does not
// read holds one up until its deadline.
const pingers = 32

// turnWheel looks at one spoke of the table after another, so that each
// connection is looked at once in Times.Ping, by one timer for all of them.
func (g *Gateway) turnWheel() {
	tick := time.NewTicker(max(g.times.Ping/spokes, time.Millisecond))
	defer tick.Stop()
	slots := make(chan struct{}, pingers)
	var part []*conn
	for at := 0; ; at++ {
		select {
		case <-g.life.Done():
			return
		case <-tick.C:
		}
		part = g.table.in(at%spokes, part)
		if beats := g.beats(part); beats != nil {
			g.do(func() { g.alive(beats) })
		}
		for _, c := range part {
			if !g.overdue(c) {
				select {
				case slots <- struct{}{}:
				case <-g.life.Done():
					return
				}
				g.do(func() {
					defer func() { <-slots }()
					g.put(c, ws.CompiledPing)
				})
			}
		}
		clear(part) // a connection that ended must not be held
	}
}

// beats are the signs of life that the store is to be told of.
func (g *Gateway) beats(part []*conn) (beats []device.Beat) {
	for _, c := range part {
		heard, kept := c.heard.Load(), c.kept.Load()
		if c.phase.Load() != talking || kept == 0 || heard-kept < g.times.Beat.Milliseconds() {
			continue
		}
		c.kept.Store(heard)
		beats = append(beats, device.Beat{Tenant: c.tenant, Device: c.device, At: time.UnixMilli(heard)})
	}
	return beats
}

// alive tells the store. What it could not take comes with the next sign of life.
func (g *Gateway) alive(beats []device.Beat) {
	ctx, cancel := context.WithTimeout(g.life, g.times.Work)
	defer cancel()
	if err := g.devices.Alive(ctx, beats); err != nil && g.life.Err() == nil {
		g.log.WarnContext(g.life, "signs of life of devices could not be kept; the next ones will be", "devices", len(beats), "err", err)
	}
}

// overdue ends a connection whose time has run out in some way, and says whether
// it did. What is due before the wheel comes round again ends now.
func (g *Gateway) overdue(c *conn) bool {
	now := g.now()
	ms := now.UnixMilli()
	switch p := c.phase.Load(); {
	case p >= leaving:
		return true // its own timer ends it
	case ms-c.heard.Load() > g.times.Idle.Milliseconds():
		g.drop(c, errSilent)
	case c.cut.Load() != 0 && ms-c.cut.Load() > g.times.Ping.Milliseconds():
		g.drop(c, errCut)
	case p == greeting && ms-c.since > g.times.Hello.Milliseconds():
		g.drop(c, errHello)
	case now.Add(g.times.Ping).Unix() >= c.expires:
		g.do(func() { g.leave(c, wire.ByeExpired) })
	default:
		return false
	}
	return true
}
