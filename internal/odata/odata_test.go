package odata_test

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/fault"
	"swab/internal/odata"
)

var entity = &odata.Entity{Name: "machines", Properties: []odata.Property{
	{Name: "computerDnsName", Type: odata.String, Fold: true, Filter: true, Sort: true},
	{Name: "version", Type: odata.String, Filter: true, Sort: true},
	{Name: "status", Type: odata.Enum, Values: []string{"Pending", "Cancelled", "Canceled=Cancelled"}, Filter: true},
	{Name: "type", Type: odata.Enum, Open: true, Values: []string{"CollectInvestigationPackage"}, Filter: true},
	{Name: "rbacGroupId", Type: odata.Int, Filter: true, Sort: true},
	{Name: "isAadJoined", Type: odata.Bool, Filter: true},
	{Name: "lastSeen", Type: odata.Time, Filter: true, Sort: true},
	{Name: "aadDeviceId", Type: odata.GUID, Filter: true},
	{Name: "machineTags", Type: odata.Strings, Filter: true},
	{Name: "ipAddresses", Type: odata.Object},
}}

// row is what the filters of the tests are held against.
func row(p *odata.Property) any {
	return map[string]any{
		"computerDnsName": "web1.example.org", "version": nil, "status": "Cancelled", "type": "CollectInvestigationPackage",
		"rbacGroupId": int64(12), "isAadJoined": true, "lastSeen": time.Date(2018, 8, 1, 10, 30, 0, 123456700, time.UTC),
		"aadDeviceId": "c41f7a02-93de-4f6b-b1a8-2d6e0c9f5a17", "machineTags": []string{"Finance", "it's"},
	}[p.Name]
}

func filter(t testing.TB, text string) odata.Query {
	t.Helper()
	q, err := odata.Parse("$filter="+url.QueryEscape(text), entity)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return q
}

func TestFiltersMeanWhatTheySay(t *testing.T) {
	for text, want := range map[string]bool{
		"status eq 'Cancelled'": true, "STATUS EQ 'cancelled'": true, "status eq 'Canceled'": true, "status ne 'Pending'": true, "tolower(status) eq 'cancelled'": true,
		"status In ('pending' , 'CANCELLED')": true, "status in ('Pending')": false, "not status eq 'Pending' And not (status eq 'Pending')": true,
		"status eq 'Pending' and status eq 'Pending' or rbacGroupId eq 12":   true, // and binds closer
		"status eq 'Pending' and (status eq 'Pending' or rbacGroupId eq 12)": false,
		"not status eq 'Pending' or status eq 'Pending'":                     true, // not binds closest
		"type eq 'RunAntiVirusScan'":                                         false, "type ne 'RunAntiVirusScan'": true, "TYPE eq 'collectinvestigationpackage'": true,
		"rbacGroupId eq 12": true, "rbacGroupId eq '12'": true, "rbacGroupId gt -5": true, "12 eq rbacGroupId": true, "13 le rbacGroupId": false, "11 lt rbacGroupId": true, "rbacGroupId in (1, '12')": true,
		"isAadJoined": true, "isAadJoined eq true": true, "isAadJoined ne TRUE": false, "not isAadJoined": false, "false eq isAadJoined": false,
		"computerDnsName eq 'WEB1.example.org'": true, "tolower(computerDnsName) eq 'web1.example.org'": true,
		"toupper(computerDnsName) eq 'WEB1.EXAMPLE.ORG'": true, "toupper(computerDnsName) eq 'web1.example.org'": false,
		"startswith(computerDnsName,'Web')": true, "EndsWith( computerDnsName , '.org' )": true, "contains(computerDnsName,'example') eq true": true,
		"contains(computerDnsName,'example') eq false": false, "contains(computerDnsName,'%') ne true": true, "contains(computerDnsName,'')": true,
		"'web' lt computerDnsName": true, "computerDnsName ge 'web1.example.org'": true, "computerDnsName lt 'web1.example.org'": false,
		"version eq null": true, "version ne null": false, "null eq version": true, "version eq ''": false, "version ne 'x'": true, "version gt 'a'": false,
		"version lt 'z'": false, "startswith(version,'')": false, "version in ('1', null)": true, "not (version gt 'a')": true, "status eq null": false, "status ne null": true,
		"lastSeen gt 2018-08-01Z": true, "lastSeen gt 2018-08-01": true, "lastSeen lt 2018-08-02": true, "lastSeen ge 2018-08-01T10:30:00.1234567Z": true,
		"lastSeen eq 2018-08-01t12:30:00.123456700000%2B02:00": true, "lastSeen gt 2018-08-01T10:30:00": true, "lastSeen gt 2018-08-01T10:31Z": false, "lastSeen gt '2018-08-01'": true,
		"2018-08-01 lt lastSeen": true, "lastSeen gt 0001-01-01T00:00:00Z": true, "lastSeen le 9999-12-31T23:59:59.9999999Z": true,
		"aadDeviceId eq c41f7a02-93de-4f6b-b1a8-2d6e0c9f5a17": true, "aadDeviceId eq 'C41F7A02-93DE-4F6B-B1A8-2D6E0C9F5A17'": true, "c41f7a02-93de-4f6b-b1a8-2d6e0c9f5a18 eq aadDeviceId": false,
		"machineTags/any(tag: tag eq 'Finance')": true, "MachineTags/ANY(tag:tag eq 'finance')": false, "machineTags/any(t: startswith(t,'Fin'))": true,
		"machineTags/any(t: t eq 'it''s')": true, "machineTags/any(t: tolower(t) eq 'finance' and t ne 'x')": true, "machineTags/any()": true,
		"not machineTags/any(t: t in ('a','b'))": true, "machineTags/any(t: t eq null)": false,
	} {
		text = strings.ReplaceAll(text, "%2B", "+")
		if got := odata.Match(filter(t, text).Filter, row); got != want {
			t.Errorf("%s is %t, want %t", text, got, want)
		}
	}
}

