package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

//go:embed templates
var files embed.FS

//go:embed pages.css
var style string

// styleHash names the style in a policy. The hash is of what stands between the
// tags, byte for byte.
var styleHash = func() string {
	sum := sha256.Sum256([]byte(style))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}()

// frame has what all pages share.
var frame = template.Must(template.New("frame.html").Funcs(template.FuncMap{
	"apart": apart, "moment": moment, "ago": ago, "image": image, "program": program,
	"style": func() template.CSS { return template.CSS(style) },
}).ParseFS(files, "templates/frame.html"))

// parse reads the template of one page.
func parse(name string) *template.Template {
	return template.Must(template.Must(frame.Clone()).ParseFS(files, "templates/"+name+".html"))
}

// view is a page as its template sees it.
type view struct {
	template  *template.Template
	redirects []string // addresses that its forms may lead to

	Title   string // the heading
	Tenant  string
	Wide    bool // it has more than a form
	Problem Problem
	Fields  map[string]field // by name
	Page    any
}

// field is an input that a person fills in.
type field struct {
	Name, Label, Hint, Value string
	Type, Autocomplete, Mode string // attributes of those names; Mode is inputmode
	Described                string // id of what else describes it
	Focus                    bool   // the cursor stands here when the page opens
	Wrong                    bool   // the page's problem is about it
}

// Describers are the ids of what describes the field, what is wrong first.
func (f field) Describers() string {
	var ids []string
	if f.Wrong {
		ids = append(ids, "problem")
	}
	if f.Hint != "" {
		ids = append(ids, f.Name+"-hint")
	}
	if f.Described != "" {
		ids = append(ids, f.Described)
	}
	return strings.Join(ids, " ")
}

// fields puts the cursor where the problem is, else into the first field that is
// empty. Where the problem is about no field, the page's template puts it there.
func (v view) fields(all ...field) view {
	v.Fields = map[string]field{}
	focus := -1
	for i, f := range all {
		if f.Name == v.Problem.Field && v.Problem.Text != "" {
			all[i].Wrong, focus = true, i
			break
		}
		if focus < 0 && f.Value == "" && v.Problem.Text == "" {
			focus = i
		}
	}
	for i, f := range all {
		f.Focus = i == focus
		v.Fields[f.Name] = f
	}
	return v
}

// AtProblem says whether the cursor stands at the problem's text.
func (v view) AtProblem() bool {
	for _, f := range v.Fields {
		if f.Wrong {
			return false
		}
	}
	return true
}

// allowed are the powers of a page: none of those that a browser might grant.
const allowed = "camera=(), display-capture=(), fullscreen=(), geolocation=(), microphone=(), payment=(), usb=()"

// Render answers a request with a page. It sets the headers that keep the page
// to itself: nobody may frame it, keep it, or learn from it where the browser
// was. The policy on referrers is same-origin and not no-referrer, under which
// browsers send "Origin: null" with the page's own forms.
func Render(w http.ResponseWriter, status int, p Page) {
	v := p.view()
	v.Page = p
	var out bytes.Buffer
	if err := v.template.Execute(&out, v); err != nil {
		panic(fmt.Sprintf("pages: plain data can't be shown: %v", err))
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(out.Len()))
	h.Set("Content-Security-Policy", policy(v.redirects...))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("Permissions-Policy", allowed)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // an error here is a caller that went away
}

// apart is somebody's text, with a direction of its own and without the
// characters that order others about: controls, and embeddings, overrides and
// isolates of text direction.
func apart(text string) template.HTML {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || '\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069' {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(text, string(unicode.ReplacementChar)))
	return template.HTML("<bdi>" + template.HTMLEscapeString(text) + "</bdi>")
}

// moment is a time in words. Without a script nobody knows where the reader is.
func moment(t time.Time) template.HTML {
	t = t.UTC()
	return template.HTML(t.Format(`<time datetime="2006-01-02T15:04:05Z">2 Jan 2006, 15:04 UTC</time>`))
}

// ago is how long before now something was, in the largest unit that fits.
func ago(t, now time.Time) string {
	d := now.Sub(t)
	for _, unit := range []struct {
		name string
		time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}} {
		switch n := d / unit.Duration; {
		case n == 1:
			return "1 " + unit.name + " ago"
		case n > 1:
			return fmt.Sprintf("%d %ss ago", n, unit.name)
		}
	}
	return "just now"
}

// image is an SVG as an address: as an image it can neither run nor fetch
// anything, whatever it holds.
func image(svg []byte) template.URL {
	return template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(svg))
}
