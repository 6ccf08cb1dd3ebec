package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	described "swab/api"
	"swab/api/contract"
	"swab/internal/action"
	"swab/internal/auth"
	"swab/internal/fault"
	"swab/internal/fleet"
	"swab/internal/limit"
	"swab/internal/odata"
)

// What the document says of the API is what the API does: every answer of this
// package's tests is held against it (installation.send), every route stands in
// it, and its examples are sent again.

func TestTheDocumentHasEveryRouteAndNoOther(t *testing.T) {
	c, err := contract.Read(described.Document())
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	for _, rt := range New(Config{}).routes {
		left[rt.method+" /"+rt.pattern] = true
	}
	for _, o := range c.Operations() {
		name := o.Method + " " + o.Route()
		if strings.HasPrefix(name, "GET /packages/{tenant}/") {
			name = "GET /packages/{tenant}/{file}" // a package and its receipt are of one route
		}
		if strings.HasPrefix(o.Path, "/{tenant}/") {
			continue // the issuer's
		}
		if _, ok := left[name]; !ok {
			t.Errorf("%s: there is no route %s", o.ID, name)
		}
		left[name] = false
	}
	for name, missing := range left {
		if missing {
			t.Errorf("%s stands in no operation of api/openapi.yaml", name)
		}
	}
}

func TestTheDocumentNamesThePermissionThatIsAskedFor(t *testing.T) {
	c, err := contract.Read(described.Document())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range permissions {
		u, err := url.Parse(p.path)
		if err != nil {
			t.Fatal(err)
		}
		o, _ := c.Find(p.method, u)
		if o == nil || strings.Join(o.Permissions(), ",") != p.required {
			t.Errorf("%s %s: %+v, want %s", p.method, p.path, o, p.required)
		}
	}
}

func TestTheDocumentNamesWhatAListIsFilteredBy(t *testing.T) {
	for _, entity := range []*odata.Entity{&fleet.Entity, &action.Entity} {
		var names []string
		for _, p := range entity.Properties {
			if p.Filter {
				names = append(names, p.Name)
			}
		}
		if want := "Of `" + strings.Join(names, " ") + "`."; !strings.Contains(described.Document(), want) {
			t.Errorf("api/openapi.yaml does not say of the filter of %s: %s", entity.Name, want)
		}
	}
}

func TestTheDocumentNamesEveryCodeAtItsStatus(t *testing.T) {
	c, err := contract.Read(described.Document())
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range fault.Codes {
		u, err := url.Parse(map[fault.Code]string{
			fault.NoRoute: "/api/nosuch", fault.BadRange: "/packages/t/a.zip", fault.Precondition: "/packages/t/a.zip",
		}[code])
		if err != nil {
			t.Fatal(err)
		}
		if u.Path == "" {
			u.Path = "/api/machines/x"
		}
		method := map[fault.Code]string{fault.MethodNotAllowed: "BREW", fault.UnsupportedMediaType: "PATCH"}[code]
		codes, err := c.Codes(cmp.Or(method, "GET"), u, statuses[code])
		if err != nil || !slices.Contains(codes, string(code)) {
			t.Errorf("%s is not among the codes of %d: %v, %v", code, statuses[code], codes, err)
		}
	}
}

// story is a run through all operations in the order of the document. The ids of
// the examples are put in the place of the real ones, and the reverse.
type story struct {
	*installation
	t     *testing.T
	pairs [][2]string // in the document, in this run
}

func (s *story) pair(example, real string) {
	s.pairs = append([][2]string{{example, real}}, s.pairs...)
}

// real is a text of the document as it is in this run, documented the reverse.
func (s *story) real(text string) string {
	for _, p := range s.pairs {
		text = strings.ReplaceAll(text, p[0], p[1])
	}
	return text
}

func (s *story) documented(text string) string {
	for _, p := range s.pairs {
		text = strings.ReplaceAll(text, p[1], p[0])
	}
	return text
}

// Ids of the examples.
const (
	exampleMachine    = "2d4c1f6a8b3e5079c1d2e3f4a5b60718293a4b5c"
	exampleAction     = "019bd5a2-7c31-7a44-9d0e-5b6f7a8c9d10"
	exampleApp        = "7f0e6d5c-1a2b-4c3d-8e9f-001122334455"
	exampleSecret     = "3c9a52d4-0b71-4e6f-a8d2-9f1e2d3c4b5a"
	exampleEnrollment = "8b1d4f2a-6c3e-4a59-9f70-2e1d0c9b8a76"
	exampleHold       = "a2f47c19-5e8b-4d36-9b01-4c7d8e9f0a1b"
	exampleTenant     = "6e5d4c3b-2a19-4f08-b7c6-d5e4f3a2b190"
	exampleUser       = "5c1e8a3d-2f7b-4c96-8d04-a1b2c3d4e5f7"
	exampleUserGroup  = "4f7c2b1e-9a3d-4e58-b6c0-7d8e9f0a1b2c"
	exampleRole       = "6d2f9b4e-3a8c-4d07-9e15-b2c3d4e5f6a8"
	examplePassword   = "k7wm3p-9xdt4h-r2vbq8"
	exampleUserCode   = "WDJB-MJHT"
	exampleIssuer     = "7e30ac5f-4b9d-4e18-8f26-c3d4e5f6a7b9"
)

