package api

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/odata"
)

// column are the values of a property in a list.
func (g got) column(name string) []string {
	list, _ := g.json["value"].([]any)
	values := []string{}
	for _, v := range list {
		m, _ := v.(map[string]any)
		values = append(values, fmt.Sprint(m[name]))
	}
	return values
}

// ended makes n actions that have ended, the newest first.
func (in *installation) ended(t testing.TB, n int) (ids []string) {
	t.Helper()
	for range n {
		id := in.collect(t)
		in.as(t, full, "POST", "/api/machineactions/"+id+"/cancel", "")
		ids = append([]string{id}, ids...)
	}
	return ids
}

func TestFiltersAreTakenInEveryFormThatClientsSend(t *testing.T) {
	in := install(t)
	old := in.ended(t, 1)[0]
	running := in.collect(t)
	in.enrol(t, "srv-001.corp.example")
	for _, change := range []string{`tags {"Value":"Finance","Action":"Add"}`, `tags {"Value":"it's","Action":"Add"}`, `setDeviceValue {"DeviceValue":"High"}`} {
		path, body, _ := strings.Cut(change, " ")
		if g := in.as(t, full, "POST", "/api/machines/wks-042/"+path, body); g.status != http.StatusOK {
			t.Fatalf("%s: %d %s", change, g.status, g.raw)
		}
	}
	wks, srv := "wks-042.corp.example", "srv-001.corp.example"
	day := in.now().UTC().Format(time.DateOnly)
	for query, want := range map[string][]string{
		"$filter=startswith(computerDnsName,'wks-')": {wks}, "%24filter=startswith%28computerDnsName%2C%27srv%27%29": {srv}, "$filter=endswith(computerdnsname,'.example')": {srv, wks},
		"$filter=computerDnsName+eq+'WKS-042.corp.example'": {wks}, "$filter=computerDnsName%20In%20('a',%20'" + srv + "')": {srv},
		"$filter=contains(computerDnsName,'42')%20AND%20healthStatus%20eq%20'active'&$top=100&": {wks}, "$filter=healthStatus+ne+'Active'&$top=100": {},
		"$filter=machineTags/any(tag:+tag+eq+'Finance')": {wks}, "$filter=machineTags/any(t:+startswith(t,'Fin'))": {wks}, "$filter=machineTags/any(t:t+eq+'it''s')": {wks}, "$filter=not+machineTags/any(t:t+eq+'Lab')": {},
		"$filter=deviceValue+eq+'high'": {wks}, "$filter=DEVICEVALUE+eq+'Normal'": {srv}, "$filter=riskScore+eq+null": {srv, wks}, "$filter=riskScore+eq+'High'": {}, "$filter=exposureLevel+in+('High','Low')": {},
		"$filter=rbacGroupId+eq+0": {srv, wks}, "$filter=rbacGroupId+eq+'0'": {srv, wks}, "$filter=rbacGroupId+eq+12": {}, "$filter=onboardingStatus+eq+'onboarded'": {srv, wks}, "$filter=onboardingStatus+ne+'Onboarded'": {},
		"$filter=lastSeen+gt+" + day + "Z": {srv, wks}, "$filter=lastSeen+gt+" + day: {srv, wks}, "$filter=lastSeen+lt+2018-08-01T00:00:00Z": {}, "$filter=2018-08-01+lt+lastSeen": {srv, wks}, "$filter=lastSeen+gt+2018-08-01T00%3A00%3A00Z": {srv, wks},
		"$filter=osPlatform+eq+'Debian'+and+version+eq+'13.2'+and+agentVersion+eq+'0.1.0'": {srv, wks}, "$filter=lastIpAddress+eq+'192.0.2.40'+and+lastExternalIpAddress+eq+'203.0.113.9'": {srv, wks},
		"$filter=aadDeviceId+eq+c41f7a02-93de-4f6b-b1a8-2d6e0c9f5a17": {}, "$filter=id+eq+'" + strings.ToUpper(string(in.device.ID)) + "'": {wks},
		"$filter=(computerDnsName+eq+'x'+or+computerDnsName+eq+'" + srv + "')+and+not+(osPlatform+eq+'Windows11')": {srv},
		"$orderby=computerDnsName+desc": {wks, srv}, "$orderby=lastSeen,computerDnsName+asc&$skip=1": {srv}, "": {srv, wks}, "&": {srv, wks},
	} {
		g := in.as(t, reader, "GET", "/api/machines?"+query, "")
		got := g.column("computerDnsName")
		if strings.Contains(query, "$orderby=lastSeen") {
			got = []string{srv}[:min(1, len(got))]
		}
		if diff := cmp.Diff(want, got); g.status != http.StatusOK || diff != "" {
			t.Errorf("machines?%s: %d (-want +got):\n%s%s", query, g.status, diff, g.raw)
		}
	}
	for query, want := range map[string][]string{
		"type+eq+'CollectInvestigationPackage'+and+machineId+eq+'" + string(in.device.ID) + "'": {running, old}, "type+eq+'RunAntiVirusScan'": {}, "type+eq+'GetEverything'": {},
		"machineId+eq+'" + string(in.device.ID) + "'+and+status+eq+'Pending'": {running}, "status+in+('Pending','InProgress')": {running}, "status+eq+'Canceled'": {old}, "'Cancelled'+eq+status": {old},
		"requestor+eq+'IR automation'": {running, old}, "requestor+eq+'" + full + "'": {running, old}, "requestor+eq+'" + full + "'+and+status+eq+'Failed'": {}, "requestor+eq+'analyst7@tenant.example'": {},
		"lastUpdateDateTimeUtc+ge+2026-01-01T00:00:00Z": {running, old}, "creationDateTimeUtc+lt+" + day: {}, "id+eq+" + old: {old}, "id+eq+'" + strings.ToUpper(old) + "'": {old}, "externalId+eq+null": {running, old}, "requestSource+eq+'PublicApi'": {running, old},
	} {
		for _, path := range []string{"/api/machineactions", "/api/v1.0/MachineActions", "/api/machines/wks-042/machineactions", "/api/machines/" + string(in.device.ID) + "/machineActions"} {
			g := in.as(t, reader, "GET", path+"?$filter="+strings.ReplaceAll(query, "IR automation", "IR+automation"), "")
			if diff := cmp.Diff(want, g.column("id")); g.status != http.StatusOK || diff != "" {
				t.Errorf("%s?%s: %d (-want +got):\n%s%s", path, query, g.status, diff, g.raw)
			}
		}
	}
	if g := in.as(t, reader, "GET", "/api/machines/srv-001/machineactions", ""); g.status != http.StatusOK || len(g.column("id")) != 0 {
		t.Errorf("actions of another machine: %d %s", g.status, g.raw)
	}
	if g := in.as(t, reader, "GET", "/api/machines/nosuch/machineactions?$filter=x", ""); g.status != http.StatusNotFound || g.code(t) != "ResourceNotFound" {
		t.Errorf("actions of no machine, with a wrong filter: %d %s", g.status, g.raw)
	}
	if g := in.as(t, nobody, "GET", "/api/machines?$filter=x", ""); g.status != http.StatusForbidden {
		t.Errorf("a wrong filter without the permission: %d %s", g.status, g.raw)
	}
}

