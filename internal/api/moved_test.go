package api

import (
	"net/http"
	"strings"
	"testing"

	"swab/internal/auth"
)

// responder is somebody who signed in with these permissions and scopes.
func (c *crowd) responder(permissions []auth.Permission, scopes ...string) another {
	c.t.Helper()
	token, _ := c.signed(c.holder(permissions), scopes...)
	return another{id: c.id, token: token}
}

// What a change of a machine has in it asks for more than the change does, and
// nothing is changed in part.
func TestAChangeOfAMachineAsksForWhatIsInIt(t *testing.T) {
	in := install(t)
	c := in.crowd(t, another{id: tenantID, token: in.token[full]})
	path := "/api/machines/" + string(in.device.ID)
	const entra = "5b7d9f11-2233-4455-8667-8899aabbccdd"
	investigator := c.responder([]auth.Permission{auth.ViewData, auth.AlertsInvestigation}, auth.Read, auth.ReadWrite, auth.Administer)
	tagger := c.responder([]auth.Permission{auth.AlertsInvestigation, auth.ManageSecurity}, auth.ReadWrite, auth.Administer)
	portal := []auth.Permission{auth.AlertsInvestigation, auth.ManagePortal}
	manager, scoped := c.responder(portal, auth.ReadWrite, auth.Administer), c.responder(portal, auth.ReadWrite)
	const (
		noTags  = "Missing user roles. API required roles: Manage security settings"
		noEntra = "Missing user roles. API required roles: Manage portal system settings"
		noScope = "Missing application scopes. API required scopes: Swab.Administer"
	)
	for _, one := range []struct {
		what string
		who  another
		body string
		why  string // of the 403; "": it is done
	}{
		{"tags", investigator, `{"riskScore":"High","machineTags":["Vault"]}`, noTags},
		{"no tag", investigator, `{"riskScore":"High","machineTags":[]}`, noTags},
		{"tags that are wrong", investigator, `{"machineTags":[""]}`, noTags},
		{"an Entra id", investigator, `{"riskScore":"High","aadDeviceId":"` + entra + `"}`, noEntra},
		{"no Entra id", investigator, `{"aadDeviceId":""}`, noEntra},
		{"an Entra id by who may tag", tagger, `{"machineTags":["Vault"],"aadDeviceId":"` + entra + `"}`, noEntra},
		{"an Entra id without the scope", scoped, `{"aadDeviceId":"` + entra + `"}`, noScope},
		{"what is neither", investigator, `{"riskScore":"Low"}`, ""},
		{"tags by who may tag", tagger, `{"machineTags":["Lab"]}`, ""},
		{"an Entra id by who administers", manager, `{"aadDeviceId":"` + entra + `"}`, ""},
		{"all by an application", c.another, `{"machineTags":["Lab","X"],"aadDeviceId":"` + entra + `"}`, ""},
	} {
		was := in.as(t, reader, "GET", path, "").raw
		g := in.with(t, one.who, "PATCH", path, one.body)
		if one.why == "" && g.status != http.StatusOK || one.why != "" && (g.status != http.StatusForbidden || !strings.Contains(g.raw, one.why)) {
			t.Errorf("%s: %d %s", one.what, g.status, g.raw)
		}
		if one.why != "" && in.as(t, reader, "GET", path, "").raw != was {
			t.Errorf("%s: it was refused, and changed the machine", one.what)
		}
	}
}

