package store

import (
	"context"
	"slices"
	"strings"
)

// A database chooses an index by what it guesses of the data, and neither of
// ours can guess how many rows a value of a parameter has. A wrong guess costs
// seconds where there are millions of rows. So the store looks before it
// chooses: it asks the index of each condition how many rows it has, and stops
// counting at gatherMost.
//
//   - If a condition has fewer, its rows are gathered by that index, and the
//     rest of the filter and the sorting is done on them. A lone condition whose
//     index has what they are sorted by may have ten times as many.
//
//   - If each has more, the list is walked in its order until the page is full,
//     which is soon, since many rows fit. An index that has one condition's rows
//     in that order is used, and no other.
//
//   - Where only some device groups are wanted, the rows of each are there in the
//     list's own order, and the list is walked by these streams, merged, with the
//     rest of the filter asked of each row; or by the index of a condition that
//     has fewer rows where the list begins (list_streams.go).
//
// Which of them was chosen is written into the query so that the database
// has no choice: MATERIALIZED and CROSS JOIN keep the order of a gathering, and
// a column in an expression has no index.
const gatherMost = 4000

// plan is how a list is made.
type plan[T any] struct {
	*listing[T]
	pred   pred
	keys   []key[T]
	gather *query // ids of rows, among which are all that are wanted; nil: walk
	sort   bool   // do not walk, but sort what the index of the one condition has
	plain  func(*leaf) bool

	streams []int64 // device groups whose rows are walked; nil: the table's
	rest    pred    // what is asked of them beside
	dialect dialect
}

// plan chooses how to make a page of want rows after last, where at most most are
// gathered.
func (l *listing[T]) plan(ctx context.Context, c *conn, tenant string, p pred, keys []key[T], last []any, want, most int) (plan[T], error) {
	if lone, ok := p.(*leaf); ok && lone.covered && l.inOrder(keys) {
		if lone.ordered {
			return plan[T]{listing: l, pred: p, keys: keys, plain: asIs}, nil
		}
		n, err := l.probe(ctx, c, tenant, p, 10*most+1)
		if err != nil || n <= 10*most {
			return plan[T]{listing: l, pred: p, keys: keys, sort: true, plain: asIs}, err
		}
		return plan[T]{listing: l, pred: p, keys: keys, plain: l.served(p, keys)}, nil
	}
	var (
		gather *query
		by     pred // whose rows are gathered
		least  = most + 1
		none   = map[pred]bool{}
	)
	p = intersected(p)
	for _, term := range conjunction(p) {
		parts, ok := findable(term)
		if !ok {
			continue
		}
		total := 0
		for _, part := range parts {
			n, err := l.probe(ctx, c, tenant, part, most+1)
			if err != nil {
				return plan[T]{}, err
			}
			none[part] = n == 0
			total += n
		}
		if total < least {
			gather, least, by = l.hits(tenant, parts), total, term
		}
	}
	p = intersected(pruned(p, none)) // what is left of an or may be groups
	made := plan[T]{listing: l, pred: p, keys: keys, gather: gather, plain: l.served(p, keys)}
	groups, rest := l.reached(p)
	if _, few := by.(*grouped); groups == nil || gather != nil && !few {
		return made, nil
	}
	if !l.inOrder(keys) {
		n, err := l.probe(ctx, c, tenant, groups, 10*most+1)
		if err == nil && n <= 10*most {
			made.gather = l.hits(tenant, []pred{groups})
		}
		return made, err
	}
	return l.streamed(ctx, c, tenant, made, groups, rest, last, want, most)
}

// served says which leaves an index may serve where a list is walked: those on
// the column it is sorted by and, if that is the list's own order, one of those
// whose index has it. If no index has the order, the database may choose.
func (l *listing[T]) served(p pred, keys []key[T]) func(*leaf) bool {
	var one *leaf
	if l.inOrder(keys) {
		one = ordered(p)
	} else if !keys[0].indexed {
		return asIs
	}
	return func(f *leaf) bool { return f == one || f.column == keys[0].column }
}

// inOrder says whether keys are the list's own order, forwards or backwards.
func (l *listing[T]) inOrder(keys []key[T]) bool {
	return slices.EqualFunc(keys, l.own, func(a, b key[T]) bool {
		return a.column == b.column && (a.desc == b.desc) == (keys[0].desc == l.own[0].desc)
	})
}

// conjunction are the predicates that must all hold.
func conjunction(p pred) []pred {
	if j, ok := p.(*junction); ok && !j.or {
		return j.terms
	}
	return []pred{p}
}

