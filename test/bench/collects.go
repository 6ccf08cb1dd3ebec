package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"swab/client"
	"swab/internal/audit"
	"swab/internal/catalog"
	"swab/internal/device"
	"swab/internal/store"
	"swab/test/installation"
	"swab/test/postgres"
)

// How collect calls are measured.
const (
	collectCallers = 64
	collectRounds  = 5
	collectCalls   = 3000 // of a round; each has a device of its own
)

// collects measures how fast requests for packages are accepted over HTTPS, each
// of them flushed before it is answered, with the callers and, where there is
// one, the database's server on the same machine. How fast the same callers get
// an answer that needs no database stands beside.
func collects(ctx context.Context, t *table, programs installation.Programs, dir string) error {
	server, err := postgres.Start(false)
	if err != nil {
		return err
	}
	defer server.Close()
	for _, one := range []struct{ name, database, goal string }{
		{"SQLite", "", "≥ 3,000/s"}, {"PostgreSQL", server.URL, "≥ 1,500/s"},
	} {
		fmt.Fprintf(os.Stderr, "%d rounds of %d collect calls, %s\n", collectRounds, collectCalls, one.name)
		home := filepath.Join(dir, "collects-"+one.name)
		if err := os.Mkdir(home, 0o700); err != nil {
			return err
		}
		in, err := installation.New(programs, home)
		if err != nil {
			return err
		}
		in.Database = one.database
		rate, baseline, err := collectRate(ctx, in)
		if err := errors.Join(err, in.Close()); err != nil {
			return err
		}
		t.add(fmt.Sprintf("collect calls over HTTPS, %d callers, %s", collectCallers, one.name),
			fmt.Sprintf("%.0f/s", rate), one.goal, fmt.Sprintf("GET /healthz: %.0f/s", baseline))
	}
	return nil
}

// collectRate is the median rate of the rounds.
func collectRate(ctx context.Context, in *installation.Installation) (rate, baseline float64, err error) {
	if err := in.StartServer(ctx); err != nil { // which makes the tenant
		return 0, 0, err
	}
	cred, err := in.Credentials()
	if err != nil {
		return 0, 0, err
	}
	if err := in.Server.Stop(); err != nil {
		return 0, 0, err
	}
	ids, err := fleetOf(ctx, in, cred, collectRounds*collectCalls)
	if err != nil {
		return 0, 0, err
	}
	if err := in.StartServer(ctx); err != nil {
		return 0, 0, err
	}
	transport, err := trusting(cred, collectCallers)
	if err != nil {
		return 0, 0, err
	}
	defer transport.CloseIdleConnections()
	token, err := accessToken(ctx, transport, cred)
	if err != nil {
		return 0, 0, err
	}
	call := func(method, path, body string, want int) error {
		req, err := http.NewRequestWithContext(ctx, method, cred.APIBase+path, strings.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		if err == nil && resp.StatusCode != want {
			err = fmt.Errorf("%s %s: %s %s", method, path, resp.Status, text)
		}
		return err
	}
	if baseline, err = spread(collectCalls, func(int) error { return call(http.MethodGet, "/healthz", "", http.StatusOK) }); err != nil {
		return 0, 0, err
	}
	var rates []float64
	for round := range collectRounds {
		rate, err := spread(collectCalls, func(i int) error {
			return call(http.MethodPost, "/api/machines/"+string(ids[round*collectCalls+i])+"/collectInvestigationPackage", `{"Comment":"alert 1234"}`, http.StatusCreated)
		})
		if err != nil {
			return 0, 0, err
		}
		rates = append(rates, rate)
	}
	slices.Sort(rates)
	return rates[len(rates)/2], baseline, nil
}

// fleetOf enrols devices that never connect, by the store itself.
func fleetOf(ctx context.Context, in *installation.Installation, cred client.Credentials, count int) ([]device.ID, error) {
	database := in.Database
	if database == "" {
		database = "sqlite:" + filepath.Join(in.Data, "swab.db")
	}
	s, err := store.Open(ctx, store.Options{Database: database})
	if err != nil {
		return nil, err
	}
	ids, token := make([]device.ID, count), sha256.Sum256([]byte(cred.EnrollmentToken))
	_, err = spread(count, func(i int) error {
		seed := sha256.Sum256(fmt.Append(nil, "device ", i))
		key := ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
		ids[i] = device.IDOf(key)
		_, err := s.Enrol(ctx, token, device.Device{
			ID: ids[i], Keys: []ed25519.PublicKey{key}, Catalog: string(catalog.Current().Digest()),
			Facts: device.Facts{Name: fmt.Sprintf("host%d.example.org", i), System: device.Linux, Platform: "Debian", Version: "13.2", Arch: "amd64"},
		}, func(tenant string) audit.Entry {
			return audit.NewEntry(time.Now(), audit.Leaf{Act: audit.ActEnrol, Object: tenant, Device: string(ids[i]), Result: audit.Done}, audit.Hidden{})
		})
		return err
	})
	return ids, errors.Join(err, s.Close())
}

// spread has the callers share calls, each of which gets its number, and returns
// calls a second.
func spread(calls int, call func(i int) error) (float64, error) {
	var (
		next   atomic.Int64
		all    sync.WaitGroup
		failed = make(chan error, collectCallers)
		begun  = time.Now()
	)
	for range collectCallers {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(calls); i = next.Add(1) - 1 {
				if err := call(int(i)); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	select {
	case err := <-failed:
		return 0, err
	default:
		return float64(calls) / time.Since(begun).Seconds(), nil
	}
}

// accessToken is a token of the first application.
func accessToken(ctx context.Context, transport *http.Transport, cred client.Credentials) (string, error) {
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {cred.ClientID}, "client_secret": {cred.ClientSecret}, "scope": {cred.APIBase + "/.default"},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cred.Authority+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	return answer.Token, json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&answer)
}
