package store

import (
	"cmp"
	"context"
	"slices"
)

// The rows of a device group stand in the order of the list, in a table that has
// no more than that of them. To list those of several groups their streams are
// merged: databases do that for queries which are joined by UNION ALL and sorted as
// a whole, and stop where the page is full.

// maxStreams bounds the groups whose streams one query merges: each takes a
// database as long to plan as a few rows take it to read.
const maxStreams = 128

// sparse is how many rows ahead two ways to walk a list are compared.
const sparse = 1000

// intersected is p with one *grouped among its terms in place of several.
func intersected(p pred) pred {
	var (
		terms []pred
		in    *grouped
	)
	for _, term := range conjunction(p) {
		g, ok := term.(*grouped)
		switch {
		case !ok:
			terms = append(terms, term)
		case in == nil:
			in = g
		default:
			both := &grouped{}
			for _, id := range in.in {
				if _, found := slices.BinarySearch(g.in, id); found {
					both.in = append(both.in, id)
				} else {
					both.out = append(both.out, id)
				}
			}
			both.out = append(both.out, in.out...) // each row is in one of in, or of these
			slices.Sort(both.out)
			in = both
		}
	}
	switch {
	case in == nil:
		return p
	case len(in.in) == 0:
		return truth(false)
	}
	return join(false, append(terms, in))
}

// reached are groups that rows must be of, nil for any, and all that is asked of them
// beside.
func (l *listing[T]) reached(p pred) (*grouped, pred) {
	var (
		groups *grouped
		rest   []pred
	)
	for _, term := range conjunction(p) {
		if g, ok := term.(*grouped); ok && groups == nil {
			groups = g
		} else {
			rest = append(rest, term)
		}
	}
	return groups, join(false, rest)
}

// streamed is a plan that walks the streams of groups, if they are not too many
// and no index of a condition has fewer rows: where the page begins, or in all.
func (l *listing[T]) streamed(ctx context.Context, c *conn, tenant string, p plan[T], groups *grouped, rest pred, last []any, want, most int) (plan[T], error) {
	in := groups.in
	if len(in) > maxStreams && rest == truth(true) && want <= maxStreams {
		// Each row of the page is of a group whose first row is one of the first.
		var err error
		if in, err = l.foremost(ctx, c, tenant, in, p.keys, last, want); err != nil {
			return p, err
		}
	}
	if len(in) > maxStreams {
		return p, nil
	}
	by := p
	by.gather, by.streams, by.rest, by.dialect = nil, in, rest, c.dialect
	if len(in) == 0 { // no row follows
		return by, nil
	}
	if p.gather != nil { // so few that the index has hardly fewer
		return by, nil
	}
	if one := ordered(rest); one != nil {
		fewer, err := l.fewer(ctx, c, tenant, one, by, last)
		if err != nil || fewer {
			return p, err
		}
		return by, nil
	}
	// Of a condition without such an index ten times as many may be gathered:
	// where few rows fit, the streams would be walked for long.
	least := 10*most + 1
	for _, term := range conjunction(rest) {
		parts, ok := findable(term)
		if !ok {
			continue
		}
		q := l.hits(tenant, parts)
		n, err := number(ctx, c, new(query).add("SELECT count(*) FROM (SELECT id FROM ("+q.String()+") found LIMIT ?) hits", append(q.args, 10*most+1)...))
		if err != nil {
			return p, err
		}
		if n < least {
			p.gather, least = q, n
		}
	}
	if p.gather != nil {
		return p, nil
	}
	return by, nil
}

// ordered is the first condition whose index has its rows in the list's order.
func ordered(p pred) *leaf {
	for _, term := range conjunction(p) {
		if leaf, ok := term.(*leaf); ok && leaf.ordered {
			return leaf
		}
	}
	return nil
}

