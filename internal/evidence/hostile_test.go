package evidence

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"swab/internal/device"
)

// Packages that mean harm: rows D6 to D8 of the threats.

// TestLyingPackage is D8: each lie is signed by the device's own key, in the
// very form of the writer.
func TestLyingPackage(t *testing.T) {
	pkg := small(t)
	original := "fs/$rootfs$/etc/passwd"
	for name, c := range map[string]struct {
		lie  func(*forgery)
		code Code
	}{
		"content changed": {func(f *forgery) { f.piece(original).data[0]++ }, CodeHash},
		"hash changed":    {func(f *forgery) { f.m.Entries[1].SHA256 = f.m.Entries[2].SHA256; f.sign(t) }, CodeHash},
		"entry missing":   {func(f *forgery) { f.remove(original) }, CodeMissing},
		"entry extra":     {func(f *forgery) { f.insert(planPath, piece{"Processes/extra.txt", []byte("x")}) }, CodeExtra},
		"entries swapped": {func(f *forgery) { f.pieces[1], f.pieces[2] = f.pieces[2], f.pieces[1] }, CodeStructure},
		"listed twice":    {func(f *forgery) { f.m.Entries = append(f.m.Entries, f.m.Entries[0]); f.sign(t) }, CodeManifest},
		"after the signature": {func(f *forgery) {
			f.pieces = append(f.pieces, piece{"z.txt", nil})
			f.list()
			f.sign(t)
		}, CodeStructure},
		"README not first": {func(f *forgery) {
			f.pieces[0], f.pieces[1] = f.pieces[1], f.pieces[0]
			f.list()
			f.sign(t)
		}, CodeStructure},
		"manifest edited": {func(f *forgery) {
			f.piece(manifestPath).data = bytes.Replace(f.piece(manifestPath).data, []byte(`"procfs":"own"`), []byte(`"procfs":"one"`), 1)
		}, CodeSignature},
		"manifest not canonic": {func(f *forgery) { f.piece(manifestPath).data = append(f.piece(manifestPath).data, '\n') }, CodeManifest},
		"envelope not canonic": {func(f *forgery) { f.piece(envelopePath).data = append(f.piece(envelopePath).data, ' ') }, CodeSignature},
		"signed by another":    {func(f *forgery) { f.key = key("other"); f.sign(t) }, CodeSignature},
		"id of another key":    {func(f *forgery) { f.m.Device.ID = device.IDOf(public(key("other"))); f.sign(t) }, CodeDevice},
		"no key":               {func(f *forgery) { f.m.Device.Key = nil; f.sign(t) }, CodeDevice},
		"chain of another": {func(f *forgery) {
			st, err := device.Succeed(device.IDOf(public(key("x"))), 1, public(key("other")), key("device"))
			if err != nil {
				t.Fatal(err)
			}
			f.m.Device.Succession, f.key = [][]byte{st}, key("other")
			f.sign(t)
		}, CodeDevice},
		"other attempt stated": {func(f *forgery) {
			m := f.m
			m.Attempt++
			var err error
			if f.piece(envelopePath).data, err = signManifest(m, f.piece(manifestPath).data, f.key); err != nil {
				t.Fatal(err)
			}
		}, CodeSignature},
		"other statement type": {func(f *forgery) {
			f.piece(envelopePath).data = statement(t, Statement{Type: "https://example.org/v1", PredicateType: PredicateType}, f.key)
		}, CodeSignature},
		"ledger line gone":   {func(f *forgery) { f.m.Ledger = f.m.Ledger[:1]; f.sign(t) }, CodeLedger},
		"ledger line double": {func(f *forgery) { f.m.Ledger = append(f.m.Ledger, f.m.Ledger[0]); f.sign(t) }, CodeLedger},
		"ledger line more": {func(f *forgery) {
			f.m.Ledger = append(f.m.Ledger, Line{Item: "linux.x", Outcome: Collected})
			f.sign(t)
		}, CodeLedger},
		"no such outcome":    {func(f *forgery) { f.m.Ledger[0].Outcome = "fine"; f.sign(t) }, CodeLedger},
		"entry never there":  {func(f *forgery) { f.m.Ledger[1].Entries = append(f.m.Ledger[1].Entries, "x.csv"); f.sign(t) }, CodeLedger},
		"rows invented":      {func(f *forgery) { f.m.Ledger[0].Rows++; f.sign(t) }, CodeLedger},
		"bytes invented":     {func(f *forgery) { f.m.Ledger[0].Bytes--; f.sign(t) }, CodeLedger},
		"entry not named":    {func(f *forgery) { f.m.Ledger[0].Entries = f.m.Ledger[0].Entries[1:]; f.sign(t) }, CodeLedger},
		"entry of no item":   {func(f *forgery) { f.m.Entries[f.index(original)].Item = ""; f.sign(t) }, CodeLedger},
		"table gone":         {func(f *forgery) { f.dropTable(t, Collected) }, CodeLedger},
		"table cut away":     {func(f *forgery) { f.dropTable(t, Truncated) }, CodeLedger},
		"table timed out":    {func(f *forgery) { f.dropTable(t, TimedOut) }, CodeLedger},
		"table changed":      {func(f *forgery) { f.dropTable(t, Changed) }, CodeLedger},
		"plan gone":          {func(f *forgery) { f.remove(planPath); f.list(); f.sign(t) }, CodePlan},
		"plan of less":       {func(f *forgery) { f.shortPlan(t, false) }, CodePlan},
		"plan of another OS": {func(f *forgery) { f.m.Device.OS = "windows"; f.sign(t) }, CodePlan},
		"profile of another": {func(f *forgery) { f.m.Profile.Name = "full"; f.sign(t) }, CodePlan},
		"time changed": {func(f *forgery) {
			other := "2020-01-01T00:00:00Z"
			f.m.Entries[f.index(original)].Source.MTime = &other
			f.sign(t)
		}, CodeHeader},
	} {
		f := forge(t, pkg)
		c.lie(f)
		r := check(t, f.bytes())
		if r.Class != Altered || !slices.ContainsFunc(r.Flaws, func(f Flaw) bool { return f.Code == c.code }) {
			t.Errorf("%s: %s, %v, want a flaw of %q", name, r.Class, r.Flaws, c.code)
		}
		if v := r.Judge(Trust{PlanKnown: known, Device: device.IDOf(public(key("device")))}); v.Exit != 1 {
			t.Errorf("%s: %+v, want exit 1", name, v)
		}
	}
}

