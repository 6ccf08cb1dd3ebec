package issuer

import (
	"encoding/base32"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"swab/internal/auth"
	"swab/internal/credential"
)

const accountPage = "/" + tenantID + "/account"

// change changes Ann's credential beside the issuer.
func (in *installation) change(t testing.TB, change func(*auth.Credential)) {
	t.Helper()
	c, err := in.store.Credential(t.Context(), tenantID, annID)
	if err != nil {
		t.Fatal(err)
	}
	change(&c)
	if err := in.store.SetCredential(t.Context(), tenantID, annID, c); err != nil {
		t.Fatal(err)
	}
}

// follow is what a page leads to.
func (b *browser) follow(v view) view { b.t.Helper(); return b.get(v.to(b.t).String()) }

func TestTwoStepVerificationIsSetUpUsedAndRemoved(t *testing.T) {
	in := install(t)
	in.people(t)
	b := in.browser(t)
	account := b.follow(b.signIn(b.get(accountPage)))
	if !strings.Contains(account.text(), "Ann <script>") || strings.Contains(account.body, "<script>") {
		t.Fatal(account.text())
	}
	prove := b.get(accountPage + "/two-step")
	if v := b.submit(prove, "password", "guess"); v.status != http.StatusForbidden {
		t.Errorf("set up with a wrong password: %d %s", v.status, v.text())
	}
	setup := b.submit(prove, "password", password)
	typed := regexp.MustCompile(`[A-Z2-7]{4}( [A-Z2-7]{4}){7}`).FindString(setup.text())
	seed, err := base32.StdEncoding.DecodeString(strings.ReplaceAll(typed, " ", ""))
	if err != nil || !strings.Contains(html.UnescapeString(setup.body), "data:image/svg+xml") {
		t.Fatalf("%v in %s", err, setup.text())
	}
	secret, err := credential.RestoreTOTP(seed)
	if err != nil {
		t.Fatal(err)
	}
	if v := b.submit(setup, "code", "000000"); v.status != http.StatusForbidden || !strings.Contains(v.text(), typed) {
		t.Errorf("a wrong code: %d %s", v.status, v.text())
	}
	codes := b.submit(setup, "code", oneTime(secret, in.now()))
	recovery := regexp.MustCompile(`[2-9a-z]{8}-[2-9a-z]{8}`).FindAllString(codes.text(), -1)
	if codes.status != 200 || len(recovery) != 10 {
		t.Fatalf("%d recovery codes: %s", len(recovery), codes.text())
	}
	if v := b.get(accountPage); !strings.Contains(v.text(), "10 recovery codes are left") {
		t.Errorf("account: %s", v.text())
	}

	// It is asked for from now on, and each code is good once.
	second := func(page view, fields ...string) view {
		t.Helper()
		asked := b.signIn(page)
		if asked.status != 200 || !strings.Contains(asked.text(), "Two-step verification") {
			t.Fatalf("%d %s", asked.status, asked.text())
		}
		return b.submit(asked, fields...)
	}
	ask := func() view { return b.get(authorizeV2 + request(single, siteBack, "prompt", "login")) }
	in.wait(30 * time.Second)
	code := oneTime(secret, in.now())
	if v := second(ask(), "code", code); v.to(t).Query().Get("code") == "" {
		t.Errorf("a right code: %v", v.header)
	}
	if v := second(ask(), "code", code); v.status != http.StatusForbidden || !strings.Contains(v.text(), "The code is wrong, has run out, or was used already") {
		t.Errorf("the same code: %d %s", v.status, v.text())
	}
	if v := second(ask(), "recovery", recovery[0]); v.to(t).Query().Get("code") == "" {
		t.Errorf("a recovery code: %v", v.header)
	}
	if v := second(ask(), "recovery", recovery[0]); v.status != http.StatusForbidden {
		t.Errorf("the same recovery code: %d %s", v.status, v.text())
	}
	if v := second(ask(), "do", "other"); !strings.Contains(v.text(), "Sign in") {
		t.Errorf("another account: %s", v.text())
	}
	// A form of the second step is worth nothing once the password is another one.
	stale := b.signIn(ask())
	in.change(t, func(c *auth.Credential) { c.Changed = c.Changed.Add(time.Second) })
	in.wait(30 * time.Second)
	if v := b.submit(stale, "code", oneTime(secret, in.now())); v.status != http.StatusForbidden || !strings.Contains(v.text(), "start again") {
		t.Errorf("the second step of an old password: %d %s", v.status, v.text())
	}

	in.wait(time.Hour) // wrong codes are counted by the hour
	fresh := b.submit(b.get(accountPage+"/recovery-codes"), "password", password, "code", oneTime(secret, in.now()))
	if again := regexp.MustCompile(`[2-9a-z]{8}-[2-9a-z]{8}`).FindAllString(fresh.text(), -1); len(again) != 10 || again[0] == recovery[0] {
		t.Errorf("new recovery codes: %d %s", fresh.status, fresh.text())
	}
	remove := b.get(accountPage + "/remove-two-step")
	if v := b.submit(remove, "password", password, "code", recovery[1]); v.status != http.StatusForbidden {
		t.Errorf("removed by a recovery code that was replaced: %d", v.status)
	}
	in.wait(30 * time.Second)
	if v := b.submit(remove, "password", password, "code", oneTime(secret, in.now())); v.to(t).Query().Get("done") != "two-step" {
		t.Errorf("%d %s", v.status, v.text())
	}
	if v := b.signIn(ask()); v.to(t).Query().Get("code") == "" {
		t.Error("the second step is asked for after it was removed")
	}
}

