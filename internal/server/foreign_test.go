package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"swab/client"
	"swab/internal/accessfile"
	"swab/internal/auth"
	"swab/internal/keys"
	"swab/internal/server"
	"swab/internal/store"
)

// annThere is the id of a person of the other installation.
const annThere = "00000000-0000-4000-8000-00000000000b"

const defender = "https://api.securitycenter.microsoft.com"

// foreignSwab is another installation: a server that gives tokens, and its keys,
// by which a test makes those that it would not.
type foreignSwab struct {
	settings  server.Config
	bootstrap server.Bootstrap
	tokens    *auth.Tokens
}

func newForeignSwab(t *testing.T) *foreignSwab {
	t.Helper()
	f := &foreignSwab{settings: settings(t, t.TempDir())}
	s, stop := start(t, f.settings)
	f.bootstrap = s.Bootstrap()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	within(t, f.settings, func(st *store.Store) {
		ring, err := keys.Open(t.Context(), keys.Config{Store: st, Dir: f.settings.Data, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		f.tokens = auth.NewTokens([]string{f.bootstrap.APIBase}, ring, st, time.Now)
	})
	return f
}

// within opens the database of a server that does not run.
func within(t *testing.T, c server.Config, do func(*store.Store)) {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Database: "sqlite:" + filepath.Join(c.Data, "swab.db"), Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	do(st)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

// person is a token by which somebody's application acts for them.
func (f *foreignSwab) person(t *testing.T, groups, scopes []string) string {
	t.Helper()
	issued, err := f.tokens.Delegate(f.bootstrap.APIBase, defender, auth.Delegation{
		App: auth.App{Tenant: f.bootstrap.TenantID, ID: "00000000-0000-4000-8000-00000000000a", Name: "console"}, By: auth.ByNothing,
		Person: auth.Person{Tenant: f.bootstrap.TenantID, ID: annThere, Principal: "ann@hq.example", Groups: groups},
		Scopes: scopes, Session: "00000000-0000-4000-8000-00000000000c",
	})
	if err != nil {
		t.Fatal(err)
	}
	return issued.Token
}

// trusting is a client of servers whose certificate an authority signed.
func trusting(t *testing.T, ca string) *http.Client {
	t.Helper()
	text, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// application is the token that the other server itself gives its application.
func (f *foreignSwab) application(t *testing.T) string {
	t.Helper()
	return tokenOf(t, f.bootstrap)
}

// tokenOf is a token of the application that a server begins with.
func tokenOf(t *testing.T, b server.Bootstrap) string {
	t.Helper()
	resp, err := trusting(t, b.CAFile).PostForm(b.Authority+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {b.ClientID}, "client_secret": {b.ClientSecret}, "scope": {defender + "/.default"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var issued struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&issued); err != nil || issued.Token == "" {
		t.Fatalf("%d, %v", resp.StatusCode, err)
	}
	return issued.Token
}

// asked is what a server answers to a token.
type asked struct {
	status int
	header http.Header
	body   string
}

func ask(t *testing.T, b server.Bootstrap, method, path, token string) asked {
	t.Helper()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(`{"Comment":"x"}`)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, b.APIBase+path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	resp, err := trusting(t, b.CAFile).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return asked{resp.StatusCode, resp.Header, string(text)}
}

// TestAnotherInstallationsTokensHold has two servers, of which the one trusts the
// other: tokens by whom each may do what its record here says.
func TestAnotherInstallationsTokensHold(t *testing.T) {
	there := newForeignSwab(t)
	_, stopThere := start(t, there.settings)

	here := settings(t, t.TempDir(), "--issuer-ca", there.bootstrap.CAFile)
	s, stop := start(t, here)
	own, ctx := s.Bootstrap(), t.Context()
	if got := ask(t, own, "GET", "/api/machines", there.application(t)); got.status != 401 {
		t.Errorf("before the other is trusted: %d, %s", got.status, got.body)
	}
	c := administrator(t, own)
	group, err := c.CreateUserGroup(ctx, client.UserGroupRequest{Name: "SOC"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateRole(ctx, client.RoleRequest{Name: "Reader", Permissions: []string{string(auth.ViewData)}, UserGroups: []string{group.ID}}); err != nil {
		t.Fatal(err)
	}
	issuer, err := c.CreateIssuer(ctx, client.IssuerRequest{
		Name: "headquarters", URL: auth.Issuer(there.bootstrap.APIBase, there.bootstrap.TenantID), Audiences: []string{defender},
		Groups: map[string]string{"theirs": group.ID}, Roles: map[string]string{auth.ReadAll: auth.ReadAll}, Networks: []string{"127.0.0.1/32"},
	})
	if err != nil {
		t.Fatal(err)
	}
	const collect = "/api/machines/3d1f0a9b5c7e2d4486a0f1b2c3d4e5f607182930/collectInvestigationPackage"
	application, reader := there.application(t), there.person(t, []string{"theirs"}, []string{auth.Read, auth.CollectForensics})
	for _, c := range []struct {
		name, method, path, token string
		status                    int
		says                      string
	}{
		{"an application with a mapped role", "GET", "/api/machines", application, 200, ""},
		{"an application without", "POST", collect, application, 403, "application roles: Machine.Read.All."},
		{"one that administers there", "GET", "/api/admin/v1/apps", application, 403, "Missing application roles"},
		{"a person in a mapped group", "GET", "/api/machines", reader, 200, ""},
		{"a person whose role lacks it", "POST", collect, reader, 403, "Missing user roles. API required roles: Alerts investigation, user roles: View data."},
		{"a person in no group", "GET", "/api/machines", there.person(t, []string{"others"}, []string{auth.Read}), 403, "Missing user roles"},
		{"a person without the scope", "GET", "/api/machines", there.person(t, []string{"theirs"}, []string{auth.CollectForensics}), 403, "Missing application scopes"},
	} {
		if got := ask(t, own, c.method, c.path, c.token); got.status != c.status || !strings.Contains(got.body, c.says) {
			t.Errorf("%s: %d, %s; want %d and %q", c.name, got.status, got.body, c.status, c.says)
		}
	}
	page, err := c.Audit(ctx, 0, 1000)
	if err != nil || !slices.ContainsFunc(page.Entries, func(e client.AuditEntry) bool {
		h := e.Opening.Hidden
		return h.Who == "user/"+issuer.ID+"/"+annThere && h.Name == "ann@hq.example" && strings.Contains(string(e.Leaf), `"refused"`)
	}) {
		t.Errorf("no entry says that the other issuer's user was refused: %v", err)
	}

	// The other one goes away: what is known goes on, through a change of the record.
	if err := stopThere(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ChangeIssuer(ctx, issuer.ID, client.IssuerChange{Groups: &map[string]string{}}); err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]int{application: 200, reader: 403} {
		if got := ask(t, own, "GET", "/api/machines", token); got.status != want {
			t.Errorf("while the other server is down, and nobody's group is mapped: %d, %s; want %d", got.status, got.body, want)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// After a restart nothing is known.
	start(t, here)
	got := ask(t, own, "GET", "/api/machines", application)
	if got.status != 503 || got.header.Get("Retry-After") == "" || strings.Contains(got.body, "127.0.0.1") {
		t.Errorf("without the other's keys: %d, Retry-After %q, %s", got.status, got.header.Get("Retry-After"), got.body)
	}
	if _, err := administrator(t, own).RevokeIssuer(ctx, issuer.ID); err != nil {
		t.Fatal(err)
	}
	if got = ask(t, own, "GET", "/api/machines", application); got.status != 401 || !strings.Contains(got.header.Get("WWW-Authenticate"), "invalid_token") {
		t.Errorf("of a revoked issuer: %d, %s", got.status, got.body)
	}
}

// administrator is a client of a server's first application.
func administrator(t *testing.T, b server.Bootstrap) *client.Client {
	t.Helper()
	cred, err := client.ReadCredentials(filepath.Join(filepath.Dir(b.CAFile), "bootstrap.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(cred.Config())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheFileOfAuthoritiesHasToBeOne(t *testing.T) {
	file := filepath.Join(t.TempDir(), "none.pem")
	_, err := server.New(t.Context(), settings(t, t.TempDir(), "--issuer-ca", file), slog.New(slog.DiscardHandler), time.Now)
	if err == nil || !strings.Contains(err.Error(), "--issuer-ca") || !strings.Contains(err.Error(), file) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// The examples of the page can be applied as they stand.
func TestIssuersOfThePageAreReadable(t *testing.T) {
	page, err := os.ReadFile("../../docs/issuers.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```yaml\n")[1:]
	if len(blocks) != 3 {
		t.Errorf("the page has %d examples, want 3", len(blocks))
	}
	for _, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		if f, err := accessfile.Parse([]byte(text)); err != nil || len(f.Issuers) == 0 {
			t.Errorf("%v in:\n%s", err, text)
		}
	}
}
