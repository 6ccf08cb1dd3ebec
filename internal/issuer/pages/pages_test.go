package pages_test

import (
	"crypto/sha256"
	"encoding/base64"
	"flag"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"swab/internal/credential"
	"swab/internal/issuer/pages"
	"swab/internal/issuer/pages/pagestest"
)

var update = flag.Bool("update", false, "write the pages in testdata anew")

// render is the answer that a page makes.
func render(p pages.Page) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	pages.Render(w, 200, p)
	return w
}

// split takes the style out of a page.
func split(t *testing.T, page string) (rest, style string) {
	t.Helper()
	before, after, ok := strings.Cut(page, "<style>")
	style, after, closed := strings.Cut(after, "</style>")
	if !ok || !closed || strings.Contains(after, "<style") {
		t.Fatalf("a page has one style element: %s", page)
	}
	return before + "<style></style>" + after, style
}

func TestGoldenPages(t *testing.T) {
	want := map[string]bool{}
	for _, s := range pagestest.Samples(pagestest.Plain) {
		got, _ := split(t, render(s.Page).Body.String())
		name := filepath.Join("testdata", s.Name+".html")
		want[name] = true
		if *update {
			if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		kept, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(kept), got); diff != "" {
			t.Errorf("%s is another page; if it should be, run with -update (-want +got):\n%s", s.Name, diff)
		}
	}
	files, err := filepath.Glob("testdata/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !want[f] {
			t.Errorf("%s is of no page", f)
		}
	}
}

// onward are the pages after which the browser may go on to an application.
var onward = []string{"sign-in", "sign-in-wrong", "one-time-code", "one-time-code-recovery", "new-password-must", "choose-account", "form-post"}

func TestThePolicyLetsThePageHaveItsStyleAndNothingElse(t *testing.T) {
	for _, s := range pagestest.Samples(pagestest.Plain) {
		w := render(s.Page)
		_, style := split(t, w.Body.String())
		sum := sha256.Sum256([]byte(style))
		to := "'self'"
		if slices.Contains(onward, s.Name) {
			to += " https://console.corp.example"
		}
		want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; img-src data:; form-action " + to + "; base-uri 'none'; frame-ancestors 'none'"
		if got := w.Header().Get("Content-Security-Policy"); got != want {
			t.Errorf("%s: policy %s, want %s", s.Name, got, want)
		}
		for name, want := range map[string]string{
			"Content-Type": "text/html; charset=utf-8", "Content-Length": strconv.Itoa(w.Body.Len()), "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "same-origin", "Cache-Control": "no-store", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s: %s, want %s", s.Name, name, got, want)
			}
		}
		if got := w.Header().Get("Permissions-Policy"); !strings.Contains(got, "camera=()") {
			t.Errorf("%s: Permissions-Policy: %s", s.Name, got)
		}
	}
}

// element is what a page is made of: a tag with the names of its attributes.
type element struct {
	Tag   string
	Names []string
}

// written are the elements as they stand in a page, and what is wrong with how
// they are nested.
func written(t *testing.T, page string) (all []element) {
	t.Helper()
	var open []string
	for z := html.NewTokenizer(strings.NewReader(page)); ; {
		kind := z.Next()
		token := z.Token()
		switch kind {
		case html.ErrorToken:
			if len(open) > 0 {
				t.Errorf("%v are not closed", open)
			}
			return all
		case html.StartTagToken:
			e := element{Tag: token.Data}
			for _, a := range token.Attr {
				e.Names = append(e.Names, a.Key)
			}
			all = append(all, e)
			if !slices.Contains([]string{"meta", "link", "input", "br", "img"}, token.Data) {
				open = append(open, token.Data)
			}
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != token.Data {
				t.Fatalf("</%s> closes %v", token.Data, open)
			}
			open = open[:len(open)-1]
		case html.SelfClosingTagToken, html.CommentToken:
			t.Errorf("%s does not belong here", token)
		}
	}
}

// tree are the nodes of a page as a browser understands it.
func tree(t *testing.T, page string) (all []*html.Node) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			all = append(all, n)
		}
	}
	return all
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

func text(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return strings.TrimSpace(b.String())
}

