package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/auth"
)

// The matrix: every route of the table, asked for by its own tenant, for what is
// another tenant's, and by a tenant that was revoked. What callers come to who
// lack a permission is in callers_test.go, and what no token comes to in
// TestNothingIsDoneWithoutATokenOrThePermission.

// asked is how a route is asked for in the matrix.
type asked struct {
	query string // with the braces of the pattern, filled in as there
	body  string
	own   int  // what the request comes to for what is the tenant's own
	home  bool // names a tenant: what the installation's first alone may do
}

// matrix has a line for each route. One that is missing fails the test.
var matrix = map[string]asked{
	"POST api/machines/{machine}/collectInvestigationPackage": {body: `{"Comment":"x"}`, own: 201},
	"GET api/machines":                                          {own: 200},
	"GET api/machines/$count":                                   {own: 200},
	"GET api/machines/findbyip({arguments})":                    {own: 200},
	"GET api/machines/findbytag":                                {query: "tag={tag}", own: 200},
	"POST api/machines/AddOrRemoveTagForMultipleMachines":       {body: `{"Value":"x","Action":"Add","MachineIds":["{machine}"]}`, own: 200},
	"GET api/machines/{machine}":                                {own: 200},
	"PATCH api/machines/{machine}":                              {body: `{"deviceValue":"Low"}`, own: 200},
	"POST api/machines/{machine}/tags":                          {body: `{"Value":"x","Action":"Add"}`, own: 200},
	"POST api/machines/{machine}/setDeviceValue":                {body: `{"DeviceValue":"Low"}`, own: 200},
	"GET api/machines/{machine}/availableMachineActions":        {own: 200},
	"GET api/machines/{machine}/machineactions":                 {own: 200},
	"GET api/machines/{machine}/machineactions/$count":          {own: 200},
	"GET api/machineactions":                                    {own: 200},
	"GET api/machineactions/$count":                             {own: 200},
	"GET api/machineactions/{action}":                           {own: 200},
	"POST api/machineactions/{action}/cancel":                   {body: `{"Comment":"x"}`, own: 400}, // it has ended
	"GET api/machineactions/{action}/getPackageUri":             {own: 200},
	"GET api/alerts":                                            {own: 200},
	"GET api/alerts/$count":                                     {own: 200},
	"GET api/exposureScore":                                     {own: 200},
	"GET api/swab/v1/audit":                                     {own: 200},
	"GET api/swab/v1/audit/entries":                             {query: "object={action}&result=done", own: 200},
	"GET api/swab/v1/audit/entries/{index}":                     {own: 200},
	"GET api/swab/v1/actions/{action}/attempts/{attempt}":       {own: 404}, // its attempt did not die
	"GET api/admin/v1/apps":                                     {own: 200},
	"POST api/admin/v1/apps":                                    {body: `{"name":"x"}`, own: 201},
	"GET api/admin/v1/apps/{app}":                               {own: 200},
	"PATCH api/admin/v1/apps/{app}":                             {body: `{"name":"x"}`, own: 200},
	"POST api/admin/v1/apps/{app}/secrets":                      {own: 201},
	"DELETE api/admin/v1/apps/{app}/secrets/{secret}":           {own: 200},
	"POST api/admin/v1/apps/{app}/certificates":                 {body: `{"certificate":"{der}"}`, own: 201},
	"DELETE api/admin/v1/apps/{app}/certificates/{certificate}": {own: 200},
	"POST api/admin/v1/apps/{app}/revoke":                       {own: 200},
	"GET api/admin/v1/users":                                    {own: 200},
	"POST api/admin/v1/users":                                   {body: `{"principal":"new@contoso.example"}`, own: 201},
	"GET api/admin/v1/users/{user}":                             {own: 200},
	"PATCH api/admin/v1/users/{user}":                           {body: `{"name":"x","groups":["{userGroup}"]}`, own: 200},
	"POST api/admin/v1/users/{user}/disable":                    {own: 200},
	"POST api/admin/v1/users/{user}/enable":                     {own: 200},
	"POST api/admin/v1/users/{user}/resetPassword":              {own: 200},
	"POST api/admin/v1/users/{user}/resetTotp":                  {own: 200},
	"GET api/admin/v1/users/{user}/sessions":                    {own: 200},
	"POST api/admin/v1/users/{user}/revokeSessions":             {own: 200},
	"GET api/admin/v1/userGroups":                               {own: 200},
	"POST api/admin/v1/userGroups":                              {body: `{"name":"x"}`, own: 201},
	"GET api/admin/v1/userGroups/{userGroup}":                   {own: 200},
	"PATCH api/admin/v1/userGroups/{userGroup}":                 {body: `{"description":"x"}`, own: 200},
	"DELETE api/admin/v1/userGroups/{userGroup}":                {own: 400}, // a role names it
	"GET api/admin/v1/userGroups/{userGroup}/members":           {own: 200},
	"PUT api/admin/v1/userGroups/{userGroup}/members/{user}":    {own: 200},
	"DELETE api/admin/v1/userGroups/{userGroup}/members/{user}": {own: 200},
	"GET api/admin/v1/roles":                                    {own: 200},
	"POST api/admin/v1/roles":                                   {body: `{"name":"x","userGroups":["{userGroup}"]}`, own: 201},
	"GET api/admin/v1/roles/{role}":                             {own: 200},
	"PATCH api/admin/v1/roles/{role}":                           {body: `{"userGroups":["{userGroup}"]}`, own: 200},
	"DELETE api/admin/v1/roles/{role}":                          {own: 200},
	"GET api/admin/v1/deviceGroups":                             {own: 200},
	"POST api/admin/v1/deviceGroups":                            {body: `{"name":"x","rule":[{"property":"tag","operator":"equals","values":["x"]}],"userGroups":["{userGroup}"]}`, own: 201},
	"POST api/admin/v1/deviceGroups/preview":                    {body: `{"rule":[{"property":"tag","operator":"equals","values":["{tag}"]}]}`, own: 200},
	"POST api/admin/v1/deviceGroups/order":                      {body: `{"ids":[{deviceGroup}]}`, own: 400}, // there are two by then
	"GET api/admin/v1/deviceGroups/{deviceGroup}":               {own: 200},
	"PATCH api/admin/v1/deviceGroups/{deviceGroup}":             {body: `{"userGroups":["{userGroup}"]}`, own: 200},
	"DELETE api/admin/v1/deviceGroups/{deviceGroup}":            {own: 200},
	"GET api/admin/v1/issuers":                                  {own: 200},
	"POST api/admin/v1/issuers":                                 {body: `{"name":"x","url":"https://x.example","audiences":["y"],"groups":{"g":"{userGroup}"}}`, own: 201},
	"GET api/admin/v1/issuers/{issuer}":                         {own: 200},
	"PATCH api/admin/v1/issuers/{issuer}":                       {body: `{"groups":{"g":"{userGroup}"}}`, own: 200},
	"POST api/admin/v1/issuers/{issuer}/revoke":                 {own: 200},
	"GET api/admin/v1/enrollments":                              {own: 200},
	"POST api/admin/v1/enrollments":                             {own: 201},
	"POST api/admin/v1/enrollments/{enrollment}/revoke":         {own: 200},
	"GET api/admin/v1/tenants":                                  {own: 200, home: true},
	"POST api/admin/v1/tenants":                                 {body: `{"name":"fourth.example"}`, own: 201, home: true},
	"POST api/admin/v1/tenants/{tenant}/revoke":                 {own: 403, home: true}, // the first one stays
	"GET api/admin/v1/devices":                                  {own: 200},
	"GET api/admin/v1/devices/{device}":                         {own: 200},
	"PATCH api/admin/v1/devices/{device}":                       {body: `{"name":"renamed.corp.example"}`, own: 200},
	"POST api/admin/v1/devices/{device}/retire":                 {own: 200},
	"POST api/admin/v1/devices/{device}/restore":                {own: 200},
	"POST api/admin/v1/devices/{device}/rotateKey":              {own: 200},
	"POST api/admin/v1/devices/{device}/revoke":                 {own: 200},
	"GET api/admin/v1/retention":                                {own: 200},
	"PATCH api/admin/v1/retention":                              {body: `{"days":9000}`, own: 200},
	"GET api/admin/v1/holds":                                    {own: 200},
	"POST api/admin/v1/holds":                                   {body: `{"device":"{device}","reason":"x"}`, own: 201},
	"DELETE api/admin/v1/holds/{hold}":                          {own: 200},
	"GET api/admin/v1/keys/access-tokens":                       {own: 200, home: true},
	"POST api/admin/v1/keys/access-tokens/rotate":               {own: 200, home: true},
	"GET packages/{tenant}/{file}":                              {own: 200},
}

