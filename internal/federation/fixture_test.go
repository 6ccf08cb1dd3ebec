package federation

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"swab/internal/auth"
)

// foreign is a small issuer: its documents, over TLS on loopback.
type foreign struct {
	*httptest.Server
	ca string // file

	mu        sync.Mutex
	keys      []jose.JSONWebKey
	discovery http.HandlerFunc // nil: the usual
	jwks      http.HandlerFunc // nil: the usual

	discovered, fetched atomic.Int64
}

func newForeign(t *testing.T) *foreign {
	t.Helper()
	f := &foreign{}
	f.keys = []jose.JSONWebKey{f.key(t, "first")}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /realms/x/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		f.discovered.Add(1)
		if h := f.handler(&f.discovery); h != nil {
			h(w, r)
			return
		}
		f.document(w, "https://"+r.Host+"/realms/x", "https://"+r.Host+"/keys")
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		f.fetched.Add(1)
		if h := f.handler(&f.jwks); h != nil {
			h(w, r)
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.reply(w, jose.JSONWebKeySet{Keys: f.keys})
	})
	f.Server = httptest.NewUnstartedServer(mux)
	f.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	f.StartTLS()
	t.Cleanup(f.Close)
	f.ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(f.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *foreign) handler(h *http.HandlerFunc) http.HandlerFunc {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *h
}

// set changes what the issuer answers.
func (f *foreign) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *foreign) key(t *testing.T, kid string) jose.JSONWebKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: &private.PublicKey, KeyID: kid, Algorithm: "ES256", Use: "sig"}
}

func (f *foreign) document(w http.ResponseWriter, issuer, keys string) {
	f.reply(w, map[string]string{"issuer": issuer, "jwks_uri": keys})
}

func (f *foreign) reply(w http.ResponseWriter, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(text)
}

// record is the issuer's, which opens loopback.
func (f *foreign) record() auth.TrustedIssuer {
	return auth.TrustedIssuer{Tenant: "tenant", ID: "issuer", URL: f.URL + "/realms/x", Networks: []string{"127.0.0.0/8"}}
}

// port is the server's, below another name.
func (f *foreign) at(host string) string {
	u, err := url.Parse(f.URL)
	if err != nil {
		panic(err)
	}
	return "https://" + host + ":" + u.Port()
}

// clock is a time that a test turns.
type clock struct{ ticks atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ticks.Store(time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time        { return time.Unix(0, c.ticks.Load()).UTC() }
func (c *clock) add(age time.Duration) { c.ticks.Add(int64(age)) }

// log is what was logged.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func newKeys(t *testing.T, f *foreign, c *clock) (*Keys, *log) {
	t.Helper()
	said := &log{}
	k, err := New(Config{
		Issuers:     func(context.Context) ([]auth.TrustedIssuer, error) { return []auth.TrustedIssuer{f.record()}, nil },
		Authorities: f.ca, Now: c.now, Logger: slog.New(slog.NewTextHandler(said, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return k, said
}

// same fails unless the key is that of the set.
func same(t *testing.T, got crypto.PublicKey, want jose.JSONWebKey) {
	t.Helper()
	if public, ok := got.(*ecdsa.PublicKey); !ok || !public.Equal(want.Key) {
		t.Errorf("got another key than that of %q", want.KeyID)
	}
}

// names is a resolver whose answers are what answer says of the nth question for
// an IPv4 address.
func names(t *testing.T, answer func(n int) netip.Addr) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n, buf := 0, make([]byte, 1500); ; {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			q := buf[:size]
			end := 12 // of the question, which begins here (RFC 1035, section 4.1)
			for q[end] != 0 {
				end += int(q[end]) + 1
			}
			end += 5
			reply := append([]byte{}, q[:end]...)
			copy(reply[2:12], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
			if q[end-3] == 1 { // A
				ip := answer(n).As4()
				n++
				reply[7] = 1
				reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
				reply = append(reply, ip[:]...)
			}
			if _, err := conn.WriteTo(reply, from); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
}

func answer(format string, args ...any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, format, args...) }
}