// findable are predicates that indexes find the rows of, all of which together
// are those of p, or more.
func findable(p pred) (parts []pred, ok bool) {
	switch p := p.(type) {
	case *leaf:
		return []pred{p}, p.indexed
	case *tagged:
		_, ok := findable(p.of)
		return []pred{p}, ok
	case *owned:
		_, ok := findable(p.of)
		return []pred{p}, ok
	case *grouped:
		return []pred{p}, true
	case *junction:
		for _, t := range p.terms {
			some, ok := findable(t)
			switch {
			case ok && !p.or:
				return some, true
			case !ok && p.or:
				return nil, false
			}
			parts = append(parts, some...)
		}
		return parts, p.or
	}
	return nil, false
}

// find adds the query of the ids that a findable predicate has.
func (l *listing[T]) find(q *query, tenant string, p pred) {
	if t, ok := p.(*tagged); ok {
		q.add("SELECT DISTINCT device AS id FROM device_tags WHERE device_tags.tenant = ? AND ", tenant)
		q.where(t.of, "device_tags", tenant, asIs)
		return
	}
	if g, ok := p.(*grouped); ok {
		q.add("SELECT id FROM "+l.grouped+" WHERE "+l.grouped+".tenant = ? AND "+l.grouped+".device_group IN ", tenant).set(g.in)
		return
	}
	if o, ok := p.(*owned); ok {
		parts, _ := findable(o.of)
		devices := deviceList.hits(tenant, parts)
		q.add("SELECT "+l.table+".id FROM ("+devices.String()+") found CROSS JOIN "+l.table, devices.args...)
		q.add(" WHERE "+l.table+".tenant = ? AND "+l.table+"."+deviceOf[l.table]+" = found.id", tenant)
		return
	}
	q.add("SELECT id FROM "+l.table+" WHERE "+l.table+".tenant = ? AND ", tenant)
	q.where(p, l.table, tenant, asIs)
}

// probe counts the rows that a findable predicate has, up to most.
func (l *listing[T]) probe(ctx context.Context, c *conn, tenant string, p pred, most int) (int, error) {
	q := new(query)
	q.add("SELECT count(*) FROM (")
	l.find(q, tenant, p)
	q.add(" LIMIT ?) hits", most)
	return number(ctx, c, q)
}

// hits are the ids that findable predicates have together.
func (l *listing[T]) hits(tenant string, parts []pred) *query {
	q := new(query)
	for i, p := range parts {
		if i > 0 {
			q.add(" UNION ")
		}
		l.find(q, tenant, p)
	}
	return q
}

// pruned is p with what holds of no row taken out.
func pruned(p pred, none map[pred]bool) pred {
	switch p := p.(type) {
	case *leaf, *tagged, *owned, *grouped:
		if none[p] {
			return truth(false)
		}
	case *junction:
		terms := make([]pred, len(p.terms))
		for i, t := range p.terms {
			terms[i] = pruned(t, none)
		}
		return join(p.or, terms)
	}
	return p
}

// from adds what the rows come from, and the filter.
func (p plan[T]) from(q *query, tenant string, plain func(*leaf) bool) {
	if p.gather != nil {
		q.add(" FROM hits CROSS JOIN "+p.table+" WHERE "+p.table+".tenant = ? AND "+p.table+".id = hits.id AND ", tenant)
		plain = unserved
	} else {
		q.add(" FROM "+p.table+" WHERE "+p.table+".tenant = ? AND ", tenant)
	}
	q.where(p.pred, p.table, tenant, plain)
}

// with begins a query that has the gathered ids as hits.
func (p plan[T]) with() *query {
	q := new(query)
	if p.gather != nil {
		q.add("WITH hits (id) AS MATERIALIZED ("+p.gather.String()+") ", p.gather.args...)
	}
	return q
}

// rows is the query of a page: ids first, by an index alone where there is one,
// so that skipping many costs little, then the rows that they name.
func (p plan[T]) rows(tenant string, after []any, most, skip int) *query {
	q := p.with()
	q.add("SELECT " + p.selected + " FROM (")
	if p.streams != nil {
		p.stream(q, tenant, after, most+skip)
		q.add(" ORDER BY "+order(names(p.keys), p.keys)+" LIMIT ? OFFSET ?) page", most, skip)
	} else {
		q.add("SELECT " + p.table + ".tenant, " + p.table + ".id")
		p.from(q, tenant, p.plain)
		if after != nil {
			q.add(" AND ")
			beyond(q, p.names(), p.keys, after)
		}
		q.add(" ORDER BY "+order(p.names(), p.keys)+" LIMIT ? OFFSET ?) page", most, skip)
	}
	return q.add(" CROSS JOIN " + p.table + " x" + p.beside + " WHERE x.tenant = page.tenant AND x.id = page.id ORDER BY " + order(columns("x", p.keys), p.keys))
}

