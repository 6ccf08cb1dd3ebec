package accessfile

import "slices"

// place is where a device group comes to stand.
type place struct{ now, final int }

// ranks says of the device groups that are new, or stand at another place than
// they shall, where each is put: at the time when all before it have been, and those that
// will be removed are still there.
func (d *differ) ranks() map[string]place {
	var now, want []string
	for _, g := range d.have.DeviceGroups {
		if !g.isDefault() {
			now = append(now, fold(g.Name))
		}
	}
	for _, g := range d.want.DeviceGroups {
		if !g.isDefault() {
			want = append(want, fold(g.Name))
		}
	}
	stay := map[string]bool{}
	for _, name := range inSequence(now, want) {
		stay[name] = true
	}
	ranks := map[string]place{}
	for i, name := range want {
		if stay[name] {
			continue
		}
		now = slices.DeleteFunc(now, func(n string) bool { return n == name })
		at := 0
		if i > 0 {
			at = slices.Index(now, want[i-1]) + 1
		}
		now = slices.Insert(now, at, name)
		ranks[name] = place{at + 1, i + 1}
	}
	return ranks
}

// inSequence is a longest list of names that stand in both in the same order:
// what need not be moved. Both have each name once.
func inSequence(now, want []string) []string {
	at := map[string]int{}
	for i, name := range want {
		at[name] = i
	}
	var names []string
	for _, name := range now {
		if _, ok := at[name]; ok {
			names = append(names, name)
		}
	}
	length, before := make([]int, len(names)), make([]int, len(names))
	best := -1
	for i := range names {
		length[i], before[i] = 1, -1
		for j := range i {
			if at[names[j]] < at[names[i]] && length[j] >= length[i] {
				length[i], before[i] = length[j]+1, j
			}
		}
		if best < 0 || length[i] > length[best] {
			best = i
		}
	}
	var sequence []string
	for i := best; i >= 0; i = before[i] {
		sequence = append(sequence, names[i])
	}
	slices.Reverse(sequence)
	return sequence
}
