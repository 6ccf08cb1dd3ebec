package odata_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"swab/internal/fault"
	"swab/internal/odata"
)

// FuzzParse holds any query against what all must keep: it is read or refused
// with a position in it, what is read can be evaluated, and the query of the
// next page means the same.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"$filter=status+eq+'Pending'&$top=100&", "%24filter=not%20(machineTags/any(t:%20startswith(t,'x')))", "$orderby=lastSeen desc, version&$skip=5&$count=true",
		"$filter=lastSeen gt 2018-08-01Z and rbacGroupId in (1, '2')", "$select=version,*", "$filter=contains(toupper(version),'it''s') eq false",
		"$filter=c41f7a02-93de-4f6b-b1a8-2d6e0c9f5a17 eq aadDeviceId or isAadJoined",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := odata.Parse(raw, entity)
		if err != nil {
			wrong, ok := errors.AsType[*odata.Error](err)
			if !ok || wrong.At < 0 || wrong.At > len(raw)+1 || !errors.Is(err, fault.OData) {
				t.Errorf("Parse(%q) = %#v", raw, err)
			}
			return
		}
		odata.Match(q.Filter, row)
		odata.Match(q.Filter, func(*odata.Property) any { return nil })
		if q.Top > odata.MaxTop || q.Skip < 0 {
			t.Errorf("Parse(%q) has top %d, skip %d", raw, q.Top, q.Skip)
		}
		next := odata.Next(raw, "token")
		if len(next) > odata.MaxQuery+len("&$skiptoken=token") {
			return // what an address can't hold was encoded
		}
		again, err := odata.Parse(next, entity)
		if err != nil || again.After != "token" || again.Skip != 0 || again.Top != q.Top || again.Count != q.Count ||
			odata.Match(q.Filter, row) != odata.Match(again.Filter, row) {
			t.Errorf("Next(%q) = %q, which is read as %+v, %v", raw, next, again, err)
		}
		if u, err := url.Parse("https://swab.example/api/machines?" + next); err != nil || u.RawQuery != next {
			t.Errorf("Next(%q) = %q is no query: %v", raw, next, err)
		}
	})
}

// BenchmarkParse reads a filter of 1 KiB.
func BenchmarkParse(b *testing.B) {
	text := "machineTags/any(t: startswith(t,'x'))"
	for _, part := range []string{" and status in ('Pending', 'Cancelled')", " or not (lastSeen ge 2026-01-01T00:00:00Z)", " AND contains(computerDnsName,'it''s')"} {
		text += strings.Repeat(part, 7)
	}
	text += " and version eq '" + strings.Repeat("x", 1024-len(text)-18) + "'"
	raw := "$filter=" + strings.ReplaceAll(text, " ", "+")
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := odata.Parse(raw, entity); err != nil {
			b.Fatal(err)
		}
	}
}
