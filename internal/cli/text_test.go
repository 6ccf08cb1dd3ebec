package cli

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"swab/client"
	"swab/internal/command"
)

func FuzzSafeJSONSaysTheSame(f *testing.F) {
	f.Add("a\u202e\x1b\u0085\U000e0041\xff")
	f.Fuzz(func(t *testing.T, s string) {
		b, err := json.MarshalIndent(map[string]string{"k": s}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		safe := safeJSON(b)
		var before, after map[string]string
		if err := json.Unmarshal(b, &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(safe, &after); err != nil {
			t.Fatalf("%q: %v", safe, err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%q says another thing:\n%s", safe, diff)
		}
		for line := range strings.Lines(string(safe)) {
			line = strings.TrimRight(line, "\n")
			if command.Printable(line) != line && utf8.ValidString(s) {
				t.Errorf("%q is not safe to show", line)
			}
		}
	})
}

func FuzzReadLog(f *testing.F) {
	f.Add([]byte(`{"v":1}`), int64(0), "swab/t\n0\nAAAA\n\n— swab/t AAAA\n")
	key := make([]byte, 32)
	f.Fuzz(func(t *testing.T, leaf []byte, index int64, checkpoint string) {
		l, err := readLog(t.Context(), "t", key, func(context.Context, int64, int) (client.AuditPage, error) {
			return client.AuditPage{Checkpoint: checkpoint, Entries: []client.AuditEntry{{Index: index, Leaf: leaf}}}, nil
		})
		if err == nil {
			t.Errorf("a log that nobody signed is taken, with %d entries", l.size)
		}
	})
}

func FuzzReadTrust(f *testing.F) {
	f.Add([]byte(`{"receiptKey":"AAAA"}`))
	f.Add([]byte("AAAA"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if key, err := parseTrust(data); err == nil && len(key) != 32 {
			t.Errorf("%q gives a key of %d bytes", data, len(key))
		}
	})
}
