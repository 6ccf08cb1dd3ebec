package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"swab/internal/access"
	"swab/internal/audit"
	"swab/internal/device"
)

func TestDeviceIsRenamedAndFoundByItsName(t *testing.T) {
	in := install(t)
	path := adminPath + "devices/" + string(in.device.ID)
	g := in.as(t, full, "PATCH", path, `{"name":"Web-01.corp.example"}`)
	if g.status != 200 || g.text("name") != "web-01.corp.example" || g.text("reportedName") != "wks-042.corp.example" {
		t.Errorf("rename: %d %s", g.status, g.raw)
	}
	for name, status := range map[string]int{"web-01": 200, "web-01.corp.example": 200, "wks-042": 404, string(in.device.ID): 200} {
		if g := in.as(t, reader, "GET", "/api/machines/"+name, ""); g.status != status || status == 200 && g.text("computerDnsName") != "web-01.corp.example" {
			t.Errorf("GET %s: %d %s", name, g.status, g.raw)
		}
	}
	if g := in.as(t, reader, "GET", "/api/machines?$filter=computerDnsName+eq+'web-01.corp.example'", ""); !strings.Contains(g.raw, string(in.device.ID)) {
		t.Errorf("filtered by its name: %d %s", g.status, g.raw)
	}
	if g := in.as(t, full, "POST", "/api/machines/web-01/collectInvestigationPackage", `{"Comment":"x"}`); g.text("computerDnsName") != "web-01.corp.example" {
		t.Errorf("collect: %d %s", g.status, g.raw)
	}
	before := len(in.leaves(t))
	for body, status := range map[string]int{
		`{"name":"web-01.corp.example"}`: 200, // nothing changes
		`{}`:                             400, `{"name":null}`: 400, `{"name":1}`: 400, "": 400, `{"name":"x","tags":[]}`: 400,
		`{"name":"a b"}`: 400, `{"name":"-a"}`: 400, `{"name":"a..b"}`: 400, `{"name":"web.\u202etxt"}`: 400, `{"name":"` + strings.Repeat("a", 64) + `"}`: 400,
		`{"name":"` + strings.Repeat("a.", 127) + `"}`: 400, `{"name":"` + strings.Repeat("0", 40) + `"}`: 400, `{"name":"6f1c2a54-9b0e-4b8e-9a55-0d2f6f3a7c11"}`: 400,
	} {
		if g := in.as(t, full, "PATCH", path, body); g.status != status {
			t.Errorf("PATCH %.80s: %d %s, want %d", body, g.status, g.raw, status)
		}
	}
	for _, l := range in.leaves(t)[before:] {
		if l.Act != audit.ActRenameDevice || l.Result != audit.Refused {
			t.Errorf("entry %+v", l)
		}
	}
	if g := in.as(t, full, "PATCH", path, `{"name":""}`); g.text("name") != "wks-042.corp.example" {
		t.Errorf("the name taken back: %d %s", g.status, g.raw)
	}
	if g := in.as(t, full, "PATCH", adminPath+"devices/wks-042", `{"name":"x"}`); g.status != http.StatusNotFound {
		t.Errorf("by its name: %d %s", g.status, g.raw)
	}
}

