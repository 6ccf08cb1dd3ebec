package store

import (
	"context"
	"slices"

	"swab/internal/device"
)

// While devices are put into their groups, most of them stand where they belong.
// The groups that did not change have kept their rules and their order among
// themselves. So a device that stands in one of them, and matches the rule of no
// group that changed, is in the first of them that it matches, as before. What a
// rule matches the database does not know, but more than that (devicesOf).
//
// So a list asks for the rows which may be wanted and judges these alone, and a
// count judges only those of which it is not sure.

// outlook is what can be asked of the database about the rows of a list while
// devices are put into their groups.
type outlook struct {
	pred   pred     // holds of all rows that are wanted, and of others
	rest   pred     // what is asked beside groups
	in     *grouped // the groups into which those that are wanted belong; nil for any
	here   pred     // holds of rows that stand in one of in, and are wanted unless doubt holds
	stands pred     // holds of rows that stand where those of here do
	doubt  pred     // holds of all rows that are wanted where here does not hold, or the other way round

	// nested: the filter asks for groups other than by a term of its own, so that
	// whoever knows a row's group does not know yet whether the row is wanted.
	nested bool
}

// outlookOf is the outlook of a filter that is compiled as if all devices stood in
// their groups; of makes of a predicate on devices one on the rows.
func (s standing) outlookOf(p pred, of func(pred) pred) outlook {
	var (
		rest []pred
		o    outlook
	)
	for _, term := range conjunction(intersected(p)) {
		switch g, lone := term.(*grouped); {
		case lone:
			o.in = g
		case asksGroup(term):
			o.nested = true
		default:
			rest = append(rest, term)
		}
	}
	filter := join(false, rest)
	o.rest = filter
	switch {
	case o.in == nil:
		o.pred, o.here, o.stands, o.doubt = filter, filter, truth(true), truth(false)
		return o
	case len(s.changed) > maxChanged:
		o.pred, o.here, o.stands, o.doubt = filter, truth(false), truth(false), filter
		return o
	}
	in := o.in.in
	var (
		stay            = slices.Clone(in) // where rows stand that are wanted, unless they leave
		came, left      []int64            // where rows stand that are wanted, and that may belong anywhere
		leaving, coming []pred
	)
	for _, c := range s.changed {
		g, there := s.groups.Get(c.ID)
		_, wanted := slices.BinarySearch(in, c.ID)
		stay = slices.DeleteFunc(stay, func(id int64) bool { return id == c.ID })
		switch {
		case !c.New:
			left = append(left, c.ID)
		case wanted:
			came = append(came, c.ID)
		}
		if there {
			leaving = append(leaving, of(devicesOf(g.Rule)))
		}
		if there && wanted {
			coming = append(coming, of(devicesOf(g.Rule)))
		}
	}
	here, fit := slices.Sorted(slices.Values(slices.Concat(stay, came))), s.matching(in, of)
	may := []pred{standsIn(here...), join(false, []pred{fit, standsIn(left...)})}
	if fit == truth(true) { // one term is walked by its streams
		may = []pred{standsIn(slices.Sorted(slices.Values(slices.Concat(here, left)))...)}
	}
	with := func(terms ...pred) pred { return join(false, append(slices.Clone(rest), join(true, terms))) }
	o.stands = standsIn(here...)
	if g, some := o.stands.(*grouped); some {
		g.out = s.but(here)
	}
	o.pred, o.here = with(append(may, coming...)...), with(o.stands)
	o.doubt = with(
		join(false, []pred{join(true, leaving), standsIn(stay...)}),
		join(false, []pred{fit, standsIn(left...)}),
		join(false, []pred{join(true, coming), not(standsIn(came...))}),
	)
	return o
}

// but are the groups, other than some, in which devices may stand.
func (s standing) but(some []int64) []int64 {
	out := []int64{}
	for _, g := range s.groups.All() {
		out = append(out, g.ID)
	}
	for _, c := range s.changed { // of which some may be gone
		out = append(out, c.ID)
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(id int64) bool {
		_, found := slices.BinarySearch(some, id)
		return found
	})
}

