package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"swab/internal/audit"
	"swab/internal/fault"
	"swab/internal/origin"
)

func TestEveryCodeHasAStatusAndEveryStatusACode(t *testing.T) {
	for _, code := range fault.Codes {
		if statuses[code] == 0 {
			t.Errorf("%s has no status", code)
		}
	}
	for code := range maps.Keys(statuses) {
		if !slices.Contains(fault.Codes, code) {
			t.Errorf("%s is no code of the contract", code)
		}
	}
}

// Each route with a request that is otherwise good, and what the 403 must name.
var permissions = []struct{ method, path, required string }{
	{"POST", "/api/machines/wks-042/collectInvestigationPackage", "Machine.CollectForensics"},
	{"GET", "/api/machines", "Machine.Read.All,Machine.ReadWrite.All"},
	{"GET", "/api/machines/findbyip(ip='192.0.2.40',timestamp=2026-01-01T00:00:00Z)", "Machine.Read.All,Machine.ReadWrite.All"},
	{"GET", "/api/machines/findbytag", "Machine.Read.All,Machine.ReadWrite.All"},
	{"POST", "/api/machines/AddOrRemoveTagForMultipleMachines", "Machine.ReadWrite.All"},
	{"GET", "/api/machines/$count", "Machine.Read.All,Machine.ReadWrite.All"},
	{"GET", "/api/machines/wks-042", "Machine.Read.All,Machine.ReadWrite.All"},
	{"GET", "/api/machines/wks-042/machineactions", "Machine.Read.All,Machine.ReadWrite.All"},
	{"GET", "/api/machines/wks-042/machineactions/$count", "Machine.Read.All,Machine.ReadWrite.All"},
	{"PATCH", "/api/machines/wks-042", "Machine.ReadWrite.All"},
	{"POST", "/api/machines/wks-042/tags", "Machine.ReadWrite.All"},
	{"POST", "/api/machines/wks-042/setDeviceValue", "Machine.ReadWrite.All"},
	{"GET", "/api/machines/wks-042/availableMachineActions", "Machine.Read.All,Machine.ReadWrite.All"},
	{"POST", "/api/machines/wks-042/isolate", lacked},
	{"POST", "/api/machines/wks-042/unisolate", lacked},
	{"POST", "/api/machines/wks-042/restrictCodeExecution", lacked},
	{"POST", "/api/machines/wks-042/unrestrictCodeExecution", lacked},
	{"POST", "/api/machines/wks-042/runAntiVirusScan", lacked},
	{"POST", "/api/machines/wks-042/offboard", lacked},
	{"POST", "/api/machines/wks-042/StopAndQuarantineFile", lacked},
	{"POST", "/api/machines/wks-042/runliveresponse", lacked},
	{"POST", "/api/machines/wks-042/startInvestigation", lacked},
	{"GET", "/api/machineactions", "Machine.Read.All,Machine.ReadWrite.All"},
	{"GET", "/api/machineactions/$count", "Machine.Read.All,Machine.ReadWrite.All"},
	{"GET", "/api/machineactions/x", "Machine.Read.All,Machine.ReadWrite.All"},
	{"POST", "/api/machineactions/x/cancel", "Machine.CollectForensics"},
	{"GET", "/api/machineactions/x/getPackageUri", "Machine.Read.All,Machine.ReadWrite.All"},
	{"GET", "/api/swab/v1/audit", "Swab.Administer"},
	{"GET", "/api/swab/v1/audit/entries", "Swab.Administer"},
	{"GET", "/api/swab/v1/audit/entries/0", "Swab.Administer"},
	{"GET", "/api/swab/v1/actions/x/attempts/1", "Swab.Administer"},
	{"GET", "/api/admin/v1/apps", "Swab.Administer"},
	{"POST", "/api/admin/v1/apps", "Swab.Administer"},
	{"GET", "/api/admin/v1/apps/x", "Swab.Administer"},
	{"PATCH", "/api/admin/v1/apps/x", "Swab.Administer"},
	{"POST", "/api/admin/v1/apps/x/revoke", "Swab.Administer"},
	{"POST", "/api/admin/v1/apps/x/secrets", "Swab.Administer"},
	{"DELETE", "/api/admin/v1/apps/x/secrets/y", "Swab.Administer"},
	{"POST", "/api/admin/v1/apps/x/certificates", "Swab.Administer"},
	{"DELETE", "/api/admin/v1/apps/x/certificates/y", "Swab.Administer"},
	{"GET", "/api/admin/v1/users", "Swab.Administer"},
	{"POST", "/api/admin/v1/users", "Swab.Administer"},
	{"GET", "/api/admin/v1/users/x", "Swab.Administer"},
	{"PATCH", "/api/admin/v1/users/x", "Swab.Administer"},
	{"POST", "/api/admin/v1/users/x/disable", "Swab.Administer"},
	{"POST", "/api/admin/v1/users/x/enable", "Swab.Administer"},
	{"POST", "/api/admin/v1/users/x/resetPassword", "Swab.Administer"},
	{"POST", "/api/admin/v1/users/x/resetTotp", "Swab.Administer"},
	{"GET", "/api/admin/v1/users/x/sessions", "Swab.Administer"},
	{"POST", "/api/admin/v1/users/x/revokeSessions", "Swab.Administer"},
	{"GET", "/api/admin/v1/userGroups", "Swab.Administer"},
	{"POST", "/api/admin/v1/userGroups", "Swab.Administer"},
	{"GET", "/api/admin/v1/userGroups/x", "Swab.Administer"},
	{"PATCH", "/api/admin/v1/userGroups/x", "Swab.Administer"},
	{"DELETE", "/api/admin/v1/userGroups/x", "Swab.Administer"},
	{"GET", "/api/admin/v1/userGroups/x/members", "Swab.Administer"},
	{"PUT", "/api/admin/v1/userGroups/x/members/y", "Swab.Administer"},
	{"DELETE", "/api/admin/v1/userGroups/x/members/y", "Swab.Administer"},
	{"GET", "/api/admin/v1/roles", "Swab.Administer"},
	{"POST", "/api/admin/v1/roles", "Swab.Administer"},
	{"GET", "/api/admin/v1/roles/x", "Swab.Administer"},
	{"PATCH", "/api/admin/v1/roles/x", "Swab.Administer"},
	{"DELETE", "/api/admin/v1/roles/x", "Swab.Administer"},
	{"GET", "/api/admin/v1/deviceGroups", "Swab.Administer"},
	{"POST", "/api/admin/v1/deviceGroups", "Swab.Administer"},
	{"POST", "/api/admin/v1/deviceGroups/preview", "Swab.Administer"},
	{"POST", "/api/admin/v1/deviceGroups/order", "Swab.Administer"},
	{"GET", "/api/admin/v1/deviceGroups/1", "Swab.Administer"},
	{"PATCH", "/api/admin/v1/deviceGroups/1", "Swab.Administer"},
	{"DELETE", "/api/admin/v1/deviceGroups/1", "Swab.Administer"},
	{"GET", "/api/admin/v1/issuers", "Swab.Administer"},
	{"POST", "/api/admin/v1/issuers", "Swab.Administer"},
	{"GET", "/api/admin/v1/issuers/x", "Swab.Administer"},
	{"PATCH", "/api/admin/v1/issuers/x", "Swab.Administer"},
	{"POST", "/api/admin/v1/issuers/x/revoke", "Swab.Administer"},
	{"GET", "/api/admin/v1/enrollments", "Swab.Administer"},
	{"POST", "/api/admin/v1/enrollments", "Swab.Administer"},
	{"POST", "/api/admin/v1/enrollments/x/revoke", "Swab.Administer"},
	{"GET", "/api/admin/v1/tenants", "Swab.Administer"},
	{"POST", "/api/admin/v1/tenants", "Swab.Administer"},
	{"POST", "/api/admin/v1/tenants/x/revoke", "Swab.Administer"},
	{"GET", "/api/admin/v1/retention", "Swab.Administer"},
	{"PATCH", "/api/admin/v1/retention", "Swab.Administer"},
	{"GET", "/api/admin/v1/holds", "Swab.Administer"},
	{"POST", "/api/admin/v1/holds", "Swab.Administer"},
	{"DELETE", "/api/admin/v1/holds/x", "Swab.Administer"},
	{"GET", "/api/admin/v1/devices", "Swab.Administer"},
	{"GET", "/api/admin/v1/devices/x", "Swab.Administer"},
	{"PATCH", "/api/admin/v1/devices/x", "Swab.Administer"},
	{"POST", "/api/admin/v1/devices/x/retire", "Swab.Administer"},
	{"POST", "/api/admin/v1/devices/x/restore", "Swab.Administer"},
	{"POST", "/api/admin/v1/devices/x/rotateKey", "Swab.Administer"},
	{"POST", "/api/admin/v1/devices/x/revoke", "Swab.Administer"},
	{"GET", "/api/admin/v1/keys/access-tokens", "Swab.Administer"},
	{"POST", "/api/admin/v1/keys/access-tokens/rotate", "Swab.Administer"},
}

