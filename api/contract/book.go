package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Book is the document as a text that is written again: its examples are what a
// server really answered.
type Book struct {
	contract *Contract
	doc      yaml.Node
}

// Open opens the document for its examples.
func Open(document string) (*Book, error) {
	c, err := Read(document)
	if err != nil {
		return nil, err
	}
	b := &Book{contract: c}
	if err := yaml.Unmarshal([]byte(document), &b.doc); err != nil {
		return nil, err
	}
	return b, nil
}

// String is the document as it is now.
func (b *Book) String() string {
	var out bytes.Buffer
	d, err := yaml.NewDumper(&out, yaml.WithIndent(2), yaml.WithLineWidth(-1), yaml.WithCompactSeqIndent(false))
	if err == nil {
		err = errors.Join(d.Dump(b.doc.Content[0]), d.Close())
	}
	if err != nil {
		panic("contract: what was read can't be written: " + err.Error())
	}
	return out.String()
}

// Operations are all of them in the order of the document.
func (b *Book) Operations() []*Operation {
	var all []*Operation
	paths := b.at("/paths").Content
	for i := 0; i+1 < len(paths); i += 2 {
		for j := 0; j+1 < len(paths[i+1].Content); j += 2 {
			for _, o := range b.contract.ops {
				if o.Path == paths[i].Value && strings.EqualFold(o.Method, paths[i+1].Content[j].Value) {
					all = append(all, o)
				}
			}
		}
	}
	return all
}

// at is the node at an address of the document; nil where there is none.
func (b *Book) at(pointer string) *yaml.Node {
	n := b.doc.Content[0]
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		name, err := url.PathUnescape(part)
		if err != nil {
			return nil
		}
		if n = under(n, strings.NewReplacer("~1", "/", "~0", "~").Replace(name)); n == nil {
			return nil
		}
	}
	return n
}

// under is the value of a mapping's key.
func under(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// Request is the example of an operation's request.
type Request struct {
	Method string
	Target string // path and query
	Media  string // of the body; "" where there is none
	Body   string
	Token  bool // whether the operation wants an access token
}

// Request makes it of the examples of parameters and body.
func (b *Book) Request(o *Operation) (Request, error) {
	r := Request{Method: o.Method, Target: o.Path, Token: len(o.Permissions()) > 0}
	for _, way := range list(o.node["security"]) {
		_, token := of(way)["token"]
		r.Token = r.Token || token
	}
	sign := "?"
	for _, p := range list(o.node["parameters"]) {
		node, _ := b.contract.follow(p, "")
		example, there := node["example"]
		required, _ := node["required"].(bool)
		value := fmt.Sprint(example)
		switch name := word(node["name"]); {
		case !there && required:
			return r, fmt.Errorf("%s: the parameter %s has no example", o.ID, name)
		case there && node["in"] == "path":
			r.Target = strings.ReplaceAll(r.Target, "{"+name+"}", value)
		case there && node["in"] == "query":
			r.Target += sign + url.QueryEscape(name) + "=" + strings.NewReplacer("%2F", "/", "%3A", ":").Replace(url.QueryEscape(value))
			sign = "&"
		}
	}
	if left := braces.FindString(r.Target); left != "" {
		return r, fmt.Errorf("%s: nothing says what %s in the path is", o.ID, left)
	}
	for media, content := range of(of(o.node["requestBody"])["content"]) {
		example, there := of(content)["example"]
		if !there {
			return r, fmt.Errorf("%s: the body has no example", o.ID)
		}
		r.Media = media
		r.Body = encode(media, example)
		if err := b.contract.CheckRequest(o, media, []byte(encode("application/json", example))); err != nil {
			return r, fmt.Errorf("%s: its own example: %w", o.ID, err)
		}
	}
	return r, nil
}

// Compare holds an answer against the example that the document has of it, or
// puts it in the example's place. Where a value is of the same form as that of
// the example, such as another id, the example's stays.
func (b *Book) Compare(o *Operation, a Answer, update bool) error {
	response, at, err := b.contract.response(o.Method, &url.URL{Path: o.Path}, a.Status)
	if err != nil {
		return err
	}
	return b.compare(response, at, a, update)
}

// CompareShared does the same for one of the answers that operations share.
func (b *Book) CompareShared(name string, a Answer, update bool) error {
	at := "/components/responses/" + name
	response, _ := b.contract.follow(object{"$ref": "#" + at}, "")
	return b.compare(response, at, a, update)
}

func (b *Book) compare(response object, at string, a Answer, update bool) error {
	media, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	if of(of(response["content"])[media])["schema"] == nil {
		return nil // bytes, which have no example
	}
	content := b.at(at + "/content/" + pointer(media))
	var real yaml.Node
	if err := yaml.Unmarshal(a.Body, &real); err != nil {
		return fmt.Errorf("%s: the answer is no JSON: %w", at, err)
	}
	example := under(content, "example")
	if !update {
		return same("example at "+at, example, real.Content[0])
	}
	merged := merge(example, real.Content[0])
	for i := 0; i+1 < len(content.Content); i += 2 {
		if content.Content[i].Value == "example" {
			content.Content[i+1] = merged
			return nil
		}
	}
	content.Content = append(content.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "example"}, merged)
	return nil
}

