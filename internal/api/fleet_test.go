package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/audit"
	"swab/internal/device"
)

// ids are the ids of the entities of a list.
func (g got) ids(t testing.TB) []string {
	t.Helper()
	var list struct{ Value []struct{ ID string } }
	if err := json.Unmarshal([]byte(g.raw), &list); err != nil || g.status != http.StatusOK {
		t.Fatalf("%d %s: no list, %v", g.status, g.raw, err)
	}
	got := []string{}
	for _, e := range list.Value {
		got = append(got, e.ID)
	}
	return got
}

func (g got) list(name string) []string {
	got := []string{}
	all, _ := g.json[name].([]any)
	for _, v := range all {
		got = append(got, fmt.Sprint(v))
	}
	return got
}

// refused is a request that must be refused, and how.
type refused struct {
	what, path, body string
	status           int
	code, message    string // a part of it
}

func (in *installation) refuses(t *testing.T, method string, requests []refused) {
	t.Helper()
	for _, r := range requests {
		g := in.as(t, full, method, r.path, r.body)
		if g.status != r.status || g.code(t) != r.code || !strings.Contains(g.message(), r.message) {
			t.Errorf("%s: %s %s %s: %d %s, want %d %s with %q", r.what, method, r.path, r.body, g.status, g.raw, r.status, r.code, r.message)
		}
	}
}

func TestTagsAreAddedAndRemoved(t *testing.T) {
	in := install(t)
	path := "/api/machines/wks-042/tags"
	for _, step := range []struct {
		body string
		want []string
	}{
		{`{"Value":"Finance","Action":"Add"}`, []string{"Lab", "Finance"}},
		{`{"Value":"Finance","Action":"add","More":[1]}`, []string{"Lab", "Finance"}},
		{`{"Value":"Größe (1,5), 'x'","Action":"ADD"}`, []string{"Lab", "Finance", "Größe (1,5), 'x'"}},
		{`{"Value":"lab","Action":"Remove"}`, []string{"Lab", "Finance", "Größe (1,5), 'x'"}},
		{`{"Value":"Lab","Action":"Remove"}`, []string{"Finance", "Größe (1,5), 'x'"}},
	} {
		g := in.as(t, full, "POST", path, step.body)
		if diff := cmp.Diff(step.want, g.list("machineTags")); g.status != http.StatusOK || diff != "" {
			t.Errorf("%s: %d (-want +got):\n%s", step.body, g.status, diff)
		}
		if !strings.HasPrefix(g.raw, `{"@odata.context":"`+in.URL+`/api/$metadata#Machines/$entity","id":"`) {
			t.Errorf("%s: not a machine: %s", step.body, g.raw)
		}
	}
	acts := 0
	for _, l := range in.leaves(t) {
		if l.Act == audit.ActUpdateDevice {
			acts++
			if l.Object != string(in.device.ID) || l.Detail != "tags" || l.Result != audit.Done {
				t.Errorf("entry %+v", l)
			}
		}
	}
	if acts != 3 {
		t.Errorf("%d changes are in the audit log, want 3: what changes nothing is no entry", acts)
	}
	in.refuses(t, "POST", []refused{
		{"no value", path, `{"Action":"Add"}`, 400, "MissingRequiredParameter", "Value"},
		{"a blank value", path, `{"Value":" ","Action":"Add"}`, 400, "MissingRequiredParameter", "Value"},
		{"no action", path, `{"Value":"x"}`, 400, "MissingRequiredParameter", "Action"},
		{"names in another case", path, `{"value":"x","action":"Add"}`, 400, "MissingRequiredParameter", "Value"},
		{"another action", path, `{"Value":"x","Action":"Replace"}`, 400, "InvalidInput", "Add or Remove"},
		{"a value that is no text", path, `{"Value":1,"Action":"Add"}`, 400, "InvalidRequestBody", "Value"},
		{"a long tag", path, `{"Value":"` + strings.Repeat("ä", 201) + `","Action":"Add"}`, 400, "InvalidInput", "200"},
		{"a control character", path, `{"Value":"a\u0007b","Action":"Add"}`, 400, "InvalidInput", "control"},
		{"blanks at the end", path, `{"Value":"a ","Action":"Add"}`, 400, "InvalidInput", "blanks"},
		{"an option of lists", path + "?$top=1", `{"Value":"x","Action":"Add"}`, 400, "ODataError", "$top"},
		{"no such machine, before the body", "/api/machines/nowhere/tags", `[`, 404, "ResourceNotFound", "Machine nowhere was not found"},
	})
}

