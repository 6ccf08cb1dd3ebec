package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"swab/client"
	"swab/internal/api"
	"swab/internal/server"
)

// neighbour is a caller who does what it always does, beside somebody else.
type neighbour struct {
	t *testing.T
	c *client.Client
}

// median is how long one call of n takes; none may be refused.
func (u neighbour) median(n int) time.Duration {
	u.t.Helper()
	took := make([]time.Duration, n)
	for i := range took {
		begun := time.Now()
		if _, err := u.c.Machines(u.t.Context(), client.Page{}); err != nil {
			u.t.Errorf("the neighbour's call %d: %v", i, err)
		}
		took[i] = time.Since(begun)
	}
	slices.Sort(took)
	return took[n/2]
}

// slower is how much longer the neighbour's calls may take while somebody does
// his worst on the same two cores, which he has to share with his victim here.
const slower = 20

// beside runs attack over and over for as long as the neighbour makes his calls.
func (u neighbour) beside(attack func(ctx context.Context)) {
	u.t.Helper()
	quiet := u.median(200)
	ctx, stop := context.WithCancel(u.t.Context())
	var all sync.WaitGroup
	var rounds atomic.Int64
	begun := make(chan struct{})
	all.Go(func() {
		close(begun)
		for ctx.Err() == nil {
			attack(ctx)
			rounds.Add(1)
		}
	})
	<-begun
	loud := u.median(200)
	stop()
	all.Wait()
	u.t.Logf("the neighbour's call took %v, and %v beside %d rounds", quiet, loud, rounds.Load())
	if loud > slower*quiet {
		u.t.Errorf("the neighbour's call took %v, and %v before: more than %d times as long", loud, quiet, slower)
	}
}

// neighbourOf is the first application.
func neighbourOf(t *testing.T, s *server.Server) neighbour {
	t.Helper()
	return neighbour{t, dial(t, s.Bootstrap())}
}

// dial is a client of b's application.
func dial(t *testing.T, b server.Bootstrap) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{BaseURL: b.APIBase, Authority: b.Authority, ClientID: b.ClientID, ClientSecret: b.ClientSecret, CAFile: b.CAFile})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// answers sends text on a connection of its own and returns the status of each
// answer until the server closes it, or asks for more for a second.
func answers(t *testing.T, us caller, text string) (statuses []int, closed bool) {
	t.Helper()
	conn := us.open("127.0.0.1")
	if conn == nil {
		t.Fatal("no connection")
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return statuses, !isTimeout(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		statuses = append(statuses, resp.StatusCode)
	}
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && e.Timeout()
}

// Threat C7, shapes of requests of which two readers may see different ends. Each
// is refused, or its connection closed after it: what follows is nobody's request.
func TestRequestsOfTwoReadingsAreRefused(t *testing.T) {
	c := settings(t, t.TempDir())
	start(t, c)
	us := caller{t, c.Listen}
	const hidden = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, head := range map[string]string{
		"two lengths":             "Content-Length: 4\r\nContent-Length: 40\r\n",
		"lengths in one":          "Content-Length: 4, 40\r\n",
		"a signed length":         "Content-Length: +4\r\n",
		"a hexadecimal length":    "Content-Length: 0x4\r\n",
		"chunks twice":            "Transfer-Encoding: chunked, chunked\r\n",
		"chunks in two fields":    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"chunks and what is none": "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
		"no chunks":               "Transfer-Encoding: xchunked\r\n",
		"a space in the name":     "Transfer-Encoding : chunked\r\n",
		"a tab in the value":      "Transfer-Encoding: \vchunked\r\n",
		"a NUL":                   "X: a\x00b\r\n",
		"no name":                 ": x\r\n",
		"a line end of one sort":  "X: a\rTransfer-Encoding: chunked\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			us := us
			us.t = t
			got, closed := answers(t, us, "POST /healthz HTTP/1.1\r\nHost: x\r\n"+head+"\r\n0\r\n\r\n"+hidden)
			if len(got) != 1 || got[0] < 400 || !closed {
				t.Errorf("answers %v, closed %t; want one refusal, and the end", got, closed)
			}
		})
	}
	// Of these Go's reader takes the chunks, and does not tell of the length.
	const chunked = "Transfer-Encoding: chunked\r\n"
	for name, text := range map[string]string{
		"a length and chunks":         "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n" + chunked + "\r\n0\r\n\r\n" + hidden,
		"chunks and a length":         "POST /healthz HTTP/1.1\r\nHost: x\r\n" + chunked + "Content-Length: 4\r\n\r\n0\r\n\r\n" + hidden,
		"two hosts":                   "GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + hidden,
		"no host":                     "GET /healthz HTTP/1.1\r\n\r\n" + hidden,
		"a chunk's size of two sorts": "POST /healthz HTTP/1.1\r\nHost: x\r\n" + chunked + "\r\n0;\n\r\n\r\n" + hidden,
	} {
		t.Run(name, func(t *testing.T) {
			us := us
			us.t = t
			if got, closed := answers(t, us, text); len(got) > 1 || !closed {
				t.Errorf("answers %v, closed %t; want at most one, and the end", got, closed)
			}
		})
	}
}

