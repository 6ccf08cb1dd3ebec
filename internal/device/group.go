package device

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Group is a device group: which devices are in it, and which user groups may
// reach them. A device is in exactly one group: the one of the highest rank whose
// rule it matches, or in that of the devices which match none.
type Group struct {
	ID          int64 // rbacGroupId: from 1 on, never used again in its tenant; DefaultGroup for the default
	Name        string
	Description string
	Rank        int // 1 is the highest; each once. The default group has none
	Rule        Rule
	UserGroups  []string // ids of the user groups that may reach its devices; empty: whoever has a role
}

// The group of the devices that match no rule. It is in every tenant, ranks last,
// and can't be deleted; its user groups can be set.
const (
	DefaultGroup     = 0
	DefaultGroupName = "Ungrouped devices (default)"
)

// Rule says which devices are in a group: those that meet every condition, at
// least one of which there must be.
type Rule []Condition

// Condition asks something of one property of a device; it is met where any one
// of the values fits.
type Condition struct {
	Property Property `json:"property"`
	Operator Operator `json:"operator"`
	Values   []string `json:"values"`
}

// Property is what a condition looks at.
type Property string

// The properties. Tags are compared as they are, all others without regard to
// case; a tag condition is met where any tag of the device fits.
const (
	ByName   Property = "deviceName" // the whole name: host1.example.com
	ByDomain Property = "domain"     // what follows the name's first dot
	ByTag    Property = "tag"
	BySystem Property = "os" // as osPlatform has it: Debian, Windows11; and linux, windows, macos for all of a kind
)

// Operator is how a condition compares.
type Operator string

// The operators.
const (
	Equals     Operator = "equals"
	StartsWith Operator = "startsWith"
	EndsWith   Operator = "endsWith"
	Contains   Operator = "contains"
)

// Properties and Operators are all that there are.
var (
	Properties = []Property{ByName, ByDomain, ByTag, BySystem}
	Operators  = []Operator{Equals, StartsWith, EndsWith, Contains}
)

// Bounds of rules.
const (
	MaxValues     = 10  // of a property of a rule, in all of its conditions
	MaxConditions = 16  // of a rule
	MaxValue      = 200 // characters of a value
	MaxGroups     = 2000
)

// Check says what is wrong with a rule. What is returned for a person to read
// names the place.
func (r Rule) Check() error {
	if len(r) == 0 {
		return fmt.Errorf("a rule has at least one condition: name one property with its values")
	}
	if len(r) > MaxConditions {
		return fmt.Errorf("a rule has %d conditions, at most %d may be", len(r), MaxConditions)
	}
	values := map[Property]int{}
	for i, c := range r {
		if err := c.check(); err != nil {
			return fmt.Errorf("condition %d: %w", i+1, err)
		}
		if values[c.Property] += len(c.Values); values[c.Property] > MaxValues {
			return fmt.Errorf("condition %d: the property %s has over %d values in this rule; mark the devices with a tag, and let the rule ask for that", i+1, c.Property, MaxValues)
		}
	}
	return nil
}

func (c Condition) check() error {
	if !slices.Contains(Properties, c.Property) {
		return fmt.Errorf("there is no property %.40q; there are %s", c.Property, words(Properties))
	}
	if !slices.Contains(Operators, c.Operator) {
		return fmt.Errorf("there is no operator %.40q; there are %s", c.Operator, words(Operators))
	}
	if len(c.Values) == 0 {
		return fmt.Errorf("it has no value")
	}
	for _, v := range c.Values {
		if v == "" || strings.TrimSpace(v) != v || !utf8.ValidString(v) || utf8.RuneCountInString(v) > MaxValue || strings.ContainsFunc(v, unicode.IsControl) {
			return fmt.Errorf("the value %.40q is empty, has blanks at an end or control characters, or has over %d characters", v, MaxValue)
		}
	}
	return nil
}

func words[W ~string](list []W) string {
	s := make([]string, len(list))
	for i, w := range list {
		s[i] = string(w)
	}
	return strings.Join(s, ", ")
}

