package evidence

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"swab/internal/canon"
	"swab/internal/catalog"
	"swab/internal/device"
	"swab/internal/dsse"
)

// account holds what was read of a package against what the package says of
// itself: manifest, signature, keys, plan, ledger.
type account struct {
	*scan
	report *Report
}

func (a *account) flawf(code Code, path, format string, args ...any) {
	a.add(Flaw{code, path, fmt.Sprintf(format, args...)})
}

func (a *account) check() {
	manifest, ok := a.kept[manifestPath]
	envelope, signed := a.kept[envelopePath]
	if !ok || !signed {
		if a.ended {
			a.flawf(CodeCut, "", "the package has no %s and %s at its end, so nothing accounts for it", manifestPath, envelopePath)
		}
		return
	}
	a.order()
	m := a.manifest(manifest)
	if m == nil {
		return
	}
	a.report.Manifest = m
	a.signature(m, manifest, envelope)
	a.entriesOf(m)
	if plan := a.plan(m); plan != nil {
		a.report.Plan = plan
		a.ledger(m, plan)
	}
}

// order: README first; manifest and signature last.
func (a *account) order() {
	n := len(a.found)
	if a.found[0].Path != readmePath {
		a.flawf(CodeStructure, a.found[0].Path, "the first entry of a package is %s", readmePath)
	}
	if n < 2 || a.found[n-2].Path != manifestPath || a.found[n-1].Path != envelopePath {
		a.flawf(CodeStructure, a.found[n-1].Path, "the last entries of a package are %s and %s", manifestPath, envelopePath)
	}
}

func (a *account) manifest(data []byte) *Manifest {
	const opening = `{"format":"`
	if !bytes.HasPrefix(data, []byte(opening+Format+`",`)) {
		if rest, ok := bytes.CutPrefix(data, []byte(opening)); ok {
			version, _, _ := bytes.Cut(rest[:min(len(rest), 40)], []byte(`"`))
			a.flawf(CodeVersion, "", "the package is of format %s; this program reads %s", quote(string(version)), Format)
			return nil
		}
	}
	// An object of a few bytes becomes a struct of hundreds: a manifest has none so small.
	if n := objects(data); n*minObject > len(data) {
		a.flawf(CodeBound, manifestPath, "it has %d objects in %d bytes", n, len(data))
		return nil
	}
	m := new(Manifest)
	if err := canon.Unmarshal(data, m); err != nil {
		a.flawf(CodeManifest, manifestPath, "it can't be read: %s", clean(err))
		return nil
	}
	return m
}

// minObject is less than the shortest object of a manifest has.
const minObject = 20

// objects counts the objects of a JSON text.
func objects(data []byte) (n int) {
	text := false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case c == '{' && !text:
			n++
		}
	}
	return n
}

// clean is an error's text, which may quote the package, as it may be shown.
func clean(err error) string {
	return strings.Map(func(r rune) rune {
		if unseen(r) {
			return '?'
		}
		return r
	}, ValidText(err.Error()))
}

// signature checks the keys behind the device's id and the statement by the
// last of them.
func (a *account) signature(m *Manifest, manifest, envelope []byte) {
	if len(m.Device.Key) != ed25519.PublicKeySize || device.IDOf(m.Device.Key) != m.Device.ID {
		a.flawf(CodeDevice, manifestPath, "the device's id is not that of its key")
		return
	}
	chain, err := device.Chain(m.Device.Key, m.Device.Succession)
	if err != nil {
		a.flawf(CodeDevice, manifestPath, "the device's chain of keys does not hold: %s", clean(err))
		return
	}
	signer := chain[len(chain)-1]
	payload, err := dsse.Open(envelope, PayloadType, signer)
	if err != nil {
		a.flawf(CodeSignature, envelopePath, "it does not sign the manifest: %s", clean(err))
		return
	}
	var st Statement
	if err := canon.Unmarshal(payload, &st); err != nil {
		a.flawf(CodeSignature, envelopePath, "its statement can't be read: %s", clean(err))
		return
	}
	sum := sha256.Sum256(manifest)
	want := Statement{
		Type: StatementType, PredicateType: PredicateType, Predicate: predicateOf(*m),
		Subject: []Subject{{Name: manifestPath, Digest: SubjectDigest{SHA256: hex.EncodeToString(sum[:])}}},
	}
	if !reflect.DeepEqual(st, want) {
		a.flawf(CodeSignature, envelopePath, "it states something else than the manifest says")
		return
	}
	a.report.Signer = signer
}

