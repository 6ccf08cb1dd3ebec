package server_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/client"
	"swab/internal/command"
	"swab/internal/server"
	"swab/internal/store"
	"swab/internal/store/storetest"
)

var update = flag.Bool("update", false, "rewrite the table of docs/operate.md")

//go:generate go test . -run TestDocsOfMetrics -update

// The table of docs/operate.md is made from what the server declares.
func TestDocsOfMetricsMatchTheServer(t *testing.T) {
	const name, begin, end = "../../docs/operate.md", "<!-- made from the server: go generate ./internal/server -->\n", "<!-- end -->\n"
	s, _ := start(t, settings(t, t.TempDir()))
	var table strings.Builder
	table.WriteString("| metric | kind | labels | what |\n|---|---|---|---|\n")
	for _, m := range s.Declared() {
		labels := slices.Sorted(maps.Keys(m.Labels))
		for i, l := range labels {
			labels[i] = "`" + l + "`"
			if values := m.Labels[l]; values != nil {
				labels[i] += ": " + strings.Join(values, ", ")
			}
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, strings.Join(labels, "; "), m.Help)
	}
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(page), begin)
	got, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no table of metrics", name)
	}
	if *update {
		if err := os.WriteFile(name, []byte(head+begin+table.String()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(table.String(), got); diff != "" {
		t.Errorf("%s parts from the server; go generate ./internal/server rewrites it (-code +page):\n%s", name, diff)
	}
	declared := map[string]bool{}
	for _, m := range s.Declared() {
		declared[m.Name] = true
	}
	// The names that the rest of the page has, in its alerts and its text.
	for _, m := range regexp.MustCompile(`swab_[a-z_]+`).FindAllString(head+tail, -1) {
		if base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(m, "_bucket"), "_sum"), "_count"); !declared[m] && !declared[base] {
			t.Errorf("%s names %s, which there is not", name, m)
		}
	}
}

// What a scrape returns is what is declared, and its names are as Prometheus has
// them.
func TestMetricsAreDeclared(t *testing.T) {
	s, _ := start(t, settings(t, t.TempDir()))
	get(t, s.URL()+"/api/machines", s.Bootstrap().CAFile)
	declared, seen := map[string]server.Metric{}, map[string]bool{}
	for _, m := range s.Declared() {
		declared[m.Name] = m
		if strings.HasSuffix(m.Name, "_total") != (m.Kind == "counter") || strings.Contains(m.Help, "|") {
			t.Errorf("%s is a %s: %s", m.Name, m.Kind, m.Help)
		}
	}
	for _, a := range s.Scrape(t) {
		seen[a.Name] = true
		m, ok := declared[a.Name]
		if !ok {
			if !strings.HasPrefix(a.Name, "go_") && !strings.HasPrefix(a.Name, "process_") {
				t.Errorf("%s is in a scrape, and not declared", a.Name)
			}
			continue
		}
		if a.Help != m.Help || a.Kind != m.Kind {
			t.Errorf("%s is a %s, %q; declared as a %s, %q", m.Name, a.Kind, a.Help, m.Kind, m.Help)
		}
		for _, l := range a.Labels {
			name, value, _ := strings.Cut(l, "=")
			values, there := m.Labels[name]
			if !there || values != nil && !slices.Contains(values, value) {
				t.Errorf("%s has %s, which is not declared", m.Name, l)
			}
		}
	}
	for name := range declared {
		if !seen[name] {
			t.Errorf("%s is declared, and not in a scrape", name)
		}
	}
	if !seen["go_goroutines"] {
		t.Error("nothing is told of the process")
	}
}

