package issuer

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"swab/internal/auth"
	"swab/internal/credential"
)

const (
	annID    = "0a1b2c3d-4e5f-4061-8293-a4b5c6d7e8f9"
	ann      = "ann@example.org"
	password = "four words without order"
	native   = "00000000-0000-4000-8000-0000000000c1" // a public application on people's machines
	web      = "7f0e6d5c-1a2b-4c3d-8e9f-0000000000b0" // a confidential one
	webBack  = "https://app.example/back?x=1"
	single   = "7f0e6d5c-1a2b-4c3d-8e9f-0000000000b1" // a public one on a site
	siteBack = "https://site.example/back"
	read     = resource + "/Machine.Read"
)

var hashed = sync.OnceValue(func() string {
	phc, err := credential.NewHasher(1).Hash(context.Background(), password)
	if err != nil {
		panic(err)
	}
	return phc
})

// people adds Ann and the applications that she signs in to.
func (in *installation) people(t testing.TB) {
	t.Helper()
	now := in.now().Add(-time.Hour)
	for _, app := range []auth.App{
		{ID: native, Name: "Tool <b>", Scopes: []string{auth.Read, auth.CollectForensics}, Redirects: []string{"http://localhost", "msaltool://auth"}, Public: true},
		{ID: web, Name: "Web", Scopes: []string{auth.Read}, Redirects: []string{webBack}, Secrets: []auth.Secret{{ID: "w", Hash: sha256.Sum256([]byte(secret))}}},
		{ID: single, Name: "Site", Scopes: []string{auth.Read}, Redirects: []string{siteBack}, Public: true},
	} {
		app.Tenant, app.Created = tenantID, now
		if err := in.store.CreateApp(t.Context(), app); err != nil {
			t.Fatal(err)
		}
	}
	p := auth.Person{Tenant: tenantID, ID: annID, Principal: ann, Name: "Ann <script>", Created: now}
	if err := in.store.CreateUser(t.Context(), p, auth.Credential{Password: hashed(), Changed: now}); err != nil {
		t.Fatal(err)
	}
}

// browser is a person's: it keeps cookies and follows no redirect.
type browser struct {
	*http.Client
	t  testing.TB
	in *installation
}

func (in *installation) browser(t testing.TB) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{in: in, t: t, Client: &http.Client{
		Jar: jar, Transport: in.Client().Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// view is what the browser got.
type view struct {
	status int
	header http.Header
	body   string
}

// to is where it is sent on.
func (v view) to(t testing.TB) *url.URL {
	t.Helper()
	u, err := url.Parse(v.header.Get("Location"))
	if err != nil || v.header.Get("Location") == "" || v.status != http.StatusSeeOther {
		t.Fatalf("no redirect: %d %v %s", v.status, v.header, v.text())
	}
	return u
}

// text is the page's text, so far as it says something.
func (v view) text() string {
	body := regexp.MustCompile(`(?s)<style.*</style>`).ReplaceAllString(v.body, "")
	return html.UnescapeString(strings.Join(strings.Fields(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, " ")), " "))
}

func (b *browser) send(method, address, body string, header http.Header) view {
	b.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.in.URL + address
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := b.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	v := view{resp.StatusCode, resp.Header, string(text)}
	if resp.Header.Get("Cache-Control") != "no-store" {
		b.t.Errorf("%s may be kept: %v", address, resp.Header)
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") && !strings.Contains(resp.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		b.t.Errorf("%s may be framed: %v", address, resp.Header)
	}
	for _, c := range resp.Cookies() {
		if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || !strings.HasPrefix(c.Name, "__Host-") {
			b.t.Errorf("cookie %v", c)
		}
	}
	return v
}

func (b *browser) get(address string) view { b.t.Helper(); return b.send("GET", address, "", nil) }

var (
	actionOf = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	ticketOf = regexp.MustCompile(`name="ticket" value="([^"]*)"`)
)

// submit sends the page's first form back, with fields filled in.
func (b *browser) submit(v view, fields ...string) view {
	b.t.Helper()
	return b.submitAs(v, http.Header{"Sec-Fetch-Site": {"same-origin"}}, fields...)
}

func (b *browser) submitAs(v view, header http.Header, fields ...string) view {
	b.t.Helper()
	action, ticket := actionOf.FindStringSubmatch(v.body), ticketOf.FindStringSubmatch(v.body)
	if action == nil || ticket == nil {
		b.t.Fatalf("no form: %d %s", v.status, v.text())
	}
	header = header.Clone()
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.send("POST", html.UnescapeString(action[1]), formOf(append([]string{"ticket", html.UnescapeString(ticket[1])}, fields...)...), header)
}

// in signs Ann in on a page that asks for it.
func (b *browser) signIn(v view) view {
	b.t.Helper()
	return b.submit(v, "username", ann, "password", password)
}

var verifier = strings.Repeat("v", 43)

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

const (
	authorizeV2 = "/" + tenantID + "/oauth2/v2.0/authorize"
	authorizeV1 = "/" + tenantID + "/oauth2/authorize"
	toLocal     = "http://localhost:50123"
)

// request is an application's request, with what else is given in the place of
// what it would be; "" leaves a parameter out.
func request(client, back string, pairs ...string) string {
	v := url.Values{
		"client_id": {client}, "response_type": {"code"}, "redirect_uri": {back}, "scope": {read + " openid profile offline_access"},
		"state": {"a state"}, "nonce": {"a nonce"}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(pairs); i += 2 {
		if v.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			v.Del(pairs[i])
		}
	}
	return "?" + v.Encode()
}

// token asks the token endpoint.
func (in *installation) token(t testing.TB, path string, pairs ...string) (int, map[string]any) {
	t.Helper()
	status, _, got := in.ask(t, "POST", path, formOf(pairs...), formHeader)
	return status, got
}

// said is what a JWT says, read by the keys that are published.
func (in *installation) said(t testing.TB, token any) map[string]any {
	t.Helper()
	text, _ := token.(string)
	parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatalf("%q is no JWT: %v", text, err)
	}
	var c map[string]any
	if err := parsed.Claims(in.ring.PublicTokenKey(parsed.Headers[0].KeyID), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func jsonOf(t testing.TB, encoded any) (m map[string]any) {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(fmt.Sprint(encoded))
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// oneTime is the code that an authenticator app with the secret shows (RFC 6238).
func oneTime(secret credential.TOTP, at time.Time) string {
	mac := hmac.New(sha1.New, secret.Seed())
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(at.Unix()/30)))
	sum := mac.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&0xf:]) &^ (1 << 31)
	return fmt.Sprintf("%06d", n%1_000_000)
}
