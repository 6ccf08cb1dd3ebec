package host

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// MaxAbandoned is how many blocked reads a host leaves behind before it starts
// no more that may block: a thread in state D can't be killed, and each holds a
// stack.
const MaxAbandoned = 8

// maxBlocked bounds what several packages may leave behind in one process.
const maxBlocked = 8 * MaxAbandoned

// The errors of work that may block.
var (
	// ErrAbandoned says that a read made no progress for its time and was left
	// behind.
	ErrAbandoned = errors.New("blocked in the kernel, and was abandoned")
	// ErrTooMany says that a read was not begun, because too many are blocked.
	ErrTooMany = errors.New("not read: too many reads are blocked in the kernel already")
)

// Patience runs work that may block in the kernel for ever: a FUSE mount that
// never answers, a page of a process that lies on one. Work that makes no
// progress for its time is abandoned with its goroutine and thread.
type Patience struct {
	limit   atomic.Int64
	blocked atomic.Int64
}

// NewPatience abandons at most limit pieces of work at a time.
func NewPatience(limit int) *Patience {
	p := new(Patience)
	p.limit.Store(int64(limit))
	return p
}

// renew gives a new package patience of its own: what the last one left behind
// and still waits does not count against it, until it is too much in all.
func (p *Patience) renew() { p.limit.Store(min(p.blocked.Load()+MaxAbandoned, maxBlocked)) }

// Beat tells that work goes on.
type Beat struct{ n atomic.Uint64 }

// Tick is one sign of life; cheap enough to give before each system call.
func (b *Beat) Tick() { b.n.Add(1) }

// Do runs work and returns when it has ended, or with [ErrAbandoned] when it has
// given no beat for wait, or with ctx's cause when ctx ends and the work does
// not within wait. Abandoned work goes on if it ever can: what it writes to must be
// its own, never the caller's.
func (p *Patience) Do(ctx context.Context, wait time.Duration, work func(*Beat)) error {
	if p.blocked.Load() >= p.limit.Load() {
		return ErrTooMany
	}
	var (
		beat  Beat
		state atomic.Int32 // 0 running, 1 ended, 2 abandoned
		done  = make(chan any, 1)
	)
	go func() {
		defer func() {
			crash := recover()
			if !state.CompareAndSwap(0, 1) {
				p.blocked.Add(-1) // it did end after all
			}
			done <- crash
		}()
		work(&beat)
	}()

	timer := time.NewTimer(wait)
	defer timer.Stop()
	seen := beat.n.Load()
	for {
		select {
		case crash := <-done:
			if crash != nil {
				panic(crash) // on the caller's goroutine, where the runner's fence is
			}
			return nil
		case <-timer.C:
		}
		now := beat.n.Load()
		if now != seen && ctx.Err() == nil {
			seen = now
			timer.Reset(wait)
			continue
		}
		p.blocked.Add(1)
		if !state.CompareAndSwap(0, 2) { // it ended just now
			p.blocked.Add(-1)
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return ErrAbandoned
	}
}

// Blocked is how many abandoned pieces of work have not ended yet.
func (p *Patience) Blocked() int { return int(p.blocked.Load()) }
