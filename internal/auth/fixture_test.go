package auth

import (
	"context"
	"crypto/ed25519"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/keys"
)

const (
	base   = "https://swab.example:8443"
	other  = "https://eu.swab.example"
	tenant = "d2a1f3c4-55b6-4e7d-8f90-a1b2c3d4e5f6"
	dev    = device.ID("3d1f0a9b5c7e2d4486a0f1b2c3d4e5f607182930")
)

// records keeps keys, tenants and applications in memory.
type records struct {
	mu       sync.Mutex
	keys     []keys.Record
	tenants  []Tenant
	apps     map[string]App    // by tenant/id
	persons  map[string]Person // by tenant/id
	sessions map[string]string // by tenant/id: the person's
	policy   *Policy
	issuers  []TrustedIssuer
	down     error
	revision uint64
	asked    int // how often for an application
}

func (r *records) Keys(context.Context) ([]keys.Record, error) { return slices.Clone(r.keys), nil }

func (r *records) AddKey(_ context.Context, k keys.Record) error {
	r.keys = append(r.keys, k)
	return nil
}

func (r *records) SucceedKey(_ context.Context, s keys.Succession) (bool, error) {
	for i, k := range r.keys {
		if k.ID == s.Old && k.To.IsZero() {
			if r.keys[i].To = s.New.From; s.Withdraw {
				r.keys[i].To = k.From
			}
			r.keys = append(r.keys, s.New)
			return true, nil
		}
	}
	return false, nil
}

func (r *records) AccessRevision() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.revision
}

// change is what a process that keeps records does when one of them changes.
func (r *records) change(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
	r.revision++
}

func (r *records) Tenants(context.Context) ([]Tenant, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.tenants), r.down
}

func (r *records) App(_ context.Context, tenant, id string) (App, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if r.down != nil {
		return App{}, r.down
	}
	app, ok := r.apps[tenant+"/"+id]
	if !ok {
		return App{}, fault.NotFound.Errorf(nil, "no application %s", id)
	}
	return app, nil
}

func (r *records) Person(_ context.Context, tenant, id string) (Person, error) {
	return there(r, r.persons, tenant, id)
}

func (r *records) SessionOf(_ context.Context, tenant, id string) (string, error) {
	return there(r, r.sessions, tenant, id)
}

func there[V any](r *records, in map[string]V, tenant, id string) (V, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := in[tenant+"/"+id]
	if !ok && r.down == nil {
		return v, fault.NotFound.Errorf(nil, "there is no %s", id)
	}
	return v, r.down
}

func (r *records) Policy(context.Context, string) (*Policy, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.policy, r.down
}

func (r *records) TrustedIssuers(context.Context) ([]TrustedIssuer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.issuers), r.down
}

type fixture struct {
	tokens *Tokens
	ring   *keys.Ring
	store  *records
	app    App
	now    time.Time
	dir    string
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{
		dir: t.TempDir(),
		now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
		app: App{Tenant: tenant, ID: "7f0e6d5c-1a2b-4c3d-8e9f-001122334455", Name: "IR automation", Roles: []string{CollectForensics, ReadAll}},
	}
	f.store = &records{tenants: []Tenant{{ID: tenant, Name: "contoso.example"}}, apps: map[string]App{tenant + "/" + f.app.ID: f.app}}
	clock := func() time.Time { return f.now }
	ring, err := keys.Open(t.Context(), keys.Config{
		Store: f.store, Dir: f.dir, Now: clock, Recovery: func(ed25519.PrivateKey) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	f.ring = ring
	f.tokens = NewTokens([]string{base, other}, ring, f.store, clock)
	return f
}

func (f *fixture) issue(t testing.TB) string {
	t.Helper()
	issued, err := f.tokens.Grant(base, "https://api.securitycenter.microsoft.com", f.app, BySecret)
	if err != nil {
		t.Fatal(err)
	}
	return issued.Token
}

// forge signs claims, with the server's own token key unless signer says otherwise.
func (f *fixture) forge(t testing.TB, alg jose.SignatureAlgorithm, key any, header map[jose.HeaderKey]any, change func(map[string]any)) string {
	t.Helper()
	kid, own := f.ring.TokenKey()
	if key == nil {
		key = own
	}
	opts := (&jose.SignerOptions{}).WithHeader("kid", kid)
	for k, v := range header {
		opts = opts.WithHeader(k, v)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	c := map[string]any{
		"aud": "https://api.securitycenter.microsoft.com", "iss": Issuer(base, tenant), "tid": tenant, "appid": f.app.ID, "sub": f.app.ID,
		"iat": f.now.Unix(), "nbf": f.now.Unix(), "exp": f.now.Add(time.Hour).Unix(), "ver": "1.0", "roles": []string{Administer},
	}
	if change != nil {
		change(c)
	}
	token, err := jwt.Signed(signer).Claims(c).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