func TestAPasswordThatWasGivenIsChangedFirst(t *testing.T) {
	in := install(t)
	in.people(t)
	in.change(t, func(c *auth.Credential) { c.MustChange = true })
	b := in.browser(t)
	page := b.signIn(b.get(authorizeV2 + request(single, siteBack)))
	if page.status != 200 || !strings.Contains(page.text(), "Set a new password") {
		t.Fatal(page.status, page.text())
	}
	if v := b.get(authorizeV2 + request(single, siteBack, "prompt", "none")); v.to(t).Query().Get("error") != "login_required" {
		t.Error("somebody is signed in by the password that somebody else knows")
	}
	const next = "another four words altogether"
	for what, fields := range map[string][]string{
		"not alike": {"new_password", next, "new_password_again", next + "!"},
		"too short": {"new_password", "short", "new_password_again", "short"},
		"the same":  {"new_password", password, "new_password_again", password},
	} {
		if v := b.submit(page, fields...); v.status != http.StatusForbidden {
			t.Errorf("%s: %d %s", what, v.status, v.text())
		}
	}
	if v := b.submit(page, "new_password", next, "new_password_again", next); v.to(t).Query().Get("code") == "" {
		t.Error("no code after the password was set")
	}
}

func TestAPasswordIsChangedByItsOwner(t *testing.T) {
	in := install(t)
	in.people(t)
	here, there := in.browser(t), in.browser(t)
	for _, b := range []*browser{here, there} {
		b.follow(b.signIn(b.get(accountPage)))
	}
	const next = "another four words altogether"
	page := here.get(accountPage + "/password")
	if v := here.submit(page, "password", "guess", "new_password", next, "new_password_again", next); v.status != http.StatusForbidden {
		t.Errorf("without the present password: %d", v.status)
	}
	if v := there.submit(page, "password", password, "new_password", next, "new_password_again", next); v.status != 400 {
		t.Errorf("by another browser's form: %d", v.status)
	}
	in.wait(time.Second)
	if v := here.follow(here.submit(page, "password", password, "new_password", next, "new_password_again", next)); !strings.Contains(v.text(), "Your password is changed.") {
		t.Errorf("%d %s", v.status, v.text())
	}
	if v := there.get(accountPage); !strings.Contains(v.text(), "Sign in") {
		t.Error("the other browser is still signed in")
	}
}

func TestSignInsAreSeenAndEnded(t *testing.T) {
	in := install(t)
	in.people(t)
	b, other := in.browser(t), in.browser(t)
	code := b.signIn(b.get(authorizeV2 + request(native, toLocal))).to(t).Query().Get("code")
	_, got := in.token(t, tokenPath, "grant_type", "authorization_code", "client_id", native, "code", code, "redirect_uri", toLocal, "code_verifier", verifier)
	other.follow(other.signIn(other.get(accountPage)))
	account := b.get(accountPage)
	rows := regexp.MustCompile(`(?s)<tr[ >].*?</tr>`).FindAllString(account.body, -1)
	if len(rows) != 4 {
		t.Fatalf("%d rows: %s", len(rows), account.text())
	}
	end := func(match string) view {
		t.Helper()
		for _, row := range rows[1:] {
			if strings.Contains(row, match) && (match == "Tool" || !strings.Contains(row, "this one")) {
				id := regexp.MustCompile(`name="session" value="([^"]*)"`).FindStringSubmatch(row)[1]
				return b.submit(account, "do", "end-session", "session", id)
			}
		}
		t.Fatalf("no row of %s in %s", match, account.text())
		return view{}
	}
	if v := b.follow(end("Tool")); !strings.Contains(v.text(), "You are signed out there") {
		t.Error(v.text())
	}
	if _, err := in.tokens.Validate(t.Context(), got["access_token"].(string)); err == nil {
		t.Error("the application's sign-in goes on")
	}
	end("Browser")
	if v := other.get(accountPage); !strings.Contains(v.text(), "Sign in") {
		t.Error("the other browser is still signed in")
	}
	if v := b.submit(account, "do", "end-session", "session", "nothing"); v.to(t).Path != accountPage {
		t.Errorf("a sign-in that is not there: %d", v.status)
	}
	if v := b.submit(account, "do", "sign-out"); v.status != 200 || !strings.Contains(v.text(), "You are signed out") {
		t.Errorf("%d %s", v.status, v.text())
	}
	if v := b.get(authorizeV2 + request(single, siteBack, "prompt", "none")); v.to(t).Query().Get("error") != "login_required" {
		t.Error("still signed in")
	}
}

