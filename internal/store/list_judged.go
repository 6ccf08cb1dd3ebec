package store

import (
	"context"
	"strings"

	"swab/internal/action"
	"swab/internal/device"
	"swab/internal/odata"
)

// judgedAtOnce is how many rows are read at once at most where each is judged by
// the rules of the device groups.
const judgedAtOnce = 4000

// judge says which rows of a list are kept, where the database can't.
type judge[T any] struct {
	outlook
	groups *device.Groups
	of     func(ctx context.Context, c *conn, tenant string, g *device.Groups, rows []T) ([]device.Group, error) // the groups that rows are in
	keep   func(row T, in device.Group) bool
}

// among are those of rows that are kept.
func (j judge[T]) among(ctx context.Context, c *conn, tenant string, rows []T) ([]T, error) {
	in, err := j.of(ctx, c, tenant, j.groups, rows)
	if err != nil {
		return nil, err
	}
	kept := rows[:0]
	for i, one := range rows {
		if j.keep(one, in[i]) {
			kept = append(kept, one)
		}
	}
	return kept, nil
}

// judged is page for a plan whose rows are judged one by one.
func (p plan[T]) judged(ctx context.Context, c *conn, tenant string, j judge[T], last []any, most, skip int, count bool) (page odata.Page[T], err error) {
	page = odata.Page[T]{Rows: []T{}, Total: -1}
	switch {
	case count && j.nested:
		page.Total = 0
		err = p.walk(ctx, c, tenant, j, nil, judgedAtOnce, func(T) bool {
			page.Total++
			return true
		})
	case count:
		page.Total, err = p.tally(ctx, c, tenant, j)
	}
	if err != nil {
		return page, err
	}
	if most == 0 {
		return page, nil
	}
	err = p.walk(ctx, c, tenant, j, last, most+skip, func(one T) bool {
		if skip--; skip < 0 {
			page.Rows = append(page.Rows, one)
		}
		return len(page.Rows) < most
	})
	return page, err
}

// walk hands the rows after last that are kept to take, in their order, until it
// wants no more, which is after about want of them.
func (p plan[T]) walk(ctx context.Context, c *conn, tenant string, j judge[T], last []any, want int, take func(T) bool) error {
	for more, part := p.pred != truth(false), want; more; part *= 4 {
		part = min(part, judgedAtOnce)
		sql := p.rows(tenant, last, part, 0)
		r, err := c.once(ctx, sql.String(), sql.args)
		if err != nil {
			return err
		}
		rows, err := collect(r, p.scan)
		if err != nil {
			return err
		}
		if more = len(rows) == part; more {
			last = place(rows[len(rows)-1], p.keys)
		}
		if rows, err = j.among(ctx, c, tenant, rows); err != nil {
			return err
		}
		for _, one := range rows {
			if !take(one) {
				return nil
			}
		}
	}
	return nil
}

// groupsOfDevices are the groups that devices are in.
func groupsOfDevices(_ context.Context, _ *conn, _ string, g *device.Groups, rows []device.Device) ([]device.Group, error) {
	in := make([]device.Group, len(rows))
	for i, d := range rows {
		in[i] = g.Of(d)
	}
	return in, nil
}

// groupsOfActions are the groups that the devices of actions are in.
func groupsOfActions(ctx context.Context, c *conn, tenant string, g *device.Groups, rows []action.Action) ([]device.Group, error) {
	by := map[device.ID]device.Group{}
	for _, a := range rows {
		by[a.Device] = device.Group{}
	}
	ids := []any{tenant}
	for id := range by {
		ids = append(ids, id)
	}
	if len(ids) > 1 {
		r, err := c.once(ctx, "SELECT "+traitColumns+" FROM devices WHERE tenant = ? AND id IN (?"+strings.Repeat(", ?", len(ids)-2)+")", ids)
		if err != nil {
			return nil, err
		}
		devices, err := collect(r, func(r row) (device.Device, error) { return scanTraits(r) })
		if err != nil {
			return nil, err
		}
		for _, d := range devices {
			by[d.ID] = g.Of(d)
		}
	}
	in := make([]device.Group, len(rows))
	for i, a := range rows {
		in[i] = by[a.Device]
	}
	return in, nil
}
