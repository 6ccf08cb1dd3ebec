// Package server puts the rooms together for one process: store, keys, vault,
// the engine of actions, the doors, and the listeners in front of them.
//
// It is the only code that knows which parts an installation is made of. What it
// starts it ends: [Server.Run] returns when everything has been waited for.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"swab/internal/access"
	"swab/internal/action"
	"swab/internal/api"
	"swab/internal/auth"
	"swab/internal/bus"
	"swab/internal/credential"
	"swab/internal/device"
	"swab/internal/evidence"
	"swab/internal/federation"
	"swab/internal/fleet"
	"swab/internal/gateway"
	"swab/internal/issuer"
	"swab/internal/keys"
	"swab/internal/limit"
	"swab/internal/manual"
	"swab/internal/origin"
	"swab/internal/retention"
	"swab/internal/signin"
	"swab/internal/store"
	"swab/internal/vault"
)

// Server is one process of an installation.
type Server struct {
	config    Config
	log       *slog.Logger
	now       func() time.Time
	origin    *origin.Set
	store     *store.Store
	ring      *keys.Ring
	home      string // id of the installation's first tenant
	certs     *certificates
	tokens    *auth.Tokens
	foreign   *federation.Keys // of other issuers
	tally     *auth.Tally
	limiter   *limit.Limiter // nil: there are no limits
	vault     *vault.Vault
	engine    *action.Engine
	register  *access.Register
	hasher    *credential.Hasher // of the passwords of people
	desk      *signin.Desk
	fleet     *fleet.Fleet
	keeper    *retention.Keeper
	bus       *bus.Local
	waker     atomic.Pointer[bus.Local] // the same, once there is one, for the store
	gateway   *gateway.Gateway
	api       *api.API
	issuer    *issuer.Issuer
	manual    *manual.Manual
	metrics   *metrics
	bootstrap Bootstrap
	lock      *os.File     // that the data directory is ours
	conns     *connections // of the public listener
	listener  net.Listener // below public
	public    net.Listener
	ready     chan struct{}
	cancelled chan struct{} // of 1: an action was cancelled, and its bytes may go
}

// sweepEvery is how often what a lost message would hide is looked for.
const sweepEvery = 30 * time.Second

// drainFor bounds how long a server that was asked to end goes on.
const drainFor = 8 * time.Second