func TestOnlyWhoIsSignedInSeesAnAccount(t *testing.T) {
	in := install(t)
	in.people(t)
	b := in.browser(t)
	for _, below := range []string{"", "/password", "/two-step", "/recovery-codes", "/remove-two-step"} {
		v := b.get(accountPage + below)
		if v.status != 200 || !strings.Contains(v.text(), "Sign in") || strings.Contains(v.body, ann) {
			t.Errorf("%s: %d %s", below, v.status, v.text())
		}
		if to := b.signIn(v).to(t); to.Path != accountPage+below {
			t.Errorf("after signing in for %s: %s", below, to)
		}
		b = in.browser(t)
	}
	for _, form := range []string{"/signin", "/signin/code", "/signin/password", "/signin/account"} {
		if to := b.get("/" + tenantID + form).to(t); to.Path != accountPage {
			t.Errorf("%s without a form: %s", form, to)
		}
		if v := b.send("POST", "/"+tenantID+form, "ticket=x&username=a", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}); v.status != 400 {
			t.Errorf("%s with a made-up ticket: %d", form, v.status)
		}
	}
}

func TestSigningOut(t *testing.T) {
	in := install(t)
	in.people(t)
	b := in.browser(t)
	logout := "/" + tenantID + "/oauth2/v2.0/logout"
	signIn := func() map[string]any {
		t.Helper()
		code := b.signIn(b.get(authorizeV2 + request(single, siteBack, "prompt", "login"))).to(t).Query().Get("code")
		_, got := in.token(t, tokenPath, "grant_type", "authorization_code", "client_id", single, "code", code, "redirect_uri", siteBack, "code_verifier", verifier)
		return got
	}
	signedIn := func() bool {
		t.Helper()
		return b.get(authorizeV2+request(single, siteBack, "prompt", "none")).to(t).Query().Get("code") != ""
	}
	got := signIn()
	hint := url.QueryEscape(got["id_token"].(string))
	for what, query := range map[string]string{
		"nothing":             "",
		"no hint":             "?client_id=" + single + "&post_logout_redirect_uri=" + url.QueryEscape(siteBack),
		"an access token":     "?id_token_hint=" + url.QueryEscape(got["access_token"].(string)),
		"a hint that is none": "?id_token_hint=x",
		"an altered one":      "?id_token_hint=" + hint[:len(hint)-6] + "AAAAAA",
	} {
		if v := b.get(logout + query); v.status != 200 || !strings.Contains(v.text(), "Sign out?") || !signedIn() {
			t.Errorf("%s: %d %s", what, v.status, v.text())
		}
	}
	v := b.get(logout + "?state=s&client_id=" + single + "&post_logout_redirect_uri=" + url.QueryEscape(siteBack))
	if to := b.submit(v, "do", "sign-out").to(t); to.String() != siteBack+"?state=s" || signedIn() {
		t.Errorf("after the question: %s", to)
	}
	got = signIn()
	hint = url.QueryEscape(got["id_token"].(string))
	in.wait(2 * time.Hour) // the id token has run out
	if to := b.get(logout + "?id_token_hint=" + hint + "&post_logout_redirect_uri=" + url.QueryEscape(siteBack)).to(t); to.String() != siteBack || signedIn() {
		t.Errorf("with a hint: %s", to)
	}
	if status, got := in.token(t, tokenPath, "grant_type", "refresh_token", "client_id", single, "refresh_token", got["refresh_token"].(string)); status != 400 {
		t.Errorf("the application that asked for it goes on: %d %v", status, got)
	}
	got = signIn()
	hint = url.QueryEscape(got["id_token"].(string))
	if v := b.get(logout + "?id_token_hint=" + hint + "&post_logout_redirect_uri=" + url.QueryEscape("https://evil.example")); v.status != 200 || v.header.Get("Location") != "" || signedIn() {
		t.Errorf("sent to an address that is not registered: %d %v", v.status, v.header)
	}
	if v := b.get(logout); v.status != 200 || !strings.Contains(v.text(), "You are signed out") {
		t.Errorf("who is signed out already: %d %s", v.status, v.text())
	}
	v = b.send("POST", logout, "state=s", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"cross-site"}})
	if to := v.to(t); to.Path != logout || to.RawQuery != "state=s" {
		t.Errorf("POST by an application: %s", to)
	}
}

