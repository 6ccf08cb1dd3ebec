package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"swab/internal/agent/state"
	"swab/internal/collect"
	"swab/internal/device"
	"swab/internal/evidence"
	"swab/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon bounds every wait of these tests. Nothing waits so long if all is well.
const soon = 30 * time.Second

// rig is an agent with its peer.
type rig struct {
	t     testing.TB
	peer  *peer
	dir   string
	state *state.State
	agent *Agent
	log   *journal

	stop context.CancelFunc
	done chan error
}

// options change an agent before it starts.
type options struct {
	make  Maker
	now   func() time.Time
	token string
	proxy func(*http.Request) (*url.URL, error)
	bound evidence.Bounds
	only  []string
	roots *x509.CertPool
}

func newRig(t testing.TB) *rig {
	return &rig{t: t, peer: newPeer(t), dir: filepath.Join(t.TempDir(), "state"), log: &journal{}}
}

// start starts the agent on the rig's state.
func (r *rig) start(o options) *rig {
	r.t.Helper()
	st, err := state.Open(r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	if o.make == nil {
		o.make = makeBytes(100_000)
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.token == "" {
		o.token = testToken
	}
	if o.bound == (evidence.Bounds{}) {
		o.bound = evidence.Bounds{MemoryBytes: 64 << 20, PackageBytes: 1 << 30, DeadlineSeconds: 60}
	}
	if o.roots == nil {
		o.roots = r.peer.roots()
	}
	a, err := New(Config{
		Server: r.peer.http.URL, Roots: o.roots, Token: o.token, Bounds: o.bound, Profiles: o.only, Make: o.make,
		Facts: func() device.Facts { return device.Facts{Name: "host.test", System: "linux", AgentVersion: "test"} },
		Now:   o.now, Proxy: o.proxy, Log: slog.New(slog.NewTextHandler(r.log, nil)),
	}, st)
	if err != nil {
		r.t.Fatal(err)
	}
	a.retry = func() *backoff { return &backoff{min: time.Millisecond, max: 20 * time.Millisecond} }
	ctx, cancel := context.WithCancel(context.Background())
	r.agent, r.state, r.stop, r.done = a, st, cancel, make(chan error, 1)
	go func() { r.done <- a.Run(ctx) }()
	r.t.Cleanup(func() {
		r.halt()
		if r.t.Failed() {
			r.t.Logf("the agent's log:\n%s", r.log)
		}
	})
	return r
}

// halt stops the agent and returns what Run returned.
func (r *rig) halt() error {
	if r.stop == nil {
		return nil
	}
	r.stop()
	r.stop = nil
	select {
	case err := <-r.done:
		r.state.Close()
		return err
	case <-time.After(soon):
		r.t.Error("the agent does not stop")
		return errors.New("still running")
	}
}

// connected waits for the agent's next connection.
func (r *rig) connected() *peerConn {
	r.t.Helper()
	select {
	case c := <-r.peer.conns:
		return c
	case err := <-r.done:
		r.t.Fatalf("the agent ended: %v\n%s", err, r.log)
	case <-time.After(soon):
		r.t.Fatalf("the agent does not connect\n%s", r.log)
	}
	return nil
}

// order asks for attempt n of action number on a connection, proved from the
// head that the agent named in its hello on.
func (c *peerConn) order(n, attempt int, from int64) wire.Collect {
	c.peer.t.Helper()
	o := c.peer.log.order(c.peer.t, c.device, n, attempt, from)
	c.send(o)
	return o
}

// expect waits for a message of type M, passing over progress.
func expect[M wire.FromDevice](c *peerConn) M {
	c.peer.t.Helper()
	deadline := time.After(soon)
	var zero M
	for {
		select {
		case m, ok := <-c.messages:
			if !ok {
				c.peer.t.Fatalf("the connection ended (%v), want a %T", c.err, zero)
			}
			if got, ok := m.(M); ok {
				return got
			}
			if _, ok := m.(wire.Progress); !ok {
				c.peer.t.Fatalf("the agent said %#v, want a %T", m, zero)
			}
		case <-deadline:
			c.peer.t.Fatalf("the agent says nothing, want a %T", zero)
		}
	}
}

// ended waits for the connection's end.
func (c *peerConn) ended() {
	c.peer.t.Helper()
	await(c.peer.t, "the connection's end", c.closed)
}

func await(t testing.TB, what string, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(soon):
		t.Fatalf("still waiting for %s", what)
	}
}

// until waits for a condition that no channel tells of.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(soon)
	for !f() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("still waiting until %s", what)
		}
	}
}

// packageBytes is what makeBytes writes.
func packageBytes(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// makeBytes is a maker of packages of n bytes, written in uneven pieces.
func makeBytes(n int) Maker {
	return func(_ context.Context, o collect.Options, out io.Writer) error {
		o.Progress(collect.Progress{Stage: 0, Of: 3, Taken: time.Millisecond})
		for rest := packageBytes(n); len(rest) > 0; {
			k := min(len(rest), 70_001)
			if _, err := out.Write(rest[:k]); err != nil {
				return err
			}
			rest = rest[k:]
			o.Progress(collect.Progress{Stage: 1, Items: 1, Of: 3, Bytes: int64(n - len(rest)), Taken: time.Millisecond})
		}
		return nil
	}
}

// makeUntil is a maker that writes a little and waits for release or the end.
func makeUntil(began chan<- string, release <-chan struct{}) Maker {
	return func(ctx context.Context, o collect.Options, out io.Writer) error {
		if _, err := out.Write([]byte("begun")); err != nil {
			return err
		}
		began <- o.ActionID
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// journal is a log that a test reads.
type journal struct {
	mu sync.Mutex
	b  []byte
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.b = append(j.b, p...)
	return len(p), nil
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return string(j.b)
}