func TestQueryIsReadAsClientsSendIt(t *testing.T) {
	all := odata.All()
	name, seen := &entity.Properties[0], &entity.Properties[6]
	eq := func(v string) odata.Expr { return &odata.Compare{Operand: odata.Operand{Property: name}, Value: v} }
	with := func(change func(*odata.Query)) odata.Query { q := all; change(&q); return q }
	for raw, want := range map[string]odata.Query{
		"": all, "&": all, "$top=100&": with(func(q *odata.Query) { q.Top = 100 }), "$top=0": with(func(q *odata.Query) { q.Top = 0 }), "$top=10000": with(func(q *odata.Query) { q.Top = 10_000 }),
		"top=-1&filter=x&api-version=1&x=%zz":       all,
		"$filter=computerDnsName+eq+'a b'":          with(func(q *odata.Query) { q.Filter = eq("a b") }),
		"%24Filter=computerDnsName%20eq%20%27a%27":  with(func(q *odata.Query) { q.Filter = eq("a") }),
		"$filter=%20computerDnsName eq 'a;b'":       with(func(q *odata.Query) { q.Filter = eq("a;b") }),
		"$filter=computerDnsName eq 'a%26b%2Bc'":    with(func(q *odata.Query) { q.Filter = eq("a&b+c") }),
		"$orderby=lastseen DESC, computerDnsName":   with(func(q *odata.Query) { q.OrderBy = []odata.Order{{Property: seen, Desc: true}, {Property: name}} }),
		"$orderBy=computerDnsName asc":              with(func(q *odata.Query) { q.OrderBy = []odata.Order{{Property: name}} }),
		"$count=true&$skip=7":                       with(func(q *odata.Query) { q.Count, q.Skip = true, 7 }),
		"$count=False":                              all,
		"$select=LASTSEEN,%20ipAddresses":           with(func(q *odata.Query) { q.Select = []string{"lastSeen", "ipAddresses"} }),
		"$select=*":                                 all,
		"$skiptoken=abc":                            with(func(q *odata.Query) { q.After = "abc" }),
		"$filter=computerDnsName eq 'z\u00fcrich'&": with(func(q *odata.Query) { q.Filter = eq("zürich") }),
	} {
		got, err := odata.Parse(raw, entity)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Parse(%q): %v (-want +got):\n%s", raw, err, diff)
		}
	}
}

