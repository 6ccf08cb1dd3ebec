package issuer

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/auth"
)

// A person signs in to a program on their machine, and it goes on for them.
func TestAPersonSignsInByACode(t *testing.T) {
	in := install(t)
	in.people(t)
	b := in.browser(t)
	page := b.get(authorizeV2 + request(native, toLocal))
	if page.status != 200 || !strings.Contains(page.text(), "Tool <b>") || strings.Contains(page.body, "Tool <b>") {
		t.Fatalf("%d %s", page.status, page.text())
	}
	if csp := page.header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' http://localhost:50123;") {
		t.Errorf("policy %s", csp)
	}
	wrong := b.submit(page, "username", ann, "password", "guess")
	if wrong.status != http.StatusForbidden || !strings.Contains(wrong.text(), "The user name or the password is wrong.") {
		t.Errorf("a wrong password: %d %s", wrong.status, wrong.text())
	}
	back := b.signIn(wrong).to(t)
	q := back.Query()
	if back.Host != "localhost:50123" || q.Get("state") != "a state" || q.Get("code") == "" || q.Get("error") != "" {
		t.Fatalf("sent to %s", back)
	}
	redeem := []string{"grant_type", "authorization_code", "client_id", native, "code", q.Get("code"), "redirect_uri", toLocal, "code_verifier", verifier, "client_info", "1"}
	status, got := in.token(t, tokenPath, redeem...)
	if status != 200 {
		t.Fatal(status, got)
	}
	if got["scope"] != read+" openid profile offline_access" || got["expires_in"] != 3600.0 || got["refresh_token"] == nil {
		t.Errorf("answer %v", got)
	}
	if diff := cmp.Diff(map[string]any{"uid": annID, "utid": tenantID}, jsonOf(t, got["client_info"])); diff != "" {
		t.Errorf("client_info (-want +got):\n%s", diff)
	}
	id := in.said(t, got["id_token"])
	for name, want := range map[string]any{
		"aud": native, "iss": in.URL + "/" + tenantID + "/v2.0", "oid": annID, "tid": tenantID, "preferred_username": ann, "name": "Ann <script>", "nonce": "a nonce",
	} {
		if id[name] != want {
			t.Errorf("id token: %s is %v, want %v", name, id[name], want)
		}
	}
	access := in.said(t, got["access_token"])
	for name, want := range map[string]any{"aud": resource, "scp": "Machine.Read", "appid": native, "appidacr": "0", "upn": ann, "oid": annID, "ver": "1.0"} {
		if access[name] != want {
			t.Errorf("access token: %s is %v, want %v", name, access[name], want)
		}
	}
	who, err := in.tokens.Validate(t.Context(), got["access_token"].(string))
	if err != nil || who.Kind != auth.User || who.ID != annID || who.App != native {
		t.Errorf("caller %+v, %v", who, err)
	}
	// In silence, from one refresh token to the next.
	status, next := in.token(t, tokenPath, "grant_type", "refresh_token", "client_id", native, "refresh_token", got["refresh_token"].(string), "scope", read+" openid profile offline_access")
	if status != 200 || next["refresh_token"] == got["refresh_token"] || next["id_token"] == nil || in.said(t, next["id_token"])["nonce"] != nil {
		t.Fatalf("refresh: %d %v", status, next)
	}
	if status, again := in.token(t, tokenPath, "grant_type", "refresh_token", "client_id", native, "refresh_token", got["refresh_token"].(string)); status != 400 || again["error"] != "invalid_grant" {
		t.Errorf("a refresh token a second time: %d %v", status, again)
	}
	if status, after := in.token(t, tokenPath, "grant_type", "refresh_token", "client_id", native, "refresh_token", next["refresh_token"].(string)); status != 400 || after["error"] != "invalid_grant" {
		t.Errorf("the family after that: %d %v", status, after)
	}
	if _, err := in.tokens.Validate(t.Context(), next["access_token"].(string)); err == nil {
		t.Error("an access token of the family goes on")
	}
	// The code, too, is good once.
	if status, got := in.token(t, tokenPath, redeem...); status != 400 || got["error"] != "invalid_grant" {
		t.Errorf("the code again: %d %v", status, got)
	}
}

