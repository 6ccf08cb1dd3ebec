package storetest

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"swab/internal/audit"
	"swab/internal/fault"
	"swab/internal/store"
)

// Recompute computes the head of a tenant's log from nothing but its leaves,
// as an auditor does.
func Recompute(t testing.TB, s *store.Store, tenant string) (audit.Head, []audit.Logged) {
	t.Helper()
	var (
		hashes []tlog.Hash
		all    []audit.Logged
	)
	reader := tlog.HashReaderFunc(func(positions []int64) ([]tlog.Hash, error) {
		list := make([]tlog.Hash, len(positions))
		for i, p := range positions {
			list[i] = hashes[p]
		}
		return list, nil
	})
	for {
		part, err := s.AuditEntries(t.Context(), tenant, int64(len(all)), 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(part) == 0 {
			break
		}
		for _, l := range part {
			if l.Index != int64(len(all)) {
				t.Fatalf("leaf %d of %s comes as number %d", l.Index, tenant, len(all))
			}
			more, err := audit.Extend(l.Index, l.Leaf, reader)
			if err != nil {
				t.Fatal(err)
			}
			hashes = append(hashes, more...)
			all = append(all, l)
		}
	}
	head, err := audit.HeadOf(int64(len(all)), reader)
	if err != nil {
		t.Fatal(err)
	}
	return head, all
}

// checkLog fails the test unless the log has so many entries (any number if it
// is negative), its head is that of its leaves, and each commitment opens.
func checkLog(t testing.TB, s *store.Store, tenant string, size int) []audit.Logged {
	t.Helper()
	want, entries := Recompute(t, s, tenant)
	got, err := s.Head(t.Context(), tenant)
	if err != nil || got != want {
		t.Errorf("Head() = %v, %v; its leaves give %v", got, err, want)
	}
	if size >= 0 && len(entries) != size {
		t.Errorf("the log has %d entries, want %d", len(entries), size)
	}
	for _, e := range entries {
		leaf, err := audit.ParseLeaf(e.Leaf)
		if err != nil {
			t.Errorf("leaf %d: %v", e.Index, err)
		}
		if got := e.Opening.Commitment(); got != leaf.Commitment {
			t.Errorf("leaf %d commits to %s, its opening gives %s", e.Index, leaf.Commitment, got)
		}
	}
	return entries
}

// logProvesItself plays a device: it checks each proof against the head that
// it kept from the one before.
func logProvesItself(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	var known audit.Head
	for n := range 40 {
		d := enrol(t, s, "token", n+10)
		a := w.create(t, newAction(d, n))
		if n%3 == 0 { // the log grows by more than one between two proofs
			if err := s.Record(t.Context(), w.tenant, entry(audit.ActLink, "x", ""), entry(audit.ActRead, "y", "")); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Head(t.Context(), w.tenant); err != nil { // by which the entry is in the log
			t.Fatal(err)
		}
		proof, head, err := s.Prove(t.Context(), w.tenant, []int64{a.Entry}, known.Size)
		if err != nil {
			t.Fatal(err)
		}
		if proof.Checkpoint, err = head.Sign(w.tenant, key); err != nil {
			t.Fatal(err)
		}
		got, leaves, err := proof.Check(w.tenant, key.Public().(ed25519.PublicKey), known)
		if err != nil {
			t.Fatalf("action %d: %v", n, err)
		}
		if len(leaves) != 1 || leaves[0].Object != a.ID || got != head {
			t.Fatalf("action %d: proved %v under %v, want its own leaf under %v", n, leaves, got, head)
		}
		known = got
	}
	checkLog(t, s, w.tenant, -1)
}

// logIsItsLeaves appends batches of any size and holds head and entries
// against the leaves that were given.
func logIsItsLeaves(t *testing.T, s *store.Store) {
	tenants := 0
	rapid.Check(t, func(r *rapid.T) {
		tenants++
		tenant := newTenant(t, s, tenants)
		want := [][]byte{nil} // the first is the tenant's own
		for i, n := range rapid.SliceOfN(rapid.IntRange(0, 20), 1, 4).Draw(r, "batches") {
			batch := []audit.Entry{}
			for j := range n {
				e := entry(audit.ActLink, fmt.Sprint(i, " ", j), "")
				batch, want = append(batch, e), append(want, e.Leaf.Bytes())
			}
			if err := s.Record(t.Context(), tenant, batch...); err != nil {
				r.Fatal(err)
			}
		}
		entries := checkLog(t, s, tenant, len(want))
		for i, e := range entries[1:] {
			if diff := cmp.Diff(string(want[i+1]), string(e.Leaf)); diff != "" {
				r.Fatalf("leaf %d (-want +got):\n%s", i+1, diff)
			}
		}
		from := rapid.Int64Range(0, int64(len(want))).Draw(r, "from")
		part, err := s.AuditEntries(t.Context(), tenant, from, 3)
		if diff := cmp.Diff(entries[from:min(from+3, int64(len(want)))], part); err != nil || diff != "" {
			r.Fatalf("AuditEntries(%d, 3): %v (-want +got):\n%s", from, err, diff)
		}
	})
}

func logsGrowSideBySide(t *testing.T, s *store.Store) {
	tenants := []string{newTenant(t, s, 1), newTenant(t, s, 2), newTenant(t, s, 3)}
	const callers, times = 8, 12
	var all sync.WaitGroup
	for c := range callers {
		for _, tenant := range tenants {
			all.Go(func() {
				for i := range times {
					e := entry(audit.ActLink, fmt.Sprint(c, " ", i), "")
					if i%4 == 3 { // and some fail, in the midst of the batch
						e.Leaf.Detail = string(make([]byte, audit.MaxLeaf))
						if s.Record(t.Context(), tenant, entry(audit.ActLink, "lost", ""), e) == nil {
							t.Error("a leaf that is too long was kept")
						}
						continue
					}
					if err := s.Record(t.Context(), tenant, e); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	for _, tenant := range tenants {
		entries := checkLog(t, s, tenant, 1+callers*times*3/4)
		if slices.ContainsFunc(entries, func(l audit.Logged) bool {
			leaf, _ := audit.ParseLeaf(l.Leaf)
			return leaf.Object == "lost"
		}) {
			t.Errorf("the log of %s has an entry of a call that failed", tenant)
		}
	}
}

func proofsAreBounded(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	a := w.create(t, newAction(w.device, 1))
	other := newTenant(t, s, 2)
	head, err := s.Head(t.Context(), w.tenant)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Prove(t.Context(), w.tenant, nil, head.Size+1)
	wantFault(t, "a proof from beyond the log", err, fault.BadRequest, "")
	_, _, err = s.Prove(t.Context(), w.tenant, nil, -1)
	wantFault(t, "a proof from before the log", err, fault.BadRequest, "")
	_, _, err = s.Prove(t.Context(), other, []int64{a.Entry}, 0)
	wantFault(t, "another tenant's entry", err, fault.NotFound, fmt.Sprintf("Audit entry %d was not found", a.Entry))
	if _, _, err = s.Prove(t.Context(), w.tenant, make([]int64, audit.MaxProofLeaves+1), 0); err == nil {
		t.Error("a proof of too many leaves was made")
	}
	proof, got, err := s.Prove(t.Context(), w.tenant, nil, head.Size)
	if err != nil || got != head || len(proof.Consistency) != 0 || len(proof.Leaves) != 0 {
		t.Errorf("a proof of nothing = %v, %v, %v", proof, got, err)
	}
	err = s.Record(t.Context(), id(9, 9), entry(audit.ActLink, "x", ""))
	if !errors.Is(err, fault.NotFound) {
		t.Errorf("an entry for no tenant: %v", err)
	}
}

// rebasesAreKept: a statement is kept where it speaks of the log that is here, and
// is for those alone who know another one.
func rebasesAreKept(t *testing.T, s *store.Store) {
	tenant, other := newTenant(t, s, 1), newTenant(t, s, 2)
	head := func() audit.Head {
		t.Helper()
		h, err := s.Head(t.Context(), tenant)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	first := head()
	add := func(h audit.Head, number int64) error {
		r := audit.Rebase{Tenant: tenant, Head: h, Number: number}
		return s.AddRebase(t.Context(), r, fmt.Append(nil, "statement ", number), entry(audit.ActRebase, tenant, ""))
	}
	want := func(tenant string, known audit.Head, statement string) {
		t.Helper()
		if got, err := s.RebaseFor(t.Context(), tenant, known); err != nil || string(got) != statement {
			t.Errorf("RebaseFor(%s, %d leaves) = %q, %v, want %q", tenant, known.Size, got, err, statement)
		}
	}
	longer := audit.Head{Size: 1000, Hash: tlog.Hash{1}}
	want(tenant, longer, "")
	if err := add(first, 5); err != nil {
		t.Fatal(err)
	}
	checkLog(t, s, tenant, int(first.Size)+1)
	wantFault(t, "a log that is not this one", add(longer, 9), fault.BadRequest, "")
	wantFault(t, "another root", add(audit.Head{Size: first.Size, Hash: tlog.Hash{1}}, 9), fault.BadRequest, "")
	wantFault(t, "a number that is there", add(head(), 5), fault.BadRequest, "")
	checkLog(t, s, tenant, int(first.Size)+1)
	want(tenant, audit.Head{}, "")
	want(tenant, first, "")
	want(tenant, head(), "")
	want(tenant, longer, "statement 5")
	want(tenant, audit.Head{Size: first.Size, Hash: tlog.Hash{1}}, "statement 5")
	want(other, longer, "")
	if err := add(head(), 6); err != nil {
		t.Fatal(err)
	}
	want(tenant, longer, "statement 6")
}
