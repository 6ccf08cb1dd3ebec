package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"swab/client"
	"swab/internal/auth"
	"swab/internal/server"
)

// cloud is a host with the documents of Microsoft Entra ID and of Keycloak.
type cloud struct {
	*httptest.Server
	mu   sync.Mutex
	keys []jose.JSONWebKey // with their private halves
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c.keys = []jose.JSONWebKey{{Key: rsaKey, KeyID: "first", Use: "sig"}}
	keys := func(w http.ResponseWriter, _ *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		var public jose.JSONWebKeySet
		for _, k := range c.keys {
			public.Keys = append(public.Keys, k.Public())
		}
		_ = json.NewEncoder(w).Encode(public)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /realms/soc/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		realm := "https://" + r.Host + "/realms/soc"
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": realm, "jwks_uri": realm + "/protocol/openid-connect/certs", "id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	mux.HandleFunc("GET /realms/soc/protocol/openid-connect/certs", keys)
	mux.HandleFunc("GET /common/discovery/keys", keys)
	c.Server = httptest.NewTLSServer(mux)
	t.Cleanup(c.Close)
	return c
}

// rotate publishes a new key beside those that there are, and signs by it.
func (c *cloud) rotate(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = append(c.keys, jose.JSONWebKey{Key: key, KeyID: "second", Algorithm: "ES256", Use: "sig"})
}

// sign signs claims by the latest key.
func (c *cloud) sign(t *testing.T, claims map[string]any) string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	key, alg := c.keys[len(c.keys)-1], jose.RS256
	if key.Algorithm != "" {
		alg = jose.SignatureAlgorithm(key.Algorithm)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	claims["exp"], claims["iat"] = time.Now().Add(time.Hour).Unix(), time.Now().Unix()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestTokensOfEntraAndKeycloakHold has both beside each other, over the network
// from their documents to what the API answers.
func TestTokensOfEntraAndKeycloakHold(t *testing.T) {
	far := newCloud(t)
	ca := filepath.Join(t.TempDir(), "cloud.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: far.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	var ahead atomic.Int64 // of the start: the server's clock stands still but for that
	begun := time.Now()
	s, err := server.New(t.Context(), settings(t, t.TempDir(), "--issuer-ca", ca), slog.New(slog.DiscardHandler),
		func() time.Time { return begun.Add(time.Duration(ahead.Load())) })
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	own, ctx := s.Bootstrap(), t.Context()
	c := administrator(t, own)
	group, err := c.CreateUserGroup(ctx, client.UserGroupRequest{Name: "SOC"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateRole(ctx, client.RoleRequest{Name: "Reader", Permissions: []string{string(auth.ViewData)}, UserGroups: []string{group.ID}}); err != nil {
		t.Fatal(err)
	}
	const directory, object, api = "d2a1f3c4-55b6-4e7d-8f90-a1b2c3d4e5f6", "0a1b2c3d-4e5f-4061-8293-a4b5c6d7e8f9", "api://swab"
	realm, sts := far.URL+"/realms/soc", "https://sts.windows.net/"+directory+"/"
	for _, r := range []client.IssuerRequest{
		{Name: "Keycloak", URL: realm, Audiences: []string{"swab"}, Groups: map[string]string{"/soc/analysts": group.ID}, Networks: []string{"127.0.0.0/8"}},
		{Name: "Entra", URL: sts, Keys: far.URL + "/common/discovery/keys", Audiences: []string{api}, Groups: map[string]string{object: group.ID}, Networks: []string{"127.0.0.0/8"}},
		{Name: "Entra, which nobody can reach", URL: sts, Keys: far.URL + "/common/discovery/keys", Audiences: []string{"api://closed"}},
	} {
		if _, err := c.CreateIssuer(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	keycloak := func(more map[string]any) map[string]any {
		all := map[string]any{"iss": realm, "aud": []string{"swab", "account"}, "typ": "Bearer", "azp": "soar", "sub": object, "scope": "profile", "realm_access": map[string]any{"roles": []string{auth.ReadAll, auth.Administer}}}
		for k, v := range more {
			all[k] = v
		}
		return all
	}
	entra := func(more map[string]any) map[string]any {
		all := map[string]any{"iss": sts, "aud": api, "appid": "7f0e6d5c-1a2b-4c3d-8e9f-001122334455", "oid": object, "sub": object, "tid": directory, "ver": "1.0", "nbf": time.Now().Unix()}
		for k, v := range more {
			all[k] = v
		}
		return all
	}
	type m = map[string]any
	try := func(name string, claims map[string]any, path string, status int, says string) {
		t.Helper()
		if got := ask(t, own, "GET", path, far.sign(t, claims)); got.status != status || !strings.Contains(got.body, says) {
			t.Errorf("%s: %d, %s; want %d and %q", name, got.status, got.body, status, says)
		}
	}
	account := m{"client_id": "soar", "preferred_username": "service-account-soar"}
	ann := m{"preferred_username": "ann", "scope": "profile Machine.Read", "groups": []string{"/soc/analysts"}}
	try("Keycloak's service account", keycloak(account), "/api/machines", 200, "")
	try("the same, administering by a role that nobody mapped", keycloak(account), "/api/admin/v1/issuers", 403, "Missing application roles")
	try("Keycloak's user", keycloak(ann), "/api/machines", 200, "")
	try("the same, in another group", keycloak(m{"preferred_username": "ann", "scope": "Machine.Read", "groups": []string{"/soc"}}), "/api/machines", 403, "Missing user roles")
	try("Entra's application", entra(m{"roles": []string{auth.ReadAll}}), "/api/machines", 200, "")
	try("the same without a role", entra(nil), "/api/machines", 403, "Missing application roles")
	try("Entra's user", entra(m{"sub": "pairwise", "upn": "ann@contoso.example", "scp": auth.Read, "groups": []string{object}}), "/api/machines", 200, "")
	try("Entra's token for Keycloak's audience", entra(m{"aud": "swab", "roles": []string{auth.ReadAll}}), "/api/machines", 401, "another audience")
	try("Entra's token of another directory", entra(m{"iss": "https://sts.windows.net/" + object + "/"}), "/api/machines", 401, "another issuer")
	try("a record that leads nowhere public", entra(m{"aud": "api://closed"}), "/api/machines", 503, "ask again later")

	far.rotate(t)
	try("a new key, within the minute", keycloak(account), "/api/machines", 401, "unknown key")
	ahead.Store(int64(time.Minute))
	try("a new key, a minute later", keycloak(account), "/api/machines", 200, "")
	try("a new key of the other", entra(m{"roles": []string{auth.ReadAll}}), "/api/machines", 200, "")
}