func TestAConfidentialApplicationProvesItself(t *testing.T) {
	in := install(t)
	in.people(t)
	b := in.browser(t)
	code := func() string {
		v := b.get(authorizeV2 + request(web, webBack, "code_challenge", "", "code_challenge_method", "", "prompt", "login"))
		to := b.signIn(v).to(t)
		if !strings.HasPrefix(to.String(), webBack+"&code=") {
			t.Fatalf("sent to %s", to)
		}
		return to.Query().Get("code")
	}
	with := func(code string, more ...string) []string {
		return append([]string{"grant_type", "authorization_code", "client_id", web, "code", code, "redirect_uri", webBack}, more...)
	}
	one := code()
	if status, got := in.token(t, tokenPath, with(one)...); status != 401 || got["error"] != "invalid_client" {
		t.Errorf("without its secret: %d %v", status, got)
	}
	if status, got := in.token(t, tokenPath, with(one, "client_secret", "guess")...); status != 401 || got["error"] != "invalid_client" {
		t.Errorf("with a wrong one: %d %v", status, got)
	}
	status, got := in.token(t, tokenPath, with(one, "client_secret", secret)...)
	if status != 200 || in.said(t, got["access_token"])["appidacr"] != "1" {
		t.Errorf("with its secret, after it failed: %d %v", status, got)
	}
	if status, got := in.token(t, tokenPath, with(code(), "client_secret", secret, "code_verifier", verifier)...); status != 400 || got["error"] != "invalid_grant" {
		t.Errorf("a verifier of nothing: %d %v", status, got)
	}
	if status, got := in.token(t, tokenPath, "grant_type", "authorization_code", "client_id", native, "code", code(), "redirect_uri", webBack); status != 400 || got["error"] != "invalid_grant" {
		t.Errorf("a code of another application: %d %v", status, got)
	}
}

func TestACodeIsRedeemedByAnAssertion(t *testing.T) {
	in := install(t)
	in.people(t)
	cert := certify(t, rsaKey(t, 2048), in.now().Add(time.Hour))
	const id = "7f0e6d5c-1a2b-4c3d-8e9f-0000000000b2"
	if err := in.store.CreateApp(t.Context(), auth.App{
		Tenant: tenantID, ID: id, Name: "Web", Scopes: []string{auth.Read}, Redirects: []string{siteBack}, Created: in.now(),
		Certificates: []auth.Certificate{{ID: "c", DER: cert.der, Created: in.now(), Expires: in.now().Add(time.Hour)}},
	}); err != nil {
		t.Fatal(err)
	}
	b := in.browser(t)
	code := b.signIn(b.get(authorizeV2 + request(id, siteBack))).to(t).Query().Get("code")
	proof := []string{"client_assertion_type", assertionType, "client_assertion", sign(t, cert.key, "RS256", cert.x5t(), in.claimsOf(id))}
	status, got := in.token(t, tokenPath, append(proof, "grant_type", "authorization_code", "client_id", id, "code", code, "redirect_uri", siteBack, "code_verifier", verifier)...)
	if status != 200 || in.said(t, got["access_token"])["appidacr"] != "2" {
		t.Fatalf("%d %v", status, got)
	}
	refresh := []string{"grant_type", "refresh_token", "client_id", id, "refresh_token", got["refresh_token"].(string)}
	if status, got := in.token(t, tokenPath, refresh...); status != 401 {
		t.Errorf("refresh without it: %d %v", status, got)
	}
	if status, got := in.token(t, tokenPath, append(proof, refresh...)...); status != 200 {
		t.Errorf("refresh with it: %d %v", status, got)
	}
}

