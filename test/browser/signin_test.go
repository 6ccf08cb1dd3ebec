package browser

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"swab/client"
	"swab/internal/command"
	"swab/internal/server"
	"swab/internal/store/storetest"
	"swab/test/visitor"
)

// house is a whole server with a person and an application that people sign in to.
type house struct {
	t      *testing.T
	cred   client.Credentials
	app    string // client id
	first  string // Ann's password, as it was given to her
	back   string // where the application takes its answers
	codes  chan string
	direct *http.Client
}

const principal = "ann@corp.example"

func build(t *testing.T, flags ...string) *house {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	dir := t.TempDir()
	settings, err := command.Read(server.Command, append([]string{"--data", dir, "--listen", l.Addr().String()}, flags...)...)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(t.Context(), *settings.(*server.Config), slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-s.Ready()

	h := &house{t: t, codes: make(chan string, 1)}
	// Only the browser has to judge the certificate, and it is told not to.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	h.direct = &http.Client{Transport: transport}
	if h.cred, err = client.ReadCredentials(filepath.Join(dir, "bootstrap.json")); err != nil {
		t.Fatal(err)
	}
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/signed-in" {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, `<!doctype html><html lang="en"><title>Console</title><link rel="icon" href="data:,"><main><h1>Console</h1></main></html>`)
			h.codes <- r.URL.Query().Get("code")
		}
	}))
	t.Cleanup(application.Close)
	h.back = application.URL + "/signed-in"

	admin, err := client.New(h.cred.Config())
	if err != nil {
		t.Fatal(err)
	}
	app, err := admin.CreateApp(t.Context(), client.AppRequest{Name: "Incident <console>", Public: true, Redirects: []string{"http://127.0.0.1/signed-in"}, Scopes: []string{"Machine.Read"}})
	if err != nil {
		t.Fatal(err)
	}
	group, err := admin.CreateUserGroup(t.Context(), client.UserGroupRequest{Name: "Responders"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateRole(t.Context(), client.RoleRequest{Name: "Sees", Permissions: []string{"View data"}, UserGroups: []string{group.ID}}); err != nil {
		t.Fatal(err)
	}
	ann, err := admin.CreateUser(t.Context(), client.UserRequest{Principal: principal, Name: "Ann <script>alert(1)</script>", Groups: []string{group.ID}})
	if err != nil {
		t.Fatal(err)
	}
	h.app, h.first = app.ID, ann.InitialPassword
	return h
}

const verifier = "a-verifier-that-nobody-else-knows-0123456789"

// authorize is the address to which the application sends people who sign in.
func (h *house) authorize() string {
	sum := sha256.Sum256([]byte(verifier))
	return h.cred.Authority + "/oauth2/v2.0/authorize?" + url.Values{
		"client_id": {h.app}, "response_type": {"code"}, "redirect_uri": {h.back}, "scope": {h.scope()}, "state": {"s"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode()
}

func (h *house) scope() string { return h.cred.APIBase + "/Machine.Read" }

// post sends a form of the application to an endpoint, and returns what it says.
func (h *house) post(endpoint string, form url.Values) map[string]any {
	h.t.Helper()
	form.Set("client_id", h.app)
	resp, err := h.direct.PostForm(h.cred.Authority+"/oauth2/v2.0/"+endpoint, form)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	var said map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		h.t.Fatal(err)
	}
	return said
}

// token is an answer's access token.
func (h *house) token(said map[string]any) string {
	h.t.Helper()
	token, ok := said["access_token"].(string)
	if !ok {
		h.t.Fatalf("no token: %v", said)
	}
	return token
}

// holds asks the API with a token, and expects its status.
func (h *house) holds(token string, want int) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.cred.APIBase+"/api/machines", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := h.direct.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != want {
		h.t.Errorf("the API answers %d, want %d", resp.StatusCode, want)
	}
}

// window is a browser's, through which a person looks.
type window struct {
	t     *testing.T
	ctx   context.Context
	axe   string
	heard *console
	seen  int // pages
}

func (w *window) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	if err := chromedp.Do(w.ctx, steps...); err != nil {
		text, _ := chromedp.Run(w.ctx, chromedp.Evaluate[string]("location.pathname + '\\n' + document.body.innerText"))
		w.t.Fatalf("%s: %v, on a page that says %s", what, err, text)
	}
}

// open goes to an address.
func (w *window) open(address string) {
	w.t.Helper()
	w.do("open "+address, chromedp.Navigate(address))
}

// fill fills in the field that a label names.
func (w *window) fill(label, text string) {
	w.t.Helper()
	id, err := chromedp.Run(w.ctx, chromedp.Evaluate[string](fmt.Sprintf(`[...document.querySelectorAll("label")].find(l => l.innerText == %q)?.htmlFor ?? ""`, label)))
	if err != nil || id == "" {
		w.t.Fatalf("no field is called %s: %v", label, err)
	}
	w.do("fill in "+label, chromedp.Clear("#"+id), chromedp.SendKeys("#"+id, text))
}