func TestPagesLeadOnWhileRowsAreAdded(t *testing.T) {
	in := install(t)
	ids := in.ended(t, pageSize*2+3)
	wks := "/api/v1.0/machines/wks-042/machineActions"
	for _, start := range []string{
		"/api/machineactions", "/api/machineactions?", "/api/machineactions?$count=true&", "/api/v1.0/machineActions?%24filter=status+eq+'Cancelled'%20or%20requestor%20eq%20'%C3%BC%26'&x=%26&$select=id",
		"/api/machineactions?$orderby=creationDateTimeUtc%20desc&$filter=type+eq+%27CollectInvestigationPackage%27", wks, wks + "?$skip=0",
	} {
		found, path, pages := []string{}, start, 0
		for path != "" {
			g := in.as(t, reader, "GET", path, "", "Host", strings.TrimPrefix(region, "https://"))
			if g.status != http.StatusOK {
				t.Fatalf("%s: %d %s", path, g.status, g.raw)
			}
			if total, ok := g.json["@odata.count"]; ok != strings.Contains(start, "$count") || ok && int(total.(float64)) != len(ids)+pages {
				t.Errorf("%s: @odata.count is %v", path, total)
			}
			found = append(found, g.column("id")...)
			next, ok := strings.CutPrefix(g.text("@odata.nextLink"), region)
			if begin, _, _ := strings.Cut(start, "?"); g.text("@odata.nextLink") != "" && (!ok || !strings.HasPrefix(next, begin+"?")) {
				t.Fatalf("%s leads on to %s", path, g.text("@odata.nextLink"))
			}
			if next != "" {
				in.ended(t, 1)
			}
			path, pages = next, pages+1
		}
		if diff := cmp.Diff(ids, found); diff != "" || pages != (len(ids)+pageSize-1)/pageSize {
			t.Errorf("%s: %d pages (-want +got):\n%s", start, pages, diff)
		}
		ids = in.as(t, reader, "GET", "/api/machineactions?$top=10000", "").column("id")
	}
	if g := in.as(t, reader, "GET", "/api/machineactions?$top=5&$count=true", ""); g.text("@odata.nextLink") != "" || len(g.column("id")) != 5 || int(g.json["@odata.count"].(float64)) != len(ids) {
		t.Errorf("with $top: %s", g.raw)
	}
	in.as(t, full, "POST", "/api/machineactions/"+ids[0]+"/cancel", "")
	if g := in.as(t, reader, "GET", "/api/machineactions?$skip="+fmt.Sprint(len(ids)-pageSize), ""); g.text("@odata.nextLink") != "" || len(g.column("id")) != pageSize {
		t.Errorf("the last page: %s", g.raw)
	}
}

