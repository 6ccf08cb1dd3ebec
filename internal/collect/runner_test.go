package collect_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"swab/internal/catalog"
	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/collect/host/hosttest"
	"swab/internal/device"
	"swab/internal/evidence"
	"swab/internal/row"
)

// options are those of a package of h, signed by a key of the test's.
func options(h *host.Host, plan catalog.Plan, collectors []collect.Collector) collect.Options {
	seed := sha256.Sum256([]byte("a device of the tests"))
	key := ed25519.NewKeyFromSeed(seed[:])
	public := key.Public().(ed25519.PublicKey)
	return collect.Options{
		Plan: plan, Collectors: collectors, Host: h, Key: key,
		Device: evidence.DeviceFacts{ID: device.IDOf(public), Name: "host", OS: plan.System, Key: public},
		Agent:  evidence.AgentFacts{Version: "test"},
	}
}

// fake is a collector whose work is a function.
type fake struct {
	spec collect.Spec
	work func(ctx context.Context, h *host.Host, out collect.Sink) error
}

func (f fake) Spec() collect.Spec { return f.spec }
func (f fake) Collect(ctx context.Context, h *host.Host, out collect.Sink) error {
	return f.work(ctx, h, out)
}

// item is a plan's item with the table of the maps, whose rows are small.
func item(name string, stage catalog.Stage) catalog.Item {
	return catalog.Item{Name: name, Stage: stage, Version: 1, Folder: name, Tables: []string{"maps"}, Title: name}
}

func planOf(items ...catalog.Item) catalog.Plan {
	return catalog.Plan{Format: catalog.PlanFormat, Profile: "test", System: "linux", Items: items}
}

