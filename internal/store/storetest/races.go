package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/store"
)

// sameKeyAtOnce has an agent that is impatient: it asks again before it is
// answered, by two tokens.
func sameKeyAtOnce(t *testing.T, s *store.Store) {
	tenant := newTenant(t, s, 1)
	newToken(t, s, tenant, "counted", func(e *auth.Enrollment) { e.Left = 2 })
	newToken(t, s, tenant, "open", func(e *auth.Enrollment) { e.Tags = []string{"web", "Zürich"} })
	const rounds = 10
	for n := range rounds {
		var all sync.WaitGroup
		got := make([]device.Device, 8)
		for i := range got {
			all.Go(func() {
				token := []string{"open", "counted"}[i%2*(1-min(n, 1))] // in the first round by both
				d := newDevice(n)
				var err error
				got[i], err = s.Enrol(t.Context(), tokenOf(token), d, func(tenant string) audit.Entry { return entry(audit.ActEnrol, tenant, d.ID) })
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, d := range got[1:] {
			if diff := cmp.Diff(got[0], d); diff != "" {
				t.Errorf("two answers to one key differ (-first +other):\n%s", diff)
			}
		}
	}
	checkLog(t, s, tenant, 1+rounds)
	list, err := s.Enrollments(t.Context(), tenant)
	if err != nil || list[0].ID != "counted" || list[0].Left < 1 {
		t.Errorf("Enrollments() = %v, %v; want at most one taken from the count", list, err)
	}
}

// answeredActComesFirst passes a turn from caller to caller, while others write:
// who has it acts, waits for the answer and passes it on. The log has the acts
// in this order.
func answeredActComesFirst(t *testing.T, s *store.Store) {
	tenant := newTenant(t, s, 1)
	const turns, others = 100, 6
	var (
		all, crowd sync.WaitGroup
		turn       sync.Mutex
		next       int
		over       = make(chan struct{})
	)
	for range others {
		crowd.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				if err := s.Record(t.Context(), tenant, entry(audit.ActLink, "crowd", "")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 4 {
		all.Go(func() {
			for {
				turn.Lock()
				n := next
				if next++; n < turns {
					if err := s.Record(t.Context(), tenant, entry(audit.ActRead, fmt.Sprint(n), "")); err != nil {
						t.Error(err)
					}
				}
				turn.Unlock()
				if n >= turns {
					return
				}
			}
		})
	}
	all.Wait()
	close(over)
	crowd.Wait()
	var got, want []string
	for _, l := range checkLog(t, s, tenant, -1) {
		if leaf, err := audit.ParseLeaf(l.Leaf); err == nil && leaf.Act == audit.ActRead {
			got = append(got, leaf.Object)
		}
	}
	for n := range turns {
		want = append(want, fmt.Sprint(n))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("acts that waited for each other, as the log has them (-want +got):\n%s", diff)
	}
}

// anyTextIsKept keeps what a person may type, and looks for what nobody has.
func anyTextIsKept(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	texts := []string{"nul \x00 within", "\x00", "\U0010FFFF", "\U0010FFFF\U0010FFFF\x00Ā\U0010FFFF", "💥\ufffd", "' \\ $1 ? %"}
	for n, text := range texts {
		a := newAction(enrol(t, s, "token", n+10), n)
		a.Comment, a.ExternalID, a.Requestor = text, text, text
		e := audit.NewEntry(start, audit.Leaf{Act: audit.ActCollect, Object: a.ID, Result: audit.Done}, audit.Hidden{Comment: text})
		if _, err := s.CreateAction(t.Context(), a, e); err != nil {
			t.Fatal(err)
		}
		got, err := s.Action(t.Context(), w.tenant, a.ID)
		if err != nil || got.Comment != text || got.ExternalID != text || got.Requestor != text || got.Opening.Hidden.Comment != text {
			t.Errorf("%q came back as %q, %q, %q, %q, %v", text, got.Comment, got.ExternalID, got.Requestor, got.Opening.Hidden.Comment, err)
		}
	}
	for _, name := range append(slices.Clone(texts), "\xff", "web\xc3(", string(make([]byte, 1<<16))) {
		if list, err := s.FindDevices(t.Context(), w.tenant, name); err != nil || len(list) != 0 {
			t.Errorf("FindDevices(%.20q) = %d, %v; want none", name, len(list), err)
		}
		if _, err := s.Action(t.Context(), w.tenant, name); !errors.Is(err, fault.NotFound) {
			t.Errorf("Action(%.20q): %v, want that it is not there", name, err)
		}
		if _, err := s.App(t.Context(), name, name); !errors.Is(err, fault.NotFound) {
			t.Errorf("App(%.20q): %v, want that it is not there", name, err)
		}
	}
}
