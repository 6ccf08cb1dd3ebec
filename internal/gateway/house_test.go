package gateway

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/bus"
	"swab/internal/catalog"
	"swab/internal/evidence"
	"swab/internal/fleet"
	"swab/internal/keys"
	"swab/internal/store"
	"swab/internal/store/storetest"
	"swab/internal/vault"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(clientEnv); addr != "" {
		if err := crowd(addr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

const (
	tenantID = "12345678-1234-4234-8234-123456789abc"
	otherID  = "87654321-4321-4321-8321-cba987654321"
)

// ring is one set of server keys for all tests: making them takes time.
var ring = sync.OnceValue(func() *keys.Ring {
	dir, err := os.MkdirTemp("", "swab-keys")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	r, err := keys.Open(context.Background(), keys.Config{
		Store: noKeys{}, Dir: dir, Now: time.Now, Recovery: func(ed25519.PrivateKey) error { return nil },
	})
	if err != nil {
		panic(err)
	}
	return r
})

// noKeys is a store in which the keys are not kept.
type noKeys struct{}

func (noKeys) Keys(context.Context) ([]keys.Record, error) { return nil, nil }
func (noKeys) AddKey(context.Context, keys.Record) error   { return nil }

// house is a gateway behind real TLS, over the real engine, store and vault.
type house struct {
	*httptest.Server
	g        *Gateway
	store    *store.Store
	vault    *vault.Vault
	engine   *action.Engine
	keys     *keys.Ring
	tokens   *auth.Tokens
	bus      *bus.Local
	waker    atomic.Pointer[bus.Local] // the same, for the store
	dir      string
	database string
	log      *logs

	mu    sync.Mutex
	ahead time.Duration
}

// now is the server's clock, which a test may move on.
func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Add(h.ahead)
}

func (h *house) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ahead += d
}

// logs keeps what was logged, so that a test can wait for it.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// openStore opens the house's store, which wakes devices as the server has it.
func (h *house) openStore() (*store.Store, error) {
	return store.Open(context.Background(), store.Options{Database: h.database, Now: h.now, Wake: func(id deviceID) {
		if b := h.waker.Load(); b != nil {
			b.Wake(id)
		}
	}})
}

type change func(*Options, *vault.Options)

func newHouse(t testing.TB, changes ...change) *house {
	t.Helper()
	h := &house{dir: t.TempDir(), database: storetest.Database(t), log: &logs{}}
	log := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx := context.Background()
	var err error
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	h.store, err = h.openStore()
	must(err)
	h.keys = ring()
	for _, id := range []string{tenantID, otherID} {
		must(h.store.CreateTenant(ctx, auth.Tenant{ID: id, Name: id, Created: h.now()}, audit.NewEntry(h.now(),
			audit.Leaf{Act: audit.ActStart, Object: id, Result: audit.Done}, audit.Hidden{Who: "server"})))
		must(h.store.CreateEnrollment(ctx, auth.Enrollment{Tenant: id, ID: "all", Hash: sha256.Sum256([]byte("token-" + id)), Left: -1}))
	}

	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.g.Handler().ServeHTTP(w, r) }))
	srv.Config.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	h.tokens = auth.NewTokens([]string{"https://" + srv.Listener.Addr().String()}, h.keys, h.store, h.now)
	vo := vault.Options{Dir: filepath.Join(h.dir, "data"), Records: h.store, Check: evidence.DefaultLimits(), Log: log, Now: h.now}
	o := Options{
		Bases:   []string{"https://" + srv.Listener.Addr().String(), "https://swab.example.org"},
		Devices: h.store, Tokens: h.tokens, Keys: h.keys, Log: log, Now: h.now,
	}
	for _, c := range changes {
		c(&o, &vo)
	}
	h.vault, err = vault.New(ctx, vo)
	must(err)
	h.bus = bus.NewLocal(func(id deviceID) { h.g.Wake(id) })
	h.waker.Store(h.bus)
	h.engine = &action.Engine{
		Records: h.store, Devices: &fleet.Fleet{Records: h.store, Groups: auth.NewDirectory(h.store, h.now), Now: h.now, Logger: log}, Log: h.store, Keys: h.keys, Bus: h.bus, Now: h.now, Times: action.DefaultTimes(), Logger: log,
	}
	if o.Engine == nil {
		o.Engine = h.engine
	}
	o.Vault = h.vault
	h.g, err = New(o)
	must(err)
	srv.Listener = Listen(srv.Listener)
	srv.StartTLS()
	h.Server = srv
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := h.g.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		srv.Close()
		h.bus.Close()
		h.vault.Close()
		if err := h.store.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() && testing.Verbose() {
			t.Log(h.log.String())
		}
	})
	return h
}

