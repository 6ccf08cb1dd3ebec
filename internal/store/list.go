package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/odata"
)

// listTime is how long a list may take. What takes longer has no index that
// serves it, and would hold a connection that others need.
const listTime = 2 * time.Second

// lists are the bounds of lists.
type lists struct {
	slots        chan struct{} // as many as may be made at once: others read, too
	time         time.Duration
	page, gather int
}

func newLists(connections int, o Options) lists {
	return lists{
		slots: make(chan struct{}, max(2, connections/2)),
		time:  cmp.Or(o.ListTime, listTime), page: cmp.Or(o.Page, odata.MaxTop), gather: cmp.Or(o.Gather, gatherMost),
	}
}

// listing is what there is to know of a table that can be listed.
type listing[T any] struct {
	table string
	own   []key[T] // its own order, for which it has indexes; the id comes last
	sort  map[string]key[T]

	// columns are where properties are kept, or what they are made of at a moment,
	// where there are these device groups; nil where no property of a group is
	// asked for, which ofGroup tells.
	columns func(now time.Time, groups []device.Group) map[string]column
	ofGroup func(*odata.Property) bool

	// The query of rows: what is selected, and from what beside page, which has
	// their tenants and ids. The table is called x in it.
	selected, beside string
	scan             func(row) (T, error)

	// grouped is the table of which device group each row is in. groups are those
	// that rows are in by the rules of g, and property is what a row of a group has.
	grouped  string
	groups   func(ctx context.Context, c *conn, tenant string, g *device.Groups, rows []T) ([]device.Group, error)
	property func(row T, in device.Group, p *odata.Property, now time.Time) any
}

// key is a column that a list is sorted by.
type key[T any] struct {
	column  string
	desc    bool
	indexed bool
	of      func(T) any // what a row has in it: an int64 or a string
}

// list answers a query of a tenant's rows within reach: read off where devices
// stand in their groups, and judged by the rules while they are put there.
func list[T any](ctx context.Context, s *Store, what string, l *listing[T], tenant string, reach device.Reach, q odata.Query) (odata.Page[T], error) {
	return bounded(ctx, s, what, func(ctx context.Context, c *conn) (odata.Page[T], error) {
		if reach.All && reach.By == nil && !odata.Asks(q.Filter, l.ofGroup) {
			return l.page(ctx, c, tenant, compile(q.Filter, l.columns(s.now(), nil)), nil, q, s.lists)
		}
		return byGroups(ctx, s, c, tenant, func(now standing) (odata.Page[T], error) {
			groups, reach := now.groups.All(), reach.In(now.groups)
			reached := within(groups, func(g device.Group) bool { return reach.Has(g.ID) })
			filter := join(false, []pred{compile(q.Filter, l.columns(s.now(), groups)), reached})
			if now.settled {
				return l.page(ctx, c, tenant, filter, nil, q, s.lists)
			}
			o := now.outlookOf(filter, l.byDevice)
			if o.in == nil && !o.nested {
				return l.page(ctx, c, tenant, o.pred, nil, q, s.lists)
			}
			j := judge[T]{outlook: o, groups: now.groups, of: l.groups, keep: func(row T, in device.Group) bool {
				return reach.Has(in.ID) && odata.Match(q.Filter, func(p *odata.Property) any { return l.property(row, in, p, s.now()) })
			}}
			page, err := l.page(ctx, c, tenant, o.pred, &j, q, s.lists)
			if err != nil && ctx.Err() != nil {
				err = fault.Unavailable.Errorf(err, "Device groups were changed, and devices are being put into them; until that is done, in a minute or a few, this list takes longer than the %v that it may: "+
					"ask again then, or narrow it down", s.lists.time)
			}
			return page, err
		})
	})
}

