package storetest

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/store"
)

// whatWaitsIsCounted holds the figures against what was done, in several tenants.
func whatWaitsIsCounted(t *testing.T, s *store.Store) {
	waits := func(when string, want store.Backlog) {
		t.Helper()
		got, err := s.Backlog(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got.Unnumbered, got.Oldest = 0, 0 // a sequencer may have some still
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	w := newWorld(t, s)
	waits("nothing", store.Backlog{})
	other := newTenant(t, s, 2)
	newToken(t, s, other, "other", nil)
	first := w.create(t, newAction(w.device, 1))
	w.create(t, newAction(enrol(t, s, "token", 2), 2))
	w.create(t, newAction(enrol(t, s, "other", 3), 3))
	waits("three that wait", store.Backlog{Pending: 3})
	to := func(status action.Status) {
		t.Helper()
		if _, err := s.ChangeAction(t.Context(), w.tenant, first.ID, func(a action.Action) (action.Action, []audit.Entry, error) {
			a.Status = status
			return a, nil, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	to(action.InProgress)
	waits("one that runs", store.Backlog{Pending: 2, Running: 1})
	to(action.Succeeded)
	waits("one that ended", store.Backlog{Pending: 2})
	// Head waits for the sequencer: then nothing has no leaf.
	for _, tenant := range []string{w.tenant, other} {
		if _, err := s.Head(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := s.Backlog(t.Context()); err != nil || b.Unnumbered != 0 || b.Oldest != 0 {
		t.Errorf("%d entries without a leaf, the oldest %v old, %v; want none", b.Unnumbered, b.Oldest, err)
	}

	before := s.Stats()
	refused := entry(audit.ActLink, "x", "")
	refused.Leaf.Result = audit.Refused
	if err := s.Record(t.Context(), w.tenant, entry(audit.ActLink, "y", ""), refused, refused); err != nil {
		t.Fatal(err)
	}
	// One that can't be kept takes those before it along.
	if err := s.Record(t.Context(), id(0xa, 99), entry(audit.ActLink, "z", "")); err == nil {
		t.Error("an entry of no tenant was kept")
	}
	after := s.Stats()
	if done, refused := after.Done-before.Done, after.Refused-before.Refused; done != 1 || refused != 2 {
		t.Errorf("%d entries of what was done and %d of what was refused; want 1 and 2", done, refused)
	}
	if after.Waiting != 0 || after.Lost != 0 || after.Busy != 0 || after.Pool.Most < 1 || after.Pool.Open < 1 {
		t.Errorf("an idle store: %+v", after)
	}
}