// Threat C7, headers without end, in both versions of HTTP: they are refused when
// they pass the bound, and nobody else waits for that.
func TestFloodOfHeadersIsCut(t *testing.T) {
	c := settings(t, t.TempDir(), "--limits", "off")
	s, _ := start(t, c)
	us := caller{t, c.Listen}
	line := "X-Filler: " + strings.Repeat("x", 1000) + "\r\n"
	neighbourOf(t, s).beside(func(context.Context) {
		conn := us.open("127.0.0.1")
		if conn == nil {
			t.Error("no connection")
			return
		}
		defer conn.Close()
		sent := 0
		_, err := io.WriteString(conn, "GET /api/machines HTTP/1.1\r\nHost: x\r\n")
		for ; err == nil && sent < 16<<20; sent += len(line) {
			_, err = io.WriteString(conn, line)
		}
		if err == nil {
			t.Errorf("%d bytes of headers were taken", sent)
		}
	})
	got, closed := answers(t, us, "GET /api/machines HTTP/1.1\r\nHost: x\r\n"+strings.Repeat(line, 270)+"\r\n")
	if !slices.Equal(got, []int{http.StatusRequestHeaderFieldsTooLarge}) || !closed {
		t.Errorf("answers %v, closed %t; want 431 and the end", got, closed)
	}

	conn, framer := frames(t, c.Listen)
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "x"}, {":path", "/healthz"}} {
		_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes()}) // and they go on
	sent := 0
	for ; err == nil && sent < 64<<20; sent += block.Len() {
		block.Reset()
		_ = enc.WriteField(hpack.HeaderField{Name: "x-filler", Value: strings.Repeat("x", 1000), Sensitive: true})
		err = framer.WriteContinuation(1, false, block.Bytes())
	}
	if err == nil {
		t.Errorf("%d bytes of headers of HTTP/2 were taken", sent)
	}
	conn.Close()
}

// frames is a connection of HTTP/2 whose server has said hello, and whose answers
// are read and forgotten.
func frames(t *testing.T, address string) (net *tls.Conn, framer *http2.Framer) {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer = http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }() // ends with the connection
	return conn, framer
}

// Threat C7, the rapid reset of HTTP/2: requests that are taken back as soon as
// they are made, which no limit of streams counts.
func TestRapidResetLeavesOthersAlone(t *testing.T) {
	c := settings(t, t.TempDir(), "--limits", "off")
	s, _ := start(t, c)
	bearer := caller{t, c.Listen}
	conn := bearer.open("127.0.0.1")
	token := bearer.bearer(conn, s.Bootstrap())
	conn.Close()
	neighbourOf(t, s).beside(func(ctx context.Context) {
		conn, framer := frames(t, c.Listen)
		defer conn.Close()
		var block bytes.Buffer
		enc := hpack.NewEncoder(&block)
		for id := uint32(1); id < 20_000 && ctx.Err() == nil; id += 2 {
			block.Reset()
			for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", c.Listen}, {":path", "/api/machines"}, {"authorization", token}} {
				_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
			}
			err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
			if err == nil {
				err = framer.WriteRSTStream(id, http2.ErrCodeCancel)
			}
			if err != nil {
				return // the server has had enough
			}
		}
	})
}

