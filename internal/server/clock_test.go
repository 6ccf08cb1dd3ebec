package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"swab/client"
	"swab/internal/agent"
	"swab/internal/auth"
	"swab/internal/command"
	"swab/internal/keys"
	"swab/internal/server"
)

// turned is a clock that a test turns forth and back.
type turned struct{ by atomic.Int64 }

func (c *turned) now() time.Time        { return time.Now().Add(time.Duration(c.by.Load())) }
func (c *turned) turn(by time.Duration) { c.by.Add(int64(by)) }

// serve runs a server by the clock.
func (c *turned) serve(t *testing.T, s server.Config) *server.Server {
	t.Helper()
	made, err := server.New(t.Context(), s, slog.New(slog.DiscardHandler), c.now)
	if err != nil {
		t.Fatal(err)
	}
	run(t, made)
	return made
}

// collector runs this machine's agent, whose clock is right, until the test ends.
func collector(t *testing.T, b server.Bootstrap) {
	t.Helper()
	r, err := command.Read(agent.Command, "run", "--server", b.APIBase, "--ca", b.CAFile, "--state", filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	r.(*agent.RunSettings).Token = command.Secret(b.EnrollmentToken)
	env := command.System()
	env.Stdout, env.Stderr = io.Discard, io.Discard
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, env) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("agent: %v", err)
		}
	})
}

// enrolled waits for the first device and returns its id.
func enrolled(t *testing.T, c *client.Client) string {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-tick.C {
		if all, err := c.Machines(t.Context(), client.Page{}); err != nil {
			t.Fatal(err)
		} else if len(all) > 0 {
			return all[0].ID
		}
	}
	t.Fatal("no device after 30 s")
	return ""
}

// Threat P7: the server's clock jumps an hour forth, back, and back again.
// Tokens of another hour are refused and had anew, by callers and devices alike;
// what waits goes on waiting, and what is asked for is done.
func TestJumpsOfTheClockEndNothing(t *testing.T) {
	var clock turned
	s := clock.serve(t, settings(t, t.TempDir()))
	b := s.Bootstrap()
	collector(t, b)
	c := dial(t, b)
	device := enrolled(t, c)
	us := caller{t, strings.TrimPrefix(b.APIBase, "https://")}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const jump = time.Hour + 2*auth.Skew // or what is left of a token by the clocks' being apart would do
	for _, by := range []time.Duration{0, jump, -jump, -jump, jump} {
		conn := us.open("127.0.0.1")
		bearer := us.bearer(conn, b)
		waits, err := c.Collect(ctx, device, client.CollectRequest{Comment: "asked before"})
		if err != nil {
			t.Fatal(err)
		}
		clock.turn(by)
		want := http.StatusUnauthorized
		if by == 0 {
			want = http.StatusOK
		}
		if code, text := us.ask(conn, "GET", "/api/machines", "", "Authorization", bearer); code != want {
			t.Errorf("a token of before the clock went %v is answered %d %s, want %d", by, code, text, want)
		}
		conn.Close()
		if a, err := c.Wait(ctx, waits.ID); err != nil || a.Status != client.Succeeded {
			t.Errorf("an action of before the clock went %v is %s %s, %v", by, a.Status, a.Trouble, err)
		}
		if a, err := c.Collect(ctx, device, client.CollectRequest{Comment: "asked after"}); err != nil {
			t.Errorf("after the clock went %v: %v", by, err)
		} else if a, err = c.Wait(ctx, a.ID); err != nil || a.Status != client.Succeeded {
			t.Errorf("an action of after the clock went %v is %s %s, %v", by, a.Status, a.Trouble, err)
		}
	}
}

// Threat P9: what is older than TLS 1.2 is refused.
func TestOldTLSIsRefused(t *testing.T) {
	c := settings(t, t.TempDir())
	start(t, c)
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		conn, err := tls.Dial("tcp", c.Listen, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		if err == nil {
			conn.Close()
		}
		if (err == nil) != (version >= tls.VersionTLS12) {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

// Threat P9: certificates take each other's place while connections are made
// and used, and none of either is dropped.
func TestCertificateIsReplacedUnderLoad(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certificate(t, cert, key, 1)
	var clock turned // a handshake looks for another certificate once a second
	c := settings(t, filepath.Join(dir, "data"), "--certificate", cert, "--certificate-key", key)
	clock.serve(t, c)

	var all sync.WaitGroup
	var asked, failed atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	load := func(kept bool) {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: !kept}
		defer transport.CloseIdleConnections()
		for ctx.Err() == nil {
			resp, err := (&http.Client{Transport: transport}).Get("https://" + c.Listen + "/healthz")
			if err != nil {
				failed.Add(1)
				t.Errorf("kept %t: %v", kept, err)
				return
			}
			_, err = io.Copy(io.Discard, resp.Body)
			if err = errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("kept %t: %s, %v", kept, resp.Status, err)
				return
			}
			asked.Add(1)
		}
	}
	for i := range 4 {
		all.Go(func() { load(i%2 == 0) })
	}
	conn, err := tls.Dial("tcp", c.Listen, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	serial := func() int64 {
		conn, err := tls.Dial("tcp", c.Listen, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	stamp := time.Now().Add(-time.Hour)
	for n := int64(2); n <= 20; n++ {
		certificate(t, cert, key, n)
		stamp = stamp.Add(time.Minute)
		for _, f := range []string{cert, key} {
			if err := os.Chtimes(f, stamp, stamp); err != nil {
				t.Fatal(err)
			}
		}
		// One that was looked for between the two files did not load.
		for end := time.Now().Add(10 * time.Second); serial() != n; {
			if time.Now().After(end) {
				t.Fatalf("certificate %d is not in use after 10 s", n)
			}
			clock.turn(2 * time.Second)
		}
	}
	stop()
	all.Wait()
	if code, text := (caller{t, c.Listen}).ask(conn, "GET", "/healthz", ""); code != http.StatusOK {
		t.Errorf("a connection of before the first is answered %d %s", code, text)
	}
	if asked.Load() < 20 {
		t.Errorf("only %d requests were answered: nothing was tested", asked.Load())
	}
}

// Threat P9: the server's own certificate is another one before it expires.
func TestOwnCertificateNeverExpires(t *testing.T) {
	var clock turned
	c := settings(t, t.TempDir())
	clock.serve(t, c)
	for range 5 {
		conn, err := tls.Dial("tcp", c.Listen, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		if left := conn.ConnectionState().PeerCertificates[0].NotAfter.Sub(clock.now()); left < keys.ServerLife/3-time.Minute {
			t.Errorf("a connection is given a certificate that has %v left", left)
		}
		conn.Close()
		clock.turn(keys.ServerLife/3 + time.Hour)
	}
}
