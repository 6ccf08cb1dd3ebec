package api

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"swab/internal/action"
	"swab/internal/audit"
)

const moments = `"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z"`

func TestCollectAnswers201WithEveryPropertyInTheOrderOfTheWire(t *testing.T) {
	in := install(t)
	for _, c := range []struct{ prefix, host, base string }{
		{"/api", "", in.URL}, {"/api/v1.0", "", in.URL}, {"/API/V1.0", "eu.swab.example", region}, {"/api", "attacker.example", in.URL},
	} {
		header := []string{"Content-Type", "application/json", "X-Forwarded-Host", "eu.swab.example"}
		if c.host != "" {
			header = append(header, "Host", c.host)
		}
		root := c.base + strings.ToLower(c.prefix)
		g := in.as(t, full, "POST", c.prefix+strings.TrimPrefix(in.collectPath(), "/api"),
			`{"Comment":"Ticket 20871: <suspicious> & odd","ExternalId":"case-7","Extra":[{"a":1}]}`, header...)
		want := `^\{"@odata\.context":"` + regexp.QuoteMeta(root) + `/\$metadata#MachineActions/\$entity",` +
			`"id":"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}","type":"CollectInvestigationPackage","title":null,` +
			`"requestor":"IR automation","requestorComment":"Ticket 20871: <suspicious> & odd","status":"Pending",` +
			`"machineId":"` + string(in.device.ID) + `","computerDnsName":"wks-042\.corp\.example",` +
			`"creationDateTimeUtc":` + moments + `,"lastUpdateDateTimeUtc":` + moments + `,"lastUpdateTimeUtc":` + moments + `,` +
			`"cancellationRequestor":null,"cancellationComment":null,"cancellationDateTimeUtc":null,"errorHResult":0,"scope":null,` +
			`"externalId":"case-7","requestSource":"PublicApi","relatedFileInfo":null,"commands":\[\],"troubleshootInfo":null\}$`
		if g.status != http.StatusCreated || !regexp.MustCompile(want).MatchString(g.raw) {
			t.Fatalf("%s at %q: %d %s\nwant %s", c.prefix, c.host, g.status, g.raw, want)
		}
		if g.text("lastUpdateTimeUtc") != g.text("lastUpdateDateTimeUtc") {
			t.Error("the two names of the last update differ")
		}
		if l := g.header.Get("Location"); l != root+"/machineactions/"+g.text("id") {
			t.Errorf("Location %q", l)
		}
		if g.header.Get("request-id") == "" || g.header.Get("OData-Version") != "4.0" || g.header.Get("Retry-After") != "" ||
			!strings.HasPrefix(g.header.Get("Content-Type"), "application/json") {
			t.Errorf("headers %v", g.header)
		}
		if g := in.as(t, full, "POST", "/api/machineactions/"+g.text("id")+"/cancel", ""); g.status != http.StatusOK {
			t.Fatal(g.raw)
		}
	}
}

func TestOfTwoCollectsAtTheSameInstantOneIsRefused(t *testing.T) {
	in := install(t)
	var wg sync.WaitGroup
	answers := make([]got, 8)
	for i := range answers {
		wg.Go(func() { answers[i] = in.as(t, full, "POST", in.collectPath(), `{"Comment":"race"}`) })
	}
	wg.Wait()
	created := ""
	for _, g := range answers {
		if g.status == http.StatusCreated {
			if created != "" {
				t.Error("two were created")
			}
			created = g.header.Get("Location")
		}
	}
	for _, g := range answers {
		if g.status == http.StatusCreated {
			continue
		}
		if code := g.code(t); g.status != http.StatusBadRequest || code != "ActiveRequestAlreadyExists" {
			t.Errorf("%d %s", g.status, g.raw)
		}
		if !strings.Contains(g.raw, `"message":"Action is already in progress"`) {
			t.Errorf("clients look for the exact bytes of the message: %s", g.raw)
		}
		if l := g.header.Get("Location"); l != created || l == "" {
			t.Errorf("Location %q, want that of the running action %q", l, created)
		}
	}
	refused := 0
	for _, l := range in.leaves(t) {
		if l.Act == audit.ActCollect && l.Detail == "ActiveRequestAlreadyExists" {
			refused++
		}
	}
	if refused != len(answers)-1 {
		t.Errorf("%d refusals are in the audit log, want %d", refused, len(answers)-1)
	}
}