// Threat C7, slow-loris: connections whose request never comes to its end are
// closed, however many bytes of it they still bring, and nobody waits for them.
func TestRequestsThatTrickleInAreCut(t *testing.T) {
	c := settings(t, t.TempDir(), "--limits", "off", "--connections", "200")
	s, _ := start(t, c)
	us := caller{t, c.Listen}
	u := neighbourOf(t, s)
	quiet := u.median(50)
	var all sync.WaitGroup
	begun := time.Now()
	for range 90 { // of one address there may be 100
		conn := us.open("127.0.0.1")
		if conn == nil {
			t.Fatal("no connection")
		}
		all.Go(func() {
			tick := time.NewTicker(200 * time.Millisecond)
			defer tick.Stop()
			_, err := io.WriteString(conn, "GET /api/machines HTTP/1.1\r\nHost: x\r\n")
			for err == nil {
				<-tick.C
				_, err = io.WriteString(conn, "X: y\r\n")
			}
		})
	}
	if loud := u.median(200); loud > slower*quiet {
		t.Errorf("the neighbour's call took %v, and %v before: more than %d times as long", loud, quiet, slower)
	}
	cut := make(chan struct{})
	go func() { all.Wait(); close(cut) }()
	select {
	case <-cut:
		t.Logf("all were closed after %v", time.Since(begun))
	case <-time.After(20 * time.Second):
		t.Error("after 20 s some are still open")
	}
}

// Threat C7, ten thousand collects in a burst: the one caller is told to the
// second when to come again, and another's calls are as they were.
func TestBurstOfCollectsIsTheOneCallersAlone(t *testing.T) {
	c := settings(t, t.TempDir())
	s, _ := start(t, c)
	us := caller{t, c.Listen}
	conn := us.open("127.0.0.1")
	bearer := us.bearer(conn, s.Bootstrap())
	conn.Close()
	most := api.Limits()["collectInvestigationPackage"].Minute

	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	var taken, refused, wrong atomic.Int64
	begun := time.Now()
	collect := func() {
		req, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+c.Listen+"/api/machines/nosuch/collectInvestigationPackage", strings.NewReader(`{"Comment":"x"}`))
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Authorization", bearer)
		req.Header.Set("Content-Type", "application/json")
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Errorf("collect: %v", err)
			return
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		switch resp.StatusCode {
		case http.StatusNotFound:
			taken.Add(1)
		case http.StatusTooManyRequests:
			refused.Add(1)
			// The first call's minute ends then, and no later than a minute after this.
			if after, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || after < 1 || after > 60 || time.Duration(after)*time.Second < time.Minute-time.Since(begun) {
				wrong.Add(1)
			}
		default:
			t.Errorf("collect: %s", resp.Status)
		}
	}
	other, err := neighbourOf(t, s).c.CreateApp(t.Context(), client.AppRequest{Name: "other", Roles: []string{"Machine.Read.All"}, Secret: &client.SecretRequest{}})
	if err != nil {
		t.Fatal(err)
	}
	b := s.Bootstrap()
	b.ClientID, b.ClientSecret = other.ID, other.ClientSecret
	u := neighbour{t, dial(t, b)}
	quiet := u.median(40) // of 100 that it may make
	var all sync.WaitGroup
	left := atomic.Int64{}
	left.Store(10_000)
	for range 50 {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				collect()
			}
		})
	}
	loud := u.median(40)
	all.Wait()
	if taken.Load() != int64(most) || refused.Load() != 10_000-int64(most) || wrong.Load() != 0 {
		t.Errorf("%d taken, %d refused, %d with a wrong Retry-After; want %d, %d and 0", taken.Load(), refused.Load(), wrong.Load(), most, 10_000-most)
	}
	t.Logf("another's call took %v, and %v beside the burst", quiet, loud)
	if loud > slower*quiet {
		t.Errorf("another's call took %v, and %v before: more than %d times as long", loud, quiet, slower)
	}
}
