package main

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"swab/internal/auth"
	"swab/internal/fault"
	"swab/internal/keys"
	"swab/test/installation"
)

// How tokens are measured.
const (
	tokenCallers = 16
	tokenSpan    = 5 * time.Second
	validations  = 2000
)

// tokens measures how fast applications get tokens, over HTTPS and with the
// client on the same machine, and how long it takes to check one. Each RSA
// signature is dear, so what the machine can sign at all stands beside.
func tokens(ctx context.Context, t *table, in *installation.Installation) error {
	cred, err := in.Credentials()
	if err != nil {
		return err
	}
	transport, err := trusting(cred, tokenCallers)
	if err != nil {
		return err
	}
	defer transport.CloseIdleConnections()
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {cred.ClientID}, "client_secret": {cred.ClientSecret}, "scope": {cred.APIBase + "/.default"},
	}.Encode()
	ask := func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, cred.Authority+"/oauth2/v2.0/token", strings.NewReader(form))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("token: %s %s", resp.Status, body)
		}
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte("bare"))
	bare, err := rate(runtime.NumCPU(), func() error {
		_, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
		return err
	})
	if err != nil {
		return err
	}
	got, err := rate(tokenCallers, ask)
	if err != nil {
		return err
	}
	t.add(fmt.Sprintf("tokens by secret over HTTPS, %d callers of one application", tokenCallers), fmt.Sprintf("%.0f/s", got), "≥ 2,000/s",
		fmt.Sprintf("bare RSA-2048 signatures, all CPUs: %.0f/s", bare))
	return validation(ctx, t)
}

// rate runs do again and again on so many goroutines, and returns how often a second.
func rate(callers int, do func() error) (float64, error) {
	var n atomic.Int64
	var failed atomic.Pointer[error]
	var wait sync.WaitGroup
	start := time.Now()
	for range callers {
		wait.Go(func() {
			for time.Since(start) < tokenSpan && failed.Load() == nil {
				if err := do(); err != nil {
					failed.Store(&err)
				}
				n.Add(1)
			}
		})
	}
	wait.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(n.Load()) / time.Since(start).Seconds(), nil
}

// validation measures how long a token takes that is seen for the first time,
// and one that is known. The application it names is known both times.
func validation(ctx context.Context, t *table) error {
	house := &household{app: auth.App{Tenant: "t", ID: "a", Name: "bench", Roles: []string{auth.ReadAll}}}
	dir, err := os.MkdirTemp("", "swab-bench-keys-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	now := time.Now()
	clock := func() time.Time { return now }
	ring, err := keys.Open(ctx, keys.Config{Store: house, Dir: dir, Now: clock, Recovery: func(ed25519.PrivateKey) error { return nil }})
	if err != nil {
		return err
	}
	const base = "https://swab.example"
	tokens := auth.NewTokens([]string{base}, ring, house, clock)
	all := make([]string, validations)
	for i := range all { // each in a second of its own, else they would be one token
		now = now.Add(-time.Second)
		if all[i], err = tokens.Issue(base, base, house.app); err != nil {
			return err
		}
	}
	now = now.Add(validations * time.Second)
	each := func(do func(token string) error) (time.Duration, error) {
		var took []time.Duration
		for _, token := range all {
			start := time.Now()
			err := do(token)
			if took = append(took, time.Since(start)); err != nil {
				return 0, err
			}
		}
		return median(took, func(d time.Duration) time.Duration { return d }), nil
	}
	validate := func(token string) error { _, err := tokens.Validate(ctx, token); return err }
	first, err := each(validate)
	if err != nil {
		return err
	}
	known, err := each(validate)
	if err != nil {
		return err
	}
	hash, err := each(func(token string) error { sha256.Sum256([]byte(token)); return nil })
	t.add("validation of a token, the first time", micros(first), "≤ 100 µs", "")
	t.add("validation of a token, known", micros(known), "≤ 2 µs", "SHA-256 of the token alone: "+micros(hash))
	return err
}

func micros(d time.Duration) string { return fmt.Sprintf("%.1f µs", float64(d.Nanoseconds())/1000) }

// household is one tenant with one application, and the server's keys, in memory.
type household struct {
	app     auth.App
	records []keys.Record
}

func (h *household) Keys(context.Context) ([]keys.Record, error) { return h.records, nil }

func (h *household) AddKey(_ context.Context, r keys.Record) error {
	h.records = append(h.records, r)
	return nil
}

func (h *household) Tenants(context.Context) ([]auth.Tenant, error) {
	return []auth.Tenant{{ID: h.app.Tenant, Name: "bench"}}, nil
}

func (h *household) App(_ context.Context, tenant, id string) (auth.App, error) {
	if tenant != h.app.Tenant || id != h.app.ID {
		return auth.App{}, fault.NotFound.Errorf(errors.New("another application"), "no such application")
	}
	return h.app, nil
}

// The household has nobody who signs in.

func (h *household) Person(context.Context, string, string) (auth.Person, error) {
	return auth.Person{}, errNobody
}

func (h *household) Policy(context.Context, string) (*auth.Policy, error) { return nil, errNobody }

func (h *household) SessionOf(context.Context, string, string) (string, error) { return "", errNobody }

func (h *household) TrustedIssuers(context.Context) ([]auth.TrustedIssuer, error) { return nil, nil }

var errNobody = fault.NotFound.Errorf(nil, "there is nobody here")

func (h *household) AccessRevision() uint64 { return 0 }
