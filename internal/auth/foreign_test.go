package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"swab/internal/device"
	"swab/internal/fault"
)

const (
	entraTenant = "11111111-55b6-4e7d-8f90-a1b2c3d4e5f6"
	entraV1     = "https://sts.windows.net/" + entraTenant + "/"
	entraV2     = "https://login.microsoftonline.com/" + entraTenant + "/v2.0"
	keycloak    = "https://sso.contoso.example/realms/soc"
	entraID     = "e0000000-0000-4000-8000-000000000001" // of the issuer's record
	entraV2ID   = "e0000000-0000-4000-8000-000000000002"
	keycloakID  = "e0000000-0000-4000-8000-000000000003"
	clientID    = "7f0e6d5c-aaaa-4c3d-8e9f-001122334455"
	objectID    = "0a1b2c3d-aaaa-4061-8293-a4b5c6d7e8f9"
	audience    = "api://swab"
	secondID    = "d2a1f3c4-2222-4e7d-8f90-a1b2c3d4e5f6" // another tenant
)

// published are the keys of issuers, by the id of the record and the kid.
type published struct {
	keys map[string]publishedKey
	down error
}

type publishedKey struct {
	public crypto.PublicKey
	alg    string
}

func (p *published) Key(_ context.Context, issuer TrustedIssuer, kid string) (crypto.PublicKey, string, error) {
	if p.down != nil {
		return nil, "", p.down
	}
	k, ok := p.keys[issuer.ID+"/"+kid]
	if !ok {
		return nil, "", fault.NotFound.Errorf(nil, "no such key")
	}
	return k.public, k.alg, nil
}

// abroad is a fixture that trusts Microsoft Entra ID, by both versions of tokens,
// and Keycloak. They all sign by the same keys, named rsa and ec.
type abroad struct {
	*fixture
	rsa  *rsa.PrivateKey
	ec   *ecdsa.PrivateKey
	keys *published
	log  strings.Builder
}

// foreignKey takes a quarter of a second to make, and any will do.
var foreignKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newAbroad(t testing.TB) *abroad {
	t.Helper()
	f, _ := signedIn(t)
	a := &abroad{fixture: f, keys: &published{keys: map[string]publishedKey{}}}
	var err error
	if a.rsa, err = foreignKey(); err != nil {
		t.Fatal(err)
	}
	if a.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	groups := map[string]string{"g-soc": "analysts", "soc/analysts": "analysts"}
	f.store.issuers = []TrustedIssuer{
		{Tenant: tenant, ID: entraID, URL: entraV1, Audiences: []string{audience, "spare"}, Groups: groups},
		{Tenant: tenant, ID: entraV2ID, URL: entraV2, Audiences: []string{audience}, Groups: groups, Roles: map[string]string{"Swab.Collector": CollectForensics, "Swab.Owner": Administer}},
		{Tenant: tenant, ID: keycloakID, URL: keycloak, Audiences: []string{"swab"}, Groups: groups},
	}
	for _, i := range f.store.issuers {
		a.keys.keys[i.ID+"/rsa"] = publishedKey{&a.rsa.PublicKey, ""}
		a.keys.keys[i.ID+"/ec"] = publishedKey{&a.ec.PublicKey, "ES256"}
	}
	f.tokens.Foreign, f.tokens.Logger = a.keys, slog.New(slog.NewTextHandler(&a.log, nil))
	return a
}

// said is a claim set; what is nil in more is left out.
func said(of, more map[string]any) map[string]any {
	all := map[string]any{}
	for _, m := range []map[string]any{of, more} {
		for k, v := range m {
			if all[k] = v; v == nil {
				delete(all, k)
			}
		}
	}
	return all
}

// The claims of each issuer's tokens, as they come.
func (a *abroad) entra1(more map[string]any) map[string]any {
	return said(map[string]any{
		"aud": audience, "iss": entraV1, "iat": a.now.Unix(), "nbf": a.now.Unix(), "exp": a.now.Add(time.Hour).Unix(),
		"appid": clientID, "appidacr": "1", "idp": entraV1, "oid": objectID, "sub": objectID, "tid": entraTenant, "uti": "Jk3", "ver": "1.0", "rh": "0.A",
	}, more)
}

func (a *abroad) entra2(more map[string]any) map[string]any {
	return said(map[string]any{
		"aud": audience, "iss": entraV2, "iat": a.now.Unix(), "nbf": a.now.Unix(), "exp": a.now.Add(time.Hour).Unix(),
		"azp": clientID, "azpacr": "1", "oid": objectID, "sub": objectID, "tid": entraTenant, "uti": "Jk3", "ver": "2.0",
	}, more)
}

