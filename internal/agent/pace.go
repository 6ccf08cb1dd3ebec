package agent

import (
	"net"
	"sync"
	"time"
)

// What the channel takes from a server: so many bytes at once, and so many a
// second for long. A proof has a few KiB, so an honest server never gets there.
// A stolen one that floods the channel, with frames of any kind, meets a full
// socket and not the device's processor.
const (
	paceBurst = 1 << 20
	paceRate  = 64 << 10
)

// paced is a connection that is read at a bounded rate.
type paced struct {
	net.Conn
	now    func() time.Time
	closed chan struct{}
	once   sync.Once

	// Of the one reader that a connection has.
	credit int
	last   time.Time
}

func newPaced(c net.Conn, now func() time.Time) *paced {
	return &paced{Conn: c, now: now, closed: make(chan struct{}), credit: paceBurst, last: now()}
}

func (p *paced) Read(b []byte) (int, error) {
	now := p.now()
	earned := now.Sub(p.last).Seconds() * paceRate
	p.last = now
	p.credit = int(min(paceBurst, float64(p.credit)+max(0, earned)))
	if p.credit <= 0 {
		t := time.NewTimer(time.Duration(1-p.credit) * time.Second / paceRate)
		defer t.Stop()
		select {
		case <-t.C:
		case <-p.closed:
			return 0, net.ErrClosed
		}
	}
	n, err := p.Conn.Read(b)
	p.credit -= n
	return n, err
}

func (p *paced) Close() error {
	p.once.Do(func() { close(p.closed) })
	return p.Conn.Close()
}
