package gateway

import (
	"sync/atomic"

	"swab/internal/wire"
)

// Stats is what has happened since the start, and how many devices are here.
type Stats struct {
	Connections int64 // now
	Connected   int64 // channels opened
	Replaced    int64 // by a newer connection of the same device
	Twice       int64 // two live agents with one key
	Expired     int64 // ended because the token did; the device comes again
	Protocol    int64 // ended because the peer does not speak the protocol
	Received    int64 // messages from devices
	Sent        int64 // messages to devices
	Enrolled    int64 // new devices
	Succeeded   int64 // keys that took the place of another
	Denied      int64 // requests answered 401, the first ones without a nonce aside
	Replayed    int64 // proofs that were used before
	Foreign     int64 // messages and uploads for what is not the device's own
	Uploads     int64 // begun
	UploadBytes int64 // acknowledged
	Stalled     int64 // chunks that stopped arriving
	Sealed      int64 // packages that verified
	Spoiled     int64 // uploads that did not
	Judging     int64 // now: complete uploads whose verdict is made, or waits for its turn
	Woken       int64 // wake-ups that were for a device here
	Absent      int64 // wake-ups that were not: the device is told when it connects
}

type counters struct {
	Connected, Replaced, Twice, Expired, Protocol, Received, Sent, Enrolled, Succeeded, Denied, Replayed, Foreign,
	Uploads, UploadBytes, Stalled, Sealed, Spoiled, Judging, Woken, Absent atomic.Int64
}

func (c *counters) left(why wire.Reason) {
	if why == wire.ByeExpired {
		c.Expired.Add(1)
	}
}

// Stats returns the present figures.
func (g *Gateway) Stats() Stats {
	c := &g.count
	return Stats{
		Connections: g.table.size.Load(),
		Connected:   c.Connected.Load(), Replaced: c.Replaced.Load(), Twice: c.Twice.Load(), Expired: c.Expired.Load(),
		Protocol: c.Protocol.Load(), Received: c.Received.Load(), Sent: c.Sent.Load(),
		Enrolled: c.Enrolled.Load(), Succeeded: c.Succeeded.Load(), Denied: c.Denied.Load(), Replayed: c.Replayed.Load(), Foreign: c.Foreign.Load(),
		Uploads: c.Uploads.Load(), UploadBytes: c.UploadBytes.Load(), Stalled: c.Stalled.Load(),
		Sealed: c.Sealed.Load(), Spoiled: c.Spoiled.Load(), Judging: c.Judging.Load(), Woken: c.Woken.Load(), Absent: c.Absent.Load(),
	}
}
