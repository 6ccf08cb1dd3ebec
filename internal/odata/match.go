package odata

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Match says whether a condition holds of an entity whose properties get
// returns: nil for null, or what the property's type says. A nil condition
// holds of all. This is what a store's answer is held against.
//
// A text may be known by several values, a []string: what asks for one value
// then holds where it does of one of them, ne where eq does not, and gt, ge, lt
// and le look at the first.
func Match(e Expr, get func(*Property) any) bool {
	switch e := e.(type) {
	case nil:
		return true
	case *And:
		return !slices.ContainsFunc(e.Terms, func(t Expr) bool { return !Match(t, get) })
	case *Or:
		return slices.ContainsFunc(e.Terms, func(t Expr) bool { return Match(t, get) })
	case *Not:
		return !Match(e.Term, get)
	case *Compare:
		values := e.Operand.of(get)
		switch w := e.Operand.folded(e.Value); e.Op {
		case Eq:
			return slices.ContainsFunc(values, func(v any) bool { return compare(v, Eq, w) })
		case Ne:
			return !slices.ContainsFunc(values, func(v any) bool { return compare(v, Eq, w) })
		default:
			return compare(values[0], e.Op, w)
		}
	case *In:
		return slices.ContainsFunc(e.Operand.of(get), func(v any) bool {
			return slices.ContainsFunc(e.Values, func(w any) bool { return compare(v, Eq, e.Operand.folded(w)) })
		})
	case *Text:
		return slices.ContainsFunc(e.Operand.of(get), func(v any) bool {
			s, ok := v.(string)
			return ok && e.Func.holds(s, e.Operand.folded(e.Value).(string))
		})
	case *Any:
		list, _ := get(e.Property).([]string)
		return slices.ContainsFunc(list, func(s string) bool {
			return Match(e.Of, func(*Property) any { return s })
		})
	}
	panic("odata: a condition of no known kind")
}

// Asks says whether a condition asks for a property that which holds of.
func Asks(e Expr, which func(*Property) bool) bool {
	among := func(terms []Expr) bool {
		return slices.ContainsFunc(terms, func(t Expr) bool { return Asks(t, which) })
	}
	switch e := e.(type) {
	case nil:
		return false
	case *And:
		return among(e.Terms)
	case *Or:
		return among(e.Terms)
	case *Not:
		return Asks(e.Term, which)
	case *Compare:
		return which(e.Operand.Property)
	case *In:
		return which(e.Operand.Property)
	case *Text:
		return which(e.Operand.Property)
	case *Any:
		return which(e.Property)
	}
	panic("odata: a condition of no known kind")
}

// of are an operand's values: one, but for a text that is known by several.
func (o Operand) of(get func(*Property) any) []any {
	v := get(o.Property)
	list, several := v.([]string)
	if s, ok := v.(string); ok {
		list = []string{s}
	} else if !several {
		return []any{v}
	}
	values := make([]any, len(list))
	for i, s := range list {
		switch o.Func {
		case ToLower:
			s = lower(s)
		case ToUpper:
			s = upper(s)
		}
		values[i] = o.folded(s)
	}
	return values
}

// Given is a text that is null where it is empty, as Match wants it.
func Given(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// folded is a value in the form in which it is compared: of enums in lower case.
func (o Operand) folded(v any) any {
	if s, ok := v.(string); ok && o.Type() == Enum {
		return strings.ToLower(s)
	}
	return v
}

// compare compares values of one type.
func compare(a any, op Op, b any) bool {
	if a == nil || b == nil {
		switch op {
		case Eq:
			return a == b
		case Ne:
			return a != b
		}
		return false
	}
	var n int
	switch a := a.(type) {
	case string:
		n = cmp.Compare(a, b.(string))
	case int64:
		n = cmp.Compare(a, b.(int64))
	case bool:
		n = cmp.Compare(order(a), order(b.(bool)))
	case time.Time:
		n = a.Compare(b.(time.Time))
	}
	return op.Holds(n)
}

func order(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Holds says whether the comparison holds of two values that compare as n: below
// zero where the left one is less.
func (op Op) Holds(n int) bool {
	switch op {
	case Eq:
		return n == 0
	case Ne:
		return n != 0
	case Gt:
		return n > 0
	case Ge:
		return n >= 0
	case Lt:
		return n < 0
	default:
		return n <= 0
	}
}

func (f TextFunc) holds(s, part string) bool {
	switch f {
	case StartsWith:
		return strings.HasPrefix(s, part)
	case EndsWith:
		return strings.HasSuffix(s, part)
	default:
		return strings.Contains(s, part)
	}
}

// lower and upper change the letters of ASCII alone.
func lower(s string) string { return ascii(s, 'A', 'Z', 'a'-'A') }
func upper(s string) string { return ascii(s, 'a', 'z', 'A'-'a') }

func ascii(s string, from, to, by rune) string {
	return strings.Map(func(r rune) rune {
		if from <= r && r <= to {
			return r + by
		}
		return r
	}, s)
}
