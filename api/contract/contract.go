// Package contract holds what a server answers against the description of the
// API, for tests: an answer that the document does not foresee is an error,
// whether for its status, a header, or a property that is missing or too much.
//
// Besides what OpenAPI says, the document has three extensions that are read
// here: x-standing-headers, which may be on every answer; x-elsewhere, which says
// how a request is answered that fits no operation; and x-also-by, methods that
// an operation takes besides its own.
package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

// Contract is the document, ready to judge answers. It is safe for concurrent use.
type Contract struct {
	root object
	ops  []*Operation

	mu       sync.Mutex // of the two below
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema // by their address in the document
}

type object = map[string]any

// Operation is one method of one path.
type Operation struct {
	ID     string
	Method string // in upper case
	Path   string // with braces
	also   []string
	fits   *regexp.Regexp
	at     string // address in the document
	node   object
}

// docURL is what the document is called among schemas.
const docURL = "urn:swab:openapi"

// Read reads the document, in YAML.
func Read(document string) (*Contract, error) {
	var tree any
	if err := yaml.Unmarshal([]byte(document), &tree); err != nil {
		return nil, fmt.Errorf("the document is not YAML: %w", err)
	}
	text, err := json.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("the document is not JSON: %w", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := &Contract{compiler: jsonschema.NewCompiler(), compiled: map[string]*jsonschema.Schema{}}
	c.compiler.DefaultDraft(jsonschema.Draft2020)
	c.compiler.AssertFormat()
	c.compiler.AssertContent()
	if err := c.compiler.AddResource(docURL, doc); err != nil {
		return nil, err
	}
	c.root = of(doc)
	for path, item := range of(c.root["paths"]) {
		for method, node := range of(item) {
			o := &Operation{
				ID: word(of(node)["operationId"]), Method: strings.ToUpper(method), Path: path,
				at: "/paths/" + pointer(path) + "/" + method, node: of(node),
			}
			o.fits = pattern(o.Route())
			for _, m := range list(o.node["x-also-by"]) {
				o.also = append(o.also, strings.ToUpper(word(m)))
			}
			c.ops = append(c.ops, o)
		}
	}
	// The more of a path is written out, the sooner it is looked at.
	slices.SortFunc(c.ops, func(a, b *Operation) int {
		if d := literal(b.Path) - literal(a.Path); d != 0 {
			return d
		}
		return strings.Compare(a.Path+a.Method, b.Path+b.Method)
	})
	return c, nil
}

// Operations are all of them, those of the longest paths first.
func (c *Contract) Operations() []*Operation { return slices.Clone(c.ops) }

// Permissions are those of which a caller must have one; nil where a token is
// enough, or none is needed.
func (o *Operation) Permissions() []string {
	var all []string
	for _, way := range list(o.node["security"]) {
		for _, p := range list(of(way)["token"]) {
			all = append(all, word(p))
		}
	}
	return all
}

var braces = regexp.MustCompile(`\{[^{}]*\}`)

func literal(path string) int { return len(braces.ReplaceAllString(path, "")) }

var arguments = regexp.MustCompile(`\([^()]*\)`)

// Route is the path with {arguments} for those of a function, which come in any
// order.
func (o *Operation) Route() string { return arguments.ReplaceAllString(o.Path, "({arguments})") }

// pattern is what a path with braces fits, segment by segment, in any case.
func pattern(path string) *regexp.Regexp {
	var b strings.Builder
	from := 0
	for _, at := range braces.FindAllStringIndex(path, -1) {
		b.WriteString(regexp.QuoteMeta(path[from:at[0]]) + "[^/]")
		if at[0] == 1 {
			b.WriteString("*") // no tenant is one that is not there
		} else {
			b.WriteString("+")
		}
		from = at[1]
	}
	return regexp.MustCompile("(?i)^" + b.String() + regexp.QuoteMeta(path[from:]) + "$")
}

// Find is the operation that a request is of, and where there is none, whether
// its path has others.
func (c *Contract) Find(method string, u *url.URL) (found *Operation, others bool) {
	path := plain(u)
	if method == http.MethodHead {
		method = http.MethodGet
	}
	prefix := c.prefix(path)
	for _, o := range c.ops {
		switch {
		case prefix != "/" && c.prefix(o.Path) != prefix, prefix == "/" && !strings.HasPrefix(o.Path, "/{"), !o.fits.MatchString(path):
		case o.Method == method, slices.Contains(o.also, method):
			return o, false
		default:
			others = true
		}
	}
	return nil, others
}

// prefix is under which heading of x-elsewhere a path stands.
func (c *Contract) prefix(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	for name := range of(c.root["x-elsewhere"]) {
		if name != "/" && strings.EqualFold(name, "/"+first) {
			return name
		}
	}
	return "/"
}

// plain is a path as templates have it: decoded, without the version that stands
// for the present one and without a slash at the end.
func plain(u *url.URL) string {
	segments := strings.Split(strings.TrimSuffix(strings.TrimPrefix(u.EscapedPath(), "/"), "/"), "/")
	for i, s := range segments {
		if decoded, err := url.PathUnescape(s); err == nil {
			segments[i] = strings.ReplaceAll(decoded, "/", "\x00")
		}
	}
	if len(segments) > 2 && strings.EqualFold(segments[0], "api") && strings.EqualFold(segments[1], "v1.0") &&
		!strings.EqualFold(segments[2], "swab") && !strings.EqualFold(segments[2], "admin") {
		segments = slices.Delete(segments, 1, 2)
	}
	return "/" + strings.Join(segments, "/")
}

// of is a value as an object; nil where it is none.
func of(v any) object { o, _ := v.(object); return o }

func list(v any) []any { l, _ := v.([]any); return l }

func word(v any) string { s, _ := v.(string); return s }

// pointer is a name as a part of a JSON pointer in an address.
func pointer(name string) string {
	return url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
}

// follow is what stands at a place of the document, or where its $ref leads.
func (c *Contract) follow(node any, at string) (object, string) {
	ref, ok := of(node)["$ref"].(string)
	if !ok {
		return of(node), at
	}
	at = strings.TrimPrefix(ref, "#")
	found := any(c.root)
	for part := range strings.SplitSeq(strings.TrimPrefix(at, "/"), "/") {
		found = of(found)[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	return of(found), at
}

// schema is the schema at an address of the document.
func (c *Contract) schema(at string) (*jsonschema.Schema, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.compiled[at]; ok {
		return s, nil
	}
	s, err := c.compiler.Compile(docURL + "#" + at)
	if err != nil {
		return nil, fmt.Errorf("the schema at %s: %w", at, err)
	}
	c.compiled[at] = s
	return s, nil
}
