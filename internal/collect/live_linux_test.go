package collect_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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
	o := options(liveHost(t), plan, linux.Collectors())
	var last collect.Progress
	o.Progress = func(p collect.Progress) { last = p }
	report, _ := collected(t, o)
	for _, l := range report.Manifest.Ledger {
		t.Logf("%-18s %-9s rows %5d  %4d–%4d ms (taken %d) %s %v %v", l.Item, l.Outcome, l.Rows, l.StartMs, l.StartMs+l.DurationMs, l.TakenMs, l.Cause, l.Missing, l.Notes)
		if why := excuse(l); l.Outcome != evidence.Collected && why == "" {
			t.Errorf("%s is %s: %s", l.Item, l.Outcome, l.Cause)
		} else if l.Outcome == evidence.Collected && l.Rows == 0 && !mayBeEmpty[l.Item] {
			t.Errorf("%s is collected, and has no row", l.Item)
		}
	}
	t.Logf("%+v, view %v", last, report.Manifest.View)
	if last.Items != len(plan.Items) || last.Taken == 0 {
		t.Errorf("progress ends at %+v", last)
	}
}

// mayBeEmpty are the items that a whole host may have nothing of.
var mayBeEmpty = map[string]bool{
	"linux.sessions":   true, // nobody is logged on
	"linux.maps":       true, // only those of note have rows
	"linux.modules":    true, // none is loaded
	"linux.neighbours": true, // none has answered yet
}

// excuse is why this host can't collect an item whole; "" where it can.
func excuse(l evidence.Line) string {
	_, modules := os.Stat("/proc/modules")
	switch {
	case l.Item == "linux.modules" && l.Outcome == evidence.Absent && errors.Is(modules, fs.ErrNotExist):
		return "its kernel loads no modules"
	case l.Outcome == evidence.Denied && os.Geteuid() != 0 && slices.Contains([]string{"linux.processes", "linux.maps", "linux.open_files", "linux.sockets"}, l.Item):
		return "other users' processes take the rights of root"
	}
	return ""
}

// TestPackageHasWhatThisTestIs looks for the test's own process, socket and file,
// and compares the kernel's facts with uname: the package must have them.
func TestPackageHasWhatThisTestIs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := os.Create(filepath.Join(t.TempDir(), "held open"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	uid, pid := strconv.Itoa(os.Getuid()), strconv.Itoa(os.Getpid())

	plan, _ := catalog.Current().Plan("triage", "linux")
	_, pkg := collected(t, options(liveHost(t), plan, linux.Collectors()))
	p, err := evidence.Open(bytes.NewReader(pkg), int64(len(pkg)), evidence.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	fact := func(group, name, value string) map[string]string {
		return map[string]string{"swab.fact.group": group, "swab.fact.name": name, "swab.fact.value": value}
	}
	for table, rows := range map[string][]map[string]string{
		"Processes/processes": {{
			"process.pid": pid, "process.parent.pid": strconv.Itoa(os.Getppid()), "process.executable": exe,
			"process.real_user.id": uid, "process.user.id": strconv.Itoa(os.Geteuid()), "process.group.id": strconv.Itoa(os.Getegid()), "swab.own": "true",
		}},
		"Network connections/listening": {{
			"network.transport": "tcp", "source.ip": "127.0.0.1", "source.port": strconv.Itoa(l.Addr().(*net.TCPAddr).Port),
			"process.pid": pid, "user.id": strconv.Itoa(os.Geteuid()), "swab.socket.state": "LISTEN",
		}},
		"File/open_files":    {{"process.pid": pid, "swab.fd": strconv.Itoa(int(f.Fd())), "file.path": f.Name(), "file.type": "file", "swab.fd.access": "rw"}},
		"Disk volume/mounts": {{"swab.mount.point": "/proc", "swab.mount.type": "proc"}},
		"System Information/system": {
			fact("Kernel", "release", unix.ByteSliceToString(uts.Release[:])), fact("Kernel", "version", unix.ByteSliceToString(uts.Version[:])),
			fact("Kernel", "machine", unix.ByteSliceToString(uts.Machine[:])), fact("Operating system", "host name", name),
		},
		"System Information/agent": {{"swab.agent.kind": "process", "process.pid": pid}},
	} {
		for _, want := range rows {
			if !hasRow(t, p, table, want) {
				t.Errorf("%s has no row with %v", table, want)
			}
		}
	}
}

// hasRow reports whether a table has a row with these values.
func hasRow(t *testing.T, p *evidence.Package, table string, want map[string]string) bool {
	t.Helper()
	i := slices.IndexFunc(p.Tables(), func(l evidence.Listing) bool { return l.Path == table })
	if i < 0 {
		t.Fatalf("there is no table %s", table)
	}
	for row, err := range p.Rows(p.Tables()[i]) {
		if err != nil {
			t.Fatal(err)
		}
		same := true
		for key, value := range want {
			same = same && fmt.Sprint(row[key]) == value
		}
		if same {
			return true
		}
	}
	return false
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
