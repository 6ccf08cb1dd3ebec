package api

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"swab/internal/access"
	"swab/internal/audit"
	"swab/internal/canon"
)

// signIn gets a token of an application by its secret; g is the endpoint's answer.
func (in *installation) signIn(t testing.TB, tenant, app, secret string) (token string, g got) {
	t.Helper()
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {app}, "client_secret": {secret},
		"scope": {"https://api.securitycenter.microsoft.com/.default"},
	}
	g = in.send(t, "POST", "/"+tenant+"/oauth2/v2.0/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	return g.text("access_token"), g
}

// newCertificate is DER of a certificate with a P-256 key.
func newCertificate(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "soar"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

const adminPath = "/api/admin/v1/"

func TestApplicationIsMadeUsedAndRevoked(t *testing.T) {
	in := install(t)
	until := in.now().Add(48 * time.Hour).Truncate(time.Second)
	g := in.as(t, full, "POST", adminPath+"apps", `{"name":"SOAR","roles":["Machine.Read.All"],"secret":{"name":"prod","expires":"`+
		until.In(time.FixedZone("", 2*3600)).Format(time.RFC3339)+`"}}`)
	id, secret := g.text("id"), g.text("clientSecret")
	if g.status != http.StatusCreated || len(secret) != 43 || g.header.Get("Location") != in.URL+adminPath+"apps/"+id || g.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("create: %d %s, Location %q", g.status, g.raw, g.header.Get("Location"))
	}
	if g := in.as(t, full, "GET", adminPath+"apps/"+id, ""); g.status != 200 || strings.Contains(g.raw, secret) || !strings.Contains(g.raw, `"name":"prod"`) || !strings.Contains(g.raw, `"expires":"`+canon.FormatTime(until)+`"`) {
		t.Errorf("show: %d %s", g.status, g.raw)
	}
	if g := in.as(t, full, "GET", adminPath+"apps", ""); g.status != 200 || strings.Count(g.raw, `"roles":`) != 5 || strings.Contains(g.raw, secret) {
		t.Errorf("list: %d %s", g.status, g.raw)
	}
	token, g := in.signIn(t, tenantID, id, secret)
	if g.status != 200 {
		t.Fatalf("token: %d %s", g.status, g.raw)
	}
	ask := func() got { return in.send(t, "GET", "/api/machines", "", "Authorization", "Bearer "+token) }
	if g := ask(); g.status != 200 {
		t.Errorf("machines: %d %s", g.status, g.raw)
	}

	// A second secret and a certificate come and go; the first one still serves.
	g = in.as(t, full, "POST", adminPath+"apps/"+id+"/secrets", "")
	second := g.text("clientSecret")
	if _, s := in.signIn(t, tenantID, id, second); g.status != http.StatusCreated || s.status != 200 {
		t.Errorf("second secret: %d %s; token %d", g.status, g.raw, s.status)
	}
	if g := in.as(t, full, "DELETE", adminPath+"apps/"+id+"/secrets/"+g.text("id"), ""); g.status != 200 || strings.Count(g.raw, `"expires"`) != 1 {
		t.Errorf("remove: %d %s", g.status, g.raw)
	}
	if _, s := in.signIn(t, tenantID, id, second); s.status != http.StatusUnauthorized {
		t.Errorf("a removed secret: %d %s", s.status, s.raw)
	}
	der := newCertificate(t)
	text, err := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	if err != nil {
		t.Fatal(err)
	}
	g = in.as(t, full, "POST", adminPath+"apps/"+id+"/certificates", `{"name":"hsm","certificate":`+string(text)+`}`)
	if cert := g.text("id"); g.status != http.StatusCreated || len(cert) != 64 {
		t.Errorf("certificate: %d %s", g.status, g.raw)
	} else if g := in.as(t, full, "DELETE", adminPath+"apps/"+id+"/certificates/"+strings.ToUpper(cert), ""); g.status != 200 {
		t.Errorf("remove the certificate: %d %s", g.status, g.raw)
	}
	if g = in.as(t, full, "POST", adminPath+"apps/"+id+"/certificates", fmt.Sprintf(`{"certificate":%q}`, base64.StdEncoding.EncodeToString(der))); g.status != http.StatusCreated {
		t.Errorf("certificate as DER: %d %s", g.status, g.raw)
	}

	// Revoked: at once, token and all.
	for range 2 {
		if g := in.as(t, full, "POST", adminPath+"apps/"+id+"/revoke", ""); g.status != 200 || !strings.Contains(g.raw, `"revoked":true`) {
			t.Errorf("revoke: %d %s", g.status, g.raw)
		}
	}
	if g := ask(); g.status != http.StatusUnauthorized || g.code(t) != "Unauthorized" {
		t.Errorf("a revoked application's token: %d %s", g.status, g.raw)
	}
	if _, s := in.signIn(t, tenantID, id, secret); s.status != http.StatusUnauthorized {
		t.Errorf("a revoked application gets a token: %d %s", s.status, s.raw)
	}
	if g := in.as(t, full, "POST", adminPath+"apps/"+full+"/revoke", ""); g.status != http.StatusForbidden || g.code(t) != "DisallowedOperation" {
		t.Errorf("revoke the last administrator: %d %s", g.status, g.raw)
	}
	if strings.Contains(in.log.String(), secret) || strings.Contains(in.log.String(), second) {
		t.Error("a secret is in the log")
	}
}

