package agent

import (
	"encoding/json"
	"strings"
	"testing"

	"swab/internal/evidence"
)

func TestSummaryTellsWhatIsNotWhole(t *testing.T) {
	lines := []evidence.Line{
		{Outcome: evidence.Collected},
		{Outcome: evidence.Collected, Missing: []evidence.Miss{{Name: "/proc/PID/fd", Outcome: evidence.Denied, Times: 7}}},
		{Outcome: evidence.Collected, Missing: []evidence.Miss{{Name: "/etc/x", Outcome: evidence.Changed, Times: 1}}},
		{Outcome: evidence.Denied, Missing: []evidence.Miss{{Name: "/y", Outcome: evidence.Denied, Times: 1}}},
	}
	var r Result
	r.count(lines)
	var out strings.Builder
	if err := (&CollectSettings{}).print(&out, r); err != nil {
		t.Fatal(err)
	}
	if want := "      3 collected, 2 of them not whole\n      1 denied\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("printed %q, want %q at its end", out.String(), want)
	}
	out.Reset()
	if err := (&CollectSettings{JSON: true}).print(&out, r); err != nil {
		t.Fatal(err)
	}
	var back Result
	if err := json.Unmarshal([]byte(out.String()), &back); err != nil || back.NotWhole != 2 || back.Outcomes[evidence.Collected] != 3 {
		t.Errorf("JSON %s, %v", out.String(), err)
	}
	r = Result{}
	r.count(lines[:1])
	out.Reset()
	if err := (&CollectSettings{}).print(&out, r); err != nil || !strings.HasSuffix(out.String(), "      1 collected\n") {
		t.Errorf("printed %q, %v", out.String(), err)
	}
}
