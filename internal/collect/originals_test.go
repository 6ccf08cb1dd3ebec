package collect_test

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"swab/internal/catalog"
	"swab/internal/collect"
	"swab/internal/collect/host/hosttest"
	"swab/internal/collect/linux"
	"swab/internal/evidence"
)

// What is copied lies in the tree of originals, is listed with where it came from,
// and is on its item's line; what is not copied is on the line too.
func TestOriginalsAreAccountedFor(t *testing.T) {
	h := hosttest.New(t, hosttest.Files{
		"etc/os-release": "-> ../usr/lib/os-release", "usr/lib/os-release": "ID=debian\n", "etc/hostname": "host1\n",
		"etc/passwd": "root:$6$salt$hash:0:0::/root:/bin/sh\n", "etc/group/": "", "proc/stat": "btime 1\n",
	})
	all, _ := catalog.Current().Plan("triage", "linux")
	i := slices.IndexFunc(all.Items, func(i catalog.Item) bool { return i.Name == "linux.system" })
	report, pkg := collected(t, options(h, planOf(all.Items[i]), []collect.Collector{linux.System()}))

	got := map[string]evidence.Entry{}
	for _, e := range report.Manifest.Entries {
		if strings.HasPrefix(e.Path, "fs/") {
			got[e.Path] = e
		}
	}
	line := report.Manifest.Ledger[0]
	for name, method := range map[string]string{
		"etc/os-release": "open-link", "usr/lib/os-release": "open", "etc/hostname": "open",
	} {
		e := got["fs/$rootfs$/"+name]
		if e.Method != method || e.Kind != evidence.KindOriginal || e.Item != "linux.system" || e.Outcome != evidence.Collected ||
			e.Source == nil || e.Source.Path != "/"+name || e.Source.Size != e.Size || !slices.Contains(line.Entries, e.Path) {
			t.Errorf("%s: %+v", name, e)
		}
		delete(got, e.Path)
	}
	if len(got) != 0 {
		t.Errorf("copied too: %v", got)
	}
	outcomes := map[string]evidence.Outcome{}
	for _, m := range line.Missing {
		outcomes[m.Name] = m.Outcome
	}
	if outcomes["copy of /etc/passwd"] != evidence.Excluded || outcomes["copy of /etc/group"] == "" {
		t.Errorf("misses: %+v", line.Missing)
	}
	if !slices.ContainsFunc(line.Notes, func(n string) bool { return strings.Contains(n, "/etc/adjtime") }) {
		t.Errorf("no note tells that adjtime is not there: %q", line.Notes)
	}

	p, err := evidence.Open(bytes.NewReader(pkg), int64(len(pkg)), evidence.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Entry("fs/$rootfs$/etc/os-release")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err != nil || string(b) != "ID=debian\n" {
		t.Errorf("the copy is %q, %v", b, err)
	}
}
