package cli_test

import (
	"strings"
	"testing"

	"swab/internal/audit"
	"swab/internal/command/commandtest"
)

// What the server says of an entry is believed as far as it is proved, and else
// not shown at all.
func TestAuditShowBelievesNoLie(t *testing.T) {
	for name, tc := range map[string]struct {
		lie  func(i int, leaf []byte, o *audit.Opening) []byte
		want string
	}{
		"another reason": {func(_ int, leaf []byte, o *audit.Opening) []byte {
			o.Hidden.Comment = "alert 9999"
			return leaf
		}, "swab: audit entry 2: who asked and why is not what the entry was committed to"},
		"another leaf": {func(_ int, leaf []byte, _ *audit.Opening) []byte {
			return []byte(strings.Replace(string(leaf), "action.collect", "action.cancel", 1))
		}, "swab: audit entry 2: a leaf is not in the log: "},
		"no leaf": {func(int, []byte, *audit.Opening) []byte { return nil }, "swab: audit entry 2: a leaf is not in the log: "},
	} {
		f := newFixture()
		f.log.lie = tc.lie
		s := startService(f)
		defer s.Close()
		dir := t.TempDir()
		s.files(dir)
		t.Chdir(dir)
		for _, form := range []string{"", "--json"} {
			args := append([]string{"audit", "show", "2", "--credentials", "bootstrap.json"}, strings.Fields(form)...)
			got := commandtest.Call(t.Context(), swab, nil, args...)
			if got.Code != 1 || !strings.HasPrefix(got.Stderr, tc.want) || got.Stdout != "" {
				t.Errorf("%s: code %d\n%s\n%s\nwant %s", name, got.Code, got.Stdout, got.Stderr, tc.want)
			}
		}
	}
}