// foremost are those groups, at most want, whose first rows after last come
// before those of all others.
func (l *listing[T]) foremost(ctx context.Context, c *conn, tenant string, groups []int64, keys []key[T], last []any, want int) ([]int64, error) {
	type first struct{ group, at int64 }
	q := new(query).add("WITH wanted (device_group) AS (VALUES (CAST(? AS BIGINT))", groups[0])
	for _, g := range groups[1:] {
		q.add(", (CAST(? AS BIGINT))", g)
	}
	at := l.own[0].column
	q.add(") SELECT device_group, at FROM (SELECT wanted.device_group, (SELECT "+at+" FROM "+l.grouped+" WHERE tenant = ? AND "+
		l.grouped+".device_group = wanted.device_group", tenant)
	if last != nil {
		q.add(" AND ")
		beyond(q, names(keys), keys, last)
	}
	q.add(" ORDER BY " + order(names(keys), keys) + " LIMIT 1) AS at FROM wanted) firsts WHERE at IS NOT NULL")
	r, err := c.once(ctx, q.String(), q.args)
	if err != nil {
		return nil, err
	}
	firsts, err := collect(r, func(r row) (f first, err error) {
		return f, r.Scan(&f.group, &f.at)
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(firsts, func(a, b first) int {
		if keys[0].desc {
			a, b = b, a
		}
		return cmp.Compare(a.at, b.at)
	})
	// Of several that begin at one moment each may be the first.
	n := min(want, len(firsts))
	for n > 0 && n < len(firsts) && firsts[n].at == firsts[n-1].at {
		n++
	}
	in := make([]int64, n)
	for i := range in {
		in[i] = firsts[i].group
	}
	return in, nil
}

// stream adds the query of the rows of all streams after last, of which no more
// than most are wanted. The row of each is
// looked up for the rest of the filter: by the index of a condition that has it
// in its order, where there is one, since that is read in one direction then, and
// perhaps alone.
func (p plan[T]) stream(q *query, tenant string, after []any, most int) {
	one := ordered(p.rest)
	at, row := p.own[0].column, p.table+".id = "+p.grouped+".id"
	if one != nil {
		row = p.table + "." + at + " = " + p.grouped + "." + at + " AND (" + p.table + ".id || '') = " + p.grouped + ".id"
	}
	own := p.dialect.orderedArms && len(p.streams) > 1
	for i, g := range p.streams {
		if i > 0 {
			q.add(" UNION ALL ")
		}
		if own {
			q.add("(")
		}
		q.add("SELECT tenant, "+at+", id FROM "+p.grouped+" WHERE tenant = ? AND device_group = ?", tenant, g)
		if after != nil {
			q.add(" AND ")
			beyond(q, names(p.keys), p.keys, after)
		}
		if p.rest != truth(true) {
			// A number, for the reason that holds for tags.
			q.add(" AND (SELECT count(*) FROM "+p.table+" WHERE "+p.table+".tenant = ? AND "+row+" AND ", tenant)
			q.where(p.rest, p.table, tenant, func(f *leaf) bool { return f == one })
			q.add(") > 0")
		}
		if own {
			q.add(" ORDER BY "+order(names(p.keys), p.keys)+" LIMIT ?)", most)
		}
	}
}

// fewer says whether the index of a condition has fewer rows after last than the
// streams of a plan, as far as the next ones tell: the fewer there are, the
// further they reach.
func (l *listing[T]) fewer(ctx context.Context, c *conn, tenant string, of *leaf, p plan[T], last []any) (bool, error) {
	at := l.own[0].column
	next := func(of func(*query)) (int64, bool, error) {
		q := new(query).add("SELECT " + at + " FROM (")
		of(q)
		q.add(" ORDER BY "+order(names(p.keys), p.keys)+" LIMIT 1 OFFSET ?) ahead", sparse-1)
		r, err := c.once(ctx, q.String(), q.args)
		if err != nil {
			return 0, false, err
		}
		list, err := collect(r, value[int64])
		if err != nil || len(list) == 0 {
			return 0, false, err
		}
		return list[0], true, nil
	}
	index, more, err := next(func(q *query) {
		q.add("SELECT "+at+", id FROM "+l.table+" WHERE "+l.table+".tenant = ? AND ", tenant)
		q.where(of, l.table, tenant, asIs)
		if last != nil {
			q.add(" AND ")
			beyond(q, names(p.keys), p.keys, last)
		}
	})
	if err != nil || !more {
		return err == nil, err
	}
	bare := p
	bare.rest = truth(true)
	streams, more, err := next(func(q *query) { bare.stream(q, tenant, last, sparse) })
	if err != nil || !more {
		return false, err
	}
	if p.keys[0].desc {
		return index <= streams, nil
	}
	return index >= streams, nil
}