func TestSeveralMachinesAreTaggedOrNone(t *testing.T) {
	in := install(t)
	other := in.enrol(t, "wks-043.corp.example")
	const path = "/api/machines/addorremovetagformultiplemachines"
	body := func(action string, ids ...string) string {
		b, err := json.Marshal(map[string]any{"Value": "Case 7", "Action": action, "MachineIds": append([]string{}, ids...)})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	one, two := string(in.device.ID), string(other.ID)
	g := in.as(t, full, "POST", path, body("Add", two, strings.ToUpper(one), two))
	if diff := cmp.Diff([]string{two, one}, g.ids(t)); diff != "" || g.text("@odata.context") != in.URL+"/api/$metadata#Machines" {
		t.Errorf("%s (-want +got):\n%s", g.raw, diff)
	}
	many := make([]string, 501)
	for i := range many {
		many[i] = one
	}
	in.refuses(t, "POST", []refused{
		{"one of them unknown", path, body("Remove", one, strings.Repeat("0", 40)), 404, "ResourceNotFound", strings.Repeat("0", 40)},
		{"one of them no id", path, body("Remove", one, "wks-043"), 404, "ResourceNotFound", "wks-043"},
		{"too many", path, body("Remove", many...), 400, "MaximumBatchSizeExceeded", "501"},
		{"no ids", path, `{"Value":"x","Action":"Add"}`, 400, "MissingRequiredParameter", "MachineIds"},
		{"ids that are none", path, `{"Value":"x","Action":"Add","MachineIds":"x"}`, 400, "InvalidRequestBody", "MachineIds"},
		{"ids with a number", path, `{"Value":"x","Action":"Add","MachineIds":["` + one + `",7]}`, 400, "InvalidRequestBody", "MachineIds"},
		{"half of a character", path, `{"Value":"x","Action":"Add","MachineIds":["\ud800"]}`, 400, "InvalidRequestBody", "surrogate"},
	})
	for _, id := range []string{one, two} {
		if tags := in.as(t, full, "GET", "/api/machines/"+id, "").list("machineTags"); !cmp.Equal(tags, []string{"Lab", "Case 7"}) {
			t.Errorf("machine %s has the tags %v", id, tags)
		}
	}
	if g := in.as(t, full, "POST", path, body("Add")); g.status != http.StatusOK || len(g.ids(t)) != 0 {
		t.Errorf("of no machine: %d %s", g.status, g.raw)
	}
}

func TestAMachineIsUpdated(t *testing.T) {
	in := install(t)
	const aad = "5B7D9F11-2233-4455-8667-8899AABBCCDD"
	path := "/api/machines/" + string(in.device.ID)
	steps := []struct {
		method, path, body string
		want               map[string]any
	}{
		{"POST", path + "/setDeviceValue", `{"DeviceValue":"high"}`, map[string]any{"deviceValue": "High"}},
		{"PATCH", path, `{"machineTags":["b","a","b"],"deviceValue":"Low"}`, map[string]any{"deviceValue": "Low", "machineTags": []any{"b", "a"}}},
		{"PATCH", path, `{"riskScore":"medium","exposureLevel":"None"}`, map[string]any{"deviceValue": "Low", "machineTags": []any{"b", "a"}, "riskScore": "Medium", "exposureLevel": "None"}},
		{"PATCH", path, `{"aadDeviceId":"` + aad + `"}`, map[string]any{"aadDeviceId": strings.ToLower(aad), "isAadJoined": true}},
		{"PATCH", "/api/machines/" + aad, `{"riskScore":"","machineTags":[]}`, map[string]any{"riskScore": nil, "machineTags": []any{}, "exposureLevel": "None"}},
		{"PATCH", path, `{}`, map[string]any{"deviceValue": "Low"}},
		{"GET", "/api/machines/" + aad, "", map[string]any{"id": string(in.device.ID), "deviceValue": "Low"}},
	}
	for _, s := range steps {
		g := in.as(t, full, s.method, s.path, s.body)
		for name, want := range s.want {
			if diff := cmp.Diff(want, g.json[name]); g.status != http.StatusOK || diff != "" {
				t.Errorf("%s %s %s: %d, %s (-want +got):\n%s", s.method, s.path, s.body, g.status, name, diff)
			}
		}
	}
	in.refuses(t, "PATCH", []refused{
		{"a value that is none", path, `{"deviceValue":"Huge"}`, 400, "InvalidInput", "Normal, Low, High"},
		{"an empty value", path, `{"deviceValue":""}`, 400, "InvalidInput", "Normal, Low, High"},
		{"an id that is none", path, `{"aadDeviceId":"x"}`, 400, "InvalidInput", "GUID"},
		{"an id in braces", path, `{"aadDeviceId":"{` + aad + `}"}`, 400, "InvalidInput", "GUID"},
		{"tags that are none", path, `{"machineTags":"x"}`, 400, "InvalidRequestBody", "machineTags"},
		{"an empty tag", path, `{"machineTags":[""]}`, 400, "InvalidInput", "empty"},
		{"a query", path + "?$select=id", `{}`, 400, "ODataError", "$select"},
		{"no such machine", "/api/machines/nowhere", `{`, 404, "ResourceNotFound", "nowhere"},
	})
	in.refuses(t, "POST", []refused{
		{"no value", path + "/setDeviceValue", `{}`, 400, "MissingRequiredParameter", "DeviceValue"},
		{"another value", path + "/setDeviceValue", `{"DeviceValue":"Medium"}`, 400, "InvalidInput", "Normal, Low, High"},
	})
}

func TestMachinesAreFoundByAddress(t *testing.T) {
	in := install(t)
	now := in.now()
	hello := func(d device.Device, at time.Time, ip string) {
		d.LastSeen, d.Facts.Addresses = at, []device.Address{{IP: ip, Type: "Ethernet", Up: true}}
		if err := in.store.Seen(t.Context(), tenantID, d.ID, d); err != nil {
			t.Fatal(err)
		}
	}
	other := in.enrol(t, "wks-043.corp.example")
	hello(in.device, now, "10.0.0.4")
	hello(other, now.Add(20*time.Minute), "10.0.0.4")
	at := func(minutes int) string {
		return now.Add(time.Duration(minutes) * time.Minute).UTC().Format(time.RFC3339)
	}
	for _, test := range []struct {
		path string
		want []string
	}{
		{"findbyip(ip='10.0.0.4',timestamp=" + at(10) + ")", []string{string(other.ID), string(in.device.ID)}},
		{"FindByIp(timestamp=" + at(14) + ", IP='10.0.0.4')", []string{string(other.ID), string(in.device.ID)}},
		{"findbyip(ip='10.0.0.4',timestamp='" + at(-10) + "')", []string{string(in.device.ID)}},
		{"findbyip(ip='10.0.0.4',timestamp=" + at(30) + ")", []string{string(other.ID)}},
		{"findbyip%28ip=%2710.0.0.4%27%2Ctimestamp=" + url.QueryEscape(at(30)) + "%29", []string{string(other.ID)}},
		{"findbyip(ip='10.0.0.4',timestamp=" + at(600) + ")", []string{}}, // still to come
		{"findbyip(ip='10.0.0.5',timestamp=" + at(0) + ")", []string{}},
		{"findbyip(ip='::ffff:10.0.0.4',timestamp=" + at(0) + ")", []string{string(in.device.ID)}},
	} {
		g := in.as(t, reader, "GET", "/api/machines/"+strings.ReplaceAll(test.path, " ", "%20"), "{}")
		if diff := cmp.Diff(test.want, g.ids(t)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.path, diff)
		}
	}
	in.refuses(t, "GET", []refused{
		{"no address", "/api/machines/findbyip(ip='10.0.0',timestamp=" + at(0) + ")", "", 400, "InvalidIpAddress", "10.0.0"},
		{"no ip", "/api/machines/findbyip(timestamp=" + at(0) + ")", "", 400, "MissingRequiredParameter", "ip"},
		{"no timestamp", "/api/machines/findbyip(ip='10.0.0.4')", "", 400, "MissingRequiredParameter", "timestamp"},
		{"no time", "/api/machines/findbyip(ip='10.0.0.4',timestamp=today)", "", 400, "InvalidInput", "today"},
		{"long ago", "/api/machines/findbyip(ip='10.0.0.4',timestamp=" + at(-31*24*60) + ")", "", 400, "BadRequest", "30 days"},
		{"twice", "/api/machines/findbyip(ip='10.0.0.4',ip='10.0.0.5',timestamp=" + at(0) + ")", "", 400, "InvalidInput", "form"},
		{"nothing", "/api/machines/findbyip()", "", 404, "ResourceNotFound", "findbyip()"},
	})
}

