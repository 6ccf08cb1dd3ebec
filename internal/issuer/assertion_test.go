package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"swab/internal/auth"
)

// holder is an application's certificate and its key.
type holder struct {
	der []byte
	key crypto.Signer
}

// certify makes a self-signed certificate that ends when until says.
func certify(t testing.TB, key crypto.Signer, until time.Time) holder {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "IR automation"}, NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return holder{der, key}
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0") // a short key must be refused by us, not by the library
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// register makes an application with these certificates, which end with
// themselves, and returns its client id.
func (in *installation) register(t testing.TB, id string, holders ...holder) string {
	t.Helper()
	app := auth.App{Tenant: tenantID, ID: id, Name: "by certificate", Roles: []string{auth.ReadAll}, Created: time.Now()}
	for _, h := range holders {
		sum := sha256.Sum256(h.der)
		cert, err := x509.ParseCertificate(h.der)
		if err != nil {
			t.Fatal(err)
		}
		app.Certificates = append(app.Certificates, auth.Certificate{ID: hex.EncodeToString(sum[:]), DER: h.der, Created: time.Now(), Expires: cert.NotAfter})
	}
	if err := in.store.CreateApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	return id
}

// sign makes a compact JWS by the plainest means.
func sign(t testing.TB, key crypto.Signer, alg string, header map[string]any, payload any) string {
	t.Helper()
	h := map[string]any{"alg": alg, "typ": "JWT"}
	for k, v := range header {
		h[k] = v
	}
	part := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	signed := part(h) + "." + part(payload)
	sum := sha256.Sum256([]byte(signed))
	var sig []byte
	var err error
	switch key := key.(type) {
	case *rsa.PrivateKey:
		var opts crypto.SignerOpts = crypto.SHA256
		if alg == "PS256" {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		}
		sig, err = key.Sign(rand.Reader, sum[:], opts)
	case *ecdsa.PrivateKey:
		var r, s *big.Int
		r, s, err = ecdsa.Sign(rand.Reader, key, sum[:])
		size := (key.Curve.Params().BitSize + 7) / 8
		sig = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// x5t are the names of a certificate that libraries put into headers.
func (h holder) x5t() map[string]any {
	sum := sha1.Sum(h.der)
	return map[string]any{"x5t": base64.RawURLEncoding.EncodeToString(sum[:])}
}

func (in *installation) claimsOf(client string) map[string]any {
	now := time.Now().Unix()
	return map[string]any{"iss": client, "sub": client, "aud": in.URL + tokenPath, "jti": "1", "iat": now, "nbf": now, "exp": now + 600}
}

func asserted(client, assertion string, extra ...string) string {
	return formOf(append([]string{
		"grant_type", "client_credentials", "client_id", client, "scope", scope,
		"client_assertion_type", assertionType, "client_assertion", assertion,
	}, extra...)...)
}

func TestAnApplicationGetsATokenByItsCertificate(t *testing.T) {
	in := install(t)
	later := time.Now().Add(24 * time.Hour)
	first, ec := certify(t, rsaKey(t, 2048), later), certify(t, ecKey(t, elliptic.P256()), later)
	client := in.register(t, "00000000-0000-4000-8000-0000000000c1", certify(t, rsaKey(t, 2048), later), first, ec)
	short, long := sha1.Sum(first.der), sha256.Sum256(first.der)
	now := float64(time.Now().UnixMilli()) / 1000
	for _, c := range []struct {
		name   string
		by     holder
		alg    string
		header map[string]any
		claims map[string]any // in place of the usual ones
	}{
		{"x5t in base64url", first, "RS256", first.x5t(), nil},
		{"x5t in base64url with =", first, "RS256", map[string]any{"x5t": base64.URLEncoding.EncodeToString(short[:])}, nil},
		{"x5t in standard base64 with =, as MSAL for Go", first, "RS256", map[string]any{"x5t": base64.StdEncoding.EncodeToString(short[:])}, nil},
		{"x5t in standard base64", first, "RS256", map[string]any{"x5t": base64.RawStdEncoding.EncodeToString(short[:])}, nil},
		{"x5t#S256, PS256, as msal-node", first, "PS256", map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(long[:])}, nil},
		{"x5t#S256 with =, PS256, as msal for Python", first, "PS256", map[string]any{"x5t#S256": base64.URLEncoding.EncodeToString(long[:])}, nil},
		{"x5t#S256 in standard base64", first, "PS256", map[string]any{"x5t#S256": base64.StdEncoding.EncodeToString(long[:])}, nil},
		{"kid is the SHA-1 in hex, as MSAL for .NET", first, "RS256", map[string]any{"kid": strings.ToUpper(hex.EncodeToString(short[:]))}, nil},
		{"kid is the SHA-256 in hex", first, "RS256", map[string]any{"kid": hex.EncodeToString(long[:])}, nil},
		{"kid is the SHA-1 in base64url", first, "RS256", map[string]any{"kid": base64.RawURLEncoding.EncodeToString(short[:])}, nil},
		{"a kid of its own beside x5t", first, "RS256", map[string]any{"kid": "my key", "x5t": base64.RawURLEncoding.EncodeToString(short[:])}, nil},
		{"x5c beside, well formed", first, "RS256", map[string]any{"x5t": first.x5t()["x5t"], "x5c": []string{base64.StdEncoding.EncodeToString(first.der)}}, nil},
		{"x5c beside, rubbish", first, "RS256", map[string]any{"x5t": first.x5t()["x5t"], "x5c": "rubbish"}, nil},
		{"ES256", ec, "ES256", ec.x5t(), nil},
		{"audience is the v1 endpoint", first, "RS256", first.x5t(), map[string]any{"aud": in.URL + tokenPathOfV1}},
		{"audience under another base URL", first, "RS256", first.x5t(), map[string]any{"aud": second + tokenPath}},
		{"audience with the tenant's name", first, "RS256", first.x5t(), map[string]any{"aud": in.URL + "/contoso.example/oauth2/v2.0/token"}},
		{"audience is the v2 issuer", first, "RS256", first.x5t(), map[string]any{"aud": in.URL + "/" + tenantID + "/v2.0"}},
		{"audience is the v1 issuer", first, "RS256", first.x5t(), map[string]any{"aud": second + "/" + tenantID + "/"}},
		{"audience in a list", first, "RS256", first.x5t(), map[string]any{"aud": []string{"https://x.example", in.URL + tokenPath}}},
		{"fractional times", first, "RS256", first.x5t(), map[string]any{"exp": now + 600.73, "iat": now, "nbf": now + 0.01}},
		{"exp alone", first, "RS256", first.x5t(), map[string]any{"iat": nil, "nbf": nil, "jti": nil}},
		{"a clock four minutes behind", first, "RS256", first.x5t(), map[string]any{"exp": now - 240, "iat": now - 300, "nbf": now - 300}},
		{"a clock four minutes ahead", first, "RS256", first.x5t(), map[string]any{"exp": now + 840, "iat": now + 240, "nbf": now + 240}},
	} {
		t.Run(c.name, func(t *testing.T) {
			claims := in.claimsOf(client)
			for k, v := range c.claims {
				claims[k] = v
				if v == nil {
					delete(claims, k)
				}
			}
			text := sign(t, c.by.key, c.alg, c.header, claims)
			// Twice: a library keeps an assertion and sends it again.
			for range 2 {
				status, _, got := in.ask(t, "POST", tokenPath, asserted(client, text), formHeader)
				if status != http.StatusOK {
					t.Fatalf("%d %v", status, got)
				}
				if _, err := in.tokens.Validate(t.Context(), fmt.Sprint(got["access_token"])); err != nil {
					t.Error(err)
				}
				if acr := payloadOf(t, got)["appidacr"]; acr != "2" {
					t.Errorf("appidacr %v, want 2", acr)
				}
			}
		})
	}
	text := sign(t, first.key, "RS256", first.x5t(), in.claimsOf(client))
	for name, body := range map[string]string{
		"without client_id":         strings.Replace(asserted(client, text), "client_id="+client+"&", "", 1),
		"client id in upper case":   strings.Replace(asserted(client, text), "client_id="+client, "client_id="+strings.ToUpper(client), 1),
		"line break after the form": asserted(client, text) + "\r\n",
	} {
		if status, _, got := in.ask(t, "POST", tokenPath, body, formHeader); status != http.StatusOK {
			t.Errorf("%s: %d %v", name, status, got)
		}
	}
	if status, _, got := in.ask(t, "POST", tokenPathOfV1, asserted(client, text, "resource", resource), formHeader); status != http.StatusOK || got["expires_in"] != "3600" {
		t.Errorf("v1: %d %v", status, got)
	}
}

// payloadOf is the payload of the access token of an answer.
func payloadOf(t testing.TB, answer map[string]any) map[string]any {
	t.Helper()
	parsed, err := jose.ParseSignedCompact(fmt.Sprint(answer["access_token"]), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(parsed.UnsafePayloadWithoutVerification(), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestBadAssertionsProveNobody(t *testing.T) {
	in := install(t)
	later := time.Now().Add(24 * time.Hour)
	key := rsaKey(t, 2048)
	good, stranger := certify(t, key, later), certify(t, rsaKey(t, 2048), later)
	expired, weak, curve := certify(t, rsaKey(t, 2048), time.Now().Add(-time.Hour)), certify(t, rsaKey(t, 1024), later), certify(t, ecKey(t, elliptic.P384()), later)
	early := certify(t, rsaKey(t, 2048), time.Now().Add(96*time.Hour))
	ec := certify(t, ecKey(t, elliptic.P256()), later)
	client := in.register(t, "00000000-0000-4000-8000-0000000000c1", good, expired, weak, curve, early, ec)
	other := in.register(t, "00000000-0000-4000-8000-0000000000c2", stranger)
	now := time.Now().Unix()
	with := func(name string, v any) string {
		claims := in.claimsOf(client)
		claims[name] = v
		if v == nil {
			delete(claims, name)
		}
		return sign(t, key, "RS256", good.x5t(), claims)
	}
	by := func(h holder, alg string, header map[string]any) string {
		return sign(t, h.key, alg, header, in.claimsOf(client))
	}
	part := func(v string) string { return base64.RawURLEncoding.EncodeToString([]byte(v)) }
	whole := by(good, "RS256", good.x5t())
	for _, c := range []struct {
		name, client, text string
		number             float64
	}{
		{"not a JWT", client, "opaque", 50027},
		{"two parts", client, "e30.e30", 50027},
		{"not base64", client, "!.e30.e30", 50027},
		{"header not an object", client, part("[]") + ".e30.e30", 50027},
		{"claims of another kind", client, part(`{"alg":"RS256","kid":"x"}`) + "." + part(`{"exp":"never"}`) + ".e30", 50027},
		{"huge", client, strings.Repeat("x", maxAssertion+1), 50027},
		{"alg none", client, part(`{"alg":"none","kid":"x"}`) + "." + strings.Split(whole, ".")[1] + ".", 5002738},
		{"HS256", client, strings.Replace(whole, strings.Split(whole, ".")[0], part(`{"alg":"HS256","kid":"x"}`), 1), 5002738},
		{"RS512", client, by(good, "RS512", good.x5t()), 5002738},
		{"critical header", client, by(good, "RS256", map[string]any{"x5t": good.x5t()["x5t"], "crit": []string{"b64"}}), 50027},
		{"no name of a key", client, by(good, "RS256", nil), 700027},
		{"unknown thumbprint", client, by(good, "RS256", map[string]any{"x5t": base64.RawURLEncoding.EncodeToString(make([]byte, 20))}), 700027},
		{"kid with a path", client, by(good, "RS256", map[string]any{"kid": "../../etc/passwd"}), 700027},
		{"kid with a URL", client, by(stranger, "RS256", map[string]any{"kid": "https://attacker.example/key"}), 700027},
		{"x5c of the signer, not registered", client, by(stranger, "RS256", map[string]any{"x5t": stranger.x5t()["x5t"], "x5c": []string{base64.StdEncoding.EncodeToString(stranger.der)}}), 700027},
		{"x5c of the signer beside a registered name", client, by(stranger, "RS256", map[string]any{"x5t": good.x5t()["x5t"], "x5c": []string{base64.StdEncoding.EncodeToString(stranger.der)}}), 700027},
		{"jwk in the header", client, by(stranger, "RS256", map[string]any{"x5t": good.x5t()["x5t"], "jwk": jose.JSONWebKey{Key: stranger.key.Public()}}), 700027},
		{"another application's certificate", client, by(stranger, "RS256", stranger.x5t()), 700027},
		{"RSA signature under ES256", client, strings.Replace(whole, strings.Split(whole, ".")[0], part(`{"alg":"ES256","x5t":"`+fmt.Sprint(good.x5t()["x5t"])+`"}`), 1), 700027},
		{"ES256 key under RS256", client, by(ec, "RS256", ec.x5t()), 700027},
		{"cut signature", client, whole[:len(whole)-8], 700027},
		{"other claims under a good signature", client, strings.Replace(whole, strings.Split(whole, ".")[1], part(`{"exp":9e9}`), 1), 700027},
		{"RSA of 1024 bits", client, by(weak, "RS256", weak.x5t()), 700027},
		{"P-384", client, by(curve, "ES256", curve.x5t()), 700027},
		{"unknown application", "00000000-0000-4000-8000-0000000000ff", whole, 700027},
		{"expired certificate", client, by(expired, "RS256", expired.x5t()), 7000222},
		{"certificate that is not valid yet", client, by(early, "RS256", early.x5t()), 7000222},
		{"another application's id", other, sign(t, stranger.key, "RS256", stranger.x5t(), in.claimsOf(client)), 700021},
		{"no iss", client, with("iss", nil), 700021},
		{"another sub", client, with("sub", other), 700021},
		{"no aud", client, with("aud", nil), 700023},
		{"another server's aud", client, with("aud", "https://login.example/"+tenantID+"/oauth2/v2.0/token"), 700023},
		{"another tenant's aud", client, with("aud", in.URL+"/00000000-0000-0000-0000-000000000000/oauth2/v2.0/token"), 700023},
		{"aud of another endpoint", client, with("aud", in.URL+"/"+tenantID+"/oauth2/v2.0/authorize"), 700023},
		{"no exp", client, with("exp", nil), 50027},
		{"expired", client, with("exp", now-301), 700024},
		{"far too long", client, with("exp", now+2*86400), 700024},
		{"endless", client, with("exp", 1e300), 700024},
		{"not yet valid", client, with("nbf", now+360), 700024},
		{"made in the future", client, with("iat", float64(now)+360.5), 700024},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, h, got := in.ask(t, "POST", tokenPath, asserted(c.client, c.text), formHeader)
			numbers, _ := got["error_codes"].([]any)
			if status != http.StatusUnauthorized || got["error"] != "invalid_client" || len(numbers) != 1 || numbers[0] != c.number {
				t.Errorf("%d %v, want 401 invalid_client %v", status, got, c.number)
			}
			if h.Get("WWW-Authenticate") != "" {
				t.Errorf("challenged for a method that was not tried: %v", h)
			}
		})
	}
	for name, body := range map[string]string{
		"another type":    strings.Replace(asserted(client, whole), "jwt-bearer", "saml2-bearer", 1),
		"type alone":      asserted(client, ""),
		"with a secret":   asserted(client, whole, "client_secret", secret),
		"assertion twice": asserted(client, whole, "client_assertion", whole),
	} {
		if status, _, got := in.ask(t, "POST", tokenPath, body, formHeader); status != 400 || got["error"] != "invalid_request" {
			t.Errorf("%s: %d %v", name, status, got)
		}
	}
}

func TestACertificateEndsWhenItsRegistrationDoes(t *testing.T) {
	h := certify(t, ecKey(t, elliptic.P256()), time.Now().Add(24*time.Hour))
	app := auth.App{Certificates: []auth.Certificate{{DER: h.der, Expires: time.Now().Add(time.Hour)}}}
	a, err := parseAssertion(sign(t, h.key, "ES256", h.x5t(), map[string]any{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.signedBy(app, time.Now()); err != nil {
		t.Error(err)
	}
	if err := a.signedBy(app, time.Now().Add(time.Hour)); err == nil {
		t.Error("holds after the end that it was registered with")
	}
}

func FuzzAssertion(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	h := certify(f, key, time.Now().Add(24*time.Hour))
	app := auth.App{Certificates: []auth.Certificate{{DER: h.der, Expires: time.Now().Add(time.Hour)}}}
	good := sign(f, h.key, "ES256", h.x5t(), map[string]any{"iss": "a", "sub": "a", "aud": []string{"b"}, "exp": 1.5e9})
	f.Add(good)
	f.Add(strings.Replace(good, ".", "..", 1))
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"x","x5c":[1]}`)) + ".e30.")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseAssertion(text)
		if err != nil {
			return
		}
		if strings.TrimSpace(text) != good && a.signedBy(app, time.Now()) == nil && a.signed != good[:len(a.signed)] {
			t.Errorf("%q is taken for signed", text)
		}
		_ = a.check("a", []string{"b"}, time.Unix(1.5e9, 0))
	})
}
