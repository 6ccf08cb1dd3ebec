package browser

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"swab/internal/issuer/pages"
	"swab/internal/issuer/pages/pagestest"
	"swab/test/visitor"
)

// show serves pages, each at its name, and returns the address of all.
func show(t *testing.T, samples []pagestest.Sample) string {
	t.Helper()
	mux := http.NewServeMux()
	for _, s := range samples {
		mux.HandleFunc("GET /"+s.Name, func(w http.ResponseWriter, _ *http.Request) { pages.Render(w, http.StatusOK, s.Page) })
	}
	s := httptest.NewTLSServer(mux)
	t.Cleanup(s.Close)
	return s.URL + "/"
}

// console keeps what the browser complains of: a policy that was broken, a script
// that failed, an address that wasn't there.
type console struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{} // closed, and made anew, at each line
}

func listen(ctx context.Context, t *testing.T) *console {
	t.Helper()
	c := &console{more: make(chan struct{})}
	err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *log.EventEntryAdded:
			c.add(fmt.Sprintf("%s: %s", e.Entry.Level, e.Entry.Text))
		case *runtime.EventExceptionThrown:
			c.add("exception: " + e.ExceptionDetails.Text)
		case *runtime.EventConsoleAPICalled:
			c.add("console: " + string(e.Type))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *console) add(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, line)
	close(c.more)
	c.more = make(chan struct{})
}

// wait returns when the browser has complained of something.
func (c *console) wait(ctx context.Context, of string) error {
	for {
		c.mu.Lock()
		heard := slices.ContainsFunc(c.lines, func(line string) bool { return strings.Contains(line, of) })
		more := c.more
		c.mu.Unlock()
		if heard {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("the browser complained of %q; want %s", c.drain(), of)
		}
	}
}

// drain returns what there was since it was last asked.
func (c *console) drain() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := c.lines
	c.lines = nil
	return lines
}

// front lets the page believe that its window is the one that is typed into, or
// no cursor would show.
func front(ctx context.Context, t *chromedp.Target) error {
	_, err := cdp.Call(ctx, t, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	return err
}

// controls are what the keyboard must reach, in the order of the page.
const controls = `[...document.querySelectorAll("a[href], button, input:not([type=hidden]), summary")].filter(e => e.checkVisibility())`

// standing is the number of the control where the cursor stands, and whether one
// sees that it does.
const standing = `(e => ({at: ` + controls + `.indexOf(e), seen: getComputedStyle(e).outlineStyle == "solid" && parseFloat(getComputedStyle(e).outlineWidth) >= 2}))(document.activeElement)`

// settled is a promise that the cursor stands where the page wants it, which it
// does only when the page has been drawn.
const settled = `new Promise(done => {
  const wanted = document.querySelector("[autofocus]"), look = () => !wanted || document.activeElement == wanted ? done(true) : requestAnimationFrame(look);
  look();
})`

// settle waits until the cursor stands where the page wants it.
func settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](settled, chromedp.EvalAwaitPromise)); err != nil {
		return fmt.Errorf("the cursor does not stand where the page wants it: %w", err)
	}
	return nil
}

type stand struct {
	At   int  `json:"at"`
	Seen bool `json:"seen"`
}

// walk goes over a page by Tab, back to the first control and on to the last, and
// returns what is wrong.
func walk(ctx context.Context) error {
	if err := settle(ctx); err != nil {
		return err
	}
	n, err := chromedp.Run(ctx, chromedp.Evaluate[int](controls+".length"))
	if err != nil {
		return err
	}
	at, err := chromedp.Run(ctx, chromedp.Evaluate[stand](standing))
	if err != nil {
		return err
	}
	step := func(to int, options ...chromedp.KeyOption) error {
		if err := chromedp.Do(ctx, chromedp.KeyEvent(kb.Tab, options...)); err != nil {
			return err
		}
		now, err := chromedp.Run(ctx, chromedp.Evaluate[stand](standing))
		if err == nil && (now.At != to || !now.Seen) {
			err = fmt.Errorf("Tab leads from control %d of %d to %d, and that is seen: %t; want %d", at.At, n, now.At, now.Seen, to)
		}
		at = now
		return err
	}
	for to := at.At - 1; to >= 0; to-- {
		if err := step(to, chromedp.KeyModifiers(chromedp.ModifierShift)); err != nil {
			return err
		}
	}
	for to := at.At + 1; to < n; to++ {
		if err := step(to); err != nil {
			return err
		}
	}
	return nil
}