func TestV1SignsPeopleInToo(t *testing.T) {
	in := install(t)
	in.people(t)
	b := in.browser(t)
	page := b.get(authorizeV1 + request(native, toLocal, "scope", "", "resource", resource+"/"))
	code := b.signIn(page).to(t).Query().Get("code")
	status, got := in.token(t, tokenPathOfV1, "grant_type", "authorization_code", "client_id", native, "code", code, "redirect_uri", toLocal, "code_verifier", verifier, "resource", resource+"/")
	if status != 200 || got["resource"] != resource+"/" || got["expires_in"] != "3600" || got["refresh_token"] == nil ||
		got["scope"] != resource+"/Machine.CollectForensics "+resource+"/Machine.Read" {
		t.Fatalf("%d %v", status, got)
	}
	if id := in.said(t, got["id_token"]); id["iss"] != in.URL+"/"+tenantID+"/" || id["aud"] != native {
		t.Errorf("id token %v", id)
	}
	status, next := in.token(t, tokenPathOfV1, "grant_type", "refresh_token", "client_id", native, "refresh_token", got["refresh_token"].(string), "resource", "https://api.security.microsoft.com")
	if status != 200 || in.said(t, next["access_token"])["aud"] != "https://api.security.microsoft.com" {
		t.Errorf("refresh under another name of the API: %d %v", status, next)
	}
}

func TestPrompts(t *testing.T) {
	in := install(t)
	in.people(t)
	b := in.browser(t)
	ask := func(more ...string) view { t.Helper(); return b.get(authorizeV2 + request(single, siteBack, more...)) }
	wantError := func(what string, v view, code string) {
		t.Helper()
		q := v.to(t).Query()
		if q.Get("error") != code || q.Get("code") != "" || q.Get("state") != "a state" || !strings.HasPrefix(v.to(t).String(), siteBack+"?") {
			t.Errorf("%s: %s, want %s", what, v.to(t), code)
		}
	}
	wantCode := func(what string, v view) {
		t.Helper()
		if q := v.to(t).Query(); q.Get("code") == "" {
			t.Errorf("%s: %s", what, v.to(t))
		}
	}
	asks := func(what string, v view, title string) view {
		t.Helper()
		if v.status != 200 || !strings.Contains(v.text(), title) {
			t.Errorf("%s: %d %s", what, v.status, v.text())
		}
		return v
	}
	wantError("nobody is signed in", ask("prompt", "none"), "login_required")
	wantCode("signed in", b.signIn(ask()))
	wantCode("in silence", ask("prompt", "none"))
	wantCode("without a word", ask())
	wantCode("as somebody who is signed in", ask("prompt", "none", "login_hint", strings.ToUpper(ann)))
	wantError("as somebody else", ask("prompt", "none", "login_hint", "bob@example.org"), "login_required")
	if v := asks("a hint of somebody else", ask("login_hint", "bob@example.org"), "Sign in"); !strings.Contains(v.body, `value="bob@example.org"`) {
		t.Error("the hint is not on the page")
	}
	wantCode("again", b.signIn(asks("prompt=login", ask("prompt", "login"), "Sign in")))
	chosen := asks("prompt=select_account", ask("prompt", "select_account"), "Ann <script>")
	wantCode("the same account", b.submit(chosen, "do", "continue"))
	asks("another account", b.submit(chosen, "do", "other"), "Sign in")
	in.wait(time.Hour)
	asks("max_age", ask("max_age", "60"), "Sign in")
	wantError("max_age in silence", ask("max_age", "60", "prompt", "none"), "login_required")
	wantCode("max_age that is longer", ask("max_age", "7200"))
	// Another program on the machine could pose as one that was let in before.
	for _, there := range []string{toLocal, "msaltool://auth"} {
		local := authorizeV2 + request(native, there)
		asks("a program on the machine, at "+there, b.get(local), "Ann <script>")
		if q := b.get(local + "&prompt=none").to(t).Query(); q.Get("error") != "interaction_required" {
			t.Errorf("a program on the machine, at %s, in silence: %v", there, q)
		}
	}
	in.wait(8 * time.Hour)
	wantError("after the session ended", ask("prompt", "none"), "login_required")
}