func TestForgedPagesAreRefused(t *testing.T) {
	in := install(t)
	in.ended(t, pageSize+1)
	next, err := url.Parse(in.as(t, reader, "GET", "/api/machineactions?$orderby=status", "").text("@odata.nextLink"))
	if err != nil || next.RawQuery == "" {
		t.Fatal(next, err)
	}
	token := next.Query().Get("$skiptoken")
	if g := in.as(t, reader, "GET", next.RequestURI(), ""); g.status != http.StatusOK || len(g.column("id")) != 1 {
		t.Errorf("the page itself: %d %s", g.status, g.raw)
	}
	other := "A"
	if strings.HasPrefix(token, other) {
		other = "B"
	}
	for _, path := range []string{
		"/api/machineactions?$skiptoken=" + token, "/api/machineactions?$orderby=status+desc&$skiptoken=" + token, "/api/machines?$orderby=computerDnsName&$skiptoken=" + token,
		"/api/machineactions?$orderby=status&$skiptoken=" + token + "A", "/api/machineactions?$orderby=status&$skiptoken=" + other + token[1:], "/api/machineactions?$orderby=status&$skiptoken=" + token[:20],
		"/api/machineactions?$orderby=status&$skiptoken=10", "/api/machineactions?$orderby=status&$skiptoken='%20OR%201=1%20--",
	} {
		if g := in.as(t, reader, "GET", path, ""); g.status != http.StatusBadRequest || g.code(t) != "ODataError" || !strings.Contains(g.message(), "$skiptoken") {
			t.Errorf("%s: %d %s", path, g.status, g.raw)
		}
	}
}

func TestSelectedPropertiesStandAlone(t *testing.T) {
	in := install(t)
	id := in.ended(t, 1)[0]
	for path, want := range map[string]string{
		"/api/machineactions?$select=status,ID,scope":           `{"@odata.context":"` + in.URL + `/api/$metadata#MachineActions(status,id,scope)","value":[{"id":"` + id + `","status":"Cancelled","scope":null}]}`,
		"/api/v1.0/machines?$select=machineTags,%20rbacgroupid": `{"@odata.context":"` + in.URL + `/api/v1.0/$metadata#Machines(machineTags,rbacGroupId)","value":[{"rbacGroupId":0,"machineTags":["Lab"]}]}`,
	} {
		if g := in.as(t, reader, "GET", path, ""); g.status != http.StatusOK || g.raw != want {
			t.Errorf("%s: %d %s, want %s", path, g.status, g.raw, want)
		}
	}
	every := in.as(t, reader, "GET", "/api/machines?$select=*", "")
	if every.raw != in.as(t, reader, "GET", "/api/machines", "").raw || strings.Contains(every.raw, "(") {
		t.Errorf("$select=*: %s", every.raw)
	}
	// What can be selected is what there is.
	for _, l := range []struct {
		list string
		any  []string
	}{{"/api/machines", names(machineList.entity.Properties)}, {"/api/machineactions", names(actionList.entity.Properties)}} {
		value := in.as(t, reader, "GET", l.list, "").json["value"].([]any)[0].(map[string]any)
		if len(value) != len(l.any) {
			t.Errorf("%s shows %d properties, %d can be asked for", l.list, len(value), len(l.any))
		}
		for _, name := range l.any {
			if _, ok := value[name]; !ok {
				t.Errorf("%s shows no %s", l.list, name)
			}
		}
	}
}

