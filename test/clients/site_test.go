package clients

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
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
	script, err := filepath.Abs("admit.sh")
	must(t, err)
	dir := t.TempDir()
	cmd := exec.CommandContext(within(t, time.Minute), "bash", script, name)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"PATH="+filepath.Dir(h.Programs.Server)+":"+os.Getenv("PATH"), "SWAB_CREDENTIALS="+filepath.Join(h.Data, "bootstrap.json"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("admit.sh: %v\n%s", err, out)
	}
	app, err := os.ReadFile(filepath.Join(dir, "app.txt"))
	must(t, err)
	made := applications.FindSubmatch(app)
	if made == nil {
		t.Fatalf("the application that was made: %s", app)
	}
	return site{
		API: cred.APIBase, Authority: cred.Authority, Tenant: cred.TenantID, CA: cred.CAFile, ClientID: string(made[1]), Secret: string(made[2]),
		Name: h.device.Name, Device: h.device.ID, Away: h.away.ID,
		Certificate: filepath.Join(dir, "client.pem"), EllipticCertificate: filepath.Join(dir, "p256.pem"),
	}
}

var applications = regexp.MustCompile(`(?m)^client id +(\S+)\nclient secret +(\S+)$`)

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
		"reuse": "true", wrong: "told", "body-untyped": "Cancelled", "body-text": "BadRequest", "body-of-get": s.Device,
	} {
		if g, did := seen[name]; did && g != want {
			t.Errorf("%s: %q, want %q", name, g, want)
		}
	}
	if !slices.Contains(want, "collect") {
		return
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
