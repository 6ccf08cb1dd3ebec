package client

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// CommandLine is the client id of the public application that every tenant has
// for its people's command lines.
const CommandLine = "00000000-0000-4000-8000-0000000000c1"

// SignIn signs people in to a public application: one that has no secret. Where
// there is a browser on the same machine [SignIn.Browser] is the way, elsewhere
// [SignIn.DeviceCode].
type SignIn struct {
	c     *Client
	id    string // of the application
	scope string
}

// NewSignIn returns a sign-in for c.ClientID, or [CommandLine] where that is "".
// The scopes asked for are all that the application has, and a refresh token.
func NewSignIn(c Config) (*SignIn, error) {
	if c.ClientID == "" {
		c.ClientID = CommandLine
	}
	cl, err := connect(c)
	if err != nil {
		return nil, err
	}
	return &SignIn{c: cl, id: c.ClientID, scope: strings.TrimSuffix(cl.base.String(), "/") + "/.default openid profile offline_access"}, nil
}

// Close lets go of idle connections.
func (s *SignIn) Close() { s.c.Close() }

// Grant is what a sign-in gives. Its tokens are secrets.
type Grant struct {
	AccessToken  string    `json:"accessToken"`
	Expires      time.Time `json:"expires"` // of the access token, less a tenth of its life
	RefreshToken string    `json:"refreshToken"`
	Tenant       string    `json:"tenant"`    // id
	Principal    string    `json:"principal"` // user principal name of who signed in
	Name         string    `json:"name"`
}

// String and GoString keep the tokens out of messages.
func (g Grant) String() string   { return "sign-in of " + g.Principal }
func (g Grant) GoString() string { return g.String() }

// Browser signs a person in by a browser on this machine: show is given the
// address to open. The answer comes to a port of the loopback interface (RFC
// 8252), and PKCE makes it worthless to whoever else might see it (RFC 7636).
func (s *SignIn) Browser(ctx context.Context, show func(address string) error) (Grant, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return Grant{}, fmt.Errorf("listen for the browser's answer: %w; sign in by a device code", err)
	}
	defer listener.Close()
	redirect := "http://127.0.0.1:" + strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	verifier, state := random(), random()
	challenge := sha256.Sum256([]byte(verifier))
	address := *s.c.authority.JoinPath("oauth2/v2.0/authorize")
	address.RawQuery = url.Values{
		"client_id": {s.id}, "response_type": {"code"}, "redirect_uri": {redirect}, "response_mode": {"query"}, "scope": {s.scope},
		"state": {state}, "code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
		"prompt": {"select_account"},
	}.Encode()

	answers := make(chan url.Values, 1)
	server := &http.Server{Handler: answered(state, answers), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }() // its end is our own doing
	defer func() { <-done }()
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(last) // so that the browser gets its page
	}()
	if err := show(address.String()); err != nil {
		return Grant{}, err
	}
	select {
	case <-ctx.Done():
		return Grant{}, fmt.Errorf("nobody signed in: %w", context.Cause(ctx))
	case answer := <-answers:
		if code := answer.Get("error"); code != "" {
			return Grant{}, &Error{Status: http.StatusBadRequest, Code: code, Message: answer.Get("error_description")}
		}
		return s.token(ctx, url.Values{
			"grant_type": {"authorization_code"}, "code": {answer.Get("code")}, "redirect_uri": {redirect}, "code_verifier": {verifier},
		})
	}
}

// answered takes the browser's answer, once, and tells its person how it went.
// What has another state is none of this sign-in's, and is not taken.
func answered(state string, answers chan<- url.Values) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		if r.URL.Path != "/" || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(state)) != 1 {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, page("Nothing is waited for here", "Start the sign-in again on the command line."))
			return
		}
		if q.Get("error") != "" {
			fmt.Fprint(w, page("You are not signed in", "The command line says why. You can close this window."))
		} else {
			fmt.Fprint(w, page("You are signed in", "Go on at the command line. You can close this window."))
		}
		select {
		case answers <- q:
		default: // it was answered before
		}
	})
}

func page(title, text string) string {
	return `<!doctype html><html lang="en"><meta name="color-scheme" content="light dark"><title>` + html.EscapeString(title) +
		"</title><h1>" + html.EscapeString(title) + "</h1><p>" + html.EscapeString(text) + "</p></html>\n"
}

func random() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// DeviceCode is what a person needs to sign in by another device.
type DeviceCode struct {
	UserCode string    // to type
	Address  string    // of the page to type it in
	Message  string    // both in a sentence
	Expires  time.Time // when it is too late
}

