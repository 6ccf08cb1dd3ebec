package manual

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"swab/api"
	"swab/internal/origin"
)

// The base URLs of the tests.
const (
	first  = "https://swab.corp.example:8443"
	second = "https://eu.corp.example"
)

type seen struct {
	method, route string
	status        int
}

func manual(t testing.TB) (*Manual, *[]seen) {
	t.Helper()
	set, err := origin.New([]string{first, second}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var all []seen
	m, err := New(Config{Origin: set, Now: time.Now, Observe: func(method, route string, status int, _ time.Duration) {
		all = append(all, seen{method, route, status})
	}})
	if err != nil {
		t.Fatal(err)
	}
	return m, &all
}

func ask(t testing.TB, m *Manual, method, address string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, address, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w
}

func TestEachBaseURLHasItsOwnDocumentAndNoOtherIsNamed(t *testing.T) {
	m, _ := manual(t)
	for base, other := range map[string]string{first: second, second: first, "https://attacker.example": second} {
		for path, media := range map[string]string{
			"/docs/": "text/html; charset=utf-8", "/docs/openapi.yaml": "application/yaml; charset=utf-8", "/docs/openapi.json": "application/json", "/docs/manual.css": "text/css; charset=utf-8",
		} {
			w := ask(t, m, "GET", base+path)
			text := w.Body.String()
			if w.Code != http.StatusOK || w.Header().Get("Content-Type") != media || w.Header().Get("Request-Id") == "" {
				t.Errorf("%s%s: %d %v", base, path, w.Code, w.Header())
			}
			mine := base
			if base == "https://attacker.example" {
				mine = first // one that is not ours is nowhere in an answer
			}
			if strings.Contains(text, mine) != (path != "/docs/manual.css") || strings.Contains(text, strings.TrimPrefix(other, "https://")) || strings.Contains(text, "attacker") || strings.Contains(text, api.Base) {
				t.Errorf("%s%s names other addresses than its own", base, path)
			}
		}
	}
}

func TestTheJSONIsTheYAML(t *testing.T) {
	m, _ := manual(t)
	var fromYAML, fromJSON any
	if err := yaml.Unmarshal(ask(t, m, "GET", first+"/docs/openapi.yaml").Body.Bytes(), &fromYAML); err != nil {
		t.Fatal(err)
	}
	data := ask(t, m, "GET", first+"/docs/openapi.json").Body.Bytes()
	if err := json.Unmarshal(data, &fromJSON); err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(fromYAML)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(fromJSON)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("the JSON has something else than the YAML")
	}
	if !strings.HasPrefix(string(data), "{\n  \"openapi\": \"3.1") {
		t.Errorf("the JSON is not in the document's order: %.60s", data)
	}
}

func TestADocumentThatTheCallerHasIsNotSentAgain(t *testing.T) {
	m, _ := manual(t)
	tag := ask(t, m, "GET", first+"/docs/").Header().Get("ETag")
	if other := ask(t, m, "GET", second+"/docs/").Header().Get("ETag"); tag == "" || tag == other {
		t.Errorf("ETag %q, that of another base URL %q", tag, other)
	}
	for given, want := range map[string]int{tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, "": 200} {
		w := ask(t, m, "GET", first+"/docs/", "If-None-Match", given)
		if w.Code != want || w.Header().Get("ETag") != tag || (w.Body.Len() == 0) != (want == 304) {
			t.Errorf("If-None-Match %s: %d, %d bytes", given, w.Code, w.Body.Len())
		}
	}
}

