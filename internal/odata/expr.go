package odata

// Expr is a condition: *And, *Or, *Not, *Compare, *In, *Text or *Any.
type Expr interface{ condition() }

// And holds where all of its terms do; there are two at least.
type And struct{ Terms []Expr }

// Or holds where one of its terms does; there are two at least.
type Or struct{ Terms []Expr }

// Not holds where its term does not.
type Not struct{ Term Expr }

// Compare compares an operand with a value: nil for null, or what the operand's
// type says. The two sides are brought into this order.
type Compare struct {
	Operand Operand
	Op      Op
	Value   any
}

// In holds where the operand equals one of the values.
type In struct {
	Operand Operand
	Values  []any
}

// Text asks for a part of a text.
type Text struct {
	Func    TextFunc
	Operand Operand
	Value   string
}

// Any holds where the condition does for one element of a property of type
// Strings; nil holds for each.
type Any struct {
	Property *Property
	Of       Expr
}

// Op is a comparison.
type Op int

// The comparisons.
const (
	Eq Op = iota
	Ne
	Gt
	Ge
	Lt
	Le
)

// TextFunc is a function of two texts.
type TextFunc int

// The functions of two texts.
const (
	StartsWith TextFunc = iota
	EndsWith
	Contains
)

// Operand is a property, or a function of it. No property is the element of the
// collection that the Any around is about.
type Operand struct {
	Property *Property
	Func     Func
}

// Func is a function of one text.
type Func int

// The functions of one text.
const (
	None Func = iota
	ToLower
	ToUpper
)

// Type is the type of an operand's values.
func (o Operand) Type() Type {
	if o.Property == nil {
		return String
	}
	return o.Property.Type
}

func (*And) condition()     {}
func (*Or) condition()      {}
func (*Not) condition()     {}
func (*Compare) condition() {}
func (*In) condition()      {}
func (*Text) condition()    {}
func (*Any) condition()     {}
