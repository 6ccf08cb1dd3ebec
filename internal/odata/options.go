package odata

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Parse reads a query as it stands in an address, still encoded. Options whose
// name does not begin with $ are not for us. An error is an *Error.
func Parse(rawQuery string, e *Entity) (Query, error) {
	q := All()
	err := Options(rawQuery, func(name, value string) (err error) {
		switch name {
		case "$filter":
			q.Filter, err = parse(name, value, e, (*parser).or)
		case "$orderby":
			q.OrderBy, err = parse(name, value, e, (*parser).orderBy)
		case "$select":
			if strings.TrimSpace(value) != "*" {
				q.Select, err = parse(name, value, e, (*parser).selection)
			}
		case "$top":
			if q.Top, err = number(name, value); err == nil && q.Top > MaxTop {
				err = &Error{"", 0, fmt.Sprintf("The limit of '%d' for Top query has been exceeded. The value from the incoming request is '%d'.", MaxTop, q.Top)}
			}
		case "$skip":
			q.Skip, err = number(name, value)
		case "$count":
			switch strings.ToLower(strings.TrimSpace(value)) {
			case "true":
				q.Count = true
			case "false":
			default:
				err = &Error{name, 1, fmt.Sprintf("true or false is wanted, not '%s'", clip(value))}
			}
		case "$skiptoken":
			if q.After = value; value == "" {
				err = &Error{name, 1, "it is empty"}
			}
		default:
			err = unsupported(name)
		}
		return err
	})
	if err != nil {
		return Query{}, err
	}
	return q, nil
}

// Plain is nil if a query has no option whose name begins with $: for what
// takes none.
func Plain(rawQuery string) error {
	return Options(rawQuery, func(name, _ string) error { return unsupported(name) })
}

// Next is a query with all of its options as they are but $skip, which has had
// its effect, and with the $skiptoken that leads on.
func Next(rawQuery, token string) string {
	var parts []string
	for part := range strings.SplitSeq(rawQuery, "&") {
		name, _, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		name = strings.ToLower(strings.TrimSpace(name))
		if part == "" || err == nil && (name == "$skip" || name == "$skiptoken") {
			continue
		}
		parts = append(parts, printable(part))
	}
	return strings.Join(append(parts, "$skiptoken="+url.QueryEscape(token)), "&")
}

// printable encodes what an address can't hold, and leaves what is encoded.
func printable(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"#<>", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Options calls f with each option whose name begins with $, in lower case. The
// query is taken apart by hand: names come percent-encoded, empty parts are
// nothing, and a ; is a character like others.
func Options(raw string, f func(name, value string) error) error {
	if len(raw) > MaxQuery+maxToken || len(raw)-tokenSize(raw) > MaxQuery {
		return &Error{"", 0, fmt.Sprintf("The query has over %d bytes", MaxQuery)}
	}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return &Error{"", 0, "The query is not percent-encoded rightly: " + clip(part)}
		}
		name = strings.ToLower(strings.TrimSpace(name))
		if !strings.HasPrefix(name, "$") {
			continue
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return &Error{name, 0, "its value is not percent-encoded rightly"}
		}
		if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
			return &Error{name, 0, "its value is not text in UTF-8"}
		}
		if seen[name] {
			return &Error{name, 0, "it stands in the query twice"}
		}
		seen[name] = true
		if err := f(name, value); err != nil {
			return err
		}
	}
	return nil
}

// tokenSize is the length of the part that Next has written at the end: a query
// that could just be asked can be asked for its next page.
func tokenSize(raw string) int {
	at := strings.LastIndexByte(raw, '&') + 1
	if !strings.HasPrefix(raw[at:], "$skiptoken=") && !strings.HasPrefix(raw[at:], "%24skiptoken=") {
		return 0
	}
	return len(raw) - max(at-1, 0)
}

func unsupported(name string) error {
	return &Error{"", 0, fmt.Sprintf("The query specified in the URI is not valid. The query option '%s' is not supported here.", clip(name))}
}

// number is a whole number from 0 on.
func number(name, value string) (int, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31)
	if err != nil {
		return 0, &Error{name, 1, fmt.Sprintf("a whole number from 0 on is wanted, not '%s'", clip(value))}
	}
	return int(n), nil
}

// orderBy = property [ "asc" / "desc" ] *( "," … )
func (p *parser) orderBy() []Order {
	var list []Order
	for {
		at := p.next()
		found := p.entity.Find(at.text)
		switch {
		case at.kind != word || found == nil:
			p.fail(at, "%s is not a property of %s", at.shown(), p.entity.Name)
		case !found.Sort:
			p.fail(at, "%s can't be sorted by %s", p.entity.Name, found.Name)
		case len(list) == maxOrder:
			p.fail(at, "there are over %d properties", maxOrder)
		}
		for _, o := range list {
			if o.Property == found {
				p.fail(at, "%s stands in it twice", found.Name)
			}
		}
		o := Order{Property: found, Desc: p.take("desc")}
		if !o.Desc {
			p.take("asc")
		}
		list = append(list, o)
		if !p.take(",") {
			return list
		}
	}
}

// selection = property *( "," property )
func (p *parser) selection() []string {
	var list []string
	for {
		at := p.next()
		found := p.entity.Find(at.text)
		if at.kind != word || found == nil {
			p.fail(at, "%s is not a property of %s", at.shown(), p.entity.Name)
		}
		list = append(list, found.Name)
		if !p.take(",") {
			return list
		}
	}
}

func (e *Error) Error() string {
	switch {
	case e.Option == "":
		return e.Reason
	case e.At == 0:
		return fmt.Sprintf("The query option %s is not valid: %s", clip(e.Option), e.Reason)
	}
	return fmt.Sprintf("The query option %s is not valid, at character %d: %s", clip(e.Option), e.At, e.Reason)
}
