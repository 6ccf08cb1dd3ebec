package collect_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"swab/internal/catalog"
	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/collect/linux"
	"swab/internal/evidence"
)

func liveHost(t testing.TB) *host.Host {
	t.Helper()
	h, err := host.Live(host.Options{Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func TestPackageOfThisHostVerifies(t *testing.T) {
	plan, _ := catalog.Current().Plan("triage", "linux")
	var out bytes.Buffer
	o := options(liveHost(t), plan, linux.Collectors())
	var last collect.Progress
	o.Progress = func(p collect.Progress) { last = p }
	if err := collect.Package(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	c := evidence.NewChecker(evidence.DefaultLimits())
	c.Write(out.Bytes())
	report := c.Close()
	if report.Class != evidence.Intact {
		t.Fatalf("%s: %+v", report.Class, report.Flaws)
	}
	for _, l := range report.Manifest.Ledger {
		t.Logf("%-18s %-9s rows %5d  %4d–%4d ms (taken %d) %s %v %v", l.Item, l.Outcome, l.Rows, l.StartMs, l.StartMs+l.DurationMs, l.TakenMs, l.Cause, l.Missing, l.Notes)
	}
	t.Logf("%+v, view %v", last, report.Manifest.View)
	if last.Items != len(plan.Items) || last.Taken == 0 {
		t.Errorf("progress ends at %+v", last)
	}
}

func BenchmarkStage0(b *testing.B) {
	h := liveHost(b)
	plan, _ := catalog.Current().Plan("triage", "linux")
	var taken time.Duration
	for b.Loop() {
		o := options(h, plan, linux.Collectors())
		o.Progress = func(p collect.Progress) {
			if p.Items == p.Of {
				taken += p.Taken
			}
		}
		if err := collect.Package(context.Background(), o, discard{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(taken.Microseconds())/1000/float64(b.N), "taken-ms/op")
}

// discard is a package's stream that goes nowhere.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
