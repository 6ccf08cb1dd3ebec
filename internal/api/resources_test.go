package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/device"
	"swab/internal/wire"
)

// The flow of a SOAR connector, by raw HTTP as its library would send it: token,
// machine by name, collect, poll, link, download.
func TestTheFlowOfAConnector(t *testing.T) {
	in := install(t)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {full}, "client_secret": {secret}, "scope": {"https://api.securitycenter.microsoft.com/.default"}}
	g := in.send(t, "POST", "/contoso.example/oauth2/v2.0/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	bearer := []string{"Authorization", g.text("token_type") + " " + g.text("access_token"), "Content-Type", "application/json"}

	g = in.send(t, "GET", "/api/machines/wks-042.corp.example", "{}", bearer...)
	machine := g.text("id")
	g = in.send(t, "POST", "/api/machines/"+machine+"/collectInvestigationPackage", `{"Comment": "alert 1234"}`, bearer...)
	if g.status != http.StatusCreated {
		t.Fatalf("collect: %d %s", g.status, g.raw)
	}
	id := g.text("id")
	poll := func() string { return in.send(t, "GET", "/api/machineactions/"+id, "{}", bearer...).text("status") }
	if s := poll(); s != "Pending" {
		t.Errorf("status %s right after the collect", s)
	}
	g = in.send(t, "GET", "/api/machineactions/"+id+"/getPackageUri", "", bearer...)
	if g.status != http.StatusNotFound || g.code(t) != "ResourceNotFound" || !strings.Contains(g.message(), "Pending") {
		t.Errorf("link before the end: %d %s", g.status, g.raw)
	}
	in.succeed(t, id, []byte("PK\x05\x06 the package"))
	if s := poll(); s != "Succeeded" {
		t.Errorf("status %s at the end", s)
	}
	g = in.send(t, "GET", "/api/machineactions/"+id+"/GetPackageUri", "", bearer...)
	link, ok := strings.CutPrefix(g.text("value"), in.URL)
	if !ok || !strings.HasPrefix(g.raw, `{"@odata.context":"`+in.URL+`/api/$metadata#Edm.String","value":"`+in.URL) || len(g.json) != 2 {
		t.Fatalf("link: %d %s", g.status, g.raw)
	}
	if g = in.send(t, "GET", link, ""); g.status != http.StatusOK || g.raw != "PK\x05\x06 the package" {
		t.Errorf("download: %d %q", g.status, g.raw)
	}
}

func TestMachinesHaveEveryPropertyInTheOrderOfTheWire(t *testing.T) {
	in := install(t)
	one := `"id":"` + string(in.device.ID) + `","mergedIntoMachineId":null,"isPotentialDuplication":false,"isExcluded":false,"exclusionReason":null,` +
		`"computerDnsName":"wks-042\.corp\.example","firstSeen":` + moments + `,"lastSeen":` + moments + `,"osPlatform":"Debian","osVersion":null,` +
		`"osProcessor":"x64","version":"13\.2","lastIpAddress":"192\.0\.2\.40","lastExternalIpAddress":"203\.0\.113\.9","agentVersion":"0\.1\.0",` +
		`"osBuild":null,"healthStatus":"Active","deviceValue":"Normal","rbacGroupId":0,"rbacGroupName":null,"riskScore":null,"exposureLevel":null,` +
		`"isAadJoined":false,"aadDeviceId":null,"machineTags":\["Lab"\],"onboardingStatus":"Onboarded","osArchitecture":"64-bit","managedBy":null,` +
		`"managedByStatus":null,"ipAddresses":\[\{"ipAddress":"192\.0\.2\.40","macAddress":"02005E10A1B2","type":"Ethernet","operationalStatus":"Up"\},` +
		`\{"ipAddress":"127\.0\.0\.1","macAddress":null,"type":"SoftwareLoopback","operationalStatus":"Up"\}\],"vmMetadata":null\}`
	root := regexp.QuoteMeta(in.URL) + `/api/v1\.0/\$metadata#Machines`
	g := in.as(t, reader, "GET", "/api/v1.0/machines/wks-042", "")
	if want := `^\{"@odata\.context":"` + root + `/\$entity",` + one + `$`; g.status != 200 || !regexp.MustCompile(want).MatchString(g.raw) {
		t.Errorf("%d %s\nwant %s", g.status, g.raw, want)
	}
	g = in.as(t, reader, "GET", "/api/v1.0/machines", "")
	if want := `^\{"@odata\.context":"` + root + `","value":\[\{` + one + `\]\}$`; g.status != 200 || !regexp.MustCompile(want).MatchString(g.raw) {
		t.Errorf("%d %s\nwant %s", g.status, g.raw, want)
	}
	in.advance(device.InactiveAfter + time.Hour)
	app, err := in.store.App(t.Context(), tenantID, reader)
	if err != nil {
		t.Fatal(err)
	}
	if in.token[reader], err = in.tokens.Issue(region, region, app); err != nil {
		t.Fatal(err)
	}
	if g = in.as(t, reader, "GET", "/api/machines/wks-042", ""); g.text("healthStatus") != "Inactive" {
		t.Errorf("after a week of silence: %d %s", g.status, g.raw)
	}
}