func TestErrorsSayWhereAndWhy(t *testing.T) {
	for raw, want := range map[string]string{
		"$filter=":              "$filter|1|a comparison is wanted, not the end",
		"$filter=nosuch eq 'x'": "$filter|1|'nosuch' is not a property of machines",
		"$filter=status eq 'Pending' and foo eq 1":        "$filter|25|'foo' is not a property",
		"$filter=computerDnsName eq '\u00fc' x":           "$filter|24|'x' is too much",
		"$filter=computerDnsName eq 'x":                   "$filter|20|has no end",
		"$filter=computerDnsName eq x":                    "$filter|20|a string needs quotes",
		"$filter=computerDnsName eq version":              "$filter|20|a value is wanted",
		"$filter=computerDnsName eq 12":                   "$filter|20|wants a string in quotes",
		"$filter=computerDnsName like 'x'":                "$filter|17|an operator is wanted",
		"$filter=status eq 'Sleeping'":                    "$filter|11|which has 'Pending', 'Cancelled'",
		"$filter=status eq Pending":                       "$filter|11|a string needs quotes",
		"$filter=status gt 'Pending'":                     "$filter|11|compare status with eq or ne",
		"$filter=version lt null":                         "$filter|12|compare version with eq or ne",
		"$filter=rbacGroupId eq 'x'":                      "$filter|16|wants a whole number",
		"$filter=rbacGroupId eq 99999999999999999999":     "$filter|16|wants a whole number",
		"$filter=isAadJoined eq 'maybe'":                  "$filter|16|wants true or false",
		"$filter=lastSeen gt 2016-12-31T23:59:60Z":        "$filter|13|wants a date",
		"$filter=lastSeen gt 2018-02-30":                  "$filter|13|wants a date",
		"$filter=lastSeen gt 10000-01-01":                 "$filter|13|wants a date",
		"$filter=lastSeen gt 0001-01-01T00:00:00%2B02:00": "$filter|13|wants a date",
		"$filter=aadDeviceId eq 'x'":                      "$filter|16|wants a GUID",
		"$filter=machineTags eq 'x'":                      "$filter|13|machineTags/any(",
		"$filter='x' eq machineTags":                      "$filter|8|machineTags/any(",
		"$filter=machineTags/all(t: t eq 'x')":            "$filter|13|machineTags/any(",
		"$filter=machineTags/any(t: status eq 'x')":       "$filter|20|is not 't'",
		"$filter=machineTags/any(t: s/any(u: u eq 'x'))":  "$filter|20|is not 't'",
		"$filter=machineTags/any(1: t eq 'x')":            "$filter|17|a name for the element",
		"$filter=ipAddresses eq 'x'":                      "$filter|1|can't be filtered by ipAddresses",
		"$filter=indexof(version,'x') eq 1":               "$filter|1|not a function",
		"$filter=contains(lastSeen,'x')":                  "$filter|10|is for text",
		"$filter=contains(version,5)":                     "$filter|18|a string in quotes is wanted",
		"$filter=contains(version,'a') gt true":           "$filter|23|true or false",
		"$filter=tolower(rbacGroupId) eq 'x'":             "$filter|9|is for text",
		"$filter=version in ()":                           "$filter|13|a value is wanted",
		"$filter=version in ('a' 'b')":                    "$filter|17|',' is wanted",
		"$filter=(version eq 'a'":                         "$filter|16|')' is wanted, not the end",
		"$filter=version eq 'a')":                         "$filter|15|is too much",
		"$filter=version eq 'a' and":                      "$filter|19|a comparison is wanted",
		"$filter=1 eq 1":                                  "$filter|6|a property is wanted",
		"$filter=version eq 'a'; DROP TABLE devices":      "$filter|15|the character ';' means nothing",
		"$filter=version eq '%00'":                        "$filter|0|not text in UTF-8",
		"$filter=version eq '%ff'":                        "$filter|0|not text in UTF-8",
		"$filter=%zz":                                     "$filter|0|percent-encoded",
		"%zz=1":                                           "|0|percent-encoded",
		"$orderby=nosuch":                                 "$orderby|1|not a property",
		"$orderby=status":                                 "$orderby|1|can't be sorted by status",
		"$orderby=version down":                           "$orderby|9|is too much",
		"$orderby=version,Version desc":                   "$orderby|9|stands in it twice",
		"$orderby=":                                       "$orderby|1|not a property",
		"$select=id;name":                                 "$select|3|the character ';'",
		"$select=version,":                                "$select|9|not a property",
		"$top=-1":                                         "$top|1|a whole number from 0 on is wanted, not '-1'",
		"$top=":                                           "$top|1|a whole number",
		"$top=10001":                                      "|0|The limit of '10000' for Top query has been exceeded. The value from the incoming request is '10001'.",
		"$top=99999999":                                   "|0|The limit of '10000'",
		"$top=99999999999":                                "$top|1|a whole number",
		"$skip=-1":                                        "$skip|1|a whole number",
		"$skip=1.5":                                       "$skip|1|a whole number",
		"$count=yes":                                      "$count|1|true or false",
		"$skiptoken=":                                     "$skiptoken|1|empty",
		"$apply=aggregate(x)":                             "|0|'$apply' is not supported",
		"$stop=5":                                         "|0|'$stop' is not supported",
		"$top=1&%24TOP=2":                                 "$top|0|twice",
		"$filter=" + strings.Repeat("(", 33) + "version eq 'a'" + strings.Repeat(")", 33): "$filter|33|over 32 levels",
		"$filter=" + strings.Repeat("not ", 33) + "version eq 'a'":                        "$filter|129|over 32 levels",
		"$filter=" + strings.Repeat("rbacGroupId eq 1 or ", 100) + "rbacGroupId eq 1":     "$filter|2001|over 100 comparisons",
		"$filter=rbacGroupId in (" + strings.Repeat("1,", 100) + "1)":                     "$filter|217|over 100 comparisons",
		"$filter=" + strings.Repeat("version eq 'a' or ", 10_000):                         "|0|over 8192 bytes",
	} {
		_, err := odata.Parse(raw, entity)
		wrong, ok := errors.AsType[*odata.Error](err)
		if !ok {
			t.Errorf("Parse(%q) = %v, want an error", raw, err)
			continue
		}
		option, rest, _ := strings.Cut(want, "|")
		at, reason, _ := strings.Cut(rest, "|")
		if wrong.Option != option || at != strconv.Itoa(wrong.At) || !strings.Contains(wrong.Reason, reason) {
			t.Errorf("Parse(%q): %s|%d|%s, want %s", raw, wrong.Option, wrong.At, wrong.Reason, want)
		}
		if code, text := fault.Of(err); code != fault.OData || text != wrong.Error() || len(text) > 1000 {
			t.Errorf("Parse(%q) is a fault %s %q", raw, code, text)
		}
	}
}

func TestNextKeepsAllOtherOptions(t *testing.T) {
	for raw, want := range map[string]string{
		"":             "$skiptoken=a%2Bb",
		"$count=true&": "$count=true&$skiptoken=a%2Bb",
		"%24SKIP=5&$filter=x+eq+'%C3%BC'%26&y=1&$skipToken=old": "$filter=x+eq+'%C3%BC'%26&y=1&$skiptoken=a%2Bb",
		"$filter=a 'ü'&x=%zz": "$filter=a%20'%C3%BC'&x=%zz&$skiptoken=a%2Bb",
	} {
		if got := odata.Next(raw, "a+b"); got != want {
			t.Errorf("Next(%q) = %q, want %q", raw, got, want)
		}
	}
}

func TestPlainTakesNoOption(t *testing.T) {
	if err := odata.Plain("api-version=1&&x"); err != nil {
		t.Error(err)
	}
	if err := odata.Plain("x=1&%24top=1"); !errors.Is(err, fault.OData) {
		t.Errorf("Plain($top) = %v", err)
	}
}
