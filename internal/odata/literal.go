package odata

import (
	"strconv"
	"strings"
	"time"
)

// literal says whether a word is a value, not a name.
func (p *parser) literal(t token) bool {
	return t.kind == word && (!isName(t.text) || t.is("null") || t.is("true") || t.is("false"))
}

// value is what a token means where an operand is compared with it.
func (p *parser) value(o Operand, t token) any {
	if t.is("null") {
		return nil
	}
	if t.kind != quoted && !p.literal(t) {
		if t.kind == word && p.lambda == "" && p.entity.Find(t.text) == nil {
			p.fail(t, "%s is not a value: a string needs quotes", t.shown())
		}
		p.fail(t, "a value is wanted, not %s", t.shown())
	}
	var (
		v    any
		want string
	)
	switch o.Type() {
	case String:
		v, want = p.str(t), "a string in quotes"
	case Enum:
		return p.enum(o.Property, t)
	case GUID:
		v, want = guid(t.text), "a GUID"
	case Int:
		v, want = integer(t.text), "a whole number"
	case Bool:
		v, want = boolean(t), "true or false"
	case Time:
		v, want = moment(t.text), "a date (2026-01-31 or 2026-01-31T08:15:00Z)"
	}
	if v == nil {
		p.fail(t, "%s wants %s, not %s", o.name(p), want, t.shown())
	}
	if s, ok := v.(string); ok {
		return o.lowered(s)
	}
	return v
}

// str is a string; a GUID may stand without quotes.
func (p *parser) str(t token) any {
	if t.kind == quoted || guid(t.text) != nil {
		return t.text
	}
	return nil
}

// lowered is a text that an operand which is stored in lower case is compared with.
func (o Operand) lowered(s string) string {
	if o.Property != nil && (o.Property.Fold || o.Property.Type == GUID) && o.Func != ToUpper {
		return strings.ToLower(s)
	}
	return s
}

// enum is one of a property's values, as it is written.
func (p *parser) enum(of *Property, t token) any {
	for _, v := range of.Values {
		name, means, alias := strings.Cut(v, "=")
		switch {
		case t.kind != quoted || !strings.EqualFold(name, t.text):
		case alias:
			return means
		default:
			return name
		}
	}
	if t.kind == quoted && of.Open {
		return t.text
	}
	var names []string
	for _, v := range of.Values {
		if !strings.Contains(v, "=") {
			names = append(names, "'"+v+"'")
		}
	}
	p.fail(t, "%s is not a value of %s, which has %s", t.shown(), of.Name, strings.Join(names, ", "))
	return nil
}

func guid(s string) any {
	if len(s) != 36 {
		return nil
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return nil
			}
		case '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F':
		default:
			return nil
		}
	}
	return s
}

func integer(s string) any {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return nil
	}
	return n
}

func boolean(t token) any {
	switch {
	case strings.EqualFold(t.text, "true"):
		return true
	case strings.EqualFold(t.text, "false"):
		return false
	}
	return nil
}

// layouts are the forms of a date. Where there is no zone, UTC is meant; one
// without a time is midnight.
var layouts = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02Z07:00", "2006-01-02",
}

// moment is a date in UTC, cut to the 100 ns that times are kept in.
func moment(s string) any {
	if len(s) > len("2006-01-02T15:04:05.000000000000+00:00") || len(s) < len("2006-01-02") {
		return nil
	}
	s = strings.ToUpper(s)
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil && t.UTC().Year() >= 1 && t.UTC().Year() <= 9999 {
			return t.UTC().Truncate(100 * time.Nanosecond)
		}
	}
	return nil
}
