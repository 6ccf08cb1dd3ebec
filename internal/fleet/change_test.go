package fleet

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
)

func to(s string) *string { return &s }

func TestAChangeIsPutIntoTheWordsThatAreKept(t *testing.T) {
	for _, c := range []struct {
		name string
		in   Change
		want Change
		code fault.Code // "": it is taken
	}{
		{"nothing", Change{}, Change{}, ""},
		{"words in another case", Change{Value: to("HIGH"), Risk: to("informational"), Exposure: to("none")}, Change{Value: to("High"), Risk: to("Informational"), Exposure: to("None")}, ""},
		{"what is taken back", Change{Risk: to(""), Exposure: to(""), AADDevice: to("")}, Change{Risk: to(""), Exposure: to(""), AADDevice: to("")}, ""},
		{"a GUID in capitals", Change{AADDevice: to("5B7D9F11-2233-4455-8667-8899AABBCCDD")}, Change{AADDevice: to("5b7d9f11-2233-4455-8667-8899aabbccdd")}, ""},
		{"a tag as long as may be", Change{Add: strings.Repeat("ä", MaxTag)}, Change{Add: strings.Repeat("ä", MaxTag)}, ""},
		{"a tag that is longer", Change{Add: strings.Repeat("ä", MaxTag+1)}, Change{}, fault.InvalidInput},
		{"a tag with a line break", Change{Tags: []string{"a\nb"}}, Change{}, fault.InvalidInput},
		{"a tag of blanks", Change{Add: " "}, Change{}, fault.InvalidInput},
		{"an empty tag", Change{Tags: []string{"a", ""}}, Change{}, fault.InvalidInput},
		{"a tag that is not UTF-8", Change{Add: "\xff"}, Change{}, fault.InvalidInput},
		{"too many tags", Change{Tags: make([]string, MaxTags+1)}, Change{}, fault.InvalidInput},
		{"a value that can't be taken back", Change{Value: to("")}, Change{}, fault.InvalidInput},
		{"another word", Change{Exposure: to("Informational")}, Change{}, fault.InvalidInput},
		{"an id of another form", Change{AADDevice: to("urn:uuid:5b7d9f11-2233-4455-8667-8899aabbccdd")}, Change{}, fault.InvalidInput},
	} {
		err := c.in.check()
		if code, _ := fault.Of(err); c.code != "" && code != c.code || c.code == "" && err != nil {
			t.Errorf("%s: %v, want %q", c.name, err, c.code)
		}
		if diff := cmp.Diff(c.want, c.in); c.code == "" && diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestTagsKeepTheirOrderAndStandOnce(t *testing.T) {
	for _, c := range []struct {
		name     string
		in, want []string
		change   Change
	}{
		{"nothing said", []string{"b", "a"}, []string{"b", "a"}, Change{}},
		{"one more", []string{"b"}, []string{"b", "a"}, Change{Add: "a"}},
		{"one that is there", []string{"b", "a"}, []string{"b", "a"}, Change{Add: "b"}},
		{"in another case it is another", []string{"a"}, []string{"a", "A"}, Change{Add: "A"}},
		{"one fewer", []string{"b", "a", "c"}, []string{"b", "c"}, Change{Remove: "a"}},
		{"others in their place", []string{"b", "a"}, []string{"c", "d"}, Change{Tags: []string{"c", "d", "c"}}},
		{"none in their place", []string{"b"}, []string{}, Change{Tags: []string{}}},
	} {
		if diff := cmp.Diff(c.want, c.change.tags(c.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// What people typed is for the tenant's eyes: the open part of the entry, which
// devices see, says only which thing was changed.
func TestTheEntryOfAChangeHidesWhatWasSaid(t *testing.T) {
	f := &Fleet{Now: func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }}
	who := auth.Caller{Kind: auth.Application, ID: "app", Name: "SOAR"}
	d := device.Device{ID: "d", Value: "Normal", Tags: []string{"a"}}
	got, entry, err := f.apply(who, d, Change{Add: "suspect: jdoe", Value: to("High")})
	want := device.Device{ID: "d", Value: "High", Tags: []string{"a", "suspect: jdoe"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if l := entry.Leaf; l.Act != audit.ActUpdateDevice || l.Object != "d" || l.Detail != "tags value" || strings.Contains(string(l.Bytes()), "jdoe") {
		t.Errorf("leaf %+v", l)
	}
	said, ok := audit.ParseChanges(entry.Opening.Hidden.Comment)
	if diff := cmp.Diff([]audit.Change{
		{Field: "machineTags", From: []string{}, To: []string{"suspect: jdoe"}}, {Field: "deviceValue", From: []string{"Normal"}, To: []string{"High"}},
	}, said.Fields); !ok || diff != "" {
		t.Errorf("the opening says %q (-want +got):\n%s", entry.Opening.Hidden.Comment, diff)
	}
	if _, entry, err := f.apply(who, got, Change{Add: "a", Value: to("High")}); err != nil || entry.Leaf.Act != "" {
		t.Errorf("what changes nothing: %+v, %v; want no entry", entry.Leaf, err)
	}
	full := device.Device{ID: "d"}
	for i := range MaxTags {
		full.Tags = append(full.Tags, strings.Repeat("x", i+1))
	}
	if _, _, err := f.apply(who, full, Change{Add: "one more"}); !errors.Is(err, fault.InvalidInput) {
		t.Errorf("over %d tags: %v", MaxTags, err)
	}
}

// recorder keeps only refusals; nothing else of Records may be asked for.
type recorder struct {
	Records
	entries []audit.Entry
}

func (r *recorder) Record(_ context.Context, _ string, e ...audit.Entry) error {
	r.entries = append(r.entries, e...)
	return nil
}

func TestWhoMayNotIsToldSoBeforeAnythingIsRead(t *testing.T) {
	r := &recorder{}
	f := &Fleet{Records: r, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
	who := auth.Caller{Kind: auth.Application, ID: "app", Tenant: "t", Roles: []string{auth.CollectForensics}}
	for name, do := range map[string]func() error{
		"get":        func() error { _, err := f.Get(t.Context(), who, "x"); return err },
		"list":       func() error { _, err := f.List(t.Context(), who, nil); return err },
		"by address": func() error { _, err := f.ByAddress(t.Context(), who, nil); return err },
		"by tag":     func() error { _, err := f.ByTag(t.Context(), who, nil); return err },
		"update":     func() error { _, err := f.Update(t.Context(), who, "x", auth.TagMachine, nil); return err },
		"many":       func() error { _, err := f.UpdateMany(t.Context(), who, nil); return err },
	} {
		before := len(r.entries)
		if err := do(); !errors.Is(err, fault.Forbidden) {
			t.Errorf("%s: %v, want Forbidden", name, err)
		}
		if len(r.entries) != before+1 || r.entries[before].Leaf.Result != audit.Refused {
			t.Errorf("%s: the refusal is not in the log", name)
		}
	}
}
