// Package federation holds the public keys of other OpenID Connect issuers, by
// which package auth checks their tokens.
//
// Keys are fetched from the addresses that an issuer's record names, and from
// nowhere else: its discovery document below its URL, the keys on the same host,
// or the address of the keys that the record gives in their place. Nothing that a
// token says becomes an address. The address that a name stands for is judged
// when it is connected to, after the name was resolved, so a name that means
// another address the next time is judged again; no redirect is followed. No
// proxy is used, whatever the environment says: it would resolve the name itself,
// and what it connects to could not be judged here. An issuer that can be reached
// through a proxy alone needs a copy of its keys inside, named as the record's
// address of keys.
//
// A set of keys is fetched again each hour, and when a token names a key that is
// not in it, at most once a minute. Many requests wait for one fetch, for five
// seconds at most; requests that need no fetch wait for none. While an issuer is
// down its last keys serve on for a day. Within it, a key that is not among them
// is no key of the issuer, and a token signed by it is refused as any with an
// unknown key is: a caller cannot make it seem otherwise by naming keys that
// don't exist. Where there are no keys at all, since the first fetch failed or
// the day is over, nothing can be said of any token of that issuer, so that its
// bearer is told to ask again later, not to get another token where none may be
// had.
//
// The key set of github.com/coreos/go-oidc was read before this was written
// (v3.21.0). It fetches at each unknown key id, in a goroutine that nobody waits
// for, keeps what it has until an unknown key id comes, so that a key that was
// withdrawn stays good, reads an answer of any length, tries a token that names
// no key by each key there is, and in errors repeats what the peer answered. What
// is left of use is the parsing of a key, and that is go-jose's, which is used
// here.
package federation

import (
	"context"
	"crypto"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"swab/internal/auth"
	"swab/internal/fault"
)

// How old keys may be, and how often they are asked for.
const (
	refreshAfter = time.Hour        // then they are fetched again
	useFor       = 24 * time.Hour   // then they are used no more
	askEvery     = time.Minute      // of an issuer whose keys there are
	retryEvery   = 10 * time.Second // of one whose keys there are none of
	fetchFor     = 5 * time.Second  // discovery and keys together
	lookEvery    = time.Minute      // for keys that are to be fetched
	remindEvery  = time.Hour        // of an issuer that stays down
)

// Config is what keys are fetched by.
type Config struct {
	// Issuers are those whose keys are to be at hand before a token needs them.
	Issuers func(context.Context) ([]auth.TrustedIssuer, error)

	// Authorities is a PEM file of certificates by which the servers of issuers are
	// judged, beside the system's; "" for none. It is read at each fetch.
	Authorities string

	Now    func() time.Time
	Logger *slog.Logger
}

// Keys are those of other issuers. Safe for concurrent use.
type Keys struct {
	Config
	resolver *net.Resolver // nil: the system's
	patience time.Duration // of one fetch

	mu      sync.RWMutex
	sources map[name]*source

	refreshed, failed atomic.Int64
}

// name is an issuer's: its tenant and id.
type name struct{ tenant, id string }

// New returns the keys of no issuer yet, or an error if there is a file of
// authorities and it can't be read.
func New(c Config) (*Keys, error) {
	k := &Keys{Config: c, patience: fetchFor, sources: map[name]*source{}}
	if c.Authorities == "" {
		return k, nil // the system's may be missing where no issuer is trusted
	}
	_, err := k.roots()
	return k, err
}

var _ auth.ForeignKeys = (*Keys)(nil)

// Key implements [auth.ForeignKeys].
func (k *Keys) Key(ctx context.Context, issuer auth.TrustedIssuer, kid string) (crypto.PublicKey, string, error) {
	s := k.source(issuer)
	found, some, err := s.find(kid, k.Now())
	// Others wait for what this request begins, so it does not end with it.
	if found.public == nil && k.fetch(ctx, context.WithoutCancel(ctx), s) {
		found, some, err = s.find(kid, k.Now())
	}
	if found.public != nil {
		return found.public, found.alg, nil
	}
	if !some {
		return nil, "", fault.Unavailable.Errorf(err, "The keys of the access token's issuer can't be had; ask again later")
	}
	return nil, "", fault.NotFound.Errorf(err, "Issuer %s has no such key", issuer.ID)
}

