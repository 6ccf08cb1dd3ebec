package odata

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// parser reads one option's value. Its methods panic with *Error, which parse
// catches: a grammar reads better without a check after each word.
type parser struct {
	option string
	entity *Entity
	text   string
	tok    token // the next one
	after  int   // the byte after it
	terms  int
	depth  int
	lambda string // name of the element; "" outside of any()
}

// parse has read read the whole of an option's value.
func parse[T any](option, text string, entity *Entity, read func(*parser) T) (v T, err error) {
	p := &parser{option: option, entity: entity, text: text}
	defer func() {
		switch caught := recover().(type) {
		case nil:
		case *Error:
			err = caught
		default:
			panic(caught)
		}
	}()
	p.next()
	v = read(p)
	if p.tok.kind != end {
		p.fail(p.tok, "%s is too much: the expression is at its end before it", p.tok.shown())
	}
	return v, nil
}

func (p *parser) fail(at token, format string, args ...any) {
	panic(&Error{p.option, 1 + utf8.RuneCountInString(p.text[:at.at]), fmt.Sprintf(format, args...)})
}

// next goes on to the next token and returns the one before.
func (p *parser) next() token {
	was := p.tok
	p.tok, p.after = lex(p.text, p.after)
	if p.tok.kind == bad {
		p.fail(p.tok, "%s", p.tok.text)
	}
	return was
}

// take goes past a word or mark if it comes next.
func (p *parser) take(text string) bool {
	if !p.tok.is(text) {
		return false
	}
	p.next()
	return true
}

func (p *parser) want(text string) {
	if !p.take(text) {
		p.fail(p.tok, "'%s' is wanted, not %s", text, p.tok.shown())
	}
}

// deeper bounds the depth while it reads what is within.
func (p *parser) deeper(at token, read func() Expr) Expr {
	if p.depth++; p.depth > MaxDepth {
		p.fail(at, "there are over %d levels", MaxDepth)
	}
	e := read()
	p.depth--
	return e
}

// term counts a comparison or a value.
func (p *parser) term(at token) {
	if p.terms++; p.terms > MaxTerms {
		p.fail(at, "there are over %d comparisons and values", MaxTerms)
	}
}

// or = and *( "or" and ); "or" binds least.
func (p *parser) or() Expr {
	terms := []Expr{p.and()}
	for p.take("or") {
		terms = append(terms, p.and())
	}
	if len(terms) == 1 {
		return terms[0]
	}
	return &Or{terms}
}

// and = unary *( "and" unary )
func (p *parser) and() Expr {
	terms := []Expr{p.unary()}
	for p.take("and") {
		terms = append(terms, p.unary())
	}
	if len(terms) == 1 {
		return terms[0]
	}
	return &And{terms}
}

// unary = "not" unary / "(" or ")" / predicate
func (p *parser) unary() Expr {
	at := p.tok
	switch {
	case p.take("not"):
		return &Not{p.deeper(at, p.unary)}
	case p.take("("):
		e := p.deeper(at, p.or)
		p.want(")")
		return e
	}
	return p.predicate()
}

// predicate is a comparison, an in, a function of two texts or an any.
func (p *parser) predicate() Expr {
	at := p.tok
	p.term(at)
	switch {
	case at.kind == end || at.kind == mark:
		p.fail(at, "a comparison is wanted, not %s", at.shown())
	case at.kind == quoted || p.literal(at):
		p.next()
		op, of := p.op(), p.tok
		o := p.operand()
		if o.Type() == Strings {
			p.several(of, o.Property)
		}
		return p.compare(o, op.turned(), at)
	}
	if f, ok := textFuncs[strings.ToLower(at.text)]; ok {
		return p.textFunc(f)
	}
	o := p.operand()
	if o.Type() == Strings {
		return p.any(o.Property, at)
	}
	switch {
	case p.take("in"):
		return p.in(o)
	case o.Type() == Bool && !p.atOp():
		return &Compare{o, Eq, true}
	}
	op := p.op()
	value := p.next()
	return p.compare(o, op, value)
}

var textFuncs = map[string]TextFunc{"startswith": StartsWith, "endswith": EndsWith, "contains": Contains}

// textFunc = name "(" operand "," string ")" [ ("eq" / "ne") bool ]
func (p *parser) textFunc(f TextFunc) Expr {
	name := p.next()
	p.want("(")
	at := p.tok
	o := p.operand()
	switch o.Type() {
	case String, Enum, GUID:
	default:
		p.fail(at, "%s is for text, and %s is none", clip(name.text), o.Property.Name)
	}
	p.want(",")
	value := p.next()
	if value.kind != quoted {
		p.fail(value, "a string in quotes is wanted, not %s", value.shown())
	}
	p.want(")")
	e := Expr(&Text{f, o, o.lowered(value.text)})
	if !p.atOp() {
		return e
	}
	at = p.tok
	op, truth := p.op(), p.next()
	if op > Ne || !truth.is("true") && !truth.is("false") {
		p.fail(at, "%s is true or false: compare it with one of them, by eq or ne, or with nothing", clip(name.text))
	}
	if truth.is("true") == (op == Ne) {
		return &Not{e}
	}
	return e
}