// line is a route's line of the matrix.
func line(t *testing.T, rt route) asked {
	t.Helper()
	for _, name := range otherActions {
		if rt.pattern == "api/machines/{machine}/"+name {
			return asked{body: `{"Comment":"x"}`, own: 403} // Swab lacks it
		}
	}
	a, ok := matrix[rt.method+" "+rt.pattern]
	if !ok {
		t.Errorf("%s %s: the matrix has no line for it", rt.method, rt.pattern)
	}
	return a
}

// things are what a tenant has, by the names in the braces of routes.
type things map[string]string

// fill puts things into a text.
func (th things) fill(text string, escape func(string) string) string {
	for name, value := range th {
		text = strings.ReplaceAll(text, "{"+name+"}", escape(value))
	}
	return text
}

// absent are things of the same form that nobody has.
var absent = things{
	"machine": strings.Repeat("0", 40), "device": strings.Repeat("0", 40), "name": "nosuch.corp.example", "action": "01900000-0000-7000-8000-000000000000", "attempt": "1",
	"app": "00000000-0000-4000-8000-000000000001", "secret": "00000000-0000-4000-8000-000000000002", "certificate": strings.Repeat("0", 64),
	"enrollment": "00000000-0000-4000-8000-000000000003", "tenant": "00000000-0000-4000-8000-000000000004", "tag": "nosuch",
	"user": "00000000-0000-4000-8000-000000000005", "principal": "nosuch@corp.example", "userGroup": "00000000-0000-4000-8000-000000000006",
	"role": "00000000-0000-4000-8000-000000000007", "deviceGroup": "1000000", "issuer": "00000000-0000-4000-8000-000000000008", "hold": "00000000-0000-4000-8000-000000000009",
}