// same says where two values part: in their properties, their length, or in a
// value that is not of one form.
func same(where string, example, real *yaml.Node) error {
	if example == nil || example.Kind != real.Kind || len(example.Content) != len(real.Content) || example.Tag != real.Tag {
		return fmt.Errorf("%s is not of the form of the real one; go generate ./api writes it anew", where)
	}
	switch real.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(real.Content); i += 2 {
			name := real.Content[i].Value
			if err := same(where+", "+name, under(example, name), real.Content[i+1]); err != nil {
				return err
			}
		}
	case yaml.SequenceNode:
		for i := range real.Content {
			if err := same(fmt.Sprintf("%s, %d", where, i), example.Content[i], real.Content[i]); err != nil {
				return err
			}
		}
	default:
		if form(example.Value) != form(real.Value) {
			return fmt.Errorf("%s is %q, and really %q; go generate ./api writes it anew", where, example.Value, real.Value)
		}
	}
	return nil
}

// merge is the real value, with what the example has of the same form.
func merge(example, real *yaml.Node) *yaml.Node {
	merged := &yaml.Node{Kind: real.Kind, Tag: real.Tag, Value: real.Value}
	for i, child := range real.Content {
		var old *yaml.Node
		switch {
		case real.Kind == yaml.MappingNode && i%2 == 0:
			merged.Content = append(merged.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: child.Tag, Value: child.Value})
			continue
		case real.Kind == yaml.MappingNode:
			old = under(example, real.Content[i-1].Value)
		case example != nil && i < len(example.Content):
			old = example.Content[i]
		}
		merged.Content = append(merged.Content, merge(old, child))
	}
	if real.Kind == yaml.ScalarNode && example != nil && example.Kind == real.Kind && example.Tag == real.Tag && form(example.Value) == form(real.Value) {
		merged.Value = example.Value
	}
	switch {
	case real.Kind != yaml.ScalarNode && len(real.Content) == 0:
		merged.Style = yaml.FlowStyle
	case form(merged.Value) == "<time>": // which some readers of YAML take for no text
		merged.Style = yaml.SingleQuotedStyle
	}
	return merged
}

// forms are the parts of texts that are others in each run.
var forms = []struct {
	what    string
	pattern *regexp.Regexp
}{
	{"uuid", regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)},
	{"time", regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z`)},
	{"id", regexp.MustCompile(`\b[0-9a-f]{16}\b`)},
	{"bytes", regexp.MustCompile(`[A-Za-z0-9+/_-]{20,}={0,2}`)},
	{"seconds", regexp.MustCompile(`\b\d{10}\b`)},
	{"count", regexp.MustCompile(`\b\d+ seconds`)},
}

// form is a text with what changes from run to run named and left out. A word of
// letters alone is none of that, unless it is longer than words are.
func form(text string) string {
	for _, f := range forms {
		text = f.pattern.ReplaceAllStringFunc(text, func(s string) string {
			if len(s) < 40 && !strings.ContainsAny(s, "0123456789") {
				return s
			}
			return "<" + f.what + ">"
		})
	}
	return text
}

// encode is an example as a body of that media type.
func encode(media string, example any) string {
	if media == "application/x-www-form-urlencoded" {
		form := url.Values{}
		for name, value := range of(example) {
			form.Set(name, word(value))
		}
		return form.Encode()
	}
	text, err := json.Marshal(example)
	if err != nil {
		panic("contract: what was JSON is none: " + err.Error())
	}
	return string(text)
}

// Reply is the example of an operation's success; its body is empty where that
// is bytes, and so has no example.
func (b *Book) Reply(o *Operation) (status int, media, body string) {
	for code, ref := range of(o.node["responses"]) {
		if code[0] != '2' || code == "206" {
			continue
		}
		status, _ = strconv.Atoi(code) // of a document whose tests hold
		response, _ := b.contract.follow(ref, "")
		for name, content := range of(response["content"]) {
			media = name
			if example, there := of(content)["example"]; there {
				body = encode("application/json", example)
			}
		}
	}
	return status, media, body
}
