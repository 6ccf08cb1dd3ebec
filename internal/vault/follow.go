package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"swab/internal/evidence"
	"swab/internal/fault"
)

// follower feeds the flushed bytes of one upload to the reader of the package
// format, behind the requests that bring them, so that a chunk's answer does not
// wait for inflate. It holds a goroutine and a buffer only while there is
// something to feed. After a restart it begins at the first stored byte.
type follower struct {
	v *Vault
	u Upload // as it was when the follower began; names the bytes

	mu      sync.Mutex
	idle    sync.Cond // signalled when running ends
	checker *evidence.Checker
	report  *evidence.Report // once closed
	fed     int64
	durable int64
	running bool
	err     error // reading failed; the follower is of no more use
}

// errClosing is returned to those who wait while the vault closes.
var errClosing = errors.New("the vault is closing")

func (f *follower) init(v *Vault, u Upload) {
	f.v, f.u, f.durable = v, u, u.Offset
	f.idle.L = &f.mu
	f.checker = evidence.NewChecker(v.check)
}

// flushed tells that the bytes up to end are durable.
func (f *follower) flushed(end int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.durable = max(f.durable, end)
	f.startLocked()
}

func (f *follower) startLocked() {
	if f.running || f.err != nil || f.fed >= f.durable {
		return
	}
	f.v.mu.Lock()
	defer f.v.mu.Unlock()
	select {
	case <-f.v.closing:
		f.err = errClosing
		return
	default:
	}
	f.running = true
	f.v.work.Go(f.run)
}

// run feeds what is durable and ends.
func (f *follower) run() {
	err := f.feed()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running = false
	f.endLocked(err)
	f.startLocked() // what was flushed since feed looked last
	f.idle.Broadcast()
}

// stop ends the follower for good: nobody wants its report any more.
func (f *follower) stop(why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.endLocked(why)
	f.idle.Broadcast()
}

// endLocked keeps the first error and, once nobody feeds, gives back what the
// checker holds.
func (f *follower) endLocked(err error) {
	if f.err == nil {
		f.err = err
	}
	if f.err != nil && !f.running {
		f.checker.Abort()
	}
}

func (f *follower) feed() error {
	file, err := f.v.dir.read(f.u)
	if err != nil {
		return err
	}
	defer file.Close()
	buf := f.v.buffers.Get().(*[]byte)
	defer f.v.buffers.Put(buf)
	for {
		select {
		case <-f.v.closing:
			return errClosing
		default:
		}
		f.mu.Lock()
		at, end, err := f.fed, f.durable, f.err
		f.mu.Unlock()
		if at >= end || err != nil {
			return nil
		}
		n, err := file.ReadAt((*buf)[:min(end-at, bufferSize)], at)
		if err != nil && !(errors.Is(err, io.EOF) && n > 0) {
			return fmt.Errorf("read upload %s at %d: %w", f.u.ID, at, err)
		}
		if _, err := f.checker.Write((*buf)[:n]); err != nil { // flaws are no error, they are in the report
			return err
		}
		f.mu.Lock()
		f.fed += int64(n)
		f.mu.Unlock()
	}
}

// verdict waits until all of the upload is fed and returns the report.
func (f *follower) verdict(ctx context.Context, length int64) (*evidence.Report, error) {
	stop := context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.idle.Broadcast()
	})
	defer stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.startLocked()
	for f.fed < length && f.err == nil && ctx.Err() == nil {
		f.idle.Wait()
	}
	switch {
	case f.err != nil:
		return nil, f.err
	case f.fed < length:
		return nil, context.Cause(ctx)
	}
	if f.report == nil {
		f.report = f.checker.Close()
	}
	return f.report, nil
}

// Verify returns what the reader of the package format found in a complete
// upload. It waits for it; ctx ends the waiting, not the work.
func (v *Vault) Verify(ctx context.Context, id string) (*evidence.Report, error) {
	u, err := v.records.Upload(ctx, id)
	if err != nil {
		return nil, err
	}
	if u.State != Complete {
		return nil, fault.BadRequest.Errorf(nil, "The upload is %s, and only a complete one can be verified", u.State)
	}
	l := v.livingOf(u)
	report, err := l.follow.verdict(ctx, u.Length)
	if err != nil {
		if ctx.Err() == nil {
			v.forget(id, err) // the next one reads from the start
		}
		return nil, fmt.Errorf("verify upload %s of action %s: %w", id, u.Action, err)
	}
	return report, nil
}
