package api

import (
	"net/url"
	"strconv"
	"strings"

	"swab/internal/action"
	"swab/internal/fault"
)

// page is what a list's options select.
type page struct{ top, skip int }

// page reads $top and $skip; any other option of OData is an error, as nothing
// is silently ignored. What does not begin with $ is not for us.
func (c *call) page() (page, error) {
	p := page{top: action.MaxTop}
	err := c.options(func(name, value string) error {
		switch name {
		case "$top":
			n, err := count(name, value)
			if n > action.MaxTop {
				return fault.OData.Errorf(nil, "The limit of '%d' for Top query has been exceeded. The value from the incoming request is '%d'.", action.MaxTop, n)
			}
			p.top = n
			return err
		case "$skip":
			n, err := count(name, value)
			p.skip = n
			return err
		default:
			return unknown(name)
		}
	})
	return p, err
}

// plain is nil if the query has no option of OData.
func (c *call) plain() error {
	return c.options(func(name, _ string) error { return unknown(name) })
}

// options calls f with each option whose name begins with $, in lower case.
// The query is taken apart by hand: names come percent-encoded, empty parts are
// nothing, and a ; is a character like others.
func (c *call) options(f func(name, value string) error) error {
	raw := c.r.URL.RawQuery
	if len(raw) > maxQuery {
		return fault.OData.Errorf(nil, "The query has over %d bytes", maxQuery)
	}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return fault.OData.Errorf(err, "The query is not percent-encoded rightly: %s", clip(part))
		}
		name = strings.ToLower(strings.TrimSpace(name))
		if !strings.HasPrefix(name, "$") {
			continue
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return fault.OData.Errorf(err, "The value of %s is not percent-encoded rightly", clip(name))
		}
		if seen[name] {
			return fault.OData.Errorf(nil, "The query option %s stands in the query twice", clip(name))
		}
		seen[name] = true
		if err := f(name, value); err != nil {
			return err
		}
	}
	return nil
}

func unknown(name string) error {
	return fault.OData.Errorf(nil, "The query option %s is not supported here", clip(name))
}

// count is a whole number from 0 on.
func count(name, value string) (int, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31)
	if err != nil {
		return 0, fault.OData.Errorf(nil, "Invalid value '%s' for %s: a whole number from 0 on is wanted", clip(value), name)
	}
	return int(n), nil
}
