package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/odata"
	"swab/internal/store"
)

func tokenCounts(t *testing.T, s *store.Store) {
	tenant := newTenant(t, s, 1)
	newToken(t, s, tenant, "three", func(e *auth.Enrollment) { e.Left = 3 })
	var (
		all sync.WaitGroup
		in  atomic.Int64
	)
	for n := range 12 {
		all.Go(func() {
			d := newDevice(n)
			_, err := s.Enrol(t.Context(), tokenOf("three"), d, func(tenant string) audit.Entry { return entry(audit.ActEnrol, tenant, d.ID) })
			if err == nil {
				in.Add(1)
				return
			}
			wantFault(t, fmt.Sprint("device ", n), err, fault.Unauthorized, "The enrolment token is used up; ask for another")
		})
	}
	all.Wait()
	page, err := s.Devices(t.Context(), tenant, device.Everywhere, odata.All())
	list := page.Rows
	if err != nil || len(list) != 3 || in.Load() != 3 {
		t.Errorf("%d devices were admitted, %d are enrolled, %v; want 3", in.Load(), len(list), err)
	}
	checkLog(t, s, tenant, 4)
	// One of them lost its answer: it gets it again, though the token is used up.
	d := list[0]
	again, err := s.Enrol(t.Context(), tokenOf("three"), device.Device{ID: d.ID, Keys: d.Keys}, nil)
	if diff := cmp.Diff(d, again); err != nil || diff != "" {
		t.Errorf("the same key again: %v (-want +got):\n%s", err, diff)
	}
}

func tokenIsRefused(t *testing.T, s *store.Store) {
	tenant := newTenant(t, s, 1)
	newToken(t, s, tenant, "none", func(e *auth.Enrollment) { e.Left = 0 })
	newToken(t, s, tenant, "expired", func(e *auth.Enrollment) { e.Expires = at(-1_000_000) })
	newToken(t, s, tenant, "revoked", func(e *auth.Enrollment) { e.Revoked = true })
	newToken(t, s, tenant, "good", func(e *auth.Enrollment) { e.Expires = at(1_000_000_000) })
	for _, token := range []string{"none", "expired", "revoked", "never heard of"} {
		d := newDevice(1)
		_, err := s.Enrol(t.Context(), tokenOf(token), d, func(string) audit.Entry {
			t.Error("an entry was asked for")
			return audit.Entry{}
		})
		wantFault(t, token, err, fault.Unauthorized, "")
	}
	wrong := newDevice(1)
	wrong.ID = newDevice(2).ID
	if _, err := s.Enrol(t.Context(), tokenOf("good"), wrong, nil); err == nil {
		t.Error("a device was enrolled under an id that is not its key's")
	}
	if d := enrol(t, s, "good", 1); d.Tenant != tenant {
		t.Errorf("enrolled in %q, want %q", d.Tenant, tenant)
	}
	checkLog(t, s, tenant, 2)
}

func sameKeyEnrolsOnce(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	other := newTenant(t, s, 2)
	newToken(t, s, w.tenant, "two", func(e *auth.Enrollment) { e.Left = 2 })
	newToken(t, s, other, "elsewhere", nil)
	d := w.device
	want := newDevice(1)
	want.Tenant, want.Tags, want.Value = w.tenant, []string{"web", "Zürich"}, "Normal"
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("enrolled device (-want +got):\n%s", diff)
	}
	changed := newDevice(1)
	changed.Facts.Name, changed.FirstSeen = "renamed", at(100)
	for range 3 { // more often than the token counts
		got, err := s.Enrol(t.Context(), tokenOf("two"), changed, nil)
		if diff := cmp.Diff(d, got); err != nil || diff != "" {
			t.Errorf("the same key again: %v (-want +got):\n%s", err, diff)
		}
	}
	enrol(t, s, "two", 2)
	enrol(t, s, "two", 3)
	got, err := s.Enrol(t.Context(), tokenOf("elsewhere"), newDevice(1), nil)
	wantFault(t, "the same key in another tenant", err, fault.Forbidden, "")
	if got.Tenant == "" || got.Tenant == w.tenant || got.ID != "" {
		t.Errorf("refused device = %+v, want the tenant of the token alone", got)
	}
}

func devicesAreFound(t *testing.T, s *store.Store) {
	tenant, other := newTenant(t, s, 1), newTenant(t, s, 2)
	newToken(t, s, tenant, "token", nil)
	newToken(t, s, other, "other", nil)
	admit := func(token, name string, n int) device.ID {
		d := newDevice(n)
		d.Facts.Name = name
		got, err := s.Enrol(t.Context(), tokenOf(token), d, func(tenant string) audit.Entry { return entry(audit.ActEnrol, tenant, d.ID) })
		if err != nil {
			t.Fatal(err)
		}
		return got.ID
	}
	web := admit("token", "web.example.org", 1)
	bare := admit("token", "web", 2)
	web2 := admit("token", "web.example.com", 3)
	db := admit("token", "db.example.org", 4)
	twin := admit("other", "web.example.org", 5)
	for _, test := range []struct {
		tenant, name string
		want         []device.ID
	}{
		{tenant, "WEB.example.org", []device.ID{web}},
		{tenant, "web", []device.ID{bare, web2, web}}, // by full name first, then as seen last
		{tenant, "DB", []device.ID{db}},
		{tenant, string(db), []device.ID{db}},
		{tenant, "we", nil},
		{tenant, "", nil},
		{tenant, "w%", nil},
		{tenant, string(twin), nil},
		{other, "web", []device.ID{twin}},
	} {
		list, err := s.FindDevices(t.Context(), test.tenant, test.name)
		var got []device.ID
		for _, d := range list {
			got = append(got, d.ID)
		}
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("FindDevices(%q): %v (-want +got):\n%s", test.name, err, diff)
		}
	}
	page, err := s.Devices(t.Context(), tenant, device.Everywhere, odata.Query{Top: 2, Skip: 1})
	if list := page.Rows; err != nil || len(list) != 2 || list[0].ID != web2 || list[1].ID != bare {
		t.Errorf("Devices(2, 1) = %v, %v; want the second and third newest", list, err)
	}
}

func deviceFacts(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	want := w.device
	want.Facts = device.Facts{
		Name: "new.example.net", System: device.Darwin, Platform: "macOS", Version: "15.1", Build: 24, Arch: "arm64", BootID: "b2", AgentVersion: "2",
		AgentSHA256: "", Addresses: nil, LastAddress: "",
	}
	want.Catalog, want.External, want.LastSeen = "sha256:2", "2001:db8::1", at(500)
	said := want
	said.ID, said.Tenant, said.Tags, said.Revoked, said.FirstSeen = "", "", nil, true, at(9) // not a device's to say
	if err := s.Seen(t.Context(), w.tenant, w.device.ID, said); err != nil {
		t.Fatal(err)
	}
	for what, get := range map[string]func() (device.Device, error){
		"Device":     func() (device.Device, error) { return s.Device(t.Context(), w.tenant, w.device.ID) },
		"DeviceByID": func() (device.Device, error) { return s.DeviceByID(t.Context(), w.device.ID) },
	} {
		got, err := get()
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", what, err, diff)
		}
	}
	if list, err := s.FindDevices(t.Context(), w.tenant, "new"); err != nil || len(list) != 1 {
		t.Errorf("the new host name finds %d devices, %v", len(list), err)
	}
	if list, err := s.FindDevices(t.Context(), w.tenant, "host1"); err != nil || len(list) != 0 {
		t.Errorf("the old host name finds %d devices, %v", len(list), err)
	}
}