// lacked is what an action that Swab lacks needs: any one permission.
const lacked = "Machine.CollectForensics,Machine.Read.All,Machine.ReadWrite.All"

// anyone are the routes that any token of the tenant may ask.
var anyone = []string{"api/alerts", "api/alerts/$count", "api/exposureScore"}

func TestNothingIsDoneWithoutATokenOrThePermission(t *testing.T) {
	in := install(t)
	api := New(Config{})
	for _, rt := range api.routes {
		if rt.open || slices.Contains(anyone, rt.pattern) {
			continue
		}
		fits := func(p struct{ method, path, required string }) bool {
			segments, _ := split(&url.URL{Path: p.path})
			_, ok := rt.fits(segments)
			return ok && rt.method == p.method
		}
		if !slices.ContainsFunc(permissions, fits) {
			t.Errorf("%s %s: this test has no request for it", rt.method, rt.pattern)
		}
	}
	before := len(in.leaves(t))
	for _, p := range permissions {
		g := in.send(t, p.method, p.path, "")
		if g.status != http.StatusUnauthorized || g.code(t) != "Unauthorized" {
			t.Errorf("%s %s without a token: %d %s", p.method, p.path, g.status, g.raw)
		}
		want := `Bearer authorization_uri="` + in.URL + "/" + tenantID + `/oauth2/v2.0/authorize"`
		if c := g.header.Get("WWW-Authenticate"); c != want {
			t.Errorf("challenge without a token: %s, want %s", c, want)
		}
		g = in.as(t, nobody, p.method, p.path, "", "Content-Type", "application/json")
		want = "Missing application roles. API required roles: " + p.required + ", application roles: ."
		if g.status != http.StatusForbidden || g.code(t) != "Forbidden" || g.message() != want {
			t.Errorf("%s %s without permission: %d %s\nwant %s", p.method, p.path, g.status, g.raw, want)
		}
		// Whoever may not do it learns nothing else, whatever is wrong besides.
		if g = in.as(t, nobody, p.method, p.path+"?$filter=x&$top=-1&from=x", "[", "Content-Type", "application/xml"); g.status != http.StatusForbidden {
			t.Errorf("%s %s, wrong besides, without permission: %d %s", p.method, p.path, g.status, g.raw)
		}
	}
	minute, over := context.WithCancel(t.Context())
	over()
	in.tally.Run(minute)
	refused := 0
	for _, l := range in.leaves(t)[before:] {
		switch {
		case l.Act == audit.ActDenied || l.Act == audit.ActToken:
			continue
		case l.Act == audit.ActRefused: // those beyond the first of a minute
			n, err := strconv.Atoi(l.Detail)
			if err != nil {
				t.Errorf("entry %+v", l)
			}
			refused += n
			continue
		}
		refused++
		if l.Result != audit.Refused || l.Detail != "Forbidden" {
			t.Errorf("entry %+v", l)
		}
	}
	if refused != 2*len(permissions) {
		t.Errorf("%d refusals are in the audit log, want %d", refused, 2*len(permissions))
	}
	g := in.as(t, reader, "POST", in.collectPath(), `{"Comment":"x"}`)
	if want := "Missing application roles. API required roles: Machine.CollectForensics, application roles: Machine.Read.All."; g.message() != want {
		t.Errorf("message %q, want %q", g.message(), want)
	}
}

