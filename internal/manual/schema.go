package manual

import (
	"html/template"
	"slices"
	"strings"
)

// row is one property, as a table shows it.
type row struct {
	Name     string
	Type     template.HTML
	Required bool
	Text     template.HTML
}

// schema is one named schema.
type schema struct {
	Name string
	Text template.HTML
	Rows []row
	Type template.HTML // of what has no properties
}

func (d *document) schemas() []schema {
	var all []schema
	for name, s := range d.root.get("components", "schemas").pairs() {
		if strings.HasSuffix(name, "Properties") {
			continue // others are made of it, and shown whole
		}
		shown := schema{Name: name, Text: prose(s.get("description").text()), Rows: d.rows("", s)}
		if shown.Rows == nil {
			shown.Type = d.typeOf(s)
		}
		all = append(all, shown)
	}
	return all
}

// rows are the properties of a schema, its parts and inner objects included.
func (d *document) rows(prefix string, s node) []row {
	var all []row
	required := words(s.get("required"))
	for name, p := range s.get("properties").pairs() {
		all = append(all, row{prefix + name, d.typeOf(p), slices.Contains(required, name), prose(p.get("description").text())})
		switch {
		case p.get("properties").is():
			all = append(all, d.rows(prefix+name+".", p)...)
		case p.get("items", "properties").is():
			all = append(all, d.rows(prefix+name+"[].", p.get("items"))...)
		}
	}
	for _, part := range s.get("allOf").items() {
		of, _ := d.follow(part)
		for _, r := range d.rows(prefix, of) {
			r.Required = r.Required || slices.Contains(required, strings.TrimPrefix(r.Name, prefix))
			all = append(all, r)
		}
	}
	return all
}

func words(list node) []string {
	var all []string
	for _, item := range list.items() {
		all = append(all, item.text())
	}
	return all
}

// typeOf is what a value may be, in words.
func (d *document) typeOf(s node) template.HTML {
	s, name := d.follow(s)
	if name != "" {
		return template.HTML(`<a href="#schema-` + template.HTMLEscapeString(name) + `">` + template.HTMLEscapeString(name) + `</a>`) //nolint:gosec // escaped
	}
	join := func(parts []template.HTML, by string) template.HTML {
		var texts []string
		for _, p := range parts {
			texts = append(texts, string(p))
		}
		return template.HTML(strings.Join(texts, by)) //nolint:gosec // parts are HTML
	}
	var parts []template.HTML
	for _, key := range []string{"oneOf", "anyOf"} {
		for _, one := range s.get(key).items() {
			if one.get("required").is() && !one.get("type").is() {
				continue // says which of the properties, not what
			}
			parts = append(parts, d.typeOf(one))
		}
	}
	for _, one := range s.get("allOf").items() {
		return d.typeOf(one)
	}
	if parts != nil {
		return join(parts, " or ")
	}
	if value := s.get("const"); value.is() {
		return code(value.text())
	}
	if values := s.get("enum").items(); values != nil {
		for _, v := range values {
			parts = append(parts, code(v.text()))
			if v.n.ShortTag() == "!!null" {
				parts[len(parts)-1] = "null"
			}
		}
		return join(parts, ", ")
	}
	types := words(s.get("type"))
	if types == nil {
		types = []string{s.get("type").text()}
	}
	for _, name := range types {
		text := template.HTML(template.HTMLEscapeString(name)) //nolint:gosec // escaped
		switch {
		case name == "array" && s.get("items", "type").text() == "object":
			text = "array of objects"
		case name == "array" && len(s.get("items").n.Content) > 0:
			text = "array of " + d.typeOf(s.get("items"))
		case name == "string" && s.get("format").is():
			text = template.HTML(template.HTMLEscapeString(s.get("format").text())) //nolint:gosec // escaped
		case name == "string" && s.get("contentEncoding").is():
			text = "base64"
		}
		parts = append(parts, text)
	}
	return join(parts, " or ")
}

func code(text string) template.HTML {
	return template.HTML("<code>" + template.HTMLEscapeString(text) + "</code>") //nolint:gosec // escaped
}

// prose is a description as HTML: paragraphs, lists whose lines begin with a
// dash, and code in backticks. One paragraph alone has no tag.
func prose(text string) template.HTML {
	blocks := strings.Split(strings.TrimSpace(text), "\n\n")
	if len(blocks) == 1 {
		return inline(blocks[0])
	}
	var b strings.Builder
	for _, block := range blocks {
		if !strings.HasPrefix(block, "- ") {
			b.WriteString("<p>" + string(inline(block)) + "</p>\n")
			continue
		}
		b.WriteString("<ul>\n")
		for line := range strings.SplitSeq(block, "\n") {
			b.WriteString("<li>" + string(inline(strings.TrimPrefix(line, "- "))) + "</li>\n")
		}
		b.WriteString("</ul>\n")
	}
	return template.HTML(b.String()) //nolint:gosec // made of escaped parts
}

func inline(text string) template.HTML {
	parts := strings.Split(text, "`")
	var b strings.Builder
	for i, p := range parts {
		if i%2 == 1 && i < len(parts)-1 {
			b.WriteString(string(code(p)))
		} else {
			b.WriteString(template.HTMLEscapeString(p))
		}
	}
	return template.HTML(b.String()) //nolint:gosec // made of escaped parts
}
