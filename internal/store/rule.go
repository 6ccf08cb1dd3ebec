package store

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"swab/internal/device"
	"swab/internal/odata"
)

// devicesOf is a predicate that every device which matches a folded rule fulfils.
// Others may, too: the rule decides.
func devicesOf(r device.Rule) pred {
	terms := make([]pred, len(r))
	for i, c := range r {
		values := make([]pred, len(c.Values))
		for j, v := range c.Values {
			values[j] = meets(c.Property, c.Operator, v)
		}
		terms[i] = join(true, values)
	}
	return join(false, terms)
}

// meets is devicesOf for one value of a condition.
func meets(p device.Property, o device.Operator, v string) pred {
	name := column{name: "name", indexed: true}
	switch p {
	case device.ByName:
		return name.fits(o, odata.None, v)
	case device.ByDomain: // what follows the first dot, which may be one of several
		switch o {
		case device.Equals:
			return name.fits(device.EndsWith, odata.None, "."+v)
		case device.StartsWith:
			return name.fits(device.Contains, odata.None, "."+v)
		}
		return name.fits(o, odata.None, v)
	case device.ByTag:
		return &tagged{column{name: "tag", indexed: true}.fits(o, odata.None, v)}
	}
	// A database turns only the letters of ASCII into small ones. Two others
	// become such letters.
	platform, system := column{name: "platform"}, column{name: "system"}
	terms := []pred{platform.fits(o, odata.ToLower, v), system.fits(o, odata.None, v)}
	if strings.ContainsAny(v, "ik") {
		terms = append(terms, platform.fits(device.Contains, odata.None, "\u0130"), platform.fits(device.Contains, odata.None, "\u212A"))
	}
	if slices.ContainsFunc([]byte(v), func(b byte) bool { return b >= 0x80 }) {
		return truth(true)
	}
	if (device.Rule{{Property: p, Operator: o, Values: []string{v}}}).Matches(device.Device{Facts: device.Facts{System: device.Darwin}}) {
		terms = append(terms, system.fits(device.Equals, odata.None, device.Darwin))
	}
	return join(true, terms)
}

// fits holds where a column, or a function of it, fits a value as a condition of
// a rule wants it.
func (c column) fits(o device.Operator, f odata.Func, v string) pred {
	if o == device.Equals {
		return c.one(f, []any{v})
	}
	text := map[device.Operator]odata.TextFunc{device.StartsWith: odata.StartsWith, device.EndsWith: odata.EndsWith, device.Contains: odata.Contains}[o]
	return c.text(&odata.Text{Func: text, Value: v}, odata.Operand{Func: f})
}

// hitsOf is the query of the ids of the devices that fulfil a predicate, or more,
// if indexes have them; that of names serves also where it is read as a whole.
func hitsOf(tenant string, p pred) (*query, bool) {
	parts, ok := findable(p)
	if !ok {
		parts, ok = findable(readAsAWhole(p))
	}
	if !ok {
		return nil, false
	}
	return deviceList.hits(tenant, parts), true
}

// readAsAWhole is p with every leaf on names and tags served by its index.
func readAsAWhole(p pred) pred {
	switch p := p.(type) {
	case *leaf:
		whole := *p
		whole.indexed = p.column == "name" || p.column == "tag"
		return &whole
	case *tagged:
		return &tagged{readAsAWhole(p.of)}
	case *junction:
		terms := make([]pred, len(p.terms))
		for i, t := range p.terms {
			terms[i] = readAsAWhole(t)
		}
		return &junction{p.or, terms}
	}
	return p
}

// preview bounds the part of a list's time in which a preview looks for devices.
const preview = 3

// Preview returns devices within reach that a rule matches, the one enrolled last
// first, at most top, and how many there are; where that takes too long, it
// says of how many it knows by then, and that these are not all.
func (s *Store) Preview(ctx context.Context, tenant string, reach device.Reach, rule device.Rule, top int) (devices []device.Device, total int64, whole bool, err error) {
	rule = rule.Fold()
	devices, err = bounded(ctx, s, "devices that a rule matches", func(ctx context.Context, c *conn) ([]device.Device, error) {
		return byGroups(ctx, s, c, tenant, func(now standing) ([]device.Device, error) {
			reach := reach.In(now.groups)
			looking, cancel := context.WithTimeout(ctx, s.lists.time*preview/(preview+1))
			defer cancel()
			var newest []device.Device
			total = 0
			err := eachTraits(looking, c, tenant, devicesOf(rule), func(d device.Device) {
				if rule.Matches(d) && (reach.All || reach.Has(now.groups.Of(d).ID)) {
					total++
					newest = keepNewest(newest, d, top)
				}
			})
			if whole = err == nil; !whole && looking.Err() == nil {
				return nil, err
			}
			found := []device.Device{}
			for _, d := range newest {
				one, err := one(ctx, c, scanDevice, "SELECT "+deviceColumns+" FROM devices WHERE tenant = ? AND id = ?", tenant, d.ID)
				if err != nil {
					return nil, err
				}
				found = append(found, one)
			}
			return found, nil
		})
	})
	return devices, total, whole, err
}

// keepNewest is list, which has the newest device first, with one more in its
// place, or without the oldest of them where there would be over most.
func keepNewest(list []device.Device, d device.Device, most int) []device.Device {
	at, _ := slices.BinarySearchFunc(list, d, func(a, b device.Device) int {
		return cmp.Or(b.FirstSeen.Compare(a.FirstSeen), strings.Compare(string(b.ID), string(a.ID)))
	})
	if at >= most {
		return list
	}
	list = slices.Insert(list, at, d)
	return list[:min(most, len(list))]
}

// eachTraits hands what the rules look at in the devices that fulfil a predicate,
// and perhaps in others, to take.
func eachTraits(ctx context.Context, c *conn, tenant string, p pred, take func(device.Device)) error {
	q := new(query)
	if hits, ok := hitsOf(tenant, p); ok {
		q.add("WITH hits (id) AS ("+hits.String()+") ", hits.args...)
		q.add("SELECT x.tenant, x.id, x.name, x.system, x.platform, x.tags, x.first_seen FROM hits CROSS JOIN devices x WHERE x.tenant = ? AND x.id = hits.id", tenant)
	} else {
		q.add("SELECT x.tenant, x.id, x.name, x.system, x.platform, x.tags, x.first_seen FROM devices x WHERE x.tenant = ? AND ", tenant)
		q.where(p, "x", tenant, unserved)
		q.add(" ORDER BY x.first_seen DESC, x.id DESC")
	}
	return each(ctx, c, q, func(r row) (device.Device, error) {
		var first time.Time
		d, err := scanTraits(r, when{&first})
		d.FirstSeen = first
		return d, err
	}, take)
}
