package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"swab/internal/auth"
)

// The matrix of callers: every route of the table, asked by applications and by
// people who may, and by those who lack one thing of what it takes: the token, the
// permission, the scope, the role's permission, the device group.

// The rights in the contract's words, written out once more.
var (
	reading       = auth.Right{Roles: []string{"Machine.Read.All", "Machine.ReadWrite.All"}, Scopes: []string{"Machine.Read", "Machine.ReadWrite"}, User: "View data"}
	collecting    = auth.Right{Roles: []string{"Machine.CollectForensics"}, Scopes: []string{"Machine.CollectForensics"}, User: "Alerts investigation"}
	fetching      = auth.Right{Roles: []string{"Machine.Read.All", "Machine.ReadWrite.All"}, Scopes: []string{"Machine.CollectForensics"}, User: "Alerts investigation"}
	tagging       = auth.Right{Roles: []string{"Machine.ReadWrite.All"}, Scopes: []string{"Machine.ReadWrite"}, User: "Manage security settings"}
	updating      = auth.Right{Roles: []string{"Machine.ReadWrite.All"}, Scopes: []string{"Machine.ReadWrite"}, User: "Alerts investigation"}
	anyOf         = auth.Right{Roles: []string{"Machine.CollectForensics", "Machine.Read.All", "Machine.ReadWrite.All"}, Scopes: []string{"Machine.CollectForensics", "Machine.Read", "Machine.ReadWrite"}}
	administering = auth.Right{Roles: []string{"Swab.Administer"}, Scopes: []string{"Swab.Administer"}, User: "Manage portal system settings"}
	ruling        = auth.Right{Roles: []string{"Swab.Administer"}, Scopes: []string{"Swab.Administer"}, User: "Administrator"}
	nothing       = auth.Right{}
)