// TestItemThatWasNotBegunNeedsNoTable is the other side of the lies about tables.
func TestItemThatWasNotBegunNeedsNoTable(t *testing.T) {
	for _, outcome := range []Outcome{Absent, Denied, Skipped, Excluded} {
		f := forge(t, tiny(t))
		f.dropTable(t, outcome)
		if r := check(t, f.bytes()); r.Class != Intact {
			t.Errorf("%s: %s, %v", outcome, r.Class, r.Flaws)
		}
	}
}

// dropTable takes the table of sockets away, and makes the rest agree with that.
func (f *forgery) dropTable(t *testing.T, outcome Outcome) {
	t.Helper()
	line := &f.m.Ledger[1]
	for _, path := range line.Entries {
		f.remove(path)
	}
	line.Outcome, line.Rows, line.Bytes, line.Entries = outcome, 0, 0, []string{}
	f.list()
	f.sign(t)
}

func (f *forgery) index(path string) int {
	return slices.IndexFunc(f.m.Entries, func(e Entry) bool { return e.Path == path })
}

// shortPlan makes a package that accounts for less than was asked; honest says
// that the manifest names the digest of the shorter plan.
func (f *forgery) shortPlan(t *testing.T, honest bool) {
	p := plan()
	p.Items = p.Items[:1]
	f.piece(planPath).data = p.Canonical()
	f.m.Ledger = f.m.Ledger[:1]
	if honest {
		f.m.Profile.Digest = p.Digest()
	}
	f.list()
	f.sign(t)
}

