package api

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
	"swab/internal/limit"
)

var update = flag.Bool("update", false, "rewrite docs/limits.md")

// limited gives the installation limits: the usual, but for those given.
func (in *installation) limited(set map[string]limit.Figures) {
	c := in.api.Config
	c.Limiter, c.Limits = limit.New(limit.Config{Ledgers: in.store, Now: in.now}), set
	in.api = New(c)
}

func TestEveryRouteThatNeedsATokenHasALimitOfItsOwnName(t *testing.T) {
	byRoute, names, routes := limitsOf(nil), map[string]limit.Figures{}, map[string]string{}
	for _, rt := range New(Config{}).routes {
		l, ok := byRoute[rt.method+" "+rt.pattern]
		if ok == rt.open || !rt.open && (l.Off() || l.name == "") {
			t.Errorf("%s %s, open %t, has limits %+v: name it in limits.go", rt.method, rt.pattern, rt.open, l)
		}
	}
	for _, l := range limits {
		if f, twice := names[l.name]; twice && f != l.Figures || l.Check() != nil {
			t.Errorf("%+v has other figures besides, or %v", l, l.Check())
		}
		if first, twice := routes[l.route]; twice {
			t.Errorf("%s is named twice, %s and %s: settings of one of them would do nothing", l.route, first, l.name)
		}
		names[l.name], routes[l.route] = l.Figures, l.name
	}
}

// A new route is in this test by being in the table: whatever is wrong with a
// call, it is not made over the limit, and what is answered 403 is not counted.
func TestEveryRouteIsLimited(t *testing.T) {
	in := install(t)
	set := map[string]limit.Figures{}
	for name := range Limits() {
		set[name] = limit.Figures{Minute: 1, Hour: 5}
	}
	in.limited(set)
	sample := map[string]string{"machine": "wks-042", "arguments": "ip='192.0.2.40',timestamp=2026-01-01T00:00:00Z"}
	braces, used := regexp.MustCompile(`\{(\w+)\}`), map[string]bool{}
	for _, rt := range in.api.routes {
		if rt.open {
			continue
		}
		path := "/" + braces.ReplaceAllStringFunc(rt.pattern, func(s string) string { return cmp.Or(sample[strings.Trim(s, "{}")], "x") })
		for range 3 {
			g := in.as(t, nobody, rt.method, path, "")
			if slices.Contains(anyone, rt.pattern) {
				break // it needs no permission
			}
			if g.status != http.StatusForbidden {
				t.Errorf("%s %s without permission: %d %s", rt.method, path, g.status, g.raw)
			}
		}
		name := in.api.limits[rt.method+" "+rt.pattern].name
		if g := in.as(t, full, rt.method, path+"?$nosuch=1", "["); (g.status == http.StatusTooManyRequests) != used[name] {
			t.Errorf("%s %s, the first time: %d %s", rt.method, path, g.status, g.raw)
		}
		used[name] = true
		for _, query := range []string{"", "?$nosuch=1"} {
			g := in.as(t, full, rt.method, path+query, "")
			if g.status != http.StatusTooManyRequests || g.code(t) != "TooManyRequests" || !strings.Contains(g.message(), "1 call a minute of "+name+" is") {
				t.Errorf("%s %s%s, again: %d %s", rt.method, path, query, g.status, g.raw)
			}
		}
	}
}

// Each step is a call of getMachineAction at 3 a minute and 5 an hour, some time
// after the last one.
//
// Threat C7: Retry-After is exact.
func TestBothWindowsHoldToTheCallAndTheSecond(t *testing.T) {
	in := install(t)
	c := in.api.Config
	begun, passed := in.now(), atomic.Int64{} // a clock that moves by hand alone
	now := func() time.Time { return begun.Add(time.Duration(passed.Load())) }
	c.Limiter = limit.New(limit.Config{Ledgers: in.store, Now: now})
	c.Limits = map[string]limit.Figures{"getMachineAction": {Minute: 3, Hour: 5}}
	in.api = New(c)
	id := in.collect(t)
	for i, c := range []struct {
		after  time.Duration
		path   string
		status int
		retry  int
	}{
		{0, id, 200, 0},
		{time.Second, "nosuch", 404, 0},       // counts
		{time.Second, id + "?$top=1", 400, 0}, // too
		{time.Second, id, 429, 57},
		{0, "nosuch", 429, 57}, // before 404, and does not count
		{56 * time.Second, id, 429, 1},
		{time.Second, id, 200, 0},
		{time.Millisecond, id, 429, 1},
		{time.Second, id, 200, 0},
		{59 * time.Second, id, 429, 3600 - 120},
		{time.Hour - 2*time.Minute - 2*time.Millisecond, id, 429, 1},
		{time.Millisecond, id, 200, 0},
	} {
		passed.Add(int64(c.after))
		g := in.as(t, full, "GET", "/api/machineactions/"+c.path, "")
		retry, _ := strconv.Atoi(g.header.Get("Retry-After"))
		if g.status != c.status || retry != c.retry {
			t.Errorf("step %d: %d, Retry-After %d, want %d, %d: %s", i, g.status, retry, c.status, c.retry, g.raw)
		}
		if c.status == 429 && !strings.Contains(g.message(), map[bool]string{true: "5 calls an hour", false: "3 calls a minute"}[i > 8]+" of getMachineAction is") {
			t.Errorf("step %d names another limit: %s", i, g.message())
		}
	}
}