// Whatever a stranger sends, no label has it, and there are no more series for the
// second stranger than for the first.
func TestNoLabelTakesAValueFromOutside(t *testing.T) {
	s, _ := start(t, settings(t, t.TempDir()))
	b := s.Bootstrap()
	transport := trusting(t, b.CAFile).Transport
	visit := func(canary string) {
		for _, method := range []string{"GET", "POST", "PATCH", strings.ToUpper(canary)} {
			for _, path := range []string{
				"/" + canary, "/api/" + canary, "/api/machines/" + canary, "/api/machines?" + canary + "=" + canary, "/api/admin/v1/users/" + canary, "/api/machineactions/" + canary + "/cancel",
				"/" + canary + "/oauth2/v2.0/token", "/" + b.TenantID + "/oauth2/v2.0/" + canary, "/" + canary + "/.well-known/openid-configuration", "/docs/" + canary, "/device/" + canary,
				"/enroll/" + canary, "/packages/" + canary, "/common/discovery/instance?authorization_endpoint=" + canary,
			} {
				form := url.Values{"grant_type": {canary}, "client_id": {canary}, "client_secret": {canary}, "username": {canary}}.Encode()
				req, err := http.NewRequestWithContext(t.Context(), method, b.APIBase+path, strings.NewReader(form))
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range []string{"Authorization", "User-Agent", "X-Forwarded-For", "X-Forwarded-Host", "Content-Type"} {
					req.Header.Set(h, canary)
				}
				if strings.Contains(path, "token") {
					req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				}
				resp, err := transport.RoundTrip(req)
				if err != nil {
					t.Fatalf("%s %s: %v", method, path, err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		}
	}
	visit("zqcanaryone")
	first := len(s.Scrape(t))
	visit("zqcanarytwo")
	if second := len(s.Scrape(t)); second != first {
		t.Errorf("%d series after one stranger, %d after another", first, second)
	}
	hidden := []string{"zqcanary", "localhost", "127.0.0.1", b.TenantID, b.ClientID, b.ClientSecret, b.EnrollmentToken}
	if name, err := os.Hostname(); err == nil && len(name) > 3 {
		hidden = append(hidden, name)
	}
	for _, a := range s.Scrape(t) {
		for _, text := range hidden {
			if l := strings.ToLower(strings.Join(a.Labels, " ")); strings.Contains(l, strings.ToLower(text)) {
				t.Errorf("%s has the labels %s", a.Name, l)
			}
		}
	}
}

// value is the value of a metric with the labels as name=value.
func value(t *testing.T, s *server.Server, name string, with ...string) float64 {
	t.Helper()
	for _, a := range s.Scrape(t) {
		if a.Name == name && slices.Equal(a.Labels, with) {
			return a.Value
		}
	}
	t.Fatalf("there is no metric %s %v", name, with)
	return 0
}

// What is refused is counted, each time where it belongs.
func TestRefusalsAreCounted(t *testing.T) {
	for name, database := range map[string]func(testing.TB) string{"sqlite": nil, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) { refusalsAreCounted(t, database) })
	}
}

func refusalsAreCounted(t *testing.T, database func(testing.TB) string) {
	file := t.TempDir() + "/limits.yaml"
	if err := os.WriteFile(file, []byte("limits:\n  listMachines: {minute: 2, hour: 10}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := settings(t, t.TempDir(), "--config", file)
	if database != nil {
		c.Database = command.Secret(database(t))
	}
	s, _ := start(t, c)
	b := s.Bootstrap()
	admin, token := administrator(t, b), tokenOf(t, b)
	moves := func(what string, do func(), want map[string]float64) {
		t.Helper()
		split := func(key string) (string, []string) {
			name, with, ok := strings.Cut(key, " ")
			if !ok {
				return name, nil
			}
			return name, strings.Split(with, " ")
		}
		before := map[string]float64{}
		for key := range want {
			name, with := split(key)
			before[key] = value(t, s, name, with...)
		}
		do()
		for key, by := range want {
			name, with := split(key)
			if got := value(t, s, name, with...) - before[key]; got != by {
				t.Errorf("%s: %s moved by %v, want %v", what, key, got, by)
			}
		}
	}
	if code, _ := get(t, b.APIBase+"/api/machines", b.CAFile); code != http.StatusUnauthorized {
		t.Fatalf("without a token: %d", code)
	}
	moves("a call without a token", func() { get(t, b.APIBase+"/api/machines", b.CAFile) }, map[string]float64{
		"swab_requests_denied_total": 1, "swab_http_requests_total method=GET route=api/machines status=401": 1, "swab_http_request_seconds method=GET route=api/machines": 1,
	})
	moves("three calls, of which two may be made", func() {
		for range 3 {
			ask(t, b, "GET", "/api/machines", token)
		}
	}, map[string]float64{"swab_limit_refusals_total": 1, "swab_requests_limited_total": 1})
	moves("a machine that there is not", func() { ask(t, b, "POST", "/api/machines/nosuch/collectInvestigationPackage", token) }, map[string]float64{
		"swab_audit_entries_total result=refused": 1, "swab_audit_entries_total result=done": 0,
	})
	moves("an enrolment token", func() {
		if _, err := admin.CreateEnrollment(t.Context(), client.EnrollmentRequest{Name: "x"}); err != nil {
			t.Error(err)
		}
	}, map[string]float64{"swab_audit_entries_total result=done": 1})
	for name, least := range map[string]float64{
		"swab_store_commit_seconds": 1, "swab_store_commit_calls": 1, "swab_store_connections_limit": 1, "swab_store_readable": 1, "swab_disk_free_bytes": 1,
		"swab_token_key_expiry_timestamp_seconds": float64(time.Now().Unix()), "swab_connections_limit": 1, "swab_connections": 1, "swab_uploads_limit": 1, "swab_disk_reserve_bytes": 1 << 30,
	} {
		if got := value(t, s, name); !(got >= least) {
			t.Errorf("%s is %v, want %v at least", name, got, least)
		}
	}
	for _, of := range []string{"server", "authority"} {
		if got := value(t, s, "swab_certificate_expiry_timestamp_seconds", "certificate="+of); got < float64(time.Now().Unix()) {
			t.Errorf("the %s certificate of a new server has expired at %v", of, got)
		}
	}
}

// A scrape looks into the database at most every 5 seconds, whether it can be read
// or not.
func TestScrapesLookIntoTheDatabaseSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks, broken := 0, error(nil)
		backlog := server.Lookout(func(ctx context.Context) (store.Backlog, error) {
			if until, ok := ctx.Deadline(); !ok || time.Until(until) > 2*time.Second {
				t.Error("a look may take for ever")
			}
			looks++
			return store.Backlog{Pending: looks}, broken
		})
		for range 10 {
			if b, ok := backlog(); b.Pending != 1 || !ok {
				t.Errorf("%+v %v, want what the first look saw", b, ok)
			}
		}
		time.Sleep(5 * time.Second)
		broken = errors.New("gone")
		for range 10 {
			if _, ok := backlog(); ok {
				t.Error("what could not be read is shown")
			}
		}
		time.Sleep(5 * time.Second)
		broken = nil
		if b, ok := backlog(); !ok || b.Pending != 3 || looks != 3 {
			t.Errorf("%+v %v after %d looks, want 3", b, ok, looks)
		}
	})
}

// The address of the metrics has no other page, and the text is what Prometheus
// reads.
func TestMetricsAreServedAlone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	start(t, settings(t, t.TempDir(), "--metrics-listen", address))
	for path, want := range map[string]int{"/metrics": 200, "/": 404, "/debug/pprof/": 404, "/api/machines": 404} {
		resp, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != want {
			t.Errorf("%s: %d, %v", path, resp.StatusCode, err)
		}
		if want == 200 && !bytes.Contains(text, []byte("# HELP swab_devices_connected Devices connected to this node.\n# TYPE swab_devices_connected gauge\nswab_devices_connected 0\n")) {
			t.Errorf("no connected devices in\n%.1000s", text)
		}
	}
}