func (a *abroad) keycloak(more map[string]any) map[string]any {
	return said(map[string]any{
		"exp": a.now.Add(5 * time.Minute).Unix(), "iat": a.now.Unix(), "jti": "trrtcc:1", "iss": keycloak, "aud": []string{"swab", "account"}, "sub": objectID, "typ": "Bearer",
		"azp": "soar", "acr": "1", "allowed-origins": []string{"/*"}, "realm_access": map[string]any{"roles": []string{"offline_access", ReadAll}},
		"resource_access": map[string]any{"https://swab.example": map[string]any{"roles": []string{CollectForensics}}},
		"scope":           "profile email", "email_verified": true,
	}, more)
}

// sign signs claims by the key named rsa, unless told otherwise.
func (a *abroad) sign(t testing.TB, claims any, header map[jose.HeaderKey]any) string {
	t.Helper()
	return seal(t, jose.RS256, a.rsa, "rsa", claims, header)
}

func seal(t testing.TB, alg jose.SignatureAlgorithm, key any, kid string, claims any, header map[jose.HeaderKey]any) string {
	t.Helper()
	opts := (&jose.SignerOptions{}).WithHeader("kid", kid).WithType("JWT")
	for k, v := range header {
		opts = opts.WithHeader(k, v)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
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

type m = map[string]any

// analyst are the rights of the group that the issuers' groups are mapped to.
var analyst = Rights{Permissions: []Permission{AlertsInvestigation}, Reach: device.Reach{Groups: []int64{0, 7}}}

// nobody are the rights of somebody who is in no group.
var nobody = Rights{Permissions: []Permission{}, Reach: device.Reach{Groups: []int64{}}}

func TestTokensOfOtherIssuersNameWhoTheyNameThere(t *testing.T) {
	a := newAbroad(t)
	app := func(record, client, name string, roles ...string) Caller {
		return Caller{Kind: Application, Tenant: tenant, ID: record + "/" + client, Name: name, Roles: append([]string{}, roles...), Source: "PublicApi"}
	}
	user := func(record, client, subject, name string, rights Rights, scopes ...string) Caller {
		return Caller{
			Kind: User, Tenant: tenant, ID: record + "/" + subject, Name: name, App: record + "/" + client, Scopes: scopes, Person: rights, Source: "PublicApi",
		}
	}
	for _, c := range []struct {
		name   string
		claims map[string]any
		want   Caller
	}{
		{"Entra v1.0, application", a.entra1(m{"app_displayname": "IR automation", "roles": []string{CollectForensics, "Other.Role", Administer}}),
			app(entraID, clientID, "IR automation", CollectForensics)},
		{"Entra v1.0, application without a name or role", a.entra1(nil), app(entraID, clientID, clientID)},
		{"Entra v2.0, application", a.entra2(m{"idtyp": "app", "sub": "pairwise", "roles": []string{"Swab.Collector", "Swab.Owner", ReadAll}}),
			app(entraV2ID, clientID, clientID, CollectForensics, Administer)},
		{"Entra v1.0, user", a.entra1(m{"sub": "pairwise", "upn": "Ann@Contoso.example", "unique_name": "other", "scp": CollectForensics + " user_impersonation", "groups": []string{"g-other", "g-soc"}}),
			user(entraID, clientID, objectID, "ann@contoso.example", analyst, CollectForensics)},
		{"Entra v1.0, guest", a.entra1(m{"sub": "pairwise", "unique_name": "live.com#ann@outlook.example", "scp": Read}),
			user(entraID, clientID, objectID, "live.com#ann@outlook.example", nobody, Read)},
		{"Entra v2.0, user with an application's role", a.entra2(m{"sub": "pairwise", "preferred_username": "ann@contoso.example", "scp": Read, "roles": []string{"Swab.Owner"}, "groups": []string{"g-soc"}}),
			user(entraV2ID, clientID, objectID, "ann@contoso.example", analyst, Read)},
		{"Entra, user in too many groups", a.entra2(m{"sub": "pairwise", "preferred_username": "ann@contoso.example", "scp": Read, "_claim_names": m{"groups": "src1"}, "_claim_sources": m{"src1": m{"endpoint": "https://graph.example/"}}}),
			user(entraV2ID, clientID, objectID, "ann@contoso.example", nobody, Read)},
		{"Entra, idtyp user without scopes", a.entra2(m{"idtyp": "user", "roles": []string{"Swab.Owner"}}),
			user(entraV2ID, clientID, objectID, objectID, nobody)},
		{"Entra, a device's token", a.entra2(m{"idtyp": "device", "roles": []string{"Swab.Owner"}}),
			user(entraV2ID, clientID, objectID, objectID, nobody)},
		{"Keycloak, service account", a.keycloak(m{"azp": "SOAR", "client_id": "SOAR", "clientHost": "192.0.2.1", "preferred_username": "service-account-soar"}),
			app(keycloakID, "SOAR", "SOAR", ReadAll)},
		{"Keycloak, service account by the claim of older versions", a.keycloak(m{"clientId": "soar", "preferred_username": "service-account-soar"}),
			app(keycloakID, "soar", "soar", ReadAll)},
		{"Keycloak, user", a.keycloak(m{"sid": "s", "preferred_username": "ann", "scope": "profile Machine.Read email Machine.CollectForensics", "groups": []string{"/soc/analysts"}}),
			user(keycloakID, "soar", objectID, "ann", analyst, Read, CollectForensics)},
		{"Keycloak, user who took a service account's name", a.keycloak(m{"sid": "s", "preferred_username": "service-account-soar"}),
			user(keycloakID, "soar", objectID, "service-account-soar", nobody)},
		{"Keycloak, another client's service account", a.keycloak(m{"client_id": "other", "preferred_username": "service-account-other"}),
			user(keycloakID, "soar", objectID, "service-account-other", nobody)},
		{"an issuer that names the client in people's tokens, too", a.keycloak(m{"client_id": "soar", "preferred_username": "ann"}),
			user(keycloakID, "soar", objectID, "ann", nobody)},
		{"Keycloak, nobody's name and no scopes", a.keycloak(m{"scope": nil}), user(keycloakID, "soar", objectID, objectID, nobody)},
		{"a session, and the application's own subject", a.keycloak(m{"scope": nil, "sid": "s", "sub": "soar"}), user(keycloakID, "soar", "soar", "soar", nobody)},
		{"scopes, and the application's own subject", a.keycloak(m{"scope": Read, "sub": "soar"}), user(keycloakID, "soar", "soar", "soar", nobody, Read)},
		{"scopes, and idtyp app", a.entra2(m{"idtyp": "app", "scp": Read}), user(entraV2ID, clientID, objectID, objectID, nobody, Read)},
		{"scopes in full", a.entra2(m{"sub": "pairwise", "upn": "ann", "scp": []string{"api://swab/Machine.Read", "https://swab.example/Machine.CollectForensics", "https://graph.example/Mail.Read", "/Machine.Read"}}),
			user(entraV2ID, clientID, objectID, "ann", nobody, Read, CollectForensics)},
		{"RFC 9068, application", a.keycloak(m{"typ": nil, "scope": nil, "azp": nil, "client_id": "soar", "sub": "soar"}),
			app(keycloakID, "soar", "soar", ReadAll)},
		{"a name that can't be shown", a.entra2(m{"sub": "pairwise", "scp": Read, "upn": "ann\u202enna"}),
			user(entraV2ID, clientID, objectID, objectID, nobody, Read)},
		{"a name that is endless", a.entra1(m{"app_displayname": strings.Repeat("x", maxShown+1)}), app(entraID, clientID, clientID)},
	} {
		t.Run(c.name, func(t *testing.T) {
			token := a.sign(t, c.claims, nil)
			for _, time := range []string{"first", "known"} {
				who, err := a.tokens.Validate(t.Context(), token)
				if err != nil {
					t.Fatalf("%s: %v", time, err)
				}
				if diff := cmp.Diff(c.want, who, withoutPolicy); diff != "" {
					t.Errorf("%s (-want +got):\n%s", time, diff)
				}
			}
		})
	}
	if n := strings.Count(a.log.String(), "too many"); n != 1 || !strings.Contains(a.log.String(), objectID) {
		t.Errorf("the log says %d times that groups were left out:\n%s", n, a.log.String())
	}
}

func TestClaimsHaveTheNamesThatTheRecordGivesThem(t *testing.T) {
	a := newAbroad(t)
	token := a.sign(t, a.keycloak(m{
		"client_id": "soar", "preferred_username": "service-account-soar", "person": "p-1", "mail": "ann@contoso.example",
		"https://contoso.example/teams": "one team", "may": m{"do": []any{"Machine.Read", 7, nil, m{}}},
	}), nil)
	names := func(c Claims) Caller {
		t.Helper()
		a.store.change(func() { a.store.issuers[2].Claims = c })
		who, err := a.tokens.Validate(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		return who
	}
	// A member whose name has dots is found before objects are gone into.
	if who := names(Claims{Roles: "resource_access.https://swab.example.roles"}); !slices.Equal(who.Roles, []string{CollectForensics}) {
		t.Errorf("a client's roles: %+v", who)
	}
	for _, nowhere := range []string{"realm_access", "realm_access.roles.0", "nosuch", ".", "realm_access..roles", "email_verified"} {
		if who := names(Claims{Roles: nowhere}); who.Kind != Application || len(who.Roles) != 0 {
			t.Errorf("roles at %q: %+v", nowhere, who)
		}
	}
	// A person's token, read by one record after another, though it is known.
	token = a.sign(t, a.keycloak(m{
		"preferred_username": "ann", "person": "p-1", "mail": "ANN@contoso.example", "party": "console",
		"https://contoso.example/teams": "one team", "may": m{"do": []any{"Machine.Read", 7, nil, m{}}},
	}), nil)
	a.store.change(func() { a.store.issuers[2].Groups = map[string]string{"one team": "analysts"} })
	who := names(Claims{Person: "person", Principal: "mail", Groups: "https://contoso.example/teams", Application: "party", Scopes: "may.do"})
	want := Caller{
		Kind: User, Tenant: tenant, ID: keycloakID + "/p-1", Name: "ann@contoso.example", App: keycloakID + "/console", Scopes: []string{Read}, Person: analyst, Source: "PublicApi",
	}
	if diff := cmp.Diff(want, who, withoutPolicy); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	before := strings.Count(a.log.String(), "too many")
	again := a.sign(t, a.keycloak(m{"preferred_username": "ann", "hasgroups": true}), nil)
	for _, c := range []Claims{{}, {Groups: "teams"}, {Groups: "teams"}} {
		a.store.change(func() { a.store.issuers[2].Claims = c })
		if _, err := a.tokens.Validate(t.Context(), again); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(a.log.String(), "too many") - before; n != 2 {
		t.Errorf("a known token was read %d times by two records, want once by each", n)
	}
	if who = names(Claims{}); who.ID != keycloakID+"/"+objectID || who.Name != "ann" || len(who.Scopes) != 0 {
		t.Errorf("by the usual names again: %+v", who)
	}
}

func TestBadTokensOfOtherIssuersAreRefused(t *testing.T) {
	a := newAbroad(t)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // it is to be refused
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.keys.keys[entraID+"/weak"] = publishedKey{&weak.PublicKey, ""}
	a.keys.keys[entraID+"/pss"] = publishedKey{&a.rsa.PublicKey, "PS256"}
	a.keys.keys[entraID+"/p384"] = publishedKey{&p384.PublicKey, ""}
	kid, ours := a.ring.TokenKey()
	good := a.sign(t, a.entra1(nil), nil)
	if _, err := a.tokens.Validate(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	part := func(v string) string { return base64.RawURLEncoding.EncodeToString([]byte(v)) }
	payload := strings.Split(good, ".")[1]
	pkix, err := x509.MarshalPKIXPublicKey(&a.rsa.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	hs := part(`{"alg":"HS256","kid":"rsa"}`) + "." + payload
	mac := hmac.New(sha256.New, pkix)
	mac.Write([]byte(hs))
	hs += "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

	set := func(name string, v any) map[string]any { return a.entra1(m{name: v}) }
	header := func(k jose.HeaderKey, v any) map[jose.HeaderKey]any { return map[jose.HeaderKey]any{k: v} }
	for _, c := range []struct{ name, token, says string }{
		{"alg none", part(`{"alg":"none","kid":"rsa"}`) + "." + payload + ".", "not a JWT"},
		{"HS256 with the public key", hs, "not a JWT"},
		{"signed by another key", seal(t, jose.RS256, stranger, "rsa", a.entra1(nil), nil), "signature"},
		{"signed by our key", seal(t, jose.RS256, ours, kid, a.entra1(nil), nil), "unknown key"},
		{"signed by our key under theirs", seal(t, jose.RS256, ours, "rsa", a.entra1(nil), nil), "signature"},
		{"unknown kid", seal(t, jose.RS256, a.rsa, "nosuch", a.entra1(nil), nil), "unknown key"},
		{"no kid", seal(t, jose.RS256, a.rsa, "", a.entra1(nil), nil), "unknown key"},
		{"kid with a URL", seal(t, jose.RS256, stranger, "https://attacker.example/keys", a.entra1(nil), nil), "unknown key"},
		{"jku to caller's keys", seal(t, jose.RS256, stranger, "rsa", a.entra1(nil), header("jku", "https://attacker.example/keys")), "signature"},
		{"jwk in the header", seal(t, jose.RS256, stranger, "rsa", a.entra1(nil), header("jwk", jose.JSONWebKey{Key: &stranger.PublicKey})), "signature"},
		{"critical header unknown", a.sign(t, a.entra1(nil), header("crit", []string{"exp"})), "signature"},
		{"a weak key", seal(t, jose.RS256, weak, "weak", a.entra1(nil), nil), "not for"},
		{"an algorithm that the key is not for", seal(t, jose.RS256, a.rsa, "pss", a.entra1(nil), nil), "not for"},
		{"an EC algorithm under an RSA key", seal(t, jose.ES256, a.ec, "rsa", a.entra1(nil), nil), "not for"},
		{"an RSA algorithm under an EC key", seal(t, jose.RS256, a.rsa, "ec", a.entra1(nil), nil), "not for"},
		{"P-256 under a P-384 key", seal(t, jose.ES256, a.ec, "p384", a.entra1(nil), nil), "not for"},
		{"EdDSA", part(`{"alg":"EdDSA","kid":"rsa"}`) + "." + payload + ".AAAA", "not a JWT"},
		{"another issuer", a.sign(t, set("iss", "https://sts.windows.net/"+tenant+"/"), nil), "another issuer"},
		{"issuer without its slash", a.sign(t, set("iss", strings.TrimSuffix(entraV1, "/")), nil), "another issuer"},
		{"issuer in capitals", a.sign(t, set("iss", strings.ToUpper(entraV1)), nil), "another issuer"},
		{"no issuer", a.sign(t, set("iss", nil), nil), "another issuer"},
		{"a list of issuers", a.sign(t, set("iss", []string{entraV1}), nil), "another issuer"},
		{"our issuer, their key", a.sign(t, set("iss", Issuer(base, tenant)), nil), "unknown key"},
		{"another audience", a.sign(t, set("aud", "api://other"), nil), "another audience"},
		{"another issuer's audience", a.sign(t, set("aud", "swab"), nil), "another audience"},
		{"audience in one text", a.sign(t, set("aud", "other "+audience), nil), "another audience"},
		{"no audience", a.sign(t, set("aud", nil), nil), "another audience"},
		{"an object for an audience", a.sign(t, set("aud", m{audience: audience}), nil), "another audience"},
		{"expired", a.sign(t, set("exp", a.now.Add(-Skew).Unix()), nil), "expired"},
		{"no expiry", a.sign(t, set("exp", nil), nil), "exp is not a time"},
		{"expiry as text", a.sign(t, set("exp", "never"), nil), "exp is not a time"},
		{"expiry beyond all times", a.sign(t, set("exp", 1e300), nil), "exp is not a time"},
		{"not yet valid", a.sign(t, set("nbf", a.now.Add(ForeignSkew+time.Second).Unix()), nil), "not valid yet"},
		{"issued in the future", a.sign(t, set("iat", a.now.Add(ForeignSkew+time.Second).Unix()), nil), "not valid yet"},
		{"issued at no time", a.sign(t, set("iat", "now"), nil), "iat is not a time"},
		{"bound to a key", a.sign(t, set("cnf", m{"jkt": "x"}), nil), "bound to a key"},
		{"a refresh token", a.sign(t, a.keycloak(m{"typ": "Refresh"}), nil), "not an access token"},
		{"Keycloak's id token", a.sign(t, a.keycloak(m{"typ": "ID"}), nil), "not an access token"},
		{"an id token", a.sign(t, set("at_hash", "x"), nil), "not an access token"},
		{"a token of another type", a.sign(t, a.entra1(nil), header("typ", "logout+jwt")), "not an access token"},
		{"an application without an id", a.sign(t, set("appid", nil), nil), "which application"},
		{"an application with an endless id", a.sign(t, set("appid", strings.Repeat("x", maxSubject+1)), nil), "which application"},
		{"nobody", a.sign(t, a.entra1(m{"sub": nil, "oid": nil, "scp": Read}), nil), "whom it is for"},
		{"an invisible body", a.sign(t, a.entra1(m{"oid": "a\u0000b", "scp": Read}), nil), "whom it is for"},
		{"nested too deep", a.sign(t, json.RawMessage(`{"iss":"`+entraV1+`","aud":"`+audience+`","x":`+deep(maxDepth)+`}`), nil), "unknown key"},
		{"a member twice", a.sign(t, json.RawMessage(`{"iss":"`+entraV1+`","iss":"`+entraV1+`","aud":"`+audience+`"}`), nil), "unknown key"},
		{"no object", a.sign(t, json.RawMessage(`[]`), nil), "unknown key"},
		{"huge", a.sign(t, set("filler", strings.Repeat("x", MaxToken)), nil), "too long"},
		{"cut signature", good[:len(good)-4], "signature"},
		{"other payload under a good signature", strings.Replace(good, payload, part(`{"iss":"`+entraV1+`","aud":"`+audience+`"}`), 1), "signature"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 { // nothing that was refused is remembered as good
				who, err := a.tokens.Validate(t.Context(), c.token)
				if code, text := fault.Of(err); code != fault.Unauthorized || !strings.Contains(text, c.says) {
					t.Errorf("got %+v, %v (%s); want Unauthorized saying %q", who, text, code, c.says)
				}
			}
			if _, err := a.tokens.ValidateDevice(t.Context(), c.token); !errors.Is(err, fault.Unauthorized) {
				t.Errorf("at the device's door: %v", err)
			}
		})
	}
	if _, err := a.tokens.ValidateDevice(t.Context(), good); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("a good one at the device's door: %v", err)
	}
}

func TestOtherAlgorithmsAndClocksAreTaken(t *testing.T) {
	a := newAbroad(t)
	for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512} {
		if _, err := a.tokens.Validate(t.Context(), seal(t, alg, a.rsa, "rsa", a.entra1(nil), nil)); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	if _, err := a.tokens.Validate(t.Context(), seal(t, jose.ES256, a.ec, "ec", a.entra1(nil), map[jose.HeaderKey]any{"typ": "at+jwt"})); err != nil {
		t.Errorf("ES256: %v", err)
	}
	for name, claims := range map[string]map[string]any{
		"a clock that is ahead":  {"iat": a.now.Add(ForeignSkew).Unix(), "nbf": a.now.Add(ForeignSkew).Unix()},
		"no nbf or iat":          {"iat": nil, "nbf": nil},
		"parts of a second":      {"exp": float64(a.now.Unix()) + 0.25, "iat": float64(a.now.Unix()) + 0.5},
		"just expired":           {"exp": a.now.Add(-Skew).Unix() + 1},
		"another audience of it": {"aud": []string{"other", "spare"}},
		"nested":                 {"x": m{"y": []any{m{"z": 1}}}},
	} {
		if _, err := a.tokens.Validate(t.Context(), a.sign(t, a.entra1(claims), nil)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAForeignTokenEndsWithWhatItStandsOn takes away, one at a time, what a known
// token stands on.
func TestAForeignTokenEndsWithWhatItStandsOn(t *testing.T) {
	for name, take := range map[string]func(a *abroad){
		"issuer revoked":     func(a *abroad) { a.store.issuers[0].Revoked = true },
		"issuer gone":        func(a *abroad) { a.store.issuers = nil },
		"another URL":        func(a *abroad) { a.store.issuers[0].URL += "x" },
		"audience taken":     func(a *abroad) { a.store.issuers[0].Audiences = []string{"spare"} },
		"tenant revoked":     func(a *abroad) { a.store.tenants[0].Revoked = true },
		"key withdrawn":      func(a *abroad) { delete(a.keys.keys, entraID+"/rsa") },
		"key of another alg": func(a *abroad) { a.keys.keys[entraID+"/rsa"] = publishedKey{&a.rsa.PublicKey, "PS256"} },
		"another key of that id": func(a *abroad) {
			other, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				panic(err)
			}
			a.keys.keys[entraID+"/rsa"] = publishedKey{&other.PublicKey, ""}
		},
		"an hour and a minute ago": func(a *abroad) { a.now = a.now.Add(time.Hour + Skew) },
	} {
		a := newAbroad(t)
		token := a.sign(t, a.entra1(nil), nil)
		if _, err := a.tokens.Validate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		a.store.change(func() { take(a) })
		if who, err := a.tokens.Validate(t.Context(), token); !errors.Is(err, fault.Unauthorized) {
			t.Errorf("%s: %+v, %v, want Unauthorized", name, who, err)
		}
	}
	a := newAbroad(t)
	token := a.sign(t, a.entra1(m{"roles": []string{ReadAll}}), nil)
	for _, fail := range []func(){
		func() { a.keys.down = fault.Unavailable.Errorf(nil, "ask again later") },
		func() { a.store.down = errors.New("database is locked") },
	} {
		a.store.change(fail)
		if _, err := a.tokens.Validate(t.Context(), token); err == nil || errors.Is(err, fault.Unauthorized) {
			t.Errorf("what can't be told: %v, want an error that is not the caller's", err)
		}
		a.store.change(func() { a.keys.down, a.store.down = nil, nil })
		if _, err := a.tokens.Validate(t.Context(), token); err != nil {
			t.Errorf("a moment later: %v", err)
		}
	}

	// What its words mean here is of this moment as well.
	a.store.change(func() { a.store.issuers[0].Roles = map[string]string{ReadAll: CollectForensics, "x": "no permission"} })
	if who, err := a.tokens.Validate(t.Context(), token); err != nil || !slices.Equal(who.Roles, []string{CollectForensics}) {
		t.Errorf("after another mapping of roles: %+v, %v", who, err)
	}
	person := a.sign(t, a.entra1(m{"scp": Read, "groups": []string{"g-soc"}}), nil)
	if who, err := a.tokens.Validate(t.Context(), person); err != nil || len(who.Person.Permissions) != 1 {
		t.Fatalf("%+v, %v", who, err)
	}
	a.store.change(func() { a.store.issuers[0].Groups = nil })
	if who, err := a.tokens.Validate(t.Context(), person); err != nil || len(who.Person.Permissions) != 0 {
		t.Errorf("after another mapping of groups: %+v, %v", who, err)
	}
}

// Which tenant a token is for follows from its issuer and audience, and never
// from what it says of tenants.
func TestTheAudienceDecidesTheTenant(t *testing.T) {
	a := newAbroad(t)
	a.store.change(func() {
		a.store.tenants = append(a.store.tenants, Tenant{ID: secondID, Name: "second"})
		a.store.issuers = append(a.store.issuers,
			TrustedIssuer{Tenant: secondID, ID: "second", URL: entraV1, Audiences: []string{"api://second", audience}})
		a.keys.keys["second/rsa"] = a.keys.keys[entraID+"/rsa"]
	})
	for _, c := range []struct {
		claims map[string]any
		want   string
	}{
		{a.entra1(nil), tenant}, // the older record's, though a newer one claims the audience
		{a.entra1(m{"aud": "api://second"}), secondID},
		{a.entra1(m{"aud": "api://second", "tid": tenant, "tenant": tenant}), secondID},
		{a.entra1(m{"tid": secondID}), tenant},
	} {
		if who, err := a.tokens.Validate(t.Context(), a.sign(t, c.claims, nil)); err != nil || who.Tenant != c.want {
			t.Errorf("aud %v, tid %v: tenant %s, %v, want %s", c.claims["aud"], c.claims["tid"], who.Tenant, err, c.want)
		}
	}
}

// Another installation's tokens, as this program makes them.
func TestAnotherInstallationIsAnIssuerLikeOthers(t *testing.T) {
	a := newAbroad(t)
	there, d := signedIn(t)
	there.tokens.bases = []string{"https://other.example"}
	d.Person.Groups = []string{"theirs"}
	kid, key := there.ring.TokenKey()
	a.store.change(func() {
		a.store.issuers = []TrustedIssuer{{
			Tenant: tenant, ID: "other", URL: Issuer("https://other.example", tenant), Audiences: []string{"https://api.securitycenter.microsoft.com"},
			Groups: map[string]string{"theirs": "analysts"},
		}}
		a.keys.keys["other/"+kid] = publishedKey{&key.PublicKey, "RS256"}
	})
	who, err := a.tokens.Validate(t.Context(), mustGrant(t, there))
	want := Caller{Kind: Application, Tenant: tenant, ID: "other/" + there.app.ID, Name: "IR automation", Roles: []string{CollectForensics, ReadAll}, Source: "PublicApi"}
	if diff := cmp.Diff(want, who, withoutPolicy); diff != "" || err != nil {
		t.Errorf("application: %v (-want +got):\n%s", err, diff)
	}
	token := func(d Delegation) string {
		issued, err := there.tokens.Delegate("https://other.example", "https://api.securitycenter.microsoft.com", d)
		if err != nil {
			t.Fatal(err)
		}
		return issued.Token
	}
	who, err = a.tokens.Validate(t.Context(), token(d))
	want = Caller{
		Kind: User, Tenant: tenant, ID: "other/" + annID, Name: "ann@contoso.example", App: "other/" + d.App.ID, Scopes: []string{CollectForensics},
		Person: analyst, Source: "PublicApi",
	}
	if diff := cmp.Diff(want, who, withoutPolicy); diff != "" || err != nil {
		t.Errorf("person: %v (-want +got):\n%s", err, diff)
	}
	for range maxGroupsClaim {
		d.Person.Groups = append(d.Person.Groups, "theirs")
	}
	if who, err = a.tokens.Validate(t.Context(), token(d)); err != nil || who.Kind != User || len(who.Person.Permissions) != 0 || !strings.Contains(a.log.String(), "too many") {
		t.Errorf("a person in too many groups: %+v, %v; the log:\n%s", who, err, a.log.String())
	}
	d.Scopes = nil
	if who, err = a.tokens.Validate(t.Context(), token(d)); err != nil || who.Kind != User {
		t.Errorf("a person without a scope: %+v, %v", who, err)
	}
}

func mustGrant(t *testing.T, f *fixture) string {
	t.Helper()
	issued, err := f.tokens.Grant("https://other.example", "https://api.securitycenter.microsoft.com", f.app, BySecret)
	if err != nil {
		t.Fatal(err)
	}
	return issued.Token
}

func FuzzValidateForeign(f *testing.F) {
	a := newAbroad(f)
	good, ec := a.sign(f, a.entra1(m{"roles": []string{ReadAll}}), nil), seal(f, jose.ES256, a.ec, "ec", a.entra1(nil), nil)
	f.Add(good)
	f.Add(ec)
	f.Add(good[:len(good)-1])
	f.Add(a.issue(f))
	f.Add("e30.e30.")
	ours := a.issue(f)
	f.Fuzz(func(t *testing.T, token string) {
		who, err := a.tokens.Validate(t.Context(), token)
		if err == nil && !same(token, good) && !same(token, ec) && !same(token, ours) {
			t.Errorf("%q is taken for a token of %s", token, who.ID)
		}
		if err != nil && !errors.Is(err, fault.Unauthorized) {
			t.Errorf("%q: %v, want Unauthorized", token, err)
		}
	})
}

func FuzzStatement(f *testing.F) {
	a := newAbroad(f)
	for _, seed := range []map[string]any{
		a.entra1(m{"roles": []string{ReadAll}}), a.entra1(m{"upn": "ann", "scp": Read, "groups": []string{"g-soc"}}),
		a.keycloak(m{"client_id": "soar", "preferred_username": "service-account-soar"}), a.entra2(m{"hasgroups": true, "scp": []string{"api://x/Machine.Read"}}),
	} {
		text, err := json.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "", "realm_access.roles")
		f.Add(text, "a.b", "")
	}
	f.Add([]byte(`{"a":{"a":{"a.a":[]}},"a.a":{"a":"x"}}`), "a.a.a", "a.a.a.a")
	f.Fuzz(func(t *testing.T, text []byte, one, other string) {
		o, err := readPayload(text)
		if err != nil {
			return
		}
		s, err := readStatement(o, Claims{Person: one, Groups: other, Roles: other, Scopes: one, Principal: other})
		if err != nil {
			if !errors.Is(err, fault.Unauthorized) {
				t.Errorf("%v, want Unauthorized", err)
			}
			return
		}
		id := s.subject
		if s.application {
			id = s.client
			if s.groups != nil || s.scopes != nil || s.subject != "" {
				t.Errorf("an application with what is a person's: %+v", s)
			}
		} else if s.roles != nil {
			t.Errorf("a person with an application's roles: %+v", s)
		}
		if !shown(id, maxSubject) || !shown(s.name, maxShown) {
			t.Errorf("id %q, name %q", id, s.name)
		}
		for i, scope := range s.scopes {
			if !slices.Contains(Scopes, scope) || slices.Contains(s.scopes[:i], scope) {
				t.Errorf("scopes %q", s.scopes)
			}
		}
	})
}

func BenchmarkValidateForeign(b *testing.B) {
	a := newAbroad(b)
	groups := make([]string, 100)
	for i := range groups {
		groups[i] = "g-" + strconv.Itoa(i)
	}
	token := a.sign(b, a.entra1(m{"upn": "ann@contoso.example", "scp": Read, "groups": append(groups, "g-soc")}), nil)
	for name, forget := range map[string]bool{"cold": true, "cached": false} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if forget {
					a.tokens.known = newCache(1)
				}
				if _, err := a.tokens.Validate(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	own := a.issue(b)
	b.Run("own, cold", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			a.tokens.known = newCache(1)
			if _, err := a.tokens.Validate(b.Context(), own); err != nil {
				b.Fatal(err)
			}
		}
	})
}