func TestATokenThatDoesNotHoldIs401WithTheReason(t *testing.T) {
	in := install(t)
	good := in.token[full]
	for name, header := range map[string][]string{
		"garbage":      {"Authorization", "Bearer x"},
		"empty":        {"Authorization", "Bearer"},
		"Basic":        {"Authorization", "Basic eDp5"},
		"DPoP":         {"Authorization", "DPoP " + good},
		"twice":        {"Authorization", "Bearer " + good, "Authorization", "Bearer " + good},
		"huge":         {"Authorization", "Bearer " + strings.Repeat("x", 100<<10)},
		"in the query": nil,
	} {
		g := in.send(t, "GET", "/api/machines?access_token="+good, "", header...)
		if g.status != http.StatusUnauthorized || g.code(t) != "Unauthorized" {
			t.Errorf("%s: %d %s", name, g.status, g.raw)
		}
		challenge := g.header.Get("WWW-Authenticate")
		if !strings.HasPrefix(challenge, "Bearer ") || strings.Contains(challenge, `error="invalid_token"`) != (header != nil) {
			t.Errorf("%s: challenge %s", name, challenge)
		}
	}
	if g := in.send(t, "GET", "/api/machines", "", "Authorization", "bearer "+good); g.status != http.StatusOK {
		t.Errorf("scheme in lower case: %d %s", g.status, g.raw)
	}
	in.advance(2 * 3600 * 1e9)
	g := in.as(t, full, "GET", "/api/machines", "")
	if g.status != http.StatusUnauthorized || !strings.Contains(g.header.Get("WWW-Authenticate"), `error="invalid_token", error_description="The access token has expired"`) {
		t.Errorf("expired: %d %v", g.status, g.header)
	}
}