// entriesOf holds the entries against the manifest's, which are in the same
// order. Those before entries.jsonl were held against that list as it came.
func (a *account) entriesOf(m *Manifest) {
	found := slices.DeleteFunc(slices.Clone(a.found[a.listed:]), func(f Found) bool { return f.Path == manifestPath || f.Path == envelopePath })
	inZIP := map[string]bool{}
	for _, f := range found {
		inZIP[f.Path] = true
	}
	listed := map[string]*Entry{}
	for i := range m.Entries {
		e := &m.Entries[i]
		if listed[e.Path] != nil {
			a.flawf(CodeManifest, e.Path, "the manifest lists it twice")
		}
		listed[e.Path] = e
		if !inZIP[e.Path] {
			a.flawf(CodeMissing, e.Path, "the manifest lists it, and the package does not have it")
		}
	}
	sorted := true
	for i, f := range found {
		e := listed[f.Path]
		if e == nil {
			a.flawf(CodeExtra, f.Path, "the manifest does not list it")
			continue
		}
		a.compare(e, f)
		sorted = sorted && i < len(m.Entries) && m.Entries[i].Path == f.Path
	}
	if !sorted {
		a.flawf(CodeStructure, manifestPath, "it does not list the entries in their order")
	}
}

func (a *account) plan(m *Manifest) *catalog.Plan {
	data, ok := a.kept[planPath]
	if !ok {
		a.flawf(CodePlan, planPath, "the package does not have it")
		return nil
	}
	if catalog.DigestOf(data) != m.Profile.Digest {
		a.flawf(CodePlan, planPath, "its digest is not the one in the manifest")
		return nil
	}
	p := new(catalog.Plan)
	if n := objects(data); n*minObject > len(data) {
		a.flawf(CodeBound, planPath, "it has %d objects in %d bytes", n, len(data))
		return nil
	}
	if err := canon.Unmarshal(data, p); err != nil {
		a.flawf(CodePlan, planPath, "it can't be read: %s", clean(err))
		return nil
	}
	switch {
	case p.Format != catalog.PlanFormat:
		a.flawf(CodeVersion, planPath, "it is of format %s; this program reads %s", quote(p.Format), catalog.PlanFormat)
	case p.Profile != m.Profile.Name || p.System != m.Device.OS:
		a.flawf(CodePlan, planPath, "it is of another profile or system than the manifest says")
	}
	return p
}

var outcomes = []Outcome{Collected, Absent, Denied, Truncated, TimedOut, Changed, Skipped, Excluded}

// ledger: exactly one line for each item of the plan, with a legal outcome, and
// the entries that it names are there, and have its rows and bytes.
func (a *account) ledger(m *Manifest, plan *catalog.Plan) {
	lines := map[string]int{}
	has := map[string]bool{}
	for _, f := range a.found {
		has[f.Path] = true
	}
	for _, line := range m.Ledger {
		lines[line.Item]++
		if !slices.Contains(outcomes, line.Outcome) {
			a.flawf(CodeLedger, manifestPath, "item %s ended as %s, which is no outcome", quote(line.Item), quote(string(line.Outcome)))
		}
		a.sum(&line)
		for _, path := range line.Entries {
			if !has[path] {
				a.flawf(CodeLedger, path, "the ledger names it for item %s, and the package does not have it", quote(line.Item))
			}
		}
	}
	for _, item := range plan.Items {
		if n := lines[item.Name]; n != 1 {
			a.flawf(CodeLedger, manifestPath, "item %s of the plan has %d lines in the ledger, where it must have one", quote(item.Name), n)
		}
		delete(lines, item.Name)
	}
	for _, line := range m.Ledger {
		a.tables(plan, &line, has)
	}
	for _, item := range slices.Sorted(maps.Keys(lines)) {
		a.flawf(CodeLedger, manifestPath, "the ledger has item %s, which the plan does not", quote(item))
	}
}

// sum holds a line's figures against its item's entries.
func (a *account) sum(line *Line) {
	got := sum{len(line.Entries), line.Rows, line.Bytes}
	if want := a.sums[line.Item]; got != want {
		a.flawf(CodeLedger, manifestPath, "item %s has %d entries with %d rows and %d bytes, and its line in the ledger says %d, %d and %d",
			quote(line.Item), want.entries, want.rows, want.bytes, got.entries, got.rows, got.bytes)
	}
}

// tables: an item that was begun has each of its tables, with rows or without.
func (a *account) tables(plan *catalog.Plan, line *Line, has map[string]bool) {
	item, _ := plan.Item(line.Item)
	switch line.Outcome {
	case Collected, Truncated, TimedOut, Changed:
	default:
		return
	}
	for _, table := range item.Tables {
		if path := item.Path(table) + ".jsonl"; !has[path] {
			a.flawf(CodeLedger, path, "item %s is %s, and the package does not have this table of it", quote(line.Item), line.Outcome)
		}
	}
}