// alike are things that may look the same in two tenants: numbers.
var alike = []string{"attempt", "deviceGroup", "index"}

// party is a tenant with a device, a package, and what administrators make.
type party struct {
	another
	things things
	link   string // path and query of a package's
}

// furnish gives a tenant one of everything.
func (in *installation) furnish(t *testing.T, of another, name string) party {
	t.Helper()
	p := party{another: of}
	house := *in
	house.device = in.enrolIn(t, of.id, name)
	ask := func(status int, method, path, body string) got {
		t.Helper()
		g := in.with(t, of, method, path, body)
		if g.status != status {
			t.Fatalf("%s %s: %d %s", method, path, g.status, g.raw)
		}
		return g
	}
	machine := "/api/machines/" + string(house.device.ID)
	ask(200, "POST", machine+"/tags", `{"Value":"tag of `+name+`","Action":"Add"}`)
	action := ask(201, "POST", machine+"/collectInvestigationPackage", `{"Comment":"case 88"}`).text("id")
	house.succeed(t, action, []byte("the package of "+name))
	app := ask(201, "POST", adminPath+"apps", `{"name":"app of `+name+`","secret":{}}`)
	second := ask(201, "POST", adminPath+"apps/"+app.text("id")+"/secrets", "")
	cert := ask(201, "POST", adminPath+"apps/"+app.text("id")+"/certificates", fmt.Sprintf(`{"certificate":%q}`, base64.StdEncoding.EncodeToString(newCertificate(t))))
	token := ask(201, "POST", adminPath+"enrollments", `{"name":"token of `+name+`"}`)
	group := ask(201, "POST", adminPath+"userGroups", `{"name":"group of `+name+`"}`).text("id")
	person := ask(201, "POST", adminPath+"users", `{"principal":"ann@`+name+`","groups":["`+group+`"]}`)
	role := ask(201, "POST", adminPath+"roles", `{"name":"role of `+name+`","permissions":["View data"],"userGroups":["`+group+`"]}`)
	issuer := ask(201, "POST", adminPath+"issuers", `{"name":"issuer of `+name+`","url":"https://sts.`+name+`","audiences":["api://swab"]}`)
	held := ask(201, "POST", adminPath+"holds", `{"action":"`+action+`","reason":"hold of `+name+`"}`)
	in.parties++ // each has another number
	var deviceGroup got
	for range in.parties {
		if deviceGroup.raw != "" {
			ask(200, "DELETE", adminPath+"deviceGroups/"+fmt.Sprint(deviceGroup.json["id"]), "")
		}
		deviceGroup = ask(201, "POST", adminPath+"deviceGroups", `{"name":"devices of `+name+`","rule":[{"property":"tag","operator":"equals","values":["tag of `+name+`"]}]}`)
	}
	link, err := url.Parse(ask(200, "GET", "/api/machineactions/"+action+"/getPackageUri", "").text("value"))
	if err != nil {
		t.Fatal(err)
	}
	p.link = link.RequestURI()
	p.things = things{
		"machine": string(house.device.ID), "device": string(house.device.ID), "name": name, "action": action, "attempt": "1", "index": "0", "app": app.text("id"), "secret": second.text("id"),
		"certificate": cert.text("id"), "enrollment": token.text("id"), "tenant": of.id, "tag": "tag of " + name,
		"user": person.text("id"), "principal": person.text("principal"), "userGroup": group, "role": role.text("id"), "deviceGroup": fmt.Sprint(deviceGroup.json["id"]), "issuer": issuer.text("id"), "hold": held.text("id"),
	}
	return p
}

