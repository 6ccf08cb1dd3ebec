package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const actionJSON = `{"@odata.context":"x","id":"a1","type":"CollectInvestigationPackage","title":null,"requestor":"app","requestorComment":"why",
"status":%q,"machineId":"m1","computerDnsName":"web1","creationDateTimeUtc":"2026-01-22T08:44:05.1234567Z","lastUpdateDateTimeUtc":"2026-01-22T08:44:05.1234567Z",
"lastUpdateTimeUtc":"2026-01-22T08:44:05.1234567Z","cancellationRequestor":null,"cancellationComment":null,"cancellationDateTimeUtc":null,"errorHResult":0,
"scope":null,"externalId":null,"requestSource":"PublicApi","relatedFileInfo":null,"commands":[],"troubleshootInfo":null}`

func TestCollectSendsTheContractsBodyAndReadsItsAnswer(t *testing.T) {
	s, c := newServer(t)
	var body, path string
	s.api("POST /api/machines/{id}/collectInvestigationPackage", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body, path = string(b), r.URL.EscapedPath()
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, actionJSON, Pending)
	})
	got, err := c.Collect(t.Context(), "web 1/x", CollectRequest{Comment: "why"})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 22, 8, 44, 5, 123456700, time.UTC)
	want := Action{
		ID: "a1", Type: "CollectInvestigationPackage", Status: Pending, MachineID: "m1", MachineName: "web1",
		Requestor: "app", Comment: "why", Source: "PublicApi", Created: at, Updated: at,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if body != `{"Comment":"why"}` || path != "/api/machines/web%201%2Fx/collectInvestigationPackage" {
		t.Errorf("sent %s to %s", body, path)
	}
}

func TestTokenIsKeptRenewedBeforeItExpiresAndReplacedOnceWhenRefused(t *testing.T) {
	s, c := newServer(t)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c.now = func() time.Time { return now }
	s.api("GET /api/machines", func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]any{"value": []any{}}) })
	ask := func(want int) {
		t.Helper()
		if _, err := c.Machines(t.Context(), Page{}); err != nil {
			t.Fatal(err)
		}
		if s.tokens() != want {
			t.Errorf("%d tokens were fetched, want %d", s.tokens(), want)
		}
	}
	ask(1)
	ask(1)
	now = now.Add(53 * time.Minute)
	ask(1)
	now = now.Add(2 * time.Minute) // 55 of 60 minutes: a tenth is left
	ask(2)
	s.revoke()
	ask(3)
	s.api("GET /api/machineactions", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusUnauthorized, CodeUnauthorized, "Never")
	})
	_, err := c.Actions(t.Context(), Page{})
	if e, ok := errors.AsType[*Error](err); !ok || e.Status != 401 || s.tokens() != 4 {
		t.Errorf("got %v after %d tokens, want one more token and then the refusal", err, s.tokens())
	}
}

