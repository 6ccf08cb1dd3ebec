package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"swab/internal/server"
)

// caller opens connections from one address of 127.0.0.0/8, which are all this
// machine's on Linux.
type caller struct {
	t  *testing.T
	to string
}

// open returns a connection with its TLS done, or nil where it was refused.
func (c caller) open(from string) *tls.Conn {
	c.t.Helper()
	dialer := &net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := tls.DialWithDialer(dialer, "tcp", c.to, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return nil
	}
	c.t.Cleanup(func() { conn.Close() })
	return conn
}

// await opens a connection as soon as there is room for it.
func (c caller) await(from string) *tls.Conn {
	c.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if conn := c.open(from); conn != nil {
			return conn
		}
	}
	c.t.Fatalf("no connection from %s after 10 s", from)
	return nil
}

// ask sends a request on an open connection and returns the answer's status and body.
func (c caller) ask(conn *tls.Conn, method, path, body string, header ...string) (int, string) {
	c.t.Helper()
	req, err := http.NewRequest(method, "https://"+c.to+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if err := req.Write(conn); err != nil {
		c.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// bearer is the header of a token that the first application gets.
func (c caller) bearer(conn *tls.Conn, b server.Bootstrap) string {
	c.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {b.ClientID}, "client_secret": {b.ClientSecret}, "scope": {b.APIBase + "/.default"}}
	code, text := c.ask(conn, "POST", "/"+b.TenantID+"/oauth2/v2.0/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	_, rest, _ := strings.Cut(text, `"access_token":"`)
	token, _, _ := strings.Cut(rest, `"`)
	if code != http.StatusOK || token == "" {
		c.t.Fatalf("token: %d %s", code, text)
	}
	return "Bearer " + token
}

// Threat C7, connections without a request.
func TestAStrangerTakesNotEveryConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	c := settings(t, t.TempDir(), "--connections", "8", "--connections-per-address", "3", "--metrics-listen", l.Addr().String(), "--proxy", "127.0.0.9/32")
	var log bytes.Buffer // read after the server has ended
	s, err := server.New(t.Context(), c, slog.New(slog.NewTextHandler(&log, nil)), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	us := caller{t, c.Listen}
	var all []*tls.Conn
	hold := func(from string, n int) (held []*tls.Conn) {
		t.Helper()
		for range n {
			conn := us.open(from)
			if conn == nil {
				t.Fatalf("connection from %s refused", from)
			}
			held, all = append(held, conn), append(all, conn)
		}
		return held
	}
	metric := func(want string) {
		t.Helper()
		resp, err := http.Get("http://" + l.Addr().String() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if text, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(text), "\n"+want+"\n") {
			t.Errorf("%v: metrics have no %q", err, want)
		}
	}

	held := hold("127.0.0.1", 3)
	if us.open("127.0.0.1") != nil {
		t.Error("a fourth connection of one address is taken")
	}
	metric(`swab_connections_refused_total{bound="address"} 1`)
	other := hold("127.0.0.2", 1)[0]
	if code, text := us.ask(other, "GET", "/readyz", ""); code != http.StatusOK {
		t.Errorf("another address is answered %d %s", code, text)
	}

	// A guess proves nothing; a token that holds does.
	for _, guess := range []string{"Bearer guess", ""} {
		if code, _ := us.ask(held[0], "GET", "/api/machines", "", "Authorization", guess); code != http.StatusUnauthorized {
			t.Errorf("a guess is answered %d", code)
		}
	}
	if us.open("127.0.0.1") != nil {
		t.Error("a guess made room")
	}
	bearer := us.bearer(held[0], s.Bootstrap())
	for range 2 { // the second time changes nothing
		if code, text := us.ask(held[0], "GET", "/api/machines", "", "Authorization", bearer); code != http.StatusOK {
			t.Fatalf("machines: %d %s", code, text)
		}
	}
	hold("127.0.0.1", 1)
	if us.open("127.0.0.1") != nil {
		t.Error("one known connection made room for two")
	}

	// What ends makes room.
	held[1].Close()
	all = append(all, us.await("127.0.0.1"))

	// Five are open. A proxy's address is not counted, but nobody passes the bound over all.
	hold("127.0.0.9", 3)
	for _, from := range []string{"127.0.0.9", "127.0.0.3"} {
		if us.open(from) != nil {
			t.Errorf("a connection of %s past the bound over all is taken", from)
		}
	}
	metric(`swab_connections_refused_total{bound="all"} 2`)
	metric("swab_connections 8")
	if code, _ := us.ask(other, "GET", "/readyz", ""); code != http.StatusOK {
		t.Errorf("an old connection is answered %d", code)
	}

	for _, conn := range all { // or the end waits for them
		conn.Close()
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
	if n := strings.Count(log.String(), "connections refused"); n < 1 || n > 2 { // 2 where the sweep came between
		t.Errorf("the log has %d lines of refused connections, want a sum of them:\n%s", n, log.String())
	}
	if !strings.Contains(log.String(), "in-all=2") || !strings.Contains(log.String(), "last=127.0.0.3/32") {
		t.Errorf("the sums are not in the log:\n%s", log.String())
	}
}

func TestAnswersOverHTTP2MakeTheirConnectionKnown(t *testing.T) {
	c := settings(t, t.TempDir(), "--connections-per-address", "1")
	s, _ := start(t, c)
	us := caller{t, c.Listen}
	first := us.open("127.0.0.1")
	bearer := us.bearer(first, s.Bootstrap())
	first.Close()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	ask := func() error {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+c.Listen+"/api/machines", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", bearer)
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
			t.Fatalf("%s %s, %v", resp.Proto, resp.Status, err)
		}
		return nil
	}
	err := fmt.Errorf("not asked")
	for end := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(end); { // until the server has seen the first one end
		err = ask()
	}
	if err != nil {
		t.Fatal(err)
	}
	if us.open("127.0.0.1") == nil {
		t.Error("a known connection keeps its address from having another")
	}
}