// Before an operation's example is sent.
func (s *story) before(operation string) {
	switch operation {
	case "getToken":
		s.pair(exampleApp, full)
	case "getDeviceCode":
		if err := s.store.CreateApp(s.t.Context(), auth.NewCommandLine(tenantID, s.now())); err != nil {
			s.t.Fatal(err)
		}
	case "listMachineActions":
		s.succeed(s.t, s.real(exampleAction), []byte("a package"))
	case "downloadPackage":
		link, err := url.Parse(s.link(s.t, s.real(exampleAction)))
		if err != nil {
			s.t.Fatal(err)
		}
		s.pair("1796436900", link.Query().Get("e"))
		s.pair("kf0Yx2rV8sQwZl3uT6nP1mJ9hB4cD7eA5gK0iL2oM8Q", link.Query().Get("s"))
	case "cancelMachineAction", "getAttempt":
		s.pair(exampleAction, s.collect(s.t))
	case "findMachinesByIp":
		s.pair("2026-11-25T01:40:00Z", s.now().UTC().Format(time.RFC3339))
	case "createApp":
		for example, later := range map[string]int{"2027-11-01": 1, "2028-11-01": 2} {
			s.pair(example+"T00:00:00Z", s.now().AddDate(later, 0, 0).UTC().Format("2006-01-02")+"T00:00:00Z")
		}
	case "createEnrollment":
		s.pair("2027-01-31T12:00:00Z", s.now().AddDate(0, 2, 0).UTC().Format("2006-01-02")+"T12:00:00Z")
	case "listHolds":
		g := s.as(s.t, full, "POST", adminPath+"holds", `{"device":"`+string(s.device.ID)+`","reason":"Case 2026-118"}`)
		if g.status != http.StatusCreated {
			s.t.Fatal(g.raw)
		}
		s.pair(exampleHold, g.text("id"))
	case "revokeDevice":
		s.pair(exampleMachine, string(s.enrol(s.t, "old-web.corp.example").ID))
	case "listTenants":
		s.pair(exampleMachine, string(s.device.ID))
	}
	switch operation {
	case "listSessions":
		user := s.real(exampleUser)
		s.signedIn(s.t, tenantID, user, "")
		s.signedIn(s.t, tenantID, user, auth.CommandLine)
	case "disableUser": // who is not the last administrator
		if g := s.as(s.t, full, "POST", adminPath+"users", `{"principal":"bob@contoso.example","administrator":true}`); g.status != http.StatusCreated {
			s.t.Fatal(g.raw)
		}
	case "deleteUserGroup": // one that nothing names
		s.pair(exampleUserGroup, s.as(s.t, full, "POST", adminPath+"userGroups", `{"name":"Former responders"}`).text("id"))
	}
	if operation == "getAttempt" {
		id := s.real(exampleAction)
		s.begin(s.t, id)
		if _, err := s.vault.Keep(s.t.Context(), s.upload(s.t, id, []byte("the first seconds"), -1).ID, "the agent was restarted"); err != nil {
			s.t.Fatal(err)
		}
	}
}

// after it was answered.
func (s *story) after(operation string, g got) {
	if operation == "getAttempt" { // the device shall be free again
		s.as(s.t, full, "POST", "/api/machineactions/"+s.real(exampleAction)+"/cancel", "")
	}
	if operation == "deleteUserGroup" {
		s.pairs = s.pairs[1:]
	}
	for _, learnt := range []struct{ operation, property, example string }{
		{"getDeviceCode", "user_code", exampleUserCode},
		{"getDeviceCodeV1", "user_code", exampleUserCode},
		{"createUserGroup", "id", exampleUserGroup},
		{"createUser", "id", exampleUser},
		{"createUser", "initialPassword", examplePassword},
		{"resetPassword", "initialPassword", examplePassword},
		{"createRole", "id", exampleRole},
		{"createIssuer", "id", exampleIssuer},
		{"collectInvestigationPackage", "id", exampleAction},
		{"createApp", "id", exampleApp},
		{"addSecret", "id", exampleSecret},
		{"createEnrollment", "id", exampleEnrollment},
		{"addHold", "id", exampleHold},
		{"createTenant", "tenantId", exampleTenant},
	} {
		if learnt.operation == operation {
			s.pair(learnt.example, g.text(learnt.property))
		}
	}
}

// sent is what a request came to, in the words of the document.
func (s *story) sent(g got) contract.Answer {
	return contract.Answer{Status: g.status, Header: g.header, Body: []byte(s.documented(g.raw))}
}

