package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"swab/internal/device"
)

const (
	maxChanged      = 64      // groups that changed; where there are more, all devices are looked at
	maxHits         = 100_000 // devices that a rule's index may name; beyond, all devices are looked at
	strayPage       = 5000    // devices that are looked at at once
	maxMovedActions = 4000    // that one transaction moves, where they are of several devices: others wait for it
)

// Unsettled tells that the device groups of some tenant changed here, so that it
// is time to settle. What other nodes changed, and what was left undone, nobody
// tells of.
func (s *Store) Unsettled() <-chan struct{} { return s.unsettled }

// settleSoon has whoever waits for Unsettled settle.
func (s *Store) settleSoon() {
	select {
	case s.unsettled <- struct{}{}:
	default: // the settling that is due finds this as well
	}
}

// Settle puts the devices of all tenants, with their actions, into the groups that
// the rules have them in, if they do not stand there already, and returns how
// many it moved. It does so in many small transactions. Where it ends early, the
// next one goes on; two at once do no harm.
func (s *Store) Settle(ctx context.Context) (moved int, err error) {
	tenants, err := read(ctx, s, "tenants whose devices do not stand in their groups", func(ctx context.Context, c *conn) ([]string, error) {
		return all(ctx, c, value[string], "SELECT tenant FROM groupings WHERE settled <> generation ORDER BY tenant")
	})
	for _, tenant := range tenants {
		n, failed := s.settle(ctx, tenant)
		if moved += n; failed != nil {
			return moved, fmt.Errorf("settle the devices of %s: %w", tenant, failed)
		}
	}
	return moved, err
}

// settle settles one tenant, by as many generations as begin meanwhile.
func (s *Store) settle(ctx context.Context, tenant string) (moved int, err error) {
	for ctx.Err() == nil {
		g, err := s.unsettledOf(ctx, tenant)
		if err != nil || g.now.settled {
			return moved, err
		}
		if err := g.strays(ctx, func(ids []device.ID) (bool, error) {
			for part := range slices.Chunk(ids, maxMoved) {
				n, still, err := s.bring(ctx, tenant, g.now.generation, part)
				if moved += n; err != nil || !still {
					return still, err
				}
			}
			return true, nil
		}); err != nil {
			return moved, err
		}
		if _, err := write(ctx, s, "settle the devices of "+tenant, func(ctx context.Context, t *tx) (int64, error) {
			return t.exec(ctx, "UPDATE groupings SET settled = generation, changed = '[]' WHERE tenant = ? AND generation = ?", tenant, g.now.generation)
		}); err != nil {
			return moved, err
		}
	}
	return moved, context.Cause(ctx)
}

// generation is what there is to settle by.
type generation struct {
	store  *Store
	tenant string
	now    standing
}

func (s *Store) unsettledOf(ctx context.Context, tenant string) (generation, error) {
	return read(ctx, s, "the generation of device groups of "+tenant, func(ctx context.Context, c *conn) (generation, error) {
		now, err := standingOf(ctx, c, &s.groups, tenant, "")
		return generation{s, tenant, now}, err
	})
}

// strays hands the devices that do not stand in their group to move, as far as
// its caller can know where to look, until move says that it is of no use any
// more.
func (g generation) strays(ctx context.Context, move func([]device.ID) (bool, error)) error {
	if len(g.now.changed) > maxChanged {
		_, err := g.walk(ctx, truth(true), move)
		return err
	}
	for _, c := range g.now.changed {
		still, err := true, error(nil)
		if !c.New {
			still, err = g.standingIn(ctx, c.ID, move)
		}
		if group, there := g.now.groups.Get(c.ID); there && still && err == nil {
			still, err = g.matching(ctx, group.Rule, move)
		}
		if err != nil || !still {
			return err
		}
	}
	return nil
}

// stood is a device with the group in which it stands.
type stood struct {
	device.Device
	group int64
}

const selectStood = "SELECT x.tenant, x.id, x.name, x.system, x.platform, x.tags, x.first_seen, g.device_group"

func scanStood(r row) (d stood, err error) {
	var first time.Time
	d.Device, err = scanTraits(r, when{&first}, &d.group)
	d.FirstSeen = first
	return d, err
}

// standingIn looks at the devices that stand in a group.
func (g generation) standingIn(ctx context.Context, id int64, move func([]device.ID) (bool, error)) (bool, error) {
	return g.pages(ctx, move, func(q *query, last []any) {
		q.add(selectStood+` FROM (SELECT id, device_group FROM grouped_devices WHERE tenant = ? AND device_group = ? AND (first_seen, id) < (?, ?)
			ORDER BY first_seen DESC, id DESC LIMIT ?) g CROSS JOIN devices x WHERE x.tenant = ? AND x.id = g.id ORDER BY x.first_seen DESC, x.id DESC`,
			g.tenant, id, last[0], last[1], strayPage, g.tenant)
	})
}

