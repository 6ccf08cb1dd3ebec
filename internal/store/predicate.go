package store

import (
	"slices"
	"strings"

	"swab/internal/device"
	"swab/internal/odata"
)

// A pred is a condition on the rows of a table: a truth, a *leaf, a *tagged, a
// *grouped, an *owned, a *junction or a *negation. It is made of a filter, and made simpler, before it
// is put into SQL. No column that it speaks of is ever NULL: what is null in a
// list is the empty text in the table. So it has two truth values, as a filter.
type pred interface{ pred() }

type truth bool

// leaf asks something of one column.
type leaf struct {
	column  string
	sql     string // @ stands for the column
	args    []any
	indexed bool // an index finds the rows that it holds of
	covered bool // and has what the list's own order needs
	ordered bool // and has them in that order
}

// tagged holds where a device has a tag of which a condition holds.
type tagged struct{ of pred }

// grouped holds where a device, or that of an action, stands in one of some device
// groups; in ascending order.
type grouped struct {
	in  []int64
	out []int64 // all others in which any stands; nil where that is not known
}

// owned holds of an action where a condition holds of its device.
type owned struct{ of pred }

type junction struct {
	or    bool // else and
	terms []pred
}

type negation struct{ of pred }

func (truth) pred()     {}
func (*leaf) pred()     {}
func (*tagged) pred()   {}
func (*grouped) pred()  {}
func (*owned) pred()    {}
func (*junction) pred() {}
func (*negation) pred() {}

// column says where a property of a list is kept.
type column struct {
	name    string
	also    string // a second column by whose value it is known
	null    bool   // the empty text is null
	indexed bool   // there is an index on it
	ordered bool   // which goes on in the list's own order
	where   string // rows that the index has, as SQL with @ for the column; "" for all
	others  string // the one value of the rows that it has not

	// constant is the value of all rows, in place of a column; isConstant since
	// it may be null.
	constant   any
	isConstant bool

	// groups are the device groups, in one of which each row is; group is the
	// value of the rows of one.
	groups []device.Group
	group  func(device.Group) any

	// each is the condition for each value of an enum that is not kept but
	// computed; what is missing is never so.
	each map[string]pred
}

// compile makes a predicate of a filter.
func compile(e odata.Expr, columns map[string]column) pred {
	switch e := e.(type) {
	case nil:
		return truth(true)
	case *odata.And:
		return join(false, compileAll(e.Terms, columns))
	case *odata.Or:
		return join(true, compileAll(e.Terms, columns))
	case *odata.Not:
		return not(compile(e.Term, columns))
	case *odata.Any:
		if e.Of == nil {
			return &tagged{truth(true)}
		}
		of := compile(e.Of, map[string]column{"": {name: "tag", indexed: true}})
		if t, ok := of.(truth); ok && !bool(t) {
			return t
		}
		return &tagged{of}
	case *odata.Compare:
		return columns[name(e.Operand)].atom(e, e.Operand)
	case *odata.In:
		return columns[name(e.Operand)].atom(e, e.Operand)
	case *odata.Text:
		return columns[name(e.Operand)].atom(e, e.Operand)
	}
	panic("store: a condition of no known kind")
}

func compileAll(terms []odata.Expr, columns map[string]column) []pred {
	list := make([]pred, len(terms))
	for i, t := range terms {
		list[i] = compile(t, columns)
	}
	return list
}

// name is the property of an operand; "" is the element of a collection.
func name(o odata.Operand) string {
	if o.Property == nil {
		return ""
	}
	return o.Property.Name
}

// atom makes a predicate of a condition on one column.
func (c column) atom(e odata.Expr, o odata.Operand) pred {
	switch {
	case c.isConstant:
		return truth(odata.Match(e, func(*odata.Property) any { return c.constant }))
	case c.group != nil:
		return within(c.groups, func(g device.Group) bool {
			return odata.Match(e, func(*odata.Property) any { return c.group(g) })
		})
	case o.Type() == odata.Enum:
		return c.enum(e, o.Property)
	case c.also == "":
		return c.plain(e, o)
	}
	also := c
	also.name = c.also
	if e, ok := e.(*odata.Compare); ok {
		switch e.Op {
		case odata.Eq:
		case odata.Ne:
			eq := *e
			eq.Op = odata.Eq
			return not(c.atom(&eq, o))
		default:
			return c.plain(e, o)
		}
	}
	return join(true, []pred{c.plain(e, o), also.plain(e, o)})
}

// within holds where a device is in one of the groups that are meant.
func within(groups []device.Group, meant func(device.Group) bool) pred {
	in, out := []int64{}, []int64{}
	for _, g := range groups {
		if meant(g) {
			in = append(in, g.ID)
		} else {
			out = append(out, g.ID)
		}
	}
	switch len(in) {
	case 0:
		return truth(false)
	case len(groups):
		return truth(true)
	}
	slices.Sort(in)
	slices.Sort(out)
	return &grouped{in, out}
}

// enum tries a condition on every value that there is.
func (c column) enum(e odata.Expr, p *odata.Property) pred {
	holds := func(v any) bool { return odata.Match(e, func(*odata.Property) any { return v }) }
	var yes, no []any
	if c.null {
		if yes, no = append(yes, ""), append(no, ""); holds(nil) {
			no = nil
		} else {
			yes = nil
		}
	}
	var computed []pred
	for _, v := range p.Values {
		switch {
		case strings.Contains(v, "="):
		case !holds(v):
			no = append(no, v)
		default:
			yes = append(yes, v)
			if when, ok := c.each[v]; ok {
				computed = append(computed, when)
			}
		}
	}
	switch {
	case len(no) == 0:
		return truth(true)
	case c.each != nil:
		return join(true, computed)
	}
	return c.one(odata.None, yes)
}

