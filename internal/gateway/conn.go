package gateway

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/device"
	"swab/internal/wire"
)

// phase is where a connection stands.
type phase = int32

const (
	greeting phase = iota // hello is due
	talking
	leaving // bye was said; only the peer's close is waited for
	gone
)

// conn is one device's channel. An idle one is this struct and its TLS state, so
// its fields are few.
type conn struct {
	net     net.Conn
	number  uint64 // in the table
	device  device.ID
	tenant  string
	from    string
	since   int64         // Unix milliseconds
	expires int64         // Unix seconds: when the device's token does
	heard   atomic.Int64  // Unix milliseconds of the last byte
	kept    atomic.Int64  // Unix milliseconds of the last sign of life that the store knows; 0: none yet
	cut     atomic.Int64  // Unix milliseconds since when a message lacks its end; 0: none does
	phase   atomic.Int32  // a phase
	waking  atomic.Bool   // a look is on its way
	parted  atomic.Uint32 // index of the reason of the bye
	keys    uint8         // how many the device had had when it opened this with the last of them
	version uint8         // of the channel, as agreed; set before the phase is talking
	asked   atomic.Bool   // for another key, on this connection

	write sync.Mutex // one frame at a time, with its deadline

	// Of the goroutine that reads; one at a time does.
	rest  []byte // of a frame, or of frames, that lack their end; nil when idle
	parts []byte // of a fragmented message
	frag  bool
	level float64 // messages that may come at once, refilled as time goes by
	last  int64   // Unix milliseconds of the last refill

	mu      sync.Mutex // what the device was told
	head    audit.Head // of the audit log, as the device knows it
	watched []action.ID
	offered offer
	rebased bool // it was sent a rebase, and has not answered: nobody knows its head
}

// offer is what a device was asked last and has not answered.
type offer struct {
	action  wire.ActionID
	attempt int
	at      int64 // Unix milliseconds
}

// reasons gives each bye an index that an idle connection holds in four bytes.
var reasons = []wire.Reason{
	"", wire.ByeVersion, wire.ByeProtocol, wire.ByeRevoked, wire.ByeReplaced, wire.ByeShutdown, wire.ByeExpired, wire.ByeBusy,
}

// send writes a message. A connection that does not take it is dropped.
func (g *Gateway) send(c *conn, m wire.FromServer) {
	body, err := wire.EncodeServer(m)
	if err != nil {
		g.log.ErrorContext(g.life, "a message can't be sent", "device", c.device, "err", err)
		return
	}
	g.count.Sent.Add(1)
	g.put(c, frame(ws.OpText, body))
}

// frame is a whole unmasked frame, so that one write sends it.
func frame(op ws.OpCode, body []byte) []byte {
	h := ws.Header{Fin: true, OpCode: op, Length: int64(len(body))}
	b := &buffer{b: make([]byte, 0, ws.HeaderSize(h)+len(body))}
	_ = ws.WriteHeader(b, h) // a buffer takes everything
	return append(b.b, body...)
}

type buffer struct{ b []byte }

func (w *buffer) Write(p []byte) (int, error) { w.b = append(w.b, p...); return len(p), nil }

func (g *Gateway) put(c *conn, frame []byte) {
	c.write.Lock()
	// The deadline is taken away again: it is a timer, and an idle connection
	// has none. One that can't be set fails the write.
	_ = c.net.SetWriteDeadline(time.Now().Add(g.times.Write))
	_, err := c.net.Write(frame)
	_ = c.net.SetWriteDeadline(time.Time{})
	c.write.Unlock()
	if err != nil {
		g.drop(c, err)
	}
}

// leave says bye and gives the peer a moment to end the connection by itself.
func (g *Gateway) leave(c *conn, why wire.Reason) {
	for {
		p := c.phase.Load()
		if p >= leaving {
			return
		}
		if c.phase.CompareAndSwap(p, leaving) {
			break
		}
	}
	c.parted.Store(uint32(slices.Index(reasons, why)))
	g.count.left(why)
	g.log.DebugContext(g.life, "device is said bye", "device", c.device, "reason", why)
	time.AfterFunc(g.times.Leave, func() { g.drop(c, nil) })
	g.send(c, wire.Bye{Reason: why})
	code := ws.StatusNormalClosure
	switch why {
	case wire.ByeProtocol, wire.ByeVersion:
		code = ws.StatusProtocolError
	case wire.ByeShutdown, wire.ByeExpired, wire.ByeBusy:
		code = ws.StatusGoingAway
	}
	g.put(c, frame(ws.OpClose, ws.NewCloseFrameBody(code, string(why))))
}

// drop ends a connection at once. It may be called more than once.
func (g *Gateway) drop(c *conn, why error) {
	if c.phase.Swap(gone) == gone {
		return
	}
	g.table.remove(c)
	g.wait.remove(c)
	g.log.DebugContext(g.life, "device connection ended", "device", c.device, "err", why)
	// Nobody waits for what Close may say of a connection that is over.
	_ = c.net.Close()
}
