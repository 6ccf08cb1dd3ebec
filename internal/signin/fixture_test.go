package signin_test

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/canon"
	"swab/internal/credential"
	"swab/internal/keys"
	"swab/internal/signin"
	"swab/internal/store"
	"swab/internal/store/storetest"
)

const (
	tenantID = "d2a1f3c4-55b6-4e7d-8f90-a1b2c3d4e5f6"
	annID    = "0a1b2c3d-4e5f-4061-8293-a4b5c6d7e8f9"
	ann      = "ann@example.org"
	password = "four words without order"
	clientID = "7f0e6d5c-1a2b-4c3d-8e9f-001122334455"
	resource = "https://api.securitycenter.microsoft.com"
)

// hall is a desk over a real store, with a clock that stands still.
type hall struct {
	*signin.Desk
	store *store.Store
	ring  *keys.Ring
	app   auth.App
	visit signin.Visitor

	mu  sync.Mutex
	now time.Time
}

func (h *hall) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

// wait moves the clock on.
func (h *hall) wait(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// hashed is the password's hash, made once for all tests.
var hashed = sync.OnceValue(func() string {
	phc, err := credential.NewHasher(1).Hash(context.Background(), password)
	if err != nil {
		panic(err)
	}
	return phc
})

func open(t testing.TB) *hall {
	t.Helper()
	h := &hall{now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}
	st, err := store.Open(t.Context(), store.Options{Database: storetest.Database(t), Now: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	tenant := auth.Tenant{ID: tenantID, Name: "contoso.example", Created: h.now}
	if err := st.CreateTenant(t.Context(), tenant, audit.NewEntry(h.now, audit.Leaf{Act: audit.ActStart, Object: tenantID, Result: audit.Done}, audit.Hidden{})); err != nil {
		t.Fatal(err)
	}
	h.app = auth.App{Tenant: tenantID, ID: clientID, Name: "Tool", Scopes: []string{auth.Read, auth.CollectForensics}, Redirects: []string{"http://localhost"}, Public: true, Created: h.now}
	if err := st.CreateApp(t.Context(), h.app); err != nil {
		t.Fatal(err)
	}
	if err := st.CreateUser(t.Context(), auth.Person{Tenant: tenantID, ID: annID, Principal: ann, Name: "Ann", Created: h.now}, auth.Credential{Password: hashed(), Changed: h.now}); err != nil {
		t.Fatal(err)
	}
	if h.ring, err = keys.Open(t.Context(), keys.Config{Store: st, Dir: t.TempDir(), Now: h.clock, Recovery: func(ed25519.PrivateKey) error { return nil }}); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	h.store = st
	h.Desk = signin.New(signin.Config{
		Records: st, Directory: auth.NewDirectory(st, h.clock), Resources: auth.NewResources([]string{"https://swab.example"}), Secrets: h.ring,
		Hasher: credential.NewHasher(0), Tally: auth.NewTally(st, h.clock, log), Now: h.clock, Logger: log,
	})
	h.visit = signin.Visitor{Tenant: tenant, From: "192.0.2.1", Agent: "a browser", Correlation: "1"}
	return h
}

func (h *hall) attempt(password string) signin.Attempt {
	return signin.Attempt{Visitor: h.visit, Principal: ann, Password: password}
}

// in signs Ann in in a browser, as one whose password was found right: to look at
// it takes most of a test's time.
func (h *hall) in(t testing.TB) signin.Signed {
	t.Helper()
	c, err := h.store.Credential(t.Context(), tenantID, annID)
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := h.Begin(t.Context(), h.visit, signin.Progress{
		Step: signin.StepDone, Person: annID, Changed: canon.Ticks(c.Changed), Methods: []string{"pwd"}, At: h.clock(),
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// know is the cookie of a browser that is known for a person.
func (h *hall) know(t testing.TB, p auth.Person) string {
	t.Helper()
	known, err := h.Know(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return known
}

func (h *hall) scope(t testing.TB, scope string) signin.Scope {
	t.Helper()
	s, err := h.ReadScope(h.app, scope, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// change changes Ann's credential beside the desk.
func (h *hall) change(t testing.TB, change func(*auth.Credential)) {
	t.Helper()
	c, err := h.store.Credential(t.Context(), tenantID, annID)
	if err != nil {
		t.Fatal(err)
	}
	change(&c)
	if err := h.store.SetCredential(t.Context(), tenantID, annID, c); err != nil {
		t.Fatal(err)
	}
}

// acts are the acts of the log so far, with their details.
func (h *hall) acts(t testing.TB) []string {
	t.Helper()
	_, entries := storetest.Recompute(t, h.store, tenantID)
	var acts []string
	for _, e := range entries[1:] {
		leaf, err := audit.ParseLeaf(e.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		acts = append(acts, string(leaf.Act)+" "+leaf.Detail)
	}
	return acts
}

// flush writes what the desk refused.
func (h *hall) flush(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.Run(ctx)
}

// oneTime is the code that an authenticator app with the secret shows (RFC 6238).
func oneTime(secret credential.TOTP, at time.Time) string {
	mac := hmac.New(sha1.New, secret.Seed())
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(at.Unix()/30)))
	sum := mac.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&0xf:]) &^ (1 << 31)
	return fmt.Sprintf("%06d", n%1_000_000)
}