// matching looks at the devices that match a rule, and others.
func (g generation) matching(ctx context.Context, r device.Rule, move func([]device.ID) (bool, error)) (bool, error) {
	p := devicesOf(r)
	hits, ok := hitsOf(g.tenant, p)
	if !ok {
		return g.walk(ctx, p, move)
	}
	var (
		strays []device.ID
		seen   int
	)
	_, err := read(ctx, g.store, "devices of a rule", func(ctx context.Context, c *conn) (struct{}, error) {
		q := new(query).add("WITH hits (id) AS MATERIALIZED (SELECT id FROM ("+hits.String()+") found LIMIT ?) ", append(hits.args, maxHits+1)...)
		q.add(selectStood+" FROM hits CROSS JOIN devices x CROSS JOIN grouped_devices g WHERE x.tenant = ? AND x.id = hits.id AND g.tenant = ? AND g.id = hits.id", g.tenant, g.tenant)
		return struct{}{}, each(ctx, c, q, scanStood, func(d stood) {
			if seen++; g.now.groups.Of(d.Device).ID != d.group {
				strays = append(strays, d.ID)
			}
		})
	})
	if err != nil {
		return false, err
	}
	if seen > maxHits {
		return g.walk(ctx, p, move)
	}
	return move(strays)
}

// walk looks at all devices that fulfil a predicate.
func (g generation) walk(ctx context.Context, p pred, move func([]device.ID) (bool, error)) (bool, error) {
	return g.pages(ctx, move, func(q *query, last []any) {
		q.add(selectStood+` FROM devices x CROSS JOIN grouped_devices g
			WHERE x.tenant = ? AND (x.first_seen, x.id) < (?, ?) AND g.tenant = ? AND g.id = x.id AND `, g.tenant, last[0], last[1], g.tenant)
		q.where(p, "x", g.tenant, unserved)
		q.add(" ORDER BY x.first_seen DESC, x.id DESC LIMIT ?", strayPage)
	})
}

// pages hands the strays of each page to move, the newest devices first.
func (g generation) pages(ctx context.Context, move func([]device.ID) (bool, error), page func(q *query, last []any)) (bool, error) {
	for last := []any{int64(math.MaxInt64), ""}; ; {
		list, err := read(ctx, g.store, "devices that may stand in another group", func(ctx context.Context, c *conn) ([]stood, error) {
			q := new(query)
			page(q, last)
			r, err := c.once(ctx, q.String(), q.args)
			if err != nil {
				return nil, err
			}
			return collect(r, scanStood)
		})
		if err != nil {
			return false, err
		}
		var strays []device.ID
		for _, d := range list {
			if g.now.groups.Of(d.Device).ID != d.group {
				strays = append(strays, d.ID)
			}
		}
		if still, err := move(strays); err != nil || !still || len(list) < strayPage {
			return still, err
		}
		end := list[len(list)-1]
		last = []any{ticks(end.FirstSeen), end.ID}
	}
}

// bring puts devices, at most maxMoved, into their groups, unless the generation
// went on.
func (s *Store) bring(ctx context.Context, tenant string, generation int64, ids []device.ID) (moved int, still bool, err error) {
	slices.Sort(ids)
	actions, err := read(ctx, s, "actions of devices that move", func(ctx context.Context, c *conn) (int, error) {
		q := new(query).add("SELECT count(*) FROM (SELECT 1 AS one FROM actions WHERE tenant = ? AND device IN ", tenant)
		return number(ctx, c, q.these(ids).add(" LIMIT ?) found", maxMovedActions+1))
	})
	if err != nil {
		return 0, false, err
	}
	if half := len(ids) / 2; actions > maxMovedActions && half > 0 {
		n, still, err := s.bring(ctx, tenant, generation, ids[:half])
		if err != nil || !still {
			return n, still, err
		}
		m, still, err := s.bring(ctx, tenant, generation, ids[half:])
		return n + m, still, err
	}
	moved, err = write(ctx, s, "put devices into their groups", func(ctx context.Context, t *tx) (int, error) {
		now, err := t.standing(ctx, tenant)
		if err != nil || now.generation != generation {
			return -1, err
		}
		return t.bring(ctx, tenant, now.groups, ids)
	})
	return max(moved, 0), moved >= 0, err
}

// bring puts devices into their groups. First it locks where they stand: what the
// rules look at can't change any more without waiting for that.
func (t *tx) bring(ctx context.Context, tenant string, groups *device.Groups, ids []device.ID) (int, error) {
	q := new(query).add("SELECT id, device_group FROM grouped_devices WHERE tenant = ? AND id IN ", tenant)
	q.these(ids).add(" ORDER BY id" + t.dialect.lock("grouped_devices"))
	from := map[device.ID]int64{}
	if err := each(ctx, t.conn, q, func(r row) (p pair[int64], err error) {
		return p, r.Scan(&p.name, &p.of)
	}, func(p pair[int64]) { from[device.ID(p.name)] = p.of }); err != nil {
		return 0, err
	}
	var moves []move
	q = new(query).add("SELECT "+traitColumns+" FROM devices WHERE tenant = ? AND id IN ", tenant).these(ids)
	if err := each(ctx, t.conn, q, func(r row) (device.Device, error) { return scanTraits(r) }, func(d device.Device) {
		if to := groups.Of(d).ID; to != from[d.ID] {
			moves = append(moves, move{d.ID, to})
		}
	}); err != nil || len(moves) == 0 {
		return 0, err
	}
	return len(moves), t.move(ctx, tenant, moves)
}

// these adds ids, one at least, as a list in brackets.
func (q *query) these(ids []device.ID) *query {
	return q.add("(?"+strings.Repeat(", ?", len(ids)-1)+")", anys(ids)...)
}

// each hands the rows of an answer to take, one after another.
func each[T any](ctx context.Context, c *conn, q *query, scan func(row) (T, error), take func(T)) error {
	r, err := c.once(ctx, q.String(), q.args)
	if err != nil {
		return err
	}
	defer r.Close()
	for r.Next() {
		one, err := scan(r)
		if err != nil {
			return err
		}
		take(one)
	}
	return r.Err()
}