// TestHostileNames is D6.
func TestHostileNames(t *testing.T) {
	pkg := tiny(t)
	for _, name := range hostileNames {
		f := forge(t, pkg)
		f.insert(planPath, piece{name, []byte("evil")})
		f.list()
		f.sign(t)
		pkg := f.bytes()
		r := check(t, pkg)
		if r.Class == Intact || r.Flaws[0].Code != CodeName {
			t.Errorf("%q: %s, %v", name, r.Class, r.Flaws)
		}
		if text := r.Judge(Trust{}).Text; strings.ContainsFunc(text, unseen) {
			t.Errorf("%q: the verdict shows it bare: %q", name, text)
		}
		extractInside(t, pkg)
	}
}

var hostileNames = []string{
	"../x", "a/../../x", "/etc/cron.d/x", "//host/share/x", `\\host\share\x`, `C:\x`, "C:/x", "C:x", `..\x`, "x\x00y", "CON", "a/nul.txt",
	"COM1", "lpt³.log", "x.", "x ", "a//b", "./x", "a/.", "", "x\xffy", "x\u202ey", "x\x1b[31my", "a|b", "a*", "100%", "x%zz", "a\nb",
	strings.Repeat("a", 300), strings.Repeat("abc/", 5000) + "x", "readme.TXT", "README.txt", "Processes/PROCESSES.csv", "Processes", "README.txt/x", "proce\u017f\u017fes/processes.CSV",
}

// extractInside extracts into a folder and sees that nothing is written beside it.
func extractInside(t *testing.T, pkg []byte) {
	t.Helper()
	above := t.TempDir()
	dir := above + "/target"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := Extract(bytes.NewReader(pkg), int64(len(pkg)), dir, DefaultLimits())
	if err != nil {
		t.Errorf("extract: %v", err)
		return
	}
	if beside, _ := os.ReadDir(above); len(beside) != 1 {
		t.Errorf("extracting wrote beside its folder: %v", beside)
	}
	for _, x := range got {
		if st, err := os.Lstat(dir + "/" + x.File); err != nil || !st.Mode().IsRegular() {
			t.Errorf("entry %q is not a file at %q: %v", x.Entry, x.File, err)
		}
	}
}

func TestExtractFollowsNoLink(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, dir+"/Processes"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/README.txt", []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	pkg := small(t)
	if _, err := Extract(bytes.NewReader(pkg), int64(len(pkg)), dir, DefaultLimits()); err == nil {
		t.Error("extracting over what was there gives no error")
	}
	if beside, _ := os.ReadDir(outside); len(beside) != 0 {
		t.Errorf("extracting went through a link: %v", beside)
	}
	if b, _ := os.ReadFile(dir + "/README.txt"); string(b) != "mine" {
		t.Error("extracting wrote over a file")
	}
}

// TestHostileStructure is D7, but for the bombs.
func TestHostileStructure(t *testing.T) {
	pkg := small(t)
	body, dir := forge(t, pkg).zip()
	big := slices.IndexFunc(dir, func(h header) bool { return h.stream })
	for name, c := range map[string]struct {
		data []byte
		code Code
	}{
		"trailing data":             {append(slices.Clone(pkg), 0), CodeStructure},
		"leading data":              {append([]byte("MZ"), pkg...), CodeForm},
		"gap":                       {withDirectory(append(slices.Clone(body), "gap!"...), dir), CodeStructure},
		"fewer in the end":          {withDirectory(body, dir[:len(dir)-1]), CodeDirectory},
		"an entry twice in the end": {withDirectory(body, append(slices.Clone(dir), dir[2])), CodeDirectory},
		"overlapping entries":       {withDirectory(body, change(dir, 2, func(h *header) { h.offset = dir[1].offset })), CodeDirectory},
		"another size behind":       {withDirectory(body, change(dir, 1, func(h *header) { h.size++ })), CodeDirectory},
		"another name behind":       {withDirectory(body, change(dir, 1, func(h *header) { h.name = "Z" + h.name[1:] })), CodeDirectory},
		"another order behind":      {withDirectory(body, change(dir, 1, func(h *header) { *h = dir[2] })), CodeDirectory},
		"size in front too small":   {patch(body, dir[1].offset+22, 1), CodeChecksum},
		"flag of encryption":        {patch(body, dir[1].offset+6, 1), CodeStructure},
		"unknown method":            {patch(body, dir[1].offset+8, 93), CodeStructure},
		"descriptor's size":         {patch(body, dir[big].end()-1, 1), CodeChecksum},
		"stored without size":       {patch(body, dir[1].offset+6, 8), CodeStructure},
		"comment":                   {append(patch(pkg, int64(len(pkg)-2), 1), 'x'), CodeDirectory},
	} {
		r := check(t, c.data)
		if r.Class == Intact || !slices.ContainsFunc(r.Flaws, func(f Flaw) bool { return f.Code == c.code }) {
			t.Errorf("%s: %s, %v, want a flaw of %q", name, r.Class, r.Flaws, c.code)
		}
	}
}

