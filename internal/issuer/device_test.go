package issuer

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"swab/internal/signin"
)

const (
	devicePathV2 = "/" + tenantID + "/oauth2/v2.0/devicecode"
	devicePathV1 = "/" + tenantID + "/oauth2/devicecode"
)

func TestAPersonSignsInByADeviceCode(t *testing.T) {
	in := install(t)
	in.people(t)
	b := in.browser(t)
	begin := func() (code, user string) {
		t.Helper()
		status, got := in.token(t, devicePathV2, "client_id", native, "scope", read+" openid offline_access")
		page := in.URL + "/Contoso.example/device"
		if status != 200 || got["expires_in"] != 900.0 || got["interval"] != 5.0 || got["verification_uri"] != page || got["verification_url"] != page ||
			!strings.Contains(got["message"].(string), page) || !strings.Contains(got["message"].(string), got["user_code"].(string)) {
			t.Fatalf("%d %v", status, got)
		}
		return got["device_code"].(string), got["user_code"].(string)
	}
	poll := func(what, want string, pairs ...string) map[string]any {
		t.Helper()
		status, got := in.token(t, tokenPath, append([]string{"client_id", native}, pairs...)...)
		if want == "" && status != 200 || want != "" && (status != 400 || got["error"] != want) {
			t.Errorf("%s: %d %v, want %q", what, status, got, want)
		}
		return got
	}
	code, user := begin()
	poll("at once", "authorization_pending", "grant_type", deviceGrant, "device_code", code)
	poll("too soon", "slow_down", "grant_type", "device_code", "code", code)
	in.wait(signin.DevicePause)
	poll("in time", "authorization_pending", "grant_type", "device_code", "device_code", code, "code", code)
	poll("two codes", "invalid_request", "grant_type", "device_code", "device_code", code, "code", "other")

	page := b.get("/contoso.example/device")
	if !strings.Contains(page.text(), "Sign in") {
		t.Fatalf("%d %s", page.status, page.text())
	}
	page = b.get(b.signIn(page).to(t).String())
	if v := b.submit(page, "user_code", "BCDF-GHJK"); v.status != http.StatusForbidden || !strings.Contains(v.text(), "There is no such code") {
		t.Errorf("a wrong code: %d %s", v.status, v.text())
	}
	confirm := b.submit(page, "user_code", strings.ToLower(strings.ReplaceAll(user, "-", " ")))
	if confirm.status != 200 || !strings.Contains(confirm.text(), "Tool <b> asks to sign in as you") || !strings.Contains(confirm.text(), user) || !strings.Contains(confirm.text(), "127.0.0.1") {
		t.Fatalf("%d %s", confirm.status, confirm.text())
	}
	if v := b.submit(confirm); v.status != 400 {
		t.Errorf("neither allowed nor denied: %d", v.status)
	}
	if v := b.submitAs(confirm, http.Header{"Sec-Fetch-Site": {"cross-site"}}, "do", "allow"); v.status != 400 {
		t.Errorf("allowed by another site: %d", v.status)
	}
	in.wait(signin.DevicePause)
	poll("not yet", "authorization_pending", "grant_type", deviceGrant, "device_code", code)
	if v := b.submit(confirm, "do", "allow"); v.status != 200 || !strings.Contains(v.text(), "You are signed in") {
		t.Errorf("%d %s", v.status, v.text())
	}
	if v := b.submit(confirm, "do", "deny"); v.status != http.StatusForbidden {
		t.Errorf("decided twice: %d %s", v.status, v.text())
	}
	got := poll("allowed", "", "grant_type", deviceGrant, "device_code", code)
	if got["refresh_token"] == nil || got["scope"] != read+" openid offline_access" || in.said(t, got["id_token"])["oid"] != annID || got["client_info"] == nil {
		t.Errorf("%v", got)
	}
	if _, err := in.tokens.Validate(t.Context(), got["access_token"].(string)); err != nil {
		t.Error(err)
	}
	poll("a second time", "invalid_grant", "grant_type", deviceGrant, "device_code", code)
	if _, err := in.tokens.Validate(t.Context(), got["access_token"].(string)); err == nil {
		t.Error("the sign-in goes on after its code was used twice")
	}

	code, user = begin()
	if v := b.submit(b.submit(b.get("/"+tenantID+"/device"), "user_code", user), "do", "deny"); !strings.Contains(v.text(), "The sign-in was denied") {
		t.Errorf("%d %s", v.status, v.text())
	}
	poll("denied", "access_denied", "grant_type", deviceGrant, "device_code", code)
	code, user = begin()
	in.wait(signin.DeviceLife)
	poll("too late", "expired_token", "grant_type", deviceGrant, "device_code", code)
	poll("no code", "expired_token", "grant_type", deviceGrant, "device_code", "nothing")
	if v := b.get("/" + tenantID + "/device"); !strings.Contains(v.text(), "Sign in") || !strings.Contains(v.body, `value="`+ann+`"`) {
		t.Errorf("a quarter of an hour after signing in: %s", v.text())
	}
	if _, _, err := in.desk.Device(t.Context(), signin.Visitor{}, signin.Signed{}, user); err == nil {
		t.Error("a code that ran out is found")
	}
}

func TestV1DeviceCodesAreInStrings(t *testing.T) {
	in := install(t)
	in.people(t)
	status, got := in.token(t, devicePathV1, "client_id", native, "resource", resource)
	if status != 200 || got["expires_in"] != "900" || got["interval"] != "5" || !regexp.MustCompile(`^[A-Z]{4}-[A-Z]{4}$`).MatchString(got["user_code"].(string)) {
		t.Errorf("%d %v", status, got)
	}
	for what, c := range map[string]struct {
		pairs  []string
		status int
		code   string
	}{
		"no client":         {[]string{"resource", resource}, 400, "invalid_request"},
		"unknown client":    {[]string{"client_id", "x", "resource", resource}, 401, "invalid_client"},
		"one with a secret": {[]string{"client_id", web, "resource", resource}, 401, "invalid_client"},
		"another resource":  {[]string{"client_id", native, "resource", "https://graph.microsoft.com"}, 400, "invalid_resource"},
		"nothing asked for": {[]string{"client_id", native}, 400, "invalid_scope"},
		"what it hasn't":    {[]string{"client_id", native, "scope", resource + "/Swab.Administer"}, 400, "invalid_scope"},
	} {
		if status, got := in.token(t, devicePathV1, c.pairs...); status != c.status || got["error"] != c.code {
			t.Errorf("%s: %d %v, want %d %s", what, status, got, c.status, c.code)
		}
	}
	if status, got := in.token(t, devicePathV1, "client_id", web, "client_secret", secret, "resource", resource); status != 200 {
		t.Errorf("one with its secret: %d %v", status, got)
	}
}

func TestDeviceCodesAreNotAskedForWithoutEnd(t *testing.T) {
	in := install(t)
	in.people(t)
	for n := range 40 {
		status, got := in.token(t, devicePathV2, "client_id", native, "scope", read)
		if want := n < 30; (status == 200) != want || !want && status != http.StatusTooManyRequests {
			t.Fatalf("device code %d in a minute: %d %v", n, status, got)
		}
	}
	in.wait(time.Minute)
	if status, got := in.token(t, devicePathV2, "client_id", native, "scope", read); status != 200 {
		t.Errorf("a minute later: %d %v", status, got)
	}
}
