package issuer

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	described "swab/api"
	"swab/api/contract"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/credential"
	"swab/internal/keys"
	"swab/internal/origin"
	"swab/internal/signin"
	"swab/internal/store"
	"swab/internal/store/storetest"
)

const (
	tenantID = "d2a1f3c4-55b6-4e7d-8f90-a1b2c3d4e5f6"
	clientID = "7f0e6d5c-1a2b-4c3d-8e9f-001122334455"
	secret   = "Zm9v-YmFy_secret.1"
	scope    = "https://api.securitycenter.microsoft.com/.default"
	second   = "https://eu.swab.example"
)

// installation is an issuer behind real TLS, over a real store.
type installation struct {
	*httptest.Server
	tokens *auth.Tokens
	desk   *signin.Desk
	config *Config // it may be changed between requests
	ring   *keys.Ring
	tally  *auth.Tally
	store  *store.Store
	origin *origin.Set
	ahead  atomic.Int64 // of the machine's clock
	log    journal

	contract *contract.Contract // which every answer is held against
}

func install(t testing.TB) *installation {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	in := &installation{}
	log := slog.New(slog.NewTextHandler(&in.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	st, err := store.Open(ctx, store.Options{Database: storetest.Database(t), Now: in.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	tenant := auth.Tenant{ID: tenantID, Name: "Contoso.example", Created: time.Now()}
	if err := st.CreateTenant(ctx, tenant, audit.NewEntry(time.Now(), audit.Leaf{Act: audit.ActStart, Object: tenantID, Result: audit.Done}, audit.Hidden{})); err != nil {
		t.Fatal(err)
	}
	app := auth.App{Tenant: tenantID, ID: clientID, Name: "IR automation", Roles: []string{auth.ReadAll}, Created: time.Now(), Secrets: []auth.Secret{
		{ID: "1", Hash: sha256.Sum256([]byte(secret))},
		{ID: "2", Hash: sha256.Sum256([]byte("old")), Expires: time.Now().Add(-time.Hour)},
		{ID: "3", Hash: sha256.Sum256([]byte("a b&c%"))},
	}}
	if err := st.CreateApp(ctx, app); err != nil {
		t.Fatal(err)
	}
	ring, err := keys.Open(ctx, keys.Config{Store: st, Dir: dir, Now: in.now, Recovery: func(ed25519.PrivateKey) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	in.ring, in.tally = ring, auth.NewTally(st, in.now, log)
	var handler http.Handler
	in.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(in.Close)
	set, err := origin.New([]string{in.URL, second}, nil)
	if err != nil {
		t.Fatal(err)
	}
	in.tokens = auth.NewTokens(set.Bases(), ring, st, in.now)
	in.store, in.origin = st, set
	if in.contract, err = contract.Read(described.Document()); err != nil {
		t.Fatal(err)
	}
	in.desk = signin.New(signin.Config{
		Records: st, Directory: in.tokens.Directory, Resources: in.tokens.Resources, Secrets: ring, Hasher: credential.NewHasher(0), Tally: in.tally,
		Now: in.now, Logger: log,
	})
	s := New(Config{Keys: ring, Tokens: in.tokens, Desk: in.desk, Tally: in.tally, Origin: set, Now: in.now, Log: log})
	handler, in.config = s, &s.Config
	return in
}

// journal is what was logged.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// now is the time of the issuer, which may be ahead of the machine's.
func (in *installation) now() time.Time { return time.Now().Add(time.Duration(in.ahead.Load())) }

// wait moves the issuer's clock on.
func (in *installation) wait(d time.Duration) { in.ahead.Add(int64(d)) }

// ask sends a request and returns status, header and the JSON object answered.
func (in *installation) ask(t testing.TB, method, path, body string, header http.Header) (int, http.Header, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, in.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header.Clone()
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	resp, err := in.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.contract.Check(method, req.URL, contract.Answer{Status: resp.StatusCode, Header: resp.Header, Body: text}); err != nil {
		t.Error(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%s %s: %d, not JSON: %s", method, path, resp.StatusCode, text)
	}
	return resp.StatusCode, resp.Header, got
}

var formHeader = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}

func formOf(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

func good(extra ...string) string {
	return formOf(append([]string{"grant_type", "client_credentials", "client_id", clientID, "client_secret", secret, "scope", scope}, extra...)...)
}

const tokenPath = "/" + tenantID + "/oauth2/v2.0/token"

func TestAnApplicationGetsATokenByItsSecret(t *testing.T) {
	in := install(t)
	basic := func(id, secret string) http.Header {
		h := formHeader.Clone()
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(id+":"+secret)))
		return h
	}
	bare := formOf("grant_type", "client_credentials", "scope", scope)
	for _, c := range []struct {
		name, method, path, body string
		header                   http.Header
	}{
		{"POST", "POST", tokenPath, good(), formHeader},
		{"GET with the form in its body", "GET", tokenPath, good(), formHeader},
		{"no Content-Type", "POST", tokenPath, good(), http.Header{}},
		{"Content-Type with parameters", "POST", tokenPath, good(), http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}},
		{"tenant by name", "POST", "/contoso.EXAMPLE/oauth2/v2.0/token", good(), formHeader},
		{"tenant in upper case", "POST", "/" + strings.ToUpper(tenantID) + "/OAuth2/V2.0/Token", good(), formHeader},
		{"client id in upper case", "POST", tokenPath, strings.Replace(good(), clientID, strings.ToUpper(clientID), 1), formHeader},
		{"query is ignored", "POST", tokenPath + "?client-request-id=1&grant_type=password&api-version=1.0", good(), formHeader},
		{"bare question mark", "POST", tokenPath + "?", good(), formHeader},
		{"unknown fields", "POST", tokenPath, good("client_info", "1", "claims", "{}", "x-client-SKU", "MSAL.Go", "redirectUri", "x"), formHeader},
		{"OIDC scopes beside", "POST", tokenPath, strings.Replace(good(), "scope=", "scope=openid+offline_access+profile+", 1), formHeader},
		{"double slash in the scope", "POST", tokenPath, strings.Replace(good(), "%2F.default", "%2F%2F.default", 1), formHeader},
		{"Basic", "POST", tokenPath, bare, basic(clientID, secret)},
		{"Basic, form-encoded", "POST", tokenPath, bare, basic(url.QueryEscape(clientID), url.QueryEscape("a b&c%"))},
		{"Basic and the same in the body", "POST", tokenPath, good(), basic(clientID, secret)},
		{"another scheme of Authorization", "POST", tokenPath, good(), http.Header{"Authorization": {"Bearer x"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, h, got := in.ask(t, c.method, c.path, c.body, c.header)
			if status != http.StatusOK {
				t.Fatalf("%d %v", status, got)
			}
			token, _ := got["access_token"].(string)
			who, err := in.tokens.Validate(t.Context(), token)
			if err != nil || who.ID != clientID || who.Tenant != tenantID {
				t.Errorf("token is of %+v, %v", who, err)
			}
			delete(got, "access_token")
			if diff := cmp.Diff(map[string]any{"token_type": "Bearer", "expires_in": 3600.0, "ext_expires_in": 3600.0}, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if h.Get("Cache-Control") != "no-store" || !strings.HasPrefix(h.Get("Content-Type"), "application/json") {
				t.Errorf("headers %v", h)
			}
		})
	}
}

func TestRefusalsHaveTheFormOfRFC6749(t *testing.T) {
	in := install(t)
	without := func(name string) string {
		v, _ := url.ParseQuery(good())
		v.Del(name)
		return v.Encode()
	}
	with := func(name, value string) string {
		v, _ := url.ParseQuery(good())
		v.Set(name, value)
		return v.Encode()
	}
	auth := func(v string) http.Header { return http.Header{"Authorization": {v}} }
	for _, c := range []struct {
		name, method, path, body string
		header                   http.Header
		status                   int
		code                     string
		number                   float64
	}{
		{"unknown tenant", "POST", "/common/oauth2/v2.0/token", good(), formHeader, 400, "invalid_request", 90002},
		{"no tenant", "POST", "//oauth2/v2.0/token", good(), formHeader, 400, "invalid_request", 90002},
		{"wrong secret", "POST", tokenPath, with("client_secret", "guess"), formHeader, 401, "invalid_client", 7000215},
		{"expired secret", "POST", tokenPath, with("client_secret", "old"), formHeader, 401, "invalid_client", 7000215},
		{"unknown application", "POST", tokenPath, with("client_id", "00000000-0000-0000-0000-000000000000"), formHeader, 401, "invalid_client", 7000215},
		{"SQL as application", "POST", tokenPath, with("client_id", "' OR 1=1 --"), formHeader, 401, "invalid_client", 7000215},
		{"no secret", "POST", tokenPath, without("client_secret"), formHeader, 401, "invalid_client", 7000218},
		{"no client", "POST", tokenPath, without("client_id"), formHeader, 400, "invalid_request", 900144},
		{"no grant", "POST", tokenPath, without("grant_type"), formHeader, 400, "invalid_request", 900144},
		{"no scope", "POST", tokenPath, without("scope"), formHeader, 400, "invalid_request", 900144},
		{"secret in the query", "POST", tokenPath + "?client_secret=" + secret, without("client_secret"), formHeader, 401, "invalid_client", 7000218},
		{"everything in the query", "POST", tokenPath + "?" + good(), "", formHeader, 400, "invalid_request", 900144},
		{"password grant", "POST", tokenPath, with("grant_type", "password"), formHeader, 400, "unsupported_grant_type", 70003},
		{"another grant", "POST", tokenPath, with("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), formHeader, 400, "unsupported_grant_type", 70003},
		{"no refresh token", "POST", tokenPath, with("grant_type", "refresh_token"), formHeader, 400, "invalid_request", 900144},
		{"no device code", "POST", tokenPath, with("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), formHeader, 400, "invalid_request", 900144},
		{"no code", "POST", tokenPath, with("grant_type", "authorization_code"), formHeader, 400, "invalid_request", 900144},
		{"another resource", "POST", tokenPath, with("scope", "https://graph.microsoft.com/.default"), formHeader, 400, "invalid_scope", 70011},
		{"two resources", "POST", tokenPath, with("scope", scope+" https://api.security.microsoft.com/.default"), formHeader, 400, "invalid_scope", 70011},
		{"a single permission", "POST", tokenPath, with("scope", "https://api.securitycenter.microsoft.com/Machine.Read"), formHeader, 400, "invalid_scope", 70011},
		{"OIDC scopes alone", "POST", tokenPath, with("scope", "openid profile"), formHeader, 400, "invalid_scope", 70011},
		{"a device's audience", "POST", tokenPath, with("scope", "swab:device/.default"), formHeader, 400, "invalid_scope", 70011},
		{"JSON body", "POST", tokenPath, `{"grant_type":"client_credentials"}`, http.Header{"Content-Type": {"application/json"}}, 400, "invalid_request", 900144},
		{"a parameter encoded wrongly", "POST", tokenPath, good() + "&resource=%zz", formHeader, 400, "invalid_request", 900144},
		{"body not a form", "POST", tokenPath, "%zz", formHeader, 400, "invalid_request", 900144},
		{"parameter twice", "POST", tokenPath, good("client_secret", "other"), formHeader, 400, "invalid_request", 900144},
		{"huge body", "POST", tokenPath, good("x", strings.Repeat("y", maxForm)), formHeader, 400, "invalid_request", 900144},
		{"secret and assertion", "POST", tokenPath, good("client_assertion", "a.b.c"), formHeader, 400, "invalid_request", 900144},
		{"Basic that is no base64", "POST", tokenPath, good(), auth("Basic %%%"), 401, "invalid_client", 7000218},
		{"Basic without a colon", "POST", tokenPath, good(), auth("Basic " + base64.StdEncoding.EncodeToString([]byte("x"))), 401, "invalid_client", 7000218},
		{"Basic with a wrong secret", "POST", tokenPath, without("client_secret"), auth("Basic " + base64.StdEncoding.EncodeToString([]byte(clientID+":guess"))), 401, "invalid_client", 7000215},
		{"Basic and another client in the body", "POST", tokenPath, good(), auth("Basic " + base64.StdEncoding.EncodeToString([]byte("x:y"))), 400, "invalid_request", 900144},
		{"PUT", "PUT", tokenPath, good(), formHeader, 405, "invalid_request", 900561},
		{"no such endpoint", "GET", "/" + tenantID + "/oauth2/v2.0/nothing", "", nil, 404, "invalid_request", 90043},
		{"metadata of an unknown tenant", "GET", "/nobody/v2.0/.well-known/openid-configuration", "", nil, 400, "invalid_request", 90002},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, h, got := in.ask(t, c.method, c.path, c.body, c.header)
			numbers, _ := got["error_codes"].([]any)
			if status != c.status || got["error"] != c.code || len(numbers) != 1 || numbers[0] != c.number {
				t.Errorf("got %d %v %v, want %d %s %v", status, got["error"], numbers, c.status, c.code, c.number)
			}
			for _, name := range []string{"error_description", "timestamp", "trace_id", "correlation_id"} {
				if s, _ := got[name].(string); s == "" || strings.Contains(s, secret) || strings.Contains(s, "guess") {
					t.Errorf("%s is %q", name, s)
				}
			}
			if h.Get("request-id") != got["trace_id"] || h.Get("Retry-After") != "" {
				t.Errorf("headers %v", h)
			}
			if challenged := h.Get("WWW-Authenticate") != ""; challenged != (status == 401 && strings.HasPrefix(c.header.Get("Authorization"), "Basic")) {
				t.Errorf("WWW-Authenticate %q", h.Get("WWW-Authenticate"))
			}
			if status == 405 && h.Get("Allow") != "GET, POST" {
				t.Errorf("Allow %q", h.Get("Allow"))
			}
		})
	}
}

func TestTheClientsCorrelationIDIsEchoedIfItIsOne(t *testing.T) {
	in := install(t)
	const id = "0f0e9c1e-0000-4000-8000-000000000001"
	_, _, got := in.ask(t, "POST", tokenPath, "", http.Header{"Client-Request-Id": {id}})
	if got["correlation_id"] != id || got["trace_id"] == id {
		t.Errorf("correlation %v, trace %v", got["correlation_id"], got["trace_id"])
	}
	_, _, got = in.ask(t, "POST", tokenPath, "", http.Header{"Client-Request-Id": {"<script>"}})
	if got["correlation_id"] != got["trace_id"] {
		t.Errorf("correlation %v", got["correlation_id"])
	}
}

func TestAStoreThatFailsIsA503InTheSameForm(t *testing.T) {
	in := install(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	set, err := origin.New([]string{second}, nil)
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), store.Options{Database: storetest.Database(t), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	st.Close()
	s := New(Config{Keys: in.ring, Tokens: auth.NewTokens(set.Bases(), in.ring, st, time.Now), Tally: in.tally, Origin: set, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", second+tokenPath, strings.NewReader(good())))
	var got failure
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusServiceUnavailable || got.Error != "temporarily_unavailable" || w.Header().Get("Retry-After") != "5" || strings.Contains(got.Description, "sql") {
		t.Errorf("%d %+v %v", w.Code, got, w.Header())
	}
}

func TestWhatIsNotReadMayBeWrittenAnyhow(t *testing.T) {
	in := install(t)
	for _, more := range []string{"&x-client-sku=a;b", "&telemetry=100%&%zz=1", "&&=&", "&x=1&x=2"} {
		if status, _, got := in.ask(t, "POST", tokenPath, good()+more, formHeader); status != http.StatusOK {
			t.Errorf("%s: %d %v", more, status, got)
		}
	}
	basic := http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(strings.ToUpper(clientID)+":"+secret))}}
	if status, _, got := in.ask(t, "POST", tokenPath, good(), basic); status != http.StatusOK {
		t.Errorf("the id in capitals by Basic, and in the body: %d %v", status, got)
	}
}

func FuzzBasicHeader(f *testing.F) {
	f.Add("Basic " + base64.StdEncoding.EncodeToString([]byte("id:secret")))
	f.Add("basic  OjoQ==")
	f.Add("Basic")
	f.Fuzz(func(t *testing.T, header string) {
		id, secret, ok, err := basicAuth([]string{header})
		if ok && (err != nil || id == "" || secret == "") || !ok && (id != "" || secret != "") {
			t.Errorf("%q: %q %q %t %v", header, id, secret, ok, err)
		}
	})
}

func FuzzForm(f *testing.F) {
	f.Add(good())
	f.Add("a=b&a=c&grant_type=x&grant_type=y")
	f.Add("%zz;&=&&")
	f.Fuzz(func(t *testing.T, body string) {
		got, err := parseForm(body, parameters)
		if err == nil && len(got) > len(parameters) {
			t.Errorf("%q: %v", body, got)
		}
	})
}

// BenchmarkTokenBySecret is the whole way over TLS, client included: of one
// application, by as many callers as there are processors.
func BenchmarkTokenBySecret(b *testing.B) {
	in := install(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if status, _, got := in.ask(b, "POST", tokenPath, good(), formHeader); status != http.StatusOK {
				b.Fatal(status, got)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
}
