package store

import (
	"encoding/json"
	"slices"
	"strings"

	"swab/internal/odata"
)

// A page begins after the last row of the page before, which is named by what
// it has in the columns of the order. So a page stays where it was while rows
// are added or go. The name travels through the caller and back: what comes back
// is data for parameters, of the right number and types, or refused.

// place is what a row has in the columns of the order.
func place[T any](row T, keys []key[T]) []any {
	values := make([]any, len(keys))
	for i, k := range keys {
		values[i] = k.of(row)
	}
	return values
}

// next names a row by its keys.
func next[T any](row T, keys []key[T]) string { return text(place(row, keys)) }

// after are the keys of the row that next named; nil where none is named.
func after[T any](name string, keys []key[T]) ([]any, error) {
	if name == "" {
		return nil, nil
	}
	wrong := &odata.Error{Option: "$skiptoken", Reason: "it is none that belongs to this list"}
	var raw []json.RawMessage
	if json.Unmarshal([]byte(name), &raw) != nil || len(raw) != len(keys) {
		return nil, wrong
	}
	var none T
	values := make([]any, len(keys))
	for i, k := range keys {
		switch k.of(none).(type) {
		case int64:
			var n int64
			if json.Unmarshal(raw[i], &n) != nil {
				return nil, wrong
			}
			values[i] = n
		case string:
			var s string
			if json.Unmarshal(raw[i], &s) != nil {
				return nil, wrong
			}
			values[i] = s
		}
	}
	if text(values) != name {
		return nil, wrong
	}
	return values, nil
}

// beyond adds the condition that a row comes after values, in the order of keys,
// which have those names.
func beyond[T any](q *query, names []string, keys []key[T], values []any) {
	sign := map[bool]string{true: " < ", false: " > "}
	if !slices.ContainsFunc(keys, func(k key[T]) bool { return k.desc != keys[0].desc }) { // indexes know this form
		marks := strings.TrimSuffix(strings.Repeat("?, ", len(keys)), ", ")
		q.add("("+strings.Join(names, ", ")+")"+sign[keys[0].desc]+"("+marks+")", values...)
		return
	}
	q.add("("+names[0]+strings.TrimSuffix(sign[keys[0].desc], " ")+"= ? AND (", values[0])
	for i, k := range keys {
		if i > 0 {
			q.add(" OR ")
		}
		q.add("(")
		for j := range i {
			q.add(names[j]+" = ? AND ", values[j])
		}
		q.add(names[i]+sign[k.desc]+"?)", values[i])
	}
	q.add("))")
}
