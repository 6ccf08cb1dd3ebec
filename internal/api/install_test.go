package api

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	described "swab/api"
	"swab/api/contract"
	"swab/internal/access"
	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/bus"
	"swab/internal/catalog"
	"swab/internal/credential"
	"swab/internal/device"
	"swab/internal/fleet"
	"swab/internal/issuer"
	"swab/internal/keys"
	"swab/internal/origin"
	"swab/internal/retention"
	"swab/internal/signin"
	"swab/internal/store"
	"swab/internal/store/storetest"
	"swab/internal/vault"
	"swab/internal/wire"
)

const (
	tenantID = "d2a1f3c4-55b6-4e7d-8f90-a1b2c3d4e5f6"
	region   = "https://eu.swab.example" // the second base URL
	secret   = "Zm9v-YmFy_secret.1"
	pageSize = 10 // rows of a page
)

// The applications of the tests, each with its client id.
const (
	full      = "7f0e6d5c-1a2b-4c3d-8e9f-000000000001" // every permission
	collector = "7f0e6d5c-1a2b-4c3d-8e9f-000000000002" // collects, reads nothing
	reader    = "7f0e6d5c-1a2b-4c3d-8e9f-000000000003" // reads, collects nothing
	nobody    = "7f0e6d5c-1a2b-4c3d-8e9f-000000000004" // no permission at all
)

// clock is a clock that a test can move.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// journal keeps what is logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// installation is the API and the issuer behind real TLS, over the real engine,
// store and vault, with two devices of one name prefix.
type installation struct {
	*httptest.Server
	*clock
	log     *journal
	api     *API
	tally   *auth.Tally
	store   *store.Store
	vault   *vault.Vault
	engine  *action.Engine
	keeper  *retention.Keeper
	tokens  *auth.Tokens
	ring    *keys.Ring
	device  device.Device
	token   map[string]string // by client id
	parties int               // tenants that were furnished

	contract *contract.Contract // which every answer is held against
}

func install(t testing.TB) *installation {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	in := &installation{clock: &clock{}, token: map[string]string{}, log: &journal{}}
	log := slog.New(slog.NewJSONHandler(in.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	in.store, err = store.Open(ctx, store.Options{Database: storetest.Database(t), Now: in.now, Page: pageSize})
	must(err)
	t.Cleanup(func() { in.store.Close() })
	must(in.store.CreateTenant(ctx, auth.Tenant{ID: tenantID, Name: "contoso.example", Created: in.now()}, audit.NewEntry(in.now(),
		audit.Leaf{Act: audit.ActStart, Object: tenantID, Result: audit.Done}, audit.Hidden{})))
	hash := sha256.Sum256([]byte(secret))
	for _, app := range []struct {
		id    string
		roles []string
	}{
		{full, []string{auth.CollectForensics, auth.ReadAll, auth.ReadWriteAll, auth.Administer}},
		{collector, []string{auth.CollectForensics}}, {reader, []string{auth.ReadAll}}, {nobody, nil},
	} {
		must(in.store.CreateApp(ctx, auth.App{
			Tenant: tenantID, ID: app.id, Name: "IR automation", Roles: app.roles, Created: in.now(), Secrets: []auth.Secret{{ID: "1", Hash: hash}},
		}))
	}
	ring, err := keys.Open(ctx, keys.Config{Store: in.store, Dir: dir, Now: in.now, Recovery: func(ed25519.PrivateKey) error { return nil }})
	must(err)
	var handler http.Handler
	in.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(in.Close)
	set, err := origin.New([]string{in.URL, region}, nil)
	must(err)
	in.tokens = auth.NewTokens(set.Bases(), ring, in.store, in.now)
	in.ring = ring
	in.vault, err = vault.New(ctx, vault.Options{Dir: filepath.Join(dir, "packages"), Records: in.store, Log: log, Now: in.now})
	must(err)
	t.Cleanup(in.vault.Close)
	wake := bus.NewLocal()
	t.Cleanup(wake.Close)
	in.engine = &action.Engine{
		Records: in.store, Devices: &fleet.Fleet{Records: in.store, Groups: in.tokens.Directory, Now: in.now, Logger: log}, Log: in.store, Keys: ring, Bus: wake, Now: in.now, Times: action.DefaultTimes(), Logger: log,
	}
	in.device = in.enrol(t, "wks-042.corp.example")
	in.contract, err = contract.Read(described.Document())
	must(err)

	hasher := credential.NewHasher(1)
	in.tally = auth.NewTally(in.store, in.now, log)
	in.keeper = &retention.Keeper{Records: in.store, Bytes: in.vault, Devices: in.engine.Devices, Now: in.now, Logger: log}
	in.api = New(Config{
		Keeper: in.keeper,
		Engine: in.engine, Fleet: &fleet.Fleet{Records: in.store, Groups: in.tokens.Directory, Now: in.now, Logger: log}, Register: &access.Register{Records: in.store, Bus: wake, Ring: ring, Hasher: hasher, Home: tenantID, Now: in.now, Logger: log}, Records: in.store, Vault: in.vault, Keys: ring, Tokens: in.tokens, Tally: in.tally,
		Origin: set, Home: tenantID, Now: in.now, Log: log,
	})
	desk := signin.New(signin.Config{
		Records: in.store, Directory: in.tokens.Directory, Resources: in.tokens.Resources, Secrets: ring, Hasher: hasher, Tally: in.tally, Now: in.now, Logger: log,
	})
	tokens := issuer.New(issuer.Config{Keys: ring, Tokens: in.tokens, Desk: desk, Tally: in.tally, Origin: set, Now: in.now, Log: log})
	handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if Serves(r) {
			in.api.ServeHTTP(w, r)
		} else {
			tokens.ServeHTTP(w, r)
		}
	})
	for _, id := range []string{full, collector, reader, nobody} {
		app, err := in.store.App(ctx, tenantID, id)
		must(err)
		in.token[id], err = in.tokens.Issue(in.URL, "https://api.securitycenter.microsoft.com", app)
		must(err)
	}
	return in
}