// source is where the keys of an issuer come from. One whose record changed in
// what matters for that begins anew.
func (k *Keys) source(issuer auth.TrustedIssuer) *source {
	n := name{issuer.Tenant, issuer.ID}
	k.mu.RLock()
	s := k.sources[n]
	k.mu.RUnlock()
	if s != nil && s.of(issuer) {
		return s
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if s = k.sources[n]; s == nil || !s.of(issuer) {
		s = &source{issuer: issuer}
		k.sources[n] = s
	}
	return s
}

// source is the keys of one issuer.
type source struct {
	issuer auth.TrustedIssuer

	mu      sync.Mutex
	keys    map[string]key // by kid
	fetched time.Time      // when; zero: never
	tried   time.Time      // when it was last begun
	err     error          // what became of that
	flight  chan struct{}  // closed when the fetch that runs has ended; nil: none runs
	warned  time.Time      // when the log was last told that it fails
}

// of says whether an issuer's keys come from this source.
func (s *source) of(issuer auth.TrustedIssuer) bool {
	return s.issuer.URL == issuer.URL && s.issuer.Keys == issuer.Keys && slices.Equal(s.issuer.Networks, issuer.Networks)
}

// find is a key that may be used. some says whether there are keys at all, err why
// the last fetch failed.
func (s *source) find(kid string, now time.Time) (found key, some bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !within(s.fetched, now, useFor) {
		return key{}, false, s.err
	}
	return s.keys[kid], true, s.err
}

// within says whether a time is less than so long ago. A clock that was set back
// makes nothing fresh.
func within(at, now time.Time, age time.Duration) bool {
	return !at.IsZero() && now.Sub(at) >= 0 && now.Sub(at) < age
}

// fetch fetches the keys of a source for as long as work goes on, or waits for
// whoever does, until ctx ends. It says whether there was anything to wait for.
func (k *Keys) fetch(ctx, work context.Context, s *source) bool {
	now := k.Now()
	s.mu.Lock()
	if flight := s.flight; flight != nil {
		s.mu.Unlock()
		select {
		case <-flight:
		case <-ctx.Done():
		}
		return true
	}
	pause := askEvery
	if !within(s.fetched, now, useFor) {
		pause = retryEvery
	}
	if within(s.tried, now, pause) {
		s.mu.Unlock()
		return false
	}
	flight := make(chan struct{})
	s.flight, s.tried = flight, now
	s.mu.Unlock()

	keys, err := map[string]key(nil), errors.New("the fetch did not come to its end")
	defer func() {
		k.tell(ctx, s, len(keys), err, now)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err = err; err == nil {
			s.keys, s.fetched = keys, now
		}
		s.flight = nil
		close(flight)
	}()
	bounded, cancel := context.WithTimeout(work, k.patience)
	defer cancel()
	keys, err = k.get(bounded, s.issuer)
	return true
}

// tell counts a fetch, and tells the log what is news. Nobody else fetches from
// the source meanwhile.
func (k *Keys) tell(ctx context.Context, s *source, count int, err error, now time.Time) {
	attrs := []any{"tenant", s.issuer.Tenant, "issuer", s.issuer.ID, "url", s.issuer.URL}
	if errors.Is(err, context.Canceled) { // the server stops
		return
	}
	if err != nil {
		k.failed.Add(1)
		if !within(s.warned, now, remindEvery) {
			s.warned = now
			k.Logger.WarnContext(ctx, "keys of another issuer could not be fetched: it is tried again, and what was fetched before serves for a day", append(attrs, "err", err)...)
		}
		return
	}
	k.refreshed.Add(1)
	if s.fetched.IsZero() || !s.warned.IsZero() {
		k.Logger.InfoContext(ctx, "keys of another issuer fetched", append(attrs, "count", count)...)
	}
	s.warned = time.Time{}
}

// Run fetches keys before they are needed, until ctx ends. Whoever starts it
// waits for it.
func (k *Keys) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		k.tend(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// tend fetches what is missing or an hour old, of four issuers at once, and
// forgets issuers that are no more.
func (k *Keys) tend(ctx context.Context) {
	issuers, err := k.Issuers(ctx)
	if err != nil {
		if ctx.Err() == nil {
			k.Logger.ErrorContext(ctx, "keys of other issuers could not be looked after; it is tried again", "err", err)
		}
		return
	}
	kept := map[name]bool{}
	var due []*source
	for _, one := range issuers {
		s := k.source(one)
		kept[name{one.Tenant, one.ID}] = true
		s.mu.Lock()
		if !within(s.fetched, k.Now(), refreshAfter) {
			due = append(due, s)
		}
		s.mu.Unlock()
	}
	k.mu.Lock()
	maps.DeleteFunc(k.sources, func(n name, _ *source) bool { return !kept[n] })
	k.mu.Unlock()

	var work sync.WaitGroup
	free := make(chan struct{}, 4)
	for _, s := range due {
		free <- struct{}{}
		work.Go(func() {
			defer func() { <-free }()
			if ctx.Err() == nil {
				k.fetch(ctx, ctx, s)
			}
		})
	}
	work.Wait()
}

// Stats is what the keys count.
type Stats struct {
	Refreshed, Failed int64 // fetches
	Issuers           int   // whose keys are held, or should be
	Without           int   // of these, those without a key that may be used: their tokens are answered 503
}

// Stats returns the counts at this moment.
func (k *Keys) Stats() Stats {
	k.mu.RLock()
	sources := slices.Collect(maps.Values(k.sources))
	k.mu.RUnlock()
	stats := Stats{Refreshed: k.refreshed.Load(), Failed: k.failed.Load(), Issuers: len(sources)}
	for _, s := range sources {
		if _, some, _ := s.find("", k.Now()); !some {
			stats.Without++
		}
	}
	return stats
}