func TestMachinesAreFoundByTag(t *testing.T) {
	in := install(t)
	id := string(in.device.ID)
	for _, test := range []struct {
		query string
		want  []string
	}{
		{"tag=Lab", []string{id}},
		{"tag=Lab&useStartsWithFilter=false&unknown=1", []string{id}},
		{"tag=La", []string{}},
		{"tag=La&useStartsWithFilter=true", []string{id}},
		{"Tag=L&usestartswithfilter=True", []string{id}},
		{"tag=%25&useStartsWithFilter=true", []string{}},
		{"tag=a;b&x=%zz", []string{}},
	} {
		g := in.as(t, reader, "GET", "/api/machines/findbytag?"+test.query, "")
		if diff := cmp.Diff(test.want, g.ids(t)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.query, diff)
		}
	}
	in.refuses(t, "GET", []refused{
		{"two tags", "/api/machines/findbytag?tag=x&Tag=y", "", 400, "InvalidInput", "twice"},
		{"no tag", "/api/machines/findbytag", "", 400, "MissingRequiredParameter", "tag"},
		{"neither true nor false", "/api/machines/findbytag?tag=x&useStartsWithFilter=1", "", 400, "InvalidInput", "true or false"},
		{"an option of lists", "/api/machines/findbytag?tag=x&$top=1", "", 400, "ODataError", "$top"},
	})
}

