package audit

import (
	"slices"
	"strings"

	"swab/internal/canon"
)

// Changes are what an administrative act changed, for the hidden comment of its
// entry, which devices never see:
//
//	var c audit.Changes
//	c.Add("name", was.Name, is.Name)
//	c.AddList("roles", was.Roles, is.Roles)
//	c.AddSecret("password")
//	audit.NewEntry(now, leaf, who.Hidden(c.String()))
//
// What is equal is left out, so that an operation adds every field that it may
// have changed. A thing that is made changes from nothing, and one that is
// deleted to nothing. The fields are named as the API names them. A secret, a
// token or the hash of one never stands here, neither before nor after.
type Changes struct {
	V       int      `json:"v"` // ChangesVersion; set by String
	Fields  []Change `json:"changes"`
	Omitted int      `json:"omitted"` // fields that changed and had no room
}

// Change is one field that changed. A field of one text has at most one value
// before and after; "" is none. Of a list only the values are here that went and
// that came, or all of them where nothing but their order changed. A secret has
// no values at all.
type Change struct {
	Field   string   `json:"field"`
	From    []string `json:"from"`
	To      []string `json:"to"`
	Omitted int      `json:"omitted"` // values that went or came and had no room
}

// ChangesVersion is the version of Changes.
const ChangesVersion = 1

// Bounds of changes.
const (
	MaxChanges      = 16 << 10 // bytes of the encoded form
	maxChangeFields = 64
	maxChangeValues = 64  // of one field, before and after alike
	maxChangeText   = 512 // characters of a value
	maxChangeField  = 64  // characters of a field's name
)

// Add adds a field of one text, if it changed.
func (c *Changes) Add(field, before, after string) {
	if before != after {
		c.add(field, single(before), single(after))
	}
}

func single(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// AddList adds a field that is a list, if it changed.
func (c *Changes) AddList(field string, before, after []string) {
	if slices.Equal(before, after) {
		return
	}
	from, to := without(before, after), without(after, before)
	if len(from) == 0 && len(to) == 0 {
		from, to = before, after
	}
	c.add(field, from, to)
}

// without are the values of a list that are not in another.
func without(list, other []string) (only []string) {
	known := make(map[string]bool, len(other))
	for _, v := range other {
		known[v] = true
	}
	for _, v := range list {
		if !known[v] {
			only = append(only, v)
		}
	}
	return only
}

// AddSecret adds a field whose value is for nobody to read, and which changed.
func (c *Changes) AddSecret(field string) { c.add(field, nil, nil) }

func (c *Changes) add(field string, from, to []string) {
	if len(c.Fields) == maxChangeFields {
		c.Omitted++
		return
	}
	one := Change{Field: clip(field, maxChangeField)}
	for _, side := range []struct {
		values []string
		kept   *[]string
	}{{from, &one.From}, {to, &one.To}} {
		*side.kept = []string{}
		for _, v := range side.values[:min(len(side.values), maxChangeValues)] {
			*side.kept = append(*side.kept, clip(v, maxChangeText))
		}
		one.Omitted += len(side.values) - len(*side.kept)
	}
	c.Fields = append(c.Fields, one)
}

// Empty says whether nothing changed.
func (c *Changes) Empty() bool { return len(c.Fields) == 0 }

// String is the form that stands in a comment: canonical JSON of at most
// MaxChanges bytes, and "" if nothing changed. What has no room is counted.
func (c *Changes) String() string {
	if c.Empty() {
		return ""
	}
	form := Changes{V: ChangesVersion, Fields: slices.Clone(c.Fields), Omitted: c.Omitted}
	for {
		b, err := canon.Marshal(form)
		if err != nil {
			panic("audit: plain strings can't be encoded: " + err.Error())
		}
		if len(b) <= MaxChanges {
			return string(b)
		}
		if last := len(form.Fields) - 1; last > 0 {
			form.Fields = form.Fields[:last]
			form.Omitted++
			continue
		}
		// A field alone has too many long values: half of them will do.
		one := form.Fields[0]
		from, to := len(one.From)/2, len(one.To)/2
		one.Omitted += len(one.From) - from + len(one.To) - to
		one.From, one.To = one.From[:from], one.To[:to]
		form.Fields = []Change{one}
	}
}

// ParseChanges reads what [Changes.String] wrote. ok is false for any other
// comment. It can't tell the form from a person who typed it: ask for acts of
// which [Act.Typed] is false.
func ParseChanges(comment string) (c Changes, ok bool) {
	if len(comment) > MaxChanges || !strings.HasPrefix(comment, "{") || canon.Unmarshal([]byte(comment), &c) != nil ||
		c.V != ChangesVersion || len(c.Fields) == 0 || len(c.Fields) > maxChangeFields || c.Omitted < 0 {
		return Changes{}, false
	}
	for _, one := range c.Fields {
		if one.From == nil || one.To == nil || one.Omitted < 0 {
			return Changes{}, false
		}
	}
	return c, true
}

// Typed says whether the comment of an act's entries is what a person typed.
// Of others it is Changes, or words of this program.
func (a Act) Typed() bool { return a == ActCollect || a == ActCancel }