func TestExamplesAreReal(t *testing.T) {
	book, err := contract.Open(described.Document())
	if err != nil {
		t.Fatal(err)
	}
	s := &story{installation: install(t), t: t}
	s.pair(exampleMachine, string(s.device.ID))
	s.pair(strings.TrimPrefix(described.Base, "https://"), s.Listener.Addr().String())
	for _, o := range book.Operations() {
		s.before(o.ID)
		r, err := book.Request(o)
		if err != nil {
			t.Error(err)
			continue
		}
		header := []string{"Content-Type", r.Media}
		if r.Token {
			header = append(header, "Authorization", "Bearer "+s.token[full])
		}
		g := s.send(t, r.Method, s.real(r.Target), s.real(decodedForm(s, r)), header...)
		s.after(o.ID, g)
		if lacks := g.status == http.StatusForbidden && g.code(t) == "DisallowedOperation"; g.status > 299 && !lacks {
			t.Errorf("%s: %s %s: %d %s", o.ID, r.Method, r.Target, g.status, g.raw)
			continue
		}
		if err := book.Compare(o, s.sent(g), *update); err != nil {
			t.Errorf("%s: %v", o.ID, err)
		}
	}
	s.failures(book)
	if *update {
		if err := os.WriteFile("../../api/openapi.yaml", []byte(book.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// decodedForm is the body with what the story changes in plain text, in a form
// too.
func decodedForm(s *story, r contract.Request) string {
	if r.Media != "application/x-www-form-urlencoded" {
		return r.Body
	}
	fields, err := url.ParseQuery(r.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	for name := range fields {
		fields.Set(name, s.real(fields.Get(name)))
	}
	return fields.Encode()
}

// failures are the answers that operations share.
func (s *story) failures(book *contract.Book) {
	machines := func(header ...string) got { return s.as(s.t, full, "GET", "/api/machines", "", header...) }
	file := func(header ...string) got { return s.send(s.t, "GET", s.link(s.t, s.sealedAction()), "", header...) }
	fleet := s.api.Fleet
	troubled := func(err error) got {
		s.api.Fleet = troubled{fleet, func() error { return err }}
		defer func() { s.api.Fleet = fleet }()
		return machines()
	}
	sign := "/" + tenantID + "/oauth2/v2.0/token"
	for name, ask := range map[string]func() got{
		"BadRequest":           func() got { return s.as(s.t, full, "POST", s.collectPath(), "{}") },
		"Unauthorized":         func() got { return s.send(s.t, "GET", "/api/machines", "") },
		"Forbidden":            func() got { return s.as(s.t, reader, "POST", s.collectPath(), `{"Comment":"x"}`) },
		"NotFound":             func() got { return s.as(s.t, full, "GET", "/api/machines/nosuch", "") },
		"NoRoute":              func() got { return s.as(s.t, full, "GET", "/api/nosuch", "") },
		"MethodNotAllowed":     func() got { return s.as(s.t, full, "DELETE", "/api/machines", "") },
		"PayloadTooLarge":      func() got { return s.as(s.t, full, "GET", "/api/machines", strings.Repeat("x", maxBody+1)) },
		"UnsupportedMediaType": func() got { return s.as(s.t, full, "POST", s.collectPath(), "x", "Content-Type", "text/xml") },
		"PreconditionFailed":   func() got { return file("If-Match", `"x"`) },
		"RangeNotSatisfiable":  func() got { return file("Range", "bytes=1000-") },
		"InternalServerError":  func() got { return troubled(errors.New("x")) },
		"ServiceUnavailable":   func() got { return troubled(context.DeadlineExceeded) },
		"TooManyRequests": func() got {
			s.limited(map[string]limit.Figures{"listMachines": {Minute: 1, Hour: 2}})
			defer s.limited(nil)
			machines()
			return machines()
		},
		"SignInBadRequest": func() got { return s.send(s.t, "POST", sign, "grant_type=password") },
		"SignInUnauthorized": func() got {
			return s.send(s.t, "POST", sign, "grant_type=client_credentials&client_id=x&client_secret=y&scope=z")
		},
		"SignInTooManyRequests": func() got {
			guess := func() got {
				return s.send(s.t, "POST", sign, "grant_type=client_credentials&client_id=guessed&client_secret=y&scope=z")
			}
			for range 10 {
				guess()
			}
			return guess()
		},
		"SignInNoRoute":          func() got { return s.send(s.t, "GET", "/nosuch", "") },
		"SignInMethodNotAllowed": func() got { return s.send(s.t, "DELETE", sign, "") },
	} {
		if err := book.CompareShared(name, s.sent(ask()), *update); err != nil {
			s.t.Errorf("%s: %v", name, err)
		}
	}
	s.store.Close()
	g := s.send(s.t, "POST", sign, "grant_type=client_credentials&client_id="+full+"&client_secret=x&scope=z")
	if err := book.CompareShared("SignInServerError", s.sent(g), *update); err != nil {
		s.t.Error(err)
	}
}

// sealedAction is a new action whose package is there.
func (s *story) sealedAction() string {
	id := s.collect(s.t)
	s.succeed(s.t, id, []byte("a package"))
	return id
}
