package issuer

import (
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

func TestMetadataStandsUnderTheBaseURLThatWasAsked(t *testing.T) {
	in := install(t)
	for _, c := range []struct{ host, base string }{
		{"", in.URL}, {"eu.swab.example", second}, {"EU.swab.example:443", second}, {"attacker.example", in.URL},
	} {
		for path, issuer := range map[string]string{
			"/contoso.example/v2.0/.well-known/openid-configuration":   c.base + "/" + tenantID + "/v2.0",
			"/" + tenantID + "/.well-known/openid-configuration":       c.base + "/" + tenantID + "/",
			"/" + tenantID + "/V2.0/.Well-Known/openid-configuration/": c.base + "/" + tenantID + "/v2.0",
		} {
			h := http.Header{"X-Forwarded-Host": {"attacker.example"}, "X-Forwarded-Proto": {"http"}}
			if c.host != "" {
				h.Set("Host", c.host)
			}
			status, _, got := in.ask(t, "GET", path, "", h)
			if status != http.StatusOK || got["issuer"] != issuer {
				t.Errorf("%s at %q: %d, issuer %v; want %s", path, c.host, status, got["issuer"], issuer)
			}
			root, version := c.base+"/"+tenantID, "/v2.0"
			if strings.HasSuffix(issuer, "/") {
				version = ""
			}
			for name, want := range map[string]string{
				"authorization_endpoint": "/oauth2" + version + "/authorize", "token_endpoint": "/oauth2" + version + "/token",
				"device_authorization_endpoint": "/oauth2" + version + "/devicecode", "end_session_endpoint": "/oauth2" + version + "/logout",
				"jwks_uri": "/discovery" + version + "/keys",
			} {
				if got[name] != root+want {
					t.Errorf("%s at %q: %s is %v, want %s", path, c.host, name, got[name], root+want)
				}
			}
			methods, algorithms := []any{"client_secret_post", "client_secret_basic", "private_key_jwt", "none"}, []any{"RS256", "PS256", "ES256"}
			if !cmp.Equal(got["token_endpoint_auth_methods_supported"], any(methods)) || !cmp.Equal(got["token_endpoint_auth_signing_alg_values_supported"], any(algorithms)) {
				t.Errorf("%s: methods %v, algorithms %v", path, got["token_endpoint_auth_methods_supported"], got["token_endpoint_auth_signing_alg_values_supported"])
			}
		}
	}
}

func TestPublishedKeysCheckTokensAndHoldNothingPrivate(t *testing.T) {
	in := install(t)
	_, _, answer := in.ask(t, "POST", tokenPath, good(), formHeader)
	_, _, got := in.ask(t, "GET", "/"+tenantID+"/discovery/v2.0/keys", "", nil)
	list, _ := got["keys"].([]any)
	if len(list) != 1 {
		t.Fatalf("keys %v", got)
	}
	key, _ := list[0].(map[string]any)
	var names []string
	for name := range key {
		names = append(names, name)
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
		if _, ok := key[private]; ok {
			t.Errorf("the private %q is published; properties: %v", private, names)
		}
	}
	n, err := base64.RawURLEncoding.DecodeString(key["n"].(string))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.ParseSignedCompact(answer["access_token"].(string), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Signatures[0].Header.KeyID != key["kid"] || key["kty"] != "RSA" || key["alg"] != "RS256" || key["use"] != "sig" || key["e"] != "AQAB" {
		t.Errorf("key %v does not fit the token's kid %s", key, parsed.Signatures[0].Header.KeyID)
	}
	if _, err := parsed.Verify(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}); err != nil {
		t.Error(err)
	}
}
