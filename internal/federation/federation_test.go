package federation

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"swab/internal/auth"
	"swab/internal/fault"
)

func TestKeysAreFoundByDiscoveryOrAtTheirAddress(t *testing.T) {
	f, c := newForeign(t), newClock()
	k, _ := newKeys(t, f, c)
	public, alg, err := k.Key(t.Context(), f.record(), "first")
	if err != nil || alg != "ES256" {
		t.Fatalf("alg %q, %v", alg, err)
	}
	same(t, public, f.keys[0])

	direct := f.record()
	direct.ID, direct.URL, direct.Keys = "direct", "https://nowhere.invalid/", f.URL+"/keys"
	if public, _, err = k.Key(t.Context(), direct, "first"); err != nil {
		t.Fatal(err)
	}
	same(t, public, f.keys[0])
	if n := f.discovered.Load(); n != 1 {
		t.Errorf("discovery was asked %d times, want once: for the issuer without an address of keys", n)
	}
}

func TestManyRequestsWaitForOneFetch(t *testing.T) {
	f, c := newForeign(t), newClock()
	k, _ := newKeys(t, f, c)
	held, asked := make(chan struct{}), make(chan struct{})
	f.jwks = func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-held
		f.reply(w, jose.JSONWebKeySet{Keys: f.keys})
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, _, err := k.Key(t.Context(), f.record(), "first"); err != nil {
				t.Error(err)
			}
		})
	}
	<-asked
	close(held)
	all.Wait()
	if n := f.fetched.Load(); n != 1 {
		t.Errorf("keys were fetched %d times, want once", n)
	}
}

func TestARequestThatGoesAwayEndsNoFetch(t *testing.T) {
	f := newForeign(t)
	k, _ := newKeys(t, f, newClock())
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, _, err := k.Key(gone, f.record(), "first"); err != nil {
		t.Errorf("the fetch that a request began ended with it: %v", err)
	}
}

func TestNewKeysAreSeenAndOldOnesGo(t *testing.T) {
	f, c := newForeign(t), newClock()
	k, _ := newKeys(t, f, c)
	ask := func(kid string, want error, fetches int64) {
		t.Helper()
		if _, _, err := k.Key(t.Context(), f.record(), kid); !errors.Is(err, want) {
			t.Errorf("key %q: %v, want %v", kid, err, want)
		}
		if n := f.fetched.Load(); n != fetches {
			t.Errorf("after %q: %d fetches, want %d", kid, n, fetches)
		}
	}
	ask("first", nil, 1)
	f.set(func() { f.keys = append(f.keys, f.key(t, "second")) })
	c.add(askEvery - time.Second)
	ask("second", fault.NotFound, 1) // the last fetch was within the minute
	c.add(time.Second)
	ask("second", nil, 2)
	for range 100 {
		ask("nosuch", fault.NotFound, 2)
	}

	// What the issuer withdraws goes within the hour.
	f.set(func() { f.keys = f.keys[1:] })
	ask("first", nil, 2)
	c.add(refreshAfter)
	k.tend(t.Context())
	ask("first", fault.NotFound, 3)
	ask("second", nil, 3)
}