func TestBodiesOfACollect(t *testing.T) {
	in := install(t)
	deep := strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000)
	for _, c := range []struct{ name, body, media, code string }{
		{"empty", "", "", "InvalidRequestBody"},
		{"blanks", " \n", "", "InvalidRequestBody"},
		{"array", `[]`, "", "InvalidRequestBody"},
		{"null", `null`, "", "InvalidRequestBody"},
		{"string", `"Comment"`, "", "InvalidRequestBody"},
		{"cut", `{"Comment":"x"`, "", "InvalidRequestBody"},
		{"cut in a string", `{"Comment":"x`, "", "InvalidRequestBody"},
		{"trailing data", `{"Comment":"x"} {}`, "", "InvalidRequestBody"},
		{"trailing comma", `{"Comment":"x",}`, "", "InvalidRequestBody"},
		{"two values", `{"Comment":"x"}}`, "", "InvalidRequestBody"},
		{"comment twice", `{"Comment":"x","Comment":"y"}`, "", "InvalidRequestBody"},
		{"comment twice, escaped", `{"Comment":"x","Comm\u0065nt":"y"}`, "", "InvalidRequestBody"},
		{"comment twice, once null", `{"Comment":null,"Comment":"y"}`, "", "InvalidRequestBody"},
		{"comment a number", `{"Comment":5}`, "", "InvalidRequestBody"},
		{"comment an object", `{"Comment":{"x":1}}`, "", "InvalidRequestBody"},
		{"comment a list", `{"Comment":["x"]}`, "", "InvalidRequestBody"},
		{"NaN", `{"Comment":NaN}`, "", "InvalidRequestBody"},
		{"profile a number", `{"Comment":"x","Profile":1}`, "", "InvalidRequestBody"},
		{"external id a boolean", `{"Comment":"x","ExternalId":true}`, "", "InvalidRequestBody"},
		{"NUL in the external id", `{"Comment":"x","ExternalId":"a\u0000"}`, "", "InvalidRequestBody"},
		{"invalid UTF-8", "{\"Comment\":\"\xff\"}", "", "InvalidRequestBody"},
		{"invalid UTF-8 elsewhere", "{\"Comment\":\"x\",\"y\":\"\xc3(\"}", "", "InvalidRequestBody"},
		{"half a surrogate pair", `{"Comment":"\ud800"}`, "", "InvalidRequestBody"},
		{"BOM", "\ufeff{\"Comment\":\"x\"}", "", "InvalidRequestBody"},
		{"UTF-16", "{\x00}\x00", "", "InvalidRequestBody"},
		{"deep nesting in garbage", strings.Repeat("[", 60_000), "", "InvalidRequestBody"},
		{"over 64 KiB", `{"Comment":"x","y":"` + strings.Repeat("y", 64<<10) + `"}`, "", "InvalidRequestBody"},
		{"a form", "Comment=x", "", "InvalidRequestBody"},
		{"comment too long", `{"Comment":"` + strings.Repeat("é", action.MaxComment+1) + `"}`, "", "InvalidRequestBody"},
		{"comment missing", `{}`, "", "MissingRequiredParameter"},
		{"comment misspelt", `{"comment":"x"}`, "", "MissingRequiredParameter"},
		{"comment null", `{"Comment":null}`, "", "MissingRequiredParameter"},
		{"comment empty", `{"Comment":""}`, "", "MissingRequiredParameter"},
		{"comment blank", `{"Comment":" \t\u00a0"}`, "", "MissingRequiredParameter"},
		{"unknown profile", `{"Comment":"x","Profile":"../everything"}`, "", "InvalidInput"},
		{"XML", `<x/>`, "application/xml", "UnsupportedMediaType"},
		{"a form by its name", `{"Comment":"x"}`, "application/x-www-form-urlencoded", "UnsupportedMediaType"},

		{"no media type", `{"Comment":"x"}`, "", ""},
		{"JSON", `{"Comment":"x"}`, "application/json", ""},
		{"JSON with parameters", `{"Comment":"x"}`, "Application/JSON; charset=utf-8; odata=x", ""},
		{"text", `{"Comment":"x"}`, "text/plain; charset=utf-8", ""},
		{"unknown properties, twice", `{"x":1,"x":2,"Comment":"x","Title":null}`, "", ""},
		{"deep nesting in what is ignored", `{"Comment":"x","y":` + deep[:len(deep)-0] + `}`, "", ""},
		{"nulls for what is optional", `{"Comment":"x","Profile":null,"ExternalId":null}`, "", ""},
		{"a known profile", `{"Comment":"x","Profile":"volatile"}`, "", ""},
		{"blanks around", "\r\n {\"Comment\" : \"x\"}\n", "", ""},
		{"the longest comment", `{"Comment":"` + strings.Repeat("é", action.MaxComment) + `"}`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var header []string
			if c.media != "" {
				header = []string{"Content-Type", c.media}
			}
			g := in.as(t, full, "POST", in.collectPath(), c.body, header...)
			if c.code == "" {
				if g.status != http.StatusCreated {
					t.Fatalf("%d %s", g.status, g.raw)
				}
				in.as(t, full, "POST", "/api/machineactions/"+g.text("id")+"/cancel", `{}`)
				return
			}
			want := http.StatusBadRequest
			if c.code == "UnsupportedMediaType" {
				want = http.StatusUnsupportedMediaType
			}
			if code := g.code(t); g.status != want || code != c.code {
				t.Errorf("%d %s, want %d %s", g.status, g.raw, want, c.code)
			}
		})
	}
}