// state is all that a tenant's own administrators see, and how long its log is.
func (in *installation) state(t *testing.T, p party) string {
	t.Helper()
	entries, err := in.store.AuditEntries(t.Context(), p.id, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintln(len(entries), "entries")
	for _, path := range []string{"/api/machines", "/api/machineactions", adminPath + "apps", adminPath + "enrollments", adminPath + "tenants", adminPath + "devices",
		adminPath + "users", adminPath + "userGroups", adminPath + "roles", adminPath + "deviceGroups", adminPath + "issuers", adminPath + "retention", adminPath + "holds"} {
		g := in.with(t, p.another, "GET", path, "")
		if g.status != http.StatusOK {
			t.Fatalf("GET %s: %d %s", path, g.status, g.raw)
		}
		all += g.raw + "\n"
	}
	return all
}

// path and body of a route for things.
func (a asked) request(rt route, th things, now time.Time) (path, body string) {
	th = maps.Clone(th)
	th["arguments"] = "ip='192.0.2.40',timestamp=" + now.UTC().Format(time.RFC3339)
	path = "/" + th.fill(rt.pattern, url.PathEscape)
	if a.query != "" {
		path += "?" + th.fill(a.query, url.QueryEscape)
	}
	return path, th.fill(a.body, func(s string) string { b, _ := json.Marshal(s); return string(b[1 : len(b)-1]) })
}

func TestTenantsAreApartOnEveryRoute(t *testing.T) {
	in := install(t)
	home := in.furnish(t, another{id: tenantID, token: in.token[full]}, "ours.corp.example")
	theirs := in.furnish(t, in.newTenant(t, "fabrikam.example"), "theirs.corp.example")
	routes := New(Config{}).routes
	for _, rt := range routes {
		if a := line(t, rt); rt.method == http.MethodGet && !rt.open && !a.home && !strings.Contains(rt.pattern, "{") {
			path, _ := a.request(rt, home.things, in.now())
			in.holdsNothingOf(t, theirs, path, in.with(t, home.another, "GET", path, ""))
			in.holdsNothingOf(t, home, path, in.with(t, theirs.another, "GET", path, ""))
		}
	}
	before := in.state(t, theirs)
	ours := in.crowd(t, home.another)
	token, _ := ours.signed(ours.administrator(), auth.Scopes...)
	person := home
	person.token = token
	for _, rt := range routes {
		a := line(t, rt)
		if rt.open || a.home {
			continue // below
		}
		// One thing at a time is theirs or nobody's, the others are our own.
		for name := range theirs.things {
			if !strings.Contains(rt.pattern+a.query+a.body, "{"+name+"}") || name == "attempt" || name == "index" {
				continue
			}
			for _, who := range []party{home, person} {
				in.apart(t, rt, a, who, name, theirs.things[name], absent[name])
				if also := map[string]string{"machine": "name", "user": "principal"}[name]; also != "" { // it goes by its name as well
					in.apart(t, rt, a, who, name, theirs.things[also], absent[also])
				}
			}
		}
	}
	if after := in.state(t, theirs); after != before {
		t.Errorf("what another tenant asked for changed things (-before +after):\n%s", cmp.Diff(before, after))
	}
	in.ownRoutes(t, home) // everything was asked for rightly
}

// ownRoutes asks every route for what is one's own. What is revoked goes last.
func (in *installation) ownRoutes(t *testing.T, home party) {
	t.Helper()
	routes := New(Config{}).routes
	slices.SortStableFunc(routes, func(a, b route) int {
		return strings.Count(a.pattern, "/revoke") - strings.Count(b.pattern, "/revoke")
	})
	for _, rt := range routes {
		a := line(t, rt)
		if rt.open {
			continue
		}
		th := home.things
		if strings.Contains(a.body, "{der}") {
			th = maps.Clone(th)
			th["der"] = base64.StdEncoding.EncodeToString(newCertificate(t))
		}
		path, body := a.request(rt, th, in.now())
		if g := in.with(t, home.another, rt.method, path, body); g.status != a.own {
			t.Errorf("own: %s %s: %d %s, want %d", rt.method, path, g.status, g.raw, a.own)
		}
	}
}

// apart asks a route for another tenant's thing and for nobody's, and wants one
// answer.
func (in *installation) apart(t *testing.T, rt route, a asked, who party, name, theirs, nobodys string) {
	t.Helper()
	ask := func(thing string) (string, got) {
		th := maps.Clone(who.things)
		th[name], th["der"] = thing, "AAAA"
		path, body := a.request(rt, th, in.now())
		g := in.with(t, who.another, rt.method, path, body)
		return g.plain(thing), g
	}
	got, g := ask(theirs)
	want, w := ask(nobodys)
	if g.status != w.status || got != want || !slices.Equal(headers(g), headers(w)) {
		t.Errorf("%s %s with another tenant's %s: %d %s %v\nwith nobody's: %d %s %v", rt.method, rt.pattern, name, g.status, got, headers(g), w.status, want, headers(w))
	}
	if strings.Contains(rt.pattern, "{"+name+"}") && g.status != http.StatusNotFound && !strings.HasSuffix(rt.pattern, "$count") && rt.pattern != "api/machines/{machine}/machineactions" {
		t.Errorf("%s %s with another tenant's %s: %d %s", rt.method, rt.pattern, name, g.status, g.raw)
	}
}

// plain is the body without the request's id and what the request named.
func (g got) plain(named string) string {
	s := strings.ReplaceAll(g.raw, g.header.Get("request-id"), "REQUEST")
	for _, form := range []string{named, strings.ToLower(named), url.PathEscape(named)} {
		s = strings.ReplaceAll(s, form, "NAMED")
	}
	return s
}

// headers are the names of an answer's headers.
func headers(g got) []string {
	var names []string
	for name := range g.header {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (in *installation) holdsNothingOf(t *testing.T, p party, path string, g got) {
	t.Helper()
	if g.status != http.StatusOK && g.status != http.StatusBadRequest {
		t.Errorf("GET %s: %d %s", path, g.status, g.raw)
	}
	for name, thing := range p.things {
		if !slices.Contains(alike, name) && strings.Contains(g.raw, thing) {
			t.Errorf("GET %s shows another tenant's %s: %s", path, name, g.raw)
		}
	}
}

func TestLinksAreApart(t *testing.T) {
	in := install(t)
	home := in.furnish(t, another{id: tenantID, token: in.token[full]}, "ours.corp.example")
	theirs := in.furnish(t, in.newTenant(t, "fabrikam.example"), "theirs.corp.example")
	get := func(path string) got { return in.send(t, "GET", path, "") }
	for _, p := range []party{home, theirs} {
		if g := get(p.link); g.status != http.StatusOK || g.raw != "the package of "+p.things["name"] {
			t.Errorf("a tenant's own link: %d %s", g.status, g.raw)
		}
	}
	path, query, _ := strings.Cut(home.link, "?")
	altered := get(path + "?" + query + "x")
	for what, link := range map[string]string{
		"our signature, their tenant": strings.Replace(home.link, home.id, theirs.id, 1),
		"our signature, their action": strings.Replace(home.link, home.things["action"], theirs.things["action"], 1),
		"our signature, their both":   strings.Split(theirs.link, "?")[0] + "?" + query,
		"our signature, nobody's":     strings.Replace(home.link, home.things["action"], absent["action"], 1),
	} {
		if g := get(link); g.status != http.StatusForbidden || g.plain(link) != altered.plain(link) {
			t.Errorf("%s: %d %s\nan altered link: %d %s", what, g.status, g.raw, altered.status, altered.raw)
		}
	}
	// Even where the signature holds, a tenant has its own actions alone.
	signed := func(tenant, action string) got {
		return get("/packages/" + tenant + "/" + action + ".zip?" + in.api.sign(tenant, action, in.now().Add(time.Minute)))
	}
	theirOwn, nobodys := signed(home.id, theirs.things["action"]), signed(home.id, absent["action"])
	if theirOwn.status != http.StatusNotFound || theirOwn.plain(theirs.things["action"]) != nobodys.plain(absent["action"]) {
		t.Errorf("their action in our tenant: %d %s\nnobody's: %d %s", theirOwn.status, theirOwn.raw, nobodys.status, nobodys.raw)
	}
}

func TestRevokedTenantIsOutOnEveryRoute(t *testing.T) {
	in := install(t)
	gone := in.furnish(t, in.newTenant(t, "gone.example"), "gone.corp.example")
	if g := in.as(t, full, "POST", adminPath+"tenants/"+gone.id+"/revoke", ""); g.status != http.StatusOK {
		t.Fatalf("revoke: %d %s", g.status, g.raw)
	}
	entries := func() int {
		list, err := in.store.AuditEntries(t.Context(), gone.id, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := entries()
	for _, rt := range New(Config{}).routes {
		a := line(t, rt)
		path, body := a.request(rt, gone.things, in.now())
		if !rt.open {
			if g := in.with(t, gone.another, rt.method, path, body); g.status != http.StatusUnauthorized || g.code(t) != "Unauthorized" {
				t.Errorf("%s %s: %d %s", rt.method, path, g.status, g.raw)
			}
			continue
		}
		g := in.send(t, rt.method, gone.link, "")
		nobodys := in.send(t, rt.method, "/packages/"+gone.id+"/"+absent["action"]+".zip?"+in.api.sign(gone.id, absent["action"], in.now().Add(time.Minute)), "")
		if g.status != http.StatusNotFound || g.plain(gone.things["action"]) != nobodys.plain(absent["action"]) {
			t.Errorf("its link: %d %s\nnobody's: %d %s", g.status, g.raw, nobodys.status, nobodys.raw)
		}
	}
	if after := entries(); after != before {
		t.Errorf("the log of a revoked tenant grew by %d", after-before)
	}
	// At the token endpoint it is as if there were none.
	_, g := in.signIn(t, gone.id, gone.made.text("clientId"), gone.made.text("clientSecret"))
	_, nobodys := in.signIn(t, absent["tenant"], gone.made.text("clientId"), gone.made.text("clientSecret"))
	if g.status != nobodys.status || g.json["error"] != nobodys.json["error"] || fmt.Sprint(g.json["error_codes"]) != fmt.Sprint(nobodys.json["error_codes"]) {
		t.Errorf("a token: %d %s\nof no tenant: %d %s", g.status, g.raw, nobodys.status, nobodys.raw)
	}
	if !bytes.Contains([]byte(in.state(t, party{another: another{id: tenantID, token: in.token[full]}})), []byte(`"revoked":true`)) {
		t.Error("the home tenant's list does not say that it is revoked")
	}
}