// bounded makes a list where there is room for one more, in the time that one may
// take.
func bounded[T any](ctx context.Context, s *Store, what string, list func(context.Context, *conn) (T, error)) (T, error) {
	return read(ctx, s, what, func(ctx context.Context, c *conn) (none T, err error) {
		select {
		case s.lists.slots <- struct{}{}:
			defer func() { <-s.lists.slots }()
		case <-ctx.Done():
			return none, fault.Unavailable.Errorf(ctx.Err(), "Too many lists are being made; ask again later")
		}
		bounded, cancel := context.WithTimeout(ctx, s.lists.time)
		defer cancel()
		made, err := list(bounded, c)
		if err != nil && ctx.Err() == nil && bounded.Err() != nil && !errors.Is(err, fault.Unavailable) {
			err = fault.Unavailable.Errorf(err, "The list could not be made within %v: no index serves what it is filtered, sorted or counted by, or the database is busy; "+
				"narrow it down, by a date or a machine for example, or ask again later", s.lists.time)
		}
		return made, err
	})
}

// page answers a query whose filter is p, and what a judge keeps where there is
// one.
func (l *listing[T]) page(ctx context.Context, c *conn, tenant string, p pred, j *judge[T], q odata.Query, bounds lists) (odata.Page[T], error) {
	page := odata.Page[T]{Rows: []T{}, Total: -1}
	keys := l.keys(q.OrderBy)
	last, err := after(q.After, keys)
	if err != nil {
		return page, err
	}
	most := q.Top
	if q.Top < 0 {
		most = bounds.page + 1 // one more tells whether there is a next page
	}
	want := most + q.Skip
	if j != nil {
		want += maxStreams // others may have to take the place of those that are not kept
	}
	plan, err := l.plan(ctx, c, tenant, p, keys, last, want, bounds.gather)
	if err != nil {
		return page, err
	}
	if j == nil {
		page, err = plan.page(ctx, c, tenant, last, most, q.Skip, q.Count)
	} else {
		page, err = plan.judged(ctx, c, tenant, *j, last, most, q.Skip, q.Count)
	}
	if err != nil {
		return page, err
	}
	if q.Top < 0 && len(page.Rows) > bounds.page {
		page.Rows = page.Rows[:bounds.page]
		page.Next = next(page.Rows[bounds.page-1], keys)
	}
	return page, nil
}

// page is so many rows of a plan, those after last, and how many there are of all.
func (p plan[T]) page(ctx context.Context, c *conn, tenant string, last []any, most, skip int, count bool) (page odata.Page[T], err error) {
	page = odata.Page[T]{Rows: []T{}, Total: -1}
	if count {
		if page.Total, err = p.count(ctx, c, tenant); err != nil {
			return page, err
		}
	}
	if most == 0 || p.pred == truth(false) || p.streams != nil && len(p.streams) == 0 {
		return page, nil
	}
	sql := p.rows(tenant, last, most, skip)
	rows, err := c.once(ctx, sql.String(), sql.args)
	if err == nil {
		page.Rows, err = collect(rows, p.scan)
	}
	return page, err
}

// keys are what a list is sorted by: what was asked for, then the id, so that
// no two rows are at one place.
func (l *listing[T]) keys(order []odata.Order) []key[T] {
	if len(order) == 0 {
		return l.own
	}
	last := l.own[len(l.own)-1]
	var keys []key[T]
	for _, o := range order {
		k, ok := l.sort[o.Property.Name]
		if !ok {
			panic(fmt.Sprintf("store: nothing is known of sorting %s by %s", l.table, o.Property.Name))
		}
		k.desc = o.Desc
		if keys = append(keys, k); k.column == last.column {
			return keys
		}
	}
	last.desc = keys[len(keys)-1].desc
	return append(keys, last)
}

// collect scans all rows of an answer and closes it.
func collect[T any](r rows, scan func(row) (T, error)) ([]T, error) {
	defer r.Close()
	list := []T{}
	for r.Next() {
		v, err := scan(r)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, errors.Join(r.Err(), r.Close())
}
