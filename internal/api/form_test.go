package api

import (
	"testing"
	"time"

	"swab/internal/fault"
)

// Whatever a body holds, it is read within its bounds or refused as the caller's
// mistake.
func FuzzForm(f *testing.F) {
	f.Add([]byte(`{"name":"x","count":3,"expires":"2027-01-31T12:00:00+02:00","tags":["a","b"]}`))
	f.Add([]byte(`{"count":1e9}`))
	f.Add([]byte(`{"expires":"9999-12-31T23:59:59-23:59","tags":[null]}`))
	f.Add([]byte(`{"rule":[{"property":"tag","operator":"equals","values":["a"]}],"ids":[1,2],"public":true}`))
	f.Add([]byte(`{"groups":{"a":"b","a":"c"},"claims":{"person":"oid"},"rule":[null],"ids":[9e9]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		form := readForm(data, []string{"name", "count", "expires", "tags", "rule", "ids", "public", "groups", "claims"})
		count, until := form.count("count"), form.time("expires")
		_, _ = form.text("name"), form.texts("tags")
		_, _, _ = form.numbers("ids"), form.truth("public"), form.table("groups")
		_, _ = form.rule("rule"), form.claims("claims")
		if form.err != nil {
			if code, _ := fault.Of(form.err); code != fault.InvalidRequestBody {
				t.Errorf("%v, want InvalidRequestBody", form.err)
			}
			return
		}
		if count < 0 || !until.IsZero() && (until.Location() != time.UTC || until.Year() < 1970 || until.Year() > 9999) {
			t.Errorf("count %d, until %s", count, until)
		}
	})
}
