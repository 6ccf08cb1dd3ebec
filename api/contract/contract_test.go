package contract

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"swab/api"
)

func read(t *testing.T) *Contract {
	t.Helper()
	c, err := Read(api.Document())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func address(t *testing.T, path string) *url.URL {
	t.Helper()
	u, err := url.Parse(api.Base + path)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// good is an answer that the document foresees.
func good() Answer {
	return Answer{
		Status: http.StatusOK,
		Header: http.Header{
			"Content-Type": {"application/json; charset=utf-8"}, "Request-Id": {"9e2b7c4d-5f60-4a18-b3c2-d1e0f9a8b7c6"},
			"X-Content-Type-Options": {"nosniff"}, "Cache-Control": {"no-store"},
		},
		Body: []byte(`{"value":[{"id":"6e5d4c3b-2a19-4f08-b7c6-d5e4f3a2b190","name":"x","created":null,"revoked":false}]}`),
	}
}

func TestWhatTheDocumentDoesNotForeseeIsAnError(t *testing.T) {
	c := read(t)
	if err := c.Check("GET", address(t, "/api/admin/v1/tenants"), good()); err != nil {
		t.Fatalf("what it foresees: %v", err)
	}
	if err := c.Check("GET", address(t, "/API/Admin/v1/Tenants/"), good()); err != nil {
		t.Fatalf("the same in another case: %v", err)
	}
	body := func(old, new string) func(*Answer) {
		return func(a *Answer) { a.Body = []byte(strings.Replace(string(a.Body), old, new, 1)) }
	}
	header := func(name string, values ...string) func(*Answer) { return func(a *Answer) { a.Header[name] = values } }
	for name, spoil := range map[string]func(*Answer){
		"a status":                      func(a *Answer) { a.Status = http.StatusAccepted },
		"a property too much":           body(`"name"`, `"more":1,"name"`),
		"a property beside":             body(`{"value"`, `{"more":1,"value"`),
		"a property too few":            body(`"created":null,`, ``),
		"another type":                  body(`false`, `"false"`),
		"null where there is a value":   body(`"x"`, `null`),
		"a format":                      body(`6e5d4c3b-`, `6e5d4c3b`),
		"a time of another form":        body(`null`, `"2026-11-25T02:08:57Z"`),
		"no JSON":                       body(`{`, ``),
		"nothing":                       func(a *Answer) { a.Body = nil },
		"a media type":                  header("Content-Type", "text/html"),
		"no media type":                 header("Content-Type"),
		"a header that is missing":      func(a *Answer) { a.Header.Del("Request-Id") },
		"a header of another form":      header("Request-Id", "1"),
		"a header too much":             header("Set-Cookie", "a=b"),
		"a standing header":             header("X-Content-Type-Options", "sniff"),
		"Retry-After where none may be": header("Retry-After", "5"),
	} {
		a := good()
		spoil(&a)
		if c.Check("GET", address(t, "/api/admin/v1/tenants"), a) == nil {
			t.Errorf("%s is not told", name)
		}
	}
	for _, other := range []string{"DELETE /api/admin/v1/tenants", "GET /api/admin/v1/nosuch", "GET /nosuch", "GET /api/v1.0/admin/v1/tenants", "GET /api/admin/v1%2Ftenants"} {
		method, path, _ := strings.Cut(other, " ")
		if c.Check(method, address(t, path), good()) == nil {
			t.Errorf("%s is answered 200, and nothing is said", other)
		}
	}
}

func TestARequestIsOfTheOperationWhosePathSaysMost(t *testing.T) {
	c := read(t)
	for request, want := range map[string]string{
		"GET /api/machines":                                        "listMachines",
		"HEAD /api/v1.0/machines/":                                 "listMachines",
		"GET /api/machines/web1":                                   "getMachine",
		"GET /api/machines/a%2Fb":                                  "getMachine",
		"GET /api/machines/findbytag?tag=x":                        "findMachinesByTag",
		"GET /api/machines/FindByIp(timestamp=x,%20ip='10.0.0.4')": "findMachinesByIp",
		"GET /packages/t/a.zip?e=1":                                "downloadPackage",
		"GET /packages/t/a.zip.receipt?e=1":                        "downloadReceipt",
		"GET /contoso.example/oauth2/v2.0/token":                   "getToken",
		"GET /common/discovery/keys":                               "getSigningKeysV1",
		"GET /api/discovery/keys":                                  "",
		"POST /api/machines/web1":                                  "",
		"GET /":                                                    "",
	} {
		method, path, _ := strings.Cut(request, " ")
		got := ""
		if o, _ := c.Find(method, address(t, path)); o != nil {
			got = o.ID
		}
		if got != want {
			t.Errorf("%s is of %q, want %q", request, got, want)
		}
	}
}

// What a generator of clients, and a reader, need of each operation.
func TestEveryOperationSaysWhatItIs(t *testing.T) {
	c, seen := read(t), map[string]bool{}
	for _, o := range c.Operations() {
		if o.ID == "" || seen[o.ID] || word(o.node["summary"]) == "" || len(list(o.node["tags"])) != 1 || o.node["security"] == nil {
			t.Errorf("%s %s: no operationId of its own, no summary, not one tag, or no word on security", o.Method, o.Path)
		}
		seen[o.ID] = true
		for code := range of(o.node["responses"]) {
			response, at := c.follow(of(o.node["responses"])[code], o.at+"/responses/"+code)
			if word(response["description"]) == "" || of(response["headers"])["request-id"] == nil {
				t.Errorf("%s, %s: no description, or no request-id", o.ID, code)
			}
			for media, content := range of(response["content"]) {
				if of(content)["schema"] == nil {
					continue
				}
				if _, err := c.schema(at + "/content/" + pointer(media) + "/schema"); err != nil {
					t.Errorf("%s, %s: %v", o.ID, code, err)
				}
			}
		}
	}
}

// An object that may hold anything besides is no description of an answer.
func TestEverySchemaOfAnAnswerIsStrict(t *testing.T) {
	c := read(t)
	for name, node := range of(of(c.root["components"])["schemas"]) {
		schema := of(node)
		base := strings.HasSuffix(name, "Properties") // what others are made of
		if schema["type"] == "object" && !base && !strings.HasSuffix(name, "Request") && name != "MachineChange" && name != "TokenRequestV1" &&
			schema["additionalProperties"] != false && schema["unevaluatedProperties"] != false {
			t.Errorf("%s says nothing of other properties", name)
		}
	}
}

func TestTheBookIsWrittenAsItWasRead(t *testing.T) {
	b, err := Open(api.Document())
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != api.Document() {
		t.Error("api/openapi.yaml is not in the form in which it is written; go generate ./api")
	}
}

func TestAnExampleThatPartsFromTheRealAnswerIsTold(t *testing.T) {
	b, err := Open(api.Document())
	if err != nil {
		t.Fatal(err)
	}
	var tenants *Operation
	for _, o := range b.Operations() {
		if o.ID == "revokeTenant" {
			tenants = o
		}
	}
	real := func(body string) Answer { a := good(); a.Body = []byte(body); return a }
	const same = `{"id":"00000000-2a19-4f08-b7c6-d5e4f3a2b190","name":"fabrikam.example","created":"2030-01-01T00:00:00.0000000Z","revoked":true}`
	if err := b.Compare(tenants, real(same), false); err != nil {
		t.Errorf("another id and time: %v", err)
	}
	for _, other := range []string{
		strings.Replace(same, "true", "false", 1), strings.Replace(same, "true", `"true"`, 1), strings.Replace(same, "fabrikam", "contoso", 1),
		strings.Replace(same, `"revoked"`, `"gone"`, 1), strings.Replace(same, `"2030-01-01T00:00:00.0000000Z"`, "null", 1), strings.Replace(same, "{", `{"more":1,`, 1),
	} {
		if b.Compare(tenants, real(other), false) == nil {
			t.Errorf("%s passes for the example", other)
		}
	}
	if err := b.Compare(tenants, real(strings.Replace(same, "fabrikam", "contoso", 1)), true); err != nil {
		t.Fatal(err)
	}
	if s := b.String(); !strings.Contains(s, "name: contoso.example") || strings.Contains(s, "00000000-2a19") {
		t.Error("the example is not written anew, or not with the id that it had")
	}
}

// A watched answer is read by its caller as if nobody had watched.
func TestWatchTellsAndHandsOn(t *testing.T) {
	body := `{"value":[{"id":"x"}]}`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost {
			w.Header().Set("Content-Length", "100") // and less comes
		}
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	var told []error
	client := &http.Client{Transport: read(t).Watch(http.DefaultTransport, func(err error) { told = append(told, err) })}
	resp, err := client.Get(s.URL + "/api/admin/v1/tenants")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != body || len(told) != 1 {
		t.Errorf("%q, %v; told %v", got, err, told)
	}
	resp, err = client.Post(s.URL+"/api/admin/v1/tenants", "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err == nil || string(got) != body || len(told) != 1 {
		t.Errorf("an answer that was cut: %q, %v; told %v", got, err, told)
	}
}