func TestWhatIsNotKnownOfAMachineIsNullAndCollectionsAreEmpty(t *testing.T) {
	now := time.Now()
	raw, err := json.Marshal(machineOf(device.Device{ID: "x", LastSeen: now, Facts: device.Facts{Build: 22631, Arch: "386"}}, now))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"firstSeen":null`, `"version":null`, `"lastIpAddress":null`, `"machineTags":[]`, `"ipAddresses":[]`, `"osBuild":22631`, `"osProcessor":"x86"`, `"osArchitecture":"32-bit"`,
	} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("%s is not in %s", want, raw)
		}
	}
}

func TestListsAreNewestFirstWithTopAndSkip(t *testing.T) {
	in := install(t)
	var ids []string
	for range 3 {
		id := in.collect(t)
		ids = append([]string{id}, ids...)
		in.as(t, full, "POST", "/api/machineactions/"+id+"/cancel", "")
	}
	in.enrol(t, "newer.corp.example")
	for query, want := range map[string][]string{
		"": ids, "?": ids, "?$top=2": ids[:2], "?%24top=2": ids[:2], "?$TOP=2&": ids[:2], "?$skip=1": ids[1:], "?$top=1&$skip=1": ids[1:2], "?$skip=9": {},
		"?$top=0": {}, "?$top=10000": ids, "?filter=x&top=1&client-request-id=%zz": ids, "?a;b": ids, "?$top=%202%20": ids[:2],
	} {
		g := in.as(t, reader, "GET", "/api/machineactions"+query, "")
		list, _ := g.json["value"].([]any)
		found := []string{}
		for _, v := range list {
			m, _ := v.(map[string]any)
			if _, ok := m["@odata.context"]; ok {
				t.Errorf("an element of a list has a context: %v", m)
			}
			found = append(found, fmt.Sprint(m["id"]))
		}
		if diff := cmp.Diff(want, found); diff != "" || len(g.json) != 2 {
			t.Errorf("%s: %d (-want +got):\n%s%s", query, g.status, diff, g.raw)
		}
	}
	g := in.as(t, reader, "GET", "/api/machines?$top=1", "")
	list, _ := g.json["value"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["computerDnsName"] != "newer.corp.example" {
		t.Errorf("newest machine: %s", g.raw)
	}
}

func TestWrongQueryOptionsAreODataErrors(t *testing.T) {
	in := install(t)
	id := in.collect(t)
	for _, query := range []string{
		"$filter=nosuch+eq+'Pending'", "%24filter=x", "$orderby=nosuch", "$count=maybe", "$select=nosuch", "$skiptoken=x", "$stop=5", "$apply=x", "$", "$top=-1", "$top=x", "$top=", "$top=10001",
		"$top=1.5", "$top=1&$top=2", "$skip=-1", "$skip=99999999999", "$top=%zz", "x=" + strings.Repeat("y", 8<<10),
	} {
		for _, path := range []string{"/api/machines", "/api/machineactions"} {
			if g := in.as(t, full, "GET", path+"?"+query, ""); g.status != 400 || g.code(t) != "ODataError" {
				t.Errorf("%s?%.40s: %d %.200s", path, query, g.status, g.raw)
			}
		}
	}
	for _, path := range []string{"GET /api/machineactions/" + id, "GET /api/machines/wks-042",
		"POST /api/machineactions/" + id + "/cancel", "POST " + in.collectPath()} {
		method, path, _ := strings.Cut(path, " ")
		if g := in.as(t, full, method, path+"?$select=id", ""); g.status != 400 || g.code(t) != "ODataError" {
			t.Errorf("%s: %d %s", path, g.status, g.raw)
		}
	}
	if g := in.as(t, full, "GET", "/api/machineactions/"+id, ""); g.text("status") != "Pending" {
		t.Errorf("a cancel with a wrong query cancelled: %s", g.raw)
	}
	in.begin(t, id)
	in.succeed(t, id, []byte("package"))
	if g := in.as(t, full, "GET", "/api/machineactions/"+id+"/getPackageUri?$select=id", ""); g.status != 400 || g.code(t) != "ODataError" {
		t.Errorf("getPackageUri: %d %s", g.status, g.raw)
	}
}

func TestAnEmptyListHoldsContextAndValueAlone(t *testing.T) {
	in := install(t)
	if g := in.as(t, reader, "GET", "/api/machineactions", ""); g.raw != `{"@odata.context":"`+in.URL+`/api/$metadata#MachineActions","value":[]}` {
		t.Errorf("%d %s", g.status, g.raw)
	}
}

func TestCancel(t *testing.T) {
	in := install(t)
	for name, c := range map[string]struct {
		body, media string
		comment     any
	}{
		"comment": {`{"Comment":"device is being rebuilt"}`, "application/json", "device is being rebuilt"}, "no body": {"", "", nil},
		"empty object": {"{}", "text/plain", nil}, "null comment": {`{"Comment":null}`, "", nil},
	} {
		id := in.collect(t)
		g := in.as(t, collector, "POST", "/api/machineactions/"+id+"/cancel", c.body, "Content-Type", c.media)
		if g.status != 200 || g.text("id") != id || g.text("status") != "Cancelled" || g.text("cancellationRequestor") != "IR automation" ||
			g.json["cancellationComment"] != c.comment || !regexp.MustCompile(moments).MatchString(`"`+g.text("cancellationDateTimeUtc")+`"`) {
			t.Errorf("%s: %d %s", name, g.status, g.raw)
		}
		if !strings.HasSuffix(g.text("@odata.context"), "#MachineActions/$entity") {
			t.Errorf("%s: context %s", name, g.text("@odata.context"))
		}
		// A final state never changes, and is named.
		g = in.as(t, collector, "POST", "/api/machineactions/"+id+"/cancel", c.body)
		if g.status != 400 || g.code(t) != "BadRequest" || !strings.Contains(g.message(), "Cancelled") {
			t.Errorf("%s, again: %d %s", name, g.status, g.raw)
		}
	}
	id := in.collect(t)
	for name, c := range map[string]struct {
		path, body, media, code string
		status                  int
	}{
		"unknown id": {"/api/machineactions/0b6c2f1e-4a57-4d0f-9a3e-7c5d21e8b694/cancel", "{}", "", "ResourceNotFound", 404},
		"bad body":   {"/api/machineactions/" + id + "/cancel", "[", "", "InvalidRequestBody", 400},
		"wrong type": {"/api/machineactions/" + id + "/cancel", `{"Comment":[]}`, "", "InvalidRequestBody", 400},
		"too long":   {"/api/machineactions/" + id + "/cancel", `{"Comment":"` + strings.Repeat("x", action.MaxComment+1) + `"}`, "", "InvalidRequestBody", 400},
		"media type": {"/api/machineactions/" + id + "/cancel", "{}", "image/png", "UnsupportedMediaType", 415},
	} {
		if g := in.as(t, full, "POST", c.path, c.body, "Content-Type", c.media); g.status != c.status || g.code(t) != c.code {
			t.Errorf("%s: %d %s", name, g.status, g.raw)
		}
	}
	if g := in.as(t, full, "GET", "/api/machineactions/"+id, ""); g.text("status") != "Pending" {
		t.Errorf("a refused cancel changed the action: %s", g.raw)
	}
}

func TestACancelThatRacesTheEndLeavesOneFinalState(t *testing.T) {
	in := install(t)
	for range 10 {
		id := in.collect(t)
		in.begin(t, id)
		var wg sync.WaitGroup
		var cancelled got
		var failed error
		wg.Go(func() { cancelled = in.as(t, full, "POST", "/api/machineactions/"+id+"/cancel", "") })
		wg.Go(func() {
			failed = in.engine.Ended(t.Context(), tenantID, in.device.ID, wire.Ended{Action: wire.ActionID(id), Attempt: 1, Code: wire.EndFailed, Text: "x"})
		})
		wg.Wait()
		want := "Failed"
		if cancelled.status == http.StatusOK {
			want = "Cancelled"
		}
		if (failed == nil) == (cancelled.status == http.StatusOK) {
			t.Errorf("both or neither won: %v, %d %s", failed, cancelled.status, cancelled.raw)
		}
		if g := in.as(t, full, "GET", "/api/machineactions/"+id, ""); g.text("status") != want {
			t.Errorf("status %s, want %s", g.text("status"), want)
		}
	}
}

func TestAFailedActionSaysWhy(t *testing.T) {
	in := install(t)
	id := in.collect(t)
	in.begin(t, id)
	err := in.engine.Ended(t.Context(), tenantID, in.device.ID, wire.Ended{Action: wire.ActionID(id), Attempt: 1, Code: wire.EndFailed, Text: "disk on fire"})
	if err != nil {
		t.Fatal(err)
	}
	g := in.as(t, full, "GET", "/api/machineactions/"+id, "")
	if n, ok := g.json["errorHResult"].(float64); g.text("status") != "Failed" || !strings.Contains(g.text("troubleshootInfo"), "disk on fire") || !ok || n == 0 {
		t.Errorf("%s", g.raw)
	}
	g = in.as(t, full, "GET", "/api/machineactions/"+id+"/getPackageUri", "")
	if g.status != 404 || g.code(t) != "ResourceNotFound" || !strings.Contains(g.message(), "Failed") {
		t.Errorf("link: %d %s", g.status, g.raw)
	}
}

func TestTheAuditLogReadsAsItsCheckpointSays(t *testing.T) {
	in := install(t)
	id := in.as(t, full, "POST", in.collectPath(), `{"Comment":"case 88"}`,
		"X-Forwarded-For", "198.51.100.1", "Forwarded", "for=198.51.100.1", "X-Real-IP", "198.51.100.1").text("id")
	var page struct {
		Checkpoint string
		LogKey     []byte
		Value      []struct {
			Index   int64
			Leaf    []byte
			Hash    []byte
			Opening audit.Opening
		}
	}
	g := in.as(t, full, "GET", "/api/swab/v1/audit", "")
	if err := json.Unmarshal([]byte(g.raw), &page); err != nil || g.status != http.StatusOK {
		t.Fatalf("%d %s", g.status, g.raw)
	}
	head, err := audit.OpenCheckpoint(page.Checkpoint, tenantID, page.LogKey)
	if err != nil || head.Size != int64(len(page.Value)) {
		t.Fatalf("checkpoint over %d of %d leaves: %v", head.Size, len(page.Value), err)
	}
	var tree []tlog.Hash
	reader := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, 0, len(at))
		for _, i := range at {
			found = append(found, tree[i])
		}
		return found, nil
	})
	seen := false
	for i, e := range page.Value {
		leaf, err := audit.ParseLeaf(e.Leaf)
		if err != nil || e.Index != int64(i) || leaf.Commitment != e.Opening.Commitment() {
			t.Fatalf("entry %d: %+v, %v", i, e, err)
		}
		if leaf.Act == audit.ActCollect && leaf.Object == id {
			h := e.Opening.Hidden
			seen = h.Comment == "case 88" && h.Who == "application/"+full && h.From == "127.0.0.1" && len(h.Correlation) == 36
		}
		hashes, err := audit.Extend(int64(i), e.Leaf, reader)
		if err != nil {
			t.Fatal(err)
		}
		if string(e.Hash) != string(hashes[0][:]) {
			t.Errorf("entry %d comes with hash %x, its leaf has %x", i, e.Hash, hashes[0])
		}
		tree = append(tree, hashes...)
	}
	if !seen {
		t.Error("the collect is not in the log with who, from where and why")
	}
	if root, err := audit.HeadOf(head.Size, reader); err != nil || root != head {
		t.Errorf("root %v, %v; the checkpoint has %v", root, err, head)
	}
	if last, _ := audit.ParseLeaf(page.Value[len(page.Value)-1].Leaf); last.Act != audit.ActRead {
		t.Errorf("the reading is not in the log: %+v", last)
	}
	g = in.as(t, full, "GET", "/api/swab/v1/audit?from=1&top=2", "")
	if err := json.Unmarshal([]byte(g.raw), &page); err != nil || len(page.Value) != 2 || page.Value[0].Index != 1 {
		t.Errorf("a part: %s", g.raw)
	}
	for _, query := range []string{"from=-1", "from=x", "top=-1", "top=x", "from=99999999999999999999"} {
		if g := in.as(t, full, "GET", "/api/swab/v1/audit?"+query, ""); g.status != 400 || g.code(t) != "InvalidInput" {
			t.Errorf("%s: %d %s", query, g.status, g.raw)
		}
	}
}