// New opens everything and listens, but serves nothing yet. now is the clock.
func New(ctx context.Context, c Config, log *slog.Logger, now func() time.Time) (*Server, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	s := &Server{config: c, log: log, now: now, metrics: newMetrics(), ready: make(chan struct{}), cancelled: make(chan struct{}, 1)}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

func (s *Server) open(ctx context.Context) (err error) {
	if s.config.Data, err = filepath.Abs(s.config.Data); err != nil {
		return err
	}
	if err := os.MkdirAll(s.config.Data, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	if s.origin, err = s.config.origin(); err != nil {
		return err
	}
	most, err := s.config.bounds(openFiles())
	if err != nil {
		return err
	}
	s.conns = newConnections(most, s.origin.Proxy)
	s.metrics.watchConnections(s.conns)
	if s.lock, err = lockDir(s.config.Data); err != nil {
		return err
	}
	// Before anything is written: a start that can't be leaves things as they are.
	if s.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", s.config.Listen); err != nil {
		return fmt.Errorf("listen at %s: %w; another program has the address, or it is not this machine's", s.config.Listen, err)
	}
	s.store, err = store.Open(ctx, store.Options{Database: s.config.database(), Log: s.log, Now: s.now, Wake: s.wake, OnCommit: s.metrics.commit})
	if err != nil {
		return err
	}
	s.metrics.watchStore(s.store)
	bases := s.origin.Bases()
	for _, b := range bases {
		if strings.Contains(b, "token") {
			s.log.WarnContext(ctx, "a base URL has the word token in it: some sign-in libraries replace that word in addresses and then ask for the wrong one", "url", b)
		}
	}
	var (
		ring    *keys.Ring
		tenants []auth.Tenant
	)
	if err := s.store.Alone(ctx, func(ctx context.Context) (err error) {
		ring, tenants, err = s.found(ctx, bases[0])
		return err
	}); err != nil {
		return err
	}
	s.ring = ring
	if _, err := os.Stat(filepath.Join(s.config.Data, recoveryFile)); err == nil {
		s.log.WarnContext(ctx, "the recovery key lies in the data directory: put it away, off this machine", "file", filepath.Join(s.config.Data, recoveryFile))
	}
	if s.certs, err = s.certificates(ring, bases); err != nil {
		return err
	}
	s.metrics.watchKeys(ring, s.certs, s.config.Certificate == "")
	s.home = tenants[0].ID
	if err := s.core(ctx, ring, s.home); err != nil {
		return err
	}
	if err := s.doors(ctx, ring, bases, s.home); err != nil {
		return err
	}
	s.public = tls.NewListener(gateway.Listen(s.conns.listen(s.listener)), s.certs.config())
	return nil
}

// wake tells the bus of a device whose request is in the audit log now. Before
// there is a bus no device is connected.
func (s *Server) wake(id device.ID) {
	if b := s.waker.Load(); b != nil {
		b.Wake(id)
	}
}

// found opens what an installation has from its first start on, and makes what
// is missing of it.
func (s *Server) found(ctx context.Context, base string) (ring *keys.Ring, tenants []auth.Tenant, err error) {
	ring, err = keys.Open(ctx, keys.Config{
		Store: s.store, Dir: s.config.Data, MasterKey: s.config.MasterKey.Reveal(), Now: s.now, Recovery: keepRecoveryKey(s.config.Data),
	})
	if err != nil {
		return nil, nil, err
	}
	ca, err := s.authority(ring)
	if err != nil {
		return nil, nil, err
	}
	tenants, s.bootstrap, err = bootstrap(ctx, s.config.Data, s.store, ring, base, ca, s.now())
	return ring, tenants, err
}

// authority writes the certificate by which clients and devices judge the
// server, and returns its file: "" where the operator's own certificate serves,
// which the system's authorities vouch for or the operator knows how to judge.
func (s *Server) authority(ring *keys.Ring) (string, error) {
	if s.config.Certificate != "" {
		return "", nil
	}
	file := filepath.Join(s.config.Data, authorityFile)
	return file, writeFile(file, pemCertificate(ring.AuthorityCertificate()), 0o644)
}

func (s *Server) certificates(ring *keys.Ring, bases []string) (*certificates, error) {
	if s.config.Certificate != "" {
		return fileCertificates(s.config.Certificate, s.config.CertificateKey, s.now, s.log)
	}
	return ownCertificates(ring, bases, s.now, s.log)
}

// core makes the vault, the engine, the fleet and the register.
func (s *Server) core(ctx context.Context, ring *keys.Ring, home string) (err error) {
	s.vault, err = vault.New(ctx, vault.Options{
		Dir: s.config.Data, Records: s.store, Limits: vault.Limits{Bytes: s.config.PackageLimit, Reserve: s.config.DiskReserve}, Check: evidence.DefaultLimits(),
		Log: s.log, Now: s.now,
	})
	if err != nil {
		return err
	}
	s.metrics.watchVault(s.vault, s.config.DiskReserve)
	s.hasher = credential.NewHasher(0)
	s.register = &access.Register{Records: s.store, Ring: ring, Hasher: s.hasher, Home: home, Now: s.now, Logger: s.log}
	s.tokens = auth.NewTokens(s.origin.Bases(), ring, s.store, s.now)
	s.foreign, err = federation.New(federation.Config{
		Issuers: s.tokens.Directory.TrustedIssuers, Authorities: s.config.IssuerCA, Now: s.now, Logger: s.log,
	})
	if err != nil {
		return fmt.Errorf("--issuer-ca: %w", err)
	}
	s.tokens.Foreign, s.tokens.Logger = s.foreign, s.log
	s.metrics.watchIssuers(s.foreign)
	s.fleet = &fleet.Fleet{Records: s.store, Groups: s.tokens.Directory, Now: s.now, Logger: s.log}
	s.keeper = &retention.Keeper{Records: s.store, Bytes: s.vault, Devices: s.fleet, Now: s.now, Logger: s.log}
	times := action.DefaultTimes()
	times.Pending = s.config.PendingLife
	s.engine = &action.Engine{
		Records: s.store, Devices: s.fleet, Log: s.store, Keys: ring, Now: s.now, Times: times, Logger: s.log,
		Room:    s.vault.Room,
		OnBegin: s.metrics.begun,
		OnEnd: func(a action.Action) {
			s.metrics.ended.WithLabelValues(string(a.Status)).Inc()
			if a.Status != action.Cancelled {
				return
			}
			select {
			case s.cancelled <- struct{}{}:
			default: // the look that is due finds this one as well
			}
		},
	}
	return nil
}

// doors makes what speaks to the outside.
func (s *Server) doors(ctx context.Context, ring *keys.Ring, bases []string, home string) (err error) {
	s.tally = auth.NewTally(s.store, s.now, s.log)
	s.gateway, err = gateway.New(gateway.Options{
		Bases: bases, Engine: s.engine, Devices: s.store, Tokens: s.tokens, Keys: ring, Vault: s.vault, Log: s.log, Now: s.now,
		Address: s.origin.Client, Wake: s.wake, OnDenied: s.tally.Denied, OnKnown: known, OnVerdict: s.metrics.verdict,
	})
	if err != nil {
		return err
	}
	s.metrics.watchGateway(s.gateway)
	s.bus = bus.NewLocal(s.gateway.Wake)
	s.metrics.watchBus(s.bus)
	s.waker.Store(s.bus)
	s.engine.Bus, s.register.Bus = s.bus, s.bus
	limits, err := s.limitCalls(ctx)
	if err != nil {
		return err
	}
	s.metrics.watchCallers(s.tally, s.limiter)
	s.api = api.New(api.Config{
		Limiter: s.limiter, Limits: limits,
		Engine: s.engine, Fleet: s.fleet, Register: s.register, Keeper: s.keeper, Records: s.store, Vault: s.vault, Keys: ring, Tokens: s.tokens, Tally: s.tally,
		Origin: s.origin, Home: home, Life: s.config.LinkLife, Now: s.now, Log: s.log, Observe: s.metrics.observe, OnKnown: known,
	})
	s.desk = signin.New(signin.Config{
		Records: s.store, Directory: s.tokens.Directory, Resources: s.tokens.Resources, Secrets: ring, Hasher: s.hasher, Tally: s.tally, Now: s.now, Logger: s.log,
	})
	s.metrics.watchDesk(s.desk)
	s.issuer = issuer.New(issuer.Config{
		Keys: ring, Tokens: s.tokens, Desk: s.desk, Tally: s.tally, Origin: s.origin, Passwords: s.config.PasswordGrant,
		Now: s.now, Log: s.log, Observe: s.metrics.observe,
	})
	s.manual, err = manual.New(manual.Config{Origin: s.origin, Now: s.now, Observe: s.metrics.observe})
	return err
}

// Bootstrap is what the first start left for the operator; its secrets are
// empty where the operator put the file away.
func (s *Server) Bootstrap() Bootstrap { return s.bootstrap }

// URL is the first public base URL.
func (s *Server) URL() string { return s.origin.Bases()[0] }

// Ready is closed when the server answers requests.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Progress is how far a running action is, for those who watch it from within
// this process: the public API has the status alone.
func (s *Server) Progress(ctx context.Context, tenant, id string) (action.Action, error) {
	return s.store.Action(ctx, tenant, id)
}

// ServeHTTP sends a request to its door, by the first segment of its path. There
// is no mux here: it would answer odd paths by redirects of its own.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
		// A Content-Length beside it, by which a proxy may have seen another end of
		// the request, is gone by now: what follows is nobody's (RFC 9112, 6.3).
		w.Header().Set("Connection", "close")
	}
	if r.URL.Path != "/device/channel" { // which takes the connection over
		w = &paced{ResponseWriter: w, control: http.NewResponseController(w)}
	}
	switch first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); {
	case r.URL.Path == "/healthz":
		s.health(w, nil)
	case r.URL.Path == "/readyz":
		s.health(w, s.store.Ready(r.Context()))
	case first == "enroll" || first == "device":
		s.gateway.Handler().ServeHTTP(w, r)
	case api.Serves(r):
		s.api.ServeHTTP(w, r)
	case manual.Serves(r):
		s.manual.ServeHTTP(w, r)
	default:
		s.issuer.ServeHTTP(w, r)
	}
}

