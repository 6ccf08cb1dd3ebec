package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"swab/internal/fault"
)

func TestATokenHasTheShapeThatClientsDecode(t *testing.T) {
	f := newFixture(t)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(f.issue(t), ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(payload, &got); err != nil {
		t.Fatal(err)
	}
	if id, _ := got["jti"].(string); len(id) < 20 {
		t.Errorf("jti %q", id)
	}
	delete(got, "jti")
	at := float64(f.now.Unix())
	want := map[string]any{
		"aud": "https://api.securitycenter.microsoft.com", "iss": base + "/" + tenant + "/", "idp": base + "/" + tenant + "/",
		"iat": at, "nbf": at, "exp": at + 3600, "app_displayname": "IR automation", "appid": f.app.ID, "appidacr": "1", "azp": f.app.ID,
		"oid": f.app.ID, "sub": f.app.ID, "tid": tenant, "ver": "1.0", "roles": []any{CollectForensics, ReadAll},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func TestATokenHoldsUntilItsEndAndUnderEveryBaseURL(t *testing.T) {
	f := newFixture(t)
	issued, err := f.tokens.Grant(other, "https://eu.swab.example/", f.app, BySecret)
	if err != nil {
		t.Fatal(err)
	}
	token := issued.Token
	want := Caller{Kind: Application, Tenant: tenant, ID: f.app.ID, Name: "IR automation", Roles: f.app.Roles, Source: "PublicApi"}
	for _, after := range []time.Duration{0, 30 * time.Minute, TokenLife} {
		f.now = f.now.Truncate(time.Hour).Add(after)
		got, err := f.tokens.Validate(t.Context(), token)
		if err != nil {
			t.Fatalf("after %v: %v", after, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("caller (-want +got):\n%s", diff)
		}
	}
}

func TestBadTokensAreRefused(t *testing.T) {
	f := newFixture(t)
	good := f.issue(t)
	if _, err := f.tokens.Validate(t.Context(), f.forge(t, jose.RS256, nil, nil, nil)); err != nil {
		t.Fatalf("the forger's own token, rightly signed: %v", err)
	}
	kid, own := f.ring.TokenKey()
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkix, err := x509.MarshalPKIXPublicKey(&own.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	part := func(v string) string { return base64.RawURLEncoding.EncodeToString([]byte(v)) }
	payload := strings.Split(good, ".")[1]
	// HS256 under the public key, in the form in which it is published as PKIX DER.
	hs := part(`{"alg":"HS256","kid":"`+kid+`"}`) + "." + payload
	mac := hmac.New(sha256.New, pkix)
	mac.Write([]byte(hs))
	hs += "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))

	set := func(name string, v any) func(map[string]any) { return func(c map[string]any) { c[name] = v } }
	header := func(k jose.HeaderKey, v any) map[jose.HeaderKey]any { return map[jose.HeaderKey]any{k: v} }
	for _, c := range []struct{ name, token, says string }{
		{"empty", "", "not a JWT"},
		{"not a JWT", "opaque", "not a JWT"},
		{"alg none", part(`{"alg":"none"}`) + "." + payload + ".", "not a JWT signed with RS256"},
		{"alg None with kid", part(`{"alg":"None","kid":"`+kid+`"}`) + "." + payload + ".", "not a JWT"},
		{"HS256 with the public key", hs, "not a JWT signed with RS256"},
		{"RS512 by the right key", f.forge(t, jose.RS512, nil, nil, nil), "not a JWT signed with RS256"},
		{"PS256 by the right key", f.forge(t, jose.PS256, nil, nil, nil), "not a JWT signed with RS256"},
		{"signed by another key under our kid", f.forge(t, jose.RS256, stranger, nil, nil), "signature"},
		{"unknown kid", f.forge(t, jose.RS256, nil, header("kid", strings.Repeat("0", 64)), nil), "unknown key"},
		{"no kid", f.forge(t, jose.RS256, nil, header("kid", ""), nil), "unknown key"},
		{"kid with a path", f.forge(t, jose.RS256, stranger, header("kid", "../../../dev/null"), nil), "unknown key"},
		{"kid with a URL", f.forge(t, jose.RS256, stranger, header("kid", "https://attacker.example/keys"), nil), "unknown key"},
		{"jku to caller's keys", f.forge(t, jose.RS256, stranger, header("jku", "https://attacker.example/keys"), nil), "signature"},
		{"jwk in the header", f.forge(t, jose.RS256, stranger, header("jwk", jose.JSONWebKey{Key: &stranger.PublicKey}), nil), "signature"},
		{"critical header unknown", f.forge(t, jose.RS256, nil, header("crit", []string{"exp"}), nil), "signature"},
		{"another issuer", f.forge(t, jose.RS256, nil, nil, set("iss", "https://sts.windows.net/"+tenant+"/")), "issuer"},
		{"issuer of another tenant", f.forge(t, jose.RS256, nil, nil, set("iss", Issuer(base, "00000000-0000-0000-0000-000000000000"))), "issuer"},
		{"tenant of another issuer", f.forge(t, jose.RS256, nil, nil, set("tid", "00000000-0000-0000-0000-000000000000")), "issuer"},
		{"issuer without a slash", f.forge(t, jose.RS256, nil, nil, set("iss", base+"/"+tenant)), "issuer"},
		{"no tenant", f.forge(t, jose.RS256, nil, nil, set("tid", "")), "issuer"},
		{"another audience", f.forge(t, jose.RS256, nil, nil, set("aud", "https://graph.microsoft.com")), "audience"},
		{"several audiences", f.forge(t, jose.RS256, nil, nil, set("aud", []string{base})), "signature does not hold"},
		{"a device's audience", f.forge(t, jose.RS256, nil, nil, set("aud", "swab:device")), "audience"},
		{"no audience", f.forge(t, jose.RS256, nil, nil, set("aud", "")), "audience"},
		{"expired", f.forge(t, jose.RS256, nil, nil, set("exp", f.now.Add(-5*time.Minute).Unix())), "expired"},
		{"no expiry", f.forge(t, jose.RS256, nil, nil, func(c map[string]any) { delete(c, "exp") }), "expired"},
		{"expiry as text", f.forge(t, jose.RS256, nil, nil, set("exp", "never")), "does not hold"},
		{"not yet valid", f.forge(t, jose.RS256, nil, nil, set("nbf", f.now.Add(6*time.Minute).Unix())), "not valid yet"},
		{"unknown application", f.forge(t, jose.RS256, nil, nil, set("appid", "nobody")), "does not exist"},
		{"huge", f.forge(t, jose.RS256, nil, nil, set("filler", strings.Repeat("x", MaxToken))), "too long"},
		{"a gigantic header", part(`{"alg":"RS256","x":"` + strings.Repeat("y", 1<<20) + `"}`), "too long"},
		{"cut signature", good[:len(good)-4], "signature"},
		{"other payload under a good signature", strings.Replace(good, payload, part(`{"tid":"`+tenant+`"}`), 1), "signature"},
		{"trailing data", good + ".x", "not a JWT"},
		{"JSON serialisation", `{"payload":"` + payload + `"}`, "not a JWT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			who, err := f.tokens.Validate(t.Context(), c.token)
			if code, text := fault.Of(err); code != fault.Unauthorized || !strings.Contains(text, c.says) {
				t.Errorf("got %+v, %v (%s); want Unauthorized saying %q", who, text, code, c.says)
			}
			// Asked again: nothing that was refused is remembered as good.
			if _, err := f.tokens.Validate(t.Context(), c.token); !errors.Is(err, fault.Unauthorized) {
				t.Errorf("second time: %v", err)
			}
		})
	}
}

func TestARememberedTokenStillExpires(t *testing.T) {
	f := newFixture(t)
	token := f.issue(t)
	if _, err := f.tokens.Validate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(TokenLife + Skew)
	if _, err := f.tokens.Validate(t.Context(), token); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("after its end: %v, want Unauthorized", err)
	}
}

func TestDeviceTokensAndAccessTokensAreNotExchangeable(t *testing.T) {
	f := newFixture(t)
	token, err := f.tokens.IssueDevice(tenant, dev, "thumbprint")
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.tokens.ValidateDevice(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	want := DeviceToken{Tenant: tenant, Device: dev, JKT: "thumbprint", Expires: f.now.Add(10 * time.Minute)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("device token (-want +got):\n%s", diff)
	}
	if _, err := f.tokens.Validate(t.Context(), token); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("a device's token at the API: %v", err)
	}
	if _, err := f.tokens.ValidateDevice(t.Context(), f.issue(t)); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("an application's token at the device's door: %v", err)
	}
	for name, change := range map[string]func(map[string]any){
		"no key":      func(c map[string]any) { delete(c, "cnf") },
		"bad subject": func(c map[string]any) { c["sub"] = "../x" },
	} {
		forged := f.forge(t, jose.RS256, nil, nil, func(c map[string]any) {
			c["aud"], c["sub"], c["cnf"] = "swab:device", string(dev), map[string]any{"jkt": "x"}
			change(c)
		})
		if _, err := f.tokens.ValidateDevice(t.Context(), forged); !errors.Is(err, fault.Unauthorized) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.now = f.now.Add(DeviceTokenLife + Skew)
	if _, err := f.tokens.ValidateDevice(t.Context(), token); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("after its end: %v", err)
	}
}

func TestCacheKeepsTheLatestWithinItsBound(t *testing.T) {
	c := newCache(2)
	sum := func(s string) [32]byte { return sha256.Sum256([]byte(s)) }
	c.add(sum("a"), &verified{kid: "a"})
	c.add(sum("b"), &verified{kid: "b"})
	c.get(sum("a"))
	c.add(sum("c"), &verified{kid: "c"})
	for name, want := range map[string]bool{"a": true, "b": false, "c": true} {
		if v, ok := c.get(sum(name)); ok != want || ok && v.kid != name {
			t.Errorf("%s: there %t, want %t", name, ok, want)
		}
	}
	if len(c.by) != 2 || c.order.Len() != 2 {
		t.Errorf("holds %d and %d, bound is 2", len(c.by), c.order.Len())
	}
}

func TestResourcesByWhichClientsKnowTheAPI(t *testing.T) {
	r := NewResources([]string{base})
	for scope, want := range map[string]string{
		"https://api.securitycenter.microsoft.com/.default":                 "https://api.securitycenter.microsoft.com",
		"https://api.securitycenter.microsoft.com//.default":                "https://api.securitycenter.microsoft.com/",
		"https://API.securitycenter.windows.com/.DEFAULT":                   "https://API.securitycenter.windows.com",
		"https://aea.api.security.microsoft.com/.default":                   "https://aea.api.security.microsoft.com",
		"https://api-gov.securitycenter.microsoft.us/.default":              "https://api-gov.securitycenter.microsoft.us",
		"https://securitycenter.onmicrosoft.com/windowsatpservice/.default": "https://securitycenter.onmicrosoft.com/windowsatpservice",
		base + "/.default":                                      base,
		base + "///.default":                                    "",
		"https://graph.microsoft.com/.default":                  "",
		"https://api.securitycenter.microsoft.com/Machine.Read": "",
		"http://api.securitycenter.microsoft.com/.default":      "",
		"/.default":            "",
		".default":             "",
		"":                     "",
		"swab:device/.default": "",
	} {
		if got, ok := r.Default(scope); got != want || ok != (want != "") {
			t.Errorf("Default(%q) = %q, %t; want %q", scope, got, ok, want)
		}
	}
}

// same says whether two texts are one token. The last digit of base64 may have
// bits that mean nothing, and decoders pass over line breaks.
func same(a, b string) bool {
	decoded := func(token string) (parts [3]string) {
		for i, part := range strings.SplitN(token, ".", 3) {
			text, err := base64.RawURLEncoding.DecodeString(part)
			parts[i] = string(text)
			if err != nil {
				parts[i] = "not base64: " + part
			}
		}
		return parts
	}
	return decoded(a) == decoded(b)
}

func FuzzValidate(f *testing.F) {
	fix := newFixture(f)
	good := fix.issue(f)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add("a.b.c")
	f.Add(`{"payload":"","signatures":[]}`)
	f.Fuzz(func(t *testing.T, token string) {
		who, err := fix.tokens.Validate(t.Context(), token)
		if err == nil && !same(token, good) {
			t.Errorf("%q is taken for a token of %s", token, who.ID)
		}
		if err != nil && !errors.Is(err, fault.Unauthorized) {
			t.Errorf("%q: %v, want Unauthorized", token, err)
		}
	})
}
