package gateway

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"swab/internal/catalog"
	"swab/internal/device"
	"swab/internal/dpop"
	"swab/internal/dsse"
	"swab/internal/wire"
)

type deviceID = device.ID

// agent is a device's side of the conversation, made of the parts that the real
// one is made of, which a test can also use wrongly.
type agent struct {
	h      *house
	key    ed25519.PrivateKey
	id     device.ID
	client *http.Client
	// statements lead from the enrolment key to key.
	statements [][]byte
	// spoil changes a proof before it is signed.
	spoil func(*dpop.Proof)

	mu    sync.Mutex
	nonce string
	token string
}

func newAgent(t testing.TB, h *house) *agent {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := h.Client().Transport.(*http.Transport).Clone()
	tr.ForceAttemptHTTP2 = false
	t.Cleanup(tr.CloseIdleConnections)
	return &agent{h: h, key: key, id: device.IDOf(key.Public().(ed25519.PublicKey)), client: &http.Client{Transport: tr}}
}

// enrolled is an agent that is a device of a tenant and has an access token.
func enrolled(t testing.TB, h *house, tenant string) *agent {
	t.Helper()
	d := newAgent(t, h)
	if resp, _ := d.enrol(t, "token-"+tenant); resp.StatusCode != http.StatusCreated {
		t.Fatalf("enrol: %s", resp.Status)
	}
	d.login(t)
	return d
}

func (d *agent) pub() ed25519.PublicKey { return d.key.Public().(ed25519.PublicKey) }

type call struct {
	method, path string
	auth         string // value of Authorization; "" for none
	ath          string // access token that the proof goes with
	header       map[string]string
	body         io.Reader
	proof        string // in place of a fresh one
}

// do sends a request with a fresh proof, and again where a nonce is asked for.
func (d *agent) do(t testing.TB, c call) (*http.Response, []byte) {
	t.Helper()
	resp, body, err := d.try(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func (d *agent) try(ctx context.Context, c call) (*http.Response, []byte, error) {
	var kept []byte
	if b, ok := c.body.(*bytes.Reader); ok {
		kept, _ = io.ReadAll(b)
	}
	for again := false; ; again = true {
		if kept != nil {
			c.body = bytes.NewReader(kept)
		}
		resp, body, err := d.once(ctx, c)
		if err != nil || again || c.proof != "" || !strings.Contains(string(body), wire.CodeUseNonce) && !d.asked(resp) {
			return resp, body, err
		}
	}
}

// asked says whether an answer without a body asks for a nonce.
func (d *agent) asked(resp *http.Response) bool {
	return strings.Contains(resp.Header.Get("WWW-Authenticate"), wire.CodeUseNonce)
}

func (d *agent) once(ctx context.Context, c call) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, c.method, d.h.URL+c.path, c.body)
	if err != nil {
		return nil, nil, err
	}
	for k, v := range c.header {
		req.Header.Set(k, v)
	}
	if c.auth != "" {
		req.Header.Set("Authorization", c.auth)
	}
	if c.proof == "" {
		c.proof = d.proof(c.method, c.path, c.ath)
	}
	req.Header.Set("DPoP", c.proof)
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	d.listen(resp.Header)
	return resp, body, err
}

func (d *agent) listen(h http.Header) {
	if n := h.Get("DPoP-Nonce"); n != "" {
		d.mu.Lock()
		d.nonce = n
		d.mu.Unlock()
	}
}

func (d *agent) proof(method, path, token string) string {
	d.mu.Lock()
	p := dpop.Proof{ID: dpop.NewID(), Method: method, URL: d.h.URL + path, Issued: 1, Nonce: d.nonce}
	d.mu.Unlock()
	if token != "" {
		p.TokenHash = dpop.TokenHash(token)
	}
	if d.spoil != nil {
		d.spoil(&p)
	}
	s, err := p.Sign(d.key)
	if err != nil {
		panic(err)
	}
	return s
}

func (d *agent) registration() wire.EnrolRequest {
	return wire.EnrolRequest{
		ClientName: "host.example.org", AuthMethod: wire.AuthMethod, GrantTypes: []string{wire.GrantType},
		Keys: wire.JWKSet{Keys: []wire.JWK{wire.JWKOf(d.pub())}}, SoftwareVersion: "0.1.0",
		Facts:   device.Facts{Name: "host.example.org", System: "linux", Platform: "Linux", BootID: "boot"},
		Catalog: wire.Digest(catalog.Current().Digest()),
	}
}

