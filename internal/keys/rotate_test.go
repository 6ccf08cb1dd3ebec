package keys

import (
	"context"
	"crypto/ed25519"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/audit"
)

// SucceedKey does what the store does, in memory.
func (m *memory) SucceedKey(_ context.Context, s Succession) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.records {
		if r.ID != s.Old || !r.To.IsZero() {
			continue
		}
		for i, old := range m.records {
			if old.Purpose != s.New.Purpose {
				continue
			}
			if old.To.IsZero() {
				m.records[i].To = s.New.From
			}
			if s.Withdraw {
				m.records[i].To = old.From
			}
		}
		m.records = append(m.records, s.New)
		m.entries = append(m.entries, s.Entry)
		return true, nil
	}
	return false, nil
}

// nodes are rings over one store, with one clock.
type nodes struct {
	*memory
	now  time.Time
	ring []*Ring
}

func start(t *testing.T, n int) *nodes {
	t.Helper()
	s := &nodes{memory: &memory{}, now: noon}
	c := config(s.memory, t.TempDir())
	c.Now = func() time.Time { return s.now }
	for range n {
		r, err := Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		s.ring = append(s.ring, r)
	}
	return s
}

// tend moves the clock on and lets every node do what is due.
func (s *nodes) tend(t *testing.T, to time.Time) {
	t.Helper()
	s.now = to
	for _, r := range s.ring {
		if err := r.Tend(t.Context(), s, "tenant"); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *nodes) signs() string { id, _ := s.ring[0].TokenKey(); return id }

func TestTheTokenKeyIsSucceededByScheduleOnce(t *testing.T) {
	s := start(t, 2)
	first := s.signs()
	s.tend(t, noon.Add(TokenKeyLife-TokenAhead-time.Second))
	if n := len(s.ring[0].TokenKeys()); n != 1 {
		t.Fatalf("%d keys before it is time", n)
	}
	s.tend(t, noon.Add(TokenKeyLife-TokenAhead))
	s.tend(t, s.now.Add(time.Hour))
	for i, r := range s.ring {
		if n := len(r.TokenKeys()); n != 2 {
			t.Errorf("node %d publishes %d keys, want the old and the next", i, n)
		}
		if id, _ := r.TokenKey(); id != first {
			t.Errorf("node %d: the next key signs already", i)
		}
	}
	if len(s.entries) != 1 || s.entries[0].Leaf.Act != audit.ActKey || s.entries[0].Leaf.Detail != string(AccessToken) {
		t.Errorf("entries %+v, want one that a key was made", s.entries)
	}
	end := noon.Add(TokenKeyLife)
	s.tend(t, end)
	second := s.signs()
	if second == first || s.entries[0].Leaf.Object != second {
		t.Errorf("%s signs after the end of %s", second, first)
	}
	s.now = end.Add(TokenOverlap)
	if s.ring[0].PublicTokenKey(first) == nil {
		t.Error("the old key is unknown while its tokens may still hold")
	}
	s.now = s.now.Add(time.Second)
	if s.ring[0].PublicTokenKey(first) != nil || len(s.ring[0].TokenKeys()) != 1 {
		t.Error("the old key is known after all its tokens have ended")
	}
	s.tend(t, end.Add(TokenKeyLife))
	s.tend(t, s.now.Add(TokenAhead))
	if len(s.entries) != 2 || s.signs() == second {
		t.Errorf("%d successions after two lives", len(s.entries))
	}
}

func TestAServerThatWasOffIsLateButKeepsTheOrder(t *testing.T) {
	s := start(t, 1)
	first := s.signs()
	s.tend(t, noon.Add(3*TokenKeyLife))
	if s.signs() != first || len(s.ring[0].TokenKeys()) != 2 {
		t.Error("a key signs that nobody could know yet")
	}
	s.now = s.now.Add(TokenAhead)
	if s.signs() == first {
		t.Error("the next key does not sign")
	}
}

func TestASuccessionByHandIsSoonAndNotRepeated(t *testing.T) {
	s := start(t, 1)
	r, first := s.ring[0], s.signs()
	next, err := r.SucceedTokens(t.Context(), s, "tenant", audit.Hidden{Who: "application/1"}, false)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.SucceedTokens(t.Context(), s, "tenant", audit.Hidden{Who: "application/1"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(next, again); diff != "" || len(s.entries) != 1 {
		t.Errorf("asked again while one is announced, it made another: %s", diff)
	}
	if next.Sealed != nil || !next.From.Equal(noon.Add(TokenSoon)) || s.signs() != first {
		t.Errorf("next %+v", next)
	}
	s.now = next.From
	if s.signs() != next.ID || r.PublicTokenKey(first) == nil {
		t.Error("no overlap")
	}
	if list, err := r.TokenRecords(t.Context()); err != nil || len(list) != 2 || list[0].ID != next.ID || list[1].Sealed != nil {
		t.Errorf("records %+v", list)
	}
}

func TestAWithdrawnKeyVerifiesNothingAndSignsNoMore(t *testing.T) {
	s := start(t, 2)
	first := s.signs()
	announced, err := s.ring[0].SucceedTokens(t.Context(), s, "tenant", audit.Hidden{}, false)
	if err != nil {
		t.Fatal(err)
	}
	next, err := s.ring[0].SucceedTokens(t.Context(), s, "tenant", audit.Hidden{}, true)
	if err != nil {
		t.Fatal(err)
	}
	if s.signs() != next.ID {
		t.Error("the new key does not sign at once")
	}
	for _, old := range []string{first, announced.ID} {
		if s.ring[0].PublicTokenKey(old) != nil {
			t.Errorf("withdrawn key %.8s still verifies", old)
		}
	}
	other := s.ring[1]
	if other.PublicTokenKey(next.ID) != nil {
		t.Fatal("the other node knows already, and proves nothing")
	}
	gone, leave := context.WithCancel(t.Context())
	leave() // whoever sent the token went away, and that must not hide the key from others
	if err := other.Refresh(gone); err != nil || other.PublicTokenKey(next.ID) == nil || other.PublicTokenKey(first) != nil {
		t.Errorf("the other node did not learn it: %v", err)
	}
	// A clock that is set back behind every key's start must not bring one back.
	s.now = noon.Add(-time.Hour)
	if s.signs() != next.ID {
		t.Error("a withdrawn key signs after the clock was set back")
	}
}

func TestManyNodesMakeOneNextKey(t *testing.T) {
	s := start(t, 4)
	var wait sync.WaitGroup
	got := make([]Record, len(s.ring))
	for i, r := range s.ring {
		wait.Go(func() {
			var err error
			if got[i], err = r.SucceedTokens(t.Context(), s, "tenant", audit.Hidden{}, false); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for _, r := range got {
		if r.ID != got[0].ID {
			t.Errorf("nodes have the next keys %.8s and %.8s", r.ID, got[0].ID)
		}
	}
	if len(s.entries) != 1 {
		t.Errorf("%d keys were made, want one", len(s.entries))
	}
}

func TestARingThatCannotReadTheStoreStaysAsItIs(t *testing.T) {
	s := start(t, 1)
	first := s.signs()
	s.down = errors.New("connection refused")
	if err := s.ring[0].Tend(t.Context(), s, "tenant"); !errors.Is(err, s.down) {
		t.Errorf("error %v", err)
	}
	s.down = nil
	all := s.records
	s.records = nil // an emptied store must not take the keys away from tokens that hold
	if err := s.ring[0].Reload(t.Context()); err == nil {
		t.Error("lost keys are not told")
	}
	s.records = all
	foreign := start(t, 1)
	s.records = append(s.records, foreign.records[0])
	if err := s.ring[0].Reload(t.Context()); !errors.Is(err, ErrMaster) {
		t.Errorf("a key that another installation sealed: %v", err)
	}
	if s.signs() != first || s.ring[0].PublicTokenKey(first) == nil {
		t.Error("the ring changed")
	}
	if !s.ring[0].LogKey().Public().(ed25519.PublicKey).Equal(s.ring[0].PublicLogKey()) {
		t.Error("the other keys are gone")
	}
}
