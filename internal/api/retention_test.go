package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"swab/internal/audit"
)

func TestRulesAreSetOneByOneAndTakenBack(t *testing.T) {
	in := install(t)
	const path = adminPath + "retention"
	for _, step := range []struct{ body, want string }{
		{`{"days":90,"bytes":536870912000}`, `{"days":90,"packages":null,"bytes":536870912000}`},
		{`{"packages":1000}`, `{"days":90,"packages":1000,"bytes":536870912000}`},
		{`{"days":null,"bytes":null}`, `{"days":null,"packages":1000,"bytes":null}`},
		{`{}`, `{"days":null,"packages":1000,"bytes":null}`},
	} {
		if g := in.as(t, full, "PATCH", path, step.body); g.status != http.StatusOK || strings.TrimSpace(g.raw) != step.want {
			t.Errorf("PATCH %s: %d %s, want %s", step.body, g.status, g.raw, step.want)
		}
		if g := in.as(t, full, "GET", path, ""); g.status != http.StatusOK || strings.TrimSpace(g.raw) != step.want {
			t.Errorf("GET after %s: %d %s, want %s", step.body, g.status, g.raw, step.want)
		}
	}
	for body, code := range map[string]string{
		`{"days":0}`: "InvalidRequestBody", `{"days":"90"}`: "InvalidRequestBody", `{"bytes":1.5}`: "InvalidRequestBody", `{"age":1}`: "InvalidRequestBody",
		`{"days":36501}`: "InvalidInput", `{"bytes":9007199254740993}`: "InvalidInput", ``: "InvalidRequestBody",
	} {
		if g := in.as(t, full, "PATCH", path, body); g.status != http.StatusBadRequest || g.code(t) != code {
			t.Errorf("PATCH %s: %d %s, want %s", body, g.status, g.raw, code)
		}
	}
}

// What expired is gone as the contract has it, and says why, wherever it is asked
// for.
func TestAnExpiredPackageIs404WithTheReason(t *testing.T) {
	in, id, _, _ := sealed(t)
	held := in.as(t, full, "POST", adminPath+"holds", `{"device":"wks-042.corp.example","reason":"Case 118"}`)
	if held.status != http.StatusCreated || held.text("device") != string(in.device.ID) {
		t.Fatal(held.raw)
	}
	if g := in.as(t, full, "PATCH", adminPath+"retention", `{"days":30}`); g.status != http.StatusOK {
		t.Fatal(g.raw)
	}
	in.advance(31 * 24 * time.Hour)
	app, err := in.store.App(t.Context(), tenantID, full)
	if err != nil {
		t.Fatal(err)
	}
	if in.token[full], err = in.tokens.Issue(in.URL, "https://api.securitycenter.microsoft.com", app); err != nil { // that of before has run out
		t.Fatal(err)
	}
	expire := func(want int) {
		t.Helper()
		if n, err := in.keeper.Expire(t.Context()); err != nil || n != want {
			t.Fatalf("Expire() = %d, %v; want %d", n, err, want)
		}
	}
	expire(0)
	link := in.link(t, id)
	if g := in.send(t, "GET", link, ""); g.status != http.StatusOK {
		t.Errorf("what is held: %d %.200s", g.status, g.raw)
	}
	if g := in.as(t, full, "DELETE", adminPath+"holds/"+held.text("id"), ""); g.status != http.StatusOK || g.text("reason") != "Case 118" {
		t.Errorf("remove the hold: %d %s", g.status, g.raw)
	}
	expire(1)
	const why = "was deleted: it expired: packages are kept for 30 days"
	for _, at := range []string{link, strings.Replace(link, ".zip?", ".zip.receipt?", 1)} {
		if g := in.send(t, "GET", at, ""); g.status != http.StatusNotFound || g.code(t) != "ResourceNotFound" || !strings.Contains(g.message(), why) {
			t.Errorf("%s: %d %.200s", at, g.status, g.raw)
		}
	}
	in.advance(time.Minute)
	if g := in.as(t, full, "GET", "/api/machineactions/"+id+"/getPackageUri", ""); g.status != http.StatusNotFound || g.code(t) != "ResourceNotFound" || !strings.Contains(g.message(), why) {
		t.Errorf("a new link: %d %s", g.status, g.raw)
	}
	if g := in.as(t, full, "GET", "/api/machineactions/"+id, ""); g.text("status") != "Succeeded" {
		t.Errorf("the action's status changed: %s", g.raw)
	}
	last := audit.Leaf{}
	for _, l := range in.leaves(t) {
		if l.Act == audit.ActExpire {
			last = l
		}
	}
	if last.Object != id || last.Device != string(in.device.ID) || last.Detail != "days 30" {
		t.Errorf("the entry is %+v", last)
	}
}