// Threat D4: a device that takes the name of another is another device, and both
// are shown. To retire the one that is gone has the name mean the other.
func TestTwinsAreShownAndOneIsRetired(t *testing.T) {
	in := install(t)
	twin := in.enrol(t, "wks-042.corp.example")
	if twin.ID == in.device.ID {
		t.Fatal("the twin is the device")
	}
	if g := in.as(t, reader, "GET", "/api/machines/"+string(in.device.ID), ""); g.json["isPotentialDuplication"] != true || g.json["isExcluded"] != false {
		t.Errorf("a device with a twin: %s", g.raw)
	}
	if g := in.as(t, reader, "GET", "/api/machines/wks-042", ""); g.status != http.StatusNotFound {
		t.Errorf("a name of two: %d %s", g.status, g.raw)
	}
	path := adminPath + "devices/" + string(in.device.ID)
	if g := in.as(t, full, "GET", path, ""); fmt.Sprint(g.json["twins"]) != "["+string(twin.ID)+"]" {
		t.Errorf("twins: %s", g.raw)
	}
	before := len(in.leaves(t))
	for range 2 {
		if g := in.as(t, full, "POST", path+"/retire", ""); g.status != 200 || g.json["retired"] != true || g.text("health") != device.Inactive {
			t.Errorf("retire: %d %s", g.status, g.raw)
		}
	}
	if got := in.leaves(t)[before:]; len(got) != 1 || got[0].Act != audit.ActRetireDevice || got[0].Device != string(in.device.ID) {
		t.Errorf("entries %+v, want one", got)
	}
	if g := in.as(t, reader, "GET", "/api/machines/wks-042", ""); g.text("id") != string(twin.ID) {
		t.Errorf("the name means %s", g.raw)
	}
	g := in.as(t, reader, "GET", "/api/machines/"+string(in.device.ID), "")
	if g.json["isExcluded"] != true || g.text("exclusionReason") != "Retired" || g.text("healthStatus") != device.Inactive {
		t.Errorf("a retired device: %s", g.raw)
	}
	g = in.as(t, full, "POST", in.collectPath(), `{"Comment":"x"}`)
	if g.code(t) != "DisallowedOperation" || !strings.Contains(g.message(), "is retired") || !strings.Contains(g.message(), "restores") {
		t.Errorf("collect from it: %d %s", g.status, g.raw)
	}
	if g := in.as(t, full, "POST", path+"/restore", ""); g.json["retired"] != false || g.text("health") != device.Active {
		t.Errorf("restore: %d %s", g.status, g.raw)
	}
	if g := in.as(t, full, "POST", in.collectPath(), `{"Comment":"x"}`); g.status != http.StatusCreated {
		t.Errorf("collect from it again: %d %s", g.status, g.raw)
	}
	if g := in.as(t, full, "POST", adminPath+"devices/"+string(twin.ID)+"/revoke", ""); g.status != 200 {
		t.Fatal(g.raw)
	}
	if g := in.as(t, reader, "GET", "/api/machines/"+string(in.device.ID), ""); g.json["isPotentialDuplication"] != false {
		t.Errorf("after its twin was revoked: %s", g.raw)
	}
}

func TestDevicesAreListedByTheirIDs(t *testing.T) {
	in := install(t)
	ids := []string{string(in.device.ID)}
	for n := range 4 {
		ids = append(ids, string(in.enrol(t, fmt.Sprintf("web-%d.corp.example", n%2)).ID))
	}
	in.as(t, full, "POST", adminPath+"devices/"+ids[4]+"/revoke", "")
	slices.Sort(ids)
	listed := func(query string) (found []string, next any) {
		t.Helper()
		g := in.as(t, full, "GET", adminPath+"devices"+query, "")
		list, _ := g.json["value"].([]any)
		for _, v := range list {
			found = append(found, fmt.Sprint(v.(map[string]any)["id"]))
		}
		return found, g.json["next"]
	}
	if got, next := listed(""); !slices.Equal(got, ids) || next != nil {
		t.Errorf("all: %v, next %v", got, next)
	}
	got, next := listed("?top=2")
	if !slices.Equal(got, ids[:2]) || next != ids[1] {
		t.Errorf("two: %v, next %v", got, next)
	}
	if got, _ := listed("?top=1000&after=" + strings.ToUpper(ids[1])); !slices.Equal(got, ids[2:]) {
		t.Errorf("the rest: %v", got)
	}
	if got, _ := listed("?name=Web-1"); len(got) != 2 {
		t.Errorf("by a name: %v", got)
	}
	for _, query := range []string{"?top=0", "?top=1001", "?top=x", "?after=x", "?names=x", "?name=a&name=b", "?$top=1"} {
		if g := in.as(t, full, "GET", adminPath+"devices"+query, ""); g.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", query, g.status, g.raw)
		}
	}
}