func TestWhatClientsAskAroundIt(t *testing.T) {
	in := install(t)
	for path, want := range map[string]string{
		"/api/alerts?$top=1": `{"@odata.context":"` + in.URL + `/api/$metadata#Alerts","value":[]}`,
		"/api/v1.0/alerts?$filter=nonsense(&$expand=evidence&x": `{"@odata.context":"` + in.URL + `/api/v1.0/$metadata#Alerts","value":[]}`,
		"/api/alerts?$count=true":                               `{"@odata.context":"` + in.URL + `/api/$metadata#Alerts","@odata.count":0,"value":[]}`,
		"/api/alerts/$count?$filter=status+ne+'Resolved'":       "0",
		"/api/machines/wks-042/availablemachineactions": `{"@odata.context":"` + in.URL + `/api/$metadata#Collection(microsoft.windowsDefenderATP.api.AvailableMachineAction)",` +
			`"value":[{"action":"CollectInvestigationPackage","isAvailable":true}]}`,
	} {
		if g := in.as(t, reader, "GET", path, ""); g.status != http.StatusOK || g.raw != want {
			t.Errorf("%s: %d %s\nwant %s", path, g.status, g.raw, want)
		}
	}
	if g := in.as(t, nobody, "GET", "/api/alerts", ""); g.status != http.StatusOK {
		t.Errorf("alerts for a token without roles: %d %s", g.status, g.raw)
	}
	g := in.as(t, nobody, "GET", "/api/exposureScore", "")
	if score, there := g.json["score"]; g.status != http.StatusOK || len(g.json) != 3 || !there || score != nil || g.text("time") == "" {
		t.Errorf("exposure score: %d %s", g.status, g.raw)
	}
	if g := in.send(t, "GET", "/api/alerts", ""); g.status != http.StatusUnauthorized {
		t.Errorf("alerts without a token: %d %s", g.status, g.raw)
	}
}

func TestActionsThatSwabLacksAreDisallowed(t *testing.T) {
	in := install(t)
	for _, name := range otherActions {
		in.refuses(t, "POST", []refused{
			{"a machine that is not there", "/api/machines/elastic-connector-test/" + name, `[`, 404, "ResourceNotFound", "elastic-connector-test"},
			{"one that is", "/api/machines/wks-042/" + strings.ToUpper(name), `{"Comment":"x"}`, 403, "DisallowedOperation", name},
		})
	}
}

func TestAMachineThatCanNeverTakeOneSaysSo(t *testing.T) {
	in := install(t)
	d := in.device
	d.Facts.System = "plan9"
	if err := in.store.Seen(t.Context(), tenantID, d.ID, d); err != nil {
		t.Fatal(err)
	}
	g := in.as(t, reader, "GET", "/api/machines/wks-042/availableMachineActions", "")
	if !strings.Contains(g.raw, `"isAvailable":false`) {
		t.Errorf("%d %s", g.status, g.raw)
	}
}

func TestHealthFollowsTheSignsOfLife(t *testing.T) {
	in := install(t)
	health := func() string { return in.as(t, full, "GET", "/api/machines/wks-042", "").text("healthStatus") }
	for _, step := range []struct {
		after time.Duration
		want  string
	}{
		{0, "Active"}, {23 * time.Hour, "Active"}, {2 * time.Hour, "ImpairedCommunication"}, {7 * 24 * time.Hour, "Inactive"},
	} {
		in.advance(step.after)
		app, err := in.store.App(t.Context(), tenantID, full)
		if err != nil {
			t.Fatal(err)
		}
		if in.token[full], err = in.tokens.Issue(in.URL, "https://api.securitycenter.microsoft.com", app); err != nil {
			t.Fatal(err)
		}
		if got := health(); got != step.want {
			t.Errorf("after another %v: %s, want %s", step.after, got, step.want)
		}
	}
	if err := in.store.Alive(t.Context(), []device.Beat{{Tenant: tenantID, Device: in.device.ID, At: in.now()}}); err != nil {
		t.Fatal(err)
	}
	if got := health(); got != "Active" {
		t.Errorf("after a sign of life: %s", got)
	}
}
