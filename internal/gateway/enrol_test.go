package gateway

import (
	"bytes"
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/dpop"
	"swab/internal/dsse"
	"swab/internal/fault"
	"swab/internal/wire"
)

func TestEnrolmentPinsTheServer(t *testing.T) {
	h := newHouse(t)
	d := newAgent(t, h)
	resp, body := d.enrol(t, "token-"+tenantID)
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("status = %s, want 201: %s", resp.Status, body)
	}
	got, err := wire.ParseEnrolAnswer(body)
	if err != nil {
		t.Fatal(err)
	}
	want := wire.EnrolAnswer{
		ClientID: d.id, IssuedAt: got.IssuedAt, ClientName: "host.example.org", Keys: wire.JWKSet{Keys: []wire.JWK{wire.JWKOf(d.pub())}},
		AuthMethod: "private_key_jwt", Tenant: tenantID,
		LogKey: h.keys.PublicLogKey(), ReceiptKey: h.keys.PublicReceiptKey(), RecoveryKey: h.keys.PublicRecoveryKey(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if resp.Header.Get("DPoP-Nonce") == "" || resp.Header.Get("Date") == "" {
		t.Errorf("answer lacks nonce or date: %v", resp.Header)
	}
	if acts := h.acts(t, tenantID); acts[len(acts)-1] != audit.ActEnrol {
		t.Errorf("acts = %v, want the enrolment last", acts)
	}
}

// Threat D3, a used token.
func TestEnrollingAgainGivesTheSameAnswerAndUsesNoCount(t *testing.T) {
	h := newHouse(t)
	if err := h.store.CreateEnrollment(t.Context(), auth.Enrollment{Tenant: tenantID, ID: "one", Hash: sha256.Sum256([]byte("one")), Left: 1}); err != nil {
		t.Fatal(err)
	}
	d := newAgent(t, h)
	_, first := d.enrol(t, "one")
	h.advance(time.Hour)
	resp, again := d.enrol(t, "one")
	if resp.StatusCode != http.StatusOK || !bytes.Equal(first, again) {
		t.Errorf("again: %s\n%s\nwant 200\n%s", resp.Status, again, first)
	}
	resp, body := newAgent(t, h).enrol(t, "one")
	if resp.StatusCode != http.StatusUnauthorized || oauthError(body) != wire.CodeInvalidToken {
		t.Errorf("another device with the used token: %s %s, want 401 invalid_token", resp.Status, body)
	}
}

// Threat D3: a thousand devices enrol at the same moment, with a token for ten.
func TestTokenLimitedToTenEnrolsExactlyTenOfAThousand(t *testing.T) {
	h := newHouse(t)
	if err := h.store.CreateEnrollment(t.Context(), auth.Enrollment{Tenant: tenantID, ID: "ten", Hash: sha256.Sum256([]byte("ten")), Left: 10}); err != nil {
		t.Fatal(err)
	}
	nonce, shared := h.g.nonces.make(), newAgent(t, h).client
	shared.Transport.(*http.Transport).MaxConnsPerHost = 100 // or each end has a thousand files open
	var created, refused atomic.Int64
	var wg sync.WaitGroup
	all := make(chan struct{})
	for range 1000 {
		d := newAgent(t, h)
		d.client, d.nonce = shared, nonce
		wg.Go(func() {
			<-all
			resp, body := d.enrol(t, "ten")
			switch {
			case resp.StatusCode == http.StatusCreated:
				created.Add(1)
			case resp.StatusCode == http.StatusUnauthorized && oauthError(body) == wire.CodeInvalidToken:
				refused.Add(1)
			default:
				t.Errorf("enrol: %s %s", resp.Status, body)
			}
		})
	}
	close(all)
	wg.Wait()
	if created.Load() != 10 || refused.Load() != 990 {
		t.Errorf("%d created, %d refused; want 10 and 990", created.Load(), refused.Load())
	}
}

// Threat D4: the one that was there first stays as it is, and connected.
func TestDeviceWithAKnownNameIsAnotherDevice(t *testing.T) {
	h := newHouse(t)
	a := enrolled(t, h, tenantID)
	line := a.connect(t)
	b := enrolled(t, h, tenantID)
	b.connect(t)
	line.beginNext(actionRef{h.collect(t, a).ID, 1})
	if a.id == b.id {
		t.Fatal("two keys have one id")
	}
	for _, d := range []*agent{a, b} {
		if _, err := h.store.DeviceByID(t.Context(), d.id); err != nil {
			t.Error(err)
		}
	}
	if !strings.Contains(h.log.String(), "a new device has the name of another one") {
		t.Error("the second device of one name is not flagged in the log")
	}
}

// Threat D3, tokens that are revoked, expired or nobody's.
func TestEnrolmentIsRefused(t *testing.T) {
	h := newHouse(t)
	for name, id := range map[string]auth.Enrollment{
		"revoked": {Left: -1, Revoked: true}, "expired": {Left: -1, Expires: time.Now().Add(-time.Hour)},
	} {
		id.Tenant, id.ID, id.Hash = tenantID, name, sha256.Sum256([]byte(name))
		if err := h.store.CreateEnrollment(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	other := newAgent(t, h)
	json := map[string]string{"Content-Type": "application/json"}
	valid := func(d *agent) []byte { return mustJSON(t, d.registration()) }
	for name, c := range map[string]struct {
		token  string
		body   func(*agent) []byte
		header map[string]string
		spoil  func(*dpop.Proof)
		status int
		code   string
	}{
		"unknown token":  {token: "nosuch", status: 401, code: wire.CodeInvalidToken},
		"revoked token":  {token: "revoked", status: 401, code: wire.CodeInvalidToken},
		"expired token":  {token: "expired", status: 401, code: wire.CodeInvalidToken},
		"no token":       {token: "", status: 401, code: wire.CodeInvalidToken},
		"another's key":  {body: func(*agent) []byte { return valid(other) }, status: 400, code: wire.CodeInvalidMetadata},
		"no JSON":        {body: func(*agent) []byte { return []byte("{") }, status: 400, code: wire.CodeInvalidMetadata},
		"long body":      {body: func(*agent) []byte { return bytes.Repeat([]byte(" "), wire.MaxEnrol+1) }, status: 413, code: wire.CodeInvalidRequest},
		"form":           {header: map[string]string{"Content-Type": "text/plain"}, status: 415, code: wire.CodeInvalidRequest},
		"proof of GET":   {spoil: func(p *dpop.Proof) { p.Method = "GET" }, status: 400, code: wire.CodeInvalidProof},
		"proof of a URL": {spoil: func(p *dpop.Proof) { p.URL = "https://evil.example/enroll" }, status: 400, code: wire.CodeInvalidProof},
		"proof with ath": {spoil: func(p *dpop.Proof) { p.TokenHash = dpop.TokenHash("x") }, status: 400, code: wire.CodeInvalidProof},
		"forged nonce":   {spoil: func(p *dpop.Proof) { p.Nonce = "AAAA" }, status: 400, code: wire.CodeUseNonce},
	} {
		t.Run(name, func(t *testing.T) {
			d := newAgent(t, h)
			d.nonce, d.spoil = h.g.nonces.make(), c.spoil
			body, header, token := valid(d), json, "token-"+tenantID
			if c.body != nil {
				body = c.body(d)
			}
			if c.header != nil {
				header = c.header
			}
			if c.token != "" || name == "no token" {
				token = c.token
			}
			resp, got := d.do(t, call{method: "POST", path: "/enroll", auth: "Bearer " + token, header: header, body: bytes.NewReader(body)})
			if resp.StatusCode != c.status || oauthError(got) != c.code {
				t.Errorf("%s %s, want %d %s", resp.Status, got, c.status, c.code)
			}
			if _, err := h.store.DeviceByID(t.Context(), d.id); err == nil {
				t.Error("the device is enrolled")
			}
		})
	}
}

// Threat D3, another tenant's token.
func TestKeyEnrolledInOneTenantIsNotTakenByAnother(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	resp, body := d.enrol(t, "token-"+otherID)
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("%s %s, want 403", resp.Status, body)
	}
	d.enrol(t, "token-"+otherID) // again, and it fills no log
	logged, err := h.store.AuditEntries(t.Context(), otherID, 0, 100)
	if err != nil || len(logged) != 2 {
		t.Fatalf("the other tenant's log has %d entries, %v; want its start and one refusal", len(logged), err)
	}
	leaf := must(audit.ParseLeaf(logged[1].Leaf))
	if leaf.Act != audit.ActEnrol || leaf.Result != audit.Refused || leaf.Detail != string(fault.Forbidden) || leaf.Object != string(d.id) {
		t.Errorf("entry = %+v", leaf)
	}
}

// Threat D2: a proof that was used before.
func TestProofIsTakenOnce(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	p := d.proof("HEAD", "/device/uploads/"+strings.Repeat("0", 32), d.token)
	c := d.bound(call{method: "HEAD", path: "/device/uploads/" + strings.Repeat("0", 32), header: map[string]string{"Tus-Resumable": "1.0.0"}, proof: p})
	if resp, _ := d.do(t, c); resp.StatusCode != http.StatusNotFound {
		t.Fatalf("first: %s, want 404", resp.Status)
	}
	h.advance(4 * time.Minute) // the nonce is still fresh
	resp, _ := d.do(t, c)
	if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(resp.Header.Get("WWW-Authenticate"), wire.CodeInvalidProof) {
		t.Errorf("replayed: %s %s, want 401 invalid_dpop_proof", resp.Status, resp.Header.Get("WWW-Authenticate"))
	}
	h.advance(2 * time.Minute)
	resp, _ = d.do(t, c)
	if resp.StatusCode != http.StatusUnauthorized || !d.asked(resp) {
		t.Errorf("replayed after the nonce's life: %s %s, want 401 use_dpop_nonce", resp.Status, resp.Header.Get("WWW-Authenticate"))
	}
	if n := h.g.Stats().Replayed; n != 1 {
		t.Errorf("Replayed = %d, want 1", n)
	}
}

// Threat D2: a proof that is another request's, or an old one.
func TestRequestIsRefusedUnlessItsProofIsOfThisRequest(t *testing.T) {
	h := newHouse(t)
	d, other := enrolled(t, h, tenantID), enrolled(t, h, tenantID)
	path := "/device/uploads/" + strings.Repeat("0", 32)
	for name, c := range map[string]struct {
		spoil  func(*dpop.Proof)
		token  string
		scheme string
		header map[string]string
		twice  bool
		want   string // in WWW-Authenticate; "" for passing, which is 404 here
	}{
		"good":                     {},
		"other base URL":           {spoil: func(p *dpop.Proof) { p.URL = "https://SWAB.example.org:443" + path }},
		"device's clock is off":    {spoil: func(p *dpop.Proof) { p.Issued = 4_000_000_000 }},
		"forged Host":              {spoil: func(p *dpop.Proof) { p.URL = "https://evil.example" + path }, header: map[string]string{"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}, want: wire.CodeInvalidProof},
		"other path":               {spoil: func(p *dpop.Proof) { p.URL += "1" }, want: wire.CodeInvalidProof},
		"with a query":             {spoil: func(p *dpop.Proof) { p.URL += "?x=1" }, want: wire.CodeInvalidProof},
		"plain http":               {spoil: func(p *dpop.Proof) { p.URL = strings.Replace(p.URL, "https", "http", 1) }, want: wire.CodeInvalidProof},
		"other method":             {spoil: func(p *dpop.Proof) { p.Method = "PATCH" }, want: wire.CodeInvalidProof},
		"no ath":                   {spoil: func(p *dpop.Proof) { p.TokenHash = "" }, want: wire.CodeInvalidProof},
		"other token's ath":        {spoil: func(p *dpop.Proof) { p.TokenHash = dpop.TokenHash(other.token) }, want: wire.CodeInvalidProof},
		"no id":                    {spoil: func(p *dpop.Proof) { p.ID = "" }, want: wire.CodeInvalidProof},
		"endless id":               {spoil: func(p *dpop.Proof) { p.ID = strings.Repeat("a", 200) }, want: wire.CodeInvalidProof},
		"no nonce":                 {spoil: func(p *dpop.Proof) { p.Nonce = "" }, want: wire.CodeUseNonce},
		"other device's token":     {token: other.token, want: wire.CodeInvalidToken},
		"bearer":                   {scheme: "Bearer", want: wire.CodeInvalidToken},
		"no token":                 {token: "x", want: wire.CodeInvalidToken},
		"token with a line break?": {token: "a\tb", want: wire.CodeInvalidToken},
	} {
		t.Run(name, func(t *testing.T) {
			d.spoil = c.spoil
			defer func() { d.spoil = nil }()
			token, scheme := d.token, "DPoP"
			if c.token != "" {
				token = c.token
			}
			if c.scheme != "" {
				scheme = c.scheme
			}
			hdr := map[string]string{"Tus-Resumable": "1.0.0"}
			for k, v := range c.header {
				hdr[k] = v
			}
			resp, _ := d.do(t, call{method: "HEAD", path: path, auth: scheme + " " + token, ath: token, header: hdr})
			got := resp.Header.Get("WWW-Authenticate")
			if c.want == "" && resp.StatusCode != http.StatusNotFound {
				t.Errorf("%s %s, want to pass", resp.Status, got)
			}
			if c.want != "" && (resp.StatusCode != http.StatusUnauthorized || !strings.Contains(got, c.want)) {
				t.Errorf("%s %s, want 401 %s", resp.Status, got, c.want)
			}
		})
	}
}

func TestTokenIsRefusedUnlessTheAssertionIsTheDevices(t *testing.T) {
	h := newHouse(t)
	d, other := enrolled(t, h, tenantID), enrolled(t, h, tenantID)
	stranger := newAgent(t, h)
	sign := func(by *agent, change func(*dpop.Assertion), kid string) func() string {
		return func() string {
			a := dpop.Assertion{Issuer: string(d.id), Subject: string(d.id), Audience: h.URL + "/device/token", ID: dpop.NewID(), Nonce: d.nonce}
			if change != nil {
				change(&a)
			}
			if kid == "" {
				kid = dsse.KeyID(by.pub())
			}
			s, err := a.Sign(kid, by.key)
			if err != nil {
				panic(err)
			}
			return s
		}
	}
	for name, c := range map[string]struct {
		assertion func() string
		code      string
	}{
		"good":                   {sign(d, nil, ""), ""},
		"other device's key":     {sign(other, nil, ""), wire.CodeInvalidClient},
		"other device's id":      {sign(d, func(a *dpop.Assertion) { a.Issuer, a.Subject = string(other.id), string(other.id) }, ""), wire.CodeInvalidClient},
		"issuer is not subject":  {sign(d, func(a *dpop.Assertion) { a.Issuer = string(other.id) }, ""), wire.CodeInvalidClient},
		"id in another case":     {sign(d, func(a *dpop.Assertion) { a.Issuer, a.Subject = "x", "x" }, ""), wire.CodeInvalidClient},
		"other server":           {sign(d, func(a *dpop.Assertion) { a.Audience = "https://evil.example/device/token" }, ""), wire.CodeInvalidClient},
		"other kid":              {sign(d, nil, dsse.KeyID(other.pub())), wire.CodeInvalidClient},
		"stale nonce":            {sign(d, func(a *dpop.Assertion) { a.Nonce = "AAAA" }, ""), wire.CodeUseNonce},
		"not an assertion":       {func() string { return "a.b.c" }, wire.CodeInvalidClient},
		"nothing":                {func() string { return "" }, wire.CodeInvalidClient},
		"proof as the assertion": {func() string { return d.proof("POST", "/device/token", "") }, wire.CodeInvalidClient},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := d.loginWith(t, c.assertion)
			if c.code == "" {
				if resp.StatusCode != http.StatusOK {
					t.Fatalf("%s %s, want 200", resp.Status, body)
				}
				return
			}
			if oauthError(body) != c.code || resp.StatusCode/100 != 4 {
				t.Errorf("%s %s, want %s", resp.Status, body, c.code)
			}
		})
	}
	stranger.nonce = d.nonce
	if resp, body := stranger.login(t); oauthError(body) != wire.CodeInvalidClient {
		t.Errorf("a key that is not enrolled: %s %s, want invalid_client", resp.Status, body)
	}
}

func TestTokenFormIsStrict(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	good := "grant_type=client_credentials&client_assertion_type=" + assertionType + "&client_assertion="
	for body, code := range map[string]string{
		"grant_type=password":                          wire.CodeUnsupportedGrant,
		"grant_type=client_credentials":                wire.CodeInvalidRequest,
		good + d.assertion() + "&grant_type=password":  wire.CodeInvalidRequest,
		good + d.assertion() + "&client_assertion=two": wire.CodeInvalidRequest,
		"%zz": wire.CodeInvalidRequest,
	} {
		_, got := d.do(t, call{
			method: "POST", path: "/device/token", body: strings.NewReader(body),
			header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
		})
		if oauthError(got) != code {
			t.Errorf("%.60q: %s, want %s", body, got, code)
		}
	}
}

// Threat D12: tokens are judged by the server's time.
func TestDevicesClockMayBeYearsOff(t *testing.T) {
	h := newHouse(t)
	h.advance(10 * 365 * 24 * time.Hour)
	d := enrolled(t, h, tenantID) // its proofs are issued in 1970
	if d.token == "" {
		t.Fatal("no token")
	}
	resp, _ := d.do(t, d.bound(call{method: "HEAD", path: "/device/uploads/" + strings.Repeat("0", 32), header: map[string]string{"Tus-Resumable": "1.0.0"}}))
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("%s, want 404", resp.Status)
	}
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil || date.Sub(h.now()).Abs() > time.Minute {
		t.Errorf("Date = %q, want the server's time", resp.Header.Get("Date"))
	}
}

func TestProofsThatCantBeRememberedAreRefused(t *testing.T) {
	now := time.Unix(1000, 0)
	r := &replays{now: func() time.Time { return now }, most: 3, perDevice: 2}
	a, b, c := make([]byte, 32), make([]byte, 32), make([]byte, 32)
	b[0], c[0] = 1, 2
	for i, s := range []struct {
		key  []byte
		id   string
		want taken
	}{
		{a, "1", takenFirst}, {a, "1", takenTwice}, {a, "2", takenFirst}, {a, "3", takenFull},
		{b, "1", takenFirst}, {c, "1", takenFull}, {b, "1", takenTwice},
	} {
		if got := r.take(s.key, s.id); got != s.want {
			t.Errorf("step %d: take = %d, want %d", i, got, s.want)
		}
	}
	now = now.Add(nonceLife + nonceSkew + time.Second)
	if got := r.take(a, "1"); got != takenTwice {
		t.Errorf("in the generation before: %d, want seen", got)
	}
	if got := r.take(a, "3"); got != takenFirst {
		t.Errorf("a new one in a new generation: %d, want taken", got)
	}
}

func TestNonceIsGoodForFiveMinutes(t *testing.T) {
	h := newHouse(t)
	n := nonces{h.keys, h.now}
	s := n.make()
	if !n.fresh(s) {
		t.Error("a new nonce is not fresh")
	}
	flipped := []byte(s)
	flipped[3] ^= 1
	for _, bad := range []string{"", "AAAA", string(flipped), s + "A", s[:len(s)-1], strings.Repeat("A", 54)} {
		if n.fresh(bad) {
			t.Errorf("fresh(%q)", bad)
		}
	}
	h.advance(5*time.Minute - 2*time.Second)
	if !n.fresh(s) {
		t.Error("not fresh within five minutes")
	}
	h.advance(3 * time.Second)
	if n.fresh(s) {
		t.Error("fresh after five minutes")
	}
}

// A stranger without an enrolment token must not fill the table of used proofs,
// which would shut every device out.
func TestStrangersDoNotFillTheTableOfProofs(t *testing.T) {
	h := newHouse(t)
	h.g.replays.most = 3
	for range 5 {
		if resp, body := newAgent(t, h).enrol(t, "nosuch"); resp.StatusCode != http.StatusUnauthorized {
			t.Fatalf("enrolment with an unknown token: %s %s", resp.Status, body)
		}
	}
	if resp, body := newAgent(t, h).enrol(t, "token-"+tenantID); resp.StatusCode != http.StatusCreated {
		t.Errorf("a device after them: %s %s, want 201", resp.Status, body)
	}
}