func (d *agent) enrol(t testing.TB, token string) (*http.Response, []byte) {
	t.Helper()
	b, err := json.Marshal(d.registration())
	if err != nil {
		t.Fatal(err)
	}
	return d.do(t, call{
		method: "POST", path: "/enroll", auth: "Bearer " + token, body: bytes.NewReader(b),
		header: map[string]string{"Content-Type": "application/json"},
	})
}

func (d *agent) assertion() string {
	s, err := dpop.Assertion{
		Issuer: string(d.id), Subject: string(d.id), Audience: d.h.URL + "/device/token", ID: dpop.NewID(), Nonce: d.nonce,
	}.Sign(dsse.KeyID(d.pub()), d.key)
	if err != nil {
		panic(err)
	}
	return s
}

func form(assertion string) *bytes.Reader {
	return bytes.NewReader([]byte(url.Values{
		"grant_type": {wire.GrantType}, "client_assertion_type": {assertionType}, "client_assertion": {assertion},
	}.Encode()))
}

// login gets an access token.
func (d *agent) login(t testing.TB) (*http.Response, []byte) {
	t.Helper()
	return d.loginWith(t, d.assertion)
}

func (d *agent) loginWith(t testing.TB, assertion func() string) (*http.Response, []byte) {
	t.Helper()
	var resp *http.Response
	var body []byte
	for range 2 { // the assertion carries the nonce too
		resp, body = d.do(t, call{
			method: "POST", path: "/device/token", body: form(assertion()),
			header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
		})
		if !strings.Contains(string(body), wire.CodeUseNonce) {
			break
		}
	}
	if a, err := wire.ParseTokenAnswer(body); err == nil {
		d.token = a.AccessToken
	}
	return resp, body
}

// bound is a call with the access token.
func (d *agent) bound(c call) call {
	if c.auth == "" {
		c.auth, c.ath = "DPoP "+d.token, d.token
	}
	return c
}

// channel is a device's WebSocket.
type channel struct {
	*websocket.Conn
	t testing.TB
}

// dial opens the channel without a hello.
func (d *agent) dial(t testing.TB) (*channel, *http.Response, error) {
	t.Helper()
	for again := false; ; again = true {
		h := http.Header{"Authorization": {"DPoP " + d.token}, "DPoP": {d.proof("GET", "/device/channel", d.token)}}
		conn, resp, err := websocket.Dial(t.Context(), d.h.URL+"/device/channel", &websocket.DialOptions{HTTPClient: d.client, HTTPHeader: h})
		if resp != nil {
			d.listen(resp.Header)
			if err != nil && !again && d.asked(resp) {
				continue
			}
		}
		if err != nil {
			return nil, resp, err
		}
		conn.SetReadLimit(wire.MaxMessage)
		t.Cleanup(func() { conn.CloseNow() })
		return &channel{conn, t}, resp, nil
	}
}

func (d *agent) hello(running ...wire.Running) wire.Hello {
	if running == nil {
		running = []wire.Running{}
	}
	return wire.Hello{
		Versions: [2]int{wire.MinVersion, wire.Version}, Facts: d.registration().Facts, Catalog: string(catalog.Current().Digest()), Running: running,
	}
}

// connect opens the channel, says hello and is welcomed.
func (d *agent) connect(t testing.TB, running ...wire.Running) *channel {
	t.Helper()
	c, _, err := d.dial(t)
	if err != nil {
		t.Fatal(err)
	}
	c.say(d.hello(running...))
	if w, ok := c.hear().(wire.Welcome); !ok || w.Version != wire.Version {
		t.Fatalf("after hello: %+v, want welcome", w)
	}
	return c
}

func (c *channel) say(m wire.FromDevice) {
	c.t.Helper()
	b, err := wire.EncodeDevice(m)
	if err != nil {
		c.t.Fatal(err)
	}
	c.sayRaw(b)
}

func (c *channel) sayRaw(b []byte) {
	c.t.Helper()
	if err := c.Write(c.t.Context(), websocket.MessageText, b); err != nil {
		c.t.Fatal(err)
	}
}