func TestEnrolmentTokenIsMadeAndAdmits(t *testing.T) {
	in := install(t)
	until := canon.FormatTime(in.now().Add(time.Hour))
	g := in.as(t, full, "POST", adminPath+"enrollments", `{"name":"racks","count":2,"expires":"`+until+`","tags":["Zürich","web"]}`)
	token := g.text("token")
	if g.status != http.StatusCreated || !strings.HasPrefix(token, "swab-enrol-") || !strings.Contains(g.raw, `"remaining":2,"expires":"`+until+`","revoked":false,"tags":["Zürich","web"]`) {
		t.Fatalf("create: %d %s", g.status, g.raw)
	}
	if list := in.as(t, full, "GET", adminPath+"enrollments", ""); !strings.Contains(list.raw, g.text("id")) || strings.Contains(list.raw, token) {
		t.Errorf("list: %s", list.raw)
	}
	if g := in.as(t, full, "POST", adminPath+"enrollments", "{}"); g.status != http.StatusCreated || !strings.Contains(g.raw, `"remaining":null,"expires":null`) {
		t.Errorf("without bounds: %d %s", g.status, g.raw)
	}
}

func TestTenantIsMadeAndRevoked(t *testing.T) {
	in := install(t)
	theirs := in.newTenant(t, "contoso-token.example")
	if theirs.made.text("warning") == "" || theirs.made.text("apiBase") != in.URL || theirs.made.text("authority") != in.URL+"/"+theirs.id || theirs.made.text("receiptKey") == "" {
		t.Errorf("made: %s", theirs.made.raw)
	}
	if g := in.with(t, theirs, "GET", adminPath+"tenants", ""); strings.Count(g.raw, `"id"`) != 1 || !strings.Contains(g.raw, theirs.id) {
		t.Errorf("its own list: %s", g.raw)
	}
	if g := in.as(t, full, "GET", adminPath+"tenants", ""); strings.Count(g.raw, `"id"`) != 2 {
		t.Errorf("the home tenant's list: %s", g.raw)
	}
	if g := in.with(t, theirs, "POST", adminPath+"tenants", `{"name":"x"}`); g.status != http.StatusForbidden || g.code(t) != "DisallowedOperation" {
		t.Errorf("create by another tenant: %d %s", g.status, g.raw)
	}
	if g := in.as(t, full, "POST", adminPath+"tenants", `{"name":"contoso-token.example"}`); g.status != http.StatusBadRequest || g.code(t) != "InvalidInput" {
		t.Errorf("a second one of the name: %d %s", g.status, g.raw)
	}
	if g := in.as(t, full, "POST", adminPath+"tenants/"+theirs.id+"/revoke", ""); g.status != 200 || !strings.Contains(g.raw, `"revoked":true`) {
		t.Errorf("revoke: %d %s", g.status, g.raw)
	}
	if g := in.with(t, theirs, "GET", "/api/machines", ""); g.status != http.StatusUnauthorized {
		t.Errorf("its token after that: %d %s", g.status, g.raw)
	}
}

func TestDeviceIsRevoked(t *testing.T) {
	in := install(t)
	if g := in.as(t, full, "POST", adminPath+"devices/wks-042.corp.example/revoke", ""); g.status != http.StatusNotFound {
		t.Errorf("by its name: %d %s", g.status, g.raw)
	}
	if g := in.as(t, full, "POST", adminPath+"devices/"+string(in.device.ID)+"/revoke", ""); g.status != 200 || !strings.Contains(g.raw, `"name":"wks-042.corp.example","revoked":true`) {
		t.Errorf("revoke: %d %s", g.status, g.raw)
	}
	if g := in.as(t, full, "POST", in.collectPath(), `{"Comment":"x"}`); g.status != http.StatusForbidden || g.code(t) != "DisallowedOperation" {
		t.Errorf("collect from it: %d %s", g.status, g.raw)
	}
}

