package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"swab/internal/device"
)

// The rules of device groups say which group a device is in; lists need to know
// it without asking the rules of a million devices. So each device stands in a
// group (grouped_devices), and each action in that of its device
// (grouped_actions).
//
// Whatever changes what the rules look at puts the device into its group in the
// same transaction, by the rules as they are in it (regroup). A changed rule
// begins a new generation of the rules, and from that transaction on what lists
// read off where devices stand is judged by the rules, as far as they changed
// (list_unsettled.go), until all devices stand where the new generation has them
// (settle.go). Until then a device may stand where the settled generation has it,
// or any later one.

// standing is how a tenant's devices stand in their groups.
type standing struct {
	revision   int64     // of the groups
	generation int64     // of their rules and ranks
	settled    bool      // every device stands in its group
	changed    []changed // groups that changed since the settled generation, in the order of their ids
	groups     *device.Groups
}

// changed is a group that changed since the settled generation.
type changed struct {
	ID int64 `json:"id"`

	// New: the present generation is the first after the settled one, and the group
	// came with it. So what stands in the group belongs there.
	New bool `json:"new,omitempty"`
}

// compiled are the groups of tenants made ready, each of one revision.
type compiled struct {
	mu sync.Mutex
	by map[string]revised
}

type revised struct {
	revision int64
	groups   *device.Groups
}

func (m *compiled) get(tenant string, revision int64) *device.Groups {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.by[tenant]; ok && r.revision == revision {
		return r.groups
	}
	return nil
}

// put keeps the groups of a revision. Whoever reads the revision and then the
// groups may have read those of a later one; nobody is misled for long, since by
// then the revision that they are kept under has passed.
func (m *compiled) put(tenant string, revision int64, groups *device.Groups) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.by == nil {
		m.by = map[string]revised{}
	}
	if r, ok := m.by[tenant]; !ok || r.revision <= revision {
		m.by[tenant] = revised{revision, groups}
	}
}

// standingOf is how a tenant's devices stand now; lock ends the query of it.
func standingOf(ctx context.Context, c *conn, known *compiled, tenant, lock string) (standing, error) {
	s, err := one(ctx, c, func(r row) (s standing, err error) {
		var settled int64
		err = r.Scan(&s.revision, &s.generation, &settled, fromText{&s.changed})
		s.settled = settled == s.generation
		return s, err
	}, "SELECT revision, generation, settled, changed FROM groupings WHERE tenant = ?"+lock, tenant)
	if err != nil {
		return s, fmt.Errorf("how devices stand in their groups: %w", err)
	}
	if s.groups = known.get(tenant, s.revision); s.groups != nil {
		return s, nil
	}
	groups, err := deviceGroupsOf(ctx, c, tenant)
	if err != nil {
		return s, err
	}
	s.groups = device.NewGroups(groups)
	known.put(tenant, s.revision, s.groups)
	return s, nil
}

// byGroups is what list makes by the device groups as they are; it is made anew
// where they changed meanwhile. A list is of several queries and no transaction:
// devices that came into a group after its caller lost that would be in it.
func byGroups[T any](ctx context.Context, s *Store, c *conn, tenant string, list func(now standing) (T, error)) (made T, err error) {
	for {
		now, err := standingOf(ctx, c, &s.groups, tenant, "")
		if err != nil {
			return made, err
		}
		if made, err = list(now); err != nil {
			return made, err
		}
		revision, err := one(ctx, c, value[int64], "SELECT revision FROM groupings WHERE tenant = ?", tenant)
		if err != nil || revision == now.revision {
			return made, err
		}
	}
}

// standing is how a tenant's devices stand, which does not change before the
// transaction ends.
func (t *tx) standing(ctx context.Context, tenant string) (standing, error) {
	known := t.groups
	if t.revised { // what was written is not yet so, and may never be
		known = new(compiled)
	}
	return standingOf(ctx, t.conn, known, tenant, t.dialect.share("groupings"))
}

// regroup puts a device that the transaction changed, with its actions, into its
// group. Every change of a device's name, system, platform or tags calls it.
func (t *tx) regroup(ctx context.Context, d device.Device) error {
	s, err := t.standing(ctx, d.Tenant)
	if err != nil {
		return err
	}
	to := s.groups.Of(d).ID
	// Who has the row locked decides where the device goes; who shares it relies
	// on that it stays.
	from, err := one(ctx, t.conn, value[int64], "SELECT device_group FROM grouped_devices WHERE tenant = ? AND id = ?"+t.dialect.lock("grouped_devices"), d.Tenant, d.ID)
	if err != nil {
		return fmt.Errorf("the group in which device %s stands: %w", d.ID, err)
	}
	if from == to {
		return nil
	}
	return t.move(ctx, d.Tenant, []move{{d.ID, to}})
}

// move is a device that goes from one group into another.
type move struct {
	device device.ID
	to     int64
}

// maxMoved bounds the devices that one statement moves; a power of 16.
const maxMoved = 256

// move has devices stand in other groups, and their actions with them.
func (t *tx) move(ctx context.Context, tenant string, moves []move) error {
	by := map[int64][]device.ID{}
	for _, m := range moves {
		by[m.to] = append(by[m.to], m.device)
	}
	for to, ids := range by {
		for len(ids) > 0 {
			n := len(ids)
			switch { // three statements of each kind
			case n > maxMoved:
				n = maxMoved
			case n < fewMoved:
				n = 1
			}
			if err := t.moveTo(ctx, tenant, to, ids[:n]); err != nil {
				return err
			}
			ids = ids[n:]
		}
	}
	return nil
}

