package issuer

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/auth"
)

const (
	tokenPathOfV1 = "/" + tenantID + "/oauth2/token"
	resource      = "https://api.securitycenter.microsoft.com"
)

// goodV1 is a form for the v1 endpoint.
func goodV1(resource string, extra ...string) string {
	return formOf(append([]string{"grant_type", "client_credentials", "client_id", clientID, "client_secret", secret, "resource", resource}, extra...)...)
}

func TestV1AnswersNumbersAsStringsAndNamesTheResource(t *testing.T) {
	in := install(t)
	for _, c := range []struct {
		name, method, path, body string
		header                   http.Header
		resource                 string
	}{
		{"POST", "POST", tokenPathOfV1, goodV1(resource), formHeader, resource},
		{"GET with the form in its body", "GET", tokenPathOfV1, goodV1(resource), formHeader, resource},
		{"no Content-Type", "POST", tokenPathOfV1, goodV1(resource), http.Header{}, resource},
		{"resource with a slash", "POST", tokenPathOfV1, goodV1(resource + "/"), formHeader, resource + "/"},
		{"resource in another case", "POST", tokenPathOfV1, goodV1("HTTPS://API.Security.Microsoft.com"), formHeader, "HTTPS://API.Security.Microsoft.com"},
		{"path in another case, tenant by name", "POST", "/CONTOSO.example/OAUTH2/Token/", goodV1(resource), formHeader, resource},
		{"query is ignored", "POST", tokenPathOfV1 + "?api-version=1.0&resource=x", goodV1(resource), formHeader, resource},
		{"OIDC scope beside", "POST", tokenPathOfV1, goodV1(resource, "scope", "openid"), formHeader, resource},
		{"a scope in the resource's place", "POST", tokenPathOfV1, good(), formHeader, resource},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := time.Now().Unix()
			status, h, got := in.ask(t, c.method, c.path, c.body, c.header)
			if status != http.StatusOK || h.Get("Cache-Control") != "no-store" {
				t.Fatalf("%d %v %v", status, h, got)
			}
			who, err := in.tokens.Validate(t.Context(), fmt.Sprint(got["access_token"]))
			if err != nil || who.ID != clientID {
				t.Errorf("token is of %+v, %v", who, err)
			}
			from, err := strconv.ParseInt(fmt.Sprint(got["not_before"]), 10, 64)
			if err != nil || from < before || from > time.Now().Unix() {
				t.Errorf("not_before %v", got["not_before"])
			}
			delete(got, "access_token")
			want := map[string]any{
				"token_type": "Bearer", "expires_in": "3600", "ext_expires_in": "3600", "resource": c.resource,
				"not_before": got["not_before"], "expires_on": strconv.FormatInt(from+3600, 10),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestV1RefusesAnotherResourceAsSuch(t *testing.T) {
	in := install(t)
	for _, c := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"another resource", goodV1("https://graph.microsoft.com"), 400, "invalid_resource"},
		{"the resource of old samples", goodV1("https://userrequestsgraphapi-prd.trafficmanager.net"), 400, "invalid_resource"},
		{"a scope as resource", goodV1(resource + "/.default"), 400, "invalid_resource"},
		{"a device's audience", goodV1("swab:device"), 400, "invalid_resource"},
		{"no resource", goodV1(""), 400, "invalid_request"},
		{"two resources", goodV1(resource, "resource", resource), 400, "invalid_request"},
		{"another scope in its place", strings.Replace(good(), url.QueryEscape(scope), "https%3A%2F%2Fgraph.microsoft.com%2F.default", 1), 400, "invalid_scope"},
		{"wrong secret", strings.Replace(goodV1(resource), secret, "guess", 1), 401, "invalid_client"},
		{"device code", strings.Replace(goodV1(resource), "client_credentials", "device_code", 1), 400, "invalid_request"},
	} {
		if status, _, got := in.ask(t, "POST", tokenPathOfV1, c.body, formHeader); status != c.status || got["error"] != c.code {
			t.Errorf("%s: %d %v, want %d %s", c.name, status, got, c.status, c.code)
		}
	}
}

func TestEveryResourceNameOfTheAPIIsGranted(t *testing.T) {
	in := install(t)
	names := append([]string{in.URL, second}, in.tokens.Resources...)
	if len(names) < 25 {
		t.Fatalf("only %d names", len(names))
	}
	for _, name := range names {
		for _, slash := range []string{"", "/"} {
			status, _, got := in.ask(t, "POST", tokenPathOfV1, goodV1(name+slash), formHeader)
			if status != http.StatusOK || got["resource"] != name+slash {
				t.Errorf("v1, %s%s: %d %v", name, slash, status, got)
			}
			body := strings.Replace(good(), url.QueryEscape(scope), url.QueryEscape(name+slash+"/.default"), 1)
			status, _, got = in.ask(t, "POST", tokenPath, body, formHeader)
			if status != http.StatusOK {
				t.Errorf("v2, %s%s/.default: %d %v", name, slash, status, got)
				continue
			}
			if _, err := in.tokens.Validate(t.Context(), fmt.Sprint(got["access_token"])); err != nil {
				t.Errorf("v2, %s%s/.default: the token does not hold: %v", name, slash, err)
			}
		}
	}
}

func TestWhoWasRevokedIsAsIfAbsent(t *testing.T) {
	in := install(t)
	revoked := auth.App{Tenant: tenantID, ID: "00000000-0000-4000-8000-000000000001", Revoked: true, Created: time.Now(), Secrets: []auth.Secret{{ID: "1", Hash: auth.NewSecret().Hash()}}}
	known := auth.NewSecret()
	revoked.Secrets = append(revoked.Secrets, auth.Secret{ID: "2", Hash: known.Hash()})
	if err := in.store.CreateApp(t.Context(), revoked); err != nil {
		t.Fatal(err)
	}
	ask := func(tenant, app, secret string) (int, string) {
		status, _, got := in.ask(t, "POST", "/"+tenant+"/oauth2/v2.0/token",
			formOf("grant_type", "client_credentials", "client_id", app, "client_secret", secret, "scope", scope), formHeader)
		text, _, _ := strings.Cut(fmt.Sprint(got["error"], got["error_description"]), " Trace ID")
		return status, text
	}
	status, absent := ask(tenantID, "00000000-0000-4000-8000-00000000000f", known.Reveal())
	if status != http.StatusUnauthorized {
		t.Fatal(status, absent)
	}
	for name, credentials := range map[string][2]string{
		"revoked application, right secret": {revoked.ID, known.Reveal()},
		"known application, wrong secret":   {clientID, "guess"},
	} {
		if s, text := ask(tenantID, credentials[0], credentials[1]); s != status || text != absent {
			t.Errorf("%s: %d %s\nwant %d %s", name, s, text, status, absent)
		}
	}
}

func TestSharedNamesAreNoTenantButHaveTheKeys(t *testing.T) {
	in := install(t)
	for _, name := range []string{"common", "Organizations", "consumers"} {
		status, _, got := in.ask(t, "POST", "/"+name+"/oauth2/v2.0/token", good(), formHeader)
		if text := fmt.Sprint(got["error_description"]); status != 400 || got["error"] != "invalid_request" || !strings.Contains(text, "names no tenant") {
			t.Errorf("token at %s: %d %v", name, status, got)
		}
		for _, path := range []string{"/discovery/keys", "/discovery/v2.0/keys"} {
			if status, _, got := in.ask(t, "GET", "/"+name+path, "", nil); status != 200 || got["keys"] == nil {
				t.Errorf("%s%s: %d %v", name, path, status, got)
			}
		}
	}
}