// By an Entra id a machine is found: no two have one, but for those that are out.
func TestAnEntraIDIsOneMachines(t *testing.T) {
	in := install(t)
	first, second := string(in.device.ID), string(in.enrol(t, "srv-001.corp.example").ID)
	const entra = "5b7d9f11-2233-4455-8667-8899aabbccdd"
	claim := func(id, entra string) got {
		return in.as(t, full, "PATCH", "/api/machines/"+id, `{"aadDeviceId":"`+entra+`"}`)
	}
	if g := claim(first, entra); g.status != http.StatusOK {
		t.Fatalf("the first: %d %s", g.status, g.raw)
	}
	if g := claim(second, strings.ToUpper(entra)); g.status != http.StatusBadRequest || g.code(t) != "InvalidInput" || strings.Contains(g.raw, first) {
		t.Errorf("the second: %d %s", g.status, g.raw)
	}
	if g := claim(first, entra); g.status != http.StatusOK {
		t.Errorf("the first again: %d %s", g.status, g.raw)
	}
	if g := in.as(t, reader, "GET", "/api/machines/"+entra, ""); g.text("id") != first {
		t.Errorf("who has it: %d %s", g.status, g.raw)
	}
	if g := in.as(t, full, "POST", adminPath+"devices/"+first+"/revoke", ""); g.status != http.StatusOK {
		t.Fatalf("revoke the first: %d %s", g.status, g.raw)
	}
	if g := claim(second, entra); g.status != http.StatusOK {
		t.Errorf("the second, when the first is revoked: %d %s", g.status, g.raw)
	}
}

// Nobody loses a machine by a tag that they give it or take from it, nor learns
// of twins that they do not see.
func TestAMachineIsNotTaggedOutOfReach(t *testing.T) {
	in := install(t)
	c := in.crowd(t, another{id: tenantID, token: in.token[full]})
	mine, twin := string(in.device.ID), string(in.enrol(t, "wks-042.corp.example").ID)
	me := c.responder([]auth.Permission{auth.ViewData, auth.AlertsInvestigation, auth.ManageSecurity}, auth.Read, auth.ReadWrite)
	others := c.make("userGroups", `{"name":"Others"}`)
	duplicate := func() any { return in.with(t, me, "GET", "/api/machines/"+mine, "").json["isPotentialDuplication"] }
	if duplicate() != true {
		t.Error("a twin within reach is not told of")
	}
	c.make("deviceGroups", `{"name":"Vault","rule":[{"property":"tag","operator":"equals","values":["Vault"]}],"userGroups":["`+others+`"]}`)
	many := func(ids string) string { return `{"Value":"Vault","Action":"Add","MachineIds":[` + ids + `]}` }
	for what, g := range map[string]got{
		"add":     in.with(t, me, "POST", "/api/machines/"+mine+"/tags", `{"Value":"Vault","Action":"Add"}`),
		"replace": in.with(t, me, "PATCH", "/api/machines/"+mine, `{"machineTags":["Vault"]}`),
		"many":    in.with(t, me, "POST", "/api/machines/AddOrRemoveTagForMultipleMachines", many(`"`+mine+`","`+twin+`"`)),
	} {
		if g.status != http.StatusForbidden || g.code(t) != "DisallowedOperation" || !strings.Contains(g.raw, "a device group that you do not reach") {
			t.Errorf("%s: %d %s", what, g.status, g.raw)
		}
	}
	if g := in.with(t, me, "GET", "/api/machines/$count", ""); g.raw != "2" {
		t.Errorf("after that %s machines are within reach", g.raw)
	}
	if g := in.with(t, me, "POST", "/api/machines/"+mine+"/tags", `{"Value":"Lab","Action":"Add"}`); g.status != http.StatusOK {
		t.Errorf("a tag that moves nothing: %d %s", g.status, g.raw)
	}
	if g := in.as(t, full, "POST", "/api/machines/"+twin+"/tags", `{"Value":"Vault","Action":"Add"}`); g.status != http.StatusOK {
		t.Errorf("as an application: %d %s", g.status, g.raw)
	}
	if duplicate() != false {
		t.Error("a twin out of reach is told of")
	}
	if g := in.as(t, reader, "GET", "/api/machines/"+mine, ""); g.json["isPotentialDuplication"] != true {
		t.Errorf("as an application: %s", g.raw)
	}
}
