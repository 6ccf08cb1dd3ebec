package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"swab/internal/wire"
)

const (
	chunkBytes   = 8 << 20 // most bytes of one PATCH
	chunksHeld   = 2       // so many chunks wait in memory at most
	segmentBytes = 64 << 10

	// flushAfter is how long bytes wait for more of them. The first seconds of
	// a host that dies are often all there is of it.
	flushAfter = 500 * time.Millisecond
)

// Ends of an upload.
var (
	errLost     = errors.New("the server no longer has what was uploaded")
	errTooLarge = errors.New("the server takes no package of this size")
)

// upload sends a package while it is made, by the tus protocol (1.0; creation,
// deferred length). What was written stays in memory until the server has
// acknowledged it as durable, so any break of the network is only a delay: the
// server says how far it got, and from there it goes on. Writing waits while
// chunksHeld chunks are held.
type upload struct {
	server  *server
	action  wire.ActionID
	attempt int
	retry   func() *backoff
	sent    func(int64) // told how many bytes are acknowledged
	log     *slog.Logger

	more chan struct{} // bytes were written, or the end; holds one signal
	room chan struct{} // bytes were acknowledged; holds one signal

	mu     sync.Mutex
	held   [][]byte // what is not acknowledged, in segments
	size   int64    // of held
	acked  int64    // offset of held's first byte
	closed bool     // no more will be written
	end    error    // why no more can be; set once
}

func newUpload(s *server, action wire.ActionID, attempt int, log *slog.Logger, sent func(int64)) *upload {
	return &upload{
		server: s, action: action, attempt: attempt, retry: newBackoff, sent: sent, log: log,
		more: make(chan struct{}, 1), room: make(chan struct{}, 1),
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// writer takes the package's bytes for as long as ctx lives.
func (u *upload) writer(ctx context.Context) io.Writer { return &uploadWriter{ctx, u} }

type uploadWriter struct {
	ctx context.Context //nolint:containedctx // io.Writer has no place for it, and this writer lives as long as its call
	u   *upload
}

func (w *uploadWriter) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		taken, err := w.u.take(p[n:])
		n += taken
		if err != nil {
			return n, err
		}
		if taken > 0 {
			continue
		}
		select {
		case <-w.u.room:
		case <-w.ctx.Done():
			return n, context.Cause(w.ctx)
		}
	}
	return n, nil
}

// take keeps as much of p as there is room for.
func (u *upload) take(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.end != nil {
		return 0, u.end
	}
	p = p[:min(int64(len(p)), chunksHeld*chunkBytes-u.size)]
	for rest := p; len(rest) > 0; {
		last := len(u.held) - 1
		if last < 0 || len(u.held[last]) == cap(u.held[last]) {
			u.held = append(u.held, make([]byte, 0, segmentBytes))
			last++
		}
		seg := u.held[last]
		n := min(len(rest), cap(seg)-len(seg))
		u.held[last] = append(seg, rest[:n]...)
		rest = rest[n:]
	}
	before := u.size
	u.size += int64(len(p))
	if before == 0 || before < chunkBytes && u.size >= chunkBytes {
		signal(u.more)
	}
	return len(p), nil
}

// finish says that all has been written.
func (u *upload) finish() {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	signal(u.more)
}

// chunk is a part of the package on its way.
type chunk struct {
	offset, size int64
	segments     [][]byte
	last         bool
}

func (c chunk) reader() io.Reader {
	readers := make([]io.Reader, len(c.segments))
	for i, s := range c.segments {
		readers[i] = bytes.NewReader(s)
	}
	return io.MultiReader(readers...)
}

// snapshot is what to send now. The segments' bytes are never changed, only
// appended to beyond what the snapshot sees.
func (u *upload) snapshot() chunk {
	c := chunk{offset: u.acked}
	for _, s := range u.held {
		n := min(int64(len(s)), chunkBytes-c.size)
		if n == 0 {
			break
		}
		c.segments = append(c.segments, s[:n:n])
		c.size += n
	}
	c.last = u.closed && c.size == u.size
	return c
}

// acknowledged lets go of what lies before offset, which must be held.
func (u *upload) acknowledged(offset int64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := offset - u.acked
	if n < 0 || n > u.size {
		return fmt.Errorf("%w: it names byte %d, held are %d to %d", errLost, offset, u.acked, u.acked+u.size)
	}
	for rest := n; rest > 0; {
		k := min(rest, int64(len(u.held[0])))
		u.held[0] = u.held[0][k:]
		if rest -= k; len(u.held[0]) == 0 {
			u.held[0] = nil
			u.held = u.held[1:]
		}
	}
	u.size, u.acked = u.size-n, offset
	if n > 0 {
		signal(u.room)
		u.sent(offset)
	}
	return nil
}

// run sends until all is acknowledged, and returns nil then.
func (u *upload) run(ctx context.Context) error {
	err := u.send(ctx)
	if err != nil {
		u.mu.Lock()
		u.end, u.held = err, nil
		u.mu.Unlock()
		signal(u.room)
	}
	return err
}

func (u *upload) send(ctx context.Context) error {
	id, err := u.create(ctx)
	if err != nil {
		return err
	}
	for {
		c, err := u.next(ctx)
		if err != nil {
			return err
		}
		done, err := u.deliver(ctx, id, c)
		if done || err != nil {
			return err
		}
	}
}

// next waits for a chunk that is worth sending: a full one, the last one, or
// what has waited for flushAfter.
func (u *upload) next(ctx context.Context) (chunk, error) {
	var old <-chan time.Time
	waited := false
	for {
		u.mu.Lock()
		some := u.size > 0
		if u.closed || u.size >= chunkBytes || some && waited {
			c := u.snapshot()
			u.mu.Unlock()
			return c, nil
		}
		u.mu.Unlock()
		if some && old == nil {
			t := time.NewTimer(flushAfter)
			defer t.Stop()
			old = t.C
		}
		select {
		case <-u.more:
		case <-old:
			waited = true
		case <-ctx.Done():
			return chunk{}, context.Cause(ctx)
		}
	}
}