// collected makes a package and returns its report: it must verify.
func collected(t *testing.T, o collect.Options) (*evidence.Report, []byte) {
	t.Helper()
	var out bytes.Buffer
	if err := collect.Package(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	c := evidence.NewChecker(evidence.DefaultLimits())
	c.Write(out.Bytes())
	report := c.Close()
	if report.Class != evidence.Intact {
		t.Fatalf("the package is %v: %+v", report.Class, report.Flaws)
	}
	if len(report.Manifest.Ledger) != len(o.Plan.Items) {
		t.Fatalf("%d lines in the ledger for %d items", len(report.Manifest.Ledger), len(o.Plan.Items))
	}
	return report, out.Bytes()
}

func TestEveryItemEndsInOneLineWithItsOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hosttest.New(t, hosttest.Files{"etc/f": "content"})
		h.Self.Root = false
		stuck := make(chan struct{})
		t.Cleanup(func() { close(stuck) })
		add := func(out collect.Sink) error { return out.Row("maps", row.Map{PID: 1}) }

		cases := []struct {
			name  string
			needs collect.Needs
			work  func(ctx context.Context, h *host.Host, out collect.Sink) error
			want  evidence.Outcome
			code  syscall.Errno
			cause string
			rows  int64
		}{
			{"collected", collect.Needs{}, func(_ context.Context, _ *host.Host, out collect.Sink) error { return add(out) }, evidence.Collected, 0, "", 1},
			{"empty", collect.Needs{}, func(context.Context, *host.Host, collect.Sink) error { return nil }, evidence.Collected, 0, "", 0},
			{"absent", collect.Needs{}, func(_ context.Context, h *host.Host, _ collect.Sink) error {
				_, err := h.Root.ReadFile("none", 1)
				return err
			}, evidence.Absent, syscall.ENOENT, "none", 0},
			{"denied", collect.Needs{}, func(context.Context, *host.Host, collect.Sink) error {
				return fmt.Errorf("read /x: %w", syscall.EACCES)
			}, evidence.Denied, syscall.EACCES, "/x", 0},
			{"nothing but misses", collect.Needs{}, func(_ context.Context, _ *host.Host, out collect.Sink) error {
				out.Missing("/proc/PID/maps", syscall.EPERM)
				return nil
			}, evidence.Denied, syscall.EPERM, "/proc/PID/maps", 0},
			{"a miss among sources without findings", collect.Needs{}, func(_ context.Context, _ *host.Host, out collect.Sink) error {
				out.Missing("/proc/PID/maps", syscall.EACCES)
				out.Clean()
				out.Clean()
				return nil
			}, evidence.Collected, 0, "could not be read: /proc/PID/maps", 0},
			{"more misses than sources without findings", collect.Needs{}, func(_ context.Context, _ *host.Host, out collect.Sink) error {
				out.Missing("/proc/PID/maps", syscall.EACCES)
				out.Missing("/proc/PID/maps", syscall.EACCES)
				out.Clean()
				return nil
			}, evidence.Denied, syscall.EACCES, "2 misses like /proc/PID/maps: permission denied", 0},
			{"some misses", collect.Needs{}, func(_ context.Context, _ *host.Host, out collect.Sink) error {
				out.Missing("x", syscall.EPERM)
				return errors.Join(add(out), add(out))
			}, evidence.Collected, 0, "could not be read: x", 2},
			{"as many refusals as rows", collect.Needs{}, func(_ context.Context, _ *host.Host, out collect.Sink) error {
				out.Missing("a line", collect.ErrChanged)
				out.Missing("/proc/PID/exe", syscall.EACCES)
				out.Missing("/proc/PID/exe", syscall.EACCES)
				out.Missing("/proc/PID/environ", syscall.EACCES)
				return errors.Join(add(out), add(out), add(out))
			}, evidence.Denied, syscall.EACCES, "3 misses like /proc/PID/exe: permission denied; taken were 3 rows", 3},
			{"as many absent things as rows", collect.Needs{}, func(_ context.Context, _ *host.Host, out collect.Sink) error {
				out.Missing("a file", syscall.ENOENT)
				return add(out)
			}, evidence.Collected, 0, "could not be read: a file", 1},
			{"truncated", collect.Needs{}, func(_ context.Context, _ *host.Host, out collect.Sink) error {
				out.Truncated("more than one row", 7, 70)
				return add(out)
			}, evidence.Truncated, 0, "more than one row", 1},
			{"changed", collect.Needs{}, func(context.Context, *host.Host, collect.Sink) error { return collect.ErrChanged }, evidence.Changed, 0, "changed", 0},
			{"excluded", collect.Needs{}, func(context.Context, *host.Host, collect.Sink) error { return collect.ErrExcluded }, evidence.Excluded, 0, "policy", 0},
			{"failed", collect.Needs{}, func(context.Context, *host.Host, collect.Sink) error { return errors.New("of no form") }, evidence.Skipped, 0, "of no form", 0},
			{"panics", collect.Needs{}, func(_ context.Context, _ *host.Host, out collect.Sink) error {
				if err := add(out); err != nil {
					return err
				}
				panic("a mistake")
			}, evidence.Skipped, 0, "crashed: a mistake", 1},
			{"slow", collect.Needs{}, func(ctx context.Context, _ *host.Host, out collect.Sink) error {
				if err := add(out); err != nil {
					return err
				}
				<-ctx.Done()
				return ctx.Err()
			}, evidence.TimedOut, 0, "its time ran out", 1},
			{"stuck", collect.Needs{}, func(ctx context.Context, _ *host.Host, out collect.Sink) error {
				err := add(out)
				<-stuck
				return err
			}, evidence.TimedOut, 0, "left behind", 1},
			{"live only", collect.Needs{Live: true}, nil, evidence.Skipped, 0, "running system", 0},
			{"root only", collect.Needs{Root: true}, nil, evidence.Denied, 0, "rights of root", 0},
		}
		var plan []catalog.Item
		var collectors []collect.Collector
		for i, c := range cases {
			name := fmt.Sprintf("t%d.maps", i)
			plan = append(plan, item(name, 0))
			collectors = append(collectors, fake{collect.Spec{Item: name, Source: []string{"/x"}, Needs: c.needs, Timeout: 200 * time.Millisecond}, c.work})
		}
		plan = append(plan, item("none.maps", 0))
		report, _ := collected(t, options(h, planOf(plan...), collectors))
		for i, c := range cases {
			l := report.Manifest.Ledger[i]
			if l.Outcome != c.want || l.Code != int(c.code) || !strings.Contains(l.Cause, c.cause) || c.cause == "" && l.Cause != "" || l.Rows != c.rows {
				t.Errorf("%s: outcome %s, code %d, cause %q, %d rows; want %s, %d, %q, %d", c.name, l.Outcome, l.Code, l.Cause, l.Rows, c.want, c.code, c.cause, c.rows)
			}
			if c.work != nil && len(l.Entries) != 2 {
				t.Errorf("%s: entries %v, want the table in both forms", c.name, l.Entries)
			}
		}
		if l := report.Manifest.Ledger[len(cases)]; l.Outcome != evidence.Skipped || !strings.Contains(l.Cause, "no collector") {
			t.Errorf("an item without a collector: %+v", l)
		}
	})
}