// matching holds of every row whose device belongs into one of some groups.
func (s standing) matching(ids []int64, of func(pred) pred) pred {
	if len(ids) > maxChanged {
		return truth(true)
	}
	var any []pred
	for _, id := range ids {
		if id == device.DefaultGroup {
			return truth(true)
		}
		if g, there := s.groups.Get(id); there {
			any = append(any, of(devicesOf(g.Rule)))
		}
	}
	return join(true, any)
}

func standsIn(ids ...int64) pred {
	if len(ids) == 0 {
		return truth(false)
	}
	return &grouped{in: ids}
}

// asksGroup says whether a predicate asks anywhere in which group a row stands.
func asksGroup(p pred) bool {
	switch p := p.(type) {
	case *grouped:
		return true
	case *negation:
		return asksGroup(p.of)
	case *junction:
		return slices.ContainsFunc(p.terms, asksGroup)
	}
	return false
}

// byDevice makes of a predicate on devices one on the rows of a list.
func (l *listing[T]) byDevice(p pred) pred {
	if _, always := p.(truth); always || l.table == "devices" {
		return p
	}
	return &owned{p}
}

// tally is how many rows a judge keeps whose outlook is not nested: those that are
// here, with each row in doubt put right. It is one statement, since devices go from
// one group into another meanwhile.
func (p plan[T]) tally(ctx context.Context, c *conn, tenant string, j judge[T]) (total int64, err error) {
	p.pred, p.gather = j.here, nil
	here, err := p.counting(ctx, c, tenant)
	if err != nil {
		return 0, err
	}
	p.pred, p.gather = j.doubt, nil
	for most := 10 * gatherMost; ; most *= 8 {
		by, n, err := p.fewest(ctx, c, tenant, p.pred, most)
		if err != nil {
			return 0, err
		}
		if len(by) > 0 && n < most {
			p.gather = p.hits(tenant, by)
		}
		if len(by) == 0 || n < most {
			break
		}
	}
	q := p.with().add("SELECT '' AS tenant, '' AS id, '' AS name, '' AS system, '' AS platform, '[]' AS tags, 0 AS stood, ("+here.String()+") AS n", here.args...)
	stood := func() {
		q.add(", CASE WHEN ")
		q.where(j.stands, p.table, tenant, unserved)
		q.add(" THEN 1 ELSE 0 END AS stood")
	}
	switch {
	case p.pred == truth(false):
	case p.table == "devices" && p.gather != nil:
		// Joined, since there may be many; to judge some more does no harm.
		q.add(" UNION ALL SELECT x.tenant, x.id, x.name, x.system, x.platform, x.tags, CASE WHEN ")
		if g, some := j.stands.(*grouped); some {
			q.add("g.device_group IN ").set(g.in)
		} else {
			q.add("1 = 0")
		}
		q.add(" THEN 1 ELSE 0 END, 1 FROM hits CROSS JOIN devices x CROSS JOIN grouped_devices g WHERE x.tenant = ? AND x.id = hits.id AND g.tenant = ? AND g.id = hits.id AND ", tenant, tenant)
		q.where(j.rest, "x", tenant, unserved)
	default:
		q.add(" UNION ALL SELECT x.tenant, x.id, x.name, x.system, x.platform, x.tags, counted.stood, counted.n FROM (SELECT " + p.table + "." + deviceOf[p.table] + " AS device")
		stood()
		q.add(", count(*) AS n")
		p.from(q, tenant, asIs)
		q.add(" GROUP BY 1, 2) counted CROSS JOIN devices x WHERE x.tenant = ? AND x.id = counted.device", tenant)
	}
	type some struct {
		of       device.Device
		stood, n int64
	}
	err = each(ctx, c, q, func(r row) (s some, err error) {
		s.of, err = scanTraits(r, &s.stood, &s.n)
		return s, err
	}, func(s some) {
		switch belongs := s.of.ID != "" && j.wants(s.of); {
		case s.of.ID == "", belongs && s.stood == 0:
			total += s.n
		case !belongs && s.stood == 1:
			total -= s.n
		}
	})
	return total, err
}

// wants says whether a device belongs into one of the groups that are wanted.
func (j judge[T]) wants(d device.Device) bool {
	_, wanted := slices.BinarySearch(j.in.in, j.groups.Of(d).ID)
	return wanted
}