func (s *Server) health(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		s.log.Error("not ready", "err", err)
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "not ready")
		return
	}
	fmt.Fprintln(w, "ok")
}

// Run serves until ctx ends, then drains: requests that run are answered,
// devices are told to come again, what is half done is left for the next start.
func (s *Server) Run(ctx context.Context) error {
	server := &http.Server{
		Handler: s, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: readFor, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 256 << 10, // more than any token that is refused by name
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) }, ConnContext: keepConn,
	}
	failed := make(chan error, 2)
	var work sync.WaitGroup
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	work.Go(func() { s.settles(background) })
	work.Go(func() { s.tally.Run(background) })
	work.Go(func() { s.desk.Run(background) })
	work.Go(func() { s.sweeps(background) })
	work.Go(func() { s.foreign.Run(background) })
	stopMetrics, err := s.serveMetrics(ctx, &work, failed)
	if err != nil {
		stop()
		work.Wait()
		return errors.Join(err, s.public.Close(), s.close(ctx))
	}
	work.Go(func() {
		if err := server.Serve(s.public); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	})
	close(s.ready)
	s.log.InfoContext(ctx, "server is ready", "address", s.public.Addr().String(), "url", s.origin.Bases()[0])

	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.log.InfoContext(ctx, "server is going away")
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
	defer cancel()
	if late := errors.Join(s.gateway.Shutdown(drain), server.Shutdown(drain)); late != nil {
		s.log.WarnContext(ctx, "not everything came to its end in time; what is left is cut", "err", late)
	}
	stopMetrics(drain)
	err = errors.Join(err, server.Close()) // what Shutdown could not wait for
	stop()
	work.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return errors.Join(err, s.close(last))
}