// press presses what says text, in the row of a table that holds something, if row
// is not "".
func (w *window) press(row, text string) {
	w.t.Helper()
	path := fmt.Sprintf(`//*[self::button or self::a][starts-with(normalize-space(), %q)]`, text)
	if row != "" {
		path = fmt.Sprintf(`//tr[contains(normalize-space(), %q)]`, row) + path
	}
	if _, err := chromedp.RunResponse(w.ctx, chromedp.Click("("+path+")[1]")); err != nil {
		w.t.Fatalf("press %s %s: %v", row, text, err)
	}
}

// sees expects a page by its heading and what it says, and that axe has nothing
// against it, nor the browser but that a status is no success.
func (w *window) sees(heading string, texts ...string) string {
	w.t.Helper()
	got, err := chromedp.Run(w.ctx, chromedp.Evaluate[[2]string](`[document.querySelector("h1")?.innerText ?? "", document.body.innerText]`))
	if err != nil {
		w.t.Fatal(err)
	}
	if got[0] != heading {
		w.t.Fatalf("want the page %q, there is: %s", heading, got[1])
	}
	for _, text := range texts {
		if !strings.Contains(got[1], text) {
			w.t.Errorf("%s does not say %q: %s", heading, text, got[1])
		}
	}
	w.seen++
	keep(w.ctx, w.t, fmt.Sprintf("day-%02d.png", w.seen))
	w.do("axe", chromedp.Evaluate[chromedp.Void](w.axe))
	found, err := chromedp.Run(w.ctx, chromedp.Evaluate[[]string](judge, chromedp.EvalAwaitPromise))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, line := range append(found, w.heard.drain()...) {
		if !strings.Contains(line, "responded with a status of 403") {
			w.t.Errorf("%s: %s", heading, line)
		}
	}
	return got[1]
}

// texts are those of the elements that a selector names.
func (w *window) texts(selector string) []string {
	w.t.Helper()
	all, err := chromedp.Run(w.ctx, chromedp.Evaluate[[]string](fmt.Sprintf(`[...document.querySelectorAll(%q)].map(e => e.innerText)`, selector)))
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// app is an authenticator app that was given a secret as text.
type app struct{ seed []byte }

func scan(t *testing.T, secret string) app {
	t.Helper()
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(secret, " ", ""))
	if err != nil {
		t.Fatalf("the secret %q: %v", secret, err)
	}
	return app{seed}
}

// code is what the app shows so many steps of 30 seconds from now (RFC 6238).
func (a app) code(steps int64) string {
	mac := hmac.New(sha1.New, a.seed)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(time.Now().Unix()/30+steps)))
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:at+4])&^(1<<31)%1_000_000)
}

