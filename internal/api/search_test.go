package api

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"swab/internal/audit"
)

const entriesPath = "/api/swab/v1/audit/entries"

// searchFor is the page that a search gives to an administrator.
func (in *installation) searchFor(t *testing.T, query string) found {
	t.Helper()
	var page found
	g := in.as(t, full, "GET", entriesPath+"?"+query, "")
	if err := json.Unmarshal([]byte(g.raw), &page); err != nil || g.status != http.StatusOK {
		t.Fatalf("%s: %d %s %v", query, g.status, g.raw, err)
	}
	return page
}

func TestAuditEntriesAreFoundByWhatTheySay(t *testing.T) {
	in := install(t)
	id := in.as(t, full, "POST", in.collectPath(), `{"Comment":"case \u001b[31m 88"}`).text("id")
	in.as(t, full, "GET", entriesPath+"?object="+id, "") // which is an entry, too
	in.send(t, "GET", "/api/machines", "")               // and that is none: it is summed
	device := string(in.device.ID)
	for query, want := range map[string]string{
		"act=action.collect":                                          "action.collect",
		"act=action.collect&act=audit.read":                           "audit.read action.collect",
		"act=action.*&act=role.create":                                "action.collect",
		"object=" + id:                                                "action.collect",
		"device=" + device + "&act=action.*":                          "action.collect",
		"device=WKS-042&act=action.*":                                 "action.collect",
		"device=" + strings.Repeat("0", 40):                           "",
		"result=refused":                                              "",
		"who=application/" + full + "&act=action.*":                   "action.collect",
		"who=application/" + strings.ToUpper(full):                    "",
		"user=nobody@contoso.example":                                 "",
		"since=2020-01-01T00:00:00Z&act=action.collect":               "action.collect",
		"until=2020-01-01T00:00:00%2B02:00":                           "",
		"act=action.collect&Act=x&unknown=1&who=&object=":             "action.collect",
		"correlation=none":                                            "",
		"act=action.collect&result=done&until=2100-01-01T00:00:00.5Z": "action.collect",
	} {
		var got []string
		for _, e := range in.searchFor(t, query).Value {
			got = append(got, string(e.Act))
		}
		// The searches before it in this test were entries as well.
		text := strings.Join(got, " ")
		for strings.HasPrefix(text, "audit.read audit.read") {
			text = strings.TrimPrefix(text, "audit.read ")
		}
		if text != want {
			t.Errorf("%s: %s, want %s", query, text, want)
		}
	}
	e := in.searchFor(t, "object="+id).Value[0]
	if e.Index == nil || e.Time == "" || e.Device != device || e.Result != audit.Done || e.Who != "application/"+full || e.Name == "" ||
		e.From != "127.0.0.1" || len(e.Correlation) != 36 || e.Comment != "case \x1b[31m 88" || e.Changes != nil || e.Trouble != "" {
		t.Errorf("the entry of the collect: %+v", e)
	}
	if got := in.searchFor(t, "correlation="+e.Correlation).Value; len(got) != 1 || got[0].Object != id {
		t.Errorf("by its correlation id: %+v", got)
	}
	read := in.searchFor(t, "act=audit.read&top=1&object="+tenantID)
	if len(read.Value) != 1 || read.Value[0].Comment != "search correlation="+e.Correlation {
		t.Errorf("the search before it: %+v", read.Value)
	}
}

func TestSearchesThatCanNotSucceedSayWhy(t *testing.T) {
	in := install(t)
	for query, why := range map[string]string{
		"since=yesterday":            "since is a time such as 2026-03-01T12:00:00.0000000Z",
		"until=1969-01-01T00:00:00Z": "until is a time",
		"since=2026-03-02T00:00:00Z&until=2026-03-01T00:00:00Z": "is before since",
		"act=Action.Collect":               "act is the name of an act, such as action.collect",
		"act=":                             "act is the name of an act",
		"act=*":                            "act is the name of an act",
		"who=ann@contoso.example":          "a person's name is looked for by user",
		"result=ok":                        "result is done or refused",
		"object=%00":                       "object is a text of at most 256 characters",
		"user=" + strings.Repeat("x", 257): "user is a text",
		"top=0":                            "top is a number from 1 to 1000",
		"top=1001":                         "top is a number",
		"top=x":                            "top is a number",
		"top=":                             "top is a number",
		"after=x":                          "after is none that a page of this search gave",
		"after=%00":                        "after is none",
		"after=" + base64.RawURLEncoding.EncodeToString([]byte(`["x",1]`)): "after is none",
		"who=a/b&who=c/d": "who is given 2 times",
		"a=1;b=2":         "The query can't be read",
		manyActs()[1:]:    "at most 32",
	} {
		if g := in.as(t, full, "GET", entriesPath+"?"+query, ""); g.status != http.StatusBadRequest || g.code(t) != "InvalidInput" || !strings.Contains(g.raw, why) {
			t.Errorf("%s: %d %s, want %q", query, g.status, g.raw, why)
		}
	}
	if g := in.as(t, full, "GET", entriesPath+"?$filter=x", ""); g.status != http.StatusBadRequest {
		t.Errorf("an option of OData: %d %s", g.status, g.raw)
	}
	if g := in.as(t, full, "GET", entriesPath+"?device=nosuch", ""); g.status != http.StatusNotFound {
		t.Errorf("a device that is not there: %d %s", g.status, g.raw)
	}
	for _, index := range []string{"99999", "-1", "+1", "01", "x", "99999999999999999999", "%00"} {
		if g := in.as(t, full, "GET", entriesPath+"/"+index, ""); g.status != http.StatusNotFound {
			t.Errorf("entry %s: %d %s", index, g.status, g.raw)
		}
	}
}

