package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"swab/internal/wire"
)

// errTooLong is returned for a message over wire.MaxMessage.
var errTooLong = errors.New("message is over the bound")

// nextFrame returns the first whole frame of data, unmasked in place, and how
// many bytes it takes; 0 where its end is missing.
func nextFrame(data []byte, fragmented bool) (h ws.Header, body []byte, n int, err error) {
	r := bytes.NewReader(data)
	h, err = ws.ReadHeader(r)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return h, nil, 0, nil
	}
	if err != nil {
		return h, nil, 0, err
	}
	state := ws.StateServerSide
	if fragmented {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return h, nil, 0, err
	}
	if h.Length > wire.MaxMessage {
		return h, nil, 0, errTooLong
	}
	begin := len(data) - r.Len()
	end := begin + int(h.Length)
	if end > len(data) {
		return h, nil, 0, nil
	}
	body = data[begin:end]
	ws.Cipher(body, h.Mask, 0)
	return h, body, end, nil
}

// arrived takes bytes of a connection: it deals with the frames that are whole
// and keeps the rest. It reports whether the connection goes on.
func (g *Gateway) arrived(c *conn, data []byte) bool {
	c.heard.Store(g.now().UnixMilli())
	held := len(c.rest)
	if held > 0 {
		c.rest = append(c.rest, data...)
		data = c.rest
	}
	used := 0
	for used < len(data) {
		h, body, n, err := nextFrame(data[used:], c.frag)
		if err == nil && n > 0 {
			used += n
			err = g.frame(c, h, body)
		}
		if err != nil {
			g.broke(c, err)
			c.rest, c.parts = nil, nil
			return c.phase.Load() != gone
		}
		if n == 0 {
			break
		}
	}
	switch {
	case used == len(data):
		c.rest = nil
		c.cut.Store(0)
	case used > 0 || held == 0:
		c.rest = bytes.Clone(data[used:])
		c.cut.Store(g.now().UnixMilli())
	}
	return c.phase.Load() != gone
}

// broke ends a connection whose peer does not speak the protocol.
func (g *Gateway) broke(c *conn, err error) {
	if c.phase.Load() >= leaving {
		return
	}
	if errors.Is(err, errPace) {
		g.log.WarnContext(g.life, "device says too much at once", "device", c.device, "from", c.from)
		g.leave(c, wire.ByeBusy)
		return
	}
	g.count.Protocol.Add(1)
	g.log.WarnContext(g.life, "device does not speak the protocol", "device", c.device, "from", c.from, "err", err)
	why := wire.ByeProtocol
	if errors.Is(err, wire.ErrVersion) {
		why = wire.ByeVersion
	}
	g.leave(c, why)
}

// frame deals with one frame. An error ends the connection.
func (g *Gateway) frame(c *conn, h ws.Header, body []byte) error {
	if c.phase.Load() == leaving {
		if h.OpCode == ws.OpClose {
			code, _ := ws.ParseCloseFrameData(body)
			g.farewelled(c, code == ws.StatusNormalClosure)
		}
		return nil // what is said after bye is not listened to
	}
	if !c.paced(g.now()) {
		return errPace
	}
	switch h.OpCode {
	case ws.OpPing:
		g.put(c, frame(ws.OpPong, body))
		return nil
	case ws.OpPong:
		return nil
	case ws.OpClose:
		g.put(c, frame(ws.OpClose, nil))
		g.drop(c, nil)
		return nil
	case ws.OpBinary:
		return errors.New("binary frame")
	}
	if h.Fin && !c.frag {
		return g.message(c, body)
	}
	if len(c.parts)+len(body) > wire.MaxMessage {
		return errTooLong
	}
	c.parts = append(c.parts, body...)
	c.frag = !h.Fin
	if c.frag {
		return nil
	}
	whole := c.parts
	c.parts = nil
	return g.message(c, whole)
}

// The pace at which a device may send frames: that of an agent that reports each
// item, with room for one that catches up.
const (
	paceBurst  = 100
	paceSecond = 20
)

var errPace = errors.New("too many frames")

func (c *conn) paced(now time.Time) bool {
	ms := now.UnixMilli()
	if c.last == 0 {
		c.level, c.last = paceBurst, ms
	}
	if gone := ms - c.last; gone > 0 {
		c.level = min(paceBurst, c.level+float64(gone)*paceSecond/1000)
		c.last = ms
	}
	if c.level < 1 {
		return false
	}
	c.level--
	return true
}

// message deals with one text message.
func (g *Gateway) message(c *conn, body []byte) error {
	if !utf8.Valid(body) {
		return errors.New("text frame is not UTF-8")
	}
	m, err := wire.DecodeDevice(body)
	if err != nil {
		return err
	}
	g.count.Received.Add(1)
	hello, isHello := m.(wire.Hello)
	switch c.phase.Load() {
	case greeting:
		if !isHello {
			return fmt.Errorf("%T before hello", m)
		}
		return g.hello(c, hello)
	case talking:
		if isHello {
			return errors.New("a second hello")
		}
		g.listen(c, m)
	}
	return nil
}