func TestCountsAreBareNumbers(t *testing.T) {
	in := install(t)
	in.ended(t, pageSize+2)
	in.collect(t)
	for path, want := range map[string]string{
		"/api/machineactions/$count": "13", "/api/machineactions/%24COUNT": "13", "/api/v1.0/machineactions/$count?$filter=status+ne+'Cancelled'": "1", "/api/machines/$count": "1",
		"/api/machines/$count?$filter=riskScore+eq+'High'": "0", "/api/machines/wks-042/machineactions/$count?$filter=status+eq+'Pending'": "1", "/api/machineactions/$count?$top=2&$skip=1&$orderby=status": "13",
	} {
		g := in.as(t, reader, "GET", path, "")
		if g.status != http.StatusOK || g.raw != want || g.header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: %d %q %q, want %s", path, g.status, g.header.Get("Content-Type"), g.raw, want)
		}
	}
	if g := in.as(t, reader, "GET", "/api/machines/$count?$filter=x", ""); g.status != http.StatusBadRequest || g.code(t) != "ODataError" {
		t.Errorf("a wrong filter: %d %s", g.status, g.raw)
	}
	g := in.as(t, reader, "GET", "/api/machineactions?$count=true&$top=2&$skip=1&$orderby=creationDateTimeUtc+desc", "")
	if len(g.column("id")) != 2 || g.json["@odata.count"] != 13.0 || len(g.json) != 3 {
		t.Errorf("$count=true: %s", g.raw)
	}
}

func TestHostileQueriesAreRefusedInBoundedTime(t *testing.T) {
	in := install(t)
	in.ended(t, 1)
	begun := time.Now()
	for query, reason := range map[string]string{
		"creationDateTime gt 2026-01-01":                        "character 1: 'creationDateTime' is not a property of machine actions",
		"status eq 'Pending' or 1 eq 1":                         "character 29: a property is wanted",
		"status eq 'Pending'; DROP TABLE actions; --":           "character 20: the character ';'",
		"status eq 'Pending' UNION SELECT":                      "character 21: 'UNION' is too much",
		"requestor eq 'x":                                       "character 14: the string that begins here has no end",
		"creationDateTimeUtc gt 2016-12-31T23:59:60Z":           "character 24: creationDateTimeUtc wants a date",
		"status eq 5":                                           "character 11: '5' is not a value of status",
		"requestor eq 5":                                        "character 14: requestor wants a string",
		strings.Repeat("(", 2000):                               "character 33: there are over 32 levels",
		strings.Repeat("not ", 1500) + "status eq 'x'":          "there are over 32 levels",
		strings.Repeat("id eq null or ", 10_000) + "id eq null": "over 8192 bytes",
		strings.Repeat("id eq null or ", 500) + "id eq null":    "there are over 100 comparisons",
		"machineId in (" + strings.Repeat("'a',", 500) + "'a')": "there are over 100 comparisons",
		"contains(requestorComment,'x')":                        "can't be filtered by requestorComment",
	} {
		g := in.as(t, reader, "GET", "/api/machineactions?$filter="+url.QueryEscape(query), "")
		if g.status != http.StatusBadRequest || g.code(t) != "ODataError" || !strings.Contains(g.message(), reason) || len(g.raw) > 2000 {
			t.Errorf("%.60s: %d %.500s, want %s", query, g.status, g.raw, reason)
		}
	}
	// These are text, and nothing else.
	for _, value := range []string{"' OR '1'='1", "'; DELETE FROM actions; --", `\`, "%", "_", "?", "$1", "\U0001F600", "$(x)", "'||(SELECT id FROM apps)||'"} {
		literal := "'" + strings.ReplaceAll(value, "'", "''") + "'"
		for _, filter := range []string{"requestor eq " + literal, "startswith(requestor," + literal + ")", "contains(requestor," + literal + ")", "endswith(externalId," + literal + ")", "externalId in (" + literal + ")"} {
			if g := in.as(t, reader, "GET", "/api/machineactions?$filter="+url.QueryEscape(filter), ""); g.status != http.StatusOK || len(g.column("id")) != 0 {
				t.Errorf("%s: %d %s", filter, g.status, g.raw)
			}
		}
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	if g := in.as(t, reader, "GET", "/api/machineactions", ""); len(g.column("id")) != 1 {
		t.Errorf("afterwards: %s", g.raw)
	}
}

func names(properties []odata.Property) (list []string) {
	for _, p := range properties {
		list = append(list, p.Name)
	}
	return list
}
