package accessfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"swab/internal/device"
)

// Bounds of a file.
const (
	MaxFile        = 1 << 20 // bytes
	MaxName        = 200     // characters of what people call a thing
	MaxDescription = 1000    // characters
	MaxPrincipal   = 254     // characters
	MaxText        = 2048    // characters of anything else
	maxProblems    = 20      // that are told at once
)

// Parse reads a file. What is wrong with it is told at once, joined, each with
// its line: keys that there are none of, what stands there twice, words and rules
// that mean nothing. Anchors' aliases are not taken, so that what a file says is as
// long as the file.
func Parse(data []byte) (File, error) {
	var f File
	root, err := document(data)
	if err != nil || root == nil {
		return f, err
	}
	r := &reader{}
	r.mapping(root, "the file",
		may("userGroups", section(r, &f.UserGroups, r.userGroup)),
		may("users", section(r, &f.Users, r.user)),
		may("roles", section(r, &f.Roles, r.role)),
		may("deviceGroups", section(r, &f.DeviceGroups, r.deviceGroup)),
		may("applications", section(r, &f.Applications, r.application)),
		may("issuers", section(r, &f.Issuers, r.issuer)),
	)
	if len(r.problems) > 0 {
		return File{}, errors.Join(r.problems...)
	}
	return f, nil
}

// document is the one document of a file; nil where it has but comments.
func document(data []byte) (*yaml.Node, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("it has over %d bytes", MaxFile)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one YAML document")
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, errors.New("it is no YAML document")
	}
	if root := doc.Content[0]; root.ShortTag() != "!!null" {
		return root, nil
	}
	return nil, nil
}

// reader gathers what is wrong.
type reader struct{ problems []error }

func (r *reader) say(n *yaml.Node, format string, args ...any) {
	switch {
	case len(r.problems) < maxProblems:
		r.problems = append(r.problems, fmt.Errorf("line %d: %w", n.Line, fmt.Errorf(format, args...)))
	case len(r.problems) == maxProblems:
		r.problems = append(r.problems, errors.New("and more"))
	}
}

// key is one that a mapping may have, and who reads its value.
type key struct {
	name   string
	needed string // what to do where it is missing; "": it need not be there
	read   func(*yaml.Node)
}

func may(name string, read func(*yaml.Node)) key { return key{name, "", read} }

func must(name, hint string, read func(*yaml.Node)) key { return key{name, hint, read} }

// mapping reads a mapping that has these keys and no others, each at most once.
func (r *reader) mapping(n *yaml.Node, what string, keys ...key) {
	if n.Kind != yaml.MappingNode {
		r.say(n, "%s is no mapping of names to values", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		at := slices.IndexFunc(keys, func(k key) bool { return k.name == name.Value })
		switch {
		case name.Kind != yaml.ScalarNode || at < 0:
			r.say(name, "%s has no key %.60q; there are %s", what, name.Value, names(keys))
		case seen[name.Value]:
			r.say(name, "the key %q stands there twice", name.Value)
		case value.Kind == yaml.AliasNode:
			r.say(value, "%s: *%.60s: an alias is not taken here; write it out", name.Value, value.Value)
		case value.ShortTag() == "!!null":
			r.say(value, "%s has no value; leave the line out, or write [] for none", name.Value)
		default:
			keys[at].read(value)
		}
		seen[name.Value] = true
	}
	for _, k := range keys {
		if k.needed != "" && !seen[k.name] {
			r.say(n, "%s has no %s: %s", what, k.name, k.needed)
		}
	}
}

func names(keys []key) string {
	list := make([]string, len(keys))
	for i, k := range keys {
		list[i] = k.name
	}
	return strings.Join(list, ", ")
}

// each reads the items of a list.
func (r *reader) each(n *yaml.Node, item func(*yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		r.say(n, "it takes a list: [a, b], or a line with - for each")
		return
	}
	for _, one := range n.Content {
		if one.Kind == yaml.AliasNode {
			r.say(one, "*%.60s: an alias is not taken here; write it out", one.Value)
			continue
		}
		item(one)
	}
}

// section reads entries, no two of which have the same mark.
func section[T any](r *reader, into *[]T, entry func(*yaml.Node) (T, string)) func(*yaml.Node) {
	return func(n *yaml.Node) {
		*into = []T{}
		seen := map[string]int{}
		r.each(n, func(one *yaml.Node) {
			e, mark := entry(one)
			if line, twice := seen[mark]; twice && mark != "" {
				r.say(one, "it is named on line %d already", line)
			}
			seen[mark] = one.Line
			*into = append(*into, e)
		})
	}
}

// scalar is a single value as it stands there. Numbers and the like are text, too.
func (r *reader) scalar(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" || !strings.HasPrefix(n.ShortTag(), "!!") || n.ShortTag() == "!!binary" {
		r.say(n, "%s takes a single value", what)
		return "", false
	}
	return n.Value, true
}

