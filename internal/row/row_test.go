package row

import (
	"reflect"
	"strings"
	"testing"
)

// A zero of these is an answer, so a column that is not known must not be one.
func TestIdsThatAreNotKnownAreNotZero(t *testing.T) {
	for table, sample := range tables {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(sample)) {
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			zeroSays := strings.HasSuffix(name, "user.id") || strings.HasSuffix(name, "group.id") && name != "swab.cgroup.id" || strings.HasSuffix(name, "file.uid") ||
				name == "process.parent.pid" || strings.HasSuffix(name, "_leader.pid")
			if !zeroSays {
				continue
			}
			if f.Type.Kind() != reflect.String && f.Type != reflect.TypeFor[Number]() || options != "omitzero" {
				t.Errorf("%s: %s is a %v with option %q: one that is not known shows as an id", table, name, f.Type, options)
			}
		}
	}
}