// check says what is wrong with a page.
func check(t *testing.T, page string) {
	t.Helper()
	nodes := tree(t, page)
	var understood []element
	for _, n := range nodes {
		e := element{Tag: n.Data}
		for _, a := range n.Attr {
			e.Names = append(e.Names, a.Key)
		}
		understood = append(understood, e)
	}
	if diff := cmp.Diff(written(t, page), understood); diff != "" {
		t.Errorf("a browser has to mend the page (-written +understood):\n%s", diff)
	}

	count, ids := map[string]int{}, map[string]*html.Node{}
	for _, n := range nodes {
		count[n.Data]++
		if id := attr(n, "id"); has(n, "id") {
			if id == "" || ids[id] != nil {
				t.Errorf("id %q is there twice, or empty", id)
			}
			ids[id] = n
		}
	}
	for _, once := range []string{"html", "head", "title", "style", "body", "header", "main", "h1"} {
		if count[once] != 1 {
			t.Errorf("%d %s elements", count[once], once)
		}
	}
	labels, focus := map[string]string{}, 0
	for _, n := range nodes {
		if n.Data == "label" {
			labels[attr(n, "for")] = text(n)
		}
	}
	for _, n := range nodes {
		for _, a := range n.Attr {
			switch {
			case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "srcdoc", a.Key == "ping", a.Key == "target", strings.Contains(a.Val, "ZgotmplZ"):
				t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
			case a.Key == "src", a.Key == "href" && n.Data == "link":
				if !strings.HasPrefix(a.Val, "data:image/svg+xml;base64,") && a.Val != "data:," {
					t.Errorf("<%s> fetches %q", n.Data, a.Val)
				}
			case a.Key == "href", a.Key == "action" && a.Val != "https://console.corp.example/signed-in":
				if !strings.HasPrefix(a.Val, "/") || strings.HasPrefix(a.Val, "//") {
					t.Errorf("<%s> leads to %q", n.Data, a.Val)
				}
			case a.Key == "aria-describedby", a.Key == "aria-labelledby", a.Key == "for":
				for id := range strings.FieldsSeq(a.Val) {
					if ids[id] == nil {
						t.Errorf("<%s %s> names %q, which is not there", n.Data, a.Key, id)
					}
				}
			case a.Key == "autofocus":
				focus++
			}
		}
		switch n.Data {
		case "script", "iframe", "object", "embed", "base", "svg", "noscript", "template":
			t.Errorf("there is a %s", n.Data)
		case "html":
			if attr(n, "lang") != "en" {
				t.Error("the page names no language")
			}
		case "form":
			if attr(n, "method") != "post" {
				t.Errorf("a form by %q", attr(n, "method"))
			}
		case "input":
			if attr(n, "type") != "hidden" && !has(n, "hidden") && (labels[attr(n, "id")] == "" || attr(n, "autocomplete") == "") {
				t.Errorf("input %q has no label, or autocomplete is left to the browser", attr(n, "name"))
			}
		case "button", "a", "h1", "h2", "label", "title", "th", "summary":
			if text(n) == "" {
				t.Errorf("<%s> says nothing", n.Data)
			}
		case "img":
			if attr(n, "alt") == "" || attr(n, "width") == "" || attr(n, "height") == "" {
				t.Error("an image without a text or size of its own")
			}
		}
	}
	if focus > 1 {
		t.Errorf("the cursor stands at %d places", focus)
	}
}

func TestPagesAreSoundWithoutScript(t *testing.T) {
	for _, s := range pagestest.Samples(pagestest.Plain) {
		t.Run(s.Name, func(t *testing.T) { check(t, render(s.Page).Body.String()) })
	}
}

func TestFormsTakeAlongWhatTheyWereGiven(t *testing.T) {
	for _, s := range pagestest.Samples(pagestest.Plain) {
		for _, n := range tree(t, render(s.Page).Body.String()) {
			if n.Data != "form" || s.Name == "form-post" {
				continue
			}
			got := map[string]string{}
			for c := range n.Descendants() {
				if c.Data == "input" && attr(c, "type") == "hidden" {
					got[attr(c, "name")] = attr(c, "value")
				}
			}
			delete(got, pages.FieldSession)
			if diff := cmp.Diff(map[string]string{"state": "k2T9v0", "guard": "Qm4xw7"}, got); diff != "" || attr(n, "action") != "/corp.example/signin" {
				t.Errorf("%s: a form to %s takes along (-want +got):\n%s", s.Name, attr(n, "action"), diff)
			}
		}
	}
}

