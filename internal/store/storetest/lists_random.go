package storetest

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/odata"
	"swab/internal/store"
)

// pick is one of several.
func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// texts are values of which some are parts of others, and some mean something
// in SQL.
var texts = []string{"", "a", "A", "ab", "a%b", "a_b", "a'b", `a\b`, "zü", "zürich", "\U0010FFFE", "aab", "ba", "B", "a\uD7FFx",
	"\U0010FFFF", "a\U0010FFFF", "a\U0010FFFFb", "#", "a#", "0#", "1#a"}

// crowd fills a tenant with random devices and actions.
func crowd(t *testing.T, s *store.Store, r *rand.Rand) (tenant string, devices []device.Device, actions []action.Action) {
	t.Helper()
	w := newWorld(t, s)
	now := time.Now().UTC().Truncate(time.Hour)
	var tokens []string
	for i, tags := range [][]string{{}, {"a"}, {"a", "b", "Zürich"}, {"a'b", "ab"}} {
		tokens = append(tokens, fmt.Sprint("tags", i))
		newToken(t, s, w.tenant, tokens[i], func(e *auth.Enrollment) { e.Tags = tags })
	}
	devices = append(devices, w.device)
	for n := range 60 {
		d := newDevice(100 + n)
		d.Facts.Name, d.Facts.Platform = strings.ToLower(pick(r, texts...)), pick(r, "Debian", "Ubuntu", "Windows11")
		d.Facts.Version, d.Facts.AgentVersion = pick(r, texts...), pick(r, "", "1.0.0", "1.0.1")
		d.Facts.LastAddress, d.External = pick(r, "", "10.0.0.1", "10.0.0.2", "::1"), pick(r, "", "198.51.100.7")
		d.FirstSeen = now.AddDate(0, 0, -30).Add(time.Duration(r.IntN(20)) * time.Hour)
		d.LastSeen = now.Add(-time.Duration(r.IntN(24*10))*time.Hour - 30*time.Minute)
		d.Value, d.Risk, d.Exposure = pick(r, "Normal", "Normal", "Low", "High"), pick(r, "", "None", "High"), pick(r, "", "Low", "Medium")
		d.AADDevice = pick(r, "", "", id(0xb, n), id(0xb, 7))
		d.Revoked = r.IntN(8) == 0
		got, err := s.Enrol(t.Context(), tokenOf(pick(r, tokens...)), d, func(tenant string) audit.Entry { return entry(audit.ActEnrol, tenant, d.ID) })
		if err != nil {
			t.Fatal(err)
		}
		devices = append(devices, got)
	}
	made := make([]action.Action, 150)
	var all sync.WaitGroup
	for n := range made {
		a := newAction(devices[r.IntN(len(devices))], n)
		a.Status = pick(r, action.Succeeded, action.Succeeded, action.Failed, action.TimeOut, action.Cancelled)
		a.Requestor, a.RequestorID = pick(r, "tester", "other", "app-1"), pick(r, "app-1", "app-2", "app-3")
		a.ExternalID, a.Source = pick(r, texts...), pick(r, "", "PublicApi", "Cli")
		a.Created = at(r.IntN(40))
		a.Updated = a.Created.Add(time.Duration(r.IntN(100)) * time.Second)
		all.Go(func() {
			var err error
			if made[n], err = s.CreateAction(t.Context(), a, entry(audit.ActCollect, a.ID, a.Device)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	return w.tenant, devices, made
}

// asker makes random queries of an entity, as a client would write them.
type asker struct {
	*rand.Rand
	entity *odata.Entity
	values func(p *odata.Property) []string // literals
	count  int                              // of queries
}

// property is one of those that fit.
func (a asker) property(fits func(odata.Property) bool) *odata.Property {
	for {
		if p := &a.entity.Properties[a.IntN(len(a.entity.Properties))]; fits(*p) {
			return p
		}
	}
}

func (a asker) filter(depth int) string {
	switch n := a.IntN(10); {
	case depth > 0 && n < 3:
		return "(" + a.filter(depth-1) + pick(a.Rand, " and ", " or ", " AND ") + a.filter(depth-1) + ")"
	case depth > 0 && n < 4:
		return "not (" + a.filter(depth-1) + ")"
	}
	p := a.property(func(p odata.Property) bool { return p.Filter })
	if p.Type == odata.Strings {
		if a.IntN(8) == 0 {
			return p.Name + "/any()"
		}
		return p.Name + "/any(t: " + a.term("t", odata.String, a.values(p)) + pick(a.Rand, "", " or "+a.term("t", odata.String, a.values(p))) + ")"
	}
	return a.term(p.Name, p.Type, a.values(p))
}

func (a asker) term(name string, of odata.Type, values []string) string {
	value := func() string { return pick(a.Rand, values...) }
	text := func() string { return "'" + strings.ReplaceAll(pick(a.Rand, texts...), "'", "''") + "'" }
	switch kind := a.IntN(8); {
	case kind == 0:
		return name + " in (" + value() + ", " + value() + ")"
	case kind == 1:
		return name + pick(a.Rand, " eq ", " ne ") + "null"
	case kind < 4 && (of == odata.String || of == odata.GUID):
		return pick(a.Rand, "startswith", "endswith", "contains") + "(" + pick(a.Rand, name, "tolower("+name+")", "toupper("+name+")") + "," + pick(a.Rand, text(), value()) + ")"
	case of == odata.Enum || of == odata.Bool:
		return name + pick(a.Rand, " eq ", " ne ") + value()
	case kind == 4:
		return value() + pick(a.Rand, " lt ", " ge ") + name
	}
	return name + pick(a.Rand, " eq ", " eq ", " ne ", " gt ", " ge ", " lt ", " le ") + value()
}

func (a asker) query() string {
	raw := "$filter=" + url.QueryEscape(a.filter(3))
	if a.IntN(3) > 0 {
		p, q := a.property(func(p odata.Property) bool { return p.Sort }), a.property(func(p odata.Property) bool { return p.Sort })
		raw += "&$orderby=" + p.Name + pick(a.Rand, "", " desc")
		if p != q {
			raw += "," + q.Name + pick(a.Rand, "", " desc")
		}
		raw = strings.ReplaceAll(raw, " ", "+")
	}
	return raw + pick(a.Rand, "", "&$top=5", "&$top=1000") + pick(a.Rand, "", "&$skip=3") + "&$count=true"
}

// literals are the values that rows have, as literals, and some that none has.
func literals[T any](rows []T, get func(T, *odata.Property) any) func(p *odata.Property) []string {
	return func(p *odata.Property) []string {
		list := []string{"null"}
		add := func(v any) {
			switch v := v.(type) {
			case string:
				list = append(list, "'"+strings.ReplaceAll(v, "'", "''")+"'")
			case time.Time:
				list = append(list, v.Format(time.RFC3339Nano))
			case int64:
				list = append(list, fmt.Sprint(v), fmt.Sprint(v+1))
			}
		}
		for _, row := range rows {
			v := get(row, p)
			if several, ok := v.([]string); ok {
				for _, s := range several {
					add(s)
				}
			}
			add(v)
		}
		for _, v := range p.Values {
			name, _, _ := strings.Cut(v, "=")
			add(strings.ToUpper(name))
		}
		if len(list) == 1 {
			add("x")
		}
		return list[1:]
	}
}
