package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"swab/client"
	"swab/test/installation"
)

// How a flood of guesses is measured.
const (
	guessers  = 64
	floodSpan = 8 * time.Second
)

// signins measures what a flood of guesses costs everybody else: 64 guessers, each
// guess from another address and at another account, so that no limit but that of
// the hashes holds them. An application that looks at a machine, one call after
// another, tells how long its calls take before and meanwhile.
func signins(ctx context.Context, t *table, programs installation.Programs, dir string) error {
	fmt.Fprintf(os.Stderr, "%d guessers of passwords, %v\n", guessers, floodSpan)
	home := filepath.Join(dir, "signins")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	in, err := installation.New(programs, home)
	if err != nil {
		return err
	}
	in.Flags = append(in.Flags, "--proxy", "127.0.0.1/32") // so that each guess can name an address
	err = flood(ctx, t, in)
	return errors.Join(err, in.Close())
}

func flood(ctx context.Context, t *table, in *installation.Installation) error {
	if err := in.StartServer(ctx); err != nil {
		return err
	}
	if err := in.StartAgent("a"); err != nil {
		return err
	}
	ids, err := in.AwaitDevices(ctx, 1)
	if err != nil {
		return err
	}
	caller, err := in.Client()
	if err != nil {
		return err
	}
	defer caller.Close()
	cred, err := in.Credentials()
	if err != nil {
		return err
	}
	quiet, err := look(ctx, caller, ids[0], floodSpan/2)
	if err != nil {
		return err
	}
	before, err := status(in.Server.PID, "VmRSS")
	if err != nil {
		return err
	}
	tries := make([]*guesser, guessers)
	for i := range tries {
		if tries[i], err = newGuesser(ctx, cred); err != nil {
			return err
		}
	}
	// What as many callers cost who ask for nothing dear.
	crowd, err := beside(ctx, caller, ids[0], tries, func(ctx context.Context, g *guesser) error { return g.idle(ctx, cred.APIBase+"/healthz") })
	if err != nil {
		return err
	}
	var looked, refused atomic.Int64
	meanwhile, err := beside(ctx, caller, ids[0], tries, func(ctx context.Context, g *guesser) error {
		code, err := g.guess(ctx)
		switch {
		case err != nil:
		case code == http.StatusForbidden:
			looked.Add(1)
		default:
			refused.Add(1)
		}
		return err
	})
	if err != nil {
		return err
	}
	after, err := status(in.Server.PID, "VmHWM")
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%d guessers of passwords, Argon2id of 19 MiB and 2 passes, each other address and account: ", guessers)
	t.add(what+"a machine looked at meanwhile, p50", ms(at(meanwhile, 0.5)), "as beside the others", fmt.Sprintf("%d callers of /healthz: %s; nobody: %s", guessers, ms(at(crowd, 0.5)), ms(at(quiet, 0.5))))
	t.add(what+"p99", ms(at(meanwhile, 0.99)), "as beside the others", fmt.Sprintf("%d callers of /healthz: %s; nobody: %s", guessers, ms(at(crowd, 0.99)), ms(at(quiet, 0.99))))
	t.add(what+"server, peak resident", mib(after), "bounded", "before: "+mib(before))
	seconds := floodSpan.Seconds()
	t.add(what+"passwords looked at", fmt.Sprintf("%.0f/s", float64(looked.Load())/seconds), "", fmt.Sprintf("guesses refused: %.0f/s", float64(refused.Load())/seconds))
	return nil
}

// beside is look while each of some others does something again and again.
func beside(ctx context.Context, c *client.Client, id string, others []*guesser, do func(context.Context, *guesser) error) ([]time.Duration, error) {
	busy, stop := context.WithCancel(ctx)
	failed := make(chan error, len(others))
	var all sync.WaitGroup
	for _, g := range others {
		all.Go(func() {
			for busy.Err() == nil {
				if err := do(busy, g); err != nil && busy.Err() == nil {
					failed <- err
					return
				}
			}
		})
	}
	took, err := look(ctx, c, id, floodSpan)
	stop()
	all.Wait()
	close(failed)
	return took, errors.Join(err, <-failed)
}

// look looks at a machine, one call after another, and returns how long each took,
// in ascending order.
func look(ctx context.Context, c *client.Client, id string, span time.Duration) ([]time.Duration, error) {
	var took []time.Duration
	for begun := time.Now(); time.Since(begun) < span; {
		at := time.Now()
		if _, err := c.Machine(ctx, id); err != nil {
			return nil, err
		}
		took = append(took, time.Since(at))
	}
	slices.Sort(took)
	return took, nil
}

// at is a quantile of an ascending list.
func at(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// guesser is a browser with the sign-in page before it.
type guesser struct {
	http   *http.Client
	action string
	hidden url.Values
}

var (
	formAction  = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

func newGuesser(ctx context.Context, cred client.Credentials) (*guesser, error) {
	transport, err := trusting(cred, 1)
	if err != nil {
		return nil, err
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	g := &guesser{http: &http.Client{Jar: jar, Transport: transport}, hidden: url.Values{}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, cred.Authority+"/account", nil)
	if err != nil {
		return nil, err
	}
	resp, err := g.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	action := formAction.FindSubmatch(page)
	if action == nil {
		return nil, fmt.Errorf("the sign-in page: %s %.200s", resp.Status, page)
	}
	g.action = cred.APIBase + string(action[1])
	for _, f := range hiddenField.FindAllSubmatch(page, -1) {
		g.hidden.Set(string(f[1]), string(f[2]))
	}
	return g, nil
}

// guess tries a password, and returns the status of the answer.
func (g *guesser) guess(ctx context.Context) (int, error) {
	form := url.Values{"username": {fmt.Sprintf("user%d@example.com", rand.Uint32())}, "password": {"not the password of anybody"}}
	for name := range g.hidden {
		form.Set(name, g.hidden.Get(name))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.action, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	n := rand.Uint32()
	req.Header.Set("X-Forwarded-For", fmt.Sprintf("%d.%d.%d.%d", 11+n%100, byte(n>>8), byte(n>>16), byte(n>>24)))
	resp, err := g.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// idle asks for something that costs nothing.
func (g *guesser) idle(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := g.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
