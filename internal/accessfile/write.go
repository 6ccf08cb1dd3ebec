package accessfile

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"swab/internal/device"
)

// Write is the file in its one form: sections in the order of Sections, entries by
// name (device groups by rank, the built-in role first), lists in order, what is
// empty left out. What [Parse] reads of it is the same file.
func Write(f File) []byte {
	f = f.inOrder()
	w := &writer{}
	list(w, "userGroups", f.UserGroups, func(g UserGroup) {
		w.field("name", g.Name)
		w.field("description", g.Description)
		w.list("members", g.Members)
	})
	list(w, "users", f.Users, func(u User) {
		w.field("principal", u.Principal)
		w.field("name", u.Name)
		w.flag("disabled", u.Disabled)
	})
	list(w, "roles", f.Roles, func(r Role) {
		w.field("name", r.Name)
		w.field("description", r.Description)
		w.list("permissions", r.Permissions)
		w.list("userGroups", r.UserGroups)
	})
	list(w, "deviceGroups", f.DeviceGroups, func(g DeviceGroup) {
		w.field("name", g.Name)
		w.field("description", g.Description)
		w.rule(g.Rule)
		w.line("userGroups: %s", flow(g.UserGroups))
	})
	list(w, "applications", f.Applications, func(a Application) {
		w.field("name", a.Name)
		w.field("clientId", a.ClientID)
		w.flag("public", a.Public)
		w.list("redirects", a.Redirects)
		w.list("scopes", a.Scopes)
		w.list("roles", a.Roles)
	})
	list(w, "issuers", f.Issuers, func(i Issuer) {
		w.field("name", i.Name)
		w.line("url: %s", quoted(i.URL))
		w.field("keys", i.Keys)
		w.line("audiences: %s", flow(i.Audiences))
		w.claims(i.Claims)
		w.table("groups", i.Groups)
		w.table("roles", i.Roles)
		w.list("networks", i.Networks)
	})
	return w.Bytes()
}

type writer struct {
	bytes.Buffer
	lead string // of the next line of an entry
}

// list writes a section, unless the file lacks it.
func list[T any](w *writer, name string, entries []T, entry func(T)) {
	switch {
	case entries == nil:
	case len(entries) == 0:
		fmt.Fprintf(w, "%s: []\n", name)
	default:
		fmt.Fprintf(w, "%s:\n", name)
		for _, e := range entries {
			w.lead = "  - "
			entry(e)
		}
	}
}

func (w *writer) line(format string, args ...any) {
	w.WriteString(w.lead)
	fmt.Fprintf(w, format+"\n", args...)
	w.lead = "    "
}

func (w *writer) field(name, value string) {
	if value != "" {
		w.line("%s: %s", name, quoted(value))
	}
}

func (w *writer) flag(name string, value bool) {
	if value {
		w.line("%s: true", name)
	}
}

func (w *writer) list(name string, values []string) {
	if len(values) > 0 {
		w.line("%s: %s", name, flow(values))
	}
}

func (w *writer) rule(rule device.Rule) {
	if len(rule) == 0 {
		return
	}
	w.line("rule:")
	for _, c := range rule {
		w.line("  - {property: %s, operator: %s, values: %s}", quoted(string(c.Property)), quoted(string(c.Operator)), flow(c.Values))
	}
}

func (w *writer) claims(c Claims) {
	if c == (Claims{}) {
		return
	}
	w.line("claims:")
	for _, one := range [][2]string{
		{"person", c.Person},
		{"principal", c.Principal},
		{"groups", c.Groups},
		{"application", c.Application},
		{"roles", c.Roles},
		{"scopes", c.Scopes},
	} {
		if one[1] != "" {
			w.line("  %s: %s", one[0], quoted(one[1]))
		}
	}
}

func (w *writer) table(name string, table map[string]string) {
	if len(table) == 0 {
		return
	}
	w.line("%s:", name)
	for _, theirs := range sortedKeys(table) {
		// A key has a bound in YAML, where it is not marked as one.
		if len(theirs) > 100 {
			w.line("  ? %s", quoted(theirs))
			w.line("  : %s", quoted(table[theirs]))
			continue
		}
		w.line("  %s: %s", quoted(theirs), quoted(table[theirs]))
	}
}

func flow(values []string) string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = quoted(v)
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// plain is a text that stands for itself in YAML, wherever it stands; the words
// that some readers take for something else are quoted all the same.
var (
	plain   = regexp.MustCompile(`^[A-Za-z](?:[A-Za-z0-9_.@()/+-]| [A-Za-z0-9_.@()/+-])*$`)
	special = regexp.MustCompile(`(?i)^(?:y|n|yes|no|on|off|true|false|null|nan|inf)$`)
)

// quoted is a text as YAML has it. What a terminal would obey is escaped.
func quoted(s string) string {
	if plain.MatchString(s) && !special.MatchString(s) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\U%08X`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// inOrder is the file with everything that has no order of its own in one.
func (f File) inOrder() File {
	f.UserGroups = ordered(f.UserGroups, func(g UserGroup) string { return fold(g.Name) })
	for i := range f.UserGroups {
		f.UserGroups[i].Members = sorted(f.UserGroups[i].Members)
	}
	f.Users = ordered(f.Users, func(u User) string { return u.Principal })
	f.Roles = ordered(f.Roles, func(r Role) string {
		if r.builtIn() {
			return ""
		}
		return fold(r.Name)
	})
	for i := range f.Roles {
		f.Roles[i].Permissions, f.Roles[i].UserGroups = among(Permissions, f.Roles[i].Permissions), sorted(f.Roles[i].UserGroups)
	}
	f.DeviceGroups = slices.Clone(f.DeviceGroups)
	for i := range f.DeviceGroups {
		f.DeviceGroups[i].UserGroups = sorted(f.DeviceGroups[i].UserGroups)
	}
	slices.SortStableFunc(f.DeviceGroups, func(a, b DeviceGroup) int { return number(a.isDefault()) - number(b.isDefault()) })
	f.Applications = ordered(f.Applications, func(a Application) string { return fold(a.Name) + "\x00" + a.ClientID })
	for i, a := range f.Applications {
		f.Applications[i].Redirects, f.Applications[i].Scopes, f.Applications[i].Roles = sorted(a.Redirects), among(Scopes, a.Scopes), among(AppRoles, a.Roles)
	}
	f.Issuers = ordered(f.Issuers, func(i Issuer) string { return fold(i.Name) })
	for i := range f.Issuers {
		f.Issuers[i].Audiences, f.Issuers[i].Networks = sorted(f.Issuers[i].Audiences), sorted(f.Issuers[i].Networks)
	}
	return f
}

func ordered[T any](entries []T, mark func(T) string) []T {
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b T) int { return strings.Compare(mark(a), mark(b)) })
	return entries
}

// sorted is a list in order; nil where it is empty.
func sorted(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b string) int {
		if c := strings.Compare(fold(a), fold(b)); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	return list
}

// among is a list of words in the order that they have; those that are none of
// them come last.
func among(words, list []string) []string {
	var in []string
	for _, w := range words {
		if slices.Contains(list, w) {
			in = append(in, w)
		}
	}
	for _, w := range sorted(list) {
		if !slices.Contains(words, w) {
			in = append(in, w)
		}
	}
	return in
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
