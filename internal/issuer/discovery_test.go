package issuer

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"swab/internal/audit"
	"swab/internal/keys"
)

func TestInstanceDiscoveryKnowsOurHostsAndTheSignInHosts(t *testing.T) {
	in := install(t)
	own := strings.TrimPrefix(in.URL, "https://")
	for _, c := range []struct{ asked, host, endpoint string }{
		{in.URL + "/" + tenantID + "/oauth2/v2.0/authorize", own, in.URL + "/" + tenantID + "/v2.0/.well-known/openid-configuration"},
		{second + "/contoso.example/oauth2/authorize", "eu.swab.example", second + "/contoso.example/v2.0/.well-known/openid-configuration"},
		{"https://EU.swab.example:443/x", "eu.swab.example", second + "/x/v2.0/.well-known/openid-configuration"},
		{second, "eu.swab.example", second + "/common/v2.0/.well-known/openid-configuration"},
		{"https://login.microsoftonline.com/" + tenantID + "/oauth2/v2.0/authorize", "login.microsoftonline.com", in.URL + "/" + tenantID + "/v2.0/.well-known/openid-configuration"},
		{"https://login.windows.net/common/oauth2/authorize", "login.windows.net", in.URL + "/common/v2.0/.well-known/openid-configuration"},
		{"https://login.microsoftonline.us/x/oauth2/authorize", "login.microsoftonline.us", in.URL + "/x/v2.0/.well-known/openid-configuration"},
	} {
		for _, value := range []string{c.asked, url.QueryEscape(c.asked)} { // MSAL sends it unencoded
			for _, path := range []string{"/common/discovery/instance", "/" + tenantID + "/Discovery/Instance"} {
				status, h, got := in.ask(t, "GET", path+"?api-version=1.1&authorization_endpoint="+value, "", nil)
				if status != http.StatusOK || got["tenant_discovery_endpoint"] != c.endpoint || len(got) != 2 {
					t.Errorf("%s: %d %v, want %s", value, status, got, c.endpoint)
				}
				if h.Get("Cache-Control") != "public, max-age=300" {
					t.Errorf("%s: Cache-Control %q", value, h.Get("Cache-Control"))
				}
				found := false
				list, _ := got["metadata"].([]any)
				for _, one := range list {
					m, _ := one.(map[string]any)
					aliases, _ := m["aliases"].([]any)
					found = found || m["preferred_network"] == c.host && m["preferred_cache"] == c.host && slices.Contains(aliases, any(c.host))
				}
				if !found {
					t.Errorf("%s: %s is not among the aliases: %v", value, c.host, list)
				}
			}
		}
	}
}

// MSAL for Python 1.21 asks about its authority's host without the port.
func TestInstanceDiscoveryKnowsAHostWithoutItsPort(t *testing.T) {
	in := install(t)
	u, err := url.Parse(in.URL)
	if err != nil {
		t.Fatal(err)
	}
	status, _, got := in.ask(t, "GET", "/common/discovery/instance?api-version=1.1&authorization_endpoint=https://"+u.Hostname()+"/"+tenantID+"/oauth2/v2.0/authorize", "", nil)
	if want := in.URL + "/" + tenantID + "/v2.0/.well-known/openid-configuration"; status != http.StatusOK || got["tenant_discovery_endpoint"] != want {
		t.Errorf("%d %v, want %s", status, got, want)
	}
	if text := fmt.Sprint(got["metadata"]); !strings.Contains(text, fmt.Sprintf("aliases:[%s %s]", u.Host, u.Hostname())) {
		t.Errorf("%s is no alias: %s", u.Hostname(), text)
	}
}

func TestInstanceDiscoveryRefusesEveryOtherHost(t *testing.T) {
	in := install(t)
	for _, asked := range []string{
		"https://attacker.example/x/oauth2/v2.0/authorize", "http://login.microsoftonline.com/x", "login.microsoftonline.com",
		"https://login.microsoftonline.com.attacker.example/", "https://login.microsoftonline.com@attacker.example/", "https://u@eu.swab.example/",
		"https://eu.swab.example:444/", "https://169.254.169.254/latest", "file:///etc/passwd", "https://[", "https:///x", second + "/" + strings.Repeat("x", maxEndpoint),
	} {
		status, h, got := in.ask(t, "GET", "/common/discovery/instance?authorization_endpoint="+url.QueryEscape(asked), "", nil)
		if status != 400 || got["error"] != "invalid_instance" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%.80s: %d %v", asked, status, got)
		}
	}
	if status, _, got := in.ask(t, "GET", "/common/discovery/instance?api-version=1.1", "", nil); status != 400 || got["error"] != "invalid_request" {
		t.Errorf("nothing asked: %d %v", status, got)
	}
}

func TestDocumentsAnswerHEADAndMayBeKept(t *testing.T) {
	in := install(t)
	for _, path := range []string{
		"/v2.0/.well-known/openid-configuration", "/.well-known/openid-configuration", "/discovery/v2.0/keys", "/discovery/keys",
		"/discovery/instance?authorization_endpoint=" + second,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, in.URL+"/"+tenantID+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := in.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		h := resp.Header
		if resp.StatusCode != http.StatusOK || h.Get("Cache-Control") != "public, max-age=300" || h.Get("Pragma") != "" || resp.ContentLength <= 0 {
			t.Errorf("HEAD %s: %d, %d bytes, %v", path, resp.StatusCode, resp.ContentLength, h)
		}
		if status, _, got := in.ask(t, "POST", "/"+tenantID+path, "", formHeader); status != http.StatusMethodNotAllowed || got["error"] != "invalid_request" {
			t.Errorf("POST %s: %d %v", path, status, got)
		}
	}
}

func TestANewKeyIsPublishedBeforeItSigns(t *testing.T) {
	if documentAge >= keys.TokenSoon {
		t.Errorf("a cache may hold the key document for %v, a new key signs after %v", documentAge, keys.TokenSoon)
	}
	in := install(t)
	next, err := in.ring.SucceedTokens(t.Context(), in.store, tenantID, audit.Hidden{Who: "server"}, false)
	if err != nil {
		t.Fatal(err)
	}
	_, _, got := in.ask(t, "GET", "/common/discovery/keys", "", nil)
	if text := fmt.Sprint(got["keys"]); strings.Count(text, "kid:") != 2 || !strings.Contains(text, next.ID) {
		t.Errorf("keys %v, want two, with %s", got, next.ID)
	}
	if kid, _ := in.ring.TokenKey(); kid == next.ID {
		t.Error("the next key signs already")
	}
}

func FuzzInstanceDiscovery(f *testing.F) {
	in := install(f)
	f.Add("api-version=1.1&authorization_endpoint=https://login.microsoftonline.com/x")
	f.Add("authorization_endpoint=%zz&authorization_endpoint=https%3A%2F%2F[::1")
	s := &Issuer{Config: Config{Origin: in.origin}}
	f.Fuzz(func(t *testing.T, query string) {
		answer, err := s.instanceDiscovery(&call{r: &http.Request{URL: &url.URL{RawQuery: query}}, base: second})
		if err != nil {
			return
		}
		if a := answer.(instance); !strings.HasPrefix(a.Endpoint, in.URL+"/") && !strings.HasPrefix(a.Endpoint, second+"/") {
			t.Errorf("%q leads to %s", query, a.Endpoint)
		}
	})
}
