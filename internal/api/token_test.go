package api

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"swab/internal/auth"
)

// Each kind of token that proves nobody is answered in one way, and what it
// names is never fetched.
func TestBadTokensAre401AndNothingTheyNameIsFetched(t *testing.T) {
	in := install(t)
	attacker := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the server asked for %s", r.URL) }))
	defer attacker.Close()
	kid, own := in.ring.TokenKey()
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	now := in.now()
	sign := func(alg jose.SignatureAlgorithm, key any, header map[jose.HeaderKey]any, change map[string]any) string {
		t.Helper()
		opts := (&jose.SignerOptions{}).WithHeader("kid", kid)
		for k, v := range header {
			opts = opts.WithHeader(k, v)
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
		if err != nil {
			t.Fatal(err)
		}
		claims := map[string]any{
			"aud": in.URL, "iss": auth.Issuer(in.URL, tenantID), "tid": tenantID, "appid": full, "sub": full, "ver": "1.0",
			"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "roles": auth.Permissions,
		}
		for k, v := range change {
			claims[k] = v
		}
		text, err := jwt.Signed(signer).Claims(claims).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := sign(jose.RS256, own, nil, nil)
	if g := in.send(t, "GET", "/api/machines", "", "Authorization", "Bearer "+good); g.status != http.StatusOK {
		t.Fatalf("the forger's own token, rightly signed: %d %s", g.status, g.raw)
	}
	pkix, err := x509.MarshalPKIXPublicKey(&own.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	part := func(v string) string { return base64.RawURLEncoding.EncodeToString([]byte(v)) }
	payload := strings.Split(good, ".")[1]
	hs := part(`{"alg":"HS256","kid":"`+kid+`"}`) + "." + payload
	mac := hmac.New(sha256.New, pkix)
	mac.Write([]byte(hs))
	hs += "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	named := func(k jose.HeaderKey, v any) map[jose.HeaderKey]any { return map[jose.HeaderKey]any{k: v} }
	for name, token := range map[string]string{
		"none":                       part(`{"alg":"none","kid":"`+kid+`"}`) + "." + payload + ".",
		"HS256 with the public key":  hs,
		"PS256":                      sign(jose.PS256, own, nil, nil),
		"a stranger's signature":     sign(jose.RS256, stranger, nil, nil),
		"unknown kid":                sign(jose.RS256, stranger, named("kid", strings.Repeat("0", 64)), nil),
		"kid with a path":            sign(jose.RS256, stranger, named("kid", "../../../../dev/null"), nil),
		"kid with a URL":             sign(jose.RS256, stranger, named("kid", attacker.URL+"/kid"), nil),
		"jku":                        sign(jose.RS256, stranger, named("jku", attacker.URL+"/jku"), nil),
		"x5u":                        sign(jose.RS256, stranger, named("x5u", attacker.URL+"/x5u"), nil),
		"jwk":                        sign(jose.RS256, stranger, named("jwk", jose.JSONWebKey{Key: &stranger.PublicKey}), nil),
		"issuer elsewhere":           sign(jose.RS256, stranger, nil, map[string]any{"iss": attacker.URL + "/" + tenantID + "/"}),
		"wrong issuer, right key":    sign(jose.RS256, own, nil, map[string]any{"iss": "https://sts.windows.net/" + tenantID + "/"}),
		"wrong audience":             sign(jose.RS256, own, nil, map[string]any{"aud": "https://graph.microsoft.com"}),
		"another tenant":             sign(jose.RS256, own, nil, map[string]any{"tid": "00000000-0000-4000-8000-000000000000"}),
		"a tenant that is not there": sign(jose.RS256, own, nil, map[string]any{"tid": "x", "iss": auth.Issuer(in.URL, "x")}),
		"expired":                    sign(jose.RS256, own, nil, map[string]any{"exp": now.Add(-6 * time.Minute).Unix()}),
		"not yet valid":              sign(jose.RS256, own, nil, map[string]any{"nbf": now.Add(6 * time.Minute).Unix()}),
		"huge":                       good + strings.Repeat("x", auth.MaxToken),
	} {
		g := in.send(t, "GET", "/api/machines", "", "Authorization", "Bearer "+token)
		challenge := g.header.Get("WWW-Authenticate")
		want := `Bearer authorization_uri="` + in.URL + "/" + tenantID + `/oauth2/v2.0/authorize", error="invalid_token", error_description="`
		if g.status != http.StatusUnauthorized || g.code(t) != "Unauthorized" || !strings.HasPrefix(challenge, want) {
			t.Errorf("%s: %d %s, challenge %s", name, g.status, g.raw, challenge)
		}
	}
}

// A body that comes slowly is no way around being shut out meanwhile: what its
// sender may do is what they may when all of it is there.
func TestWhoIsShutOutWhileTheBodyComesDoesNothing(t *testing.T) {
	in := install(t)
	g := in.as(t, full, "POST", adminPath+"apps", `{"name":"second","roles":["Swab.Administer"],"secret":{}}`)
	token, _ := in.signIn(t, tenantID, g.text("id"), g.text("clientSecret"))
	if token == "" {
		t.Fatal(g.raw)
	}
	known := make(chan struct{}, 1)
	in.api.OnKnown = func(context.Context) {
		select {
		case known <- struct{}{}:
		default:
		}
	}
	conn, err := tls.Dial("tcp", in.Listener.Addr().String(), in.Client().Transport.(*http.Transport).TLSClientConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const body = `{"name":"third","roles":["Swab.Administer"],"secret":{}}`
	if _, err := fmt.Fprintf(conn, "POST %sapps HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", adminPath, token, len(body), body[:1]); err != nil {
		t.Fatal(err)
	}
	<-known // its token holds, and one byte is there
	if g := in.as(t, full, "POST", adminPath+"apps/"+g.text("id")+"/revoke", ""); g.status != http.StatusOK {
		t.Fatal(g.status, g.raw)
	}
	if _, err := io.WriteString(conn, body[1:]); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d, want 401", resp.StatusCode)
	}
	if g := in.as(t, full, "GET", adminPath+"apps", ""); strings.Contains(g.raw, `"third"`) {
		t.Error("the application was made")
	}
}
