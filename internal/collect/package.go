package collect

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"swab/internal/canon"
	"swab/internal/catalog"
	"swab/internal/collect/host"
	"swab/internal/evidence"
)

// Options say what to collect, from where, and for whom.
type Options struct {
	Plan       catalog.Plan
	Collectors []Collector // of this system; an item without one is recorded as skipped
	Host       *host.Host  // stays the caller's to close

	Device evidence.DeviceFacts
	Agent  evidence.AgentFacts
	Key    ed25519.PrivateKey // the one that ends the device's chain

	// What the server said, and the package repeats. All zero without a server.
	ActionID, TenantID     string
	Attempt                int
	Commitment, Checkpoint string
	ServerOffset           *time.Duration // server's clock minus the device's

	// Bounds in force. PackageBytes and DeadlineSeconds are kept here, 0 meaning
	// none; MemoryBytes is the process's matter and only recorded.
	Bounds evidence.Bounds

	// Progress, if not nil, is told how far it is; one call at a time. It must
	// not block: collectors wait for it.
	Progress func(Progress)
}

// Progress is how far a package is.
type Progress struct {
	Stage int           // that runs
	Items int           // that have ended
	Of    int           // items of the plan
	Bytes int64         // written
	Taken time.Duration // from the start until all of stage 0 was in memory; 0 until then
}

// Package makes a whole package and writes it to out. It returns ctx's cause when
// cancelled, within a second or so: out's Write must return when ctx ends. Nothing is written
// to out after it has returned.
func Package(ctx context.Context, o Options, out io.Writer) error {
	h, err := o.Host.Renew()
	if err != nil {
		return err
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return fmt.Errorf("random package id: %w", err)
	}
	gate := &gate{out: out}
	defer gate.shut()
	r := &runner{Options: o, h: h, gate: gate, start: h.Clock(), began: time.Now()}
	r.w = evidence.NewWriter(gate, h.Clock)

	ledger, err := r.run(ctx)
	if err != nil {
		return err
	}
	if n := h.Patience.Blocked(); n > 0 {
		h.Saw("blocked reads", strconv.Itoa(n))
	}
	m := evidence.Manifest{
		Format: evidence.Format, PackageID: hex.EncodeToString(id), ActionID: o.ActionID, TenantID: o.TenantID,
		Attempt: o.Attempt, Device: o.Device, Agent: o.Agent,
		Profile:    evidence.Profile{Name: o.Plan.Profile, Digest: o.Plan.Digest()},
		Commitment: o.Commitment, Checkpoint: o.Checkpoint,
		Clock:  r.clock(),
		Bounds: o.Bounds, View: h.Seen(), Ledger: ledger,
	}
	if m.Device.BootID == "" {
		m.Device.BootID = h.Boot.ID
	}
	if err := r.w.Finish(m, o.Plan, o.Key); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return nil
}

// clock is the manifest's account of the time.
func (r *runner) clock() evidence.Clock {
	c := evidence.Clock{
		Start: canon.FormatTime(r.start), End: canon.FormatTime(r.h.Clock()), BoottimeStart: r.h.Boot.Since.Seconds(),
	}
	if synchronised, err := r.h.NTPSynchronised(); err == nil {
		c.NTPSynchronised = &synchronised
	}
	if r.ServerOffset != nil {
		ms := r.ServerOffset.Milliseconds()
		c.ServerOffsetMs = &ms
	}
	return c
}

// gate stands before the package's stream: it measures how long writing waits
// for the upload, and lets nothing through once the package has ended.
type gate struct {
	out    io.Writer
	closed atomic.Bool

	mu     sync.Mutex
	waited time.Duration
	since  time.Time // of the write that waits now; zero when none does
}

var errShut = errors.New("the package has ended")

func (g *gate) Write(p []byte) (int, error) {
	if g.closed.Load() {
		return 0, errShut
	}
	g.mark(time.Now())
	n, err := g.out.Write(p)
	g.mark(time.Time{})
	return n, err
}

// mark begins a wait, or ends it when at is zero.
func (g *gate) mark(at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if at.IsZero() {
		g.waited += time.Since(g.since)
	}
	g.since = at
}

// idle is how long writing has waited so far.
func (g *gate) idle() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.since.IsZero() {
		return g.waited
	}
	return g.waited + time.Since(g.since)
}

func (g *gate) shut() { g.closed.Store(true) }
