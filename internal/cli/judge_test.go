package cli_test

import (
	"regexp"
	"strings"
	"testing"

	"swab/internal/audit"
	"swab/internal/command/commandtest"
)

func TestVerifyExitCodes(t *testing.T) {
	s := startService(newFixture())
	defer s.Close()
	dir := t.TempDir()
	s.files(dir)
	t.Chdir(dir)
	for args, want := range map[string]int{
		"good.zip --trust bootstrap.json": 0,
		"bare.zip":                        0,
		"bare.zip --require authentic":    3,
		"altered.zip":                     1,
		"altered.zip --require authentic": 1,
		"good.zip --trust other.key":      1,
		"cut.zip":                         2,
		"noise.zip":                       4,
		"none.zip":                        4,
		"good.zip --nosuch":               2,
		"good.zip --trust none.key":       1,
		"bare.zip --receipt good.zip.receipt --trust receipt.key --require authentic": 0,
	} {
		got := commandtest.Call(t.Context(), swab, nil, append([]string{"verify"}, strings.Fields(args)...)...)
		if got.Code != want {
			t.Errorf("swab verify %s: code %d, want %d\n%s%s", args, got.Code, want, got.Stdout, got.Stderr)
		}
	}
}

// auditVerify runs the command against a log that f has made a lie of.
func auditVerify(t *testing.T, f *fixture, args ...string) commandtest.Result {
	t.Helper()
	s := startService(f)
	defer s.Close()
	dir := t.TempDir()
	s.files(dir)
	t.Chdir(dir)
	return commandtest.Call(t.Context(), swab, nil, append([]string{"audit", "verify", "--credentials", "bootstrap.json"}, args...)...)
}

func TestAuditVerifyNamesTheFirstBadEntry(t *testing.T) {
	for name, tc := range map[string]struct {
		lie  func(i int, leaf []byte, o *audit.Opening) []byte
		want string
	}{
		"another reason": {func(i int, leaf []byte, o *audit.Opening) []byte {
			if i == 2 {
				o.Hidden.Comment = "alert 9999"
			}
			return leaf
		}, "swab: audit entry 2: who asked and why is not what the entry was committed to"},
		"another device": {func(i int, leaf []byte, _ *audit.Opening) []byte {
			return []byte(strings.ReplaceAll(string(leaf), string(deviceID()), strings.Repeat("0", 40)))
		}, "swab: audit entry 1: changed since it was logged: it hashes to "},
		"another device, and later another reason": {func(i int, leaf []byte, o *audit.Opening) []byte {
			if i == 2 {
				o.Hidden.Comment = "alert 9999"
			}
			return []byte(strings.ReplaceAll(string(leaf), string(deviceID()), strings.Repeat("0", 40)))
		}, "swab: audit entry 1: changed since it was logged: "},
		"no leaf": {func(i int, leaf []byte, _ *audit.Opening) []byte {
			if i == 1 {
				return []byte("{}")
			}
			return leaf
		}, "swab: audit entry 1: audit leaf: "},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture()
			f.log.lie = tc.lie
			got := auditVerify(t, f)
			if got.Code != 1 || !strings.HasPrefix(got.Stderr, tc.want) {
				t.Errorf("code %d, %q, want %q", got.Code, got.Stderr, tc.want)
			}
		})
	}
}

// Who changes the tree's hashes as well can't sign its root. What is left to say
// is between which checkpoints the change lies, and packages have more of them.
func TestAuditVerifySaysBetweenWhichCheckpointsTheLogWasChanged(t *testing.T) {
	for _, tc := range []struct {
		changed int
		args    []string
		want    string
	}{
		{1, nil, "the signed checkpoint has .*; the first change is in entries 0 to 3, and --package FILE, .* tells more closely"},
		{1, []string{"--package", "good.zip"}, "its first 4 entries have the root .*; the first change is in entries 0 to 2, and "},
		{3, []string{"--package", "good.zip"}, "^swab: audit entry 3: changed since it was logged: the signed checkpoint over 3 entries holds, the one over 4 does not\n$"},
		{3, []string{"--package", "noise.zip", "--package", "good.zip"}, "^swab: audit entry 3: "},
	} {
		f := newFixture()
		f.log.deep = true
		f.log.lie = func(i int, leaf []byte, _ *audit.Opening) []byte {
			if i == tc.changed {
				return []byte(strings.ReplaceAll(string(leaf), string(deviceID()), strings.Repeat("0", 40)))
			}
			return leaf
		}
		got := auditVerify(t, f, tc.args...)
		if got.Code != 1 || !regexp.MustCompile(tc.want).MatchString(got.Stderr) {
			t.Errorf("entry %d, %q: code %d, %q, want %q", tc.changed, tc.args, got.Code, got.Stderr, tc.want)
		}
	}
}

// A log that was rewritten and signed again is whole in itself. What a device
// saw of the first one convicts it.
func TestAPackageConvictsALogThatWasRewritten(t *testing.T) {
	rewrite := func(keep func(i int, e *audit.Entry) bool) *fixture {
		f := newFixture()
		old := f.log.entries
		f.log = &ledger{}
		for i, e := range old {
			if keep(i, &e) {
				f.log.add(e.Leaf, e.Opening.Hidden)
			}
		}
		return f
	}
	for name, tc := range map[string]struct {
		f    *fixture
		want string
	}{
		"the reason was changed": {rewrite(func(i int, e *audit.Entry) bool {
			if i == 2 {
				e.Opening.Hidden.Comment = "another reason"
			}
			return true
		}), "its device saw another log"},
		"the request was left out": {rewrite(func(i int, _ *audit.Entry) bool { return i != 2 }), "its device saw another log"},
		"the end was cut off":      {rewrite(func(i int, _ *audit.Entry) bool { return i < 2 }), "entries were taken away"},
		"the seal was left out":    {rewrite(func(i int, _ *audit.Entry) bool { return i != 3 }), "no entry sealed a package of its action"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := auditVerify(t, tc.f); got.Code != 0 {
				t.Fatalf("the log by itself: %+v", got)
			}
			got := auditVerify(t, tc.f, "--package", "good.zip")
			if got.Code != 1 || !strings.Contains(got.Stderr, tc.want) {
				t.Errorf("code %d, %q, want %q", got.Code, got.Stderr, tc.want)
			}
		})
	}
}

func TestAuditVerifyRefusesAnotherTenantsLog(t *testing.T) {
	got := auditVerify(t, newFixture(), "--tenant", "another")
	if got.Code != 1 || !strings.Contains(got.Stderr, "the log's checkpoint") {
		t.Errorf("%+v", got)
	}
}

func TestCollectThatFailsSaysWhy(t *testing.T) {
	s := startService(newFixture())
	defer s.Close()
	dir := t.TempDir()
	s.files(dir)
	t.Chdir(dir)
	s.status = "Failed"
	got := commandtest.Call(t.Context(), swab, nil, "download", actionID, "--output", "x.zip", "--credentials", "bootstrap.json")
	if want := "swab: action " + actionID + " ended Failed, without a package: the agent could not read /proc\n"; got.Code != 1 || got.Stderr != want {
		t.Errorf("code %d, %q, want %q", got.Code, got.Stderr, want)
	}
}