// DeviceCode signs a person in who has a browser elsewhere (RFC 8628): show is
// given what to open and type there.
func (s *SignIn) DeviceCode(ctx context.Context, show func(DeviceCode) error) (Grant, error) {
	var answer struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
		Address    string `json:"verification_uri"`
		Message    string `json:"message"`
		Expires    int64  `json:"expires_in"`
		Interval   int64  `json:"interval"`
	}
	asked := s.c.now()
	if err := s.post(ctx, "oauth2/v2.0/devicecode", url.Values{"scope": {s.scope}}, &answer); err != nil {
		return Grant{}, err
	}
	if answer.DeviceCode == "" || answer.UserCode == "" {
		return Grant{}, errors.New("the answer holds no device code")
	}
	end := asked.Add(time.Duration(min(max(answer.Expires, 0), maxRetryAfter)) * time.Second)
	if err := show(DeviceCode{UserCode: answer.UserCode, Address: answer.Address, Message: answer.Message, Expires: end}); err != nil {
		return Grant{}, err
	}
	pause := time.Duration(min(max(answer.Interval, 1), 60)) * time.Second
	for s.c.now().Before(end) {
		if err := s.c.sleep(ctx, pause); err != nil {
			return Grant{}, fmt.Errorf("nobody signed in: %w", err)
		}
		g, err := s.token(ctx, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {answer.DeviceCode}})
		e, ok := errors.AsType[*Error](err)
		switch {
		case ok && e.Code == "authorization_pending":
		case ok && e.Code == "slow_down":
			pause += 5 * time.Second // RFC 8628, section 3.5
		default:
			return g, err
		}
	}
	return Grant{}, errors.New("nobody signed in while the code was good; start again")
}

// Refresh gives the grant that follows one: its refresh token is good once, so
// whoever keeps a grant keeps the new one in its place.
func (s *SignIn) Refresh(ctx context.Context, g Grant) (Grant, error) {
	next, err := s.token(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.RefreshToken}, "scope": {s.scope}})
	if err != nil {
		return Grant{}, err
	}
	if next.RefreshToken == "" {
		next.RefreshToken = g.RefreshToken
	}
	if next.Principal == "" {
		next.Tenant, next.Principal, next.Name = g.Tenant, g.Principal, g.Name
	}
	return next, nil
}

// token asks for tokens by a grant.
func (s *SignIn) token(ctx context.Context, form url.Values) (Grant, error) {
	var answer struct {
		Type    string `json:"token_type"`
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		ID      string `json:"id_token"`
		Expires int64  `json:"expires_in"`
	}
	asked := s.c.now()
	if err := s.post(ctx, "oauth2/v2.0/token", form, &answer); err != nil {
		return Grant{}, err
	}
	if answer.Access == "" || !strings.EqualFold(answer.Type, "Bearer") {
		return Grant{}, errors.New("the answer holds no bearer token")
	}
	life := time.Duration(min(max(answer.Expires, 0), maxRetryAfter)) * time.Second
	g := Grant{AccessToken: answer.Access, RefreshToken: answer.Refresh, Expires: asked.Add(life - life/10)}
	g.signedIn(answer.ID)
	return g, nil
}

// post sends a form to an endpoint of the authority and reads its JSON answer.
func (s *SignIn) post(ctx context.Context, path string, form url.Values, out any) error {
	body, err := s.send(ctx, path, form)
	if err != nil {
		return err
	}
	if json.Unmarshal(body, out) != nil { // the error may quote a token
		return errors.New("the answer is not the JSON expected")
	}
	return nil
}

func (s *SignIn) send(ctx context.Context, path string, form url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.c.timeout)
	defer cancel()
	form.Set("client_id", s.id)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.c.authority.JoinPath(path).String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := s.c.do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := readAll(resp.Body, maxToken)
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return body, nil
}

// signedIn reads an id token that came over TLS from the authority itself, which
// vouches for it as well as its signature does (OpenID Connect Core, section
// 3.1.3.7). What it says is shown, and decides nothing.
func (g *Grant) signedIn(token string) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Tenant    string `json:"tid"`
		Principal string `json:"preferred_username"`
		Name      string `json:"name"`
	}
	if err == nil && json.Unmarshal(payload, &claims) == nil {
		g.Tenant, g.Principal, g.Name = claims.Tenant, claims.Principal, claims.Name
	}
}

// End ends the sign-in that gave a grant (RFC 7009): its refresh token, and the access tokens
// that came of it, are worth nothing any more.
func (s *SignIn) End(ctx context.Context, g Grant) error {
	_, err := s.send(ctx, "oauth2/v2.0/revoke", url.Values{"token": {g.RefreshToken}, "token_type_hint": {"refresh_token"}})
	return err
}