func TestCopiesWaitUntilAllVolatileRowsAreTaken(t *testing.T) {
	h := hosttest.New(t, hosttest.Files{"etc/f": "content"})
	var read bool
	slow := fake{collect.Spec{Item: "a.maps"}, func(ctx context.Context, _ *host.Host, out collect.Sink) error {
		read = true
		return out.Taken(ctx)
	}}
	late := fake{collect.Spec{Item: "b.maps"}, func(ctx context.Context, h *host.Host, out collect.Sink) error {
		if err := out.Taken(ctx); err != nil {
			return err
		}
		if !read {
			t.Error("Taken returned before the other collector was there")
		}
		f, err := h.Root.Open("etc/f")
		if err != nil {
			return err
		}
		defer f.Close()
		if err := out.Original(f, 4); err != nil {
			return err
		}
		return out.Recovered(f, "recovered/x", "procfs-exe", 0)
	}}
	// A collector that ends, or is skipped, lets the others go.
	ends := fake{collect.Spec{Item: "c.maps"}, func(context.Context, *host.Host, collect.Sink) error { return fs.ErrNotExist }}
	plan := planOf(item("a.maps", 0), item("b.maps", 0), item("c.maps", 0), item("d.maps", 0))
	var taken []time.Duration
	o := options(h, plan, []collect.Collector{slow, late, ends})
	o.Progress = func(p collect.Progress) { taken = append(taken, p.Taken) }
	report, _ := collected(t, o)
	l := report.Manifest.Ledger[1]
	if l.Outcome != evidence.Truncated || l.Left.Bytes != 3 || len(l.Entries) != 4 {
		t.Errorf("the line of copies is %+v", l)
	}
	i := 0
	for _, e := range report.Manifest.Entries {
		if e.Kind != evidence.KindOriginal {
			continue
		}
		i++
		if e.Source == nil || e.Source.Path != "/etc/f" || e.Source.Size != 7 {
			t.Errorf("source of %s: %+v", e.Path, e.Source)
		}
		if e.Path == "fs/$rootfs$/etc/f" && (e.Outcome != evidence.Truncated || e.Size != 4) {
			t.Errorf("an original that was cut: %+v", e)
		}
	}
	if i != 2 || taken[len(taken)-1] == 0 {
		t.Errorf("%d originals, progress %v", i, taken)
	}
}

func TestOneSlowCollectorHoldsTheOthersForASecondOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slowness = 6 * time.Second
		var waited time.Duration
		slow := fake{collect.Spec{Item: "a.maps"}, func(ctx context.Context, _ *host.Host, out collect.Sink) error {
			time.Sleep(slowness) // of the bubble
			return out.Taken(ctx)
		}}
		quick := fake{collect.Spec{Item: "b.maps"}, func(ctx context.Context, _ *host.Host, out collect.Sink) error {
			began := time.Now()
			if err := errors.Join(out.Row("maps", row.Map{PID: 1}), out.Taken(ctx)); err != nil {
				return err
			}
			waited = time.Since(began)
			return out.Row("maps", row.Map{PID: 2})
		}}
		var last collect.Progress
		o := options(hosttest.New(t, hosttest.Files{}), planOf(item("a.maps", 0), item("b.maps", 0)), []collect.Collector{slow, quick})
		o.Progress = func(p collect.Progress) { last = p }
		report, _ := collected(t, o)
		if waited != time.Second {
			t.Errorf("the quick one waited %v, want a second", waited)
		}
		if l := report.Manifest.Ledger[1]; l.Outcome != evidence.Collected || l.Rows != 2 {
			t.Errorf("the quick one's line: %+v", l)
		}
		if last.Taken != slowness {
			t.Errorf("the stage is told to be in memory after %v, want %v", last.Taken, slowness)
		}
	})
}

func TestCancelEndsThePackageSoonAndForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hosttest.New(t, hosttest.Files{})
		running, stuck := make(chan struct{}), make(chan struct{})
		defer close(stuck)
		c := fake{collect.Spec{Item: "a.maps"}, func(ctx context.Context, _ *host.Host, out collect.Sink) error {
			close(running)
			<-stuck // it does not even hear of it
			return nil
		}}
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("the server says so")
		go func() { <-running; cancel(why) }()
		var out bytes.Buffer
		began := time.Now()
		if err := collect.Package(ctx, options(h, planOf(item("a.maps", 0)), []collect.Collector{c}), &out); !errors.Is(err, why) {
			t.Errorf("Package returned %v, want the cause", err)
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("it took %v to end", d)
		}
	})
}