func TestOddPathsAreAnsweredInJSON(t *testing.T) {
	in := install(t)
	for path, want := range map[string]struct {
		status int
		code   string
	}{
		"/api":                                               {404, "NotFound"},
		"/api/":                                              {404, "NotFound"},
		"/API/Nothing":                                       {404, "NotFound"},
		"/api/v1.0":                                          {404, "NotFound"},
		"/api/v2.0/machines":                                 {404, "NotFound"},
		"/api/machines/x/y":                                  {404, "NotFound"},
		"/api//machines":                                     {404, "NotFound"},
		"/api/machines//":                                    {404, "NotFound"},
		"/api/machineactions/x/y/z":                          {404, "NotFound"},
		"/api/../api/machines":                               {404, "NotFound"},
		"/api/%2e%2e/%2e%2e/etc/passwd":                      {404, "NotFound"},
		"/api/./machines":                                    {404, "NotFound"},
		"/api/machines%2Fx":                                  {404, "NotFound"},
		"/api/machines%00":                                   {404, "NotFound"},
		"/api/" + strings.Repeat("x/", 5<<10):                {404, "NotFound"},
		"/api/" + strings.Repeat("x", 10<<10):                {404, "NotFound"},
		"/api/v1.0/swab/v1/audit":                            {404, "NotFound"},
		"/api/v1.0/admin/v1/enrollments":                     {404, "NotFound"},
		"/api/machineactions/..":                             {404, "ResourceNotFound"},
		"/api/machineactions/%2e%2e%2f%2e%2e":                {404, "ResourceNotFound"},
		"/api/machineactions/%00":                            {404, "ResourceNotFound"},
		"/api/machineactions/'%20OR%201=1":                   {404, "ResourceNotFound"},
		"/api/machineactions/0":                              {404, "ResourceNotFound"},
		"/api/machineactions/%E2%80%AE":                      {404, "ResourceNotFound"},
		"/api/machineactions/x/getPackageUri":                {404, "ResourceNotFound"},
		"/api/swab/v1/actions/x/attempts/1":                  {404, "ResourceNotFound"},
		"/api/swab/v1/actions/x/attempts/-1":                 {404, "ResourceNotFound"},
		"/api/swab/v1/actions/x/attempts/%2e%2e":             {404, "ResourceNotFound"},
		"/api/machineactions/" + strings.Repeat("a", 10<<10): {404, "ResourceNotFound"},
		"/packages":                                          {404, "NotFound"},
		"/packages/":                                         {404, "NotFound"},
		"/packages/" + tenantID:                              {404, "NotFound"},
		"/packages/" + tenantID + "/":                        {404, "NotFound"},
		"/packages/" + tenantID + "/x":                       {404, "NotFound"},
		"/packages/" + tenantID + "/%2e%2e":                  {404, "NotFound"},
		"/packages/" + tenantID + "/%2e%2e%2fx.zip":          {403, "Forbidden"},
		"/packages/" + tenantID + "/x.zip":                   {403, "Forbidden"},
	} {
		g := in.as(t, full, "GET", path, "")
		if g.status != want.status || g.code(t) != want.code || len(g.raw) > 2000 {
			t.Errorf("%.80s: %d %.300s, want %d %s", path, g.status, g.raw, want.status, want.code)
		}
		if want.code == "NotFound" && strings.HasPrefix(path, "/api") &&
			!strings.HasPrefix(g.message(), "No HTTP resource was found that matches the request URI '"+in.URL+path[:4]) {
			t.Errorf("%.80s: message %.200q", path, g.message())
		}
	}
}