func TestAPersonSignsInAndLooksAfterTheirAccount(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { days(t, build(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { days(t, build(t, "--database", storetest.Postgres(t))) })
}

// days are a person's with their account, on the pages of a real server.
func days(t *testing.T, h *house) {
	t.Helper()
	ctx := visitor.Chromium(t)
	w := &window{t: t, ctx: ctx, axe: axe(t), heard: listen(ctx, t)}
	account := h.cred.Authority + "/account"
	const password = "orchid lantern 52 quarry"

	// A password that an administrator knows signs in to nothing but its own change.
	w.open(h.authorize())
	w.sees("Sign in", "You are signing in to Incident <console>.")
	w.fill("User name", principal)
	w.fill("Password", "not the password")
	w.press("", "Sign in")
	w.sees("Sign in", "The user name or the password is wrong.", "You are signing in to Incident <console>.")
	w.fill("Password", h.first)
	w.press("", "Sign in")
	w.sees("Set a new password", principal)
	w.fill("New password", "short")
	w.fill("New password again", "short")
	w.press("", "Set the password")
	w.sees("Set a new password", "at least 12")
	w.fill("New password", password)
	w.fill("New password again", password)
	w.press("", "Set the password")
	w.sees("Console")
	token := h.token(h.post("token", url.Values{"grant_type": {"authorization_code"}, "code": {<-h.codes}, "redirect_uri": {h.back}, "code_verifier": {verifier}}))
	h.holds(token, http.StatusOK)

	// The account shows who one is, and where one is signed in.
	w.open(account)
	w.sees("Your account", "Ann <script>alert(1)</script>", principal, "Responders", "Off.", "Incident <console>", "this one", "Chrome on Linux", "127.0.0.1")

	// Two-step verification: the password once more, the secret, a code.
	w.press("", "Set up two-step verification")
	w.sees("Set up two-step verification", "To go on, prove that you are "+principal)
	w.fill("Password", password)
	w.press("", "Go on")
	w.sees("Set up two-step verification", "Scan this code with the app.")
	phone := scan(t, w.texts(".secret code")[0])
	w.fill("6-digit code", phone.code(1000))
	w.press("", "Turn it on")
	w.sees("Set up two-step verification", "The code is")
	if !slices.Equal(scan(t, w.texts(".secret code")[0]).seed, phone.seed) {
		t.Fatal("after a wrong code it is another secret")
	}
	w.fill("6-digit code", phone.code(0))
	w.press("", "Turn it on")
	w.sees("Recovery codes", principal)
	recovery := w.texts(".codes code")
	if len(recovery) != 10 {
		t.Fatalf("%d recovery codes", len(recovery))
	}
	w.press("", "I have kept them")
	w.sees("Your account", "On.", "10 recovery codes are left.")

	// From then on it takes a code, each once.
	w.press("", "Sign out")
	w.sees("You are signed out")
	w.press("", "Sign in again")
	w.sees("Sign in")
	w.fill("User name", " "+strings.ToUpper(principal))
	w.fill("Password", password)
	w.press("", "Sign in")
	w.sees("Two-step verification", principal)
	w.fill("6-digit code", phone.code(-1)) // of a step before the one that was used
	w.press("", "Sign in")
	w.sees("Two-step verification", "The code is wrong, has run out, or was used already.")
	w.fill("6-digit code", phone.code(1)) // as of a clock that is half a minute fast
	w.press("", "Sign in")
	w.sees("Your account")

	// The application goes on without the browser; asked again, the person chooses.
	h.holds(token, http.StatusOK)
	w.open(h.authorize())
	w.sees("Choose an account", "Ann <script>alert(1)</script>", principal)
	w.press("", "Continue")
	w.sees("Console")
	token = h.token(h.post("token", url.Values{"grant_type": {"authorization_code"}, "code": {<-h.codes}, "redirect_uri": {h.back}, "code_verifier": {verifier}}))
	h.holds(token, http.StatusOK)

	// A new password ends the other sign-ins: the application's too.
	w.open(account)
	w.press("", "Change the password")
	w.sees("Change your password")
	w.fill("Present password", "not the password")
	w.fill("New password", password+" 2")
	w.fill("New password again", password+" 2")
	w.fill("6-digit code", recovery[2])
	w.press("", "Change the password")
	w.sees("Change your password", "wrong")
	w.fill("Present password", password)
	w.fill("New password", password+" 2")
	w.fill("New password again", password+" 2")
	w.fill("6-digit code", recovery[2])
	w.press("", "Change the password")
	if said := w.sees("Your account", "Your password is changed."); strings.Contains(said, "Incident <console>") {
		t.Errorf("the application is still signed in: %s", said)
	}
	h.holds(token, http.StatusUnauthorized)

	// A device signs in by a code that the person types.
	device := h.post("devicecode", url.Values{"scope": {h.scope()}})
	w.open(fmt.Sprint(device["verification_uri"]))
	w.sees("Sign in on a device")
	w.fill("Code", "BCDF-GHJK")
	w.press("", "Continue")
	w.sees("Sign in on a device", "There is no such code")
	w.fill("Code", strings.ToLower(strings.ReplaceAll(fmt.Sprint(device["user_code"]), "-", " ")))
	w.press("", "Continue")
	w.sees("Allow this sign-in?", "Incident <console>", fmt.Sprint(device["user_code"]), "127.0.0.1", "Go-http-client", "Only go on if you started this yourself")
	w.press("", "Allow")
	w.sees("You are signed in", "Incident <console>")
	grant := func(d map[string]any) map[string]any {
		return h.post("token", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {fmt.Sprint(d["device_code"])}})
	}
	token = h.token(grant(device))
	h.holds(token, http.StatusOK)

	// One that somebody else sent is denied.
	device = h.post("devicecode", url.Values{"scope": {h.scope()}})
	w.open(fmt.Sprint(device["verification_uri"]))
	w.fill("Code", fmt.Sprint(device["user_code"]))
	w.press("", "Continue")
	w.press("", "Deny")
	w.sees("The sign-in was denied", "Incident <console>")
	if said := grant(device); said["error"] != "access_denied" {
		t.Errorf("a device that was denied gets %v", said)
	}

	// A sign-in that is ended is worth nothing.
	w.open(account)
	w.sees("Your account", "Incident <console>")
	w.press("Incident <console>", "Sign out")
	if said := w.sees("Your account", "You are signed out there."); strings.Contains(said, "Incident <console>") {
		t.Errorf("the application is still signed in: %s", said)
	}
	h.holds(token, http.StatusUnauthorized)
	w.press("", "Sign out everywhere")
	w.sees("You are signed out")
	w.open(account)
	w.sees("Sign in")

	// Without the phone a recovery code does, once; and a second one takes the
	// second step away.
	w.fill("User name", principal)
	w.fill("Password", password+" 2")
	w.press("", "Sign in")
	w.sees("Two-step verification")
	w.do("open what is said of the phone", chromedp.Click("//summary"))
	w.fill("Recovery code", recovery[0])
	w.press("", "Sign in with a recovery code")
	w.sees("Your account", "8 recovery codes are left.")
	w.press("", "Remove two-step verification")
	w.sees("Remove two-step verification")
	w.fill("Password", password+" 2")
	w.fill("6-digit code", recovery[0])
	w.press("", "Remove")
	w.sees("Remove two-step verification", "The code is wrong, has run out, or was used already.")
	w.fill("Password", password+" 2")
	w.fill("6-digit code", recovery[1])
	w.press("", "Remove")
	w.sees("Your account", "Two-step verification is removed.", "Off.")
}
