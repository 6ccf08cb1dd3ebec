package gateway

import (
	"errors"
	"sync"
)

// waiter waits for the bytes of connections. It gives them to arrived, for one
// connection at a time in order, until that returns false; a connection that
// breaks it gives to broken.
type waiter interface {
	add(c *conn) error

	// remove is told of a connection that was ended, before it is closed.
	remove(c *conn)

	// close ends the waiting. Connections are closed by then.
	close()
}

// takes is what a waiter hands bytes to.
type (
	arrivedFunc func(*conn, []byte) bool
	brokenFunc  func(*conn, error)
)

// blocking is the waiter that works everywhere: a goroutine for each connection,
// blocked in Read.
type blocking struct {
	arrived arrivedFunc
	broken  brokenFunc
	work    sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

// errNoWaiting is returned for a connection that comes when all are ending.
var errNoWaiting = errors.New("the waiting for connections has ended")

func (b *blocking) add(c *conn) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errNoWaiting
	}
	b.work.Go(func() { b.read(c) })
	return nil
}

// readAtOnce is what a blocked goroutine holds; a longer message takes several.
const readAtOnce = 1 << 10

func (b *blocking) read(c *conn) {
	buf := make([]byte, readAtOnce)
	for {
		n, err := c.net.Read(buf)
		if n > 0 && !b.arrived(c, buf[:n]) {
			return
		}
		if err != nil {
			b.broken(c, err)
			return
		}
	}
}

func (b *blocking) remove(*conn) {}

func (b *blocking) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.work.Wait()
}