func TestWordsOfAPathAreMatchedWithoutRegardToCase(t *testing.T) {
	in := install(t)
	id := in.collect(t)
	for _, path := range []string{
		"/api/machineactions/" + id, "/API/MachineActions/" + strings.ToUpper(id), "/api/machineActions/" + id + "/", "/api/V1.0/machineactions/" + id,
		"/api/%6dachineactions/" + strings.ReplaceAll(id, "-", "%2D"),
	} {
		if g := in.as(t, full, "GET", path, ""); g.status != http.StatusOK || g.text("id") != id {
			t.Errorf("%s: %d %s", path, g.status, g.raw)
		}
	}
	if g := in.as(t, full, "POST", "/api/MACHINEACTIONS/"+id+"/Cancel", ""); g.status != http.StatusOK {
		t.Errorf("cancel: %d %s", g.status, g.raw)
	}
}

func TestAWrongMethodIs405WithAllow(t *testing.T) {
	in := install(t)
	for _, c := range []struct{ method, path, allow string }{
		{"GET", "/api/machines/x/collectInvestigationPackage", "POST"},
		{"DELETE", "/api/machines/x", "GET, HEAD, PATCH"},
		{"POST", "/api/machines", "GET, HEAD"},
		{"POST", "/api/machineactions/x/getPackageUri", "GET, HEAD"},
		{"OPTIONS", "/api/machineactions", "GET, HEAD"},
		{"BREW", "/api/machineactions/x/cancel", "POST"},
		{"PUT", "/packages/" + tenantID + "/x.zip", "GET, HEAD"},
	} {
		g := in.as(t, full, c.method, c.path, "")
		if g.status != http.StatusMethodNotAllowed || g.code(t) != "MethodNotAllowed" || g.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q, %s", c.method, c.path, g.status, g.header.Get("Allow"), g.raw)
		}
	}
}

func TestABodyOfAGetIsReadAndIgnored(t *testing.T) {
	in := install(t)
	for name, c := range map[string]struct {
		body, media string
		status      int
	}{
		"empty object": {"{}", "application/json", 200}, "garbage": {"[", "application/xml", 200}, "64 KiB": {strings.Repeat("x", 64<<10), "", 200},
		"over 64 KiB": {strings.Repeat("x", 64<<10+1), "", 413},
	} {
		g := in.as(t, full, "GET", "/api/machines", c.body, "Content-Type", c.media)
		if g.status != c.status || c.status == 413 && g.code(t) != "PayloadTooLarge" {
			t.Errorf("%s: %d %.200s", name, g.status, g.raw)
		}
	}
}

