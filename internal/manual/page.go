package manual

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/url"
	"strings"
)

//go:embed page.html
var pageText string

//go:embed manual.css
var style []byte

// page is all that the page shows.
type page struct {
	Base, Title, Summary string
	Intro                template.HTML
	Sections             []section
	Shared               []answer
	Schemas              []schema
}

// section is the operations of one kind.
type section struct {
	Name, Slug string
	Text       template.HTML
	Operations []operation
}

type operation struct {
	ID, Method, Path, Summary string
	Text                      template.HTML
	Permissions               []string // one of which is needed
	Open                      bool     // needs no token
	Parameters                []parameter
	Body                      *body
	Curl                      string
	Answers                   []answer
}

type parameter struct {
	row
	In string // path, query or header
}

type body struct {
	Media  string
	Schema template.HTML
}

// answer is what a request may come to.
type answer struct {
	Status  string
	Shared  string // the name of the answer, where many operations have it
	Text    template.HTML
	Headers []row
	Media   []string
	Schema  template.HTML
	Codes   []string // what error.code may be
	Example string
}

// page is the document as HTML.
func (d *document) page(base string) ([]byte, error) {
	info := d.root.get("info")
	p := page{Base: base, Title: info.get("title").text(), Summary: info.get("summary").text(), Intro: prose(info.get("description").text()), Schemas: d.schemas()}
	for _, tag := range d.root.get("tags").items() {
		name := tag.get("name").text()
		p.Sections = append(p.Sections, section{
			Name: name, Slug: strings.ReplaceAll(strings.ToLower(name), " ", "-"), Text: prose(tag.get("description").text()), Operations: d.operations(base, name),
		})
	}
	for name, a := range d.root.get("components", "responses").pairs() {
		shown := d.answer("", a)
		shown.Shared = name
		p.Shared = append(p.Shared, shown)
	}
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, p)
	return out.Bytes(), err
}

func (d *document) operations(base, tag string) []operation {
	var all []operation
	for path, item := range d.root.get("paths").pairs() {
		for method, o := range item.pairs() {
			if words(o.get("tags"))[0] == tag {
				all = append(all, d.operation(base, path, strings.ToUpper(method), o))
			}
		}
	}
	return all
}

func (d *document) operation(base, path, method string, o node) operation {
	shown := operation{
		ID: o.get("operationId").text(), Method: method, Path: path, Summary: o.get("summary").text(),
		Text: prose(o.get("description").text()), Open: true,
	}
	for _, way := range o.get("security").items() {
		if permissions := way.get("token"); permissions.is() {
			shown.Open = false
			shown.Permissions = append(shown.Permissions, words(permissions)...)
		}
	}
	for _, ref := range o.get("parameters").items() {
		p, _ := d.follow(ref)
		shown.Parameters = append(shown.Parameters, parameter{
			row{p.get("name").text(), d.typeOf(p.get("schema")), p.get("required").text() == "true", prose(p.get("description").text())}, p.get("in").text(),
		})
	}
	for media, content := range o.get("requestBody", "content").pairs() {
		shown.Body = &body{media, d.typeOf(content.get("schema"))}
	}
	for status, ref := range o.get("responses").pairs() {
		a, name := d.follow(ref)
		one := d.answer(status, a)
		if one.Shared = name; name != "" {
			one = answer{Status: status, Shared: name, Text: one.Text}
		}
		shown.Answers = append(shown.Answers, one)
	}
	shown.Curl = d.curl(base, path, method, o, shown.Open)
	return shown
}

func (d *document) answer(status string, a node) answer {
	shown := answer{Status: status, Text: prose(a.get("description").text())}
	for name, ref := range a.get("headers").pairs() {
		if name == "request-id" {
			continue // every answer has it
		}
		h, _ := d.follow(ref)
		shown.Headers = append(shown.Headers, row{Name: name, Text: prose(h.get("description").text())})
	}
	for media, content := range a.get("content").pairs() {
		shown.Media = append(shown.Media, media)
		if s := content.get("schema"); s.is() {
			shown.Schema = d.typeOf(s)
			shown.Codes = words(s.get("properties", "error", "properties", "code", "enum"))
		}
		if example := content.get("example"); example.is() {
			shown.Example = string(example.json())
		}
	}
	return shown
}

// curl is an operation's example as a command that a shell takes.
func (d *document) curl(base, path, method string, o node, open bool) string {
	sign := "?"
	for _, ref := range o.get("parameters").items() {
		p, _ := d.follow(ref)
		name, value := p.get("name").text(), p.get("example")
		switch {
		case !value.is():
		case p.get("in").text() == "path":
			path = strings.ReplaceAll(path, "{"+name+"}", value.text())
		case p.get("in").text() == "query":
			path += sign + name + "=" + url.QueryEscape(value.text())
			sign = "&"
		}
	}
	parts := []string{"curl"}
	if method != "GET" && !o.get("requestBody").is() || method == "PATCH" {
		parts[0] += " -X " + method
	}
	parts[0] += " " + shell(base+path)
	if !open {
		parts = append(parts, `-H "Authorization: Bearer $TOKEN"`)
	}
	for media, content := range o.get("requestBody", "content").pairs() {
		if media == "application/x-www-form-urlencoded" {
			for name, value := range content.get("example").pairs() {
				parts = append(parts, "--data-urlencode "+shell(name+"="+value.text()))
			}
			continue
		}
		parts = append(parts, "-H "+shell("Content-Type: "+media), "-d "+shell(string(content.get("example").json())))
	}
	if strings.HasPrefix(path, "/packages/") || strings.Contains(path, "/attempts/") {
		parts = append(parts, "-OJ") // into a file of the name that the server gives
	}
	return strings.Join(parts, " \\\n  ")
}

// shell is a word that a shell takes as it is.
func shell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
