package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"swab/internal/audit"
	"swab/internal/device"
	"swab/internal/dpop"
	"swab/internal/wire"
)

// pass is what a light device needs to open its channel.
type pass struct {
	Key   []byte // seed
	Token string
	Proof string
}

// passes enrols n devices in the store and gives each a token and a proof.
func (h *house) passes(t testing.TB, n int) []pass {
	t.Helper()
	out := make([]pass, n)
	nonce := h.g.nonces.make()
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < n; i += 16 {
				_, key, err := ed25519.GenerateKey(nil)
				if err != nil {
					panic(err)
				}
				pub := key.Public().(ed25519.PublicKey)
				id := device.IDOf(pub)
				_, err = h.store.Enrol(context.Background(), sha256.Sum256([]byte("token-"+tenantID)), device.Device{
					ID: id, Keys: []ed25519.PublicKey{pub}, Facts: device.Facts{Name: fmt.Sprintf("host-%d", i), System: "linux"},
				}, func(string) audit.Entry {
					return audit.NewEntry(h.now(), audit.Leaf{Act: audit.ActEnrol, Object: string(id), Result: audit.Done}, audit.Hidden{})
				})
				if err != nil {
					t.Error(err)
					return
				}
				token, err := h.tokens.IssueDevice(tenantID, id, dpop.Thumbprint(pub))
				if err != nil {
					t.Error(err)
					return
				}
				proof, err := dpop.Proof{
					ID: dpop.NewID(), Method: "GET", URL: h.URL + "/device/channel", Nonce: nonce, TokenHash: dpop.TokenHash(token),
				}.Sign(key)
				if err != nil {
					t.Error(err)
					return
				}
				out[i] = pass{key.Seed(), token, proof}
			}
		})
	}
	wg.Wait()
	return out
}

// lightly opens a channel without a goroutine on the device's side, says hello
// and hears the welcome.
func lightly(addr string, cfg *tls.Config, p pass) (net.Conn, error) {
	c, err := tls.Dial("tcp", addr, cfg)
	if err != nil {
		return nil, err
	}
	if err := greet(c, addr, p); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func greet(c net.Conn, addr string, p pass) error {
	d := ws.Dialer{Header: ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"DPoP " + p.Token}, "DPoP": {p.Proof}})}
	br, _, err := d.Upgrade(c, &url.URL{Scheme: "https", Host: addr, Path: "/device/channel"})
	if err != nil {
		return err
	}
	if br != nil {
		ws.PutReader(br)
	}
	hello, err := wire.EncodeDevice(wire.Hello{
		Versions: [2]int{1, 1}, Running: []wire.Running{}, Catalog: "sha256:" + strings.Repeat("0", 64),
		Facts: device.Facts{Name: "host.example.org", System: "linux", Addresses: []device.Address{{IP: "192.0.2.1", MAC: "001122334455", Type: "Ethernet", Up: true}}},
	})
	if err != nil {
		return err
	}
	if err := ws.WriteFrame(c, ws.MaskFrameInPlace(ws.NewTextFrame(hello))); err != nil {
		return err
	}
	h, err := ws.ReadHeader(c)
	for ; err == nil && h.OpCode == ws.OpPing; h, err = ws.ReadHeader(c) { // the wheel may come first
	}
	if err != nil {
		return err
	}
	body := make([]byte, h.Length)
	if _, err := io.ReadFull(c, body); err != nil {
		return err
	}
	if m, err := wire.DecodeServer(body); err != nil {
		return err
	} else if _, ok := m.(wire.Welcome); !ok {
		return fmt.Errorf("heard %+v, want welcome", m)
	}
	return nil
}

func (h *house) tlsConfig() *tls.Config {
	cfg := h.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	cfg.NextProtos = nil
	return cfg
}

// The design's measure: an idle device holds no goroutine, timer or buffer.
func TestIdleDevicesHoldNoGoroutine(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // elsewhere each has one, and this test has nothing to say
	}
	const devices = 500
	h := newHouse(t, withTimes(func(w *Times) { w.Leave = 50 * time.Millisecond }))
	passes := h.passes(t, devices)
	cfg := h.tlsConfig()
	warm, err := lightly(h.Listener.Addr().String(), cfg, passes[0])
	if err != nil {
		t.Fatal(err)
	}
	defer warm.Close()
	eventually(t, "the first is connected and idle", func() bool { return h.g.Stats().Received == 1 })
	before := runtime.NumGoroutine()
	for _, p := range passes[1:] {
		c, err := lightly(h.Listener.Addr().String(), cfg, p)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if n := h.g.Stats().Connections; n != devices {
		t.Fatalf("Connections = %d, want %d", n, devices)
	}
	eventually(t, "their goroutines have ended", func() bool { return runtime.NumGoroutine() <= before+3 })
	all := h.g.table.all()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := h.g.Shutdown(ctx); err != nil { // nobody reads from them any more
		t.Fatal(err)
	}
	for _, c := range all {
		if c.rest != nil || c.parts != nil || c.watched != nil {
			t.Errorf("device %s holds a buffer", c.device)
		}
	}
}