func TestWaitingForTheUploadIsNotHeldAgainstACollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hosttest.New(t, hosttest.Files{"f": strings.Repeat("x", 100)})
		pr, pw := io.Pipe()
		c := fake{collect.Spec{Item: "a.maps", Timeout: 50 * time.Millisecond}, func(ctx context.Context, _ *host.Host, out collect.Sink) error {
			if err := out.Taken(ctx); err != nil {
				return err
			}
			f, err := h.Root.Open("f")
			if err != nil {
				return err
			}
			defer f.Close()
			return out.Original(f, 0) // blocks until someone reads
		}}
		var report *evidence.Report
		done := make(chan struct{})
		go func() {
			defer close(done)
			// The upload takes longer than the collector may.
			time.Sleep(time.Hour) // of the bubble
			ch := evidence.NewChecker(evidence.DefaultLimits())
			io.Copy(ch, pr)
			report = ch.Close()
		}()
		err := collect.Package(t.Context(), options(h, planOf(item("a.maps", 0)), []collect.Collector{c}), pw)
		pw.Close()
		<-done
		if err != nil || report.Class != evidence.Intact || report.Manifest.Ledger[0].Outcome != evidence.Collected {
			t.Errorf("%v, %+v", err, report)
		}
	})
}

func TestBoundsCutAndAreRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hosttest.New(t, hosttest.Files{"f": strings.Repeat("x", 100)})
		c := fake{collect.Spec{Item: "a.maps"}, func(ctx context.Context, h *host.Host, out collect.Sink) error {
			f, err := h.Root.Open("f")
			if err != nil {
				return err
			}
			defer f.Close()
			return out.Original(f, 0)
		}}
		slow := fake{collect.Spec{Item: "b.maps"}, func(ctx context.Context, _ *host.Host, out collect.Sink) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}}
		o := options(h, planOf(item("a.maps", 0), item("b.maps", 0), item("c.maps", 1)), []collect.Collector{c, slow})
		o.Bounds.PackageBytes = 1 << 20 // all of it kept for the account
		o.Bounds.DeadlineSeconds = 1
		report, _ := collected(t, o)
		ledger := report.Manifest.Ledger
		if l := ledger[0]; l.Outcome != evidence.Truncated || l.Left.Bytes != 100 {
			t.Errorf("an item over the package's bound: %+v", l)
		}
		if l := ledger[1]; l.Outcome != evidence.TimedOut || !strings.Contains(l.Cause, "package's time") {
			t.Errorf("an item over the package's time: %+v", l)
		}
	})
}

func TestItemAfterThePackagesTimeHasItsTables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := func(ctx context.Context, _ *host.Host, _ collect.Sink) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		o := options(hosttest.New(t, hosttest.Files{}), planOf(item("a.maps", 0), item("b.maps", 1)),
			[]collect.Collector{fake{collect.Spec{Item: "a.maps"}, wait}, fake{collect.Spec{Item: "b.maps"}, wait}})
		o.Bounds.DeadlineSeconds = 1
		report, _ := collected(t, o)
		if l := report.Manifest.Ledger[1]; l.Outcome != evidence.TimedOut || len(l.Entries) != 2 {
			t.Errorf("an item that was never begun: %+v", l)
		}
	})
}

func TestSameMissesAreOneLine(t *testing.T) {
	h := hosttest.New(t, hosttest.Files{})
	c := fake{collect.Spec{Item: "a.maps"}, func(_ context.Context, _ *host.Host, out collect.Sink) error {
		for i := range 1000 {
			out.Missing("/proc/PID/environ", fmt.Errorf("read /proc/%d/environ: %w", i, syscall.EACCES))
			out.Missing(fmt.Sprint(i), syscall.EIO)
		}
		return out.Row("maps", &row.Map{})
	}}
	report, _ := collected(t, options(h, planOf(item("a.maps", 0)), []collect.Collector{c}))
	m := report.Manifest.Ledger[0].Missing
	if len(m) != evidence.MaxMissing || m[0].Times != 1000 || m[0].Code != int(syscall.EACCES) {
		t.Fatalf("%d misses, the first %+v", len(m), m[0])
	}
	total := 0
	for _, x := range m {
		total += x.Times
	}
	if last := m[len(m)-1]; last.Name != "and more" || total != 2000 {
		t.Errorf("%d of 2000 misses are counted, the last line is %+v", total, last)
	}
}

func TestNotesPastTheirBoundAreCounted(t *testing.T) {
	h := hosttest.New(t, hosttest.Files{})
	c := fake{collect.Spec{Item: "a.maps"}, func(_ context.Context, _ *host.Host, out collect.Sink) error {
		for i := range 1000 {
			out.Note("note %d", i)
		}
		return nil
	}}
	report, _ := collected(t, options(h, planOf(item("a.maps", 0)), []collect.Collector{c}))
	notes := report.Manifest.Ledger[0].Notes
	if len(notes) != 64 || notes[0] != "note 0" || notes[62] != "note 62" {
		t.Fatalf("%d notes: %q", len(notes), notes)
	}
	if want := "A ledger line has 63 notes at most: 937 more were left out."; notes[63] != want {
		t.Errorf("the last note = %q, want %q", notes[63], want)
	}
}
