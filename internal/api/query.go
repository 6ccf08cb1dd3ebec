package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"swab/internal/auth"
	"swab/internal/canon"
	"swab/internal/keys"
	"swab/internal/odata"
)

// plain is nil if the query has no option of OData.
func (c *call) plain() error { return odata.Plain(c.r.URL.RawQuery) }

// collection is a list of entities. Beside them it has what was asked for, and
// no other property: clients take an answer apart by what is there.
type collection[T any] struct {
	Context string `json:"@odata.context"`
	Count   *int64 `json:"@odata.count,omitempty"`
	Value   []T    `json:"value"`
	Next    string `json:"@odata.nextLink,omitempty"`
}

// listing is what the API knows of a list.
type listing[T any] struct {
	set    string // as @odata.context names it
	entity *odata.Entity
	show   func(row T, now time.Time) any // a struct
}

// lister is the operation of the core behind a list. It asks for the query when
// the caller may see the list: who may not is told that, and not that the query
// is wrong.
type lister[T any] func(ctx context.Context, who auth.Caller, read func() (odata.Query, error)) (odata.Page[T], error)

// list answers with the rows that the query selects.
func list[T any](ctx context.Context, a *API, c *call, l listing[T], from lister[T]) (reply, error) {
	var q odata.Query
	page, err := from(ctx, c.who, func() (asked odata.Query, err error) {
		if q, err = odata.Parse(c.r.URL.RawQuery, l.entity); err == nil && q.After != "" {
			q.After, err = a.openToken(c.who.Tenant, l.set, q)
		}
		return q, err
	})
	if err != nil {
		return reply{}, err
	}
	answer := collection[any]{Context: c.metadata(l.set), Value: []any{}}
	if q.Select != nil {
		answer.Context += "(" + strings.Join(q.Select, ",") + ")"
	}
	if q.Count {
		answer.Count = &page.Total
	}
	if page.Next != "" {
		q.After = page.Next
		answer.Next = c.base + c.r.URL.EscapedPath() + "?" + odata.Next(c.r.URL.RawQuery, a.token(c.who.Tenant, l.set, q))
	}
	now := a.Now()
	for _, row := range page.Rows {
		answer.Value = append(answer.Value, only(l.show(row, now), q.Select))
	}
	return reply{body: answer}, nil
}

// count answers with the number of rows that a filter selects, as text. Options
// that change nothing of the number are read and have no effect.
func count[T any](l listing[T], from func(*call) lister[T]) handler {
	return func(ctx context.Context, c *call) error {
		ctx, cancel := context.WithTimeout(ctx, deadline)
		defer cancel()
		page, err := from(c)(ctx, c.who, func() (odata.Query, error) {
			q, err := odata.Parse(c.r.URL.RawQuery, l.entity)
			return odata.Query{Filter: q.Filter, Count: true}, err
		})
		if err != nil {
			return err
		}
		writeJSON(c.w, http.StatusOK, "text/plain; charset=utf-8", []byte(strconv.FormatInt(page.Total, 10)))
		return nil
	}
}

// token is the $skiptoken of a page: the key that the store gave, signed, since
// what comes back has been in a caller's hands. It is good for the list and the
// order that it was made for.
func (a *API) token(tenant, set string, q odata.Query) string {
	mac := a.Keys.MAC(keys.Link, tokenText(tenant, set, q, q.After))
	return base64.RawURLEncoding.EncodeToString(append(mac, q.After...))
}

// openToken is the key in a $skiptoken.
func (a *API) openToken(tenant, set string, q odata.Query) (string, error) {
	const size = 32 // bytes of the signature
	data, err := base64.RawURLEncoding.Strict().DecodeString(q.After)
	if err != nil || len(data) <= size || !a.Keys.CheckMAC(keys.Link, tokenText(tenant, set, q, string(data[size:])), data[:size]) {
		return "", &odata.Error{Option: "$skiptoken", Reason: "it is none that was given out for this list and order; follow @odata.nextLink as it is"}
	}
	return string(data[size:]), nil
}

func tokenText(tenant, set string, q odata.Query, key string) []byte {
	text := "swab.page/1\n" + tenant + "\n" + set + "\n"
	for _, o := range q.OrderBy {
		text += o.Property.Name + " " + strconv.FormatBool(o.Desc) + ","
	}
	return []byte(text + "\n" + key)
}

// only is an entity with the properties of those names and no other, in their
// usual order; no names: with all.
func only(entity any, names []string) any {
	if names == nil {
		return entity
	}
	var b strings.Builder
	v := reflect.ValueOf(entity)
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if !slices.Contains(names, name) {
			continue
		}
		value, err := canon.Marshal(v.Field(i).Interface())
		if err != nil {
			panic("api: plain data can't be encoded: " + err.Error())
		}
		b.WriteString(map[bool]string{true: "{", false: ","}[b.Len() == 0] + `"` + name + `":` + string(value))
	}
	return raw(b.String() + "}")
}

// raw is JSON that is written as it is.
type raw string

// MarshalJSON is what makes it so.
func (r raw) MarshalJSON() ([]byte, error) { return []byte(r), nil }
