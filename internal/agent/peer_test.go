package agent

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/mod/sumdb/tlog"

	"swab/internal/audit"
	"swab/internal/catalog"
	"swab/internal/device"
	"swab/internal/dpop"
	"swab/internal/wire"
)

const (
	testTenant = "0198a1b2-0000-7000-8000-00000000000a"
	testToken  = "enrolment-token"
)

func actionID(n int) wire.ActionID {
	return wire.ActionID(fmt.Sprintf("0198a1b2-0000-7000-8000-%012d", n))
}

// merkle is an audit log in memory.
type merkle struct {
	size   int64
	hashes []tlog.Hash
	key    ed25519.PrivateKey
}

func newMerkle(t testing.TB) *merkle {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &merkle{key: key}
}

func (m *merkle) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		if i >= int64(len(m.hashes)) {
			return nil, fmt.Errorf("no hash %d", i)
		}
		out = append(out, m.hashes[i])
	}
	return out, nil
}

func (m *merkle) add(t testing.TB, leaf audit.Leaf) (int64, []byte) {
	t.Helper()
	b := audit.NewEntry(time.Now(), leaf, audit.Hidden{}).Leaf.Bytes()
	if leaf.Commitment != "" { // a test's own
		leaf.V, leaf.Time = audit.LeafVersion, "2026-01-01T00:00:00.0000000Z"
		b = leaf.Bytes()
	}
	hashes, err := audit.Extend(m.size, b, m)
	if err != nil {
		t.Fatal(err)
	}
	m.hashes = append(m.hashes, hashes...)
	m.size++
	return m.size - 1, b
}

func (m *merkle) head(t testing.TB) audit.Head {
	t.Helper()
	h, err := audit.HeadOf(m.size, m)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (m *merkle) prove(t testing.TB, from int64, leaves ...audit.Proved) audit.Proof {
	t.Helper()
	head := m.head(t)
	p, err := audit.Prove(head, from, leaves, m)
	if err != nil {
		t.Fatal(err)
	}
	if p.Checkpoint, err = head.Sign(testTenant, m.key); err != nil {
		t.Fatal(err)
	}
	return p
}

func testPlan(profile string) catalog.Plan {
	plan, ok := catalog.Current().Plan(profile, runtime.GOOS)
	if !ok {
		panic("no plan for this system")
	}
	return plan
}

func commitment(n int) wire.Digest { return wire.Digest(catalog.DigestOf([]byte{byte(n)})) }

// order logs a request for a device and returns the message that delivers it,
// proved from a head of that size on.
func (m *merkle) order(t testing.TB, dev device.ID, n, attempt int, from int64) wire.Collect {
	t.Helper()
	plan := testPlan("triage").Digest()
	i, leaf := m.add(t, audit.Leaf{
		Act: audit.ActCollect, Object: string(actionID(n)), Device: string(dev), Profile: string(plan), Result: audit.Done,
		Commitment: string(commitment(n)),
	})
	return wire.Collect{
		Action: actionID(n), Attempt: attempt, Profile: "triage", Plan: wire.Digest(plan), Commitment: commitment(n),
		Proof: wire.Proof(m.prove(t, from, audit.Proved{Index: i, Leaf: leaf})),
	}
}

// peer is a server that speaks the protocol honestly, except where a test says
// otherwise, and keeps all in memory.
type peer struct {
	t        testing.TB
	http     *httptest.Server
	log      *merkle
	recovery ed25519.PrivateKey
	conns    chan *peerConn // welcomed

	mu       sync.Mutex
	nonces   map[string]bool
	next     int
	devices  map[device.ID]ed25519.PublicKey // the key that signs now
	chains   map[device.ID][][]byte          // statements of succession
	tokens   map[string]device.ID
	tokenFor time.Duration
	uploads  map[string]*peerUpload
	calls    map[string]int // by method and path

	// What a test makes the server do in place of, or before, its work; true:
	// the request has been dealt with.
	before func(w http.ResponseWriter, r *http.Request) bool
	// After an enrolment has been kept, before it is answered.
	enrolled func(w http.ResponseWriter) bool
	answer   func(*wire.EnrolAnswer)
	greet    func(*peerConn) bool // in place of welcome; true: go on
	// Before and after a next key is kept; true: it has been answered.
	keyTold, keyKept func(w http.ResponseWriter) bool
}

type peerUpload struct {
	action  string
	attempt string
	data    []byte
	length  int64
	done    chan struct{}
}

type peerConn struct {
	peer     *peer
	device   device.ID
	ws       *websocket.Conn
	hello    wire.Hello
	messages chan wire.FromDevice
	closed   chan struct{}
	err      error // why, once closed
}

func newPeer(t testing.TB) *peer {
	p := &peer{
		t: t, log: newMerkle(t), recovery: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), conns: make(chan *peerConn, 64), nonces: map[string]bool{},
		devices: map[device.ID]ed25519.PublicKey{}, chains: map[device.ID][][]byte{}, tokens: map[string]device.ID{}, tokenFor: 10 * time.Minute,
		uploads: map[string]*peerUpload{}, calls: map[string]int{},
	}
	p.log.add(t, audit.Leaf{Act: audit.ActStart, Object: testTenant, Result: audit.Done})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /enroll", p.enrol)
	mux.HandleFunc("POST /device/token", p.token)
	mux.HandleFunc("POST /device/key", p.succeed)
	mux.HandleFunc("GET /device/channel", p.channel)
	mux.HandleFunc("POST /device/uploads", p.create)
	mux.HandleFunc("HEAD /device/uploads/{id}", p.head)
	mux.HandleFunc("PATCH /device/uploads/{id}", p.patch)
	p.http = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.calls[r.Method+" "+r.URL.Path]++
		before := p.before
		p.mu.Unlock()
		w.Header().Set("DPoP-Nonce", p.nonce())
		if before == nil || !before(w, r) {
			mux.ServeHTTP(w, r)
		}
	}))
	p.http.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	p.http.StartTLS()
	t.Cleanup(p.http.Close)
	return p
}