func TestPagesCanBeUsedByEveryone(t *testing.T) {
	axe := axe(t)
	samples := pagestest.Samples(pagestest.Plain)
	for _, s := range pagestest.Samples(pagestest.Hostile) {
		samples = append(samples, pagestest.Sample{Name: "hostile-" + s.Name, Page: s.Page})
	}
	address := show(t, samples)
	ctx := visitor.Chromium(t)
	heard := listen(ctx, t)
	if err := chromedp.Do(ctx, chromedp.Func(front)); err != nil {
		t.Fatal(err)
	}
	for _, s := range samples {
		schemes := []string{"light", "dark"}
		if strings.HasPrefix(s.Name, "hostile-") {
			schemes = schemes[:1] // text changes no colour
		}
		for _, scheme := range schemes {
			for _, width := range []int64{360, 1280} {
				name := fmt.Sprintf("%s, %s, %d wide", s.Name, scheme, width)
				found, err := look(ctx, address+s.Name, axe, scheme, width)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				for _, f := range append(found, heard.drain()...) {
					t.Errorf("%s: %s", name, f)
				}
				wide, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.scrollingElement.scrollWidth > innerWidth`))
				if err != nil || wide {
					t.Errorf("%s: the page is wider than the window: %t, %v", name, wide, err)
				}
				keep(ctx, t, fmt.Sprintf("%s-%s-%d.png", s.Name, scheme, width))
				if scheme == "dark" {
					continue
				}
				if err := walk(ctx); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}

// keep writes a picture of the page to the folder PAGES_OUT, if there is one, for
// a person to look at.
func keep(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("PAGES_OUT")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Chromium holds the redirects of a form's answer against the policy of the page
// that the form stood in.
func TestAFormLeadsWhereItsPageSaysAndNowhereElse(t *testing.T) {
	arrived := make(chan string, 1)
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/signed-in" {
			arrived <- r.URL.RawQuery
		}
	}))
	t.Cleanup(application.Close)
	answers := make(chan *http.Request, 1)
	var page pages.SignIn
	mux := http.NewServeMux()
	mux.HandleFunc("GET /signin", func(w http.ResponseWriter, _ *http.Request) { pages.Render(w, http.StatusOK, page) })
	mux.HandleFunc("POST /signin", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		answers <- r
		http.Redirect(w, r, "/onward", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /onward", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, application.URL+"/signed-in?code=1", http.StatusFound)
	})
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	ctx := visitor.Chromium(t)
	heard := listen(ctx, t)
	page = pages.SignIn{
		Form: pages.Form{Action: "/signin", Hidden: []pages.Field{{Name: "state", Value: "a&b"}}, Redirect: application.URL + "/signed-in"}, Principal: "ann@corp.example",
	}
	// The cursor stands in the password's field, so that one types and is done.
	filled := func() chromedp.Action[chromedp.Void] {
		t.Helper()
		if err := chromedp.Do(ctx, chromedp.Navigate(server.URL+"/signin")); err != nil {
			t.Fatal(err)
		}
		if err := settle(ctx); err != nil {
			t.Fatal(err)
		}
		return chromedp.KeyEvent("secret" + kb.Enter)
	}
	if _, err := chromedp.RunResponse(ctx, filled()); err != nil {
		t.Fatalf("the browser did not reach the application: %v, %q", err, heard.drain())
	}
	if query := <-arrived; query != "code=1" {
		t.Errorf("the application got %q", query)
	}
	r := <-answers
	want := url.Values{"state": {"a&b"}, pages.FieldUser: {"ann@corp.example"}, pages.FieldPassword: {"secret"}}
	if diff := cmp.Diff(want, r.PostForm); diff != "" || r.Header.Get("Origin") != server.URL {
		t.Errorf("from %q came (-want +got):\n%s", r.Header.Get("Origin"), diff)
	}

	page.Redirect = "https://other.example/"
	if err := chromedp.Do(ctx, filled()); err != nil {
		t.Fatal(err)
	}
	<-answers
	if err := heard.wait(ctx, "form-action"); err != nil {
		t.Error(err)
	}
	select {
	case query := <-arrived:
		t.Errorf("a page that names another application led to this one: %s", query)
	default:
	}
}

// A complaint that is heard is what makes the test above one that can fail.
func TestAPageThatBreaksItsPolicyIsHeard(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		fmt.Fprint(w, `<!doctype html><p style="color: red">red</p>`)
	}))
	t.Cleanup(s.Close)
	ctx := visitor.Chromium(t)
	heard := listen(ctx, t)
	if err := chromedp.Do(ctx, chromedp.Navigate(s.URL)); err != nil {
		t.Fatal(err)
	}
	if err := heard.wait(ctx, "Content Security Policy"); err != nil {
		t.Error(err)
	}
}

func TestRecoveryCodesCanBePrinted(t *testing.T) {
	address := show(t, pagestest.Samples(pagestest.Plain))
	ctx := visitor.Chromium(t)
	err := chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Media: "print", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
		})
		return err
	}), chromedp.Navigate(address+"recovery-codes"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`getComputedStyle(document.body).backgroundColor + "\n" + document.body.innerText`))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"rgb(255, 255, 255)", "Swab", "ann@corp.example", "2b7kq9xw-n4cr8mte", "y5df4hjz-3pua6gsk"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not on paper: %s", want, text)
		}
	}
	if strings.Contains(text, "I have kept them") {
		t.Error("a button is on paper")
	}
}
