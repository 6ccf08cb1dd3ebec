package clients

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"swab/client"
	"swab/test/installation"
)

// site is what one client is told, and all of it.
type site struct {
	API, Authority, Tenant, CA       string
	ClientID, Secret                 string
	Certificate, EllipticCertificate string // PEM files, a certificate and its key
	Name, Device, Away               string // the devices' name; one that is there; one that is off
	Proxy                            string // of HTTPS; "" for none
}

// house is a server with two devices: one that is there, and one that is
// enrolled and off, so that what is asked of it stays pending.
type house struct {
	*installation.Installation
	admin        *client.Client
	metrics      string // address
	device, away client.Machine
}

func install(t *testing.T, flags ...string) *house {
	t.Helper()
	in, err := installation.New(programs, t.TempDir())
	must(t, err)
	metrics := freeAddress(t)
	in.Flags = append([]string{"--url", "https://" + in.Listen, "--metrics-listen", metrics}, flags...)
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, f := range []string{"server.log", "agent-there.log"} {
				if text, err := os.ReadFile(filepath.Join(in.Dir, f)); err == nil {
					t.Logf("%s, its end:\n%s", f, text[max(0, len(text)-4000):])
				}
			}
		}
	})
	h := &house{Installation: in, metrics: metrics}
	must(t, in.StartServer(within(t, time.Minute)))
	h.admin, err = in.Client()
	must(t, err)
	t.Cleanup(h.admin.Close)

	must(t, in.StartAgent("away"))
	off, err := in.AwaitDevices(within(t, time.Minute), 1)
	must(t, err)
	must(t, in.Agents["away"].Kill())
	must(t, in.StartAgent("there"))
	both, err := in.AwaitDevices(within(t, time.Minute), 2)
	must(t, err)
	on := slices.DeleteFunc(both, func(id string) bool { return id == off[0] })
	h.device, err = h.admin.Machine(t.Context(), on[0])
	must(t, err)
	h.away, err = h.admin.Machine(t.Context(), off[0])
	must(t, err)
	return h
}

// freeAddress is an address at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	return l.Addr().String()
}

// admit makes an application with a secret and two certificates, so that each
// client has its own limits.
func (h *house) admit(t *testing.T, name string) site {
	t.Helper()
	cred, err := h.Credentials()
	must(t, err)
	app, err := h.admin.CreateApp(t.Context(), client.AppRequest{
		Name: name, Roles: []string{"Machine.Read.All", "Machine.CollectForensics"}, Secret: &client.SecretRequest{},
	})
	must(t, err)
	s := site{
		API: cred.APIBase, Authority: cred.Authority, Tenant: cred.TenantID, CA: cred.CAFile, ClientID: app.ID, Secret: app.ClientSecret,
		Name: h.device.Name, Device: h.device.ID, Away: h.away.ID,
		Certificate: filepath.Join(t.TempDir(), "rsa.pem"), EllipticCertificate: filepath.Join(t.TempDir(), "p256.pem"),
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	for file, key := range map[string]crypto.Signer{s.Certificate: rsaKey, s.EllipticCertificate: ecKey} {
		_, err := h.admin.AddCertificate(t.Context(), app.ID, filepath.Base(file), certify(t, file, key), time.Time{})
		must(t, err)
	}
	return s
}

// certify makes a certificate as operators do, signed by its own key, and writes
// both to a file.
func certify(t *testing.T, file string, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	text := append(
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	must(t, os.WriteFile(file, text, 0o600))
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert
}

// step is one line of what a client did: its name, and what was seen.
type step struct{ name, seen string }

// check compares what a client says that it did with what the server knows.
func (h *house) check(t *testing.T, s site, got []step, want []string) {
	t.Helper()
	seen := map[string]string{}
	var names []string
	for _, g := range got {
		names = append(names, g.name)
		seen[g.name] = g.seen
	}
	if !slices.Equal(names, want) {
		t.Errorf("steps: %v\nwant   %v", names, want)
	}
	for name, want := range map[string]string{
		"token": "Bearer", "list": "found", "machine": "Onboarded", "poll": "Succeeded", "link": s.API, "second": "ActiveRequestAlreadyExists",
		"reuse": "true", "body-untyped": "Cancelled", "body-text": "BadRequest", "body-of-get": s.Device,
	} {
		if g, did := seen[name]; did && g != want {
			t.Errorf("%s: %q, want %q", name, g, want)
		}
	}
	for step, want := range map[string]string{"collect": client.Succeeded, "cancel": client.Cancelled} {
		a, err := h.admin.Action(t.Context(), seen[step])
		if err != nil || a.Status != want {
			t.Errorf("%s: the server has %+v, %v; want it %s", step, a, err, want)
		}
	}
	if !slices.Contains(h.sealed(t), seen["download"]) {
		t.Errorf("no package on the server has the SHA-256 %q that was downloaded", seen["download"])
	}
}

// discoveries is how many requests for instance discovery the server has answered.
func (h *house) discoveries(t *testing.T) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+h.metrics+"/metrics", nil)
	must(t, err)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	sum := 0
	for _, m := range answered.FindAllSubmatch(text, -1) {
		n, err := strconv.Atoi(string(m[1]))
		must(t, err)
		sum += n
	}
	return sum
}

var answered = regexp.MustCompile(`(?m)^swab_http_requests_total\{[^}]*route="discovery/instance",status="200"\} (\d+)$`)

// sealed are the SHA-256 of the packages in the server's data directory.
func (h *house) sealed(t *testing.T) (sums []string) {
	t.Helper()
	must(t, filepath.WalkDir(filepath.Join(h.Data, "packages"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		sum := sha256.Sum256(data)
		sums = append(sums, hex.EncodeToString(sum[:]))
		return err
	}))
	return sums
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