func TestOddRequestsAreAnsweredRightly(t *testing.T) {
	m, all := manual(t)
	for _, c := range []struct {
		method, path string
		status       int
		route        seen
	}{
		{"HEAD", "/docs/", 200, seen{"HEAD", "/docs/", 200}},
		{"GET", "/docs/?x=1", 200, seen{"GET", "/docs/", 200}},
		{"GET", "/docs", 308, seen{"GET", "/docs", 308}},
		{"GET", "/docs/nosuch", 404, seen{"GET", "", 404}},
		{"GET", "/docs/../docs/", 404, seen{"GET", "", 404}},
		{"GET", "/docs//", 404, seen{"GET", "", 404}},
		{"BREW", "/docs/nosuch", 404, seen{"", "", 404}},
		{"POST", "/docs/", 405, seen{"", "/docs/", 405}},
		{"BREW", "/docs", 405, seen{"", "/docs", 405}},
		{"DELETE", "/docs/openapi.yaml", 405, seen{"", "/docs/openapi.yaml", 405}},
	} {
		*all = nil
		w := ask(t, m, c.method, first+c.path)
		if w.Code != c.status || (w.Header().Get("Allow") == "GET, HEAD") != (c.status == 405) || (w.Header().Get("Location") == "/docs/") != (c.status == 308) {
			t.Errorf("%s %s: %d %v", c.method, c.path, w.Code, w.Header())
		}
		if c.method == "HEAD" && (w.Body.Len() > 0 || w.Header().Get("Content-Length") == "0") {
			t.Errorf("HEAD: %d bytes of %s", w.Body.Len(), w.Header().Get("Content-Length"))
		}
		if c.status >= 400 && (!strings.Contains(w.Body.String(), "<h1>") || strings.Contains(w.Body.String(), "nosuch")) {
			t.Errorf("%s %s: %s", c.method, c.path, w.Body)
		}
		if len(*all) != 1 || (*all)[0] != c.route {
			t.Errorf("%s %s is observed as %v, want %v", c.method, c.path, *all, c.route)
		}
		if p := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(p, "default-src 'none'; style-src 'self';") {
			t.Errorf("%s %s: policy %q", c.method, c.path, p)
		}
	}
	for path, want := range map[string]bool{"/docs": true, "/docs/": true, "/docs/x": true, "/docsx": false, "/": false, "/api/docs": false, "/Docs/": false} {
		if got := Serves(httptest.NewRequestWithContext(t.Context(), "GET", first+path, nil)); got != want {
			t.Errorf("Serves(%s) = %t", path, got)
		}
	}
}

func TestThePageShowsEveryOperationWithoutScriptOrStyleOfItsOwn(t *testing.T) {
	m, _ := manual(t)
	page := ask(t, m, "GET", first+"/docs/").Body.String()
	for _, foreign := range []string{"<script", " style=", "<style", "javascript:", " onclick", `="http://`, "ZgotmplZ"} {
		if strings.Contains(page, foreign) {
			t.Errorf("the page has %s", foreign)
		}
	}
	doc, err := read(api.Document())
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]int{}
	for _, part := range strings.Split(page, ` id="`)[1:] {
		id, _, _ := strings.Cut(part, `"`)
		if ids[id]++; ids[id] > 1 {
			t.Errorf("the id %s is there twice", id)
		}
	}
	for path, item := range doc.root.get("paths").pairs() {
		for method, o := range item.pairs() {
			id := o.get("operationId").text()
			if ids[id] != 1 || !strings.Contains(page, "<code>"+strings.ReplaceAll(path, "'", "&#39;")+"</code>") {
				t.Errorf("%s %s (%s) is not on the page", method, path, id)
			}
		}
	}
	for _, part := range strings.Split(page, ` href="#`)[1:] {
		if to, _, _ := strings.Cut(part, `"`); ids[to] != 1 {
			t.Errorf("a link leads to #%s, which is not there", to)
		}
	}
	for _, text := range []string{
		`curl &#39;` + first + `/api/machines?$filter=healthStatus&#43;eq&#43;%27Active%27&#39;`, `-H &#34;Authorization: Bearer $TOKEN&#34;`, "&#34;requestorComment&#34;: &#34;Collect forensics due to alert 1234&#34;",
		`findbyip(ip=&#39;\&#39;&#39;192.0.2.40&#39;\&#39;&#39;`, "Needs <code>Machine.Read.All</code> or <code>Machine.ReadWrite.All</code>.",
		"Codes: <code>Forbidden</code>, <code>DisallowedOperation</code>.",
	} {
		if !strings.Contains(page, text) {
			t.Errorf("the page does not have %s", text)
		}
	}
	if dir := os.Getenv("MANUAL_OUT"); dir != "" {
		for name, data := range map[string][]byte{"index.html": []byte(page), "manual.css": style} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What a shell is given is taken as it stands.
func TestShellQuotesEverything(t *testing.T) {
	for in, want := range map[string]string{"a b": "'a b'", "it's": `'it'\''s'`, "$x`y`": "'$x`y`'", "": "''"} {
		if got := shell(in); got != want {
			t.Errorf("shell(%s) = %s, want %s", in, got, want)
		}
	}
}