func TestNothingIsRefusedForItsAcceptOrUserAgent(t *testing.T) {
	in := install(t)
	for _, header := range [][]string{{"Accept", "text/html"}, {"Accept", "*/*;q=0"}, {"User-Agent", ""}, {"Accept-Encoding", "gzip, br"}, {"Accept-Encoding", "identity"}} {
		g := in.as(t, full, "GET", "/api/machines", "", header...)
		if g.status != http.StatusOK || g.json == nil || g.header.Get("Content-Encoding") != "" {
			t.Errorf("%v: %d %.100s", header, g.status, g.raw)
		}
	}
}

func TestServesIsDecidedByTheFirstSegment(t *testing.T) {
	for path, want := range map[string]bool{
		"/api/machines": true, "/API/x": true, "/api/../x": true, "/api//x": true, "/packages/x": true, "/api": true,
		"/apis/x": false, "/": false, "": false, "/Packages/x": false, "//api/machines": false, "/" + tenantID + "/oauth2/v2.0/token": false, "/healthz": false,
	} {
		if got := Serves(&http.Request{URL: &url.URL{Path: path}}); got != want {
			t.Errorf("Serves(%q) = %t", path, got)
		}
	}
}

func FuzzRouting(f *testing.F) {
	for _, p := range permissions {
		f.Add(p.method, strings.TrimPrefix(p.path, "/"))
	}
	f.Add("GET", "api/%2e%2e/%00?$top=1")
	f.Add("PUT", "packages//%zz")
	set, err := origin.New([]string{"https://swab.example"}, nil)
	if err != nil {
		f.Fatal(err)
	}
	api := New(Config{Origin: set})
	f.Fuzz(func(t *testing.T, method, path string) {
		u, err := url.Parse("https://swab.example/" + path)
		if err != nil {
			return
		}
		r := httptest.NewRequest("GET", "https://swab.example/", nil)
		r.Method, r.URL = method, u
		rt, values, prefix, allow, err := api.match(r)
		switch {
		case prefix != "/api" && prefix != "/api/v1.0":
			t.Errorf("prefix %q", prefix)
		case err == nil && (rt.serve == nil || allow != nil):
			t.Errorf("%s %q is routed to nothing", method, path)
		case err != nil && rt.serve != nil:
			t.Errorf("%s %q is both routed and refused", method, path)
		}
		for name, v := range values {
			if v == "" {
				t.Errorf("%s %q: %s is empty", method, path, name)
			}
		}
		if _, text := fault.Of(err); len(text) > 2000 {
			t.Errorf("%s %q: a message of %d bytes", method, path, len(text))
		}
	})
}

func FuzzBody(f *testing.F) {
	for _, s := range []string{
		`{"Comment":"x"}`, `{"Comment":"\ud83d\ude00\\","ExternalId":null,"x":[{}]}`, `{"Comment":"\ud800"}`, `{"Comment":1,"Comment":2}`, `[`, `{}`, "{\"\xff\":1}", `{"a":1}{`, `{"Comment":["a","\ud83d\ude00"],"ExternalId":["\ud800"]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parse(data, []string{"Comment", "ExternalId"})
		if code, _ := fault.Of(err); err != nil && code != fault.InvalidRequestBody {
			t.Errorf("%q: %v", data, err)
		}
		for name, v := range got {
			if err == nil && (name != "Comment" && name != "ExternalId" || !json.Valid(v) || string(v) == "null") {
				t.Errorf("%q: %q is %q", data, name, v)
			}
			for _, read := range []func([]byte) (any, error){
				func(b []byte) (any, error) { return text(b) },
				func(b []byte) (any, error) { return texts(b) },
			} {
				if s, err := read(v); err == nil && !utf8.ValidString(fmt.Sprint(s)) {
					t.Errorf("%q: %q reads as %q", data, name, s)
				}
			}
		}
	})
}
