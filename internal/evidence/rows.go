package evidence

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
)

// RowTime is how times stand in tables: UTC, nanoseconds.
const RowTime = "2006-01-02T15:04:05.000000000Z"

// schema is how a row type is written: one for each type, made at its first use.
type schema struct {
	typ     reflect.Type
	columns []column
	head    []byte // the CSV's first line
}

type column struct {
	key   []byte // with quotes and colon, as it stands in JSON
	name  string // of the JSON
	csv   bool
	omit  bool // left out of JSON where it is zero
	index []int
	ptr   reflect.Type // the plain type behind a named one
}

// schemas is a cache: what it holds follows from the types alone.
var schemas sync.Map // reflect.Type → *schema

// maybeNumber is a number that may not be known: then there is nothing in its place.
type maybeNumber interface{ Number() (n int64, known bool) }

// plain are the types that a column may have, by the kind of what is behind it.
var plainTypes = map[reflect.Kind]reflect.Type{
	reflect.String: reflect.TypeFor[*string](), reflect.Bool: reflect.TypeFor[*bool](),
	reflect.Int: reflect.TypeFor[*int](), reflect.Int8: reflect.TypeFor[*int8](), reflect.Int16: reflect.TypeFor[*int16](),
	reflect.Int32: reflect.TypeFor[*int32](), reflect.Int64: reflect.TypeFor[*int64](),
	reflect.Uint: reflect.TypeFor[*uint](), reflect.Uint8: reflect.TypeFor[*uint8](), reflect.Uint16: reflect.TypeFor[*uint16](),
	reflect.Uint32: reflect.TypeFor[*uint32](), reflect.Uint64: reflect.TypeFor[*uint64](),
	reflect.Float64: reflect.TypeFor[*float64](),
}

// schemaOf returns the schema of sample's type, a struct or a pointer to one. It
// panics on a type that is no row: that is a mistake in this program.
func schemaOf(sample any) *schema {
	t := reflect.TypeOf(sample)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if s, ok := schemas.Load(t); ok {
		return s.(*schema)
	}
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("evidence: a row is a struct, and %v is none", t))
	}
	s := &schema{typ: t}
	s.read(t, nil)
	for _, c := range s.columns {
		if c.csv {
			if s.head != nil {
				s.head = append(s.head, ',')
			}
			s.head = appendCSVText(s.head, headOf(t, c))
		}
	}
	s.head = append(s.head, '\n')
	kept, _ := schemas.LoadOrStore(t, s)
	return kept.(*schema)
}

func headOf(t reflect.Type, c column) string {
	if head := t.FieldByIndex(c.index).Tag.Get("csv"); head != "" {
		return head
	}
	return c.name
}

func (s *schema) read(t reflect.Type, at []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(append([]int(nil), at...), i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			s.read(f.Type, index)
			continue
		case name == "-" || !f.IsExported():
			continue
		case name == "":
			name = f.Name
		}
		c := column{name: name, csv: f.Tag.Get("csv") != "-", omit: options == "omitzero" || options == "omitempty", index: index}
		c.key = append(appendJSONText(nil, name), ':')
		switch ft := f.Type; {
		case ft == reflect.TypeFor[time.Time](), ft == reflect.TypeFor[netip.Addr](), ft.Implements(reflect.TypeFor[maybeNumber]()):
			c.ptr = reflect.PointerTo(ft)
		case ft.Kind() == reflect.Slice && ft.Elem() == reflect.TypeFor[string]():
			c.ptr = reflect.TypeFor[*[]string]()
		case plainTypes[ft.Kind()] != nil:
			c.ptr = plainTypes[ft.Kind()]
		default:
			panic(fmt.Sprintf("evidence: column %s of %v has type %v, which no table takes", f.Name, t, ft))
		}
		s.columns = append(s.columns, c)
	}
}

// record is a place for one row at a time: rows are copied into it, and its
// cells, bound once, point into it. So no row costs an allocation.
type record struct {
	*schema
	row   reflect.Value
	cells []any // pointers of the plain types, one a column
}

func newRecord(s *schema) *record {
	r := &record{schema: s, row: reflect.New(s.typ).Elem()}
	for _, c := range s.columns {
		r.cells = append(r.cells, r.row.FieldByIndex(c.index).Addr().Convert(c.ptr).Interface())
	}
	return r
}

