package device

import (
	"slices"
	"strings"
)

// finder finds, among ranked rules, those that a device could match: each rule
// stands there under the values of one of its conditions, the one that the
// fewest devices can be expected to meet. So a device is held against a few of a
// thousand rules, and against all only where no rule says how a text begins or
// ends.
type finder struct {
	properties []lookup // of Properties, those that rules stand under
	others     []int    // rules that stand under nothing, in the order of their ranks
}

// lookup is the rules that stand under one property. A rule is its place among the
// ranked ones, and in each list the places ascend.
type lookup struct {
	property     Property
	equal        map[string][]int
	begins, ends affixes
}

// affixes are rules by what a text begins or ends with.
type affixes struct {
	lengths []int // of the affixes that there are, in bytes
	by      map[string][]int
}

// choice are the conditions under which a rule can stand, the best first.
var choice = []struct {
	property Property
	operator Operator
}{
	{ByName, Equals}, {ByTag, Equals}, {ByDomain, Equals},
	{ByName, StartsWith}, {ByTag, StartsWith}, {ByDomain, StartsWith},
	{ByName, EndsWith}, {ByTag, EndsWith}, {ByDomain, EndsWith},
	{BySystem, Equals}, {BySystem, StartsWith}, {BySystem, EndsWith},
}

func newFinder(ranked []Group) *finder {
	f := &finder{}
	for at, g := range ranked {
		f.add(at, g.Rule)
	}
	return f
}

func (f *finder) add(at int, r Rule) {
	for _, by := range choice {
		i := slices.IndexFunc(r, func(c Condition) bool { return c.Property == by.property && c.Operator == by.operator })
		if i < 0 {
			continue
		}
		l := f.of(by.property)
		for _, v := range r[i].Values {
			switch by.operator {
			case Equals:
				insert(l.equal, v, at)
			case StartsWith:
				l.begins.add(v, at)
			case EndsWith:
				l.ends.add(v, at)
			}
		}
		return
	}
	f.others = append(f.others, at)
}

// of is the lookup of a property, made where there is none.
func (f *finder) of(p Property) *lookup {
	i := slices.IndexFunc(f.properties, func(l lookup) bool { return l.property == p })
	if i < 0 {
		i = len(f.properties)
		f.properties = append(f.properties, lookup{property: p, equal: map[string][]int{}, begins: affixes{by: map[string][]int{}}, ends: affixes{by: map[string][]int{}}})
	}
	return &f.properties[i]
}

// insert adds a rule whose place is at least that of all before it.
func insert(by map[string][]int, value string, at int) {
	if list := by[value]; len(list) == 0 || list[len(list)-1] != at {
		by[value] = append(list, at)
	}
}

func (a *affixes) add(v string, at int) {
	if !slices.Contains(a.lengths, len(v)) {
		a.lengths = append(a.lengths, len(v))
	}
	insert(a.by, v, at)
}

// first is the least place of a rule that matches holds of, among those that a
// device could match; none if there is none.
func (f *finder) first(d Device, none int, matches func(at int) bool) int {
	best := none
	among := func(places []int) {
		for _, at := range places {
			if at >= best {
				return
			}
			if matches(at) {
				best = at
				return
			}
		}
	}
	for i := range f.properties {
		l := &f.properties[i]
		for s := range texts(d, l.property) {
			among(l.equal[s])
			for _, n := range l.begins.lengths {
				if n <= len(s) {
					among(l.begins.by[s[:n]])
				}
			}
			for _, n := range l.ends.lengths {
				if n <= len(s) {
					among(l.ends.by[s[len(s)-n:]])
				}
			}
		}
	}
	among(f.others)
	return best
}

// texts are what a device has of a property, in the form in which rules are
// folded.
func texts(d Device, p Property) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		switch p {
		case ByName:
			yield(d.Facts.Name)
		case ByDomain:
			if _, domain, _ := strings.Cut(d.Facts.Name, "."); domain != "" {
				yield(domain)
			}
		case ByTag:
			for _, tag := range d.Tags {
				if !yield(tag) {
					return
				}
			}
		case BySystem:
			_ = yield(strings.ToLower(d.Facts.Platform)) && yield(family(d.Facts.System))
		}
	}
}
