package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"swab/internal/agent/state"
	"swab/internal/device"
	"swab/internal/evidence"
	"swab/internal/wire"
)

// Config is what an agent is made of.
type Config struct {
	Server string         // base URL: https://HOST[:PORT]
	Roots  *x509.CertPool // who may vouch for the server; nil for whom the system trusts
	Token  string         // enrolment token; needed until the device is enrolled

	// Bounds of one package. A server may lower them, never raise them.
	Bounds evidence.Bounds

	// Profiles that may be collected; none for all that the catalogue has.
	Profiles []string

	Make  Maker               // makes the packages
	Facts func() device.Facts // what the device says of itself, asked each time it is said
	Now   func() time.Time    // the device's clock
	Log   *slog.Logger
	Proxy func(*http.Request) (*url.URL, error) // nil for none
}

// Agent is the device's side of the conversation. Run it once.
type Agent struct {
	cfg    Config
	state  *state.State
	device device.ID
	server *server
	clock  *clock
	log    *slog.Logger
	retry  func() *backoff

	work sync.WaitGroup // attempts

	mu       sync.Mutex
	line     *session   // the present connection, once welcomed; nil without one
	attempts []*attempt // in memory, the newest last: at most one that is not over
	waiting  *order     // to be begun when the attempt that stops has stopped
	keys     succession
}

// New returns an agent on an open state, which stays the caller's to close.
func New(c Config, s *state.State) (*Agent, error) {
	base, err := parseBase(c.Server)
	if err != nil {
		return nil, err
	}
	id := s.Identity()
	clk := &clock{device: c.Now, floor: s.Progress().SeenTime()}
	srv := newServer(base, c.Roots, c.Proxy, clk)
	srv.key, srv.device = id.Key(), id.Device()
	return &Agent{
		cfg: c, state: s, device: id.Device(), server: srv, clock: clk,
		log: c.Log.With("device", id.Device()), retry: newBackoff, keys: succession{unsure: id.Next != nil},
	}, nil
}

// steady is how long a connection must have lived for the next one to be tried
// at once.
const steady = 30 * time.Second

// Run enrols the device if need be, and then obeys the server until ctx ends. It
// comes back to a server that is away for ever; its error is one that no
// repetition would mend.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer a.server.close()
	defer a.work.Wait()
	defer cancel()
	retry := a.retry()
	for ctx.Err() == nil {
		began := a.cfg.Now()
		err := a.enrol(ctx)
		if err == nil {
			err = a.settleKey(ctx)
		}
		if err == nil {
			err = a.converse(ctx)
		}
		if errors.Is(err, errNextKey) {
			continue
		}
		if errors.Is(err, ErrEnrolment) || errors.Is(err, state.ErrPinned) {
			return err
		}
		if ctx.Err() != nil {
			break
		}
		if a.cfg.Now().Sub(began) >= steady {
			retry.reset()
		}
		a.doubtKey(err)
		a.log.WarnContext(ctx, "no connection to the server; trying again", "err", err)
		if err := retry.wait(ctx, atLeast(err, retry)); err != nil {
			break
		}
	}
	return nil
}

// atLeast is how long to stay away from a server for what it said.
func atLeast(err error, retry *backoff) time.Duration {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.after
	}
	bye, ok := errors.AsType[*byeError](err)
	if !ok {
		return 0
	}
	switch bye.reason {
	case wire.ByeReplaced, wire.ByeRevoked, wire.ByeVersion:
		// A twin with our key, or nothing that soon changes: two that replace
		// each other at once would do nothing else.
		return retry.max
	case wire.ByeShutdown, wire.ByeBusy, wire.ByeProtocol:
		retry.skipFirst() // all devices were told at once
	}
	return 0
}

// tell sends a message over the present connection and says whether that went
// well. What is not told is settled by the next hello.
func (a *Agent) tell(ctx context.Context, m wire.FromDevice) bool {
	a.mu.Lock()
	line := a.line
	a.mu.Unlock()
	return line != nil && line.send(ctx, m) == nil
}
