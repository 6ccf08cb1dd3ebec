package proctable

import (
	"slices"
	"testing"

	"swab/internal/collect/host"
)

func TestOfTooManyProcessesTheMiddleIsLeftOut(t *testing.T) {
	const over = 500
	pids := make([]int32, MaxProcesses+over)
	for i := range pids {
		pids[i] = int32(2 * (i + 1))
	}
	for name, self := range map[string]int32{"the agent among them": pids[len(pids)/2], "no agent": 0} {
		ps := &Processes{h: &host.Host{Self: host.Self{PID: int(self)}}}
		got := ps.choose(slices.Clone(pids))
		if len(got) != MaxProcesses || ps.Left != over {
			t.Fatalf("%s: %d are in the table and %d left out, want %d and %d", name, len(got), ps.Left, MaxProcesses, over)
		}
		for _, pid := range pids {
			_, in := slices.BinarySearch(got, pid)
			said := ps.LeftAfter < int(pid) && int(pid) < ps.LeftBefore && pid != self
			if in == said {
				t.Fatalf("%s: pid %d is in the table: %t, and said to be left out: %t", name, pid, in, said)
			}
		}
	}
}

func TestWhatIsKeptOfProcessesHasABound(t *testing.T) {
	ps := &Processes{}
	if !ps.Take(MaxKept-10) || ps.Take(11) || !ps.Take(10) {
		t.Error("the bound is not where it is said to be")
	}
	if ps.room.text(1, 1) {
		t.Error("a text was kept past the bound of all")
	}
	if ps.Give(1); !ps.Take(1) {
		t.Error("what was given back can't be had again")
	}
}
