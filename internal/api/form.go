package api

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// form is the body of a request that makes something, as far as it could be
// read: err is the first thing that is wrong with it.
type form struct {
	raw   map[string]json.RawMessage
	given map[string]json.RawMessage // those that are null too
	err   error
}

// form reads the body as a JSON object. Unlike on Defender's routes a property
// that is not named is an error: an expiry that is misspelt must not be a secret
// that lives longer than was meant. So is an option of OData.
func (c *call) form(optional bool, names ...string) *form {
	if err := c.plain(); err != nil {
		return &form{err: err}
	}
	data, err := c.body()
	if err != nil || optional && len(bytes.TrimSpace(data)) == 0 {
		return &form{err: err}
	}
	return readForm(data, names)
}

func readForm(data []byte, names []string) *form {
	f := &form{}
	if f.raw, f.err = parse(data, names); f.err != nil {
		return f
	}
	if err := json.Unmarshal(data, &f.given); err != nil {
		f.err = bad("it is not a JSON object")
	}
	for name := range f.given {
		if !slices.Contains(names, name) {
			f.err = bad("there is no property %s here", clip(name))
		}
	}
	return f
}

func (f *form) wrong(name string, err error) {
	if f.err == nil && err != nil {
		f.err = bad("%s %s", name, err)
	}
}

// text is a string, "" where it is missing or null.
func (f *form) text(name string) string {
	raw, there := f.raw[name]
	if !there || f.err != nil {
		return ""
	}
	s, err := text(raw)
	f.wrong(name, err)
	return s
}

// texts is an array of strings, nil where it is missing or null.
func (f *form) texts(name string) []string {
	raw, there := f.raw[name]
	if !there || f.err != nil {
		return nil
	}
	list, err := texts(raw)
	f.wrong(name, err)
	return list
}

// count is a whole number from 1 on, 0 where it is missing or null.
func (f *form) count(name string) int {
	raw, there := f.raw[name]
	if !there || f.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(string(raw), 10, 32)
	if err != nil || n < 1 {
		f.err = bad("%s is not a whole number from 1 on", name)
	}
	return int(n)
}

// size is count for what may be more than 2^31.
func (f *form) size(name string) int64 {
	raw, there := f.raw[name]
	if !there || f.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 1 {
		f.err = bad("%s is not a whole number from 1 on", name)
	}
	return n
}

// truth is true or false, false where it is missing or null.
func (f *form) truth(name string) bool {
	raw, there := f.raw[name]
	if !there || f.err != nil {
		return false
	}
	said := string(raw)
	if said != "true" && said != "false" {
		f.err = bad("%s is neither true nor false", name)
	}
	return said == "true"
}

// numbers is an array of whole numbers, nil where it is missing or null.
func (f *form) numbers(name string) []int64 {
	raw, there := f.raw[name]
	if !there || f.err != nil {
		return nil
	}
	var list []int64
	if raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		f.err = bad("%s is not an array of whole numbers", name)
	}
	return list
}

// objects is an array of objects with properties of those names, nil where it is
// missing or null.
func (f *form) objects(name string, properties ...string) []*form {
	raw, there := f.raw[name]
	if !there || f.err != nil {
		return nil
	}
	var parts []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &parts) != nil {
		f.err = bad("%s is not an array of objects", name)
		return nil
	}
	list := make([]*form, len(parts))
	for i, part := range parts {
		list[i] = readForm(part, properties)
	}
	return list
}

// table is an object whose values are strings, nil where it is missing or null.
func (f *form) table(name string) map[string]string {
	raw, there := f.raw[name]
	if !there || f.err != nil {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		f.err = bad("%s is not an object", name)
		return nil
	}
	values := map[string]string{}
	for dec.More() && f.err == nil {
		var part json.RawMessage
		token, err := dec.Token()
		key, _ := token.(string)
		if err != nil || dec.Decode(&part) != nil {
			f.err = bad("%s is not an object", name)
			return nil
		}
		if _, twice := values[key]; twice {
			f.err = bad("%s has %s twice", name, clip(key))
		}
		values[key], err = text(part)
		f.wrong(name+", "+clip(key)+",", err)
	}
	return values
}

// wanted is what reads a property makes of it, nil where it is missing or null:
// what a change leaves as it was.
func wanted[T any](f *form, name string, read func(string) T) *T {
	if _, there := f.raw[name]; !there {
		return nil
	}
	return new(read(name))
}

// ruled is wanted for a property of which null is a value: what reads it makes the
// zero value of it.
func ruled[T any](f *form, name string, read func(string) T) *T {
	if _, there := f.given[name]; !there {
		return nil
	}
	return new(read(name))
}

// time is a moment, zero where it is missing or null.
func (f *form) time(name string) time.Time {
	s := f.text(name)
	if _, there := f.raw[name]; !there || f.err != nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err == nil && (t.Year() < 1970 || t.UTC().Year() > 9999) {
		err = strconv.ErrRange
	}
	if err != nil {
		f.err = bad("%s is not a time of the form 2027-01-31T12:00:00Z", name)
		return time.Time{}
	}
	return t.UTC().Truncate(100 * time.Nanosecond)
}