// sweeps looks, now and then, for what a lost message would hide, and at once
// for what a cancelled action had delivered.
func (s *Server) sweeps(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	defer s.conns.report(context.WithoutCancel(ctx), s.log) // the last ones too
	s.sweep(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.cancelled:
			if err := s.gateway.Discard(ctx); err != nil && ctx.Err() == nil {
				s.log.ErrorContext(ctx, "bytes of a cancelled action could not be deleted; the sweep tries again", "err", err)
			}
		case <-tick.C:
			s.conns.report(ctx, s.log)
			s.sweep(ctx)
		}
	}
}

// settles puts devices into their groups when the rules of device groups change:
// at once where they were changed here, and now and then for what another node
// changed, or did not bring to its end.
func (s *Server) settles(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if n, err := s.store.Settle(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "devices could not be put into their groups; it is tried again", "err", err)
		} else if n > 0 {
			s.metrics.settled.Add(float64(n))
			s.log.InfoContext(ctx, "devices put into their groups", "count", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.store.Unsettled():
		case <-tick.C:
		}
	}
}

func (s *Server) sweep(ctx context.Context) {
	if err := s.ring.Tend(ctx, s.store, s.home); err != nil && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "the server's keys could not be looked after; it is tried again", "err", err)
	}
	if n, err := s.engine.Sweep(ctx); err != nil && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "sweep of actions ended early; it is repeated", "err", err)
	} else if n > 0 {
		s.log.InfoContext(ctx, "actions timed out", "count", n)
	}
	for more := true; more && ctx.Err() == nil; {
		var err error
		if more, err = s.store.ForgetAddresses(ctx, s.now().Add(-fleet.Remembered-fleet.Around)); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "old addresses of devices could not be forgotten; the sweep tries again", "err", err)
		}
	}
	for more := true; more && ctx.Err() == nil; {
		var err error
		if more, err = s.store.ForgetSignIns(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "sign-ins that have run out could not be forgotten; the sweep tries again", "err", err)
		}
	}
	s.forgetCalls(ctx)
	if err := s.gateway.Sweep(ctx); err != nil && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "sweep of uploads ended early; it is repeated", "err", err)
	}
	n, err := s.keeper.Expire(ctx)
	if err != nil && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "expiry of packages ended early; the sweep goes on with it", "err", err)
	}
	if n > 0 {
		s.log.InfoContext(ctx, "packages expired", "count", n)
	}
}

// close gives back what open took, in the reverse order.
func (s *Server) close(ctx context.Context) error {
	var errs []error
	if s.gateway != nil {
		_ = s.gateway.Shutdown(ctx) // what it could not wait for, the next start settles
	}
	if s.bus != nil {
		s.bus.Close()
	}
	if s.vault != nil {
		s.vault.Close()
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.listener != nil {
		_ = s.listener.Close() // Run may have closed it
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