// text reads a text of at most so many characters, all of which can be seen.
func (r *reader) text(what string, into *string, most int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if ok && (!utf8.ValidString(s) || utf8.RuneCountInString(s) > most || strings.ContainsFunc(s, unseen)) {
			r.say(n, "%s has over %d characters, or some that can't be seen", what, most)
			return
		}
		*into = s
	}
}

// unseen says whether a character is none that people see, or changes how they see
// others.
func unseen(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

// described reads a description, which may have several lines.
func (r *reader) described(into *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, "description")
		shown := strings.NewReplacer("\n", "", "\t", "").Replace(s)
		if ok && (!utf8.ValidString(s) || utf8.RuneCountInString(s) > MaxDescription || strings.ContainsFunc(shown, unseen)) {
			r.say(n, "description has over %d characters, or some that can't be seen", MaxDescription)
			return
		}
		*into = s
	}
}

// named reads what a thing is called, which can't be empty.
func (r *reader) named(what string, into *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		r.text(what, into, MaxName)(n)
		if n.Kind == yaml.ScalarNode && strings.TrimSpace(n.Value) == "" {
			r.say(n, "%s is empty", what)
		}
	}
}

// principal reads a user principal name. Its form is the server's to judge; what
// could be no person's at all is told here, before anything is changed.
func (r *reader) principal(n *yaml.Node) string {
	var s string
	r.text("a user principal name", &s, MaxPrincipal)(n)
	local, domain, ok := strings.Cut(s, "@")
	if n.Kind == yaml.ScalarNode && (!ok || local == "" || domain == "" || strings.ContainsAny(s, " \t") || strings.Contains(domain, "@")) {
		r.say(n, "%.60q is no user principal name such as ann@contoso.example", n.Value)
	}
	return fold(s)
}

func (r *reader) flag(what string, into *bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		if *into = s == "true"; s != "true" && s != "false" {
			r.say(n, "%s is true or false, not %.60q", what, s)
		}
	}
}

// texts reads a list of texts by item, each once, without regard to case where
// folded.
func (r *reader) texts(into *[]string, folded bool, item func(*yaml.Node) string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		seen := map[string]bool{}
		r.each(n, func(one *yaml.Node) {
			s := item(one)
			mark := s
			if folded {
				mark = fold(s)
			}
			if seen[mark] {
				r.say(one, "%.60q is in the list twice", s)
			}
			seen[mark] = true
			*into = append(*into, s)
		})
	}
}

// list reads texts of any kind.
func (r *reader) list(what string, into *[]string) func(*yaml.Node) {
	return r.texts(into, false, func(n *yaml.Node) (s string) {
		if r.text(what, &s, MaxText)(n); n.Kind == yaml.ScalarNode && n.Value == "" {
			r.say(n, "%s has an empty one", what)
		}
		return s
	})
}

// words reads some of the words that there are.
func (r *reader) words(what string, into *[]string, words []string) func(*yaml.Node) {
	return r.texts(into, false, func(n *yaml.Node) string { return r.word(n, what, words) })
}

func (r *reader) word(n *yaml.Node, what string, words []string) string {
	s, ok := r.scalar(n, what)
	if ok && !slices.Contains(words, s) {
		r.say(n, "%s has no %.60q; there are %s", what, s, strings.Join(words, ", "))
	}
	return s
}

func (r *reader) userGroups(into *[]string) func(*yaml.Node) {
	return r.texts(into, true, func(n *yaml.Node) (s string) {
		r.named("a user group", &s)(n)
		return s
	})
}

func (r *reader) userGroup(n *yaml.Node) (g UserGroup, mark string) {
	r.mapping(n, "a user group",
		must("name", "what is it called?", r.named("name", &g.Name)),
		may("description", r.described(&g.Description)),
		may("members", r.texts(&g.Members, true, r.principal)),
	)
	return g, fold(g.Name)
}

func (r *reader) user(n *yaml.Node) (u User, mark string) {
	r.mapping(n, "a user",
		must("principal", "the user principal name, such as ann@contoso.example", func(n *yaml.Node) { u.Principal = r.principal(n) }),
		may("name", r.text("name", &u.Name, MaxName)),
		may("disabled", r.flag("disabled", &u.Disabled)),
	)
	return u, u.Principal
}

func (r *reader) role(n *yaml.Node) (role Role, mark string) {
	r.mapping(n, "a role",
		must("name", "what is it called?", r.named("name", &role.Name)),
		may("description", r.described(&role.Description)),
		may("permissions", r.words("permissions", &role.Permissions, Permissions)),
		may("userGroups", r.userGroups(&role.UserGroups)),
	)
	if role.builtIn() && (role.Description != "" || role.Permissions != nil) {
		r.say(n, "the role %s holds all permissions, and can be given userGroups alone", BuiltIn)
	}
	return role, fold(role.Name)
}

