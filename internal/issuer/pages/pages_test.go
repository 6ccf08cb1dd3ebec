package pages_test

import (
	"crypto/sha256"
	"encoding/base64"
	"flag"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

func TestPagesAreTheGoldenOnes(t *testing.T) {
	for _, s := range pagestest.Samples(pagestest.Plain) {
		got, _ := split(t, render(s.Page).Body.String())
		name := filepath.Join("testdata", s.Name+".html")
		if *update {
			if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s is another page; if it should be, run with -update (-want +got):\n%s", s.Name, diff)
		}
	}
}

func TestThePolicyLetsThePageHaveItsStyleAndNothingElse(t *testing.T) {
	for _, s := range pagestest.Samples(pagestest.Plain) {
		w := render(s.Page)
		_, style := split(t, w.Body.String())
		sum := sha256.Sum256([]byte(style))
		want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; "
		if got := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: policy %s, want %s…", s.Name, got, want)
		}
	}
}