func TestAnAnswerComesAsItWasAskedFor(t *testing.T) {
	in := install(t)
	in.people(t)
	b := in.browser(t)
	v := b.signIn(b.get(authorizeV2 + request(single, siteBack, "response_mode", "fragment")))
	if to := v.to(t); to.RawQuery != "" || !strings.HasPrefix(to.Fragment, "code=") || !strings.Contains(to.Fragment, "state=a+state") {
		t.Errorf("fragment: %s", to)
	}
	v = b.get(authorizeV2 + request(single, siteBack, "response_mode", "form_post"))
	if v.status != 200 || !strings.Contains(v.body, `action="`+siteBack+`"`) || !strings.Contains(v.body, `name="code"`) || !strings.Contains(v.body, `name="state" value="a state"`) {
		t.Errorf("form_post: %d %s", v.status, v.body)
	}
	v = b.get(authorizeV2 + request(single, siteBack, "state", "", "nonce", ""))
	if q := v.to(t).Query(); q.Has("state") || q.Get("code") == "" {
		t.Errorf("without state: %s", v.to(t))
	}
	form := url.Values{}
	for name, values := range mustQuery(t, request(single, siteBack)) {
		form[name] = values
	}
	v = b.send("POST", authorizeV2, form.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {"https://app.example"}, "Sec-Fetch-Site": {"cross-site"}})
	if to := v.to(t); to.Path != authorizeV2 {
		t.Errorf("POST: %s", to)
	} else if q := b.get(to.String()).to(t).Query(); q.Get("code") == "" {
		t.Errorf("POST, sent on: %v", q)
	}
	// A program that is woken by its own scheme.
	v = b.submit(b.get(authorizeV2+request(native, "msaltool://auth", "prompt", "login")), "username", ann, "password", password)
	if to := v.to(t); to.Scheme != "msaltool" || to.Query().Get("code") == "" {
		t.Errorf("own scheme: %s", to)
	}
}