func TestTheGrantPasswordIsOffUntilItIsAllowed(t *testing.T) {
	in := install(t)
	in.people(t)
	form := []string{"grant_type", "password", "client_id", native, "username", ann, "password", password, "scope", read + " offline_access"}
	if status, got := in.token(t, tokenPath, form...); status != 400 || got["error"] != "unsupported_grant_type" {
		t.Errorf("off: %d %v", status, got)
	}
	in.config.Passwords = true
	status, got := in.token(t, tokenPath, form...)
	if status != 200 || got["refresh_token"] == nil {
		t.Fatalf("on: %d %v", status, got)
	}
	if who, err := in.tokens.Validate(t.Context(), got["access_token"].(string)); err != nil || who.ID != annID {
		t.Errorf("%+v, %v", who, err)
	}
	v1 := []string{"grant_type", "password", "client_id", native, "username", ann, "password", password, "resource", resource}
	if status, got := in.token(t, tokenPathOfV1, v1...); status != 200 || got["resource"] != resource {
		t.Errorf("v1: %d %v", status, got)
	}
	form[7] = "guess"
	if status, got := in.token(t, tokenPath, form...); status != 400 || got["error"] != "invalid_grant" {
		t.Errorf("a wrong password: %d %v", status, got)
	}
	form[7] = password
	in.change(t, func(c *auth.Credential) {
		c.TOTP = in.ring.Seal("one-time code secret", tenantID+"/"+annID, make([]byte, 20))
	})
	if status, got := in.token(t, tokenPath, form...); status != 400 || got["error"] != "interaction_required" {
		t.Errorf("somebody with a second step: %d %v", status, got)
	}
	in.change(t, func(c *auth.Credential) { c.TOTP, c.MustChange = nil, true })
	if status, got := in.token(t, tokenPath, form...); status != 400 || got["error"] != "interaction_required" {
		t.Errorf("somebody who has to set a password: %d %v", status, got)
	}
}

func TestARefreshTokenIsGivenBack(t *testing.T) {
	in := install(t)
	in.people(t)
	in.config.Passwords = true
	_, got := in.token(t, tokenPath, "grant_type", "password", "client_id", native, "username", ann, "password", password, "scope", read+" offline_access")
	revoke := "/" + tenantID + "/oauth2/v2.0/revoke"
	token := got["refresh_token"].(string)
	if status, _ := in.token(t, revoke, "client_id", single, "token", token); status != 200 {
		t.Errorf("by another application: %d", status)
	}
	if _, err := in.tokens.Validate(t.Context(), got["access_token"].(string)); err != nil {
		t.Errorf("another application ended it: %v", err)
	}
	for range 2 {
		if status, got := in.token(t, revoke, "client_id", native, "token", token, "token_type_hint", "refresh_token"); status != 200 || len(got) != 0 {
			t.Errorf("%d %v", status, got)
		}
	}
	if _, err := in.tokens.Validate(t.Context(), got["access_token"].(string)); err == nil {
		t.Error("its access token goes on")
	}
	if status, got := in.token(t, revoke, "client_id", web, "token", token); status != 401 {
		t.Errorf("without the secret: %d %v", status, got)
	}
}

// A password does not change the password of somebody who has a second step.
func TestAPasswordIsChangedByTheSecondStepToo(t *testing.T) {
	in := install(t)
	in.people(t)
	b := in.browser(t)
	b.follow(b.signIn(b.get(accountPage)))
	secret := credential.NewTOTP()
	in.change(t, func(c *auth.Credential) {
		c.TOTP = in.ring.Seal("one-time code secret", tenantID+"/"+annID, secret.Seed())
	})
	const next = "another four words altogether"
	page := b.get(accountPage + "/password")
	for what, code := range map[string]string{"no code": "", "a wrong code": "000000"} {
		if v := b.submit(page, "password", password, "code", code, "new_password", next, "new_password_again", next); v.status != http.StatusForbidden {
			t.Errorf("%s: %d %s", what, v.status, v.text())
		}
	}
	if v := b.submit(page, "password", password, "code", oneTime(secret, in.now()), "new_password", next, "new_password_again", next); v.to(t).Query().Get("done") != "password" {
		t.Errorf("%d %s", v.status, v.text())
	}
}

// What was done is said to whoever did it, and to nobody whom a link sends there.
func TestNoLinkSaysWhatWasDone(t *testing.T) {
	in := install(t)
	in.people(t)
	b := in.browser(t)
	b.follow(b.signIn(b.get(accountPage)))
	if v := b.get(accountPage + "?done=two-step"); v.status != 200 || strings.Contains(v.text(), "removed") {
		t.Errorf("%d %s", v.status, v.text())
	}
}
