package store

import "strings"

// query is SQL with its arguments, as it is put together.
type query struct {
	strings.Builder
	args []any
}

func (q *query) add(sql string, args ...any) *query {
	q.WriteString(sql)
	q.args = append(q.args, args...)
	return q
}

// where adds a predicate on the rows of a table. What plain does not say of a
// leaf's column is written so that no index serves it.
func (q *query) where(p pred, table, tenant string, plain func(*leaf) bool) {
	switch p := p.(type) {
	case truth:
		if p {
			q.add("1 = 1")
		} else {
			q.add("1 = 0")
		}
	case *leaf:
		name := table + "." + p.column
		if !plain(p) {
			name = hidden(p, name)
		}
		q.add("("+strings.ReplaceAll(p.sql, "@", name)+")", p.args...)
	case *tagged:
		// A number, and not EXISTS, which PostgreSQL would make a join of.
		q.add("(SELECT count(*) FROM device_tags WHERE device_tags.tenant = ? AND device_tags.device = "+table+".id AND ", tenant)
		q.where(p.of, "device_tags", tenant, unserved)
		q.add(") > 0")
	case *grouped:
		q.add("(SELECT grouped_devices.device_group FROM grouped_devices WHERE grouped_devices.tenant = ? AND grouped_devices.id = "+
			table+"."+deviceOf[table]+") IN ", tenant).set(p.in)
	case *owned:
		q.add("(SELECT count(*) FROM devices WHERE devices.tenant = ? AND devices.id = "+table+"."+deviceOf[table]+" AND ", tenant)
		q.where(p.of, "devices", tenant, unserved)
		q.add(") > 0")
	case *negation:
		q.add("NOT (")
		q.where(p.of, table, tenant, plain)
		q.add(")")
	case *junction:
		between := " AND "
		if p.or {
			between = " OR "
		}
		q.add("(")
		for i, t := range p.terms {
			if i > 0 {
				q.add(between)
			}
			q.where(t, table, tenant, plain)
		}
		q.add(")")
	}
}

// deviceOf is the column of a table that has the id of the device.
var deviceOf = map[string]string{"devices": "id", "actions": "device"}

// set adds numbers, one at least, as a list in brackets.
func (q *query) set(numbers []int64) *query {
	q.add("(?"+strings.Repeat(", ?", len(numbers)-1)+")", anys(numbers)...)
	return q
}

func anys[T any](list []T) []any {
	args := make([]any, len(list))
	for i, one := range list {
		args[i] = one
	}
	return args
}

// hidden is a column's name in an expression with the same value, which no index
// is on.
func hidden(l *leaf, name string) string {
	if len(l.args) > 0 {
		if _, number := l.args[0].(int64); number {
			return "(" + name + " + 0)"
		}
	}
	if l.sql == "@" { // a truth value
		return name
	}
	return "(" + name + " || '')"
}

func asIs(*leaf) bool     { return true }
func unserved(*leaf) bool { return false }
