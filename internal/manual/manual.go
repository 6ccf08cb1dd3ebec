// Package manual shows the description of the API to whoever asks: as YAML, as
// JSON, and as a page for people, at /docs/.
//
// All of it is public and says nothing of the installation but the base URL that
// the request came to, which stands in the document in the place of the one
// there, so that what is copied from an example works. The page is made when the
// server starts, once for each base URL: plain HTML with a style sheet, no
// script, nothing from elsewhere.
package manual

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"swab/api"
	"swab/internal/origin"
)

// Config is what the manual is put together from.
type Config struct {
	Origin *origin.Set
	Now    func() time.Time

	// Observe is told of each answer, for metrics: method and path ("" for what
	// there is not), the status, and how long it took. nil for nobody.
	Observe func(method, route string, status int, took time.Duration)
}

// Manual is the handler of everything under /docs.
type Manual struct {
	Config
	files map[string]map[string]file // by base URL and path
}

// file is what stands at one address.
type file struct {
	media string
	etag  string
	data  []byte
}

// Addresses of the manual.
const (
	root      = "/docs"
	pagePath  = root + "/"
	yamlPath  = root + "/openapi.yaml"
	jsonPath  = root + "/openapi.json"
	stylePath = root + "/manual.css"
)

// New makes the manual. An error is a document that can't be shown.
func New(c Config) (*Manual, error) {
	m := &Manual{Config: c, files: map[string]map[string]file{}}
	for _, base := range c.Origin.Bases() {
		text := strings.ReplaceAll(api.Document(), api.Base, base)
		doc, err := read(text)
		if err != nil {
			return nil, err
		}
		page, err := doc.page(base)
		if err != nil {
			return nil, err
		}
		m.files[base] = map[string]file{
			pagePath:  newFile("text/html; charset=utf-8", page),
			yamlPath:  newFile("application/yaml; charset=utf-8", []byte(text)),
			jsonPath:  newFile("application/json", doc.root.json()),
			stylePath: newFile("text/css; charset=utf-8", style),
		}
	}
	return m, nil
}

func newFile(media string, data []byte) file {
	sum := sha256.Sum256(data)
	return file{media, `"` + base64.RawURLEncoding.EncodeToString(sum[:18]) + `"`, data}
}

// Serves says whether a request is for this handler.
func Serves(r *http.Request) bool {
	return r.URL.Path == root || strings.HasPrefix(r.URL.Path, pagePath)
}

// policy lets a page have its style sheet and nothing else.
const policy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// methods are those that every address takes.
var methods = []string{http.MethodGet, http.MethodHead}

// ServeHTTP answers a request for one of the addresses.
func (m *Manual) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := m.Now()
	h := w.Header()
	h.Set("request-id", uuid.NewString())
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	route, method, status := r.URL.Path, r.Method, 0
	if !slices.Contains(methods, method) {
		method = "" // no caller makes a name of its own in the metrics
	}
	switch f, ok := m.files[m.Origin.Base(r)][r.URL.Path]; {
	case !ok && r.URL.Path != root:
		route, status = "", refuse(w, r, http.StatusNotFound, "There is nothing at this address.")
	case method == "":
		h.Set("Allow", strings.Join(methods, ", "))
		status = refuse(w, r, http.StatusMethodNotAllowed, "This address is for reading alone.")
	case !ok:
		status = http.StatusPermanentRedirect
		h.Set("Location", pagePath)
		w.WriteHeader(status)
	default:
		status = f.send(w, r)
	}
	if m.Observe != nil {
		m.Observe(method, route, status, m.Now().Sub(begun))
	}
}

// send answers with a file, or that it is still the one that the caller has.
func (f file) send(w http.ResponseWriter, r *http.Request) int {
	h := w.Header()
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", "no-cache") // to be kept, and asked about each time
	for tag := range strings.SplitSeq(strings.Join(r.Header.Values("If-None-Match"), ","), ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == f.etag {
			w.WriteHeader(http.StatusNotModified)
			return http.StatusNotModified
		}
	}
	return write(w, r, http.StatusOK, f.media, f.data)
}

// refuse answers that there is nothing to read, for people.
func refuse(w http.ResponseWriter, r *http.Request, status int, text string) int {
	var page bytes.Buffer
	// The texts are our own.
	fmt.Fprintf(&page, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>%[1]s</title>\n"+
		"<link rel=\"stylesheet\" href=\"%[2]s\">\n<main><h1>%[1]s</h1>\n<p>%[3]s The manual is at <a href=\"%[4]s\">%[4]s</a>.</p></main>\n</html>\n",
		http.StatusText(status), stylePath, text, pagePath)
	w.Header().Set("Cache-Control", "no-store")
	return write(w, r, status, "text/html; charset=utf-8", page.Bytes())
}

func write(w http.ResponseWriter, r *http.Request, status int, media string, data []byte) int {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(data) // an error here is a caller that went away
	}
	return status
}