func TestGatewayWorksWithoutItsListener(t *testing.T) {
	h := newHouse(t)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h.g.Handler(), ReadHeaderTimeout: time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(tls.NewListener(plain, h.TLS)) }()
	defer func() { srv.Close(); <-served }()
	c, err := lightly(plain.Addr().String(), h.tlsConfig(), h.passes(t, 1)[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		if err := ws.WriteFrame(c, ws.MaskFrameInPlace(ws.NewPingFrame([]byte("x")))); err != nil {
			t.Fatal(err)
		}
		f, err := ws.ReadHeader(c)
		if err != nil || f.OpCode != ws.OpPong || f.Length != 1 {
			t.Fatalf("after ping: %+v, %v", f, err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := h.g.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// A TLS record may come in pieces, and several in one: neither may be lost when
// the connection is read without blocking.
func TestRecordsInPiecesAreRead(t *testing.T) {
	h := newHouse(t)
	tcp, err := net.Dial("tcp", h.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	drip := &dripping{Conn: tcp}
	cfg := h.tlsConfig()
	cfg.ServerName = "127.0.0.1"
	c := tls.Client(drip, cfg)
	defer c.Close()
	if err := greet(c, h.Listener.Addr().String(), h.passes(t, 1)[0]); err != nil {
		t.Fatal(err)
	}
	drip.set(7)
	for i := range 20 {
		body := bytes.Repeat([]byte{byte('a' + i)}, i*6)
		if err := ws.WriteFrame(c, ws.MaskFrameInPlace(ws.NewPingFrame(body))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		f, err := ws.ReadHeader(c)
		if err != nil || f.OpCode != ws.OpPong {
			t.Fatalf("pong %d: %+v, %v", i, f, err)
		}
		got := make([]byte, f.Length)
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, bytes.Repeat([]byte{byte('a' + i)}, i*6)) {
			t.Fatalf("pong %d: %q, %v", i, got, err)
		}
	}
}

// dripping writes in pieces of so many bytes, each its own packet.
type dripping struct {
	net.Conn
	mu   sync.Mutex
	size int
}

func (d *dripping) set(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.size = n
}

func (d *dripping) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.size == 0 {
		return d.Conn.Write(p)
	}
	n := 0
	for len(p) > 0 {
		m, err := d.Conn.Write(p[:min(d.size, len(p))])
		n += m
		if err != nil {
			return n, err
		}
		p = p[m:]
		runtime.Gosched()
	}
	return n, nil
}

// clientEnv makes this test binary a fleet of light devices instead: it names
// the server's address.
const clientEnv = "SWAB_TEST_FLEET"

// crowd opens a channel for each pass on stdin, says when all are there, and
// holds them until stdin ends.
func crowd(addr string) error {
	in := bufio.NewReader(os.Stdin)
	var cert []byte
	var passes []pass
	dec := json.NewDecoder(in)
	if err := errors.Join(dec.Decode(&cert), dec.Decode(&passes)); err != nil {
		return err
	}
	pool := x509.NewCertPool()
	c, err := x509.ParseCertificate(cert)
	if err != nil {
		return err
	}
	pool.AddCert(c)
	cfg := &tls.Config{RootCAs: pool, ServerName: "example.com"}
	conns := make([]net.Conn, len(passes))
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < len(passes); i += 8 {
				c, err := lightly(addr, cfg, passes[i])
				mu.Lock()
				conns[i], failed = c, errors.Join(failed, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if failed != nil {
		return failed
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, dec.Buffered())
	_, _ = io.Copy(io.Discard, in)
	runtime.KeepAlive(conns)
	return err
}

// BenchmarkIdleDevice measures what an idle device costs the server: heap, stack
// and resident memory. The devices are in a process of their own. SWAB_DEVICES
// says how many, 1,000 else.
func BenchmarkIdleDevice(b *testing.B) {
	n := 1000
	if s := os.Getenv("SWAB_DEVICES"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	for b.Loop() {
		h := newHouse(b)
		passes := h.passes(b, n)
		exe, err := os.Executable()
		if err != nil {
			b.Fatal(err)
		}
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), clientEnv+"="+h.Listener.Addr().String())
		in, err := cmd.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		cmd.Stderr = os.Stderr
		before := measure()
		goroutines := runtime.NumGoroutine()
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		enc := json.NewEncoder(in)
		if err := errors.Join(enc.Encode(h.Certificate().Raw), enc.Encode(passes)); err != nil {
			b.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
			b.Fatalf("fleet: %q, %v", line, err)
		}
		eventually(b, "idle", func() bool { return h.g.Stats().Received >= int64(n) && runtime.NumGoroutine() <= goroutines+4 })
		after := measure()
		b.ReportMetric(float64(after.heap-before.heap)/float64(n), "heapB/device")
		b.ReportMetric(float64(after.stack-before.stack)/float64(n), "stackB/device")
		b.ReportMetric(float64(after.resident-before.resident)/float64(n), "residentB/device")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines), "goroutines")
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			b.Fatal(err)
		}
	}
}

type memory struct{ heap, stack, resident int64 }

func measure() memory {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	got := memory{heap: int64(m.HeapAlloc), stack: int64(m.StackInuse)}
	if b, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
				got.resident = kb << 10
			}
		}
	}
	return got
}
