package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/device"
	"swab/internal/fault"
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
	list, err := s.Actions(t.Context(), w.tenant, action.Query{})
	if err != nil || len(list) != 1 {
		t.Fatalf("Actions() = %v, %v; want one", list, err)
	}
	for what, got := range map[string]action.Action{"changed": changed, "read": read, "listed": list[0]} {
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

func oneCreatorWins(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	const callers = 24
	errs := make([]error, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			a := newAction(w.device, i)
			_, errs[i] = s.CreateAction(t.Context(), a, entry(audit.ActCollect, a.ID, a.Device))
		})
	}
	all.Wait()
	standing, ok, err := s.ActiveAction(t.Context(), w.tenant, w.device.ID)
	if err != nil || !ok {
		t.Fatalf("ActiveAction() = %v, %v; want one", ok, err)
	}
	won := 0
	for i, err := range errs {
		if err == nil {
			won++
			continue
		}
		if active, ok := errors.AsType[*action.ActiveError](err); !ok || active.ID != standing.ID {
			t.Errorf("caller %d: %v, want an ActiveError that names %s", i, err, standing.ID)
		}
	}
	if won != 1 {
		t.Errorf("%d callers created an action, want 1", won)
	}
	list, err := s.Actions(t.Context(), w.tenant, action.Query{})
	if err != nil || len(list) != 1 {
		t.Errorf("Actions() has %d, %v; want 1", len(list), err)
	}
}

// activeRule plays any order of creations and changes on three devices against
// a model that knows only the rule. A later run finds what an earlier one left.
func activeRule(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	devices := []device.Device{w.device, enrol(t, s, "token", 2), enrol(t, s, "token", 3)}
	active := make([]action.Action, len(devices)) // the model; without an id: none
	made := 0
	create := func(r *rapid.T, n int) {
		made++
		a := newAction(devices[n], made)
		got, err := s.CreateAction(t.Context(), a, entry(audit.ActCollect, a.ID, a.Device))
		switch refused, ok := errors.AsType[*action.ActiveError](err); {
		case active[n].ID == "" && err == nil:
			active[n] = got
		case active[n].ID == "" || !ok || refused.ID != active[n].ID:
			r.Fatalf("create for device %d: %v, while %q stands", n, err, active[n].ID)
		}
	}
	change := func(r *rapid.T, n int, status action.Status) {
		before := active[n]
		if before.ID == "" {
			return
		}
		got, err := w.to(t.Context(), before.ID, status)
		switch {
		case !before.Status.May(status):
			if err != errEnded {
				r.Fatalf("from %s to %s: %v", before.Status, status, err)
			}
			return
		case err != nil || got.Status != status:
			r.Fatalf("from %s to %s: %s, %v", before.Status, status, got.Status, err)
		}
		if active[n] = got; status.Ended() {
			active[n] = action.Action{}
		}
		if _, err := w.to(t.Context(), got.ID, action.Pending); err != errEnded {
			r.Fatalf("an action that is %s was made pending: %v", got.Status, err)
		}
	}
	statuses := []action.Status{action.InProgress, action.Succeeded, action.Failed, action.TimeOut, action.Cancelled}
	rapid.Check(t, func(r *rapid.T) {
		for range rapid.IntRange(1, 10).Draw(r, "steps") {
			n := rapid.IntRange(0, len(devices)-1).Draw(r, "device")
			if rapid.Bool().Draw(r, "create") {
				create(r, n)
			} else {
				change(r, n, rapid.SampledFrom(statuses).Draw(r, "status"))
			}
		}
		for n, d := range devices {
			got, ok, err := s.ActiveAction(t.Context(), w.tenant, d.ID)
			if want := active[n]; err != nil || ok != (want.ID != "") || got.ID != want.ID || got.Status != want.Status {
				r.Fatalf("device %d: active is %q %s, %v; want %q %s", n, got.ID, got.Status, err, want.ID, want.Status)
			}
		}
	})
	checkLog(t, s, w.tenant, -1)
}

