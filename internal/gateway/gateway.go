package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"swab/internal/device"
	"swab/internal/vault"
)

// Options are what a gateway is made of.
type Options struct {
	Bases   []string // public base URLs: what a proof's URL may begin with
	Engine  Engine
	Devices Devices
	Tokens  Tokens
	Keys    Keys
	Vault   *vault.Vault
	Log     *slog.Logger
	Now     func() time.Time

	// Address is the address that a request comes from, as far as it is proved;
	// nil for that of the direct peer.
	Address func(*http.Request) string

	// Wake looks after a device on whichever node holds its connection; nil for
	// this one.
	Wake func(device.ID)

	// OnDenied is told of each request that was answered 401; nil for nobody.
	OnDenied func(tenant, from string)

	// OnKnown is told, by the request's context, of each one whose device has
	// proved itself; nil for nobody.
	OnKnown func(context.Context)

	// OnVerdict is told of each complete upload that was settled, sealed or not,
	// and how long that took from its last byte on, its turn included; nil for
	// nobody.
	OnVerdict func(took time.Duration)

	Times       Times
	Connections int // most at once; 0: 50,000
}

// Times are the gateway's deadlines. A zero one is the default.
type Times struct {
	Ping  time.Duration // between pings, and how exact Idle and expiry are; default 50 s
	Idle  time.Duration // without a byte, until a connection counts as dead; default 2.5 × Ping
	Hello time.Duration // until a new connection has said hello; default 10 s
	Write time.Duration // for one message to be taken; default 10 s
	Stall time.Duration // for each 64 KiB of a chunk to arrive; default 60 s
	Leave time.Duration // for a connection that was said bye to end by itself; default 2 s
	Work  time.Duration // for the core to deal with one message; default 15 s
	Offer time.Duration // until an offer that was not answered is repeated; default 20 s
	Beat  time.Duration // between signs of life that are kept of a device; default 5 min
	Judge time.Duration // that the last chunk's answer waits for the verdict; default 10 s
}

func (t Times) orDefault() Times {
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{
		{&t.Ping, 50 * time.Second},
		{&t.Hello, 10 * time.Second},
		{&t.Write, 10 * time.Second},
		{&t.Stall, 60 * time.Second},
		{&t.Leave, 2 * time.Second},
		{&t.Work, 15 * time.Second},
		{&t.Offer, 20 * time.Second},
		{&t.Beat, 5 * time.Minute},
		{&t.Judge, 10 * time.Second},
	} {
		if *d.v <= 0 {
			*d.v = d.d
		}
	}
	if t.Idle <= 0 {
		t.Idle = t.Ping * 5 / 2
	}
	return t
}

// Gateway is the server's side of the conversation with devices. It is safe for
// concurrent use.
type Gateway struct {
	bases    bases
	engine   Engine
	devices  Devices
	tokens   Tokens
	keys     Keys
	vault    *vault.Vault
	log      *slog.Logger
	now      func() time.Time
	address  func(*http.Request) string
	wake     func(device.ID)
	onDenied func(tenant, from string)
	onKnown  func(context.Context)
	onJudged func(took time.Duration)
	times    Times
	most     int

	nonces  nonces
	replays *replays
	notices notices
	table   *table
	wait    waiter
	count   counters
	routes  routes

	// Connections and verdicts outlive the requests that began them. life is
	// the context of that work; it ends with the gateway.
	life    context.Context
	end     context.CancelFunc
	work    sync.WaitGroup
	looks   chan struct{} // a token for each device that is being looked after because of a wake-up
	turns   chan struct{} // a token for each verdict that is being made
	stop    sync.Once     // ends the waiting
	mu      sync.Mutex
	closed  bool
	leaving chan struct{}            // closed with it
	judged  map[string]chan struct{} // uploads whose verdict is on its way, by id
}

// lookers bounds how many devices are looked after at once because of a wake-up.
const lookers = 64

// judges bounds how many verdicts are made at once: after a restart every
// complete upload is read from its start.
const judges = 4

// New returns a gateway that serves until it is shut down.
func New(o Options) (*Gateway, error) {
	b, err := newBases(o.Bases)
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		bases: b, engine: o.Engine, devices: o.Devices, tokens: o.Tokens, keys: o.Keys, vault: o.Vault, log: o.Log, now: o.Now,
		address: o.Address, wake: o.Wake, onDenied: o.OnDenied, onKnown: o.OnKnown, onJudged: o.OnVerdict, times: o.Times.orDefault(), most: o.Connections,
		nonces: nonces{o.Keys, o.Now}, replays: newReplays(o.Now), table: newTable(),
		looks: make(chan struct{}, lookers), turns: make(chan struct{}, judges), leaving: make(chan struct{}), judged: map[string]chan struct{}{},
	}
	g.routes = g.newRoutes()
	if g.onKnown == nil {
		g.onKnown = func(context.Context) {}
	}
	if g.onJudged == nil {
		g.onJudged = func(time.Duration) {}
	}
	if g.wake == nil {
		g.wake = g.Wake
	}
	if g.address == nil {
		g.address = remoteAddress
	}
	if g.most <= 0 {
		g.most = 50_000
	}
	g.life, g.end = context.WithCancel(context.Background())
	if g.wait, err = newWaiter(g.arrived, g.drop); err != nil {
		g.end()
		return nil, fmt.Errorf("wait for connections: %w", err)
	}
	g.work.Go(g.turnWheel)
	return g, nil
}

// Wake looks after a device: something about it changed. It does not block.
func (g *Gateway) Wake(id device.ID) {
	c := g.table.of(id)
	if c == nil {
		g.count.Absent.Add(1)
		return
	}
	g.count.Woken.Add(1)
	if c.waking.Swap(true) {
		return
	}
	g.do(func() {
		select {
		case g.looks <- struct{}{}:
		case <-g.life.Done():
			return
		}
		defer func() { <-g.looks }()
		c.waking.Store(false) // a wake-up from here on leads to another look
		g.attend(c)
	})
}

// do runs f beside its caller, unless the gateway is closed.
func (g *Gateway) do(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.work.Go(f)
	}
}

// errShutdown is why connections and requests are refused at the end.
var errShutdown = errors.New("the server is going away")

// Shutdown says bye to all devices and waits for verdicts that are on their way
// and for connections to end, until ctx does. What it leaves undone the next
// start's sweep does. It may be called more than once.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		close(g.leaving)
	}
	verdicts := make([]chan struct{}, 0, len(g.judged))
	for _, done := range g.judged {
		verdicts = append(verdicts, done)
	}
	g.mu.Unlock()

	g.farewell(ctx)
	var late error
	for _, done := range verdicts {
		select {
		case <-done:
		case <-ctx.Done():
			late = fmt.Errorf("shut the gateway down: %w", context.Cause(ctx))
		}
	}
	g.end()
	g.stop.Do(g.wait.close)
	g.work.Wait()
	return late
}