func TestAnIssuerThatIsDownIsLivedWithForADay(t *testing.T) {
	f, c := newForeign(t), newClock()
	k, said := newKeys(t, f, c)
	down := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	f.jwks = down
	want := func(kid string, code error) {
		t.Helper()
		if _, _, err := k.Key(t.Context(), f.record(), kid); !errors.Is(err, code) {
			t.Errorf("key %q: %v, want %v", kid, err, code)
		}
	}
	want("first", fault.Unavailable) // never had any
	want("first", fault.Unavailable)
	if n := f.fetched.Load(); n != 1 {
		t.Errorf("%d fetches at once, want 1", n)
	}
	if s := k.Stats(); s != (Stats{Failed: 1, Issuers: 1, Without: 1}) {
		t.Errorf("stats %+v", s)
	}
	f.set(func() { f.jwks = nil })
	c.add(retryEvery)
	want("first", nil)

	f.set(func() { f.jwks = down })
	for range 23 {
		c.add(time.Hour)
		k.tend(t.Context())
		want("first", nil)
		want("nosuch", fault.NotFound)
	}
	c.add(time.Hour)
	want("first", fault.Unavailable)
	if s := k.Stats(); s.Without != 1 || s.Refreshed != 1 {
		t.Errorf("stats %+v", s)
	}
	f.set(func() { f.jwks = nil })
	c.add(retryEvery)
	want("first", nil)
	if warned := said.count("level=WARN"); warned < 2 || warned > 25 {
		t.Errorf("the log was warned %d times of 25 hours, want once an hour at most", warned)
	}
	if said.count("level=INFO") != 2 {
		t.Error("the log was not told that the keys are there again")
	}
}

func TestAClockThatIsSetBackMakesNothingFresh(t *testing.T) {
	f, c := newForeign(t), newClock()
	k, _ := newKeys(t, f, c)
	for range 2 {
		if _, _, err := k.Key(t.Context(), f.record(), "first"); err != nil {
			t.Fatal(err)
		}
		c.add(-time.Hour)
	}
	if n := f.fetched.Load(); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
}

func TestAnIssuerThatHangsHoldsNobodyElse(t *testing.T) {
	slow, quick, c := newForeign(t), newForeign(t), newClock()
	k, _ := newKeys(t, quick, c) // the authority of the one is the other's as well: both have httptest's certificate
	hanging := slow.record()
	hanging.ID = "hanging"
	for _, issuer := range []auth.TrustedIssuer{quick.record(), hanging} {
		if _, _, err := k.Key(t.Context(), issuer, "first"); err != nil {
			t.Fatal(err)
		}
	}
	k.patience = time.Hour // so that only the issuer can end it
	c.add(askEvery)
	held, asked := make(chan struct{}), make(chan struct{})
	slow.set(func() { slow.jwks = func(http.ResponseWriter, *http.Request) { close(asked); <-held } })
	waits := make(chan error, 1)
	go func() {
		_, _, err := k.Key(t.Context(), hanging, "second")
		waits <- err
	}()
	<-asked
	for _, issuer := range []auth.TrustedIssuer{quick.record(), hanging} {
		if _, _, err := k.Key(t.Context(), issuer, "first"); err != nil {
			t.Errorf("a known key of %s, while the issuer hangs: %v", issuer.ID, err)
		}
	}
	close(held)
	if err := <-waits; !errors.Is(err, fault.NotFound) {
		t.Errorf("an unknown key of the issuer that hung: %v", err)
	}
}

func TestAFetchIsGivenUpInTime(t *testing.T) {
	f := newForeign(t)
	k, _ := newKeys(t, f, newClock())
	k.patience = 50 * time.Millisecond
	held := make(chan struct{})
	defer close(held)
	f.jwks = func(http.ResponseWriter, *http.Request) { <-held }
	if _, _, err := k.Key(t.Context(), f.record(), "first"); !errors.Is(err, fault.Unavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an issuer that hangs: %v, want Unavailable in time", err)
	}
}

func TestKeysAreThereBeforeTheFirstTokenAndForgottenWithTheirIssuer(t *testing.T) {
	f, c := newForeign(t), newClock()
	k, _ := newKeys(t, f, c)
	issuers := []auth.TrustedIssuer{f.record()}
	ran := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	k.Issuers = func(context.Context) ([]auth.TrustedIssuer, error) { return issuers, nil }
	arrived := make(chan struct{})
	f.jwks = func(w http.ResponseWriter, _ *http.Request) {
		f.reply(w, jose.JSONWebKeySet{Keys: f.keys})
		close(arrived)
	}
	go func() { defer close(ran); k.Run(ctx) }()
	<-arrived
	if _, _, err := k.Key(t.Context(), f.record(), "first"); err != nil { // waits for the same fetch
		t.Error(err)
	}
	stop()
	<-ran
	if s := k.Stats(); s.Refreshed != 1 || s.Issuers != 1 || s.Without != 0 {
		t.Errorf("stats %+v", s)
	}
	issuers = nil
	k.tend(t.Context())
	if s := k.Stats(); s.Issuers != 0 {
		t.Errorf("stats %+v after the issuer was revoked", s)
	}
}