// analyst may do everything in a tenant.
func analyst(tenant string) auth.Caller {
	return auth.Caller{
		Kind: auth.Application, Tenant: tenant, ID: "app", Name: "soc", Source: "PublicApi",
		Roles: []string{auth.CollectForensics, auth.ReadAll, auth.ReadWriteAll, auth.Administer},
	}
}

// collect asks for a package of d.
func (h *house) collect(t testing.TB, d *agent) action.Action {
	t.Helper()
	dev, err := h.store.DeviceByID(t.Context(), d.id)
	if err != nil {
		t.Fatal(err)
	}
	a, err := h.engine.Collect(t.Context(), analyst(dev.Tenant), dev, action.Request{Comment: "why"})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (h *house) action(t testing.TB, id action.ID) action.Action {
	t.Helper()
	a, err := h.engine.Get(t.Context(), analyst(tenantID), id)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// acts are the acts in the tenant's audit log.
func (h *house) acts(t testing.TB, tenant string) []audit.Act {
	t.Helper()
	logged, err := h.store.AuditEntries(t.Context(), tenant, 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	var acts []audit.Act
	for _, l := range logged {
		leaf, err := audit.ParseLeaf(l.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		acts = append(acts, leaf.Act)
	}
	return acts
}

// eventually waits until f holds.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// packageOf makes the package of an attempt as an agent would, signed by d's
// key. bulk bytes that do not shrink make it as long as a test needs it.
func packageOf(t testing.TB, d *agent, a action.Action, attempt, bulk int, change func(*evidence.Manifest)) []byte {
	t.Helper()
	plan, err := catalog.Known(a.Plan)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := evidence.NewWriter(&out, time.Now)
	m := evidence.Manifest{
		PackageID: "p", ActionID: a.ID, TenantID: a.Tenant, Attempt: attempt,
		Device:     evidence.DeviceFacts{ID: d.id, Name: "host.example.org", OS: "linux", Key: d.key.Public().(ed25519.PublicKey)},
		Commitment: a.Opening.Commitment(), Checkpoint: "checkpoint",
	}
	for i, it := range plan.Items {
		line := evidence.Line{Item: it.Name, Stage: int(it.Stage), Outcome: evidence.Collected}
		for _, table := range it.Tables {
			res, err := w.Table(it.Name, it.Path(table), struct {
				PID int `json:"process.pid" csv:"PID"`
			}{}).Close()
			if err != nil {
				t.Fatal(err)
			}
			line.Bytes += res.Bytes
			line.Entries = append(line.Entries, res.Entries...)
		}
		if i == 0 && bulk > 0 {
			f := w.File(evidence.Entry{
				Path: evidence.OriginalPath("linux", "/bulk"), Kind: evidence.KindOriginal, Item: it.Name, Method: "open",
				Source: &evidence.Source{Path: "/bulk", Size: int64(bulk)},
			})
			b := make([]byte, bulk)
			rand.Read(b)
			if _, err := f.Write(b); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			line.Bytes += f.Entry().Size
			line.Entries = append(line.Entries, f.Entry().Path)
		}
		m.Ledger = append(m.Ledger, line)
	}
	if change != nil {
		change(&m)
	}
	if err := w.Finish(m, plan, d.key); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func planOf(t testing.TB, profile string) catalog.Digest {
	t.Helper()
	p, ok := catalog.Current().Plan(profile, "linux")
	if !ok {
		t.Fatalf("no plan of %s", profile)
	}
	return p.Digest()
}