func TestACommentIsKeptExactly(t *testing.T) {
	in := install(t)
	for body, want := range map[string]string{
		`"line\r\n\u0000\u001b[31m\u202e </script>"`: "line\r\n\x00\x1b[31m\u202e </script>",
		`"\ud83d\ude00 \\ud800 \ufffd"`:              "😀 \\ud800 \ufffd",
		`"  blanks  "`:                               "  blanks  ",
	} {
		g := in.as(t, full, "POST", in.collectPath(), `{"Comment":`+body+`}`)
		id := g.text("id")
		if g := in.as(t, full, "GET", "/api/machineactions/"+id, ""); g.text("requestorComment") != want {
			t.Errorf("%s came back as %q", body, g.text("requestorComment"))
		}
		in.as(t, full, "POST", "/api/machineactions/"+id+"/cancel", "")
	}
}

func TestChecksComeInTheOrderOfTheContract(t *testing.T) {
	in := install(t)
	unknown := "/api/machines/elastic-connector-test/collectInvestigationPackage"
	in.collect(t)
	for _, c := range []struct {
		name, app, path, body, media, code string
		status                             int
	}{
		{"401 before everything", "", unknown, "[", "application/xml", "Unauthorized", 401},
		{"403 before 404, 415 and 400", reader, unknown, "[", "application/xml", "Forbidden", 403},
		{"404 before 415 and 400", full, unknown, "[", "application/xml", "ResourceNotFound", 404},
		{"415 before 400", full, in.collectPath(), "[", "application/xml", "UnsupportedMediaType", 415},
		{"400 of the body before the state", full, in.collectPath(), "[", "", "InvalidRequestBody", 400},
		{"the state last", full, in.collectPath(), `{"Comment":"x"}`, "", "ActiveRequestAlreadyExists", 400},
	} {
		header := []string{}
		if c.app != "" {
			header = append(header, "Authorization", "Bearer "+in.token[c.app])
		}
		if c.media != "" {
			header = append(header, "Content-Type", c.media)
		}
		if g := in.send(t, "POST", c.path, c.body, header...); g.status != c.status || g.code(t) != c.code {
			t.Errorf("%s: %d %s", c.name, g.status, g.raw)
		}
	}
}

func TestADeviceIsMeantByItsIdOrAName(t *testing.T) {
	in := install(t)
	in.enrol(t, "twin.corp.example")
	in.enrol(t, "twin.corp.example")
	id := string(in.device.ID)
	for name, want := range map[string]int{
		id: 200, strings.ToUpper(id): 200, "wks-042.corp.example": 200, "WKS-042.Corp.Example": 200, "wks-042": 200, "wks%2D042": 200,
		"wks-04": 404, id[:39]: 404, "twin": 404, "twin.corp.example": 404, "elastic-connector-test": 404,
		"%2e%2e": 404, "%2e%2e%2f%2e%2e%2fetc%2fpasswd": 404, "%00": 404, "wks-042%00": 404, "%27%20OR%201=1%20--": 404, "%25": 404, "%ff%fe": 404,
		"wks-042%20": 404, "%E2%84%AAks-042": 404, "*": 404, strings.Repeat("a", 10<<10): 404, "_": 404, "wks-042%2F": 404,
	} {
		g := in.as(t, full, "GET", "/api/machines/"+name, "")
		if g.status != want {
			t.Errorf("%.60s: %d %.300s, want %d", name, g.status, g.raw, want)
		}
		if want == 404 && (g.code(t) != "ResourceNotFound" || len(g.raw) > 2000) {
			t.Errorf("%.60s: %.300s", name, g.raw)
		}
		if g := in.as(t, full, "POST", "/api/machines/"+name+"/collectInvestigationPackage", "["); want == 404 && g.code(t) != "ResourceNotFound" {
			t.Errorf("collect from %.60s: %d %.300s", name, g.status, g.raw)
		}
	}
	if g := in.as(t, full, "GET", "/api/machines/123", ""); g.message() != "Machine 123 was not found" {
		t.Errorf("message %q", g.message())
	}
	if g := in.as(t, full, "GET", "/api/machines/twin", ""); !strings.Contains(g.message(), "several machines") {
		t.Errorf("message %q", g.message())
	}
}