func (r *reader) deviceGroup(n *yaml.Node) (g DeviceGroup, mark string) {
	rule := (*yaml.Node)(nil)
	r.mapping(n, "a device group",
		must("name", "what is it called?", r.named("name", &g.Name)),
		may("description", r.described(&g.Description)),
		may("rule", func(n *yaml.Node) { rule = n }),
		must("userGroups", "who reaches its devices? [] is everybody who has a role", r.userGroups(&g.UserGroups)),
	)
	switch {
	case g.isDefault() && rule != nil:
		r.say(rule, "the group %q is of the devices that match no rule, and has none", device.DefaultGroupName)
	case g.isDefault():
	case rule == nil:
		r.say(n, "a device group has no rule: which devices are in it?")
	default:
		before := len(r.problems)
		r.each(rule, func(n *yaml.Node) { g.Rule = append(g.Rule, r.condition(n)) })
		if err := g.Rule.Check(); err != nil && len(r.problems) == before {
			r.say(rule, "rule: %w", err)
		}
	}
	return g, fold(g.Name)
}

func (r *reader) condition(n *yaml.Node) (c device.Condition) {
	var property, operator string
	r.mapping(n, "a condition",
		must("property", "one of "+join(device.Properties), func(n *yaml.Node) { property, _ = r.scalar(n, "property") }),
		must("operator", "one of "+join(device.Operators), func(n *yaml.Node) { operator, _ = r.scalar(n, "operator") }),
		must("values", "what is it compared with?", r.list("values", &c.Values)),
	)
	c.Property, c.Operator = device.Property(property), device.Operator(operator)
	return c
}

func join[W ~string](words []W) string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = string(w)
	}
	return strings.Join(list, ", ")
}

func (r *reader) application(n *yaml.Node) (a Application, mark string) {
	r.mapping(n, "an application",
		must("name", "what is it called?", r.named("name", &a.Name)),
		may("clientId", r.text("clientId", &a.ClientID, MaxText)),
		may("public", r.flag("public", &a.Public)),
		may("redirects", r.list("redirects", &a.Redirects)),
		may("scopes", r.words("scopes", &a.Scopes, Scopes)),
		may("roles", r.words("roles", &a.Roles, AppRoles)),
	)
	switch {
	case a.ClientID != "": // the name may be another's, too
		return a, "id " + fold(a.ClientID)
	case a.Name == "":
		return a, ""
	default:
		return a, "name " + fold(a.Name)
	}
}

func (r *reader) issuer(n *yaml.Node) (i Issuer, mark string) {
	claim := func(name string, into *string) key { return may(name, r.text(name, into, MaxText)) }
	r.mapping(n, "an issuer",
		must("name", "what is it called?", r.named("name", &i.Name)),
		must("url", "the iss of its tokens", r.text("url", &i.URL, MaxText)),
		may("keys", r.text("keys", &i.Keys, MaxText)),
		must("audiences", "the aud that its tokens must have one of", r.list("audiences", &i.Audiences)),
		may("claims", func(n *yaml.Node) {
			r.mapping(n, "claims",
				claim("person", &i.Claims.Person), claim("principal", &i.Claims.Principal), claim("groups", &i.Claims.Groups),
				claim("application", &i.Claims.Application), claim("roles", &i.Claims.Roles), claim("scopes", &i.Claims.Scopes))
		}),
		may("groups", r.table("groups", &i.Groups, func(n *yaml.Node) (s string) { r.named("a user group", &s)(n); return s })),
		may("roles", r.table("roles", &i.Roles, func(n *yaml.Node) string { return r.word(n, "roles", AppRoles) })),
		may("networks", r.texts(&i.Networks, false, r.network)),
	)
	if i.Name == "" {
		return i, ""
	}
	return i, fold(i.Name) + "\x00" + i.URL
}

// table reads a mapping whose keys are another issuer's words.
func (r *reader) table(what string, into *map[string]string, value func(*yaml.Node) string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.MappingNode {
			r.say(n, "%s takes a mapping: {their word: ours}", what)
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			var theirs string
			if r.text("a word of the issuer", &theirs, MaxText)(n.Content[i]); theirs == "" {
				r.say(n.Content[i], "%s has an empty word", what)
			}
			if _, twice := (*into)[theirs]; twice {
				r.say(n.Content[i], "the key %.60q stands there twice", theirs)
			}
			if n.Content[i+1].Kind == yaml.AliasNode {
				r.say(n.Content[i+1], "*%.60s: an alias is not taken here; write it out", n.Content[i+1].Value)
				continue
			}
			if *into == nil {
				*into = map[string]string{}
			}
			(*into)[theirs] = value(n.Content[i+1])
		}
	}
}

func (r *reader) network(n *yaml.Node) string {
	s, ok := r.scalar(n, "networks")
	if p, err := netip.ParsePrefix(s); ok && (err != nil || p != p.Masked()) {
		r.say(n, "%.60s is no network such as 10.0.0.0/8", strconv.Quote(s))
	}
	return s
}

// sortedKeys are a table's, in order.
func sortedKeys(table map[string]string) []string { return slices.Sorted(maps.Keys(table)) }
