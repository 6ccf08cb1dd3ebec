package gateway

import (
	"sync"
	"sync/atomic"

	"swab/internal/device"
)

// spokes is how many parts the table of connections has, each with its own
// lock. The wheel looks at one after another, so that pings are spread.
const spokes = 50

// table is all connections: by number, spread over the spokes, and the newest
// one of each device.
type table struct {
	next   atomic.Uint64
	size   atomic.Int64
	spokes [spokes]spoke

	mu       sync.RWMutex
	byDevice map[device.ID]*conn
}

type spoke struct {
	mu    sync.Mutex
	conns map[uint64]*conn
}

func newTable() *table {
	t := &table{byDevice: map[device.ID]*conn{}}
	for i := range t.spokes {
		t.spokes[i].conns = map[uint64]*conn{}
	}
	return t
}

// add numbers c, makes it its device's connection, and returns the one that was.
func (t *table) add(c *conn) (replaced *conn) {
	c.number = t.next.Add(1)
	s := &t.spokes[c.number%spokes]
	s.mu.Lock()
	s.conns[c.number] = c
	s.mu.Unlock()
	t.size.Add(1)

	t.mu.Lock()
	defer t.mu.Unlock()
	replaced = t.byDevice[c.device]
	t.byDevice[c.device] = c
	return replaced
}

// remove forgets c. It may be called more than once.
func (t *table) remove(c *conn) {
	s := &t.spokes[c.number%spokes]
	s.mu.Lock()
	if _, there := s.conns[c.number]; there {
		delete(s.conns, c.number)
		t.size.Add(-1)
	}
	s.mu.Unlock()

	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byDevice[c.device] == c {
		delete(t.byDevice, c.device)
	}
}

// of returns the device's connection, or nil.
func (t *table) of(id device.ID) *conn {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byDevice[id]
}

// in returns the connections of one spoke, in a slice that is reused.
func (t *table) in(i int, into []*conn) []*conn {
	s := &t.spokes[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	into = into[:0]
	for _, c := range s.conns {
		into = append(into, c)
	}
	return into
}

// all returns every connection.
func (t *table) all() []*conn {
	var all, part []*conn
	for i := range t.spokes {
		part = t.in(i, part)
		all = append(all, part...)
	}
	return all
}