// rightsOf is the right that each route takes. One that is missing fails the test.
var rightsOf = map[string]auth.Right{
	"POST api/machines/{machine}/collectInvestigationPackage": collecting,
	"GET api/machines":                                          reading,
	"GET api/machines/$count":                                   reading,
	"GET api/machines/findbyip({arguments})":                    reading,
	"GET api/machines/findbytag":                                reading,
	"POST api/machines/AddOrRemoveTagForMultipleMachines":       tagging,
	"GET api/machines/{machine}":                                reading,
	"GET api/machines/{machine}/machineactions":                 reading,
	"GET api/machines/{machine}/machineactions/$count":          reading,
	"PATCH api/machines/{machine}":                              updating,
	"POST api/machines/{machine}/tags":                          tagging,
	"POST api/machines/{machine}/setDeviceValue":                tagging,
	"GET api/machines/{machine}/availableMachineActions":        reading,
	"GET api/machineactions":                                    reading,
	"GET api/machineactions/$count":                             reading,
	"GET api/machineactions/{action}":                           reading,
	"POST api/machineactions/{action}/cancel":                   collecting,
	"GET api/machineactions/{action}/getPackageUri":             fetching,
	"GET api/alerts":                                            nothing,
	"GET api/alerts/$count":                                     nothing,
	"GET api/exposureScore":                                     nothing,
	"GET api/swab/v1/audit":                                     administering,
	"GET api/swab/v1/audit/entries":                             administering,
	"GET api/swab/v1/audit/entries/{index}":                     administering,
	"GET api/swab/v1/actions/{action}/attempts/{attempt}":       ruling,
	"GET api/admin/v1/apps":                                     administering,
	"POST api/admin/v1/apps":                                    ruling,
	"GET api/admin/v1/apps/{app}":                               administering,
	"PATCH api/admin/v1/apps/{app}":                             ruling,
	"POST api/admin/v1/apps/{app}/revoke":                       ruling,
	"POST api/admin/v1/apps/{app}/secrets":                      ruling,
	"DELETE api/admin/v1/apps/{app}/secrets/{secret}":           ruling,
	"POST api/admin/v1/apps/{app}/certificates":                 ruling,
	"DELETE api/admin/v1/apps/{app}/certificates/{certificate}": ruling,
	"GET api/admin/v1/users":                                    administering,
	"POST api/admin/v1/users":                                   administering,
	"GET api/admin/v1/users/{user}":                             administering,
	"PATCH api/admin/v1/users/{user}":                           administering,
	"POST api/admin/v1/users/{user}/disable":                    administering,
	"POST api/admin/v1/users/{user}/enable":                     administering,
	"POST api/admin/v1/users/{user}/resetPassword":              administering,
	"POST api/admin/v1/users/{user}/resetTotp":                  administering,
	"GET api/admin/v1/users/{user}/sessions":                    administering,
	"POST api/admin/v1/users/{user}/revokeSessions":             administering,
	"GET api/admin/v1/userGroups":                               administering,
	"POST api/admin/v1/userGroups":                              administering,
	"GET api/admin/v1/userGroups/{userGroup}":                   administering,
	"PATCH api/admin/v1/userGroups/{userGroup}":                 administering,
	"DELETE api/admin/v1/userGroups/{userGroup}":                administering,
	"GET api/admin/v1/userGroups/{userGroup}/members":           administering,
	"PUT api/admin/v1/userGroups/{userGroup}/members/{user}":    administering,
	"DELETE api/admin/v1/userGroups/{userGroup}/members/{user}": administering,
	"GET api/admin/v1/roles":                                    administering,
	"POST api/admin/v1/roles":                                   administering,
	"GET api/admin/v1/roles/{role}":                             administering,
	"PATCH api/admin/v1/roles/{role}":                           administering,
	"DELETE api/admin/v1/roles/{role}":                          administering,
	"GET api/admin/v1/deviceGroups":                             administering,
	"POST api/admin/v1/deviceGroups":                            administering,
	"POST api/admin/v1/deviceGroups/preview":                    administering,
	"POST api/admin/v1/deviceGroups/order":                      administering,
	"GET api/admin/v1/deviceGroups/{deviceGroup}":               administering,
	"PATCH api/admin/v1/deviceGroups/{deviceGroup}":             administering,
	"DELETE api/admin/v1/deviceGroups/{deviceGroup}":            administering,
	"GET api/admin/v1/issuers":                                  ruling,
	"POST api/admin/v1/issuers":                                 ruling,
	"GET api/admin/v1/issuers/{issuer}":                         ruling,
	"PATCH api/admin/v1/issuers/{issuer}":                       ruling,
	"POST api/admin/v1/issuers/{issuer}/revoke":                 ruling,
	"GET api/admin/v1/enrollments":                              administering,
	"POST api/admin/v1/enrollments":                             administering,
	"POST api/admin/v1/enrollments/{enrollment}/revoke":         administering,
	"GET api/admin/v1/tenants":                                  ruling,
	"POST api/admin/v1/tenants":                                 ruling,
	"POST api/admin/v1/tenants/{tenant}/revoke":                 ruling,
	"GET api/admin/v1/devices":                                  administering,
	"GET api/admin/v1/devices/{device}":                         administering,
	"PATCH api/admin/v1/devices/{device}":                       administering,
	"POST api/admin/v1/devices/{device}/retire":                 administering,
	"POST api/admin/v1/devices/{device}/restore":                administering,
	"POST api/admin/v1/devices/{device}/rotateKey":              administering,
	"POST api/admin/v1/devices/{device}/revoke":                 administering,
	"GET api/admin/v1/retention":                                administering,
	"PATCH api/admin/v1/retention":                              administering,
	"GET api/admin/v1/holds":                                    administering,
	"POST api/admin/v1/holds":                                   administering,
	"DELETE api/admin/v1/holds/{hold}":                          administering,
	"GET api/admin/v1/keys/access-tokens":                       ruling,
	"POST api/admin/v1/keys/access-tokens/rotate":               ruling,
}