func (p *peer) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.http.Certificate())
	return pool
}

func (p *peer) count(call string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[call]
}

func (p *peer) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *peer) nonce() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	n := "nonce-" + strconv.Itoa(p.next)
	p.nonces[n] = true
	return n
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(wire.ErrorAnswer{Code: code, Description: "as the test wants"})
}

// proof checks a request's proof; on false it has been answered.
func (p *peer) proof(w http.ResponseWriter, r *http.Request, token string, status int) (ed25519.PublicKey, bool) {
	proof, pub, err := dpop.ParseProof(r.Header.Get("DPoP"))
	if err != nil {
		refuse(w, status, wire.CodeInvalidProof)
		return nil, false
	}
	p.mu.Lock()
	fresh := p.nonces[proof.Nonce]
	p.mu.Unlock()
	hash := ""
	if token != "" {
		hash = dpop.TokenHash(token)
	}
	switch {
	case !fresh:
		refuse(w, status, wire.CodeUseNonce)
	case proof.Method != r.Method || proof.URL != p.http.URL+r.URL.Path || proof.TokenHash != hash:
		p.t.Errorf("proof %+v does not fit %s %s", proof, r.Method, r.URL)
		refuse(w, status, wire.CodeInvalidProof)
	default:
		return pub, true
	}
	return nil, false
}