func TestAChangedRecordBeginsAnew(t *testing.T) {
	f, c := newForeign(t), newClock()
	k, _ := newKeys(t, f, c)
	if _, _, err := k.Key(t.Context(), f.record(), "first"); err != nil {
		t.Fatal(err)
	}
	closed := f.record()
	closed.Networks = nil
	if _, _, err := k.Key(t.Context(), closed, "first"); !errors.Is(err, fault.Unavailable) {
		t.Errorf("a record that lets nobody reach the issuer: %v", err)
	}
	other := f.record()
	other.Tenant, other.Networks = "another tenant", nil
	if _, _, err := k.Key(t.Context(), other, "first"); !errors.Is(err, fault.Unavailable) {
		t.Errorf("an issuer of the same id in another tenant: %v", err)
	}
}

func TestOnlyTheConfiguredIssuerIsAsked(t *testing.T) {
	elsewhere := newForeign(t) // where a broken or hostile issuer leads
	for _, c := range []struct {
		name  string
		set   func(f *foreign)
		issue func(f *foreign, i *auth.TrustedIssuer)
		says  string
	}{
		{"discovery redirects", func(f *foreign) { f.discovery = redirect(elsewhere.URL + "/realms/x/.well-known/openid-configuration") }, nil, "leads elsewhere (302)"},
		{"keys redirect", func(f *foreign) { f.jwks = redirect(elsewhere.URL + "/keys") }, nil, "leads elsewhere (302)"},
		{"keys redirect on the same host", func(f *foreign) { f.jwks = redirect(f.URL + "/realms/x/.well-known/openid-configuration") }, nil, "leads elsewhere (302)"},
		{"keys on another host", func(f *foreign) {
			f.discovery = answer(`{"issuer":%q,"jwks_uri":%q}`, f.URL+"/realms/x", elsewhere.URL+"/keys")
		}, nil, "on another host"},
		{"keys without TLS", func(f *foreign) {
			f.discovery = answer(`{"issuer":%q,"jwks_uri":%q}`, f.URL+"/realms/x", strings.Replace(f.URL, "https", "http", 1)+"/keys")
		}, nil, "want https"},
		{"keys in a file", func(f *foreign) {
			f.discovery = answer(`{"issuer":%q,"jwks_uri":"file:///etc/passwd"}`, f.URL+"/realms/x")
		}, nil, "want https"},
		{"keys with a password", func(f *foreign) {
			f.discovery = answer(`{"issuer":%q,"jwks_uri":%q}`, f.URL+"/realms/x", strings.Replace(f.URL, "://", "://a:b@", 1)+"/keys")
		}, nil, "without a user"},
		{"no keys named", func(f *foreign) { f.discovery = answer(`{"issuer":%q}`, f.URL+"/realms/x") }, nil, "jwks_uri"},
		{"another issuer's document", func(f *foreign) {
			f.discovery = answer(`{"issuer":"https://login.example","jwks_uri":%q}`, f.URL+"/keys")
		}, nil, `issuer "https://login.example"`},
		{"an issuer that differs by a slash", nil, func(_ *foreign, i *auth.TrustedIssuer) { i.URL += "/" }, "is the document of issuer"},
		{"no document", func(f *foreign) { f.discovery = answer("<html>") }, nil, "not a discovery document"},
		{"an error", func(f *foreign) { f.discovery = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) } }, nil, "answered 404"},
		{"no keys", func(f *foreign) { f.jwks = answer("[]") }, nil, "not a set of keys"},
		{"no usable key", func(f *foreign) { f.jwks = answer(`{"keys":[{"kty":"oct","k":"AAAA","kid":"first"}]}`) }, nil, "without a key"},
		{"a huge document", func(f *foreign) { f.discovery = answer("%s", strings.Repeat(" ", maxAnswer+1)) }, nil, "over 1048576 bytes"},
		{"huge keys", func(f *foreign) { f.jwks = answer("%s", strings.Repeat(" ", maxAnswer+1)) }, nil, "over 1048576 bytes"},
		{"too many keys", func(f *foreign) { f.jwks = answer(`{"keys":[{}%s]}`, strings.Repeat(",{}", maxKeys)) }, nil, "101 keys"},
		{"a record without TLS", nil, func(f *foreign, i *auth.TrustedIssuer) { i.URL = strings.Replace(f.URL, "https", "http", 1) }, "want https"},
		{"keys of a record without TLS", nil, func(f *foreign, i *auth.TrustedIssuer) { i.Keys = strings.Replace(f.URL, "https", "http", 1) }, "want https"},
		{"a record without a host", nil, func(_ *foreign, i *auth.TrustedIssuer) { i.Keys = "https://:443/keys" }, "want https"},
		{"networks that are none", nil, func(_ *foreign, i *auth.TrustedIssuer) { i.Networks = []string{"localhost"} }, "networks"},
		{"loopback", nil, func(_ *foreign, i *auth.TrustedIssuer) { i.Networks = nil }, "127.0.0.1 is not a public address"},
		{"another network", nil, func(_ *foreign, i *auth.TrustedIssuer) { i.Networks = []string{"10.0.0.0/8"} }, "127.0.0.1 is not a public address"},
		{"link-local", nil, func(_ *foreign, i *auth.TrustedIssuer) { i.Keys = "https://169.254.169.254/latest/meta-data/" }, "169.254.169.254 is no address of an issuer"},
		{"link-local, mapped", nil, func(_ *foreign, i *auth.TrustedIssuer) {
			i.Keys, i.Networks = "https://[::ffff:169.254.169.254]/", []string{"::/0", "0.0.0.0/0"}
		}, "169.254.169.254 is no address of an issuer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newForeign(t)
			k, said := newKeys(t, f, newClock())
			issuer := f.record()
			if c.set != nil {
				c.set(f)
			}
			if c.issue != nil {
				c.issue(f, &issuer)
			}
			_, _, err := k.Key(t.Context(), issuer, "first")
			if code, text := fault.Of(err); code != fault.Unavailable || strings.Contains(text, "127.0.0.1") || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v (%q to the caller), want Unavailable because it %q", err, text, c.says)
			}
			if said.count("level=WARN") != 1 {
				t.Error("the log was not told")
			}
		})
	}
	if n := elsewhere.discovered.Load() + elsewhere.fetched.Load(); n != 0 {
		t.Errorf("the other host was asked %d times", n)
	}
}

