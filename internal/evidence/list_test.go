package evidence

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"swab/internal/canon"
)

// TestListedEntriesAreHeldAgainstTheZIP is D8 for what entries.jsonl says.
func TestListedEntriesAreHeldAgainstTheZIP(t *testing.T) {
	found := []Found{{Path: "a", SHA256: "00", Size: 1}, {Path: "b", SHA256: "01", Size: 2}}
	line := func(e Entry) string {
		b, err := canon.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return string(b) + "\n"
	}
	a, b := line(Entry{Path: "a", SHA256: "00", Size: 1}), line(Entry{Path: "b", SHA256: "01", Size: 2})
	for name, c := range map[string]struct {
		list string
		code Code // "" for none
	}{
		"as it is":        {a + b, ""},
		"one missing":     {a, CodeExtra},
		"one more":        {a + b + line(Entry{Path: "c"}), CodeMissing},
		"another order":   {b + a, CodeStructure},
		"another hash":    {a + line(Entry{Path: "b", SHA256: "02", Size: 2}), CodeHash},
		"another form":    {" " + a + b, CodeManifest},
		"no end of line":  {a + strings.TrimSuffix(b, "\n"), CodeManifest},
		"a line too long": {a + strings.Repeat("x", maxListLine+1), CodeBound},
	} {
		for _, n := range []int{1, 7, 1 << 20} { // bytes at once
			s := newScan(strings.NewReader(""), DefaultLimits())
			s.found = found
			l := &lister{scan: s}
			var err error
			for part := range slices.Chunk([]byte(c.list), n) {
				if _, err = l.Write(part); err != nil {
					s.fail(err)
					break
				}
			}
			if err == nil {
				l.end()
			}
			got := Code("")
			if len(s.flaws) > 0 {
				got = s.flaws[0].Code
			}
			if got != c.code {
				t.Errorf("%s, %d bytes at once: %v, want %q", name, n, s.flaws, c.code)
			}
		}
	}
}

func TestManyEntriesAreListedApart(t *testing.T) {
	pkg := sample{more: func(w *Writer) {
		for i := range maxListed + 10 {
			f := w.File(Entry{Path: fmt.Sprintf("fs/x/%d", i), Kind: KindOriginal})
			fmt.Fprint(f, i)
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}}.build(t)
	r := check(t, pkg)
	if r.Class != Intact {
		t.Fatal(r.Flaws)
	}
	if n := len(r.Manifest.Entries); n != 4 {
		t.Errorf("the manifest lists %d entries, want entries.jsonl and the three after it", n)
	}
	if e := r.Manifest.Entries[0]; e.Path != listPath || e.Rows != int64(len(r.Entries)-6) {
		t.Errorf("first entry of the manifest: %+v, want %s of %d rows", e, listPath, len(r.Entries)-6)
	}

	// What it lists counts for the ledger: of the item's entries none is the manifest's.
	lie := forge(t, pkg)
	lie.m.Ledger[0].Rows++
	lie.sign(t)
	if r := check(t, lie.bytes()); r.Class != Altered || r.Flaws[0].Code != CodeLedger {
		t.Errorf("rows that the list does not have: %s, %v", r.Class, r.Flaws)
	}

	// Without that list nothing accounts for the entries.
	f := forge(t, pkg)
	f.remove(listPath)
	if r := check(t, f.bytes()); r.Class != Altered || !slices.ContainsFunc(r.Flaws, func(f Flaw) bool { return f.Code == CodeExtra }) {
		t.Errorf("without the list: %s", r.Class)
	}
	// A line of it changed is a hash of the manifest that does not hold.
	f = forge(t, pkg)
	p := f.piece(listPath)
	p.data = bytes.Replace(p.data, []byte(`"method":""`), []byte(`"method":"x"`), 1)
	if r := check(t, f.bytes()); r.Class != Altered || r.Flaws[0].Code != CodeHash && !slices.ContainsFunc(r.Flaws, func(f Flaw) bool { return f.Code == CodeHash && f.Path == listPath }) {
		t.Errorf("with a line changed: %s, %v", r.Class, r.Flaws)
	}
}
