package proctable

import (
	"errors"
	"os"
	"testing"

	"swab/internal/collect/host"
	"swab/internal/collect/host/hosttest"
)

func TestAReadThatIsNotBegunKeepsNothingOpen(t *testing.T) {
	h := hosttest.New(t, hosttest.Files{
		"proc/7/stat": "7 (a) S 1 7 7 0 -1 0 1 0 0 0 5 6 0 0 20 0 1 0 250 1000 200 18446744073709551615 1 1 1 1 1 0 0 0 0 0 0 0 17 1 0 0 0 0 0 1 1 1 1 1 1 1 0\n",
	})
	h.Patience = host.NewPatience(0) // too many are blocked already
	p := &Process{PID: 7, Start: 250, EntityID: "x", table: &Processes{proc: h.Proc, h: h}}
	before := descriptors(t)
	for range 50 {
		_, err := one(t.Context(), h, new(Scratch), p, func(*Scratch, *Process, *host.Tree, *host.Beat) (int, error) { return 1, nil })
		if !errors.Is(err, host.ErrTooMany) {
			t.Fatalf("one = %v, want ErrTooMany", err)
		}
	}
	if after := descriptors(t); after > before+10 { // other tests may open some of their own
		t.Errorf("%d descriptors are open after 50 reads that were not begun, %d before", after, before)
	}
}

// descriptors is how many this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
