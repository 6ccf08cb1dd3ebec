package store

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"swab/internal/audit"
	"swab/internal/odata"
)

// MaxFound is the most entries that one call of AuditSearch returns.
const MaxFound = 1000

// AuditSearch returns a tenant's audit entries that f selects, newest first: at
// most top (0: MaxFound), and those after the page that ended with next, "" for
// the first page. An entry that has no leaf yet has the index -1; AuditSearch
// waits for leaves as Head does. What takes too long is fault.Unavailable.
func (s *Store) AuditSearch(ctx context.Context, tenant string, f audit.Filter, next string, top int) (odata.Page[audit.Logged], error) {
	page := odata.Page[audit.Logged]{Rows: []audit.Logged{}, Total: -1}
	what := "search of the audit log of " + tenant
	if _, err := read(ctx, s, what, func(ctx context.Context, _ *conn) (struct{}, error) {
		return struct{}{}, s.settled(ctx, tenant)
	}); err != nil {
		return page, err
	}
	found, err := bounded(ctx, s, what, func(ctx context.Context, c *conn) (odata.Page[foundEntry], error) {
		bounds := s.lists
		bounds.page = limit(top, MaxFound)
		return auditList.page(ctx, c, tenant, auditPred(f, tenant), nil, odata.Query{Top: -1, After: next}, bounds)
	})
	for _, row := range found.Rows {
		page.Rows = append(page.Rows, row.Logged)
	}
	page.Next = found.Next
	return page, err
}

// foundEntry is an entry with what it is sorted by.
type foundEntry struct {
	audit.Logged
	id, time int64
}

var auditList = listing[foundEntry]{
	table: "audit_entries",
	own: []key[foundEntry]{
		{column: "time", desc: true, indexed: true, of: func(e foundEntry) any { return e.time }},
		{column: "id", desc: true, of: func(e foundEntry) any { return e.id }},
	},
	selected: "x.id, x.time, x.leaf, x.bytes, x.opening",
	scan: func(r row) (e foundEntry, err error) {
		var number sql.NullInt64
		err = r.Scan(&e.id, &e.time, &number, &e.Leaf, fromText{&e.Opening})
		if e.Index = -1; number.Valid {
			e.Index = number.Int64
		}
		return e, err
	},
}

// routine are the acts of which each collection makes an entry. The indexes of
// acts and of devices do without them.
var routine = []audit.Act{audit.ActCollect, audit.ActSeal}

// What the indexes have, in the words of their migration: a database knows an
// index for a query's by these alone.
const (
	notRoutine  = "act NOT IN ('action.collect', 'action.seal')"
	actsIndex   = notRoutine
	deviceIndex = "device <> '' AND (" + notRoutine + " OR result <> 'done')"
	whoIndex    = "(who < 'device/' OR who >= 'device0')"
	personIndex = "who >= 'user/' AND who < 'user0'"
)

// auditPred makes a predicate of a filter.
func auditPred(f audit.Filter, tenant string) pred {
	var terms []pred
	bound := func(sql string, ticks int64) {
		terms = append(terms, column{name: "time", indexed: true}.leaf(odata.None, sql, ticks))
	}
	// equal asks for one value; the rows that its index has are said with it.
	equal := func(name, value, has string) *leaf {
		l := column{name: name, indexed: true, ordered: true}.leaf(odata.None, "@ = ?", value)
		if has != "" {
			l.sql += " AND " + has
		}
		return l
	}
	if !f.Since.IsZero() {
		bound("@ >= ?", ticks(f.Since))
	}
	if !f.Until.IsZero() {
		bound("@ < ?", ticks(f.Until))
	}
	if len(f.Acts) > 0 {
		terms = append(terms, actsPred(f.Acts))
	}
	switch {
	case f.Who == "":
	case strings.HasPrefix(f.Who, "device/"):
		terms = append(terms, column{name: "who"}.leaf(odata.None, "@ = ?", f.Who))
	default:
		terms = append(terms, equal("who", f.Who, whoIndex))
	}
	if f.User != "" {
		terms = append(terms, equal("name", lower(f.User), personIndex))
	}
	if f.Object != "" {
		terms = append(terms, equal("object", f.Object, ""))
	}
	if f.Device != "" {
		terms = append(terms, devicePred(f.Device, tenant))
	}
	switch f.Result {
	case "":
	case audit.Refused:
		terms = append(terms, &leaf{column: "result", sql: "@ = 'refused'", indexed: true, covered: true, ordered: true})
	default:
		terms = append(terms, column{name: "result"}.leaf(odata.None, "@ = ?", f.Result))
	}
	if f.Correlation != "" {
		terms = append(terms, column{name: "correlation"}.leaf(odata.None, "@ = ?", f.Correlation))
	}
	return join(false, terms)
}

// actsPred holds of entries of any of the acts.
func actsPred(acts []audit.Act) pred {
	var (
		names []any
		terms []pred
	)
	act := column{name: "act", indexed: true, ordered: true}
	for _, a := range acts {
		prefix, group := a.Group()
		if !group {
			names = append(names, string(a))
			continue
		}
		l := act.leaf(odata.None, "@ >= ? AND @ < ?", prefix, beginsAfter(prefix))
		l.ordered = false
		terms = append(terms, indexedActs(l, slices.ContainsFunc(routine, func(r audit.Act) bool { return strings.HasPrefix(string(r), prefix) })))
	}
	if len(names) > 0 {
		l := act.one(odata.None, names).(*leaf)
		terms = append(terms, indexedActs(l, slices.ContainsFunc(routine, func(r audit.Act) bool { return slices.Contains(acts, r) })))
	}
	return join(true, terms)
}

// indexedActs is l with what its index has, or without one for routine acts.
func indexedActs(l *leaf, routine bool) *leaf {
	if routine {
		l.indexed, l.covered, l.ordered = false, false, false
	} else {
		l.sql += " AND " + actsIndex
	}
	return l
}

// devicePred holds of entries that concern a device or acted on it. Those that its
// index does not have are of its actions, and found by them.
func devicePred(id, tenant string) pred {
	object := column{name: "object", indexed: true}
	own := column{name: "device", indexed: true}.leaf(odata.None, "@ = ? AND "+deviceIndex, id)
	acted := object.leaf(odata.None, "@ IN (SELECT a.id FROM actions a WHERE a.tenant = ? AND a.device = ?)", tenant, id)
	return join(true, []pred{own, acted, object.leaf(odata.None, "@ = ?", id)})
}

// lower is s with the letters of ASCII in lower case, as both databases do it.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
