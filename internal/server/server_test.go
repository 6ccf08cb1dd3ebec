package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/client"
	"swab/internal/audit"
	"swab/internal/command"
	"swab/internal/server"
)

// start runs a server until the test ends and returns its bootstrap file.
func start(t *testing.T, c server.Config) (s *server.Server, stop func() error) {
	t.Helper()
	return begin(t, c, slog.New(slog.DiscardHandler))
}

// begin is start with a log.
func begin(t *testing.T, c server.Config, log *slog.Logger) (s *server.Server, stop func() error) {
	t.Helper()
	s, err := server.New(t.Context(), c, log, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s, run(t, s)
}

// run runs a server until the test ends, or stop is called.
func run(t *testing.T, s *server.Server) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return stop
}

// settings are a server's with nothing but a directory and a free port.
func settings(t *testing.T, dir string, args ...string) server.Config {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r, err := command.Read(server.Command, append([]string{"--data", dir, "--listen", l.Addr().String()}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return *r.(*server.Config)
}

func get(t *testing.T, url, ca string) (int, string) {
	t.Helper()
	text, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestFirstStartLeavesWhatTheOperatorNeeds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s, _ := start(t, settings(t, dir))
	for name, mode := range map[string]os.FileMode{"bootstrap.json": 0o600, "recovery.key": 0o600, "master.key": 0o600, "swab.db": 0o600, "ca.pem": 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), mode)
		}
	}
	var b map[string]string
	text, err := os.ReadFile(filepath.Join(dir, "bootstrap.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"apiBase", "authority", "tenantId", "clientId", "clientSecret", "enrollmentToken", "caFile", "receiptKey", "logKey"} {
		if b[key] == "" {
			t.Errorf("bootstrap.json has no %s", key)
		}
	}
	if b["authority"] != b["apiBase"]+"/"+b["tenantId"] || b["apiBase"] != s.Bootstrap().APIBase {
		t.Errorf("authority %s, apiBase %s", b["authority"], b["apiBase"])
	}
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ok\n"} {
		if code, body := get(t, b["apiBase"]+path, b["caFile"]); code != 200 || body != want {
			t.Errorf("GET %s = %d, %q", path, code, body)
		}
	}
	if code, body := get(t, b["apiBase"]+"/docs/openapi.yaml", b["caFile"]); code != 200 || !strings.Contains(body, "\n  - url: "+b["apiBase"]+"\n") {
		t.Errorf("GET /docs/openapi.yaml = %d, %.200s", code, body)
	}
	if code, body := get(t, b["apiBase"]+"/api/machines", b["caFile"]); code != 401 || !strings.Contains(body, `"Unauthorized"`) {
		t.Errorf("GET /api/machines without a token = %d, %s", code, body)
	}
}

func TestSecondStartKeepsKeysAndSecrets(t *testing.T) {
	dir := t.TempDir()
	s, stop := start(t, settings(t, dir))
	first := s.Bootstrap()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	c := settings(t, dir)
	s, stop = start(t, c)
	second := s.Bootstrap()
	if second.APIBase != "https://"+c.Listen {
		t.Errorf("apiBase of the second start is %s, it listens at %s", second.APIBase, c.Listen)
	}
	first.APIBase, first.Authority = second.APIBase, second.Authority // another port
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the second start differs:\n%s", diff)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// What the operator put away does not come back.
	if err := os.Remove(filepath.Join(dir, "bootstrap.json")); err != nil {
		t.Fatal(err)
	}
	s, _ = start(t, settings(t, dir))
	if s.URL() == "" {
		t.Error("the server does not know its address without bootstrap.json")
	}
	if got := s.Bootstrap(); got.ClientSecret != "" {
		t.Error("the secret is known again after the file was put away")
	}
	if _, err := os.Stat(filepath.Join(dir, "bootstrap.json")); err == nil {
		t.Error("bootstrap.json is back")
	}
}

// A first start that ended before it was done is finished by the next one.
func TestInterruptedFirstStartIsFinished(t *testing.T) {
	dir := t.TempDir()
	s, stop := start(t, settings(t, dir))
	first := s.Bootstrap()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// As after a crash between the last write to the store and the rename.
	if err := os.Rename(filepath.Join(dir, "bootstrap.json"), filepath.Join(dir, "bootstrap.json.new")); err != nil {
		t.Fatal(err)
	}
	s, _ = start(t, settings(t, dir))
	if got := s.Bootstrap(); got.ClientSecret != first.ClientSecret || got.EnrollmentToken != first.EnrollmentToken {
		t.Error("the interrupted start's secrets are lost")
	}
}

// So is one that ended before the store knew anything.
func TestFirstStartInterruptedBeforeTheStoreIsFinished(t *testing.T) {
	dir := t.TempDir()
	draft := server.Bootstrap{
		TenantID: "6f1c2a54-9b0e-4b8e-9a55-0d2f6f3a7c11", ClientID: "0b0f64c4-2b44-4a4c-9f0e-5f3f4f8f5a10",
		ClientSecret: "the-secret", EnrollmentToken: "swab-enrol-the-token",
	}
	text, err := json.Marshal(draft)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bootstrap.json.new"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, settings(t, dir))
	b := s.Bootstrap()
	if b.TenantID != draft.TenantID || b.ClientID != draft.ClientID || b.ClientSecret != draft.ClientSecret || b.EnrollmentToken != draft.EnrollmentToken {
		t.Errorf("the draft's ids and secrets are lost: tenant %s, client %s", b.TenantID, b.ClientID)
	}
	if _, err := os.Stat(filepath.Join(dir, "bootstrap.json.new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the draft is still there: %v", err)
	}
}