// Where there is a problem the cursor stands at it, and whoever hears the page
// hears it there.
func TestProblemsAreMet(t *testing.T) {
	for _, c := range []struct{ page, at, described string }{
		{"sign-in", "username", ""},
		{"sign-in-wrong", "password", "problem"},
		{"sign-in-slow", "problem", ""},
		{"one-time-code", "code", "code-hint"},
		{"one-time-code-recovery", "recovery", "problem recovery-hint"},
		{"new-password", "password", ""},
		{"new-password-must", "new_password_again", "problem"},
		{"device-code", "user_code", "user_code-hint"},
		{"device-code-wrong", "user_code", "problem user_code-hint"},
		{"two-step-setup", "", ""},
		{"two-step-setup-typed", "code", "problem code-hint"},
		{"device-confirm", "", ""},
	} {
		at := slices.IndexFunc(pagestest.Samples(pagestest.Plain), func(s pagestest.Sample) bool { return s.Name == c.page })
		nodes := tree(t, render(pagestest.Samples(pagestest.Plain)[at].Page).Body.String())
		got, described, wrong := "", "", false
		for _, n := range nodes {
			if has(n, "autofocus") {
				got, described, wrong = attr(n, "id"), attr(n, "aria-describedby"), attr(n, "aria-invalid") == "true"
			}
			if n.Data == "details" && has(n, "open") != (c.at == "recovery") {
				t.Errorf("%s: the recovery code's form is open: %t", c.page, has(n, "open"))
			}
		}
		if got != c.at || described != c.described || wrong != strings.HasPrefix(c.described, "problem") {
			t.Errorf("%s: the cursor stands at %q, described by %q, wrong: %t; want %q, %q", c.page, got, described, wrong, c.at, c.described)
		}
	}
}

// shape are the elements of all pages with a text.
func shape(t *testing.T, text pagestest.Text) map[string][]element {
	t.Helper()
	all := map[string][]element{}
	for _, s := range pagestest.Samples(text) {
		all[s.Name] = written(t, render(s.Page).Body.String())
	}
	return all
}

func TestHostileTextIsText(t *testing.T) {
	if diff := cmp.Diff(shape(t, pagestest.Plain), shape(t, pagestest.Hostile)); diff != "" {
		t.Errorf("hostile text changes pages (-plain +hostile):\n%s", diff)
	}
	for _, s := range pagestest.Samples(pagestest.Hostile) {
		page := render(s.Page).Body.String()
		t.Run(s.Name, func(t *testing.T) { check(t, page) })
		if strings.ContainsAny(page, "\u202e\u202d\u2067\x00\x1b") {
			t.Errorf("%s has characters that order others about", s.Name)
		}
		for _, n := range tree(t, page) {
			if n.Data == "title" && (strings.Contains(text(n), "alert") || strings.Contains(text(n), "live")) {
				t.Errorf("%s: the title %q has a text of somebody else", s.Name, text(n))
			}
			if n.Data == "input" && attr(n, "name") == pages.FieldUser && has(n, "value") && attr(n, "value") != pagestest.Hostile.Principal {
				t.Errorf("%s: the user name comes back as %q", s.Name, attr(n, "value"))
			}
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("Ann", "console")
	f.Add(`"'><script>`, "javascript:alert(1)")
	f.Add("</bdi></style>\u202e\x00", "{{.}}\xff<!--")
	var want map[string][]element
	f.Fuzz(func(t *testing.T, one, other string) {
		if one == "" || other == "" {
			return // what is empty is left out of some pages
		}
		if want == nil {
			want = shape(t, pagestest.Plain)
		}
		got := shape(t, pagestest.Text{Tenant: one, Application: other, Name: one, Principal: other, Group: one, Agent: other, Address: one})
		if !reflect.DeepEqual(got, want) {
			t.Errorf("text changes pages (-plain +got):\n%s", cmp.Diff(want, got))
		}
	})
}

// An answer that an application takes as a form goes to no address that runs.
func TestAFormGoesToNoScript(t *testing.T) {
	for _, to := range []string{"javascript:alert(1)", "data:text/html,x", "vbscript:x", " javascript:x"} {
		w := render(pages.FormPost{Application: "x", Redirect: to})
		if body, _ := split(t, w.Body.String()); !strings.Contains(body, `action="#ZgotmplZ"`) || !strings.Contains(w.Header().Get("Content-Security-Policy"), "form-action 'self';") {
			t.Errorf("%s: %s %s", to, w.Header(), body)
		}
	}
}

var atLeast = regexp.MustCompile(`At least (\d+) characters`)

// What the page says of passwords is what is asked of them.
func TestRulesOfPasswordsAreTheRules(t *testing.T) {
	page := render(pages.NewPassword{Principal: "ann@corp.example"}).Body.String()
	m := atLeast.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("the page does not say how long a password is: %s", page)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	long := "vexing plum harbor quilt otter"
	if err := credential.CheckPassword(long[:n], "ann@corp.example"); err != nil {
		t.Errorf("a password of %d characters: %v", n, err)
	}
	for _, p := range []string{long[:n-1], "ann@corp.example 7 vexing", "48102957361048", "qwertyuiop[]", "plumplumplumplum", "password1234"} {
		if credential.CheckPassword(p, "ann@corp.example") == nil {
			t.Errorf("%q is taken", p)
		}
	}
}
