// Package odata reads the query of a list: text → tree. What becomes of the tree
// is for others: a store makes a predicate of it, [Match] evaluates it.
//
// It is the subset of OData 4.01 that real clients use, and nothing of a query
// is ever ignored in silence: what is not understood is an [Error] that says at
// which character and why. Loose are only the forms that clients are known to
// send: names, operators and values of enums in any case, dates without a time
// and with a zone all the same, numbers and GUIDs in quotes.
//
// What can be asked of an entity is data ([Entity]) that its owner declares; an
// expression names nothing else. Values are kept apart from the text, so that
// whoever makes a predicate can hand them over as parameters.
//
// # Meaning
//
// Logic has two values. A property may be null: then eq null, and ne with
// anything else, hold of it, and every other comparison or function is false.
// Text is compared by its code points, exactly; of enums, and of what is stored
// in lower case, case does not count. tolower and toupper change the letters of
// ASCII alone, as both databases do.
package odata

import "swab/internal/fault"

// Type is what a property is, and so what it can be compared with.
type Type int

// The types, with the Go type that [Match] wants for each.
const (
	String  Type = iota // string
	Enum                // string, one of the property's Values
	Int                 // int64
	Bool                // bool
	Time                // time.Time
	GUID                // string, in lower case
	Strings             // []string
	Object              // anything else: can only be selected
)

// Property is one property of an entity.
type Property struct {
	Name string
	Type Type

	// Values are those of an enum, as they are written. A value may stand for
	// another of them, "Canceled=Cancelled": what is asked for under its name
	// is the other one.
	Values []string

	Open bool // an enum that may be asked for values which it never has
	Fold bool // values are stored in lower case, so a query's are lowered too

	Filter, Sort bool // whether it can be filtered and sorted by
}

// Entity is what a list consists of.
type Entity struct {
	Name       string // for messages: "machines"
	Properties []Property
}

// Bounds of a query.
const (
	MaxQuery = 8 << 10 // bytes of it, encoded
	MaxTerms = 100     // comparisons and values of a filter
	MaxDepth = 32      // parentheses and nots within one another
	MaxTop   = 10_000  // entities of one answer
	maxOrder = 8       // properties to sort by
	maxToken = 4 << 10 // bytes of a $skiptoken, encoded; they do not count for MaxQuery
)

// Query is a list's query.
type Query struct {
	Filter  Expr // nil for none
	OrderBy []Order
	Top     int // at most MaxTop; -1 where it was not given
	Skip    int
	Count   bool
	Select  []string // names as the entity spells them; nil for all
	After   string   // $skiptoken: whose page this is, in words of whoever gave it out
}

// Page is a list's answer.
type Page[T any] struct {
	Rows  []T
	Total int64  // all that the filter selects; -1 where it was not asked for
	Next  string // the key after which the next page begins, for Query.After; "" where nothing is left
}

// All is the query that selects everything.
func All() Query { return Query{Top: -1} }

// Order is a property to sort by.
type Order struct {
	Property *Property
	Desc     bool
}

// Error is what is wrong with a query. It is a fault.OData.
type Error struct {
	Option string // "$filter"; "" for the query as a whole
	At     int    // the character of the option's decoded value, from 1 on; 0 for the whole
	Reason string
}

// Unwrap makes the error a fault.
func (e *Error) Unwrap() error { return fault.OData.Errorf(nil, "%s", e.Error()) }
