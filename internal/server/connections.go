package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// Defaults of the bounds of connections.
const (
	// mostConnections is twice what the gateway takes of devices.
	mostConnections = 100_000

	// mostOfOneAddress lets thousands of devices behind one address come at
	// once after an outage: each is counted for the second that it takes to
	// prove itself. What is refused comes again, as after any break.
	mostOfOneAddress = 4096
)

// bounds are how many connections the public listener takes.
type bounds struct {
	all     int // at once
	address int // of one address, that have not proved who they are
}

// bounds are those of the settings, in a process that may have files open at
// once (0: no such limit). A quarter of them is left for the database, packages
// and what else the server opens.
func (c *Config) bounds(files uint64) (bounds, error) {
	room := mostConnections
	if files > 0 {
		room = int(min(files/4*3, 1<<30))
	}
	b := bounds{all: c.Connections, address: c.ConnectionsPerAddress}
	if b.all == 0 {
		b.all = min(room, mostConnections)
	}
	if b.address == 0 {
		b.address = min(max(b.all/2, 1), mostOfOneAddress)
	}
	switch {
	case files > 0 && b.all > room:
		return b, fmt.Errorf("--connections %d: the process may have %d files open, which leaves room for %d connections; ask for fewer, or raise that limit (LimitNOFILE= of systemd, ulimit -n)", b.all, files, room)
	case b.address > b.all:
		return b, fmt.Errorf("--connections-per-address %d: more than the %d of --connections", b.address, b.all)
	}
	return b, nil
}

// connections counts the connections of the public listener and refuses those
// past its bounds: before TLS, so that a stranger who opens many costs neither
// descriptors nor handshakes. A connection counts for its address until a
// request on it has proved who sends it, and in all until it is closed, also
// where a device's channel has taken it over.
type connections struct {
	bounds
	exempt func(netip.Addr) bool // proxies, whose addresses are not their clients'

	mu      sync.Mutex
	open    int
	unknown map[netip.Prefix]int // no entry is 0
	refused refusals             // since the start
	told    refusals             // of these, those that the log has
	last    netip.Prefix         // of the last one that was refused
}

// refusals counts connections that were refused, by the bound that they met.
type refusals struct{ all, address int }

func newConnections(b bounds, exempt func(netip.Addr) bool) *connections {
	return &connections{bounds: b, exempt: exempt, unknown: map[netip.Prefix]int{}}
}

// listen returns l with the bounds. Its connections have all that l's have.
func (c *connections) listen(l net.Listener) net.Listener { return boundListener{l, c} }

type boundListener struct {
	net.Listener
	of *connections
}

// Accept refuses by a reset: a close in order would hold the port for a minute.
func (l boundListener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		tcp, ok := nc.(*net.TCPConn)
		if err != nil || !ok {
			return nc, err
		}
		if conn := l.of.take(tcp); conn != nil {
			return conn, nil
		}
		_ = tcp.SetLinger(0) // it is closed all the same
		_ = tcp.Close()      // nobody can be told
	}
}

// take counts a connection, or returns nil.
func (c *connections) take(tcp *net.TCPConn) *boundConn {
	addr := addressOf(tcp)
	from, counted := network(addr), !c.exempt(addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.open >= c.all:
		c.refused.all++
	case counted && c.unknown[from] >= c.address:
		c.refused.address++
	default:
		c.open++
		if counted {
			c.unknown[from]++
		}
		return &boundConn{TCPConn: tcp, of: c, from: from, counted: counted}
	}
	c.last = from
	return nil
}

// addressOf is a connection's other end: not valid, and so counted with its
// like, where the connection ended before it could be asked.
func addressOf(tcp *net.TCPConn) netip.Addr {
	at, ok := tcp.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return at.AddrPort().Addr().Unmap().WithZone("")
}

// network is whose an address is: of IPv6, a host has 2^64 to choose from, so
// they count as one.
func network(addr netip.Addr) netip.Prefix {
	if addr.Is4() {
		return netip.PrefixFrom(addr, 32)
	}
	return netip.PrefixFrom(addr, 64).Masked()
}

// boundConn is a connection that is counted.
type boundConn struct {
	*net.TCPConn
	of   *connections
	from netip.Prefix

	// Of the rest, of.mu is the lock.
	counted bool // for its address
	closed  bool
}

var _ syscall.Conn = (*boundConn)(nil) // or the gateway spends a goroutine on each device

// Close ends the connection and its being counted.
func (b *boundConn) Close() error {
	b.of.mu.Lock()
	if !b.closed {
		b.closed = true
		b.of.open--
		b.uncount()
	}
	b.of.mu.Unlock()
	return b.TCPConn.Close()
}

// known is for a connection on which somebody proved who they are.
func (b *boundConn) known() {
	b.of.mu.Lock()
	b.uncount()
	b.of.mu.Unlock()
}

func (b *boundConn) uncount() {
	if !b.counted {
		return
	}
	b.counted = false
	if b.of.unknown[b.from]--; b.of.unknown[b.from] == 0 {
		delete(b.of.unknown, b.from)
	}
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

// keepConn is an http.Server's ConnContext: it lets known find the connection.
func keepConn(ctx context.Context, c net.Conn) context.Context {
	for {
		if b, ok := c.(*boundConn); ok {
			return context.WithValue(ctx, connKey{}, b)
		}
		under, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return ctx
		}
		c = under.NetConn()
	}
}

// known tells the connection of a request's context that its sender is known.
func known(ctx context.Context) {
	if b, ok := ctx.Value(connKey{}).(*boundConn); ok {
		b.known()
	}
}

// count is how many connections are open, and how many were refused.
func (c *connections) count() (open int, refused refusals) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open, c.refused
}

// report tells the log what was refused since the last time, in one line.
func (c *connections) report(ctx context.Context, log *slog.Logger) {
	c.mu.Lock()
	all, address, last, open := c.refused.all-c.told.all, c.refused.address-c.told.address, c.last, c.open
	c.told = c.refused
	c.mu.Unlock()
	if all+address > 0 {
		log.WarnContext(ctx, "connections refused", "per-address", address, "in-all", all, "last", last.String(), "open", open)
	}
}