func mustQuery(t *testing.T, s string) url.Values {
	t.Helper()
	q, err := url.ParseQuery(strings.TrimPrefix(s, "?"))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// Nobody is sent to an address that is not the application's, not with an error
// either.
func TestABrowserIsSentToRegisteredAddressesAlone(t *testing.T) {
	in := install(t)
	in.people(t)
	b := in.browser(t)
	b.signIn(b.get("/" + tenantID + "/account"))
	for _, c := range []struct{ client, back string }{
		{single, "https://evil.example/back"}, {single, siteBack + "/"}, {single, siteBack + "?x"}, {single, siteBack + "#x"}, {single, "http://site.example/back"},
		{single, "https://site.example:444/back"}, {single, "https://site.example@evil.example/back"}, {single, "//evil.example"}, {single, "javascript:alert(1)"},
		{native, "http://localhost:1/other"}, {native, "http://localhost.evil.example:1"}, {native, "http://127.0.0.1:1"}, {native, "https://localhost:1"},
		{native, "http://evil@localhost:1"}, {native, "http://localhost:1/#x"}, {native, "http://localhost:1?x=y"}, {native, "msaltool://auth/x"}, {native, ""},
		{"00000000-0000-0000-0000-000000000000", siteBack}, {"' OR 1=1 --", siteBack}, {clientID, "http://localhost"},
	} {
		for _, more := range [][]string{nil, {"scope", "nonsense"}, {"prompt", "none"}, {"response_type", "token"}} {
			v := b.get(authorizeV2 + request(c.client, c.back, more...))
			if v.status != 400 || v.header.Get("Location") != "" || !strings.Contains(v.text(), "This did not work") {
				t.Errorf("%s at %q %v: %d %v %s", c.client, c.back, more, v.status, v.header["Location"], v.text())
			}
			if strings.Contains(v.body, `href="`+c.back) && c.back != "" {
				t.Errorf("%q stands in the page as a link", c.back)
			}
		}
	}
	for _, back := range []string{"http://localhost", "http://localhost:1", "http://localhost:65535/", "http://LOCALHOST:2"} {
		if v := b.get(authorizeV2 + request(native, back)); v.status != 200 {
			t.Errorf("%s: %d %s", back, v.status, v.text())
		}
	}
}

func TestWhatAnApplicationAskedWronglyItIsTold(t *testing.T) {
	in := install(t)
	in.people(t)
	b := in.browser(t)
	for _, c := range []struct {
		code string
		more []string
	}{
		{"unsupported_response_type", []string{"response_type", "token"}},
		{"unsupported_response_type", []string{"response_type", "code id_token"}},
		{"unsupported_response_type", []string{"response_type", ""}},
		{"invalid_request", []string{"response_mode", "web_message"}},
		{"invalid_request", []string{"code_challenge", "", "code_challenge_method", ""}},
		{"invalid_request", []string{"code_challenge_method", "plain"}},
		{"invalid_request", []string{"code_challenge_method", ""}},
		{"invalid_request", []string{"code_challenge", "short"}},
		{"invalid_request", []string{"prompt", "none login"}},
		{"invalid_request", []string{"prompt", "dance"}},
		{"invalid_request", []string{"max_age", "-1"}},
		{"invalid_request", []string{"nonce", strings.Repeat("n", 1000)}},
		{"invalid_scope", []string{"scope", ""}},
		{"invalid_scope", []string{"scope", read + " https://graph.microsoft.com/.default"}},
		{"invalid_scope", []string{"scope", resource + "/Machine.ReadWrite"}},
		{"request_not_supported", []string{"request", "e30"}},
	} {
		v := b.get(authorizeV2 + request(single, siteBack, c.more...))
		if q := v.to(t).Query(); q.Get("error") != c.code || !strings.HasPrefix(q.Get("error_description"), "AADSTS") || q.Get("state") != "a state" {
			t.Errorf("%v: %s, want %s", c.more, v.to(t), c.code)
		}
	}
	if v := b.get(authorizeV2 + request(single, siteBack) + "&state=other"); v.status != 400 || v.header.Get("Location") != "" {
		t.Errorf("a parameter twice: %d", v.status)
	}
	if v := b.get(authorizeV2 + request(single, siteBack, "state", strings.Repeat("s", maxRequest))); v.status != 400 {
		t.Errorf("a huge request: %d", v.status)
	}
}

// Another site has no form of ours sent, and no sign-in of its own planted.
func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	in := install(t)
	in.people(t)
	b := in.browser(t)
	page := b.get(authorizeV2 + request(single, siteBack))
	for what, h := range map[string]http.Header{
		"cross-site":       {"Sec-Fetch-Site": {"cross-site"}},
		"same-site":        {"Sec-Fetch-Site": {"same-site"}},
		"another origin":   {"Origin": {"https://evil.example"}},
		"no origin":        {"Origin": {"null"}},
		"one but no match": {"Origin": {in.URL + ".evil.example"}},
	} {
		if v := b.submitAs(page, h, "username", ann, "password", password); v.status != 400 || len(v.header["Set-Cookie"]) > 0 {
			t.Errorf("%s: %d %s", what, v.status, v.text())
		}
	}
	// The attacker's own page and ticket in the victim's browser.
	victim := in.browser(t)
	if v := victim.submit(page, "username", ann, "password", password); v.status != 400 {
		t.Errorf("another browser's form: %d %s", v.status, v.text())
	}
	if v := b.submitAs(page, http.Header{"Origin": {in.URL}}, "username", ann, "password", password); v.to(t).Query().Get("code") == "" {
		t.Error("our own page in a browser that sends Origin alone")
	}
	in.wait(11 * time.Minute)
	if v := b.submit(page, "username", ann, "password", password); v.status != 400 {
		t.Errorf("a form of a while ago: %d", v.status)
	}
}