func (p *peer) enrol(w http.ResponseWriter, r *http.Request) {
	pub, ok := p.proof(w, r, "", http.StatusBadRequest)
	if !ok {
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+testToken {
		refuse(w, http.StatusUnauthorized, wire.CodeInvalidToken)
		return
	}
	body, _ := io.ReadAll(r.Body)
	req, err := wire.ParseEnrolRequest(body)
	if err != nil {
		p.t.Errorf("enrolment: %v", err)
		refuse(w, http.StatusBadRequest, wire.CodeInvalidMetadata)
		return
	}
	if key, _ := req.Keys.Key(); !key.Equal(pub) {
		p.t.Error("enrolment is signed by another key than it names")
	}
	p.mu.Lock()
	p.devices[device.IDOf(pub)] = pub
	enrolled, change := p.enrolled, p.answer
	p.mu.Unlock()
	if enrolled != nil && enrolled(w) {
		return
	}
	key := p.log.key.Public().(ed25519.PublicKey)
	a := wire.EnrolAnswer{
		ClientID: device.IDOf(pub), ClientName: req.ClientName, Keys: req.Keys, AuthMethod: wire.AuthMethod, Tenant: testTenant,
		LogKey: key, ReceiptKey: key, RecoveryKey: p.recovery.Public().(ed25519.PublicKey),
	}
	if change != nil {
		change(&a)
	}
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(a)
}

func (p *peer) token(w http.ResponseWriter, r *http.Request) {
	pub, ok := p.proof(w, r, "", http.StatusBadRequest)
	if !ok {
		return
	}
	u, err := dpop.ParseAssertion(r.FormValue("client_assertion"))
	if err != nil {
		p.t.Errorf("assertion: %v", err)
	}
	a, err := u.Verify(pub)
	if err != nil || a.Issuer != a.Subject || a.Audience != p.http.URL+"/device/token" {
		p.t.Errorf("assertion %+v: %v", a, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !pub.Equal(p.devices[device.ID(a.Subject)]) {
		refuse(w, http.StatusUnauthorized, wire.CodeInvalidClient)
		return
	}
	p.next++
	token := "token-" + strconv.Itoa(p.next)
	p.tokens[token] = device.ID(a.Subject)
	json.NewEncoder(w).Encode(wire.TokenAnswer{AccessToken: token, TokenType: "DPoP", ExpiresIn: int64(p.tokenFor.Seconds())})
}

// caller is the device that a request comes from; on false it has been answered.
func (p *peer) caller(w http.ResponseWriter, r *http.Request) (device.ID, bool) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "DPoP ")
	p.mu.Lock()
	dev, ok := p.tokens[token]
	p.mu.Unlock()
	if !ok {
		refuse(w, http.StatusUnauthorized, wire.CodeInvalidToken)
		return "", false
	}
	pub, ok := p.proof(w, r, token, http.StatusUnauthorized)
	p.mu.Lock()
	defer p.mu.Unlock()
	if ok && !pub.Equal(p.devices[dev]) {
		refuse(w, http.StatusUnauthorized, wire.CodeInvalidToken)
		return "", false
	}
	return dev, ok
}

// succeed takes a device's next key.
func (p *peer) succeed(w http.ResponseWriter, r *http.Request) {
	pub, ok := p.proof(w, r, "", http.StatusBadRequest)
	if !ok {
		return
	}
	body, _ := io.ReadAll(r.Body)
	req, err := wire.ParseKeyRequest(body)
	if err != nil {
		p.t.Errorf("next key: %v", err)
	}
	p.mu.Lock()
	told, kept := p.keyTold, p.keyKept
	p.mu.Unlock()
	if told != nil && told(w) {
		return
	}
	p.mu.Lock()
	had := p.chains[req.Device]
	if len(req.Statements) < len(had) || !slices.EqualFunc(had, req.Statements[:len(had)], bytes.Equal) {
		p.mu.Unlock()
		refuse(w, http.StatusForbidden, wire.CodeInvalidRequest)
		return
	}
	p.chains[req.Device], p.devices[req.Device] = req.Statements, pub
	p.mu.Unlock()
	if kept != nil && kept(w) {
		return
	}
	json.NewEncoder(w).Encode(wire.KeyAnswer{Number: len(req.Statements)})
}

// keysOf are the statements that the server has of a device.
func (p *peer) keysOf(id device.ID) [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.chains[id]
}

func (p *peer) channel(w http.ResponseWriter, r *http.Request) {
	dev, ok := p.caller(w, r)
	if !ok {
		return
	}
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer ws.CloseNow()
	c := &peerConn{peer: p, device: dev, ws: ws, messages: make(chan wire.FromDevice, 4096), closed: make(chan struct{})}
	defer close(c.closed)
	defer close(c.messages)
	ctx := context.Background() // the test's agent, or the test's end, closes it
	m, err := c.read(ctx)
	if err != nil {
		c.err = err
		return
	}
	c.hello = m.(wire.Hello)
	p.mu.Lock()
	greet := p.greet
	p.mu.Unlock()
	if greet == nil || greet(c) {
		c.send(wire.Welcome{Version: wire.Version})
	}
	p.conns <- c
	for {
		m, err := c.read(ctx)
		if err != nil {
			c.err = err
			return
		}
		c.messages <- m
	}
}

func (c *peerConn) read(ctx context.Context) (wire.FromDevice, error) {
	_, b, err := c.ws.Read(ctx)
	if err != nil {
		return nil, err
	}
	m, err := wire.DecodeDevice(b)
	if err != nil {
		c.peer.t.Errorf("the agent said %.200q: %v", b, err)
	}
	return m, err
}

func (c *peerConn) send(m wire.FromServer) {
	b, err := wire.EncodeServer(m)
	if err != nil {
		c.peer.t.Errorf("the test's message: %v", err)
		return
	}
	c.ws.Write(context.Background(), websocket.MessageText, b)
}
