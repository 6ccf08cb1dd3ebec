package clients

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// caller makes one call of the API, with a token that its library got.
type caller func(ctx context.Context, method, address string, body []byte) (*http.Response, error)

// goRun is one run of a Go client.
type goRun struct {
	*testing.T
	site
	ctx   context.Context
	http  *http.Client // trusts the server's authority
	steps []step
}

// goClient makes a client of what one library does: walk is told whether
// every setting is to be as it is by default.
func goClient(walk func(g *goRun, defaults bool)) func(*testing.T, site, string) []step {
	return func(t *testing.T, s site, mode string) []step {
		t.Helper()
		g := &goRun{T: t, site: s, ctx: within(t, 2*time.Minute), http: trusting(t, s)}
		walk(g, mode == "defaults")
		return g.steps
	}
}

// trusting is an HTTP client as docs/clients.md makes it, and with the proxy.
func trusting(t *testing.T, s site) *http.Client {
	t.Helper()
	caFile := s.CA
	// doc: http
	ca, err := os.ReadFile(caFile)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	httpClient := &http.Client{Transport: transport}
	// doc: end
	if s.Proxy != "" {
		proxy, err := url.Parse(s.Proxy)
		must(t, err)
		transport.Proxy = http.ProxyURL(proxy)
	}
	t.Cleanup(httpClient.CloseIdleConnections)
	return httpClient
}

func (g *goRun) say(name, seen string) { g.steps = append(g.steps, step{name, seen}) }

// told says whether the error of a sign-in with a wrong secret holds the reason
// that the server gave.
func (g *goRun) told(err error) {
	g.Helper()
	if err == nil || !strings.Contains(err.Error(), "Invalid client secret provided") {
		g.Errorf("the error of a wrong secret: %v", err)
		return
	}
	g.say(wrong, "told")
}

// bearer returns a caller that sends a token, as programs with MSAL do.
func (g *goRun) bearer(token func() string) caller {
	return func(ctx context.Context, method, address string, body []byte) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token())
		if body != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		return g.http.Do(req)
	}
}

// answer has what the road reads of machines, actions, links and errors.
type answer struct {
	ID               string          `json:"id"`
	Name             string          `json:"computerDnsName"`
	OnboardingStatus string          `json:"onboardingStatus"`
	Status           string          `json:"status"`
	Value            json.RawMessage `json:"value"`
	Error            struct{ Code, Message string }
}

func (g *goRun) call(call caller, want int, method, path string, body any) (a answer) {
	g.Helper()
	var sent []byte
	if body != nil {
		var err error
		sent, err = json.Marshal(body)
		must(g.T, err)
	}
	resp, err := call(g.ctx, method, g.API+"/api/"+path, sent)
	must(g.T, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(g.T, err)
	if resp.StatusCode != want {
		g.Fatalf("%s %s: %s, want %d: %s", method, path, resp.Status, want, text)
	}
	must(g.T, json.Unmarshal(text, &a))
	return a
}

// list looks for the device by its name, as a connector does.
func (g *goRun) list(call caller, name string) {
	g.Helper()
	a := g.call(call, 200, "GET", "machines?$filter=computerDnsName+eq+'"+g.Name+"'", nil)
	var machines []answer
	must(g.T, json.Unmarshal(a.Value, &machines))
	for _, m := range machines {
		if m.ID == g.Device {
			g.say(name, "found")
			return
		}
	}
	g.Fatalf("the device %s is not in the list: %s", g.Device, a.Value)
}

// road walks from the list to the package, and cancels an action at the end.
func (g *goRun) road(call caller) {
	g.Helper()
	g.list(call, "list")
	g.say("machine", g.call(call, 200, "GET", "machines/"+g.Device, nil).OnboardingStatus)

	comment := map[string]string{"Comment": "Collect forensics due to alert 1234"}
	action := g.call(call, 201, "POST", "machines/"+g.Device+"/collectInvestigationPackage", comment)
	g.say("collect", action.ID)
	poll := time.NewTicker(700 * time.Millisecond)
	defer poll.Stop()
	for action.Status == "Pending" || action.Status == "InProgress" {
		select {
		case <-poll.C:
			action = g.call(call, 200, "GET", "machineactions/"+action.ID, nil)
		case <-g.ctx.Done():
			g.Fatalf("action %s is still %s", action.ID, action.Status)
		}
	}
	g.say("poll", action.Status)
	g.download(g.call(call, 200, "GET", "machineactions/"+action.ID+"/getPackageUri", nil))

	pending := g.call(call, 201, "POST", "machines/"+g.Away+"/collectInvestigationPackage", comment)
	second := g.call(call, 400, "POST", "machines/"+g.Away+"/collectInvestigationPackage", comment)
	if second.Error.Message != "Action is already in progress" {
		g.Errorf("the message of the second collect: %q", second.Error.Message)
	}
	g.say("second", second.Error.Code)
	cancelled := g.call(call, 200, "POST", "machineactions/"+pending.ID+"/cancel", map[string]string{"Comment": "no longer needed"})
	if cancelled.Status != "Cancelled" {
		g.Errorf("the cancelled action is %s", cancelled.Status)
	}
	g.say("cancel", pending.ID)
}

// download takes the package of a link, without a token.
func (g *goRun) download(link answer) {
	g.Helper()
	var address string
	must(g.T, json.Unmarshal(link.Value, &address))
	u, err := url.Parse(address)
	must(g.T, err)
	g.say("link", u.Scheme+"://"+u.Host)
	req, err := http.NewRequestWithContext(g.ctx, "GET", address, nil)
	must(g.T, err)
	resp, err := g.http.Do(req)
	must(g.T, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	must(g.T, err)
	sum := sha256.Sum256(data)
	got := fmt.Sprint(resp.StatusCode, resp.Header.Get("ETag"), resp.Header.Get("Repr-Digest"))
	want := fmt.Sprint(200, `"`+hex.EncodeToString(sum[:])+`"`, "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
	if got != want {
		g.Errorf("status, ETag and Repr-Digest of the package: %s\nwant %s", got, want)
	}
	g.say("download", hex.EncodeToString(sum[:]))
}

// assertion is one signed with ES256, which libraries take ready made.
func (g *goRun) assertion(audience string) string {
	g.Helper()
	pair, err := tls.LoadX509KeyPair(g.EllipticCertificate, g.EllipticCertificate)
	must(g.T, err)
	name := sha256.Sum256(pair.Certificate[0])
	now := time.Now().Unix()
	part := func(v any) string {
		data, err := json.Marshal(v)
		must(g.T, err)
		return base64.RawURLEncoding.EncodeToString(data)
	}
	signed := part(map[string]string{"alg": "ES256", "typ": "JWT", "x5t#S256": base64.RawURLEncoding.EncodeToString(name[:])}) + "." +
		part(map[string]any{"aud": audience, "iss": g.ClientID, "sub": g.ClientID, "jti": rand.Text(), "nbf": now, "exp": now + 300})
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, pair.PrivateKey.(*ecdsa.PrivateKey), sum[:])
	must(g.T, err)
	return signed + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}
