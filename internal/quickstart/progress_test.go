package quickstart

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vbauerster/mpb/v8"

	"swab/internal/action"
)

// walked is how a collection goes by, as it is looked at.
var walked = []action.Action{
	{},
	{Stage: 0, Items: 1, Of: 11},
	{Stage: 0, Items: 1, Of: 11},
	{Stage: 0, Items: 7, Of: 11, Bytes: 4096},
	{Stage: 5, Items: 11, Of: 11, Bytes: 3 << 20},
}

func TestLinesTellEachChangeOnce(t *testing.T) {
	var out bytes.Buffer
	view := newView(&out)
	for _, p := range walked {
		view.show(p)
	}
	view.close()
	want := `progress  stage 0, volatile: 1 of 11 items, 0 B
progress  stage 0, volatile: 7 of 11 items, 4.0 KiB
progress  upload: 11 of 11 items, 3.0 MiB
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBarsAreFullAtTheEnd(t *testing.T) {
	var out bytes.Buffer
	view := &bars{all: mpb.New(mpb.WithOutput(&out), mpb.WithWidth(100), mpb.WithAutoRefresh())}
	for _, p := range walked {
		view.show(p)
	}
	view.close()
	frame := strings.TrimSpace(out.String())
	for _, stage := range []string{"stage 0, volatile", "upload"} {
		at := strings.LastIndex(frame, stage)
		if at < 0 {
			t.Fatalf("no bar of %s in %q", stage, frame)
		}
		line, _, _ := strings.Cut(frame[at:], "\n")
		if !strings.Contains(line, "==]") || !strings.Contains(line, "11 of 11 items 3.0 MiB") {
			t.Errorf("the bar of %s ends as %q", stage, line)
		}
	}
}

func TestQuoteMakesOneWordOfTheShell(t *testing.T) {
	for in, want := range map[string]string{
		"/tmp/a-b_c.d": "/tmp/a-b_c.d", "": "''", "it's": `'it'\''s'`, "a b": "'a b'", "$x;`y`": "'$x;`y`'", "https://[::1]:1": "'https://[::1]:1'",
	} {
		if got := quote(in); got != want {
			t.Errorf("quote(%q) = %s, want %s", in, got, want)
		}
	}
}