// one holds where the column is one of the values.
func (c column) one(f odata.Func, values []any) pred {
	l := c.leaf(f, "@ = ?", values...)
	switch {
	case len(values) == 0:
		return truth(false)
	case len(values) > 1:
		l.sql, l.ordered = "@ IN (?"+strings.Repeat(", ?", len(values)-1)+")", false
	}
	if c.where != "" && l.indexed {
		if slices.Contains(values, any(c.others)) {
			l.indexed, l.covered, l.ordered = false, false, false
		} else {
			l.sql += " AND " + c.where
		}
	}
	return l
}

// leaf asks something of the column or of a function of it.
func (c column) leaf(f odata.Func, sql string, args ...any) *leaf {
	l := &leaf{column: c.name, sql: sql, args: args, indexed: c.indexed && f == odata.None}
	l.covered, l.ordered = c.ordered && l.indexed, c.ordered && l.indexed
	switch f {
	case odata.ToLower:
		l.sql = strings.ReplaceAll(sql, "@", "lower(@)")
	case odata.ToUpper:
		l.sql = strings.ReplaceAll(sql, "@", "upper(@)")
	}
	return l
}

// plain makes a predicate of a condition on a column that is kept as it is shown.
func (c column) plain(e odata.Expr, o odata.Operand) pred {
	switch e := e.(type) {
	case *odata.In:
		var values []any
		for _, v := range e.Values {
			switch {
			case v == nil && c.null:
				values = append(values, "")
			case v != nil && (v != "" || !c.null):
				values = append(values, literal(v))
			}
		}
		return c.one(o.Func, values)
	case *odata.Compare:
		return c.compare(e, o)
	case *odata.Text:
		return c.text(e, o)
	}
	panic("store: a condition of no known kind")
}

func (c column) compare(e *odata.Compare, o odata.Operand) pred {
	if e.Op == odata.Ne {
		eq := *e
		eq.Op = odata.Eq
		return not(c.compare(&eq, o))
	}
	if e.Op == odata.Eq {
		return c.plain(&odata.In{Operand: o, Values: []any{e.Value}}, o)
	}
	l := c.leaf(o.Func, "@ "+operators[e.Op]+" ?", literal(e.Value))
	l.ordered = false
	if c.null {
		l.sql = "@ <> '' AND " + l.sql
	}
	return l
}

var operators = map[odata.Op]string{odata.Gt: ">", odata.Ge: ">=", odata.Lt: "<", odata.Le: "<="}

// text asks for a part of a text, in words that both databases have and mean
// alike: LIKE is not among them.
func (c column) text(e *odata.Text, o odata.Operand) pred {
	if e.Value == "" {
		if c.null {
			return c.leaf(odata.None, "@ <> ''")
		}
		return truth(true)
	}
	var l *leaf
	switch e.Func {
	case odata.StartsWith:
		if end := beginsAfter(e.Value); end != "" {
			l = c.leaf(o.Func, "@ >= ? AND @ < ?", e.Value, end)
		} else {
			l = c.leaf(o.Func, "@ >= ?", e.Value)
		}
	case odata.EndsWith:
		l = c.leaf(o.Func, "replace("+withEnd+", ?, '') <> "+withEnd, strings.ReplaceAll(e.Value, "#", "0#")+"1#")
		l.indexed, l.covered = false, false
	case odata.Contains:
		l = c.leaf(o.Func, "replace(@, ?, '') <> @", e.Value)
		l.indexed, l.covered = false, false
	}
	l.ordered = false
	return l
}

// withEnd is a text with a mark, 1#, that stands at its end and nowhere in it: each
// # of its own has a 0 before it. Characters can't be counted from the end: to
// SQLite a text ends at its first NUL then, and PostgreSQL holds some characters
// as two.
const withEnd = "(replace(@, '#', '0#') || '1#')"

// beginsAfter is the least text that comes after all which begin with prefix; "" if
// there is none.
func beginsAfter(prefix string) string {
	r := []rune(prefix)
	for i := len(r) - 1; i >= 0; i-- {
		switch {
		case r[i] == 0xD7FF: // what follows is no character
			return string(r[:i]) + "\uE000"
		case r[i] < 0x10FFFF:
			return string(r[:i]) + string(r[i]+1)
		}
	}
	return ""
}

// join is the and, or the or, of predicates.
func join(or bool, terms []pred) pred {
	var rest []pred
	for _, t := range terms {
		switch t := t.(type) {
		case truth:
			if bool(t) == or {
				return t
			}
		case *junction:
			if t.or == or {
				rest = append(rest, t.terms...)
			} else {
				rest = append(rest, t)
			}
		default:
			rest = append(rest, t)
		}
	}
	switch len(rest) {
	case 0:
		return truth(!or)
	case 1:
		return rest[0]
	}
	return &junction{or, rest}
}

func not(p pred) pred {
	switch p := p.(type) {
	case truth:
		return !p
	case *negation:
		return p.of
	}
	return &negation{p}
}
