package gateway

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// epoll waits for all connections in one goroutine, and reads from one in a
// goroutine that lasts while it is readable. A connection is armed for one event
// at a time (EPOLLONESHOT), so that only one goroutine reads from it.
type epoll struct {
	blocking // for connections that did not come through Listen

	fd   int
	stop int // an eventfd: written to when the waiting ends
	loop sync.WaitGroup

	readers chan struct{} // a token for each connection that is read from
	buffers sync.Pool     // *[]byte of readBuffer

	at    sync.Mutex
	conns map[uint64]*conn
	ended bool
}

// maxReaders bounds the connections that are read from at once: when ten
// thousand devices speak at the same instant the others wait in the kernel.
const maxReaders = 256

const readBuffer = 32 << 10

func newWaiter(arrived arrivedFunc, broken brokenFunc) (waiter, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("eventfd", err), unix.Close(fd))
	}
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, stop, event(0, unix.EPOLLIN)); err != nil {
		return nil, errors.Join(os.NewSyscallError("epoll_ctl", err), unix.Close(fd), unix.Close(stop))
	}
	e := &epoll{
		blocking: blocking{arrived: arrived, broken: broken},
		fd:       fd, stop: stop, readers: make(chan struct{}, maxReaders), conns: map[uint64]*conn{},
	}
	e.buffers.New = func() any { b := make([]byte, readBuffer); return &b }
	e.loop.Go(e.run)
	return e, nil
}

// event names the connection by its number, which is never used again, rather
// than by its descriptor, which is. Number 0 is the eventfd.
func event(number uint64, events uint32) *unix.EpollEvent {
	return &unix.EpollEvent{Events: events, Fd: int32(uint32(number)), Pad: int32(uint32(number >> 32))}
}

func numberOf(e unix.EpollEvent) uint64 { return uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32 }

// armed is what a connection is armed for.
const armed = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT

// below returns the connection under TLS that Listen made, if it did.
func below(c net.Conn) (*tryConn, bool) {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // *tls.Conn
		c = t.NetConn()
	}
	t, ok := c.(*tryConn)
	return t, ok
}

func (e *epoll) add(c *conn) error {
	t, ok := below(c.net)
	if !ok {
		return e.blocking.add(c)
	}
	t.try.Store(true)
	e.at.Lock()
	defer e.at.Unlock()
	if e.ended {
		return errNoWaiting
	}
	e.conns[c.number] = c
	return e.arm(c, unix.EPOLL_CTL_ADD)
}

// arm asks for the connection's next event. Bytes that are here already are one.
func (e *epoll) arm(c *conn, op int) error {
	t, _ := below(c.net)
	var cerr error
	err := t.raw.Control(func(fd uintptr) { cerr = unix.EpollCtl(e.fd, op, int(fd), event(c.number, armed)) })
	if err == nil && cerr != nil {
		err = os.NewSyscallError("epoll_ctl", cerr)
	}
	return err
}

// remove forgets c; the kernel does when its descriptor is closed.
func (e *epoll) remove(c *conn) {
	e.at.Lock()
	defer e.at.Unlock()
	delete(e.conns, c.number)
}

func (e *epoll) of(number uint64) *conn {
	e.at.Lock()
	defer e.at.Unlock()
	return e.conns[number]
}

func (e *epoll) run() {
	events := make([]unix.EpollEvent, 128)
	for {
		n, err := unix.EpollWait(e.fd, events, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			panic(fmt.Sprintf("gateway: epoll_wait on a descriptor of our own: %v", err))
		}
		for _, ev := range events[:n] {
			number := numberOf(ev)
			if number == 0 {
				return
			}
			if c := e.of(number); c != nil {
				e.readers <- struct{}{}
				e.work.Go(func() {
					e.drain(c)
					<-e.readers
				})
			}
		}
	}
}

// drain reads what is there and arms the connection again. TLS may hold bytes
// that the kernel no longer does, so it reads until there is nothing.
func (e *epoll) drain(c *conn) {
	buf := e.buffers.Get().(*[]byte)
	defer e.buffers.Put(buf)
	for {
		n, err := c.net.Read(*buf)
		if n > 0 && !e.arrived(c, (*buf)[:n]) {
			return
		}
		switch {
		case errors.Is(err, errNothing):
			if err := e.arm(c, unix.EPOLL_CTL_MOD); err != nil {
				e.broken(c, err)
			}
			return
		case err != nil:
			e.broken(c, err)
			return
		}
	}
}

// close ends the loop first, so that no reader begins any more.
func (e *epoll) close() {
	e.at.Lock()
	e.ended = true
	e.at.Unlock()
	for {
		if _, err := unix.Write(e.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0}); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	e.loop.Wait()
	e.blocking.close()
	// Closing descriptors of our own can't fail in a way that matters now.
	_ = unix.Close(e.fd)
	_ = unix.Close(e.stop)
}