// What the first start makes is in the log, before anybody asks for anything.
func TestFirstStartIsInTheLog(t *testing.T) {
	s, _ := start(t, settings(t, t.TempDir()))
	b := s.Bootstrap()
	c, err := client.New(client.Config{BaseURL: b.APIBase, Authority: b.Authority, ClientID: b.ClientID, ClientSecret: b.ClientSecret, CAFile: b.CAFile})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	page, err := c.Audit(t.Context(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	acts := map[audit.Act]int{}
	for _, e := range page.Entries {
		leaf, err := audit.ParseLeaf(e.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		acts[leaf.Act]++
	}
	want := map[audit.Act]int{audit.ActStart: 1, audit.ActKey: 8, audit.ActApp: 2, audit.ActCreateEnrollment: 1, audit.ActRead: 1}
	if diff := cmp.Diff(want, acts); diff != "" {
		t.Errorf("acts in the log (-want +got):\n%s", diff)
	}
}

func TestOneServerADataDirectory(t *testing.T) {
	c := settings(t, t.TempDir())
	s, _ := start(t, c)
	other := settings(t, c.Data)
	if _, err := server.New(t.Context(), other, slog.New(slog.DiscardHandler), time.Now); err == nil || !strings.Contains(err.Error(), "another server runs") {
		t.Errorf("New = %v, want an error that tells of the other server", err)
	}
	text, err := os.ReadFile(filepath.Join(c.Data, "bootstrap.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), s.Bootstrap().APIBase) {
		t.Errorf("a start that could not be has changed bootstrap.json: %s", text)
	}
}

// A stranger who holds a connection, by sending half of a request or by never
// reading, neither stops the server from ending nor makes the end an error.
func TestDrainDoesNotWaitForStrangers(t *testing.T) {
	c := settings(t, t.TempDir())
	_, stop := start(t, c)
	for _, half := range []string{
		"POST /enroll HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx",
		"POST /device/token HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx",
		strings.Repeat("GET /api/x HTTP/1.1\r\nHost: x\r\n\r\n", 2000),
	} {
		conn, err := tls.Dial("tcp", c.Listen, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, half); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	if err := stop(); err != nil {
		t.Errorf("Run = %v", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the server took %v to end, want at most 10 s", took)
	}
}

func TestBadSettingsAreSaidAllAtOnce(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"--listen", "0.0.0.0:8443"}, []string{"--listen 0.0.0.0:8443", "needs --url"}},
		{[]string{"--listen", ":8443"}, []string{"needs --url"}},
		{[]string{"--listen", "[::]:8443"}, []string{"needs --url"}},
		{[]string{"--listen", "nowhere"}, []string{"--listen nowhere"}},
		{[]string{"--url", "http://swab.example"}, []string{"https://"}},
		{[]string{"--url", "https://swab.example/api"}, []string{"https://swab.example/api"}},
		{[]string{"--certificate", "x.pem", "--package-limit", "1"}, []string{"--certificate-key", "--package-limit 1"}},
		{[]string{"--proxy", "10.0.0.1"}, []string{"10.0.0.1"}},
		{[]string{"--link-life", "0s"}, []string{"--link-life"}},
	} {
		_, err := command.Read(server.Command, append([]string{"--data", t.TempDir()}, tt.args...)...)
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %v, want a text with %q", tt.args, err, want)
			}
		}
	}
}

func TestMetricsAreOnTheirOwnAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	s, _ := start(t, settings(t, t.TempDir(), "--metrics-listen", address))
	get(t, s.Bootstrap().APIBase+"/api/machines", s.Bootstrap().CAFile)
	resp, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"swab_devices_connected 0", `swab_http_requests_total{method="GET",route="api/machines",status="401"} 1`, "go_goroutines"} {
		if !strings.Contains(string(body), want) {
			t.Errorf("metrics have no %q:\n%.2000s", want, body)
		}
	}
	if code, _ := get(t, s.Bootstrap().APIBase+"/metrics", s.Bootstrap().CAFile); code == 200 {
		t.Error("metrics are on the public address")
	}
}

// A certificate that is renewed is used without a restart, and one that does not
// load leaves the one before it in use.
//
// Threat P9: a file that does not load changes nothing.
func TestCertificateIsReloaded(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	stamp := time.Now().Add(-time.Hour)
	write := func(serial int64) {
		certificate(t, cert, key, serial)
		stamp = stamp.Add(time.Minute)
		for _, f := range []string{cert, key} {
			if err := os.Chtimes(f, stamp, stamp); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(1)
	c := settings(t, filepath.Join(dir, "data"), "--certificate", cert, "--certificate-key", key)
	s, _ := start(t, c)
	if ca := s.Bootstrap().CAFile; ca != "" {
		t.Errorf("bootstrap.json names %s for a certificate that it does not judge", ca)
	}
	serial := func() int64 {
		conn, err := tls.Dial("tcp", c.Listen, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	await := func(want int64) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
			if serial() == want {
				return
			}
		}
		t.Fatalf("certificate %d is not in use after 10 s; %d is", want, serial())
	}
	await(1)
	write(2)
	await(2)
	if err := os.WriteFile(cert, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 2 {
		t.Errorf("certificate %d is in use beside a broken file, want 2", got)
	}
	write(3)
	await(3)
}

func certificate(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTwoServersDoNotShareAnAddress(t *testing.T) {
	c := settings(t, t.TempDir())
	start(t, c)
	c.Data = t.TempDir()
	if _, err := server.New(t.Context(), c, slog.New(slog.DiscardHandler), time.Now); err == nil || !strings.Contains(err.Error(), "listen at "+c.Listen) {
		t.Errorf("New = %v, want an error that names the address", err)
	}
}
