package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/device"
)

// TestWhatDiffersExplainsEveryMove: a device that belongs into another group by the
// later of two generations leaves or joins a group that differs.
func TestWhatDiffersExplainsEveryMove(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	generation := func() []ruled {
		var groups []ruled
		for id := range int64(8) {
			if r.IntN(4) > 0 {
				groups = append(groups, ruled{id + 1, fmt.Sprint(r.IntN(3))})
			}
		}
		r.Shuffle(len(groups), func(i, j int) { groups[i], groups[j] = groups[j], groups[i] })
		return groups
	}
	for range 2000 {
		was, now := generation(), generation()
		if r.IntN(2) == 0 { // a small change
			now = slices.Clone(was)
			if len(now) > 1 {
				i, j := r.IntN(len(now)), r.IntN(len(now))
				now[i], now[j] = now[j], now[i]
			}
		}
		changed := differ(was, now)
		if !slices.IsSorted(changed) {
			t.Fatalf("differ(%v, %v) = %v, want them in order", was, now, changed)
		}
		for range 50 {
			matches := map[ruled]bool{} // any rule that some group has
			for _, g := range slices.Concat(was, now) {
				matches[g] = matches[g] || r.IntN(3) == 0
			}
			of := func(groups []ruled) int64 {
				for _, g := range groups {
					if matches[g] {
						return g.ID
					}
				}
				return device.DefaultGroup
			}
			from, to := of(was), of(now)
			if from != to && !slices.Contains(changed, from) && !slices.Contains(changed, to) {
				t.Fatalf("differ(%v, %v) = %v, but a device goes from %d to %d", was, now, changed, from, to)
			}
		}
	}
}

func TestLittleDiffersWhereLittleChanged(t *testing.T) {
	groups := func(ids ...int64) []ruled {
		list := make([]ruled, len(ids))
		for i, id := range ids {
			list[i] = ruled{id, "r"}
		}
		return list
	}
	for _, c := range []struct {
		what     string
		was, now []ruled
		want     []int64
	}{
		{"nothing", groups(1, 2, 3), groups(1, 2, 3), []int64{}},
		{"one more in the middle", groups(1, 2, 3), groups(1, 9, 2, 3), []int64{9}},
		{"one that is gone", groups(1, 2, 3), groups(1, 3), []int64{2}},
		{"the last one is the first", groups(1, 2, 3, 4), groups(4, 1, 2, 3), []int64{4}},
		{"another rule", groups(1, 2), []ruled{{1, "r"}, {2, "other"}}, []int64{2}},
	} {
		if diff := cmp.Diff(c.want, differ(c.was, c.now)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
}

// TestGroupIsNewOnceOnly: what stands in a group belongs there only if it came with
// the one generation that is not settled.
func TestGroupIsNewOnceOnly(t *testing.T) {
	was := []ruled{{1, "r"}, {2, "r"}}
	first := alsoChanged(nil, was, []int64{2, 9})
	if diff := cmp.Diff([]changed{{ID: 2}, {ID: 9, New: true}}, first); diff != "" {
		t.Errorf("after the first change (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]changed{{ID: 1}, {ID: 2}, {ID: 9}, {ID: 10}}, alsoChanged(first, append(was, ruled{9, "r"}), []int64{1, 9, 10})); diff != "" {
		t.Errorf("after another (-want +got):\n%s", diff)
	}
}