// manyActs are more acts than a search may have.
func manyActs() string {
	var b strings.Builder
	for c := 'a'; c <= 'z'; c++ {
		b.WriteString("&act=x." + string(c) + "&act=y." + string(c))
	}
	return b.String()
}

func TestSearchGoesOnWhereAPageEnded(t *testing.T) {
	in := install(t)
	for range 5 {
		in.as(t, full, "POST", adminPath+"apps", `{"name":"x"}`)
	}
	var got []int64
	query := "act=app.create&top=2"
	for pages := 0; ; pages++ {
		page := in.searchFor(t, query)
		for _, e := range page.Value {
			got = append(got, *e.Index)
		}
		if page.Next == "" {
			if pages != 2 || len(got) < 5 {
				t.Errorf("%d pages of entries %v", pages+1, got)
			}
			break
		}
		query = "act=app.create&top=2&after=" + url.QueryEscape(page.Next)
	}
	for i := range got[1:] {
		if got[i] <= got[i+1] {
			t.Errorf("entries come as %v, want the newest first and none twice", got)
		}
	}
}

func TestAnAuditEntryProvesItself(t *testing.T) {
	in := install(t)
	id := in.as(t, full, "POST", in.collectPath(), `{"Comment":"case 88"}`).text("id")
	index := *in.searchFor(t, "object="+id).Value[0].Index
	var e proved
	g := in.as(t, full, "GET", fmt.Sprint(entriesPath, "/", index), "")
	if err := json.Unmarshal([]byte(g.raw), &e); err != nil || g.status != http.StatusOK {
		t.Fatalf("%d %s %v", g.status, g.raw, err)
	}
	proof := audit.Proof{Checkpoint: e.Checkpoint, Leaves: []audit.Proved{{Index: e.Index, Leaf: e.Leaf}}}
	for _, h := range e.Inclusion {
		b, err := base64.StdEncoding.DecodeString(h)
		if err != nil || len(b) != tlog.HashSize {
			t.Fatal(h, err)
		}
		proof.Leaves[0].Inclusion = append(proof.Leaves[0].Inclusion, tlog.Hash(b))
	}
	_, leaves, err := proof.Check(tenantID, ed25519.PublicKey(e.LogKey), audit.Head{})
	if err != nil || leaves[0].Object != id || leaves[0].Commitment != e.Opening.Commitment() || e.Opening.Hidden.Comment != "case 88" {
		t.Errorf("%+v: %v", e, err)
	}
	if hash := tlog.RecordHash(e.Leaf); string(e.Hash) != string(hash[:]) {
		t.Errorf("its hash is %x, want %x", e.Hash, hash)
	}
	if e.Entry.Object != id || *e.Entry.Index != index || e.Entry.Trouble != "" {
		t.Errorf("what it says: %+v", e.Entry)
	}
}

func TestAnEntryIsReadAsItIs(t *testing.T) {
	var changes audit.Changes
	changes.Add("name", "a", "b")
	made := func(act audit.Act, comment string) audit.Logged {
		e := audit.NewEntry(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), audit.Leaf{Act: act, Object: "x", Result: audit.Done}, audit.Hidden{Who: "user/1", Comment: comment})
		return audit.Logged{Index: 3, Leaf: e.Leaf.Bytes(), Opening: e.Opening}
	}
	if e := readable(made(audit.ActRevokeApp, changes.String())); e.Comment != "" || len(e.Changes) != 1 || e.Changes[0].Field != "name" {
		t.Errorf("changes: %+v", e)
	}
	if e := readable(made(audit.ActCollect, changes.String())); e.Comment != changes.String() || e.Changes != nil {
		t.Errorf("what a person typed is taken for changes: %+v", e)
	}
	l := made(audit.ActRevokeApp, "because")
	l.Opening.Hidden.Who = "user/2"
	if e := readable(l); e.Trouble == "" || e.Who != "user/2" {
		t.Errorf("an opening that is not the leaf's: %+v", e)
	}
	l.Leaf, l.Index = append(l.Leaf, ' '), -1
	if e := readable(l); !strings.Contains(e.Trouble, "audit leaf") || e.Index != nil {
		t.Errorf("a leaf that can't be read: %+v", e)
	}
}

func FuzzSearch(f *testing.F) {
	f.Add("since=2026-03-01T12:00:00Z&act=user.*&act=action.collect&who=user/1&top=5&after=WzEsMl0")
	f.Add("until=x&who=a&who=b")
	f.Fuzz(func(t *testing.T, query string) {
		s, err := searchOf(query)
		if err != nil {
			return
		}
		if err := s.Check(); err == nil && (len(s.Acts) > 32 || len(s.Object) > 1024) {
			t.Errorf("%q is taken as %+v", query, s)
		}
	})
}