// any = property "/any(" [ name ":" or ] ")"
func (p *parser) any(of *Property, at token) Expr {
	if !p.take("/") || !p.take("any") {
		p.several(p.tok, of)
	}
	p.want("(")
	if p.take(")") {
		return &Any{of, nil}
	}
	name := p.next()
	if name.kind != word || !isName(name.text) {
		p.fail(name, "a name for the element is wanted, not %s", name.shown())
	}
	p.want(":")
	p.lambda = name.text
	e := p.deeper(at, p.or)
	p.lambda = ""
	p.want(")")
	return &Any{of, e}
}

func (p *parser) several(at token, of *Property) {
	p.fail(at, "%s holds several values: ask for one of them by %s/any(x: x eq 'value')", of.Name, of.Name)
}

// in = operand "in" "(" value *( "," value ) ")"
func (p *parser) in(o Operand) Expr {
	p.want("(")
	in := &In{Operand: o}
	for {
		value := p.next()
		if len(in.Values) > 0 { // the first one is counted as the comparison
			p.term(value)
		}
		in.Values = append(in.Values, p.value(o, value))
		if p.take(")") {
			return in
		}
		p.want(",")
	}
}

var ops = []string{Eq: "eq", Ne: "ne", Gt: "gt", Ge: "ge", Lt: "lt", Le: "le"}

func (p *parser) atOp() bool {
	for _, name := range ops {
		if p.tok.is(name) {
			return true
		}
	}
	return false
}

func (p *parser) op() Op {
	for op, name := range ops {
		if p.take(name) {
			return Op(op)
		}
	}
	p.fail(p.tok, "an operator is wanted (eq, ne, gt, ge, lt, le, in), not %s", p.tok.shown())
	return 0
}

// turned is the operator with its sides exchanged.
func (op Op) turned() Op { return [...]Op{Eq: Eq, Ne: Ne, Gt: Lt, Ge: Le, Lt: Gt, Le: Ge}[op] }

func (p *parser) compare(o Operand, op Op, value token) Expr {
	v := p.value(o, value)
	if op > Ne && (o.Type() == Enum || o.Type() == Bool || v == nil) {
		p.fail(value, "'%s' is for text, numbers and dates: compare %s with eq or ne", ops[op], o.name(p))
	}
	return &Compare{o, op, v}
}

// operand = name / ("tolower" / "toupper") "(" operand ")"
func (p *parser) operand() Operand {
	at := p.next()
	if at.kind != word || !isName(at.text) {
		p.fail(at, "a property is wanted, not %s", at.shown())
	}
	var f Func
	switch strings.ToLower(at.text) {
	case "tolower":
		f = ToLower
	case "toupper":
		f = ToUpper
	default:
		return Operand{p.property(at), None}
	}
	if !p.tok.is("(") {
		return Operand{p.property(at), None}
	}
	p.want("(")
	of := p.tok
	o := Operand{p.property(p.next()), f}
	p.want(")")
	switch t := o.Type(); {
	case t != String && t != Enum && t != GUID:
		p.fail(of, "%s is for text, and %s is none", clip(at.text), o.Property.Name)
	case t == Enum || o.Property != nil && o.Property.Fold && f == ToLower:
		o.Func = None // makes no difference
	}
	return o
}

// property is the one that a token names; nil for the element of a collection.
func (p *parser) property(at token) *Property {
	if p.lambda != "" {
		if at.text != p.lambda {
			p.fail(at, "%s is not '%s', the one name that any() has here", at.shown(), clip(p.lambda))
		}
		return nil
	}
	found := p.entity.Find(at.text)
	switch {
	case at.kind != word || found == nil && p.tok.is("("):
		p.fail(at, "%s is not a function that is supported here", at.shown())
	case found == nil:
		p.fail(at, "%s is not a property of %s (a string needs quotes)", at.shown(), p.entity.Name)
	case !found.Filter:
		p.fail(at, "%s can't be filtered by %s", p.entity.Name, found.Name)
	}
	return found
}

// name is what an operand is called in a message.
func (o Operand) name(p *parser) string {
	if o.Property == nil {
		return clip(p.lambda)
	}
	return o.Property.Name
}

// Find is the property of a name, in any case; nil for none.
func (e *Entity) Find(name string) *Property {
	for i := range e.Properties {
		if strings.EqualFold(e.Properties[i].Name, name) {
			return &e.Properties[i]
		}
	}
	return nil
}

// isName says whether a word can name something.
func isName(s string) bool {
	return s != "" && (s[0] > '9' || s[0] < '0') && !strings.ContainsAny(s, "-+.:")
}
