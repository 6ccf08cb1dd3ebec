package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/signin"
)

// signedIn begins a sign-in of a person to an application ("": to the browser)
// and returns its id.
func (in *installation) signedIn(t testing.TB, tenant, person, app string) string {
	t.Helper()
	s := signin.Session{
		Tenant: tenant, ID: uuid.NewString(), Person: person, App: app, Methods: []string{"pwd"}, Proved: in.now(), Created: in.now(), Used: in.now(),
		Expires: in.now().Add(time.Hour), From: "203.0.113.9", Agent: "Mozilla/5.0",
	}
	entry := audit.NewEntry(in.now(), audit.Leaf{Act: audit.ActSignIn, Object: person, Result: audit.Done}, audit.Hidden{})
	if err := in.store.AddSession(t.Context(), s, nil, "", func(auth.Credential) error { return nil }, entry); err != nil {
		t.Fatal(err)
	}
	return s.ID
}

func TestUserIsMadeListedAndShutOut(t *testing.T) {
	in := install(t)
	g := in.as(t, full, "POST", adminPath+"users", `{"principal":"Ann@Contoso.example","name":"Ann Lee","administrator":true}`)
	id, initial := g.text("id"), g.text("initialPassword")
	if g.status != http.StatusCreated || len(initial) != 20 || g.header.Get("Location") != in.URL+adminPath+"users/"+id || !strings.Contains(g.raw, `"administrator":true,"disabled":false`) {
		t.Fatalf("create: %d %s, Location %q", g.status, g.raw, g.header.Get("Location"))
	}
	if g := in.as(t, full, "POST", adminPath+"users", `{"principal":"bob@contoso.example","password":"an Otter in the 3rd canoe"}`); g.status != http.StatusCreated || !strings.Contains(g.raw, `"initialPassword":null`) {
		t.Errorf("with a password: %d %s", g.status, g.raw)
	}
	for _, name := range []string{id, "ANN@contoso.example", "ann%40contoso.example"} {
		if g := in.as(t, full, "GET", adminPath+"users/"+name, ""); g.status != http.StatusOK || g.text("id") != id || strings.Contains(g.raw, initial) {
			t.Errorf("GET users/%s: %d %s", name, g.status, g.raw)
		}
	}
	part := in.as(t, full, "GET", adminPath+"users?top=1", "")
	if next := part.text("next"); next != "ann@contoso.example" || strings.Count(part.raw, `"id"`) != 1 {
		t.Errorf("the first part: %s", part.raw)
	}
	rest := in.as(t, full, "GET", adminPath+"users?top=1&after=ann@contoso.example", "")
	if !strings.Contains(rest.raw, `"bob@contoso.example"`) || !strings.Contains(rest.raw, `"next":null`) {
		t.Errorf("the rest: %s", rest.raw)
	}
	for _, query := range []string{"top=0", "top=-1", "top=1001", "top=x", "top=", "top=1&top=2", "x=1", "Top=1"} {
		if g := in.as(t, full, "GET", adminPath+"users?"+query, ""); g.status != http.StatusBadRequest || g.code(t) != "InvalidInput" {
			t.Errorf("?%s: %d %s", query, g.status, g.raw)
		}
	}
	in.signedIn(t, tenantID, id, "")
	if g := in.as(t, full, "GET", adminPath+"users/"+id+"/sessions", ""); strings.Count(g.raw, `"app":null`) != 1 {
		t.Errorf("sessions: %s", g.raw)
	}
	if g := in.as(t, full, "POST", adminPath+"users/"+id+"/disable", ""); g.status != http.StatusForbidden || g.code(t) != "DisallowedOperation" {
		t.Errorf("disable the last administrator: %d %s", g.status, g.raw)
	}
	if g := in.as(t, full, "POST", adminPath+"users/"+id+"/resetPassword", `{"password":"password1234"}`); g.status != http.StatusBadRequest || g.code(t) != "InvalidInput" {
		t.Errorf("a password that is guessed first: %d %s", g.status, g.raw)
	}
	again := in.as(t, full, "POST", adminPath+"users/"+id+"/resetPassword", "")
	if again.status != http.StatusOK || again.text("initialPassword") == initial || again.text("initialPassword") == "" {
		t.Errorf("reset: %d %s", again.status, again.raw)
	}
	if g := in.as(t, full, "GET", adminPath+"users/"+id+"/sessions", ""); g.raw != `{"value":[]}` {
		t.Errorf("sessions after that: %s", g.raw)
	}
	// Neither a password nor a person's name is where others read it.
	for _, secret := range []string{initial, again.text("initialPassword"), "Otter"} {
		if strings.Contains(in.log.String(), secret) {
			t.Error("a password is in the log")
		}
	}
	if g := in.as(t, nobody, "GET", adminPath+"users/ann@contoso.example", ""); g.status != http.StatusForbidden {
		t.Errorf("without permission: %d %s", g.status, g.raw)
	}
	entries, err := in.store.AuditEntries(t.Context(), tenantID, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(string(e.Leaf), "contoso.example") || strings.Contains(e.Opening.Hidden.Comment, initial) {
			t.Errorf("an entry has a name that devices see, or a password: %s %+v", e.Leaf, e.Opening.Hidden)
		}
	}
}