func rightOf(t *testing.T, rt route) auth.Right {
	t.Helper()
	if slices.ContainsFunc(otherActions, func(name string) bool { return rt.pattern == "api/machines/{machine}/"+name }) {
		return anyOf
	}
	right, ok := rightsOf[rt.method+" "+rt.pattern]
	if !ok {
		t.Errorf("%s %s: nothing here says what right it takes", rt.method, rt.pattern)
	}
	return right
}

// asker is somebody who asks, and what they hold.
type asker struct {
	what        string
	token       string
	person      bool
	roles       []string // an application's
	scopes      []string // a person's token's
	permissions []auth.Permission
}

// lacks is the message of the 403 that an asker gets where a right is needed; ""
// where they have it.
func (a asker) lacks(r auth.Right) string {
	some := func(want, have []string) bool {
		return slices.ContainsFunc(want, func(one string) bool { return slices.Contains(have, one) })
	}
	missing := func(whose, what string, want, have []string) string {
		return fmt.Sprintf("Missing %s. API required %s: %s, %s: %s.", whose, what, strings.Join(want, ","), whose, strings.Join(have, ","))
	}
	switch {
	case r.Roles == nil:
		return ""
	case !a.person && !some(r.Roles, a.roles):
		return missing("application roles", "roles", r.Roles, a.roles)
	case !a.person:
		return ""
	case !some(r.Scopes, a.scopes):
		return missing("application scopes", "scopes", r.Scopes, a.scopes)
	case r.User != "" && !slices.Contains(a.permissions, r.User):
		held := make([]string, len(a.permissions))
		for i, p := range a.permissions {
			held[i] = string(p)
		}
		return missing("user roles", "roles", []string{string(r.User)}, held)
	}
	return ""
}

// crowd makes the people and applications of a tenant who ask.
type crowd struct {
	*installation
	another
	t    *testing.T
	line auth.App // that people sign in to
}

func (in *installation) crowd(t *testing.T, of another) *crowd {
	t.Helper()
	c := &crowd{in, of, t, auth.NewCommandLine(of.id, in.now())}
	if app, err := in.store.App(t.Context(), of.id, auth.CommandLine); err == nil {
		c.line = app
	} else if err := in.store.CreateApp(t.Context(), c.line); err != nil {
		t.Fatal(err)
	}
	return c
}

// make asks for something to be made, by an application that may, and returns its id.
func (c *crowd) make(path, body string) string {
	c.t.Helper()
	g := c.with(c.t, c.another, "POST", adminPath+path, body)
	if g.status != http.StatusCreated {
		c.t.Fatalf("POST %s %s: %d %s", path, body, g.status, g.raw)
	}
	return fmt.Sprint(g.json["id"])
}

// app is an application with these roles.
func (c *crowd) app(roles ...string) asker {
	c.t.Helper()
	app := auth.App{Tenant: c.id, ID: uuid.NewString(), Name: "x", Roles: roles, Created: c.now()}
	if err := c.store.CreateApp(c.t.Context(), app); err != nil {
		c.t.Fatal(err)
	}
	token, err := c.tokens.Issue(c.URL, "https://api.securitycenter.microsoft.com", app)
	if err != nil {
		c.t.Fatal(err)
	}
	return asker{what: fmt.Sprintf("an application with %v", roles), token: token, roles: roles}
}

// person is a new person in user groups; none of their passwords is hashed.
func (c *crowd) person(groups ...string) auth.Person {
	c.t.Helper()
	p := auth.Person{Tenant: c.id, ID: uuid.NewString(), Created: c.now()}
	p.Principal = p.ID + "@contoso.example"
	if err := c.store.CreateUser(c.t.Context(), p, auth.Credential{}); err != nil {
		c.t.Fatal(err)
	}
	for _, group := range groups {
		if g := c.with(c.t, c.another, "PUT", adminPath+"userGroups/"+group+"/members/"+p.ID, ""); g.status != http.StatusOK {
			c.t.Fatalf("add to %s: %d %s", group, g.status, g.raw)
		}
	}
	return p
}

