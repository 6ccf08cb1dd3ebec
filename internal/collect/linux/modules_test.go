package linux

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"swab/internal/collect/host/hosttest"
	"swab/internal/row"
)

// moduleFile is a real module file; see parse/kmodule/testdata/SOURCE.
func moduleFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../parse/kmodule/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func packed(t *testing.T, s string) (zst, gz string) {
	t.Helper()
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return string(e.EncodeAll([]byte(s), nil)), b.String()
}

func TestModulesOfBothListsAreCollectedWithTheirFiles(t *testing.T) {
	signed, unsigned := moduleFile(t, "signed.ko"), moduleFile(t, "unsigned.ko")
	zst, gz := packed(t, signed)
	xzed := moduleFile(t, "signed.ko.xz")
	const lib = "lib/modules/6.1.0/"
	h := hosttest.New(t, hosttest.Files{
		"proc/stat":                 "btime 1\n",
		"proc/sys/kernel/osrelease": "6.1.0\n",
		"proc/modules": `plain 100 1 user, Live 0xffffffffc0000000 (OE)
squeezed 100 0 - Live 0x0000000000000000
zipped 100 0 - Live 0x0000000000000000
xzed 100 0 - Live 0x0000000000000000
cut 100 0 - Live 0x0000000000000000
sly 100 0 - Live 0x0000000000000000
rubbish
`,
		"sys/module/plain/initstate":          "live\n",
		"sys/module/plain/srcversion":         "FFFFFFFFFFFFFFFFFFFFFFF\n",
		"sys/module/plain/parameters/debug":   "1\n",
		"sys/module/plain/parameters/level":   "high\n",
		"sys/module/squeezed/initstate":       "live\n",
		"sys/module/squeezed/srcversion":      "0123456789ABCDEF0123456\n",
		"sys/module/zipped/initstate":         "live\n",
		"sys/module/xzed/initstate":           "live\n",
		"sys/module/hider/initstate":          "live\n",
		"sys/module/hider/coresize":           "4096\n",
		"sys/module/hider/refcnt":             "2\n",
		"sys/module/hider/holders/other":      "",
		"sys/module/builtin/parameters/x":     "1\n",
		lib + "modules.dep":                   "kernel/a/plain.ko:\nkernel/a/squeezed.ko.zst: kernel/a/plain.ko\nkernel/a/zipped.ko.gz:\nkernel/a/xzed.ko.xz:\nkernel/a/cut.ko.xz:\n",
		lib + "kernel/a/plain.ko":             unsigned,
		lib + "kernel/a/squeezed.ko.zst":      zst,
		lib + "kernel/a/zipped.ko.gz":         gz,
		lib + "kernel/a/xzed.ko.xz":           xzed,
		lib + "kernel/a/cut.ko.xz":            xzed[:len(xzed)/2],
		"sys/module/cut/initstate":            "live\n",
		lib + "extra/unregistered/hider.ko":   signed,
		lib + "kernel/a/notloaded.ko":         unsigned,
		"lib/modules/5.0.0/kernel/a/plain.ko": "of another kernel",
	})
	out := gather(t, Modules(), h)
	rows := map[string]row.Module{}
	for _, m := range rowsOf[row.Module](out, "modules") {
		rows[m.Name] = m
	}
	if names := slices.Sorted(func(yield func(string) bool) {
		for n := range rows {
			if !yield(n) {
				return
			}
		}
	}); !slices.Equal(names, []string{"cut", "hider", "plain", "sly", "squeezed", "xzed", "zipped"}) {
		t.Fatalf("modules = %v", names)
	}

	want := row.Module{
		Name: "plain", Size: 100, RefCount: row.Num(1), UsedBy: []string{"user"}, State: "Live", Taint: "OE",
		TaintText: []string{"module from outside the kernel's tree was loaded", "unsigned module was loaded"},
		InProc:    row.Yes, InSys: row.Yes, Address: "0xffffffffc0000000", Version: "1.2", SrcVersion: "FFFFFFFFFFFFFFFFFFFFFFF",
		Parameters: []string{"debug=1", "level=high"}, Description: "a module that does nothing", Author: []string{"Swab's tests"}, License: "GPL",
		VerMagic: "6.1.0 SMP preempt mod_unload modversions ", InTree: true, Path: "/" + lib + "kernel/a/plain.ko", FileSize: int64(len(unsigned)),
		SHA256: hash(unsigned), FileVersion: "0123456789ABCDEF0123456", Flag: true,
		Note: "the file's source version is not that of the loaded module: another one was loaded",
	}
	got := rows["plain"]
	got.FileMTime = want.FileMTime
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}

	for name, file := range map[string]string{"squeezed": zst, "zipped": gz, "xzed": xzed} {
		m := rows[name]
		if m.SHA256 != hash(file) || m.InnerSHA256 != hash(signed) || !m.Signed || m.Signer != "Build time key of no one" || m.SignedHash != "sha512" || m.Flag {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if m := rows["cut"]; m.SHA256 != hash(xzed[:len(xzed)/2]) || m.InnerSHA256 != "" || m.Signed || !strings.Contains(m.Note, ".xz") {
		t.Errorf("half of a file of xz: %+v", m)
	}
	if m := rows["hider"]; !m.Flag || m.InProc != row.No || m.Size != 4096 || m.RefCount != row.Num(2) || len(m.UsedBy) != 1 || m.Path != "/"+lib+"extra/unregistered/hider.ko" {
		t.Errorf("a module that is in sysfs alone: %+v", m)
	}
	if m := rows["sly"]; !m.Flag || m.InSys != row.No || !strings.Contains(m.Note, "/sys/module") || !strings.Contains(m.Note, "no file") {
		t.Errorf("a module that is in /proc/modules alone, without a file: %+v", m)
	}
	if out.missing["line of /proc/modules"] == nil {
		t.Error("a line that can't be read was not recorded")
	}
}

func TestKernelThatLoadsNoModulesIsAbsent(t *testing.T) {
	h := hosttest.New(t, hosttest.Files{"proc/stat": "btime 1\n", "sys/module/builtin/parameters/x": "1\n"})
	if err := Modules().Collect(t.Context(), h, &recorder{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want fs.ErrNotExist", err)
	}
}

func TestListThatMayNotBeReadIsRecorded(t *testing.T) {
	h := hosttest.New(t, hosttest.Files{"proc/modules/": "", "sys/module/m/initstate": "live\n"})
	out := gather(t, Modules(), h)
	rows := rowsOf[row.Module](out, "modules")
	if out.missing["/proc/modules"] == nil || len(rows) != 1 || rows[0].Flag {
		t.Errorf("missing = %v, rows = %+v: what one list does not tell is no finding", out.missing, rows)
	}
}

// TestModulesAgreeWithTheKernel compares with lsmod where there is one; where the
// kernel loads no modules it must say so.
func TestModulesAgreeWithTheKernel(t *testing.T) {
	out := &recorder{}
	err := Modules().Collect(t.Context(), running(t), out)
	if _, e := os.Stat("/proc/modules"); errors.Is(e, fs.ErrNotExist) {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("no /proc/modules here, and the collector says %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := exec.Command("lsmod").Output()
	if err != nil {
		t.Fatalf("this test compares with lsmod (Debian: kmod): %v", err)
	}
	rows := rowsOf[row.Module](out, "modules")
	for i, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		name, _, _ := strings.Cut(line, " ")
		if i > 0 && !slices.ContainsFunc(rows, func(m row.Module) bool { return m.Name == name }) {
			t.Errorf("lsmod has %s, the table has not", name)
		}
	}
}

func TestSecretsAmongModuleParametersAreMasked(t *testing.T) {
	out := gather(t, Modules(), hosttest.New(t, hosttest.Files{
		"proc/modules":                        "vpn 1 0 - Live 0x0\n",
		"sys/module/vpn/initstate":            "live\n",
		"sys/module/vpn/parameters/debug":     "0\n",
		"sys/module/vpn/parameters/peer":      "https://u:S3cret@h/\n",
		"sys/module/vpn/parameters/psk_token": "S3cret\n",
	}))
	p := rowsOf[row.Module](out, "modules")[0].Parameters
	all := strings.Join(p, " ")
	if len(p) != 3 || p[0] != "debug=0" || strings.Contains(all, "S3cret") || strings.Count(all, "[masked 6 bytes, ") != 2 {
		t.Errorf("parameters = %q", p)
	}
	if want := "2 secrets among the parameters of modules are masked."; !slices.Contains(out.notes, want) {
		t.Errorf("notes = %q, want %q", out.notes, want)
	}
}

// A list that can't be read is no list without entries.
func TestListOfModulesThatCannotBeReadIsNoAbsence(t *testing.T) {
	h := hosttest.New(t, hosttest.Files{"proc/stat": "btime 1\n", "sys/module": "a file in the folder's place"})
	out := &recorder{}
	if err := Modules().Collect(t.Context(), h, out); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no list could be read: %v, want why", err)
	}
	if out.missing["/sys/module"] == nil {
		t.Errorf("misses: %v", out.missing)
	}

	h = hosttest.New(t, hosttest.Files{"proc/modules": "plain 100 1 - Live 0x0000000000000000\n", "sys/module": "", "sys/x": ""})
	if m := rowsOf[row.Module](gather(t, Modules(), h), "modules")[0]; m.InProc != row.Yes || m.InSys != "" || strings.Contains(m.Note, "may hide") {
		t.Errorf("where one list can't be read, the module is told to hide from it: %+v", m)
	}

	h = hosttest.New(t, hosttest.Files{"proc/modules": "", "sys/module/odd/initstate/": ""})
	out = gather(t, Modules(), h)
	if out.missing["state of a module in /sys/module"] == nil {
		t.Errorf("a module whose state can't be read is passed over: %v", out.missing)
	}
}
