package device_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/device"
)

func when(p device.Property, o device.Operator, values ...string) device.Condition {
	return device.Condition{Property: p, Operator: o, Values: values}
}

func TestRuleMatchesWhatItSays(t *testing.T) {
	web := device.Device{Tags: []string{"Web", "dmz"}, Facts: device.Facts{Name: "web1.example.org", System: device.Windows, Platform: "Windows11"}}
	mac := device.Device{Facts: device.Facts{Name: "mac", System: device.Darwin, Platform: "macOS"}}
	for _, c := range []struct {
		what     string
		rule     device.Rule
		web, mac bool
	}{
		{"a whole name, in another case", device.Rule{when(device.ByName, device.Equals, "WEB1.example.org")}, true, false},
		{"a part of a name is not the whole", device.Rule{when(device.ByName, device.Equals, "web1")}, false, false},
		{"the beginning of a name", device.Rule{when(device.ByName, device.StartsWith, "db", "web")}, true, false},
		{"the end of a name", device.Rule{when(device.ByName, device.EndsWith, ".org")}, true, false},
		{"a part of a name", device.Rule{when(device.ByName, device.Contains, "a")}, true, true},
		{"a domain", device.Rule{when(device.ByDomain, device.Equals, "example.org")}, true, false},
		{"a domain is not its end", device.Rule{when(device.ByDomain, device.Equals, "org")}, false, false},
		{"no domain", device.Rule{when(device.ByDomain, device.Contains, "m")}, true, false},
		{"a tag", device.Rule{when(device.ByTag, device.Equals, "dmz")}, true, false},
		{"a tag in another case", device.Rule{when(device.ByTag, device.Equals, "web")}, false, false},
		{"the beginning of a tag", device.Rule{when(device.ByTag, device.StartsWith, "W")}, true, false},
		{"a system as it calls itself", device.Rule{when(device.BySystem, device.Equals, "windows11")}, true, false},
		{"all of a kind", device.Rule{when(device.BySystem, device.Equals, "Windows", "macOS")}, true, true},
		{"every condition", device.Rule{when(device.ByTag, device.Equals, "dmz"), when(device.BySystem, device.Equals, "macos")}, false, false},
		{"no condition", device.Rule{}, false, false},
	} {
		if web, mac := c.rule.Fold().Matches(web), c.rule.Fold().Matches(mac); web != c.web || mac != c.mac {
			t.Errorf("%s: matches %t, %t, want %t, %t", c.what, web, mac, c.web, c.mac)
		}
	}
}

// TestGroupIsTheHighestRankedThatMatches holds the group that is found against
// the rules, one after another.
func TestGroupIsTheHighestRankedThatMatches(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	words := []string{"a", "b", "ab", "aab", "a.b", "b.a.b", "windows", "macos", "debian", "é"}
	word := func() string { return words[r.IntN(len(words))] }
	for range 300 {
		var groups []device.Group
		for n := range r.IntN(12) {
			var rule device.Rule
			for range 1 + r.IntN(2) {
				rule = append(rule, when(device.Properties[r.IntN(4)], device.Operators[r.IntN(4)], word(), word()))
			}
			groups = append(groups, device.Group{ID: int64(n + 1), Rank: n + 1, Rule: rule})
		}
		r.Shuffle(len(groups), func(i, j int) { groups[i], groups[j] = groups[j], groups[i] })
		made := device.NewGroups(groups)
		slices.SortFunc(groups, func(a, b device.Group) int { return a.Rank - b.Rank })
		for range 30 {
			d := device.Device{Tags: []string{word(), word()}, Facts: device.Facts{Name: word(), Platform: word(), System: device.Darwin}}
			want := int64(device.DefaultGroup)
			for _, g := range groups {
				if g.Rule.Fold().Matches(d) {
					want = g.ID
					break
				}
			}
			if got := made.Of(d); got.ID != want {
				t.Fatalf("%+v of %+v is in group %d, want %d", d, groups, got.ID, want)
			}
		}
	}
}

// FuzzRule takes rules as they come from outside: one that is let through is
// within its bounds, comes back from its folded form as it went, and finds the
// devices that it matches.
func FuzzRule(f *testing.F) {
	for _, seed := range []string{
		`[{"property":"deviceName","operator":"startsWith","values":["web","DB-"]}]`,
		`[{"property":"tag","operator":"equals","values":["dmz"]},{"property":"os","operator":"contains","values":["windows"]}]`,
		`[{"property":"domain","operator":"endsWith","values":["example.org"]}]`,
		`[{"property":"os","operator":"equals","values":["İ","K"]}]`, `[]`, `null`, `[{}]`,
	} {
		f.Add([]byte(seed), "web1.example.org", "dmz")
	}
	f.Fuzz(func(t *testing.T, text []byte, name, tag string) {
		var rule device.Rule
		if json.Unmarshal(text, &rule) != nil || rule.Check() != nil {
			return
		}
		if len(rule) == 0 || len(rule) > device.MaxConditions {
			t.Fatalf("a rule of %d conditions is let through", len(rule))
		}
		folded := rule.Fold()
		if diff := cmp.Diff(folded, folded.Fold()); diff != "" {
			t.Errorf("folded twice (-once +twice):\n%s", diff)
		}
		kept, err := json.Marshal(folded)
		var again device.Rule
		if err != nil || json.Unmarshal(kept, &again) != nil || !cmp.Equal(folded, again) {
			t.Errorf("%s comes back from the store as %+v, %v", kept, again, err)
		}
		d := device.Device{Tags: []string{tag}, Facts: device.Facts{Name: name, Platform: tag, System: device.Darwin}.Clean()}
		in := device.NewGroups([]device.Group{{ID: 1, Rank: 1, Rule: rule}}).Of(d).ID == 1
		if in != folded.Matches(d) {
			t.Errorf("%s matches %+v: %t, and it is in the group: %t", kept, d, folded.Matches(d), in)
		}
	})
}

// benchGroups are a thousand groups whose rules are of several kinds.
func benchGroups(operator device.Operator) *device.Groups {
	groups := make([]device.Group, 1000)
	for n := range groups {
		g := device.Group{ID: int64(n + 1), Rank: n + 1, Name: fmt.Sprint("group ", n)}
		switch n % 4 {
		case 0:
			g.Rule = device.Rule{when(device.ByTag, operator, fmt.Sprint("site-", n))}
		case 1:
			g.Rule = device.Rule{when(device.ByName, operator, fmt.Sprintf("h%d-", n)), when(device.BySystem, device.Equals, "linux")}
		case 2:
			g.Rule = device.Rule{when(device.ByDomain, operator, fmt.Sprintf("d%d.example.org", n))}
		case 3:
			g.Rule = device.Rule{when(device.ByName, operator, fmt.Sprintf("host%d.example.org", n), fmt.Sprintf("host%d.example.org", n+1))}
		}
		groups[n] = g
	}
	return device.NewGroups(groups)
}

// BenchmarkGroupOf is how long it takes to find a device's group among a thousand.
func BenchmarkGroupOf(b *testing.B) {
	for _, operator := range device.Operators {
		groups := benchGroups(operator)
		d := device.Device{Tags: []string{"site-9999", "dmz"}, Facts: device.Facts{Name: "host999999.example.org", Platform: "Debian", System: device.Linux}}
		b.Run(string(operator), func(b *testing.B) {
			for b.Loop() {
				if groups.Of(d).ID != device.DefaultGroup {
					b.Fatal("the device is in a group")
				}
			}
		})
	}
}