func TestErrorsAreTyped(t *testing.T) {
	s, c := newServer(t)
	s.api("GET /api/machines/{id}", func(w http.ResponseWriter, r *http.Request) {
		switch r.PathValue("id") {
		case "none":
			refuse(w, 404, CodeNotFound, "Machine none was not found")
		case "busy":
			w.Header().Set("Retry-After", "17")
			refuse(w, 429, CodeTooMany, "100 calls a minute")
		case "html":
			w.WriteHeader(502)
			fmt.Fprint(w, "<html>"+strings.Repeat("x", 1<<20))
		case "moved":
			http.Redirect(w, r, "https://elsewhere.invalid/", http.StatusFound)
		}
	})
	s.api("POST /api/machines/{id}/collectInvestigationPackage", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", s.URL+"/api/machineactions/a7")
		refuse(w, 400, CodeActive, "Action is already in progress")
	})
	for name, want := range map[string]*Error{
		"none":  {Status: 404, Code: CodeNotFound, Message: "Machine none was not found", Target: "t-1"},
		"busy":  {Status: 429, Code: CodeTooMany, Message: "100 calls a minute", Target: "t-1", RetryAfter: 17 * time.Second},
		"html":  {Status: 502, Code: "HTTP502", Message: "the server answered 502 Bad Gateway"},
		"moved": {Status: 302, Code: "HTTP302", Message: "the server answered 302 Found"},
	} {
		_, err := c.Machine(t.Context(), name)
		got, _ := errors.AsType[*Error](err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	_, err := c.Collect(t.Context(), "m", CollectRequest{Comment: "x"})
	if e, _ := errors.AsType[*Error](err); e == nil || e.Code != CodeActive || e.Running != "a7" {
		t.Errorf("got %v, want the running action's id", err)
	}
	for _, name := range []string{"", ".", ".."} {
		if _, err := c.Machine(t.Context(), name); err == nil {
			t.Errorf("a device called %q was asked for", name)
		}
	}
}

func TestBadSecretIsSaidAndNotRepeated(t *testing.T) {
	s, good := newServer(t)
	bad := *good
	tok := *good.tokens.(*tokens)
	tok.form = map[string][]string{"client_secret": {"wrong-hunter2"}}
	bad.tokens = &tok
	_, err := bad.Machines(t.Context(), Page{})
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != "invalid_client" || !strings.Contains(err.Error(), "The secret is not this application's.") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	if s.tokens() != 0 {
		t.Error("a token was issued")
	}
}

func TestAnswersAreBounded(t *testing.T) {
	s, c := newServer(t)
	s.api("GET /api/machines/{id}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"id":"`+strings.Repeat("x", maxEntity)+`"}`)
	})
	if _, err := c.Machine(t.Context(), "m"); err == nil || !strings.Contains(err.Error(), "over 1048576 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestCallHasADeadline(t *testing.T) {
	s, c := newServer(t)
	c.timeout = 50 * time.Millisecond
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	s.api("GET /api/machines/{id}", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	if _, err := c.Machine(t.Context(), "m"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestNothingButTLSToAKnownAuthority(t *testing.T) {
	s, c := newServer(t)
	stranger := s.client(t, "", "s3cret") // judges by the system's authorities
	if _, err := stranger.Machines(t.Context(), Page{}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v, want a refusal of the certificate", err)
	}
	c.Close()
	for _, bad := range []Config{
		{BaseURL: "http://x", Authority: "https://x/t", ClientID: "a", ClientSecret: "b"},
		{BaseURL: "https://x", Authority: "https://u:p@x/t", ClientID: "a", ClientSecret: "b"},
		{BaseURL: "https://x?y", Authority: "https://x/t", ClientID: "a", ClientSecret: "b"},
		{BaseURL: "https://x", Authority: "https://x/t", ClientID: "a"},
		{BaseURL: "https://x", Authority: "https://x/t", ClientID: "a", ClientSecret: "b", CAFile: "/nowhere"},
	} {
		if _, err := New(bad); err == nil {
			t.Errorf("New(%+v) is taken", bad)
		}
	}
	if _, err := New(Config{}); err == nil || strings.Count(err.Error(), "missing") != 3 {
		t.Errorf("got %v, want all three that are missing", err)
	}
}

func TestWaitAsksLessAndLessOftenAndHeedsRetryAfter(t *testing.T) {
	s, c := newServer(t)
	now, pauses := time.Now(), []time.Duration{}
	c.now = func() time.Time { return now }
	c.sleep = func(_ context.Context, d time.Duration) error {
		pauses, now = append(pauses, d), now.Add(d)
		return nil
	}
	n := 0
	s.api("GET /api/machineactions/a1", func(w http.ResponseWriter, _ *http.Request) {
		switch n++; {
		case n == 3:
			w.Header().Set("Retry-After", "300")
			refuse(w, 429, CodeTooMany, "slower")
		case n == 5:
			refuse(w, 500, "InternalServerError", "x")
		case n < 9:
			fmt.Fprintf(w, actionJSON, InProgress)
		default:
			fmt.Fprintf(w, actionJSON, Succeeded)
		}
	})
	a, err := c.Wait(t.Context(), "a1")
	if err != nil || a.Status != Succeeded {
		t.Fatalf("got %v, %v", a, err)
	}
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	want := []time.Duration{ms(100), ms(200), 300 * time.Second, ms(800), ms(1600), ms(3200), ms(5000), ms(5000)}
	if diff := cmp.Diff(want, pauses); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Whatever the method: a call that was refused for its limit came to nothing.
func TestACallOverItsLimitIsMadeAgainWhenTheServerSays(t *testing.T) {
	s, c := newServer(t)
	now, pauses := time.Now(), []time.Duration{}
	c.now = func() time.Time { return now }
	c.sleep = func(ctx context.Context, d time.Duration) error {
		pauses, now = append(pauses, d), now.Add(d)
		return ctx.Err()
	}
	var bodies []string
	refusals := []string{"7", "1"}
	limited := func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(b))
		if len(bodies) <= len(refusals) {
			w.Header().Set("Retry-After", refusals[len(bodies)-1])
			refuse(w, 429, CodeTooMany, "slower")
			return
		}
		fmt.Fprintf(w, actionJSON, Pending)
	}
	s.api("POST /api/machines/{id}/collectInvestigationPackage", limited)
	s.api("GET /api/machineactions/{id}", limited)
	if a, err := c.Collect(t.Context(), "m1", CollectRequest{Comment: "why"}); err != nil || a.ID != "a1" {
		t.Fatal(a, err)
	}
	if diff := cmp.Diff([]time.Duration{7 * time.Second, time.Second}, pauses); diff != "" {
		t.Errorf("pauses (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{`{"Comment":"why"}`, `{"Comment":"why"}`, `{"Comment":"why"}`}, bodies); diff != "" {
		t.Errorf("bodies (-want +got):\n%s", diff)
	}
	for name, refused := range map[string][]string{"an hour": {"3600"}, "again and again": {"60", "60", "60"}, "not said": {""}} {
		bodies, refusals, pauses = nil, refused, nil
		_, err := c.Action(t.Context(), "a1")
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Code != CodeTooMany || len(pauses) != len(refused)-1 {
			t.Errorf("%s: %v after %v", name, err, pauses)
		}
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(30*time.Second))
	defer cancel()
	bodies, refusals, pauses, now = nil, []string{"40"}, nil, time.Now()
	if _, err := c.Action(ctx, "a1"); err == nil || len(pauses) != 0 {
		t.Errorf("past the caller's deadline: %v after %v", err, pauses)
	}
}

func TestWaitGivesUpOnWhatWillNotChange(t *testing.T) {
	s, c := newServer(t)
	now := time.Now()
	c.now = func() time.Time { return now }
	c.sleep = func(_ context.Context, d time.Duration) error { now = now.Add(d); return nil }
	s.api("GET /api/machineactions/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") == "gone" {
			refuse(w, 404, CodeNotFound, "no")
			return
		}
		refuse(w, 500, "InternalServerError", "x")
	})
	if _, err := c.Wait(t.Context(), "gone"); err == nil {
		t.Error("waited for an action that is not")
	}
	start := now
	if _, err := c.Wait(t.Context(), "ill"); err == nil || now.Sub(start) < patience {
		t.Errorf("gave up after %s with %v", now.Sub(start), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Wait(ctx, "ill"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAuditPage(t *testing.T) {
	s, c := newServer(t)
	s.api("GET /api/swab/v1/audit", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "from=3&top=2" {
			t.Errorf("asked with %s", r.URL.RawQuery)
		}
		fmt.Fprint(w, `{"checkpoint":"note\n","logKey":"AQID","value":[{"index":3,"leaf":"e30=","hash":"AQI=","opening":{"salt":"AA==","hidden":{"who":"server","name":"","from":"","correlation":"","comment":"c"}}}]}`)
	})
	got, err := c.Audit(t.Context(), 3, 2)
	want := AuditPage{Checkpoint: "note\n", LogKey: []byte{1, 2, 3}, Entries: []AuditEntry{
		{Index: 3, Leaf: []byte("{}"), Hash: []byte{1, 2}, Opening: AuditOpening{Salt: []byte{0}, Hidden: AuditHidden{Who: "server", Comment: "c"}}},
	}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestCredentialsShowNoSecret(t *testing.T) {
	var cred Credentials
	if err := json.Unmarshal([]byte(`{"apiBase":"https://x","clientSecret":"hunter2","enrollmentToken":"hunter3","clientId":"app"}`), &cred); err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprintf("%v %+v %#v %s", cred, cred, cred, cred); strings.Contains(s, "hunter") {
		t.Errorf("shown: %s", s)
	}
}

func TestAuditSearchWalksItsPages(t *testing.T) {
	s, c := newServer(t)
	asked := []string{}
	s.api("GET /api/swab/v1/audit/entries", func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		switch r.FormValue("after") {
		case "":
			fmt.Fprint(w, `{"value":[{"index":7,"time":"2026-03-01T12:00:00.1234567Z","act":"role.change","changes":[{"field":"name","from":["a"],"to":["b"],"omitted":0}]}],"next":"p2"}`)
		case "p2":
			fmt.Fprint(w, `{"value":[{"index":null,"time":"2026-03-01T12:00:00Z","act":"role.create"}]}`)
		case "p3":
			fmt.Fprint(w, `{"value":[],"next":"p3"}`)
		}
	})
	var acts []string
	search := AuditSearch{Since: time.Unix(0, 100), Acts: []string{"role.*", "app.create"}, User: "ann", Top: 1}
	for e, err := range c.AllAudit(t.Context(), search) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Act == "role.change" && (*e.Index != 7 || e.Changes[0].To[0] != "b" || e.Time.Nanosecond() != 123456700) || e.Act == "role.create" && e.Index != nil {
			t.Errorf("got %+v", e)
		}
		acts = append(acts, e.Act)
	}
	query := "act=role.%2A&act=app.create&since=1970-01-01T00%3A00%3A00.0000001Z&top=1&user=ann"
	if want := []string{query, "act=role.%2A&act=app.create&after=p2" + query[len("act=role.%2A&act=app.create"):]}; !slices.Equal(asked, want) || len(acts) != 2 {
		t.Errorf("asked with %v for %v", asked, acts)
	}
	if _, err := c.SearchAudit(t.Context(), search, "p3"); err != nil {
		t.Error(err)
	}
}
