package issuer

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"swab/internal/audit"
	"swab/internal/auth"
)

// Two tenants with the same application and a person of the same name: what one
// gave is worth nothing at the other.
func TestTenantsAreApart(t *testing.T) {
	in := install(t)
	in.people(t)
	const other = "e3b2a1f0-66c7-4e7d-8f90-a1b2c3d4e5f6"
	now := in.now().Add(-time.Hour)
	if err := in.store.CreateTenant(t.Context(), auth.Tenant{ID: other, Name: "fabrikam.example", Created: now},
		audit.NewEntry(now, audit.Leaf{Act: audit.ActStart, Object: other, Result: audit.Done}, audit.Hidden{})); err != nil {
		t.Fatal(err)
	}
	for _, app := range []auth.App{
		{ID: native, Scopes: []string{auth.Read}, Redirects: []string{"http://localhost"}, Public: true},
		{ID: single, Scopes: []string{auth.Read}, Redirects: []string{siteBack}, Public: true},
	} {
		app.Tenant, app.Created = other, now
		if err := in.store.CreateApp(t.Context(), app); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.store.CreateUser(t.Context(), auth.Person{Tenant: other, ID: annID, Principal: ann, Created: now}, auth.Credential{}); err != nil {
		t.Fatal(err)
	}
	there := func(path string) string { return strings.Replace(path, tenantID, other, 1) }
	b := in.browser(t)
	silent := authorizeV2 + request(single, siteBack, "prompt", "none")
	code := func() string {
		return b.signIn(b.get(authorizeV2 + request(single, siteBack, "prompt", "login"))).to(t).Query().Get("code")
	}
	redeem := func(path, code string) (int, map[string]any) {
		return in.token(t, path, "grant_type", "authorization_code", "client_id", single, "code", code, "redirect_uri", siteBack, "code_verifier", verifier)
	}
	if status, got := redeem(there(tokenPath), code()); status != 400 || got["error"] != "invalid_grant" {
		t.Errorf("a code: %d %v", status, got)
	}
	_, got := redeem(tokenPath, code())
	if q := b.get(silent).to(t).Query(); q.Get("code") == "" {
		t.Fatalf("at home: %v", q)
	}
	if q := b.get(there(silent)).to(t).Query(); q.Get("error") != "login_required" {
		t.Errorf("signed in at one, and at the other: %v", q)
	}
	u, _ := url.Parse(in.URL)
	for _, c := range b.Jar.Cookies(u) {
		if c.Name == sessionCookie+tenantID {
			b.Jar.SetCookies(u, []*http.Cookie{{Name: sessionCookie + other, Value: c.Value, Path: "/", Secure: true}})
		}
	}
	if q := b.get(there(silent)).to(t).Query(); q.Get("error") != "login_required" {
		t.Errorf("by the other's cookie: %v", q)
	}
	if status, got := in.token(t, there(tokenPath), "grant_type", "refresh_token", "client_id", single, "refresh_token", got["refresh_token"].(string)); status != 400 || got["error"] != "invalid_grant" {
		t.Errorf("a refresh token: %d %v", status, got)
	}
	if status, _ := in.token(t, there("/"+tenantID+"/oauth2/v2.0/revoke"), "client_id", single, "token", got["refresh_token"].(string)); status != 200 {
		t.Errorf("given back at the other: %d", status)
	}
	if _, err := in.tokens.Validate(t.Context(), got["access_token"].(string)); err != nil {
		t.Errorf("the other ended it: %v", err)
	}
	_, device := in.token(t, devicePathV2, "client_id", native, "scope", read)
	if status, got := in.token(t, there(tokenPath), "grant_type", deviceGrant, "client_id", native, "device_code", device["device_code"].(string)); status != 400 || got["error"] != "expired_token" {
		t.Errorf("a device code: %d %v", status, got)
	}
	page := b.get(authorizeV2 + request(single, siteBack, "prompt", "login"))
	page.body = strings.Replace(page.body, `action="/`+tenantID, `action="/`+other, 1)
	if v := b.submit(page, "username", ann, "password", password); v.status != 400 {
		t.Errorf("a form: %d %s", v.status, v.text())
	}
	if hint, err := in.tokens.Hinted(t.Context(), other, got["id_token"].(string)); err == nil {
		t.Errorf("an id token says at the other: %+v", hint)
	}
	v := b.signIn(b.get(there("/" + tenantID + "/account")))
	if v.status != http.StatusForbidden {
		t.Errorf("by the other's password: %d %s", v.status, v.text())
	}
}

// What lets somebody in stands in no line of the log, of whatever level, and not in
// the audit log.
func TestSecretsAreLoggedNowhere(t *testing.T) {
	in := install(t)
	in.people(t)
	in.config.Passwords = true
	b := in.browser(t)
	page := b.get(authorizeV2 + request(single, siteBack))
	b.submit(page, "username", ann, "password", "the wrong canary")
	b.submit(page, "username", "the canary typed in the wrong field", "password", "x")
	code := b.signIn(page).to(t).Query().Get("code")
	_, got := in.token(t, tokenPath, "grant_type", "authorization_code", "client_id", single, "code", code, "redirect_uri", siteBack, "code_verifier", verifier)
	in.token(t, tokenPath, "grant_type", "refresh_token", "client_id", single, "refresh_token", got["refresh_token"].(string))
	in.token(t, tokenPath, "grant_type", "refresh_token", "client_id", single, "refresh_token", got["refresh_token"].(string))
	in.token(t, tokenPath, "grant_type", "password", "client_id", native, "username", ann, "password", "another canary", "scope", read)
	_, device := in.token(t, devicePathV2, "client_id", native, "scope", read)
	secrets := map[string]string{
		"password": password, "wrong password": "canary", "code": code, "verifier": verifier, "refresh token": got["refresh_token"].(string),
		"access token": got["access_token"].(string), "id token": got["id_token"].(string), "device code": device["device_code"].(string),
		"user code": device["user_code"].(string),
	}
	u, _ := url.Parse(in.URL)
	for _, c := range b.Jar.Cookies(u) {
		secrets["cookie "+c.Name] = c.Value
	}
	if len(secrets) != 12 {
		t.Errorf("looked for %d secrets, want 12", len(secrets))
	}
	log := in.log.String() + in.audited(t)
	if !strings.Contains(log, "signed in") || !strings.Contains(log, "signin.done") || !strings.Contains(log, "signin.reuse") {
		t.Error("there is no log")
	}
	for what, s := range secrets {
		if strings.Contains(log, s) {
			t.Errorf("the %s stands in a log", what)
		}
	}
}

// audited is the tenant's audit log.
func (in *installation) audited(t testing.TB) string {
	t.Helper()
	head, err := in.store.Head(t.Context(), tenantID)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := in.store.AuditEntries(t.Context(), tenantID, 0, int(head.Size))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&text, "%s %+v\n", e.Leaf, e.Opening.Hidden)
	}
	return text.String()
}