// What is not there is a page for a browser, as whatever else goes wrong.
func TestABrowserGetsAPageWhateverIsWrong(t *testing.T) {
	in := install(t)
	in.people(t)
	b := in.browser(t)
	for path, status := range map[string]int{
		"/common/oauth2/v2.0/authorize": 400, "/nobody.example/account": 400, authorizeV2: 400, "/nobody/device": 400,
	} {
		if v := b.get(path); v.status != status || !strings.HasPrefix(v.header.Get("Content-Type"), "text/html") || !strings.Contains(v.text(), v.header.Get("request-id")) {
			t.Errorf("%s: %d %v %s", path, v.status, v.header, v.text())
		}
	}
	if v := b.send("PUT", accountPage, "", nil); v.status != http.StatusMethodNotAllowed || !strings.HasPrefix(v.header.Get("Content-Type"), "text/html") {
		t.Errorf("PUT: %d %v", v.status, v.header)
	}
	if v := b.send("POST", "/"+tenantID+"/signin", strings.Repeat("x", maxForm+1), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}); v.status != 400 {
		t.Errorf("a huge form: %d", v.status)
	}
	for range 11 {
		v := b.get(accountPage)
		if v = b.submit(v, "username", ann, "password", "guess"); v.status == http.StatusTooManyRequests {
			if v.header.Get("Retry-After") == "" || !strings.Contains(v.text(), "Too many attempts. Wait") {
				t.Errorf("%v %s", v.header, v.text())
			}
			return
		}
	}
	t.Error("nobody is slowed")
}

func TestASessionIsAnotherOneAfterSigningIn(t *testing.T) {
	in := install(t)
	in.people(t)
	b := in.browser(t)
	cookie := func() string {
		u, _ := url.Parse(in.URL)
		for _, c := range b.Jar.Cookies(u) {
			if c.Name == sessionCookie+tenantID {
				return c.Value
			}
		}
		return ""
	}
	u, _ := url.Parse(in.URL)
	b.Jar.SetCookies(u, []*http.Cookie{{Name: sessionCookie + tenantID, Value: "planted", Path: "/", Secure: true}})
	b.signIn(b.get("/" + tenantID + "/account")).to(t)
	first := cookie()
	b.signIn(b.get(authorizeV2 + request(single, siteBack, "prompt", "login"))).to(t)
	if second := cookie(); first == "planted" || first == "" || second == first {
		t.Errorf("planted, then %q, then %q", first, second)
	}
	b.Jar.SetCookies(u, []*http.Cookie{{Name: sessionCookie + tenantID, Value: first, Path: "/", Secure: true}})
	if v := b.get("/" + tenantID + "/account"); !strings.Contains(v.text(), "Sign in") {
		t.Errorf("the first session goes on: %s", v.text())
	}
}

func FuzzAuthorize(f *testing.F) {
	in := install(f)
	in.people(f)
	s := New(*in.config)
	f.Add(request(single, siteBack)[1:])
	f.Add(request(native, "http://localhost:1", "prompt", "none")[1:])
	f.Add("client_id=%zz&client_id=&&=;")
	f.Fuzz(func(t *testing.T, query string) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", in.URL+authorizeV2, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		to := w.Header().Get("Location")
		switch w.Code {
		case 200, 400:
		case http.StatusSeeOther:
			if !strings.HasPrefix(to, siteBack+"?") && !strings.HasPrefix(to, siteBack+"#") && loopback(to) == "" && !strings.HasPrefix(to, "msaltool://auth") && !strings.HasPrefix(to, "https://app.example/back") {
				t.Errorf("%q sends the browser to %q", query, to)
			}
		default:
			t.Errorf("%q: %d", query, w.Code)
		}
	})
}

func FuzzLoopback(f *testing.F) {
	for _, seed := range []string{"http://localhost:1/x?y", "http://[::1]:1", "http://127.0.0.1", "http://localhost:1@evil.example", "http://localhost\t"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		if loopback(address) == "" {
			return
		}
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "http" || u.User != nil || u.Fragment != "" {
			t.Errorf("%q is taken for the person's own machine: %v, %v", address, u, err)
		}
	})
}
