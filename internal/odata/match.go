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
		return compare(e.Operand.of(get), e.Op, e.Operand.folded(e.Value))
	case *In:
		v := e.Operand.of(get)
		return slices.ContainsFunc(e.Values, func(w any) bool { return compare(v, Eq, e.Operand.folded(w)) })
	case *Text:
		v, ok := e.Operand.of(get).(string)
		return ok && e.Func.holds(v, e.Operand.folded(e.Value).(string))
	case *Any:
		list, _ := get(e.Property).([]string)
		return slices.ContainsFunc(list, func(s string) bool {
			return Match(e.Of, func(*Property) any { return s })
		})
	}
	panic("odata: a condition of no known kind")
}

// of is an operand's value.
func (o Operand) of(get func(*Property) any) any {
	s, ok := get(o.Property).(string)
	if !ok {
		return get(o.Property)
	}
	switch {
	case o.Func == ToLower:
		s = lower(s)
	case o.Func == ToUpper:
		s = upper(s)
	}
	return o.folded(s)
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
		n = strings.Compare(a, b.(string))
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