func change(dir []header, i int, f func(*header)) []header {
	dir = slices.Clone(dir)
	f(&dir[i])
	return dir
}

// patch exclusive-ors one byte.
func patch(b []byte, at int64, with byte) []byte {
	b = slices.Clone(b)
	b[at] ^= with
	return b
}

// TestBombIsBounded is D7: what inflates without end is stopped, and soon.
func TestBombIsBounded(t *testing.T) {
	var bomb bytes.Buffer
	w := NewWriter(&bomb, clock)
	f := w.File(Entry{Path: "fs/zeros", Kind: KindOriginal})
	zeros := make([]byte, 1<<20)
	for range 512 {
		if _, err := f.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for name, set := range map[string]func(*Limits){
		"ratio": func(l *Limits) {},
		"entry": func(l *Limits) { l.EntryBytes = 1 << 20 },
		"total": func(l *Limits) { l.TotalBytes = 1 << 20 },
		"names": func(l *Limits) { l.NameBytes = 12 },
		"count": func(l *Limits) { l.Entries = 1 },
	} {
		l := DefaultLimits()
		set(&l)
		c := NewChecker(l)
		if _, err := c.Write(bomb.Bytes()); err != nil {
			t.Fatal(err)
		}
		if r := c.Close(); r.Class != Unreadable || r.Flaws[0].Code != CodeBound {
			t.Errorf("%s: %s, %v", name, r.Class, r.Flaws)
		}
	}
}

func TestExtractingABombIsBounded(t *testing.T) {
	pkg := sample{file: make([]byte, 8<<20)}.build(t)
	l := DefaultLimits()
	l.RatioFrom = 1 << 20
	if _, err := Extract(bytes.NewReader(pkg), int64(len(pkg)), t.TempDir(), l); err == nil {
		t.Error("8 MiB of zeros are written where the package may become 1 MiB")
	}
}

func TestMillionEntriesAreBounded(t *testing.T) {
	h := header{name: "aaaaaa"}
	h.appendLocal(nil)
	c := NewChecker(DefaultLimits())
	var b []byte
	for i := range MaxEntries + 1 {
		h.name = fmt.Sprintf("%06x", i)
		if b = h.appendLocal(b); len(b) > 1<<20 {
			c.Write(b)
			b = b[:0]
		}
	}
	c.Write(b)
	if r := c.Close(); r.Class != Unreadable || r.Flaws[len(r.Flaws)-1].Code != CodeBound {
		t.Errorf("%s, %v", r.Class, r.Flaws[len(r.Flaws)-1])
	}
}

// TestTinyObjectsAreBounded: a manifest that would take fifty times its size.
func TestTinyObjectsAreBounded(t *testing.T) {
	f := forge(t, small(t))
	f.piece(manifestPath).data = []byte(`{"format":"swab.package/1","entries":[` + strings.Repeat("{},", 1<<20) + `{}]}`)
	if r := check(t, f.bytes()); r.Class != Unreadable || r.Flaws[0].Code != CodeBound {
		t.Errorf("%s, %v", r.Class, r.Flaws)
	}
}
