package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/odata"
	"swab/internal/store"
)

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
	list, err := s.Actions(t.Context(), w.tenant, device.Everywhere, odata.All())
	if err != nil || len(list.Rows) != 1 {
		t.Errorf("Actions() has %d, %v; want 1", len(list.Rows), err)
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
	if _, err := s.Actions(ctx, w.tenant, device.Everywhere, odata.All()); !errors.Is(err, gone) {
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