// Fold is the rule in the one form in which it is compared and kept: values in
// lower case, but for tags.
func (r Rule) Fold() Rule {
	folded := make(Rule, len(r))
	for i, c := range r {
		c.Values = slices.Clone(c.Values)
		if c.Property != ByTag {
			for j, v := range c.Values {
				c.Values[j] = strings.ToLower(v)
			}
		}
		folded[i] = c
	}
	return folded
}

// Matches says whether a device is of a folded rule.
func (r Rule) Matches(d Device) bool {
	for _, c := range r {
		if !c.met(d) {
			return false
		}
	}
	return len(r) > 0
}

func (c Condition) met(d Device) bool {
	for s := range texts(d, c.Property) {
		if c.fits(s) {
			return true
		}
	}
	return false
}

// family is a system as people name it.
func family(system string) string {
	if system == Darwin {
		return "macos"
	}
	return system
}

// fits says whether any of the values fits a text.
func (c Condition) fits(s string) bool {
	for _, v := range c.Values {
		switch c.Operator {
		case Equals:
			if s == v {
				return true
			}
		case StartsWith:
			if strings.HasPrefix(s, v) {
				return true
			}
		case EndsWith:
			if strings.HasSuffix(s, v) {
				return true
			}
		case Contains:
			if strings.Contains(s, v) {
				return true
			}
		}
	}
	return false
}

// Groups are all groups of a tenant, made ready to find a device's. Nobody
// changes them.
type Groups struct {
	ranked []Group // by rank; without the default group
	def    Group
	byID   map[int64]int
	finder *finder
}

// NewGroups makes groups ready. Their rules are folded. The default group may be
// among them; where it is not, it is open.
func NewGroups(groups []Group) *Groups {
	g := &Groups{def: Group{ID: DefaultGroup, Name: DefaultGroupName}, byID: map[int64]int{}}
	for _, one := range groups {
		if one.ID == DefaultGroup {
			g.def = one
			continue
		}
		one.Rule = one.Rule.Fold()
		g.ranked = append(g.ranked, one)
	}
	slices.SortStableFunc(g.ranked, func(a, b Group) int { return a.Rank - b.Rank })
	for i, one := range g.ranked {
		g.byID[one.ID] = i
	}
	g.finder = newFinder(g.ranked)
	return g
}

// Of is the group that a device is in.
func (g *Groups) Of(d Device) Group {
	at := g.finder.first(d, len(g.ranked), func(at int) bool { return g.ranked[at].Rule.Matches(d) })
	if at == len(g.ranked) {
		return g.def
	}
	return g.ranked[at]
}

// Get is the group with an id.
func (g *Groups) Get(id int64) (Group, bool) {
	if id == DefaultGroup {
		return g.def, true
	}
	at, ok := g.byID[id]
	if !ok {
		return Group{}, false
	}
	return g.ranked[at], true
}

// All are the groups in the order of their ranks, the default group last.
func (g *Groups) All() []Group { return append(slices.Clone(g.ranked), g.def) }

// Reach is how far a caller reaches: the devices of all groups, or of some.
type Reach struct {
	All    bool
	Groups []int64  // in ascending order; nothing where All holds
	By     []string // ids of the user groups that it comes of; nil where it comes of none, and never changes
}

// In is the reach by the groups as they are in g, which may be those of another
// moment.
func (r Reach) In(g *Groups) Reach {
	if r.By == nil {
		return r
	}
	return g.Reach(r.By)
}

// Everywhere reaches every device, whatever becomes of the groups.
var Everywhere = Reach{All: true}

// Has says whether the devices of a group are within reach.
func (r Reach) Has(group int64) bool {
	if r.All {
		return true
	}
	_, found := slices.BinarySearch(r.Groups, group)
	return found
}

// Reach is what the members of user groups reach of these groups.
func (g *Groups) Reach(userGroups []string) Reach {
	r := Reach{Groups: []int64{}, All: true, By: append([]string{}, userGroups...)}
	for _, one := range g.All() {
		open := len(one.UserGroups) == 0 || slices.ContainsFunc(one.UserGroups, func(id string) bool { return slices.Contains(userGroups, id) })
		if open {
			r.Groups = append(r.Groups, one.ID)
		} else {
			r.All = false
		}
	}
	if r.All {
		r.Groups = nil
	}
	slices.Sort(r.Groups)
	return r
}
