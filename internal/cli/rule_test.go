package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/device"
)

func TestARuleIsReadAsItIsTyped(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want device.Condition
		text string
	}{
		{"os equals Linux,Debian", device.Condition{Property: device.BySystem, Operator: device.Equals, Values: []string{"Linux", "Debian"}}, ""},
		{"  TAG  startswith  prod 1 , dmz ", device.Condition{Property: device.ByTag, Operator: device.StartsWith, Values: []string{"prod 1", "dmz"}}, "tag startsWith prod 1,dmz"},
		{`deviceName contains "a, b" , "\"c\\" ,d\e`, device.Condition{Property: device.ByName, Operator: device.Contains, Values: []string{"a, b", `"c\`, `d\e`}}, `deviceName contains "a, b","\"c\\",d\e`},
		{`domain endsWith " x"`, device.Condition{Property: device.ByDomain, Operator: device.EndsWith, Values: []string{" x"}}, ""},
	} {
		got, err := parseCondition(tc.in)
		if diff := cmp.Diff(tc.want, got); err != nil || diff != "" {
			t.Errorf("parseCondition(%q): %v (-want +got):\n%s", tc.in, err, diff)
		}
		text := tc.text
		if text == "" {
			text = tc.in
		}
		if got := ruleText(device.Rule{tc.want})[0]; got != text {
			t.Errorf("ruleText = %q, want %q", got, text)
		}
	}
}

func TestWhatIsWrongWithARuleIsToldByItsPlace(t *testing.T) {
	for _, tc := range []struct{ in, err string }{
		{"", "at 1: the property is missing; there are deviceName, domain, tag, os"},
		{"  host equals x", `at 3: there is no property "host"; there are deviceName, domain, tag, os`},
		{"os", "at 3: the operator is missing; there are equals, startsWith, endsWith, contains"},
		{"os equal Linux", `at 4: there is no operator "equal"; there are equals, startsWith, endsWith, contains`},
		{"os equals", "at 10: a value is missing here"},
		{"os equals a,,b", "at 13: a value is missing here"},
		{"os equals é, ", "at 14: a value is missing here"},
		{`os equals a "b"`, `at 13: a quote stands within a value; write "a \"b\" c"`},
		{`os equals "a`, "at 11: the quote that begins here has no end"},
		{`os equals "a\"`, "at 11: the quote that begins here has no end"},
		{`os equals "\n"`, `at 13: a backslash stands before something else than " and \`},
		{`os equals "a" b`, "at 15: a comma or the end is missing here"},
		{"os equals \xff", "it has over 16384 bytes, or is not UTF-8"},
		{"os equals " + strings.Repeat("x", maxCondition), "it has over 16384 bytes, or is not UTF-8"},
	} {
		if c, err := parseCondition(tc.in); err == nil || err.Error() != tc.err {
			t.Errorf("parseCondition(%.40q) = %v, %v; want %s", tc.in, c, err, tc.err)
		}
	}
	_, err := parseRule([]string{"os is x", "tag equals y", "z"})
	if err == nil || strings.Count(err.Error(), "\n") != 1 || !strings.HasPrefix(err.Error(), `--rule "os is x": at 4: `) {
		t.Errorf("two that are wrong: %v", err)
	}
	if _, err := parseRule([]string{"os equals " + strings.Repeat("x", device.MaxValue+1)}); err == nil || !strings.HasPrefix(err.Error(), "--rule: condition 1: the value ") {
		t.Errorf("a value that is too long: %v", err)
	}
}

// Whatever is typed: what can be read is the same rule when it is written and read
// again.
func FuzzParseCondition(f *testing.F) {
	for _, s := range []string{"os equals Linux,Debian", `tag contains "a, \"b\\",c`, "deviceName startsWith", "domain equals é,\u2003x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseCondition(s)
		if err != nil {
			return
		}
		text := ruleText(device.Rule{c})[0]
		again, err := parseCondition(text)
		if diff := cmp.Diff(c, again); len(text) <= maxCondition && (err != nil || diff != "") {
			t.Errorf("parseCondition(%q) of %q: %v\n%s", text, s, err, diff)
		}
	})
}