func changesFollow(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	a := w.create(t, newAction(w.device, 1))
	const callers, times = 16, 8
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range times {
				_, err := s.ChangeAction(t.Context(), w.tenant, a.ID, func(a action.Action) (action.Action, []audit.Entry, error) {
					a.Bytes++
					return a, []audit.Entry{entry(audit.ActAttempt, a.ID, a.Device)}, nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	got, err := s.Action(t.Context(), w.tenant, a.ID)
	if err != nil || got.Bytes != callers*times {
		t.Errorf("bytes = %d, %v; want each of %d changes to count", got.Bytes, err, callers*times)
	}
	checkLog(t, s, w.tenant, 3+callers*times)
}

func oneEndWins(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	ends := []action.Status{action.Succeeded, action.Failed, action.TimeOut, action.Cancelled}
	for round := range 8 {
		a := w.create(t, newAction(w.device, round))
		if _, err := w.to(t.Context(), a.ID, action.InProgress); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		won := make(chan action.Status, len(ends))
		for _, status := range ends {
			all.Go(func() {
				got, err := w.to(t.Context(), a.ID, status)
				switch {
				case err == nil && got.Status == status:
					won <- status
				case err != errEnded:
					t.Errorf("end as %s: %v, want %v", status, err, errEnded)
				}
			})
		}
		all.Wait()
		close(won)
		got, err := s.Action(t.Context(), w.tenant, a.ID)
		if winner := <-won; err != nil || got.Status != winner || len(won) != 0 {
			t.Errorf("action is %s, %v; %s won, and %d more", got.Status, err, winner, len(won))
		}
	}
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

func panickingChange(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	a := w.create(t, newAction(w.device, 1))
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			_, err := s.ChangeAction(t.Context(), w.tenant, a.ID, func(a action.Action) (action.Action, []audit.Entry, error) {
				if i%4 == 0 {
					panic("a bug in change")
				}
				a.Bytes++
				return a, []audit.Entry{entry(audit.ActAttempt, a.ID, a.Device)}, nil
			})
			if (i%4 == 0) != (err != nil) {
				t.Errorf("change %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if got, err := s.Action(t.Context(), w.tenant, a.ID); err != nil || got.Bytes != 24 {
		t.Errorf("bytes = %d, %v; want 24", got.Bytes, err)
	}
	checkLog(t, s, w.tenant, 3+24)
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
		q    action.Query
		want []int
	}{
		{"all", action.Query{}, []int{11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}},
		{"top", action.Query{Top: 3}, []int{11, 10, 9}},
		{"top and skip", action.Query{Top: 3, Skip: 4}, []int{7, 6, 5}},
		{"skip", action.Query{Skip: 10}, []int{1, 0}},
		{"skip all", action.Query{Skip: 12}, []int{}},
		{"device", action.Query{Device: newDevice(2).ID, Top: 4, Skip: 1}, []int{9, 7, 5, 3}},
		{"other device", action.Query{Device: newDevice(3).ID}, []int{}},
		{"too many", action.Query{Top: action.MaxTop + 1, Skip: 11}, []int{0}},
	} {
		list, err := s.Actions(t.Context(), w.tenant, test.q)
		if err != nil {
			t.Fatal(err)
		}
		got, want := []action.ID{}, []action.ID{}
		for _, a := range list {
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

func endedContext(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	gone := errors.New("the caller hung up")
	ctx, end := context.WithCancelCause(t.Context())
	end(gone)
	a := newAction(w.device, 1)
	if _, err := s.CreateAction(ctx, a, entry(audit.ActCollect, a.ID, a.Device)); !errors.Is(err, gone) {
		t.Errorf("CreateAction() for a caller that is gone: %v, want its cause", err)
	}
	if _, err := s.Action(t.Context(), w.tenant, a.ID); !errors.Is(err, fault.NotFound) {
		t.Errorf("Action(): %v, want that nothing was created", err)
	}
	if _, err := s.Actions(ctx, w.tenant, action.Query{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Actions() for a caller that is gone: %v", err)
	}
}

func closedStore(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	var all sync.WaitGroup
	type result struct {
		id  action.ID
		err error
	}
	results := make(chan result, 32)
	for n := range cap(results) {
		d := enrol(t, s, "token", n+10)
		all.Go(func() {
			a := newAction(d, n)
			_, err := s.CreateAction(t.Context(), a, entry(audit.ActCollect, a.ID, a.Device))
			results <- result{a.ID, err}
		})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	close(results)
	for r := range results {
		if r.err != nil {
			wantFault(t, fmt.Sprint("action ", r.id), r.err, fault.Unavailable, "")
		}
	}
	wantFault(t, "a write after Close", s.Record(t.Context(), w.tenant, entry(audit.ActLink, "x", "")), fault.Unavailable, "")
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}
