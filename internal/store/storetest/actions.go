package storetest

import (
	"errors"
	"testing"
	"time"

	"swab/internal/device"

	"github.com/google/go-cmp/cmp"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/fault"
	"swab/internal/odata"
	"swab/internal/store"
)

func actionComesBackWhole(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	zone := time.FixedZone("somewhere", 3*3600)
	a := newAction(w.device, 1)
	a.ExternalID, a.Comment = "case-7", "naïve \"quotes\"; -- ? $1 😀\nline two"
	a.Created = start.In(zone).Add(33) // less than a tick, in another zone
	e := entry(audit.ActCollect, a.ID, a.Device)
	got, err := s.CreateAction(t.Context(), a, e)
	if err != nil {
		t.Fatal(err)
	}
	want := a
	want.Created, want.Entry, want.Opening, want.Leaf = start, got.Entry, e.Opening, e.Leaf.Bytes()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("created action (-want +got):\n%s", diff)
	}
	if got.Entry == 0 {
		t.Error("the created action has no entry")
	}

	full := got
	full.Status, full.Updated, full.Touched, full.Due, full.Begun = action.Succeeded, at(5), at(6), time.Time{}, at(2)
	full.Attempt, full.Acked, full.Stage, full.Items, full.Of, full.Bytes, full.TakenMs = 3, 2, 1, 17, 19, 1<<40, 271
	full.ErrorHResult, full.Trouble = -2147024891, "it took too long"
	full.Cancel = &action.Cancellation{Requestor: "someone", Comment: "", Time: at(7)}
	full.Package = &action.Package{Upload: "u1", SHA256: "ff", Size: 1 << 33, Receipt: []byte{0, 1, 2, 255}, Sealed: at(8)}
	changed, err := s.ChangeAction(t.Context(), w.tenant, a.ID, func(was action.Action) (action.Action, []audit.Entry, error) {
		if diff := cmp.Diff(got, was); diff != "" {
			t.Errorf("action handed to change (-want +got):\n%s", diff)
		}
		return full, nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	read, err := s.Action(t.Context(), w.tenant, a.ID)
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.Actions(t.Context(), w.tenant, device.Everywhere, odata.All())
	if err != nil || len(list.Rows) != 1 {
		t.Fatalf("Actions() = %v, %v; want one", list, err)
	}
	for what, got := range map[string]action.Action{"changed": changed, "read": read, "listed": list.Rows[0]} {
		if diff := cmp.Diff(full, got); diff != "" {
			t.Errorf("%s action (-want +got):\n%s", what, diff)
		}
	}
}

func secondActionIsRefused(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	first := w.create(t, newAction(w.device, 1))
	before, err := s.Head(t.Context(), w.tenant)
	if err != nil {
		t.Fatal(err)
	}
	second := newAction(w.device, 2)
	_, err = s.CreateAction(t.Context(), second, entry(audit.ActCollect, second.ID, second.Device))
	active, ok := errors.AsType[*action.ActiveError](err)
	if !ok || active.ID != first.ID {
		t.Fatalf("second action: %v, want an ActiveError that names %s", err, first.ID)
	}
	wantFault(t, "second action", err, fault.Active, "Action is already in progress")
	if _, err := s.Action(t.Context(), w.tenant, second.ID); !errors.Is(err, fault.NotFound) {
		t.Errorf("the refused action: %v, want it not found", err)
	}
	after, err := s.Head(t.Context(), w.tenant)
	if err != nil || after != before {
		t.Errorf("head after the refusal = %v, %v; want it as before, %v", after, err, before)
	}
	if _, err := w.to(t.Context(), first.ID, action.Cancelled); err != nil {
		t.Fatal(err)
	}
	w.create(t, second)
}

func failedChange(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	a := w.create(t, newAction(w.device, 1))
	before, err := s.Head(t.Context(), w.tenant)
	if err != nil {
		t.Fatal(err)
	}
	own := errors.New("no")
	got, err := s.ChangeAction(t.Context(), w.tenant, a.ID, func(a action.Action) (action.Action, []audit.Entry, error) {
		a.Trouble = "changed"
		return a, []audit.Entry{entry(audit.ActFail, a.ID, a.Device)}, own
	})
	if err != own || got.ID != "" {
		t.Errorf("ChangeAction() = %v, %v; want nothing and the function's own error", got, err)
	}
	// An entry that can't be kept: its leaf is too long.
	long := entry(audit.ActFail, a.ID, a.Device)
	long.Leaf.Detail = string(make([]byte, audit.MaxLeaf))
	_, err = s.ChangeAction(t.Context(), w.tenant, a.ID, func(a action.Action) (action.Action, []audit.Entry, error) {
		a.Trouble = "changed"
		return a, []audit.Entry{entry(audit.ActFail, a.ID, a.Device), long}, nil
	})
	if err == nil {
		t.Error("a change whose entry can't be kept was made")
	}
	read, err := s.Action(t.Context(), w.tenant, a.ID)
	if diff := cmp.Diff(a, read); err != nil || diff != "" {
		t.Errorf("action after failed changes: %v (-want +got):\n%s", err, diff)
	}
	if after, err := s.Head(t.Context(), w.tenant); err != nil || after != before {
		t.Errorf("head after failed changes = %v, %v; want %v", after, err, before)
	}
}

func askedNeverChanges(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	other := enrol(t, s, "token", 2)
	a := w.create(t, newAction(w.device, 1))
	for what, change := range map[string]func(*action.Action){
		"tenant":    func(a *action.Action) { a.Tenant = id(9, 9) },
		"id":        func(a *action.Action) { a.ID = id(9, 9) },
		"device":    func(a *action.Action) { a.Device = other.ID },
		"requestor": func(a *action.Action) { a.Requestor = "other" },
		"comment":   func(a *action.Action) { a.Comment = "other" },
		"created":   func(a *action.Action) { a.Created = at(99) },
		"entry":     func(a *action.Action) { a.Entry-- },
	} {
		_, err := s.ChangeAction(t.Context(), w.tenant, a.ID, func(a action.Action) (action.Action, []audit.Entry, error) {
			change(&a)
			return a, nil, nil
		})
		if err == nil {
			t.Errorf("the action's %s was changed", what)
		}
	}
	read, err := s.Action(t.Context(), w.tenant, a.ID)
	if diff := cmp.Diff(a, read); err != nil || diff != "" {
		t.Errorf("action: %v (-want +got):\n%s", err, diff)
	}
}

func actionsNewestFirst(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	devices := []int{1, 2}
	enrol(t, s, "token", 2)
	for _, n := range shuffled(12) {
		d := newDevice(devices[n%2])
		d.Tenant = w.tenant
		a := newAction(d, n)
		a.Created = at(n / 4) // four are of the same instant: the greater id is the newer
		a.Status = action.Failed
		w.create(t, a)
	}
	for _, test := range []struct {
		name string
		q    odata.Query
		want []int
	}{
		{"all", odata.All(), []int{11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}},
		{"top", odata.Query{Top: 3}, []int{11, 10, 9}},
		{"top and skip", odata.Query{Top: 3, Skip: 4}, []int{7, 6, 5}},
		{"skip", odata.Query{Top: -1, Skip: 10}, []int{1, 0}},
		{"skip all", odata.Query{Top: -1, Skip: 12}, []int{}},
		{"device", odata.Query{Filter: actionsOf(newDevice(2).ID).Filter, Top: 4, Skip: 1}, []int{9, 7, 5, 3}},
		{"other device", actionsOf(newDevice(3).ID), []int{}},
		{"none", odata.Query{Top: 0}, []int{}},
	} {
		list, err := s.Actions(t.Context(), w.tenant, device.Everywhere, test.q)
		if err != nil {
			t.Fatal(err)
		}
		got, want := []action.ID{}, []action.ID{}
		for _, a := range list.Rows {
			got = append(got, a.ID)
		}
		for _, n := range test.want {
			want = append(want, id(0xc, n))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: Actions(%+v) (-want +got):\n%s", test.name, test.q, diff)
		}
	}
}

func dueActions(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	for n, due := range []time.Time{at(30), at(10), at(20), {}, at(15)} {
		d := enrol(t, s, "token", n+10)
		a := newAction(d, n)
		a.Due = due
		w.create(t, a)
	}
	if _, err := w.to(t.Context(), id(0xc, 4), action.Cancelled); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		now   time.Time
		limit int
		want  []int
	}{
		{at(9), 10, []int{}},
		{at(10), 10, []int{1}},
		{at(25), 10, []int{1, 2}},
		{at(1000), 10, []int{1, 2, 0}},
		{at(1000), 2, []int{1, 2}},
	} {
		got, err := s.DueActions(t.Context(), test.now, test.limit)
		want := []action.Ref{}
		for _, n := range test.want {
			want = append(want, action.Ref{Tenant: w.tenant, ID: id(0xc, n)})
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("DueActions(%v, %d): %v (-want +got):\n%s", test.now, test.limit, err, diff)
		}
	}
}