func TestBodiesOfAdministratorsAreReadStrictly(t *testing.T) {
	in := install(t)
	before := len(in.leaves(t))
	bodies := []string{
		"", "[]", "null", "{", `{"name":1}`, `{"name":"x","name":"y"}`, `{"name":"x","expire":"2037-01-01T00:00:00Z"}`, "\ufeff{}", "{\"name\":\"\xff\"}",
		`{"name":"\ud800"}`, `{"name":"x"} {}`, strings.Repeat(`{"name":`, 20_000), `{"name":"x","tags":["a",1]}`, `{"name":"x","roles":"y"}`,
		`{"name":"x","count":1.5}`, `{"name":"x","count":0}`, `{"name":"x","count":1e3}`, `{"name":"x","count":NaN}`, `{"name":"x","expires":""}`,
		`{"name":"x","expires":"tomorrow"}`, `{"name":"x","expires":"0001-01-01T00:00:00Z"}`, `{"name":"x","secret":[]}`, `{"name":"x","secret":{"a":1}}`,
		`{"name":"` + strings.Repeat("x", 64<<10) + `"}`,
	}
	for _, path := range []string{"apps", "enrollments", "tenants", "users", "userGroups", "roles", "deviceGroups", "issuers"} {
		for _, body := range bodies {
			if body == "" && path == "enrollments" {
				continue // takes none
			}
			if g := in.as(t, full, "POST", adminPath+path, body); g.status != http.StatusBadRequest || g.code(t) != "InvalidRequestBody" {
				t.Errorf("%s %.60s: %d %s", path, body, g.status, g.raw)
			}
		}
		if g := in.as(t, full, "POST", adminPath+path, "<a/>", "Content-Type", "application/xml"); g.status != http.StatusUnsupportedMediaType {
			t.Errorf("%s, XML: %d %s", path, g.status, g.raw)
		}
		if g := in.as(t, full, "POST", adminPath+path+"?$top=1", `{"name":"x"}`); g.code(t) != "ODataError" {
			t.Errorf("%s with an option: %d %s", path, g.status, g.raw)
		}
	}
	for path, bodies := range map[string][]string{
		"apps":  {`{"public":"yes"}`, `{"public":1}`, `{"redirects":{}}`, `{"scopes":[null]}`},
		"users": {`{"administrator":"true"}`, `{"groups":"x"}`, `{"password":1}`},
		"deviceGroups": {
			`{"rule":{}}`, `{"rule":[1]}`, `{"rule":[[]]}`, `{"rule":["x"]}`, `{"rule":[{"property":1}]}`, `{"rule":[{"x":1}]}`, `{"rule":[{"property":"tag","property":"os"}]}`, `{"rule":[{"values":"x"}]}`, `{"rank":0}`,
		},
		"deviceGroups/order":   {`{"ids":[1.5]}`, `{"ids":"1"}`, `{"ids":["1"]}`, `{"ids":[99999999999999999999]}`, `{"ids":{}}`},
		"deviceGroups/preview": {`{"rule":"x"}`, `{"name":"x"}`},
		"issuers":              {`{"groups":[]}`, `{"groups":{"a":1}}`, `{"groups":{"a":"x","a":"y"}}`, `{"claims":[]}`, `{"claims":{"x":"y"}}`, `{"claims":{"person":1}}`, `{"roles":{"a":null}}`},
	} {
		for _, body := range bodies {
			if g := in.as(t, full, "POST", adminPath+path, body); g.status != http.StatusBadRequest || g.code(t) != "InvalidRequestBody" {
				t.Errorf("%s %s: %d %s", path, body, g.status, g.raw)
			}
		}
	}
	for _, l := range in.leaves(t)[before:] {
		if l.Result != audit.Refused {
			t.Errorf("entry %+v", l)
		}
	}
}

// The names that a tenant can't have are all those that the server's own
// addresses begin with.
func TestNoTenantTakesAnAddressOfTheServer(t *testing.T) {
	for _, rt := range New(Config{}).routes {
		first, _, _ := strings.Cut(rt.pattern, "/")
		if access.CheckTenantName(first) == nil {
			t.Errorf("a tenant may be called %s, as %s %s is", first, rt.method, rt.pattern)
		}
	}
}

// another is a tenant beside the installation's first, with what the API made.
type another struct {
	id, token string
	made      got
}

func (in *installation) newTenant(t testing.TB, name string) another {
	t.Helper()
	g := in.as(t, full, "POST", adminPath+"tenants", `{"name":"`+name+`"}`)
	if g.status != http.StatusCreated {
		t.Fatalf("create tenant %s: %d %s", name, g.status, g.raw)
	}
	token, s := in.signIn(t, g.text("tenantId"), g.text("clientId"), g.text("clientSecret"))
	if token == "" {
		t.Fatalf("token of tenant %s: %d %s", name, s.status, s.raw)
	}
	return another{id: g.text("tenantId"), token: token, made: g}
}

// with sends a request with the token of another tenant's application.
func (in *installation) with(t testing.TB, of another, method, path, body string) got {
	t.Helper()
	return in.send(t, method, path, body, "Authorization", "Bearer "+of.token)
}