func TestTheLimitOfPackageLinksIsTwoAMinute(t *testing.T) {
	in := install(t)
	in.limited(nil)
	for i, want := range []int{404, 404, 429} {
		if g := in.as(t, full, "GET", "/api/machineactions/x/getPackageUri", ""); g.status != want {
			t.Errorf("call %d: %d %s, want %d", i, g.status, g.raw, want)
		}
	}
	// The other APIs have their own counts, and so has another application.
	if g := in.as(t, full, "GET", "/api/machines", ""); g.status != 200 {
		t.Errorf("%d %s", g.status, g.raw)
	}
	if g := in.as(t, reader, "GET", "/api/machineactions/x/getPackageUri", ""); g.status != 404 {
		t.Errorf("%d %s", g.status, g.raw)
	}
}

func TestAnApplicationOfTheSameIDInAnotherTenantHasItsOwnLimit(t *testing.T) {
	in := install(t)
	in.limited(map[string]limit.Figures{"listMachines": {Minute: 1, Hour: 1}})
	other := auth.Tenant{ID: "e3b20405-66c7-4f8e-9a01-b2c3d4e5f607", Name: "fabrikam.example", Created: in.now()}
	err := in.store.CreateTenant(t.Context(), other, audit.NewEntry(in.now(), audit.Leaf{Act: audit.ActStart, Object: other.ID, Result: audit.Done}, audit.Hidden{}))
	app := auth.App{Tenant: other.ID, ID: full, Name: "other", Roles: []string{auth.ReadAll}, Created: in.now()}
	if err := errors.Join(err, in.store.CreateApp(t.Context(), app)); err != nil {
		t.Fatal(err)
	}
	token, err := in.tokens.Issue(in.URL, "https://api.securitycenter.microsoft.com", app)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{200, 429} {
		if g := in.as(t, full, "GET", "/api/machines", ""); g.status != want {
			t.Errorf("%d %s, want %d", g.status, g.raw, want)
		}
		if g := in.send(t, "GET", "/api/machines", "", "Authorization", "Bearer "+token); g.status != want {
			t.Errorf("in the other tenant: %d %s, want %d", g.status, g.raw, want)
		}
	}
}