// signed is a person who has signed in to the command line with some scopes.
func (c *crowd) signed(p auth.Person, scopes ...string) (token, session string) {
	c.t.Helper()
	session = c.signedIn(c.t, c.id, p.ID, auth.CommandLine)
	issued, err := c.tokens.Delegate(c.URL, "https://api.securitycenter.microsoft.com", auth.Delegation{
		App: c.line, By: auth.ByNothing, Person: p, Scopes: scopes, Session: session, Methods: []string{"pwd"}, At: c.now(),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return issued.Token, session
}

// holder is a person of a new role with these permissions, in a user group of
// their own and in others.
func (c *crowd) holder(permissions []auth.Permission, groups ...string) auth.Person {
	c.t.Helper()
	name := uuid.NewString()
	group := c.make("userGroups", `{"name":"`+name+`"}`)
	list := ""
	for i, p := range permissions {
		list += map[bool]string{true: "", false: ","}[i == 0] + fmt.Sprintf("%q", p)
	}
	c.make("roles", `{"name":"`+name+`","permissions":[`+list+`],"userGroups":["`+group+`"]}`)
	return c.person(append(groups, group)...)
}

// administrator is a person with the built-in role.
func (c *crowd) administrator() auth.Person {
	c.t.Helper()
	g := c.with(c.t, c.another, "POST", adminPath+"users", `{"principal":"`+uuid.NewString()+`@contoso.example","administrator":true}`)
	p, err := c.store.Person(c.t.Context(), c.id, g.text("id"))
	if err != nil {
		c.t.Fatal(err, g.raw)
	}
	return p
}

// everybody are applications with each permission and without any, and people
// with each scope and with each permission of a role, and without any.
func (c *crowd) everybody() (all []asker) {
	all = append(all, c.app())
	for _, role := range auth.Permissions {
		all = append(all, c.app(role))
	}
	everything := auth.BuiltIn().Permissions
	ruler := c.administrator()
	add := func(what string, p auth.Person, permissions []auth.Permission, scopes ...string) {
		token, _ := c.signed(p, scopes...)
		all = append(all, asker{what: what, token: token, person: true, scopes: scopes, permissions: permissions})
	}
	add("an administrator", ruler, everything, auth.Scopes...)
	add("an administrator without a scope", ruler, everything)
	for _, scope := range auth.Scopes {
		add("an administrator with the scope "+scope, ruler, everything, scope)
	}
	for _, p := range auth.RolePermissions {
		add("a user with "+string(p), c.holder([]auth.Permission{p}), []auth.Permission{p}, auth.Scopes...)
	}
	add("a user with all permissions of roles", c.holder(auth.RolePermissions), auth.RolePermissions, auth.Scopes...)
	add("a user without a role", c.person(), []auth.Permission{}, auth.Scopes...)
	add("a user without anything", c.person(), []auth.Permission{})
	return all
}

func TestEveryRouteAsksEveryCallerForItsRight(t *testing.T) {
	in := install(t)
	home := in.furnish(t, another{id: tenantID, token: in.token[full]}, "ours.corp.example")
	all := in.crowd(t, home.another).everybody()
	_, before, _ := strings.Cut(in.state(t, home), "entries\n")
	for _, rt := range New(Config{}).routes {
		if rt.open {
			continue
		}
		a, right := line(t, rt), rightOf(t, rt)
		// Of nobody's thing, with a body that is none: who may does nothing by it.
		path, _ := a.request(rt, absent, in.now())
		for _, who := range all {
			g := in.send(t, rt.method, path, "[", "Authorization", "Bearer "+who.token)
			want := who.lacks(right)
			switch {
			case want == "" && (g.status == http.StatusUnauthorized || g.status == http.StatusForbidden && g.code(t) == "Forbidden"):
				t.Errorf("%s %s by %s: %d %s", rt.method, rt.pattern, who.what, g.status, g.raw)
			case want != "" && (g.status != http.StatusForbidden || g.code(t) != "Forbidden" || g.message() != want):
				t.Errorf("%s %s by %s: %d %s\nwant %s", rt.method, rt.pattern, who.what, g.status, g.raw, want)
			}
		}
	}
	if _, after, _ := strings.Cut(in.state(t, home), "entries\n"); after != before {
		t.Errorf("things changed (-before +after):\n%s", cmp.Diff(before, after))
	}
}

// near and far are two users with all permissions of roles, of whom near alone
// reaches the device of a party.
func (c *crowd) nearAndFar(p party) (near, far another) {
	c.t.Helper()
	group := c.make("userGroups", `{"name":"near"}`)
	if g := c.with(c.t, c.another, "PATCH", adminPath+"deviceGroups/"+p.things["deviceGroup"], `{"userGroups":["`+group+`"]}`); g.status != http.StatusOK {
		c.t.Fatal(g.raw)
	}
	token, _ := c.signed(c.holder(auth.RolePermissions, group), auth.Scopes...)
	near = another{id: c.id, token: token}
	token, _ = c.signed(c.holder(auth.RolePermissions), auth.Scopes...)
	return near, another{id: c.id, token: token}
}

// reached are the things of a party that are a device's.
var reached = []string{"machine", "action", "device"}

func TestDevicesOfOtherGroupsAreNotThere(t *testing.T) {
	in := install(t)
	home := in.furnish(t, another{id: tenantID, token: in.token[full]}, "ours.corp.example")
	c := in.crowd(t, home.another)
	near, far := c.nearAndFar(home)
	_, before, _ := strings.Cut(in.state(t, home), "entries\n")
	beyond := home
	beyond.another = far
	routes := New(Config{}).routes
	for _, rt := range routes {
		a := line(t, rt)
		if rt.open || rightOf(t, rt).User == auth.Administrator {
			continue
		}
		path, _ := a.request(rt, home.things, in.now())
		if rt.method == http.MethodGet && !strings.Contains(rt.pattern, "{") && !strings.HasPrefix(rt.pattern, "api/swab/") {
			// The log is whole, since it can be proved only so.
			g := in.with(t, far, "GET", path, "")
			for _, name := range reached {
				if g.status != http.StatusOK || strings.Contains(g.raw, home.things[name]) {
					t.Errorf("GET %s shows who does not reach it the %s: %d %s", path, name, g.status, g.raw)
				}
			}
		}
		for _, name := range reached {
			if strings.Contains(rt.pattern+a.body, "{"+name+"}") {
				in.apart(t, rt, a, beyond, name, home.things[name], absent[name])
			}
			if name == "machine" && strings.Contains(rt.pattern, "{machine}") {
				in.apart(t, rt, a, beyond, name, home.things["name"], absent["name"])
			}
		}
	}
	rule := `{"rule":[{"property":"deviceName","operator":"equals","values":["` + home.things["name"] + `"]}]}`
	for i, who := range []another{near, far} {
		want := fmt.Sprintf(`{"count":%d,`, 1-i)
		if g := in.with(t, who, "POST", adminPath+"deviceGroups/preview", rule); g.status != http.StatusOK || !strings.HasPrefix(g.raw, want) {
			t.Errorf("preview: %d %s, want %s", g.status, g.raw, want)
		}
	}
	for path, want := range map[string][2]string{"/api/machines/$count": {"2", "1"}, "/api/machineactions/$count": {"1", "0"}} {
		for i, who := range []another{near, far} {
			if g := in.with(t, who, "GET", path, ""); g.raw != want[i] {
				t.Errorf("GET %s: %s, want %s", path, g.raw, want[i])
			}
		}
	}
	if _, after, _ := strings.Cut(in.state(t, home), "entries\n"); after != before {
		t.Errorf("who does not reach a device changed things (-before +after):\n%s", cmp.Diff(before, after))
	}
	// With all three everything is done as for an application.
	for _, rt := range routes {
		a := line(t, rt)
		if rt.open || strings.HasPrefix(rt.pattern, "api/admin/") || rightOf(t, rt).User == auth.Administrator {
			continue
		}
		path, body := a.request(rt, home.things, in.now())
		if g := in.with(t, near, rt.method, path, body); g.status != a.own {
			t.Errorf("with scope, role and group: %s %s: %d %s, want %d", rt.method, path, g.status, g.raw, a.own)
		}
	}
	g := in.as(t, full, "GET", "/api/machineactions?$top=1", "")
	if list, _ := g.json["value"].([]any); len(list) != 1 || !strings.Contains(g.raw, "@contoso.example") {
		t.Errorf("the requestor of the newest action is no user principal name: %s", g.raw)
	}
}

// An administrator is answered on every route as an application that may do all.
func TestAdministratorMayDoEverything(t *testing.T) {
	in := install(t)
	home := in.furnish(t, another{id: tenantID, token: in.token[full]}, "ours.corp.example")
	c := in.crowd(t, home.another)
	c.nearAndFar(home) // of neither of whose groups the administrator is
	token, _ := c.signed(c.administrator(), auth.Scopes...)
	in.ownRoutes(t, party{another{id: tenantID, token: token}, home.things, home.link})
}

// Whoever is no caller any more is answered 401 on every route, and so is who
// never was.
func TestWhoIsOutIsOutOnEveryRoute(t *testing.T) {
	in := install(t)
	home := in.furnish(t, another{id: tenantID, token: in.token[full]}, "ours.corp.example")
	c := in.crowd(t, home.another)
	gone := in.newTenant(t, "gone.example")
	out := map[string]string{}
	var p auth.Person
	p = c.administrator()
	out["disabled"], _ = c.signed(p, auth.Scopes...)
	if g := in.with(t, home.another, "POST", adminPath+"users/"+p.ID+"/disable", ""); g.status != http.StatusForbidden { // the last one
		t.Fatal(g.raw)
	}
	still, _ := c.signed(c.administrator(), auth.Scopes...)
	if g := in.with(t, home.another, "POST", adminPath+"users/"+p.ID+"/disable", ""); g.status != http.StatusOK {
		t.Fatal(g.raw)
	}
	p = c.administrator()
	out["signed out"], _ = c.signed(p, auth.Scopes...)
	if g := in.with(t, home.another, "POST", adminPath+"users/"+p.ID+"/revokeSessions", ""); g.status != http.StatusOK {
		t.Fatal(g.raw)
	}
	other := in.crowd(t, gone)
	out["of a revoked tenant"], _ = other.signed(other.administrator(), auth.Scopes...)
	if g := in.as(t, full, "POST", adminPath+"tenants/"+gone.id+"/revoke", ""); g.status != http.StatusOK {
		t.Fatal(g.raw)
	}
	for _, rt := range New(Config{}).routes {
		if rt.open {
			continue
		}
		path, body := line(t, rt).request(rt, home.things, in.now())
		for what, token := range out {
			if g := in.send(t, rt.method, path, body, "Authorization", "Bearer "+token); g.status != http.StatusUnauthorized || g.code(t) != "Unauthorized" {
				t.Errorf("%s %s by a user who is %s: %d %s", rt.method, path, what, g.status, g.raw)
			}
		}
	}
	if g := in.send(t, "GET", adminPath+"users", "", "Authorization", "Bearer "+still); g.status != http.StatusOK {
		t.Errorf("who is still in: %d %s", g.status, g.raw)
	}
	// The application of their sign-in is revoked: nobody acts by it any more.
	if g := in.as(t, full, "POST", adminPath+"apps/"+auth.CommandLine+"/revoke", ""); g.status != http.StatusOK {
		t.Fatal(g.raw)
	}
	if g := in.send(t, "GET", adminPath+"users", "", "Authorization", "Bearer "+still); g.status != http.StatusUnauthorized {
		t.Errorf("by a revoked application: %d %s", g.status, g.raw)
	}
}