// set takes a row of the schema's type, or a pointer to one.
func (r *record) set(row any) error {
	v := reflect.ValueOf(row)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if !v.IsValid() || v.Type() != r.typ {
		return fmt.Errorf("row is a %T; the table's rows are %v", row, r.typ)
	}
	r.row.Set(v)
	return nil
}

// clear lets go of the texts of the last row.
func (r *record) clear() { r.row.SetZero() }

// appendJSON appends the row as one line.
func (r *record) appendJSON(b []byte) []byte {
	b = append(b, '{')
	start := len(b)
	for i := range r.columns {
		c := &r.columns[i]
		mark := len(b)
		if mark > start {
			b = append(b, ',')
		}
		b = append(b, c.key...)
		var zero bool
		if b, zero = appendJSONCell(b, r.cells[i]); zero && c.omit {
			b = b[:mark]
		}
	}
	return append(b, '}', '\n')
}

// appendJSONCell appends a value and says whether it is its type's zero.
func appendJSONCell(b []byte, cell any) (_ []byte, zero bool) {
	switch p := cell.(type) {
	case *string:
		return appendJSONText(b, *p), *p == ""
	case *bool:
		return strconv.AppendBool(b, *p), !*p
	case *float64:
		if math.IsNaN(*p) || math.IsInf(*p, 0) {
			return append(b, "null"...), false
		}
		return strconv.AppendFloat(b, *p, 'g', -1, 64), *p == 0
	case *time.Time:
		if p.IsZero() {
			return append(b, "null"...), true
		}
		b = append(b, '"')
		return append(p.UTC().AppendFormat(b, RowTime), '"'), false
	case *netip.Addr:
		if !p.IsValid() {
			return append(b, "null"...), true
		}
		if p.Zone() != "" { // a zone is any text
			return appendJSONText(b, p.String()), false
		}
		return append(p.AppendTo(append(b, '"')), '"'), false
	case *[]string:
		b = append(b, '[')
		for i, s := range *p {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSONText(b, s)
		}
		return append(b, ']'), len(*p) == 0
	case maybeNumber:
		n, known := p.Number()
		if !known {
			return append(b, "null"...), true
		}
		return strconv.AppendInt(b, n, 10), false
	}
	n, u, signed := number(cell)
	if signed {
		return strconv.AppendInt(b, n, 10), n == 0
	}
	return strconv.AppendUint(b, u, 10), u == 0
}

// appendCSV appends the row as one line for people and spreadsheets.
func (r *record) appendCSV(b []byte) []byte {
	first := true
	for i := range r.columns {
		if !r.columns[i].csv {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendCSVCell(b, r.cells[i])
	}
	return append(b, '\n')
}

func appendCSVCell(b []byte, cell any) []byte {
	switch p := cell.(type) {
	case *string:
		return appendCSVText(b, *p)
	case *bool:
		return strconv.AppendBool(b, *p)
	case *float64:
		return strconv.AppendFloat(b, *p, 'g', -1, 64)
	case *time.Time:
		if p.IsZero() {
			return b
		}
		return p.UTC().AppendFormat(b, RowTime)
	case *netip.Addr:
		switch {
		case !p.IsValid():
			return b
		case p.Zone() != "":
			return appendCSVText(b, p.String())
		}
		return p.AppendTo(b)
	case *[]string:
		return appendCSVText(b, strings.Join(*p, "; "))
	case maybeNumber:
		if n, known := p.Number(); known {
			return strconv.AppendInt(b, n, 10)
		}
		return b
	}
	n, u, signed := number(cell)
	if signed {
		return strconv.AppendInt(b, n, 10)
	}
	return strconv.AppendUint(b, u, 10)
}

func number(cell any) (n int64, u uint64, signed bool) {
	switch p := cell.(type) {
	case *int:
		return int64(*p), 0, true
	case *int8:
		return int64(*p), 0, true
	case *int16:
		return int64(*p), 0, true
	case *int32:
		return int64(*p), 0, true
	case *int64:
		return *p, 0, true
	case *uint:
		return 0, uint64(*p), false
	case *uint8:
		return 0, uint64(*p), false
	case *uint16:
		return 0, uint64(*p), false
	case *uint32:
		return 0, uint64(*p), false
	case *uint64:
		return 0, *p, false
	}
	panic(fmt.Sprintf("evidence: a cell of type %T", cell)) // schemaOf lets none through
}
