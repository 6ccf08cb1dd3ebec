package accessfile

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Verb is what a change does.
type Verb byte

// The verbs.
const (
	Add    Verb = '+'
	Alter  Verb = '~'
	Remove Verb = '-' // of a user: disable, of an application or issuer: revoke
	Stray  Verb = '!' // not in the file, and left as it is: no change, but worth a line
)

// Kind is what a change is of.
type Kind string

// The kinds.
const (
	OfUserGroup   Kind = "user group"
	OfUser        Kind = "user"
	OfRole        Kind = "role"
	OfDeviceGroup Kind = "device group"
	OfApplication Kind = "application"
	OfIssuer      Kind = "issuer"
)

// Change is one step from what there is to what shall be.
type Change struct {
	Verb  Verb
	Kind  Kind
	Name  string // as the file has it; of what is not in the file as it is
	ID    string // of an application that is there its client id, of an issuer its URL
	Parts []Part // of Add and Alter: the fields that differ

	// Join and Leave are the users who come into a user group and leave it, which
	// are changes of their own: nobody's leaving comes before all have joined.
	Join, Leave []string

	// Rank is where a device group comes to stand, at the moment of the change: 1
	// is the highest. 0 leaves it where it is.
	Rank int
}

// Part is a field of a thing that differs; one that has no values says all by its
// name.
type Part struct {
	Field    string
	Given    []string // what is in it now and was not
	Taken    []string
	Replaced bool // a single value, which the one given takes the place of

	composed bool // each says several things, and has its quotes already
}

// String is the change in one line: ~ role Responder: permissions +Alerts investigation.
func (c Change) String() string {
	text := fmt.Sprintf("%c %s %s", c.Verb, c.Kind, worded(c.Name))
	var parts []string
	for _, p := range c.Parts {
		parts = append(parts, p.String())
	}
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, "; ")
	}
	switch {
	case c.Verb == Stray:
		text += ": not in the file, and left as it is"
	case c.Verb == Remove && c.Kind == OfUser:
		text += ": disabled"
	case c.Verb == Remove && (c.Kind == OfApplication || c.Kind == OfIssuer):
		text += ": revoked"
	}
	return text
}

func (p Part) String() string {
	if p.Replaced {
		if len(p.Given) == 0 {
			return "no " + p.Field
		}
		return p.Field + " " + worded(p.Given[0])
	}
	say := worded
	if p.composed {
		say = exactly
	}
	text := p.Field
	for _, s := range p.Given {
		text += " +" + say(s)
	}
	for _, s := range p.Taken {
		text += " -" + say(s)
	}
	return text
}

// bare is a text that can't be taken for what surrounds it in a change's line.
var bare = regexp.MustCompile(`^[\pL\pN](?:[\pL\pN_.@()/:-]| [\pL\pN_.@()/])*$`)

func worded(s string) string {
	if bare.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

// parts gathers the fields that differ.
type parts []Part

func (p *parts) text(field, was, is string) {
	if was != is {
		part := Part{Field: field, Replaced: true}
		if is != "" {
			part.Given = []string{is}
		}
		*p = append(*p, part)
	}
}

func (p *parts) list(field string, was, is []string, same func(string) string) {
	part := Part{Field: field, Given: without(is, was, same), Taken: without(was, is, same)}
	if len(part.Given)+len(part.Taken) > 0 {
		*p = append(*p, part)
	}
}

// without is what a list has above another.
func without(list, other []string, same func(string) string) (more []string) {
	known := map[string]bool{}
	for _, s := range other {
		known[same(s)] = true
	}
	for _, s := range list {
		if !known[same(s)] {
			more = append(more, s)
		}
	}
	return more
}

func exactly(s string) string { return s }

// said is a text that says several things, with the form in which it is compared.
type said struct{ shown, mark string }

// composed is list for texts that say several things each.
func (p *parts) composed(field string, was, is []said) {
	part := Part{Field: field, Given: missing(is, was), Taken: missing(was, is), composed: true}
	if len(part.Given)+len(part.Taken) > 0 {
		*p = append(*p, part)
	}
}

// missing is what a list has and another lacks.
func missing(list, other []said) (more []string) {
	for _, one := range list {
		if !slices.ContainsFunc(other, func(s said) bool { return s.mark == one.mark }) {
			more = append(more, one.shown)
		}
	}
	return more
}

// renamed tells of a name that differs in upper and lower case alone.
func (p *parts) renamed(was, is string) {
	if was != "" {
		p.text("name", was, is)
	}
}
