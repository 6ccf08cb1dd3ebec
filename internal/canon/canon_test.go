package canon_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/canon"
)

type doc struct {
	A string   `json:"a"`
	B []int    `json:"b"`
	C *float64 `json:"c"`
}

func TestOnlyTheCanonicalFormIsRead(t *testing.T) {
	const good = `{"a":"<x>","b":[1],"c":null}`
	var d doc
	if err := canon.Unmarshal([]byte(good), &d); err != nil {
		t.Fatalf("Unmarshal(%s) = %v", good, err)
	}
	if diff := cmp.Diff(doc{A: "<x>", B: []int{1}}, d); diff != "" {
		t.Errorf("Unmarshal(%s) differs:\n%s", good, diff)
	}
	for name, bad := range map[string]string{
		"space":         `{"a":"<x>","b":[1], "c":null}`,
		"other order":   `{"b":[1],"a":"<x>","c":null}`,
		"other case":    `{"A":"<x>","b":[1],"c":null}`,
		"duplicate key": `{"a":"y","a":"<x>","b":[1],"c":null}`,
		"unknown key":   `{"a":"<x>","b":[1],"c":null,"d":1}`,
		"missing key":   `{"a":"<x>","b":[1]}`,
		"escape":        `{"a":"\u003cx>","b":[1],"c":null}`,
		"newline":       good + "\n",
		"trailing":      good + "{}",
		"number form":   `{"a":"<x>","b":[1e0],"c":null}`,
		"bad UTF-8":     "{\"a\":\"\xff\",\"b\":[1],\"c\":null}",
		"empty":         "",
	} {
		if err := canon.Unmarshal([]byte(bad), new(doc)); err == nil {
			t.Errorf("%s: Unmarshal(%q) = nil, want an error", name, bad)
		}
	}
}

func TestTicksKeepSevenDigits(t *testing.T) {
	for _, tm := range []time.Time{
		{},
		time.Date(1969, 12, 31, 23, 59, 59, 999_999_900, time.UTC),
		time.Date(2026, 11, 24, 22, 5, 9, 123_456_700, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_900, time.UTC),
	} {
		if got := canon.FromTicks(canon.Ticks(tm)); !got.Equal(tm) {
			t.Errorf("FromTicks(Ticks(%v)) = %v", tm, got)
		}
		if tm.IsZero() {
			continue
		}
		if got, err := canon.ParseTime(canon.FormatTime(tm)); err != nil || !got.Equal(tm) {
			t.Errorf("ParseTime(FormatTime(%v)) = %v, %v", tm, got, err)
		}
	}
	for _, bad := range []string{"", "2026-11-24T22:05:09Z", "2026-11-24T22:05:09.12345678Z", "2026-11-24T22:05:09.1234567+00:00"} {
		if _, err := canon.ParseTime(bad); err == nil {
			t.Errorf("ParseTime(%q) = nil error, want one", bad)
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"a":"<x>","b":[1],"c":null}`))
	f.Add([]byte(`{"a":"\u2028","b":null,"c":1e+22}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var d doc
		if canon.Unmarshal(data, &d) != nil {
			return
		}
		again, err := canon.Marshal(d)
		if err != nil || string(again) != string(data) {
			t.Errorf("Unmarshal took %q, whose canonical form is %q (%v)", data, again, err)
		}
	})
}
