// Package bus wakes a device: it tells whoever holds the device's connection, in
// this process or on another node, to look again.
//
// That is all a message ever says. What is true is in the store, so a lost
// message costs latency (the device is found at its next connect or by the
// sweep), never an action. Every bus passes the test kit in bustest.
package bus

import (
	"sync"

	"swab/internal/device"
)

// Local is the bus of one process. A device that is woken twice before its
// subscribers looked is woken once: what waits is at most one mark a device.
type Local struct {
	mu      sync.Mutex
	waiting map[device.ID]struct{}
	order   []device.ID
	wake    chan struct{} // of capacity 1: something waits
	done    chan struct{}
	stop    sync.Once
	stopped chan struct{}
	asked   int64 // see Stats
	merged  int64
	subs    []func(device.ID)
}

// NewLocal returns a bus that calls subscribers one device at a time. They must
// not block for long; what takes time they hand on.
func NewLocal(subscribers ...func(device.ID)) *Local {
	b := &Local{
		waiting: map[device.ID]struct{}{}, wake: make(chan struct{}, 1),
		done: make(chan struct{}), stopped: make(chan struct{}), subs: subscribers,
	}
	go b.run()
	return b
}

// Wake marks a device. It never blocks.
func (b *Local) Wake(id device.ID) {
	b.mu.Lock()
	b.asked++
	if _, there := b.waiting[id]; there {
		b.merged++
	} else {
		b.waiting[id] = struct{}{}
		b.order = append(b.order, id)
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Stats is what has become of wake-ups since the start.
type Stats struct {
	Asked   int64 // in all
	Merged  int64 // into one that waited for its subscribers already
	Waiting int   // now
}

// Stats returns the present figures.
func (b *Local) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return Stats{Asked: b.asked, Merged: b.merged, Waiting: len(b.waiting)}
}

// Close ends the bus and waits for a subscriber that is running.
func (b *Local) Close() {
	b.stop.Do(func() { close(b.done) })
	<-b.stopped
}

func (b *Local) run() {
	defer close(b.stopped)
	for {
		select {
		case <-b.done:
			return
		case <-b.wake:
		}
		for _, id := range b.take() {
			for _, f := range b.subs {
				f(id)
			}
		}
	}
}

func (b *Local) take() []device.ID {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := b.order
	b.order = nil
	clear(b.waiting)
	return ids
}
