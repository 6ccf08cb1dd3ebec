package audit_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"swab/internal/audit"
)

func TestChangesNameWhatDiffers(t *testing.T) {
	var c audit.Changes
	if c.Add("same", "x", "x"); !c.Empty() || c.String() != "" {
		t.Errorf("nothing changed, and String() = %q", c.String())
	}
	c.Add("name", "Tier 1", "Tier <2>\x1b[31m\n")
	c.Add("description", "", "of web servers")
	c.AddList("roles", []string{"Reader", "Analyst"}, []string{"Analyst", "Administrator"})
	c.AddList("groups", []string{"a", "b"}, []string{"b", "a"})
	c.AddList("tags", []string{"a"}, []string{"a"})
	c.AddSecret("password")
	want := `{"v":1,"changes":[` +
		`{"field":"name","from":["Tier 1"],"to":["Tier <2>?[31m?"],"omitted":0},` +
		`{"field":"description","from":[],"to":["of web servers"],"omitted":0},` +
		`{"field":"roles","from":["Reader"],"to":["Administrator"],"omitted":0},` +
		`{"field":"groups","from":["a","b"],"to":["b","a"],"omitted":0},` +
		`{"field":"password","from":[],"to":[],"omitted":0}],"omitted":0}`
	if diff := cmp.Diff(want, c.String()); diff != "" {
		t.Errorf("String() (-want +got):\n%s", diff)
	}
	got, ok := audit.ParseChanges(c.String())
	if diff := cmp.Diff(c.Fields, got.Fields); !ok || diff != "" {
		t.Errorf("ParseChanges = %v (-want +got):\n%s", ok, diff)
	}
}

func TestOtherCommentsAreNoChanges(t *testing.T) {
	for _, comment := range []string{
		"", "alert 1234", "{", "{}", `{"v":1,"changes":[],"omitted":0}`,
		`{"v":2,"changes":[{"field":"a","from":[],"to":[],"omitted":0}],"omitted":0}`,
		`{"v":1, "changes":[{"field":"a","from":[],"to":[],"omitted":0}],"omitted":0}`,
		`{"v":1,"changes":[{"field":"a","from":[],"to":[],"omitted":0}],"omitted":0}` + " ",
		`{"v":1,"changes":[{"field":"a","from":[],"to":[],"omitted":-1}],"omitted":0}`,
		`{"v":1,"changes":[{"field":"a","from":null,"to":[],"omitted":0}],"omitted":0}`,
	} {
		if c, ok := audit.ParseChanges(comment); ok {
			t.Errorf("ParseChanges(%q) = %v", comment, c)
		}
	}
}

// However much changed, the comment is bounded, can be read, and counts what it
// leaves out.
func TestChangesAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat(rapid.SampledFrom([]string{"x", "é", "😀", "\x00", "\xff", `"`}).Draw(t, "rune"), rapid.SampledFrom([]int{1, 100, 600}).Draw(t, "length"))
		}), 0, 90)
		var c audit.Changes
		n := rapid.IntRange(1, 80).Draw(t, "fields")
		for i := range n {
			c.AddList(fmt.Sprint("field ", i), texts.Draw(t, "before"), append(texts.Draw(t, "after"), "of its own "+fmt.Sprint(i)))
		}
		said := c.String()
		if len(said) > audit.MaxChanges || !utf8.ValidString(said) {
			t.Fatalf("String() has %d bytes", len(said))
		}
		got, ok := audit.ParseChanges(said)
		if !ok || len(got.Fields)+got.Omitted != n {
			t.Fatalf("ParseChanges = %d fields and %d left out, %v; want %d together", len(got.Fields), got.Omitted, ok, n)
		}
	})
}

func FuzzParseChanges(f *testing.F) {
	var c audit.Changes
	c.Add("name", "a", "b")
	f.Add(c.String())
	f.Add(`{"v":1,"changes":null,"omitted":-1}`)
	f.Fuzz(func(t *testing.T, comment string) {
		if c, ok := audit.ParseChanges(comment); ok && c.String() != comment {
			t.Errorf("%q is read as %q", comment, c.String())
		}
	})
}
