package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
)

// Page selects rows of a list, in the words of OData. The zero Page is all of it.
type Page struct {
	Filter  string // such as: healthStatus eq 'Active' and startswith(computerDnsName,'web'); "" for every row
	OrderBy string // such as: lastSeen desc; "" for the newest first
	Top     int    // at most so many; 0 for the server's bound, 10,000 in one answer
	Skip    int    // how many of the first to leave out
}

func (p Page) query() url.Values {
	q := url.Values{}
	if p.Filter != "" {
		q.Set("$filter", p.Filter)
	}
	if p.OrderBy != "" {
		q.Set("$orderby", p.OrderBy)
	}
	if p.Top > 0 {
		q.Set("$top", strconv.Itoa(p.Top))
	}
	if p.Skip > 0 {
		q.Set("$skip", strconv.Itoa(p.Skip))
	}
	return q
}

type list[T any] struct {
	Value []T    `json:"value"`
	Next  string `json:"@odata.nextLink"`
}

// rows are those of one answer.
func rows[T any](ctx context.Context, c *Client, path string, query url.Values) ([]T, error) {
	var out list[T]
	err := c.call(ctx, http.MethodGet, path, query, nil, &out, maxList)
	return out.Value, err
}

// all yields the rows of every answer.
func all[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			var out list[T]
			err := c.call(ctx, http.MethodGet, path, query, nil, &out, maxList)
			for _, row := range out.Value {
				if !yield(row, nil) {
					return
				}
			}
			if err == nil && out.Next == "" {
				return
			}
			if err == nil {
				query, err = next(path, out.Next, query)
			}
			if err != nil {
				var none T
				yield(none, err)
				return
			}
		}
	}
}

// next is the query of a link to the next answer. Only that is taken of it: the
// token goes nowhere but where the list was.
func next(path, link string, now url.Values) (url.Values, error) {
	u, err := url.Parse(link)
	if err != nil {
		return nil, fmt.Errorf("the server's link to the next page of %s is not a URL", path)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if token := query.Get("$skiptoken"); err != nil || token == "" || token == now.Get("$skiptoken") {
		return nil, fmt.Errorf("the server's link to the next page of %s does not lead on", path)
	}
	return query, nil
}

// count says how many rows of a list a filter selects.
func (c *Client) count(ctx context.Context, path, filter string) (int64, error) {
	var n int64
	err := c.call(ctx, http.MethodGet, path+"/$count", Page{Filter: filter}.query(), nil, &n, maxEntity)
	return n, err
}