func TestADeviceThatCannotTakeTheActionIsSaidSo(t *testing.T) {
	in := install(t)
	for name, change := range map[string]struct{ system, catalog, code string }{
		"a system without a plan": {"plan9", in.device.Catalog, "OsPlatformNotSupported"},
		"an agent too old":        {in.device.Facts.System, "sha256:" + strings.Repeat("0", 64), "ClientVersionNotSupported"},
	} {
		d := in.device
		d.Facts.System, d.Catalog = change.system, change.catalog
		if err := in.store.Seen(t.Context(), tenantID, d.ID, d); err != nil {
			t.Fatal(err)
		}
		if g := in.as(t, full, "POST", in.collectPath(), `{"Comment":"x"}`); g.status != 400 || g.code(t) != change.code {
			t.Errorf("%s: %d %s", name, g.status, g.raw)
		}
	}
}

func TestACallerThatGoesAwayLeavesNoHalfMadeAction(t *testing.T) {
	in := install(t)
	for range 20 {
		in.abandon(t, in.collectPath(), `{"Comment":"gone"}`)
	}
	g := in.as(t, full, "GET", "/api/machineactions", "")
	list, _ := g.json["value"].([]any)
	if len(list) > 1 {
		t.Fatalf("%d actions: %s", len(list), g.raw)
	}
	// Asked again: the one there is, or a new one, and never a second. One of
	// those who went away may have come through since the list was made.
	g = in.as(t, full, "POST", in.collectPath(), `{"Comment":"again"}`)
	if g.status != http.StatusBadRequest && (g.status != http.StatusCreated || len(list) != 0) {
		t.Errorf("%d actions before, then %d %s", len(list), g.status, g.raw)
	}
	g = in.as(t, full, "GET", "/api/machineactions", "")
	if list, _ = g.json["value"].([]any); len(list) != 1 {
		t.Errorf("%d actions in the end: %s", len(list), g.raw)
	}
}

func BenchmarkCollectAndCancel(b *testing.B) {
	in := install(b)
	for i := 0; b.Loop(); i++ {
		g := in.as(b, full, "POST", in.collectPath(), fmt.Sprintf(`{"Comment":"round %d"}`, i))
		if g.status != http.StatusCreated {
			b.Fatal(g.raw)
		}
		in.as(b, full, "POST", "/api/machineactions/"+g.text("id")+"/cancel", "")
	}
}

// What is refused for its form never reaches the core's operation, and is in
// the audit log all the same.
func TestARequestRefusedForItsFormIsRecorded(t *testing.T) {
	in := install(t)
	id := in.collect(t)
	for path, act := range map[string]audit.Act{
		in.collectPath(): audit.ActCollect, "/api/machineactions/" + id + "/cancel": audit.ActCancel,
	} {
		for _, c := range []struct{ path, body, media, code string }{
			{path, "{", "", "InvalidRequestBody"},
			{path, "{}", "text/html", "UnsupportedMediaType"},
			{path + "?$filter=x", `{"Comment":"x"}`, "", "ODataError"},
		} {
			before := len(in.leaves(t))
			var header []string
			if c.media != "" {
				header = []string{"Content-Type", c.media}
			}
			in.as(t, full, "POST", c.path, c.body, header...)
			leaves := in.leaves(t)
			if len(leaves) != before+1 {
				t.Errorf("POST %s with %q: %d new entries, want 1", c.path, c.body, len(leaves)-before)
				continue
			}
			if last := leaves[len(leaves)-1]; last.Act != act || last.Result != audit.Refused || last.Detail != c.code {
				t.Errorf("POST %s with %q: entry %+v, want %s refused with %s", c.path, c.body, last, act, c.code)
			}
		}
	}
}