func TestADeviceIsAskedForAnotherKey(t *testing.T) {
	in := install(t)
	path := adminPath + "devices/" + string(in.device.ID)
	before := len(in.leaves(t))
	for range 2 { // the second time it is only told again
		if g := in.as(t, full, "POST", path+"/rotateKey", ""); g.status != 200 || g.json["rotationPending"] != true || g.json["keys"] != 1.0 {
			t.Errorf("rotateKey: %d %s", g.status, g.raw)
		}
	}
	if got := in.leaves(t)[before:]; len(got) != 1 || got[0].Act != audit.ActAskDeviceKey {
		t.Errorf("entries %+v, want one", got)
	}
	// The device has told of it.
	dev, err := in.store.Device(t.Context(), tenantID, in.device.ID)
	if err != nil {
		t.Fatal(err)
	}
	keys, statements := append(slices.Clone(dev.Keys), make([]byte, 32)), [][]byte{[]byte("a statement, which the gateway has checked")}
	if _, err := in.store.SucceedDeviceKey(t.Context(), tenantID, in.device.ID, keys, statements, in.now(), audit.NewEntry(in.now(),
		audit.Leaf{Act: audit.ActDeviceKey, Object: string(in.device.ID), Result: audit.Done, Detail: "1"}, audit.Hidden{})); err != nil {
		t.Fatal(err)
	}
	g := in.as(t, full, "GET", path, "")
	if g.json["rotationPending"] != false || g.json["keys"] != 2.0 || g.text("keySince") == "" || !strings.HasPrefix(g.text("keyThumbprint"), "66687aadf862bd77") { // of 32 zeros
		t.Errorf("afterwards: %s", g.raw)
	}
	if g := in.as(t, full, "POST", path+"/rotateKey", ""); g.code(t) != "DisallowedOperation" || !strings.Contains(g.message(), "an hour after that") {
		t.Errorf("too soon: %d %s", g.status, g.raw)
	}
	in.advance(access.KeyEvery + time.Second)
	// A token lasts an hour.
	app, err := in.store.App(t.Context(), tenantID, full)
	if err != nil {
		t.Fatal(err)
	}
	if in.token[full], err = in.tokens.Issue(region, region, app); err != nil {
		t.Fatal(err)
	}
	if g := in.as(t, full, "POST", path+"/rotateKey", ""); g.status != 200 {
		t.Errorf("an hour later: %d %s", g.status, g.raw)
	}
	in.as(t, full, "POST", path+"/revoke", "")
	if g := in.as(t, full, "POST", path+"/rotateKey", ""); g.code(t) != "DisallowedOperation" {
		t.Errorf("a revoked one: %d %s", g.status, g.raw)
	}
}

// Threat D5: whoever looks at the device is told.
func TestAClonedDeviceIsShown(t *testing.T) {
	in := install(t)
	at := in.now()
	if err := in.store.Cloned(t.Context(), tenantID, in.device.ID, at, audit.NewEntry(at, audit.Leaf{Act: audit.ActTwice, Object: string(in.device.ID), Result: audit.Refused}, audit.Hidden{})); err != nil {
		t.Fatal(err)
	}
	if g := in.as(t, full, "GET", adminPath+"devices/"+string(in.device.ID), ""); g.text("cloned") == "" || fmt.Sprint(g.json["twins"]) != "[]" {
		t.Errorf("administered: %s", g.raw)
	}
	for _, path := range []string{"/api/machines/wks-042", "/api/machines"} {
		if g := in.as(t, reader, "GET", path, ""); !strings.Contains(g.raw, `"isPotentialDuplication":true`) {
			t.Errorf("%s: %s", path, g.raw)
		}
	}
}
