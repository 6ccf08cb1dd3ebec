package manual

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strings"

	"go.yaml.in/yaml/v4"
)

// document is the description as a tree that keeps the order of its text.
type document struct{ root node }

// node is a value of the document; the zero node is one that is not there.
type node struct{ n *yaml.Node }

func read(text string) (*document, error) {
	var tree yaml.Node
	if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
		return nil, fmt.Errorf("the description of the API: %w", err)
	}
	if tree.Kind != yaml.DocumentNode || len(tree.Content) != 1 || tree.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("the description of the API is no mapping")
	}
	return &document{node{tree.Content[0]}}, nil
}

func (v node) is() bool { return v.n != nil }

func (v node) text() string {
	if v.n == nil {
		return ""
	}
	return v.n.Value
}

// get is what stands below keys.
func (v node) get(keys ...string) node {
	for _, key := range keys {
		found := node{}
		for k, child := range v.pairs() {
			if k == key {
				found = child
			}
		}
		v = found
	}
	return v
}

// pairs are the keys and values of a mapping.
func (v node) pairs() iter.Seq2[string, node] {
	return func(yield func(string, node) bool) {
		if v.n == nil || v.n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(v.n.Content); i += 2 {
			if !yield(v.n.Content[i].Value, node{v.n.Content[i+1]}) {
				return
			}
		}
	}
}

// items are the values of a sequence.
func (v node) items() []node {
	var all []node
	if v.n != nil && v.n.Kind == yaml.SequenceNode {
		for _, child := range v.n.Content {
			all = append(all, node{child})
		}
	}
	return all
}

// follow is where a $ref leads, and the last word of it; any other node is
// itself, with no word. A property of a schema has no word either: it is shown
// where it is used.
func (d *document) follow(v node) (node, string) {
	ref, ok := strings.CutPrefix(v.get("$ref").text(), "#/")
	if !ok {
		return v, ""
	}
	parts := strings.Split(ref, "/")
	if n := len(parts); n > 1 && parts[n-2] == "properties" {
		return d.follow(d.root.get(parts...))
	}
	return d.root.get(parts...), parts[len(parts)-1]
}

// json is the value as JSON, indented.
func (v node) json() []byte {
	var b bytes.Buffer
	v.write(&b, "\n")
	return b.Bytes()
}

// write writes it; line is what begins a line at this depth.
func (v node) write(b *bytes.Buffer, line string) {
	if v.n == nil {
		b.WriteString("null")
		return
	}
	begin, end := "", ""
	each := func(i int) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(line + "  ")
	}
	switch v.n.Kind {
	case yaml.MappingNode:
		begin, end = "{", "}"
	case yaml.SequenceNode:
		begin, end = "[", "]"
	default:
		b.Write(v.scalar())
		return
	}
	b.WriteString(begin)
	count := 0
	for key, child := range v.pairs() {
		each(count)
		b.Write(quoted(key))
		b.WriteString(": ")
		child.write(b, line+"  ")
		count++
	}
	for _, child := range v.items() {
		each(count)
		child.write(b, line+"  ")
		count++
	}
	if count > 0 {
		b.WriteString(line)
	}
	b.WriteString(end)
}

func (v node) scalar() []byte {
	switch v.n.ShortTag() {
	case "!!null":
		return []byte("null")
	case "!!bool", "!!int", "!!float":
		return []byte(v.n.Value)
	}
	return quoted(v.n.Value)
}

// quoted is a text as JSON that people read: < and > stay.
func quoted(s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic("manual: a string can't be encoded: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