// enrol adds a device with a key of its own.
func (in *installation) enrol(t testing.TB, name string) device.Device {
	t.Helper()
	return in.enrolIn(t, tenantID, name)
}

func (in *installation) enrolIn(t testing.TB, tenant, name string) device.Device {
	t.Helper()
	pub, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(pub)
	err = in.store.CreateEnrollment(t.Context(), auth.Enrollment{Tenant: tenant, ID: hex.EncodeToString(hash[:8]), Hash: hash, Left: -1, Tags: []string{"Lab"}})
	if err != nil {
		t.Fatal(err)
	}
	d, err := in.store.Enrol(t.Context(), hash, device.Device{
		ID: device.IDOf(pub), Keys: []ed25519.PublicKey{pub}, Catalog: string(catalog.Current().Digest()), External: "203.0.113.9",
		FirstSeen: in.now(), LastSeen: in.now(),
		Facts: device.Facts{
			Name: name, System: device.Linux, Platform: "Debian", Version: "13.2", Arch: "amd64", AgentVersion: "0.1.0", LastAddress: "192.0.2.40",
			Addresses: []device.Address{
				{IP: "192.0.2.40", MAC: "02005E10A1B2", Type: "Ethernet", Up: true}, {IP: "127.0.0.1", Type: "SoftwareLoopback", Up: true},
			},
		},
	}, func(tenant string) audit.Entry {
		return audit.NewEntry(in.now(), audit.Leaf{Act: audit.ActEnrol, Object: tenant, Result: audit.Done}, audit.Hidden{})
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// answer is what came back of a request.
type got struct {
	status int
	header http.Header
	raw    string
	json   map[string]any // nil where it is no JSON object
}

// err is the code of a failure, after a look at the form that every failure has.
func (g got) code(t testing.TB) string {
	t.Helper()
	e, _ := g.json["error"].(map[string]any)
	code, _ := e["code"].(string)
	message, _ := e["message"].(string)
	target, _ := e["target"].(string)
	if code == "" || message == "" || target == "" || target != g.header.Get("request-id") || len(g.json) != 1 || len(e) != 3 {
		t.Errorf("%d: not the body of a failure, or target and request-id differ (%s): %s", g.status, g.header.Get("request-id"), g.raw)
	}
	if !strings.HasPrefix(g.header.Get("Content-Type"), "application/json") {
		t.Errorf("%d: Content-Type %q", g.status, g.header.Get("Content-Type"))
	}
	if late := g.header.Get("Retry-After") != ""; late != (g.status == 429 || g.status == 503) {
		t.Errorf("%d: Retry-After %q", g.status, g.header.Get("Retry-After"))
	}
	return code
}

func (g got) message() string {
	e, _ := g.json["error"].(map[string]any)
	s, _ := e["message"].(string)
	return s
}

func (g got) text(name string) string { s, _ := g.json[name].(string); return s }

// as sends a request with the token of an application.
func (in *installation) as(t testing.TB, app, method, path, body string, header ...string) got {
	t.Helper()
	return in.send(t, method, path, body, append([]string{"Authorization", "Bearer " + in.token[app]}, header...)...)
}

// send sends a request; header is names and values in turn.
func (in *installation) send(t testing.TB, method, path, body string, header ...string) got {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, in.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := in.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.contract.Check(method, req.URL, contract.Answer{Status: resp.StatusCode, Header: resp.Header, Body: raw}); err != nil {
		t.Error(err)
	}
	g := got{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	if json.Unmarshal(raw, &g.json) != nil {
		g.json = nil
	}
	return g
}

func (in *installation) receiptKeys() []ed25519.PublicKey {
	return []ed25519.PublicKey{in.ring.PublicReceiptKey()}
}

// abandon sends a request in full and closes the connection without reading.
func (in *installation) abandon(t testing.TB, path, body string) {
	t.Helper()
	in.dial(t, path, len(body), body).Close()
}

// dial sends a POST with a token by hand, with a body as long as said or not.
func (in *installation) dial(t testing.TB, path string, length int, body string) net.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", in.Listener.Addr().String(), in.Client().Transport.(*http.Transport).TLSClientConfig)
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", path, in.token[full], length, body)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func (in *installation) collectPath() string {
	return "/api/machines/" + string(in.device.ID) + "/collectInvestigationPackage"
}

// collect asks for a package of the device and returns the action's id.
func (in *installation) collect(t testing.TB) string {
	t.Helper()
	g := in.as(t, full, "POST", in.collectPath(), `{"Comment":"case 88"}`)
	if g.status != http.StatusCreated {
		t.Fatalf("collect: %d %s", g.status, g.raw)
	}
	return g.text("id")
}

// begin makes the device acknowledge the action's first attempt.
func (in *installation) begin(t testing.TB, id string) {
	t.Helper()
	if err := in.engine.Begun(t.Context(), in.device.Tenant, in.device.ID, wire.Begun{Action: wire.ActionID(id), Attempt: 1}); err != nil {
		t.Fatal(err)
	}
}

// upload puts bytes of attempt 1 into the vault.
func (in *installation) upload(t testing.TB, id string, content []byte, length int64) vault.Upload {
	t.Helper()
	u, err := in.vault.Create(t.Context(), vault.Request{Tenant: in.device.Tenant, Device: in.device.ID, Action: id, Attempt: 1, Length: length})
	if err != nil {
		t.Fatal(err)
	}
	w, err := in.vault.Write(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if u, err = w.Append(0, length, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return u
}

// succeed brings an action to its end with a package of these bytes. What is in
// a package is not the API's matter, so they are not verified here.
func (in *installation) succeed(t testing.TB, id string, content []byte) vault.Upload {
	t.Helper()
	in.begin(t, id)
	u := in.upload(t, id, content, int64(len(content)))
	sum := sha256.Sum256(content)
	if _, err := in.vault.Seal(t.Context(), u.ID, hex.EncodeToString(sum[:])); err != nil {
		t.Fatal(err)
	}
	_, err := in.engine.Sealed(t.Context(), in.device.Tenant, in.device.ID, id, 1, action.SealedPackage{
		Upload: u.ID, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(content)), Signer: in.device.Key(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if u, err = in.vault.Confirm(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	return u
}

// leaves are the tenant's audit entries.
func (in *installation) leaves(t testing.TB) []audit.Leaf {
	t.Helper()
	entries, err := in.store.AuditEntries(context.WithoutCancel(t.Context()), tenantID, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var all []audit.Leaf
	for _, e := range entries {
		leaf, err := audit.ParseLeaf(e.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, leaf)
	}
	return all
}
