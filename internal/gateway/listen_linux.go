package gateway

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listen wraps a listener below TLS, so that the gateway can try to read from a
// connection without blocking: tls.NewListener(gateway.Listen(l), config). For
// everybody else its connections are as before. Without it the gateway works
// too, with a goroutine for each device.
func Listen(l net.Listener) net.Listener { return tryListener{l} }

type tryListener struct{ net.Listener }

func (l tryListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	tcp, ok := c.(syscall.Conn)
	if err != nil || !ok {
		return c, err
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &tryConn{Conn: c, raw: raw}, nil
}

// tryConn is a TCP connection that can be switched to reading without blocking.
type tryConn struct {
	net.Conn
	raw syscall.RawConn
	try atomic.Bool
}

// NetConn is the connection of the listener below, for what that one counts.
func (c *tryConn) NetConn() net.Conn { return c.Conn }

// Read reads as the connection below does, or, once switched, returns errNothing where it
// would block. tls.Conn takes that for a passing error and keeps what it has of
// a record.
func (c *tryConn) Read(p []byte) (int, error) {
	if !c.try.Load() {
		return c.Conn.Read(p)
	}
	var n int
	var rerr error
	err := c.raw.Read(func(fd uintptr) bool {
		for {
			n, rerr = unix.Read(int(fd), p)
			if !errors.Is(rerr, unix.EINTR) {
				return true
			}
		}
	})
	switch {
	case err != nil:
		return 0, err
	case errors.Is(rerr, unix.EAGAIN):
		return 0, errNothing
	case rerr != nil:
		return 0, &net.OpError{Op: "read", Net: "tcp", Addr: c.RemoteAddr(), Err: rerr}
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// errNothing says that there is nothing to read now.
var errNothing error = nothing{}

type nothing struct{}

func (nothing) Error() string   { return "nothing to read now" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }
