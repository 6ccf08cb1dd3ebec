package auth

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"swab/internal/audit"
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
	apps     map[string]App // by tenant/id
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

func TestATokenHasTheShapeThatClientsDecode(t *testing.T) {
	f := newFixture(t)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(f.issue(t), ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(payload, &got); err != nil {
		t.Fatal(err)
	}
	if id, _ := got["jti"].(string); len(id) < 20 {
		t.Errorf("jti %q", id)
	}
	delete(got, "jti")
	at := float64(f.now.Unix())
	want := map[string]any{
		"aud": "https://api.securitycenter.microsoft.com", "iss": base + "/" + tenant + "/", "idp": base + "/" + tenant + "/",
		"iat": at, "nbf": at, "exp": at + 3600, "app_displayname": "IR automation", "appid": f.app.ID, "appidacr": "1", "azp": f.app.ID,
		"oid": f.app.ID, "sub": f.app.ID, "tid": tenant, "ver": "1.0", "roles": []any{CollectForensics, ReadAll},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func TestATokenHoldsUntilItsEndAndUnderEveryBaseURL(t *testing.T) {
	f := newFixture(t)
	issued, err := f.tokens.Grant(other, "https://eu.swab.example/", f.app, BySecret)
	if err != nil {
		t.Fatal(err)
	}
	token := issued.Token
	want := Caller{Kind: Application, Tenant: tenant, ID: f.app.ID, Name: "IR automation", Roles: f.app.Roles, Source: "PublicApi"}
	for _, after := range []time.Duration{0, 30 * time.Minute, TokenLife} {
		f.now = f.now.Truncate(time.Hour).Add(after)
		got, err := f.tokens.Validate(t.Context(), token)
		if err != nil {
			t.Fatalf("after %v: %v", after, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("caller (-want +got):\n%s", diff)
		}
	}
}

func TestAChangeHoldsAtTheNextRequest(t *testing.T) {
	f := newFixture(t)
	token := f.issue(t)
	device, err := f.tokens.IssueDevice(tenant, dev, "thumbprint")
	if err != nil {
		t.Fatal(err)
	}
	holds := func() { // so that what follows is remembered
		t.Helper()
		if _, err := f.tokens.Validate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if _, err := f.tokens.ValidateDevice(t.Context(), device); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(why string) {
		t.Helper()
		if _, err := f.tokens.Validate(t.Context(), token); !errors.Is(err, fault.Unauthorized) {
			t.Errorf("%s: %v, want Unauthorized", why, err)
		}
	}
	holds()
	app := f.app
	app.Roles = []string{ReadAll}
	f.store.change(func() { f.store.apps[tenant+"/"+app.ID] = app })
	if who, err := f.tokens.Validate(t.Context(), token); err != nil || !cmp.Equal(who.Roles, app.Roles) {
		t.Errorf("roles %v, %v", who.Roles, err)
	}
	app.Revoked = true
	f.store.change(func() { f.store.apps[tenant+"/"+app.ID] = app })
	refused("application revoked")
	f.store.change(func() { f.store.apps[tenant+"/"+app.ID] = f.app })
	holds()
	f.store.change(func() { f.store.tenants[0].Revoked = true })
	refused("tenant revoked")
	if _, err := f.tokens.ValidateDevice(t.Context(), device); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("a device of a revoked tenant: %v, want Unauthorized", err)
	}
	f.store.change(func() { f.store.tenants[0].Revoked = false })
	holds()
	f.store.change(func() { delete(f.store.apps, tenant+"/"+app.ID) })
	refused("application deleted")
	f.store.change(func() { f.store.down = errors.New("database is locked") })
	if _, err := f.tokens.Validate(t.Context(), token); err == nil || errors.Is(err, fault.Unauthorized) {
		t.Errorf("store down: %v, want an error that is not the caller's", err)
	}
}

func TestAChangeByAnotherNodeHoldsWithinASecond(t *testing.T) {
	f := newFixture(t)
	token := f.issue(t)
	for range 3 {
		if _, err := f.tokens.Validate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	if f.store.asked != 1 {
		t.Errorf("asked the store %d times for one application, want once", f.store.asked)
	}
	delete(f.store.apps, tenant+"/"+f.app.ID) // and no revision tells
	f.now = f.now.Add(DirectoryAge)
	if _, err := f.tokens.Validate(t.Context(), token); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("a second after another node deleted the application: %v, want Unauthorized", err)
	}
	f.store.apps[tenant+"/"+f.app.ID] = f.app
	f.now = f.now.Add(-time.Minute) // a clock that is set back makes nothing last longer
	if _, err := f.tokens.Validate(t.Context(), token); err != nil {
		t.Errorf("after the clock was set back: %v", err)
	}
}

func TestATenantIsFoundByIDBeforeName(t *testing.T) {
	f := newFixture(t)
	const second = "00000000-0000-4000-8000-000000000002"
	f.store.tenants = append(f.store.tenants, Tenant{ID: second, Name: tenant}, Tenant{ID: "3", Name: "gone.example", Revoked: true})
	for name, want := range map[string]string{
		tenant: tenant, strings.ToUpper(tenant): tenant, "Contoso.Example": tenant, second: second, "gone.example": "", "3": "", "": "",
	} {
		got, err := f.tokens.Directory.Tenant(t.Context(), name)
		if got.ID != want || (want == "") != errors.Is(err, fault.NotFound) {
			t.Errorf("%q is tenant %q, %v; want %q", name, got.ID, err, want)
		}
	}
}

func TestADirectoryRemembersWithinItsBound(t *testing.T) {
	f := newFixture(t)
	for i := range 2 * maxRemembered {
		if _, err := f.tokens.Directory.App(t.Context(), tenant, strconv.Itoa(i)); !errors.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
	}
	if n := len(f.tokens.Directory.apps); n > maxRemembered {
		t.Errorf("remembers %d applications, bound is %d", n, maxRemembered)
	}
}

func TestOneSignatureServesASecond(t *testing.T) {
	f := newFixture(t)
	first := f.issue(t)
	if f.issue(t) != first {
		t.Error("the same was asked for twice in a second, and signed twice")
	}
	const resource = "https://api.securitycenter.microsoft.com"
	app, reader := f.app, f.app
	app.ID = "00000000-0000-4000-8000-000000000009"
	reader.Roles = []string{ReadAll}
	for name, issue := range map[string]func() (Issued, error){
		"another base URL":    func() (Issued, error) { return f.tokens.Grant(other, resource, f.app, BySecret) },
		"another resource":    func() (Issued, error) { return f.tokens.Grant(base, resource+"/", f.app, BySecret) },
		"another application": func() (Issued, error) { return f.tokens.Grant(base, resource, app, BySecret) },
		"other roles":         func() (Issued, error) { return f.tokens.Grant(base, resource, reader, BySecret) },
		"another proof":       func() (Issued, error) { return f.tokens.Grant(base, resource, f.app, ByCertificate) },
	} {
		if got, err := issue(); err != nil || got.Token == first {
			t.Errorf("%s: the same token, or none: %v", name, err)
		}
	}
	if _, err := f.ring.SucceedTokens(t.Context(), f.store, tenant, audit.Hidden{}, true); err != nil {
		t.Fatal(err)
	}
	if f.issue(t) == first {
		t.Error("a token of a key that was withdrawn in the same second")
	}
	second := f.issue(t)
	f.now = f.now.Add(time.Second)
	if f.issue(t) == second {
		t.Error("a token of the second before")
	}
}

func TestATokenOutlivesTheKeyThatSignedIt(t *testing.T) {
	if TokenLife+2*Skew > keys.TokenOverlap {
		t.Errorf("a token lives %v, its key is known for %v", TokenLife, keys.TokenOverlap)
	}
	f := newFixture(t)
	next, err := f.ring.SucceedTokens(t.Context(), f.store, tenant, audit.Hidden{}, false)
	if err != nil {
		t.Fatal(err)
	}
	f.now = next.From.Add(-time.Second)
	last := f.issue(t)
	f.now = next.From
	if kid, _ := f.ring.TokenKey(); kid != next.ID {
		t.Fatal("the next key does not sign")
	}
	f.now = f.now.Add(TokenLife)
	if _, err := f.tokens.Validate(t.Context(), last); err != nil {
		t.Errorf("the last token of the old key, at its end: %v", err)
	}
	young := f.issue(t)
	if _, err := f.tokens.Validate(t.Context(), young); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ring.SucceedTokens(t.Context(), f.store, tenant, audit.Hidden{}, true); err != nil {
		t.Fatal(err)
	}
	if _, err := f.tokens.Validate(t.Context(), young); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("a remembered token of a withdrawn key: %v, want Unauthorized", err)
	}
}

func TestAKeyOfAnotherNodeIsLookedForNowAndThen(t *testing.T) {
	f := newFixture(t)
	clock := func() time.Time { return f.now }
	elsewhere, err := keys.Open(t.Context(), keys.Config{Store: f.store, Dir: f.dir, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	node := NewTokens([]string{base}, elsewhere, f.store, clock)
	fresh := func() string {
		t.Helper()
		if _, err := elsewhere.SucceedTokens(t.Context(), f.store, tenant, audit.Hidden{}, true); err != nil {
			t.Fatal(err)
		}
		issued, err := node.Grant(base, base, f.app, BySecret)
		if err != nil {
			t.Fatal(err)
		}
		return issued.Token
	}
	if _, err := f.tokens.Validate(t.Context(), fresh()); err != nil {
		t.Errorf("a token of another node's new key: %v", err)
	}
	second := fresh()
	if _, err := f.tokens.Validate(t.Context(), second); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("the store was asked twice within 5 seconds: %v", err)
	}
	f.now = f.now.Add(5 * time.Second)
	if _, err := f.tokens.Validate(t.Context(), second); err != nil {
		t.Errorf("5 seconds later: %v", err)
	}
}

func TestBadTokensAreRefused(t *testing.T) {
	f := newFixture(t)
	good := f.issue(t)
	if _, err := f.tokens.Validate(t.Context(), f.forge(t, jose.RS256, nil, nil, nil)); err != nil {
		t.Fatalf("the forger's own token, rightly signed: %v", err)
	}
	kid, own := f.ring.TokenKey()
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkix, err := x509.MarshalPKIXPublicKey(&own.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	part := func(v string) string { return base64.RawURLEncoding.EncodeToString([]byte(v)) }
	payload := strings.Split(good, ".")[1]
	// HS256 under the public key, in the form in which it is published as PKIX DER.
	hs := part(`{"alg":"HS256","kid":"`+kid+`"}`) + "." + payload
	mac := hmac.New(sha256.New, pkix)
	mac.Write([]byte(hs))
	hs += "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))

	set := func(name string, v any) func(map[string]any) { return func(c map[string]any) { c[name] = v } }
	header := func(k jose.HeaderKey, v any) map[jose.HeaderKey]any { return map[jose.HeaderKey]any{k: v} }
	for _, c := range []struct{ name, token, says string }{
		{"empty", "", "not a JWT"},
		{"not a JWT", "opaque", "not a JWT"},
		{"alg none", part(`{"alg":"none"}`) + "." + payload + ".", "not a JWT signed with RS256"},
		{"alg None with kid", part(`{"alg":"None","kid":"`+kid+`"}`) + "." + payload + ".", "not a JWT"},
		{"HS256 with the public key", hs, "not a JWT signed with RS256"},
		{"RS512 by the right key", f.forge(t, jose.RS512, nil, nil, nil), "not a JWT signed with RS256"},
		{"PS256 by the right key", f.forge(t, jose.PS256, nil, nil, nil), "not a JWT signed with RS256"},
		{"signed by another key under our kid", f.forge(t, jose.RS256, stranger, nil, nil), "signature"},
		{"unknown kid", f.forge(t, jose.RS256, nil, header("kid", strings.Repeat("0", 64)), nil), "unknown key"},
		{"no kid", f.forge(t, jose.RS256, nil, header("kid", ""), nil), "unknown key"},
		{"kid with a path", f.forge(t, jose.RS256, stranger, header("kid", "../../../dev/null"), nil), "unknown key"},
		{"kid with a URL", f.forge(t, jose.RS256, stranger, header("kid", "https://attacker.example/keys"), nil), "unknown key"},
		{"jku to caller's keys", f.forge(t, jose.RS256, stranger, header("jku", "https://attacker.example/keys"), nil), "signature"},
		{"jwk in the header", f.forge(t, jose.RS256, stranger, header("jwk", jose.JSONWebKey{Key: &stranger.PublicKey}), nil), "signature"},
		{"critical header unknown", f.forge(t, jose.RS256, nil, header("crit", []string{"exp"}), nil), "signature"},
		{"another issuer", f.forge(t, jose.RS256, nil, nil, set("iss", "https://sts.windows.net/"+tenant+"/")), "issuer"},
		{"issuer of another tenant", f.forge(t, jose.RS256, nil, nil, set("iss", Issuer(base, "00000000-0000-0000-0000-000000000000"))), "issuer"},
		{"tenant of another issuer", f.forge(t, jose.RS256, nil, nil, set("tid", "00000000-0000-0000-0000-000000000000")), "issuer"},
		{"issuer without a slash", f.forge(t, jose.RS256, nil, nil, set("iss", base+"/"+tenant)), "issuer"},
		{"no tenant", f.forge(t, jose.RS256, nil, nil, set("tid", "")), "issuer"},
		{"another audience", f.forge(t, jose.RS256, nil, nil, set("aud", "https://graph.microsoft.com")), "audience"},
		{"several audiences", f.forge(t, jose.RS256, nil, nil, set("aud", []string{base})), "signature does not hold"},
		{"a device's audience", f.forge(t, jose.RS256, nil, nil, set("aud", "swab:device")), "audience"},
		{"no audience", f.forge(t, jose.RS256, nil, nil, set("aud", "")), "audience"},
		{"expired", f.forge(t, jose.RS256, nil, nil, set("exp", f.now.Add(-5*time.Minute).Unix())), "expired"},
		{"no expiry", f.forge(t, jose.RS256, nil, nil, func(c map[string]any) { delete(c, "exp") }), "expired"},
		{"expiry as text", f.forge(t, jose.RS256, nil, nil, set("exp", "never")), "does not hold"},
		{"not yet valid", f.forge(t, jose.RS256, nil, nil, set("nbf", f.now.Add(6*time.Minute).Unix())), "not valid yet"},
		{"unknown application", f.forge(t, jose.RS256, nil, nil, set("appid", "nobody")), "does not exist"},
		{"huge", f.forge(t, jose.RS256, nil, nil, set("filler", strings.Repeat("x", MaxToken))), "too long"},
		{"a gigantic header", part(`{"alg":"RS256","x":"` + strings.Repeat("y", 1<<20) + `"}`), "too long"},
		{"cut signature", good[:len(good)-4], "signature"},
		{"other payload under a good signature", strings.Replace(good, payload, part(`{"tid":"`+tenant+`"}`), 1), "signature"},
		{"trailing data", good + ".x", "not a JWT"},
		{"JSON serialisation", `{"payload":"` + payload + `"}`, "not a JWT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			who, err := f.tokens.Validate(t.Context(), c.token)
			if code, text := fault.Of(err); code != fault.Unauthorized || !strings.Contains(text, c.says) {
				t.Errorf("got %+v, %v (%s); want Unauthorized saying %q", who, text, code, c.says)
			}
			// Asked again: nothing that was refused is remembered as good.
			if _, err := f.tokens.Validate(t.Context(), c.token); !errors.Is(err, fault.Unauthorized) {
				t.Errorf("second time: %v", err)
			}
		})
	}
}

func TestARememberedTokenStillExpires(t *testing.T) {
	f := newFixture(t)
	token := f.issue(t)
	if _, err := f.tokens.Validate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(TokenLife + Skew)
	if _, err := f.tokens.Validate(t.Context(), token); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("after its end: %v, want Unauthorized", err)
	}
}

func TestDeviceTokensAndAccessTokensAreNotExchangeable(t *testing.T) {
	f := newFixture(t)
	token, err := f.tokens.IssueDevice(tenant, dev, "thumbprint")
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.tokens.ValidateDevice(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	want := DeviceToken{Tenant: tenant, Device: dev, JKT: "thumbprint", Expires: f.now.Add(10 * time.Minute)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("device token (-want +got):\n%s", diff)
	}
	if _, err := f.tokens.Validate(t.Context(), token); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("a device's token at the API: %v", err)
	}
	if _, err := f.tokens.ValidateDevice(t.Context(), f.issue(t)); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("an application's token at the device's door: %v", err)
	}
	for name, change := range map[string]func(map[string]any){
		"no key":      func(c map[string]any) { delete(c, "cnf") },
		"bad subject": func(c map[string]any) { c["sub"] = "../x" },
	} {
		forged := f.forge(t, jose.RS256, nil, nil, func(c map[string]any) {
			c["aud"], c["sub"], c["cnf"] = "swab:device", string(dev), map[string]any{"jkt": "x"}
			change(c)
		})
		if _, err := f.tokens.ValidateDevice(t.Context(), forged); !errors.Is(err, fault.Unauthorized) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.now = f.now.Add(DeviceTokenLife + Skew)
	if _, err := f.tokens.ValidateDevice(t.Context(), token); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("after its end: %v", err)
	}
}

func TestCacheKeepsTheLatestWithinItsBound(t *testing.T) {
	c := newCache(2)
	sum := func(s string) [32]byte { return sha256.Sum256([]byte(s)) }
	c.add(sum("a"), &verified{kid: "a"})
	c.add(sum("b"), &verified{kid: "b"})
	c.get(sum("a"))
	c.add(sum("c"), &verified{kid: "c"})
	for name, want := range map[string]bool{"a": true, "b": false, "c": true} {
		if v, ok := c.get(sum(name)); ok != want || ok && v.kid != name {
			t.Errorf("%s: there %t, want %t", name, ok, want)
		}
	}
	if len(c.by) != 2 || c.order.Len() != 2 {
		t.Errorf("holds %d and %d, bound is 2", len(c.by), c.order.Len())
	}
}

func TestResourcesByWhichClientsKnowTheAPI(t *testing.T) {
	r := NewResources([]string{base})
	for scope, want := range map[string]string{
		"https://api.securitycenter.microsoft.com/.default":                 "https://api.securitycenter.microsoft.com",
		"https://api.securitycenter.microsoft.com//.default":                "https://api.securitycenter.microsoft.com/",
		"https://API.securitycenter.windows.com/.DEFAULT":                   "https://API.securitycenter.windows.com",
		"https://aea.api.security.microsoft.com/.default":                   "https://aea.api.security.microsoft.com",
		"https://api-gov.securitycenter.microsoft.us/.default":              "https://api-gov.securitycenter.microsoft.us",
		"https://securitycenter.onmicrosoft.com/windowsatpservice/.default": "https://securitycenter.onmicrosoft.com/windowsatpservice",
		base + "/.default":                                      base,
		base + "///.default":                                    "",
		"https://graph.microsoft.com/.default":                  "",
		"https://api.securitycenter.microsoft.com/Machine.Read": "",
		"http://api.securitycenter.microsoft.com/.default":      "",
		"/.default":            "",
		".default":             "",
		"":                     "",
		"swab:device/.default": "",
	} {
		if got, ok := r.Default(scope); got != want || ok != (want != "") {
			t.Errorf("Default(%q) = %q, %t; want %q", scope, got, ok, want)
		}
	}
}

func FuzzValidate(f *testing.F) {
	fix := newFixture(f)
	good := fix.issue(f)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add("a.b.c")
	f.Add(`{"payload":"","signatures":[]}`)
	f.Fuzz(func(t *testing.T, token string) {
		who, err := fix.tokens.Validate(t.Context(), token)
		if err == nil && token != good {
			t.Errorf("%q is taken for a token of %s", token, who.ID)
		}
		if err != nil && !errors.Is(err, fault.Unauthorized) {
			t.Errorf("%q: %v, want Unauthorized", token, err)
		}
	})
}

// BenchmarkIssue is a token of its own each time, beside the bare signature,
// which nothing can undercut, and tokens of which one second has many.
func BenchmarkIssue(b *testing.B) {
	f := newFixture(b)
	_, key := f.ring.TokenKey()
	sum := sha256.Sum256([]byte("bare"))
	b.Run("bare RSA signature", func(b *testing.B) {
		for b.Loop() {
			if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("own", func(b *testing.B) {
		for b.Loop() {
			f.now = f.now.Add(time.Second)
			f.issue(b)
		}
	})
	b.Run("shared", func(b *testing.B) {
		for b.Loop() {
			f.issue(b)
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	f := newFixture(b)
	token := f.issue(b)
	for name, forget := range map[string]bool{"cold": true, "cached": false} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if forget {
					f.tokens.known = newCache(1)
				}
				if _, err := f.tokens.Validate(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