// fewMoved is how many devices are moved by one statement rather than one by one.
const fewMoved = 4

// moveTo moves devices into one group. The last one is named as often as it takes
// for one of three lengths. That the actions are looked up one by one, and not
// joined, keeps SQLite from reading all that there are for a filter of its own.
func (t *tx) moveTo(ctx context.Context, tenant string, to int64, ids []device.ID) error {
	n := 1
	for n < len(ids) {
		n *= 16
	}
	named := make([]any, n)
	for i := range named {
		named[i] = ids[min(i, len(ids)-1)]
	}
	marks := "(?" + strings.Repeat(", ?", n-1) + ")"
	if _, err := t.exec(ctx, `UPDATE grouped_actions SET device_group = ? WHERE (tenant, device_group, created, id) IN
		(SELECT actions.tenant, (SELECT grouped_devices.device_group FROM grouped_devices
			WHERE grouped_devices.tenant = actions.tenant AND grouped_devices.id = actions.device), actions.created, actions.id
		FROM actions WHERE actions.tenant = ? AND actions.device IN `+marks+")", append([]any{to, tenant}, named...)...); err != nil {
		return err
	}
	_, err := t.exec(ctx, "UPDATE grouped_devices SET device_group = ? WHERE tenant = ? AND id IN "+marks, append([]any{to, tenant}, named...)...)
	return err
}

// ruled is a group at its place among the ranked ones.
type ruled struct {
	ID   int64  `json:"id"`
	Rule string `json:"rule"` // a digest
}

// regrouped begins a new revision of a tenant's device groups, and a new generation
// where their rules or ranks are not what they were. Every change of them calls it,
// after the change.
func (t *tx) regrouped(ctx context.Context, tenant string) error {
	var (
		was, now []ruled
		before   []changed
	)
	_, err := one(ctx, t.conn, func(r row) (none struct{}, err error) {
		return none, r.Scan(fromText{&was}, fromText{&before})
	}, "SELECT rules, changed FROM groupings WHERE tenant = ?"+t.dialect.lock("groupings"), tenant)
	if err != nil {
		return fmt.Errorf("the generation of device groups: %w", err)
	}
	groups, err := deviceGroupsOf(ctx, t.conn, tenant)
	if err != nil {
		return err
	}
	for _, g := range device.NewGroups(groups).All() {
		if g.ID != device.DefaultGroup {
			digest := sha256.Sum256([]byte(text(g.Rule)))
			now = append(now, ruled{g.ID, hex.EncodeToString(digest[:16])})
		}
	}
	t.revised = true
	more := differ(was, now)
	if len(more) == 0 {
		_, err = t.exec(ctx, "UPDATE groupings SET revision = revision + 1 WHERE tenant = ?", tenant)
		return err
	}
	t.regrouping = true
	_, err = t.exec(ctx, "UPDATE groupings SET revision = revision + 1, generation = generation + 1, rules = ?, changed = ? WHERE tenant = ?",
		text(append([]ruled{}, now...)), text(alsoChanged(before, was, more)), tenant)
	return err
}

// alsoChanged are the groups that changed since the settled generation where more
// change, which begins another after the one that has the groups was.
func alsoChanged(before []changed, was []ruled, more []int64) []changed {
	list := []changed{}
	for _, c := range before {
		list = append(list, changed{ID: c.ID})
	}
	for _, id := range more {
		there := slices.ContainsFunc(was, func(g ruled) bool { return g.ID == id })
		list = append(list, changed{ID: id, New: len(before) == 0 && !there})
	}
	slices.SortFunc(list, func(a, b changed) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(list, func(a, b changed) bool { return a.ID == b.ID })
}

// differ are the groups that explain where devices belong by two generations of
// rules: a device that belongs into another group now leaves or joins one of
// them. They are those that came or went, those whose rule is another one, and of
// those left so many that the others stand in the order in which they stood.
func differ(was, now []ruled) []int64 {
	before := map[int64]int{}
	for at, g := range was {
		before[g.ID] = at
	}
	changed := map[int64]bool{}
	for _, g := range was {
		changed[g.ID] = true
	}
	var same []int64
	for _, g := range now {
		if at, ok := before[g.ID]; ok && was[at].Rule == g.Rule {
			same = append(same, g.ID)
		}
		changed[g.ID] = true
	}
	for _, id := range ascending(same, func(id int64) int { return before[id] }) {
		delete(changed, id)
	}
	ids := make([]int64, 0, len(changed))
	for id := range changed {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// ascending is one of the longest parts of a list, not necessarily without gaps,
// whose members' values ascend; no two are the same.
func ascending[T any](list []T, value func(T) int) []T {
	var (
		ends   []int                    // places at which the best parts of each length end
		before = make([]int, len(list)) // the place before each in its part, or -1
	)
	for i, one := range list {
		n, _ := slices.BinarySearchFunc(ends, value(one), func(at, v int) int { return cmp.Compare(value(list[at]), v) })
		if before[i] = -1; n > 0 {
			before[i] = ends[n-1]
		}
		if n == len(ends) {
			ends = append(ends, i)
		} else {
			ends[n] = i
		}
	}
	part := make([]T, len(ends))
	if len(ends) > 0 {
		for n, at := len(ends)-1, ends[len(ends)-1]; n >= 0; n, at = n-1, before[at] {
			part[n] = list[at]
		}
	}
	return part
}
