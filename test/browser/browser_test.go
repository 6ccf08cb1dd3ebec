// Package browser looks at the server's pages in a real browser.
package browser

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"swab/internal/manual"
	"swab/internal/origin"
	"swab/test/visitor"
)

// serve serves the manual, and returns its address.
func serve(t *testing.T) string {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	base := "http://" + s.Listener.Addr().String()
	set, err := origin.New([]string{base}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := manual.New(manual.Config{Origin: set, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	s.Config.Handler = m
	s.Start()
	t.Cleanup(s.Close)
	return base + "/docs/"
}

// axe is the script that judges pages.
func axe(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatalf("pages are judged by axe-core; test/deps installs it: %v", err)
	}
	return string(script)
}

// judge is what axe finds, a line each, as a promise.
const judge = `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.flatMap(v =>
  v.nodes.map(n => v.id + ": " + v.help + ": " + n.html.slice(0, 120))))`

func TestTheManualCanBeReadByEveryone(t *testing.T) {
	axe, address := axe(t), serve(t)
	ctx := visitor.Chromium(t)
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{360, 1500} {
			name := fmt.Sprintf("%s, %d wide", scheme, width)
			found, err := look(ctx, address, axe, scheme, width)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, f := range found {
				t.Errorf("%s: %s", name, f)
			}
			wide, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.scrollingElement.scrollWidth > innerWidth`))
			if err != nil || wide {
				t.Errorf("%s: the page is wider than the window: %t, %v", name, wide, err)
			}
			ground, err := chromedp.Run(ctx, chromedp.Evaluate[string](`getComputedStyle(document.body).backgroundColor`))
			if want := map[string]string{"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]; err != nil || ground != want {
				t.Errorf("%s: the ground is %s, %v; want %s of the style sheet", name, ground, err, want)
			}
		}
	}
}

// look opens a page and returns what axe finds.
func look(ctx context.Context, address, axe, scheme string, width int64) ([]string, error) {
	err := chromedp.Do(ctx,
		chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
			})
			return err
		}),
		chromedp.EmulateViewport(width, 900),
		chromedp.Navigate(address),
		chromedp.Evaluate[chromedp.Void](axe),
	)
	if err != nil {
		return nil, err
	}
	return chromedp.Run(ctx, chromedp.Evaluate[[]string](judge, chromedp.EvalAwaitPromise))
}

// A page whose faults are told is what makes the test above one that can fail.
func TestAPageWithFaultsIsTold(t *testing.T) {
	found, err := look(visitor.Chromium(t), "data:text/html,<img src=x><p style=color:%23ccc>pale</p>", axe(t), "light", 800)
	if all := strings.Join(found, "\n"); err != nil || !strings.Contains(all, "image-alt") || !strings.Contains(all, "color-contrast") {
		t.Errorf("%v, %s", err, all)
	}
}
