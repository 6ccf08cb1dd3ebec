package command

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSettingsFile(t *testing.T) {
	for _, tc := range []struct{ in, err string }{
		{"a: 1\na: 2", "stands there twice"},
		{"a: {b: {c: {d: 1}}}", "takes a single value or a list"},
		{"a: {b: 1, b: 2}", "stands there twice"},
		{"a: {[b]: 1}", "a name is a plain word"},
		{"a: {b: }", "has no value"},
		{"a: [[1]]", "list of lists"},
		{"a:", "has no value"},
		{"- a", "not a mapping"},
		{"a: 1\n---\nb: 2", "more than one YAML document"},
		{"a: &x 1\nb: *x", "takes a single value or a list"},
		{"[a]: 1", "a name is a plain word"},
		{"a: \"", "yaml"},
		{"# " + strings.Repeat("x", MaxConfig), "bytes"},
	} {
		_, err := parseSettings([]byte(tc.in))
		if err == nil || !strings.Contains(err.Error(), tc.err) {
			t.Errorf("parseSettings(%.40q) = %v, want an error with %q", tc.in, err, tc.err)
		}
	}
	got, err := parseSettings([]byte("a: 0755\nb: yes\nc: [1, x]\nd: ''\ne: 5m\nf: |\n  text\n"))
	want := map[string]any{"a": "0755", "b": "yes", "c": []any{"1", "x"}, "d": "", "e": "5m", "f": "text\n"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("err %v (-want +got):\n%s", err, diff)
	}
	got, err = parseSettings([]byte("limits:\n  x: off\n  y: {minute: 2, hour: 0x10}\nb: {}\n"))
	want = map[string]any{"limits": map[string]any{"x": "off", "y": map[string]any{"minute": "2", "hour": "0x10"}}, "b": map[string]any{}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("err %v (-want +got):\n%s", err, diff)
	}
	for _, empty := range []string{"", "# nothing\n", "null\n", "---\n"} {
		if got, err := parseSettings([]byte(empty)); err != nil || len(got) != 0 {
			t.Errorf("parseSettings(%q) = %v, %v, want nothing", empty, got, err)
		}
	}
}

func FuzzParseSettings(f *testing.F) {
	for _, s := range []string{"a: 1", "a: [b, c]", "a: &x 1\nb: *x", "{a: b, c: d}", "? a\n: b", "a: !!binary aGk=", "%YAML 1.1\n---\na: b", "a: {b: {c: d}, e: off}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		settings, err := parseSettings(data)
		if err != nil {
			return
		}
		checkSettings(t, settings, maxDepth)
	})
}

func checkSettings(t *testing.T, settings map[string]any, depth int) {
	t.Helper()
	for name, v := range settings {
		switch v := v.(type) {
		case string:
		case []any:
			for _, item := range v {
				if _, ok := item.(string); !ok {
					t.Errorf("%q holds a %T", name, item)
				}
			}
		case map[string]any:
			if depth == 0 {
				t.Errorf("%q is too deep", name)
			}
			checkSettings(t, v, depth-1)
		default:
			t.Errorf("%q is a %T", name, v)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b[31m\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := Printable(s)
		if strings.ContainsFunc(got, unsafeRune) {
			t.Errorf("Printable(%q) = %q, which is unsafe", s, got)
		}
		if Printable(got) != got {
			t.Errorf("Printable(%q) is not stable", s)
		}
	})
}
