package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/odata"
)

// troubled is the fleet with one operation that goes wrong.
type troubled struct {
	devices
	do func() error
}

func (o troubled) List(context.Context, auth.Caller, func() (odata.Query, error)) (odata.Page[device.Device], error) {
	return odata.Page[device.Device]{}, o.do()
}

func TestOurOwnFailuresTellTheCallerNothingAndTheLogEverything(t *testing.T) {
	in := install(t)
	real := in.api.Fleet
	for _, c := range []struct {
		name, code string
		status     int
		do         func() error
	}{
		{"an error without a code", "InternalServerError", 500, func() error { return errors.New("canary: /var/lib/swab is gone") }},
		{"a panic", "InternalServerError", 500, func() error { panic("canary: index out of range") }},
		{"a deadline", "ServiceUnavailable", 503, func() error { return errors.Join(errors.New("canary"), context.DeadlineExceeded) }},
	} {
		in.api.Fleet = troubled{real, c.do}
		g := in.as(t, full, "GET", "/api/machines", "")
		if g.status != c.status || g.code(t) != c.code || strings.Contains(g.raw, "canary") {
			t.Errorf("%s: %d %s", c.name, g.status, g.raw)
		}
		if log := in.log.String(); !strings.Contains(log, "canary") || !strings.Contains(log, g.header.Get("request-id")) {
			t.Errorf("%s: the log does not tell of it: %s", c.name, log)
		}
		in.log.text.Reset()
	}
	in.api.Fleet = real
	if g := in.as(t, full, "GET", "/api/machines", ""); g.status != http.StatusOK {
		t.Errorf("afterwards: %d %s", g.status, g.raw)
	}
	in.store.Close()
	asked := strings.NewReplacer("findbytag", "findbytag?tag=x", "2026-01-01T00:00:00Z", in.now().UTC().Format(time.RFC3339))
	for _, p := range permissions {
		g := in.as(t, full, p.method, asked.Replace(p.path), `{"Comment":"x"}`)
		if g.code(t); g.status < 500 || strings.Contains(g.raw, "sql") || strings.Contains(g.raw, "database is closed") {
			t.Errorf("%s %s without a database: %d %s", p.method, p.path, g.status, g.raw)
		}
	}
}

func TestNoSecretGetsIntoTheLog(t *testing.T) {
	in := install(t)
	const typed = "canary-comment"
	form := "grant_type=client_credentials&client_id=" + full + "&client_secret=" + secret + "&scope=https://api.security.microsoft.com/.default"
	g := in.send(t, "POST", "/"+tenantID+"/oauth2/v2.0/token", form)
	in.send(t, "POST", "/"+tenantID+"/oauth2/v2.0/token", strings.Replace(form, secret, "canary-guess", 1))
	token := g.text("access_token")
	in.send(t, "GET", "/api/machines/canary-name", "", "Authorization", "Bearer "+token)
	in.send(t, "GET", "/api/machines", "", "Authorization", "Bearer "+token+"x")
	in.send(t, "POST", in.collectPath(), `{"Comment":"`+typed+`","Profile":"canary-profile"}`, "Authorization", "Bearer "+token)
	id := in.send(t, "POST", in.collectPath(), `{"Comment":"`+typed+`"}`, "Authorization", "Bearer "+token).text("id")
	in.succeed(t, id, []byte("canary-evidence"))
	link := in.link(t, id)
	in.send(t, "GET", link, "")
	in.send(t, "GET", link+"x", "")
	_, mac, _ := strings.Cut(link, "&s=")
	log := in.log.String()
	if !strings.Contains(log, "token issued") || !strings.Contains(log, "request refused") {
		t.Fatalf("nothing was logged: %s", log)
	}
	for _, s := range []string{secret, token, token[:40], mac, "canary"} {
		if at := strings.Index(log, s); at >= 0 {
			t.Errorf("%q is in the log: %s", s, log[max(0, at-200):min(len(log), at+200)])
		}
	}
}

func TestRefusedTokensAreSummedInTheAuditLog(t *testing.T) {
	in := install(t)
	for range 3 {
		in.send(t, "GET", "/api/machines", "", "Authorization", "Bearer guess", "X-Forwarded-For", "198.51.100.7")
	}
	in.send(t, "POST", "/"+tenantID+"/oauth2/v2.0/token", "grant_type=client_credentials&client_id=x&client_secret=guess&scope=x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in.tally.Run(ctx)
	entries, err := in.store.AuditEntries(t.Context(), tenantID, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for _, e := range entries {
		if leaf, _ := audit.ParseLeaf(e.Leaf); leaf.Act == audit.ActDenied {
			sums[e.Opening.Hidden.From] += leaf.Detail + " "
		}
	}
	// One sum of the API, which names no tenant, and one of the tenant's issuer.
	if s := sums["127.0.0.1"]; s != "3 1 " && s != "1 3 " || len(sums) != 1 {
		t.Errorf("sums %v", sums)
	}
}

func TestABodyThatNeverComesHoldsNoConnection(t *testing.T) {
	in := install(t)
	in.api.arrive = 300 * time.Millisecond
	for _, path := range []string{in.collectPath(), "/api/nothing"} {
		conn := in.dial(t, path, 100, `{"Comment":`)
		answer, err := io.ReadAll(conn) // until the server closes it
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 40") {
			t.Errorf("%s: %v, %q", path, err, answer)
		}
		conn.Close()
	}
	if g := in.as(t, full, "GET", "/api/machineactions", ""); !strings.HasSuffix(g.raw, `"value":[]}`) {
		t.Errorf("half a request made an action: %s", g.raw)
	}
}

func TestAHeadIsAGetWithoutABody(t *testing.T) {
	in := install(t)
	g := in.as(t, full, "HEAD", "/api/machines", "")
	if g.status != http.StatusOK || g.raw != "" || g.header.Get("Content-Length") == "" {
		t.Errorf("%d %v %q", g.status, g.header, g.raw)
	}
}

var _ operations = (*action.Engine)(nil)