// TestMain gives every test an environment with a proxy that is not there: what
// is not on loopback would be asked of it.
func TestMain(m *testing.M) {
	if err := os.Setenv("HTTPS_PROXY", "http://127.0.0.1:1"); err != nil {
		panic(err)
	}
	m.Run()
}

func TestANameIsJudgedByWhatItMeansWhenItIsConnectedTo(t *testing.T) {
	for _, c := range []struct {
		name     string
		answers  []string // of the name server, the last one for ever
		networks []string
		says     string // "": the keys are had
	}{
		{"an internal name", []string{"127.0.0.1"}, []string{"127.0.0.1/32"}, ""},
		{"an internal name that no network opens", []string{"127.0.0.1"}, nil, "127.0.0.1 is not a public address"},
		{"metadata of a cloud", []string{"169.254.169.254"}, []string{"0.0.0.0/0"}, "169.254.169.254 is no address"},
		{"a name that means another address for the keys", []string{"127.0.0.1", "169.254.169.254"}, []string{"127.0.0.0/8"}, "169.254.169.254 is no address"},
		{"one that then means an internal address", []string{"127.0.0.1", "10.0.0.1"}, []string{"127.0.0.0/8"}, "10.0.0.1 is not a public address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newForeign(t)
			k, _ := newKeys(t, f, newClock())
			k.resolver = names(t, func(n int) netip.Addr { return netip.MustParseAddr(c.answers[min(n, len(c.answers)-1)]) })
			issuer := f.record()
			issuer.URL, issuer.Networks = f.at("example.com")+"/realms/x", c.networks
			_, _, err := k.Key(t.Context(), issuer, "first")
			if c.says == "" && err != nil || c.says != "" && (!errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("got %v, want %q", err, c.says)
			}
			if len(c.answers) > 1 && f.discovered.Load() != 1 {
				t.Error("the first answer was not used")
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	everything := prefixes("0.0.0.0/0", "::/0")
	for ip, want := range map[string]struct{ public, opened bool }{
		"8.8.8.8": {true, true}, "2001:4860:4860::8888": {true, true}, "64:ff9b::808:808": {true, true}, "::ffff:8.8.8.8": {true, true},
		"10.1.2.3": {false, true}, "172.31.255.255": {false, true}, "192.168.1.1": {false, true}, "127.0.0.1": {false, true}, "100.64.0.1": {false, true},
		"198.18.0.1": {false, true}, "203.0.113.7": {false, true}, "240.0.0.1": {false, true}, "192.0.0.8": {false, true},
		"::1": {false, true}, "fd12::1": {false, true}, "2001:db8::1": {false, true}, "2002:7f00:1::": {false, true}, "64:ff9b::7f00:1": {false, true}, "::ffff:10.0.0.1": {false, true},
		"64:ff9b:1::1": {false, true}, "100::1": {false, true},
		"169.254.169.254": {}, "169.254.0.1": {}, "::ffff:169.254.169.254": {}, "64:ff9b::a9fe:a9fe": {}, "fe80::1": {}, "fe80::1%eth0": {}, "febf::1": {},
		"0.0.0.0": {}, "::": {}, "224.0.0.1": {}, "255.255.255.255": {}, "ff02::1": {}, "fec0::1": {},
		"fd00:ec2::254": {}, "fd20:ce::254": {}, "100.100.100.200": {}, "168.63.129.16": {}, "192.0.0.192": {},
	} {
		a := netip.MustParseAddr(ip)
		if err := allowed(a, nil); (err == nil) != want.public {
			t.Errorf("%s without networks: %v, want it allowed: %t", ip, err, want.public)
		}
		if err := allowed(a, everything); (err == nil) != want.opened {
			t.Errorf("%s with every network: %v, want it allowed: %t", ip, err, want.opened)
		}
	}
}

func TestServersOfIssuersProveWhoTheyAre(t *testing.T) {
	f := newForeign(t)
	k, _ := newKeys(t, f, newClock())
	k.Authorities = ""
	if _, _, err := k.Key(t.Context(), f.record(), "first"); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
	old := httptest.NewUnstartedServer(f.Config.Handler)
	old.Config.ErrorLog, old.TLS = f.Config.ErrorLog, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11} //nolint:gosec // it is to be refused
	old.StartTLS()
	defer old.Close()
	k, _ = newKeys(t, f, newClock())
	issuer := f.record()
	issuer.URL = old.URL + "/realms/x"
	if _, _, err := k.Key(t.Context(), issuer, "first"); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "version") {
		t.Errorf("TLS 1.1: %v", err)
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{empty, empty + ".nosuch"} {
		if _, err := New(Config{Authorities: file}); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("authorities in %s: %v", file, err)
		}
	}
}