// hear returns the next message.
func (c *channel) hear() wire.FromServer {
	c.t.Helper()
	m, err := c.next()
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

func (c *channel) next() (wire.FromServer, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	_, b, err := c.Read(ctx)
	if err != nil {
		return nil, err
	}
	return wire.DecodeServer(b)
}

// hearBye hears the server end the connection, and how.
func (c *channel) hearBye() wire.Reason {
	c.t.Helper()
	m := c.hear()
	bye, ok := m.(wire.Bye)
	if !ok {
		c.t.Fatalf("heard %+v, want bye", m)
	}
	if _, err := c.next(); websocket.CloseStatus(err) == -1 {
		c.t.Errorf("after bye: %v, want a close frame", err)
	}
	return bye.Reason
}

// begin connects, is offered a's attempt, and begins it.
func (d *agent) begin(t testing.TB, a actionRef) *channel {
	t.Helper()
	c := d.connect(t)
	c.beginNext(a)
	return c
}

type actionRef struct {
	id      string
	attempt int
}

func (c *channel) beginNext(a actionRef) wire.Collect {
	c.t.Helper()
	m := c.hear()
	col, ok := m.(wire.Collect)
	if !ok || string(col.Action) != a.id || col.Attempt != a.attempt {
		c.t.Fatalf("heard %+v, want collect of %v", m, a)
	}
	b := wire.Begun{Action: col.Action, Attempt: col.Attempt}
	b.Head.Size = 1
	c.say(b)
	return col
}

// create begins an upload and returns its id.
func (d *agent) create(t testing.TB, id string, attempt int) string {
	t.Helper()
	resp, body := d.createAnswer(t, id, attempt)
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("create upload: %s %s", resp.Status, body)
	}
	return resp.Header.Get("Location")[len("/device/uploads/"):]
}

func (d *agent) createAnswer(t testing.TB, id string, attempt int) (*http.Response, []byte) {
	t.Helper()
	b64 := base64.StdEncoding.EncodeToString
	return d.do(t, d.bound(call{method: "POST", path: "/device/uploads", header: map[string]string{
		"Tus-Resumable": "1.0.0", "Upload-Defer-Length": "1",
		"Upload-Metadata": "action " + b64([]byte(id)) + ",attempt " + b64([]byte(strconv.Itoa(attempt))),
	}}))
}

// patch sends a chunk; length is the whole's, or -1.
func (d *agent) patch(t testing.TB, upload string, offset, length int64, body io.Reader) (*http.Response, []byte) {
	t.Helper()
	resp, b, err := d.tryPatch(t.Context(), upload, offset, length, body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, b
}

func (d *agent) tryPatch(ctx context.Context, upload string, offset, length int64, body io.Reader) (*http.Response, []byte, error) {
	h := map[string]string{
		"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream", "Upload-Offset": strconv.FormatInt(offset, 10),
	}
	if length >= 0 {
		h["Upload-Length"] = strconv.FormatInt(length, 10)
	}
	return d.try(ctx, d.bound(call{method: "PATCH", path: "/device/uploads/" + upload, header: h, body: body}))
}

// head asks for the offset; status 200 is needed.
func (d *agent) head(t testing.TB, upload string) (status int, offset int64) {
	t.Helper()
	resp, _ := d.do(t, d.bound(call{method: "HEAD", path: "/device/uploads/" + upload, header: map[string]string{"Tus-Resumable": "1.0.0"}}))
	offset, err := strconv.ParseInt(resp.Header.Get("Upload-Offset"), 10, 64)
	if err != nil {
		offset = -1
	}
	return resp.StatusCode, offset
}

// send uploads a whole package in chunks.
func (d *agent) send(t testing.TB, upload string, pkg []byte, chunk int) {
	t.Helper()
	for at := 0; at < len(pkg); {
		end := min(at+chunk, len(pkg))
		length := int64(-1)
		if end == len(pkg) {
			length = int64(end)
		}
		resp, body := d.patch(t, upload, int64(at), length, bytes.NewReader(pkg[at:end]))
		if resp.StatusCode != http.StatusNoContent {
			t.Fatalf("chunk at %d: %s %s", at, resp.Status, body)
		}
		at = end
	}
}

func oauthError(body []byte) string {
	e, err := wire.ParseErrorAnswer(body)
	if err != nil {
		return fmt.Sprintf("no error answer: %v: %q", err, body)
	}
	return e.Code
}

var errBroken = errors.New("broken on purpose")