// names are what the rows are sorted by: the columns, or where they are not to
// be walked an expression for the first, which no index has.
func (p plan[T]) names() []string {
	names := columns(p.table, p.keys)
	if p.sort {
		names[0] = "(" + names[0] + " + 0)" // of a list's own order, so a time
	}
	return names
}

func columns[T any](table string, keys []key[T]) []string {
	list := names(keys)
	for i := range list {
		list[i] = table + "." + list[i]
	}
	return list
}

func names[T any](keys []key[T]) []string {
	list := make([]string, len(keys))
	for i, k := range keys {
		list[i] = k.column
	}
	return list
}

func order[T any](names []string, keys []key[T]) string {
	parts := slices.Clone(names)
	for i, k := range keys {
		if k.desc {
			parts[i] += " DESC"
		}
	}
	return strings.Join(parts, ", ")
}

// count is how many rows the filter selects.
func (p plan[T]) count(ctx context.Context, c *conn, tenant string) (int64, error) {
	q, err := p.counting(ctx, c, tenant)
	if err != nil {
		return 0, err
	}
	n, err := number(ctx, c, q)
	return int64(n), err
}

// counting is the query of how many rows the filter selects. Those of some device
// groups are counted by what has the fewest rows to look at: these groups, a
// condition, or the other groups, whose rows are taken from those of all.
func (p plan[T]) counting(ctx context.Context, c *conn, tenant string) (*query, error) {
	switch g, lone := p.pred.(*grouped); {
	case p.pred == truth(false):
		return new(query).add("SELECT 0"), nil
	case lone:
		q := new(query).add("SELECT count(*) FROM (")
		p.find(q, tenant, g)
		return q.add(") found"), nil
	}
	groups, rest := p.reached(p.pred)
	if groups == nil || p.gather != nil {
		return p.counted(tenant), nil
	}
	for most := 10 * gatherMost; ; most *= 8 {
		by, n, err := p.fewest(ctx, c, tenant, p.pred, most)
		if err != nil {
			return nil, err
		}
		if groups.out != nil {
			others := &grouped{in: groups.out}
			few, err := p.probe(ctx, c, tenant, others, n/2+1)
			if err != nil {
				return nil, err
			}
			if few <= n/2 {
				all, none := p, p
				all.pred = rest
				none.pred, none.gather = rest, p.hits(tenant, []pred{others})
				of, but := all.counted(tenant), none.counted(tenant)
				return new(query).add("SELECT ("+of.String()+") - ("+but.String()+")", append(of.args, but.args...)...), nil
			}
		}
		if n < most {
			p.gather = p.hits(tenant, by)
			if len(by) == 1 && by[0] == pred(groups) {
				p.pred = rest
			}
			return p.counted(tenant), nil
		}
	}
}

func (p plan[T]) counted(tenant string) *query {
	q := p.with().add("SELECT count(*)")
	p.from(q, tenant, asIs)
	return q
}

// fewest are predicates whose indexes find all rows of p, as few as can be, and how
// many these are: most if there are more. There are none where no index finds them.
func (l *listing[T]) fewest(ctx context.Context, c *conn, tenant string, p pred, most int) (by []pred, n int, err error) {
	j, ok := p.(*junction)
	if !ok {
		if by, ok = findable(p); !ok {
			return nil, most, nil
		}
		n, err = l.probe(ctx, c, tenant, p, most)
		return by, n, err
	}
	if !j.or {
		n = most
	}
	for _, term := range j.terms {
		some, m, err := l.fewest(ctx, c, tenant, term, most)
		switch {
		case err != nil:
			return nil, 0, err
		case j.or && some == nil:
			return nil, most, nil
		case j.or:
			by, n = append(by, some...), min(n+m, most)
		case m < n || by == nil:
			by, n = some, m
		}
	}
	return by, n, nil
}

// number is the answer of a query that has one number.
func number(ctx context.Context, c *conn, q *query) (int, error) {
	r, err := c.once(ctx, q.String(), q.args)
	if err != nil {
		return 0, err
	}
	list, err := collect(r, value[int])
	if err != nil {
		return 0, err
	}
	return list[0], nil
}