func TestLimitsHoldOverServersAndRestarts(t *testing.T) {
	in := install(t)
	in.limited(nil)
	c := in.api.Config
	c.Limiter = limit.New(limit.Config{Ledgers: in.store, Now: in.now})
	apis, served := []*API{in.api, New(c)}, 0
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range 30 {
				w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", in.URL+"/api/machines", nil)
				r.Header.Set("Authorization", "Bearer "+in.token[full])
				apis[i%2].ServeHTTP(w, r)
				mu.Lock()
				if w.Code == http.StatusOK {
					served++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if served != 100 {
		t.Errorf("two servers served %d calls, limit 100", served)
	}
	in.limited(nil) // as after a restart
	if g := in.as(t, full, "GET", "/api/machines", ""); g.status != 429 {
		t.Errorf("after a restart: %d %s", g.status, g.raw)
	}
}

func TestLimitsCanBeSetAndTurnedOff(t *testing.T) {
	in := install(t)
	in.limited(map[string]limit.Figures{"getPackageUri": {}, "listMachines": {Minute: 1, Hour: 1}})
	for range 5 {
		if g := in.as(t, full, "GET", "/api/machineactions/x/getPackageUri", ""); g.status != 404 {
			t.Errorf("without a limit: %d %s", g.status, g.raw)
		}
	}
	for _, want := range []int{200, 429} {
		if g := in.as(t, full, "GET", "/api/machines", ""); g.status != want {
			t.Errorf("with another limit: %d %s, want %d", g.status, g.raw, want)
		}
	}
}

// away is a store that can't be written.
type away struct{}

func (away) ChangeLedger(context.Context, limit.Key, func(time.Time, []limit.Held) []limit.Held) error {
	return fault.Unavailable.Errorf(nil, "The database can't be used now; try again later")
}

func (away) ForgetLedgers(context.Context) error { return nil }

func TestNoLimitIsNotWhatIsLeftWhenTheStoreIsAway(t *testing.T) {
	in := install(t)
	c := in.api.Config
	c.Limiter = limit.New(limit.Config{Ledgers: away{}, Now: in.now})
	in.api = New(c)
	g := in.as(t, full, "GET", "/api/machines", "")
	if g.status != 503 || g.code(t) != "ServiceUnavailable" || g.header.Get("Retry-After") != "5" {
		t.Errorf("%d %s", g.status, g.raw)
	}
}

// Calls over a limit are metrics and one sum, and no entry each.
func TestCallsOverALimitAreCountedAndSummed(t *testing.T) {
	in := install(t)
	in.limited(map[string]limit.Figures{"listMachines": {Minute: 2, Hour: 10}})
	var mu sync.Mutex
	seen := map[string]int{}
	in.api.Observe = func(method, route string, status int, _ time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		seen[fmt.Sprint(method, " ", route, " ", status)]++
	}
	before := len(in.leaves(t))
	for range 5 {
		in.as(t, full, "GET", "/api/machines", "")
	}
	if n := len(in.leaves(t)) - before; n != 0 {
		t.Errorf("%d entries at once", n)
	}
	ctx, end := context.WithCancel(t.Context())
	end()
	in.tally.Run(ctx) // records what it has, and ends
	got := in.leaves(t)[before:]
	for i := range got {
		got[i].Time, got[i].Commitment = "", ""
	}
	if diff := gocmp.Diff([]audit.Leaf{{V: 1, Act: audit.ActLimited, Object: tenantID, Result: audit.Refused, Detail: "3"}}, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := gocmp.Diff(map[string]int{"GET api/machines 200": 2, "GET api/machines 429": 3}, seen); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestARefusalForTheLimitComesBetween403And404(t *testing.T) {
	in := install(t)
	in.limited(map[string]limit.Figures{"collectInvestigationPackage": {Minute: 1, Hour: 10}})
	path := "/api/machines/nosuch/collectInvestigationPackage"
	for _, c := range []struct {
		app, body, media string
		status           int
	}{
		{full, "[", "application/xml", 404}, {full, "[", "application/xml", 429}, {full, `{"Comment":"x"}`, "", 429}, {reader, "[", "application/xml", 403},
	} {
		g := in.as(t, c.app, "POST", path, c.body, "Content-Type", c.media)
		if g.status != c.status {
			t.Errorf("%s with %q: %d %s, want %d", c.app, c.body, g.status, g.raw, c.status)
		}
	}
	if g := in.send(t, "POST", path, "["); g.status != 401 {
		t.Errorf("without a token: %d %s", g.status, g.raw)
	}
}

//go:generate go test . -run TestDocsOfLimits -update

// The table of docs/limits.md is made from the routes.
func TestDocsOfLimitsMatchTheRoutes(t *testing.T) {
	const name, begin, end = "../../docs/limits.md", "<!-- made from the routes: go generate ./internal/api -->\n", "<!-- end -->\n"
	var table strings.Builder
	table.WriteString("| name | route | a minute | an hour |\n|---|---|---|---|\n")
	for _, l := range limits {
		method, path, _ := strings.Cut(l.route, " ")
		fmt.Fprintf(&table, "| `%s` | `%s /%s` | %d | %d |\n", l.name, method, path, l.Minute, l.Hour)
	}
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(page), begin)
	got, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no table of limits", name)
	}
	if *update {
		if err := os.WriteFile(name, []byte(head+begin+table.String()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := gocmp.Diff(table.String(), got); diff != "" {
		t.Errorf("%s parts from the routes; go generate ./internal/api rewrites it (-code +page):\n%s", name, diff)
	}
}

func TestARefusalForTheLimitIsAFault(t *testing.T) {
	err := error(&limit.Exceeded{Calls: 2, Per: "a minute", API: "x", Retry: 7 * time.Second})
	if wait(err) != 7 || wait(fault.TooMany.Errorf(nil, "x")) != retryAfter || !slices.Contains(fault.Codes, fault.TooMany) {
		t.Errorf("Retry-After %d and %d", wait(err), wait(fault.TooMany))
	}
}
