package storetest

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/audit"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/store"
)

// after is a moment so many minutes after device n was first seen.
func after(n int, minutes float64) time.Time {
	return at(n).Add(time.Duration(minutes * float64(time.Minute)))
}

func addressesAreRemembered(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	dev := w.device.ID
	told := func(minute float64, addresses ...string) {
		t.Helper()
		d := w.device
		d.LastSeen, d.Facts.Addresses = after(1, minute), nil
		for _, a := range addresses {
			d.Facts.Addresses = append(d.Facts.Addresses, device.Address{IP: a})
		}
		if err := s.Seen(t.Context(), w.tenant, dev, d); err != nil {
			t.Fatal(err)
		}
	}
	alive := func(minute float64) {
		t.Helper()
		if err := s.Alive(t.Context(), []device.Beat{{Tenant: w.tenant, Device: dev, At: after(1, minute)}}); err != nil {
			t.Fatal(err)
		}
	}
	at := func(minute float64, address string) bool {
		t.Helper()
		m := after(1, minute)
		list, err := s.DevicesAt(t.Context(), w.tenant, device.Everywhere, netip.MustParseAddr(address), m, m, 0)
		if err != nil || len(list) > 1 || len(list) == 1 && list[0].ID != dev {
			t.Fatalf("DevicesAt(%v, %s) = %v, %v", minute, address, list, err)
		}
		return len(list) == 1
	}
	told(0, "10.0.0.1", "10.0.0.2")
	alive(10)
	alive(20)
	told(30, "10.0.0.2", "2001:db8::1") // one goes on, one is gone, one begins
	alive(40)
	told(100, "10.0.0.2") // who knows what it had in the hour between
	for _, test := range []struct {
		minute  float64
		address string
		want    bool
	}{
		{-1, "10.0.0.1", false},
		{0, "10.0.0.1", true},
		{15, "10.0.0.1", true},
		{20, "10.0.0.1", true},
		{21, "10.0.0.1", false},
		{25, "10.0.0.2", true},
		{40, "10.0.0.2", true},
		{41, "10.0.0.2", false},
		{99, "10.0.0.2", false},
		{100, "10.0.0.2", true},
		{29, "2001:db8::1", false},
		{30, "2001:db8::1", true},
		{40, "2001:db8::1", true},
		{100, "2001:db8::1", false},
		{10, "10.0.0.3", false},
	} {
		if got := at(test.minute, test.address); got != test.want {
			t.Errorf("minute %v: the device had %s: %t, want %t", test.minute, test.address, got, test.want)
		}
	}
	list, err := s.DevicesAt(t.Context(), newTenant(t, s, 9), device.Everywhere, netip.MustParseAddr("10.0.0.1"), after(1, 0), after(1, 20), 0)
	if err != nil || len(list) != 0 {
		t.Errorf("another tenant finds %d devices at the address, %v", len(list), err)
	}
	if more, err := s.ForgetAddresses(t.Context(), after(1, 50)); more || err != nil {
		t.Errorf("ForgetAddresses = %t, %v", more, err)
	}
	if at(15, "10.0.0.1") || !at(100, "10.0.0.2") {
		t.Error("what was forgotten is not what ended before")
	}
}

func signsOfLife(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	other := w.device.ID
	beats := []device.Beat{
		{Tenant: w.tenant, Device: other, At: at(900)},
		{Tenant: w.tenant, Device: newDevice(77).ID, At: at(900)}, // not there
	}
	if err := s.Alive(t.Context(), beats); err != nil {
		t.Fatal(err)
	}
	beats[0].At = at(800) // told late
	if err := s.Alive(t.Context(), beats); err != nil {
		t.Fatal(err)
	}
	d, err := s.Device(t.Context(), w.tenant, other)
	if err != nil || !d.LastSeen.Equal(at(900)) {
		t.Errorf("last seen %v, %v, want %v", d.LastSeen, err, at(900))
	}
}

func tagsFindDevices(t *testing.T, s *store.Store) {
	tenant, other := newTenant(t, s, 1), newTenant(t, s, 2)
	newToken(t, s, tenant, "t", nil)
	newToken(t, s, other, "o", nil)
	one, two := enrol(t, s, "t", 1).ID, enrol(t, s, "t", 2).ID
	foreign := enrol(t, s, "o", 3).ID
	tag := func(tenant string, ids []device.ID, tags ...string) error {
		_, err := s.ChangeDevices(t.Context(), tenant, ids, func(d device.Device) (device.Device, audit.Entry, error) {
			d.Tags = tags
			return d, entry(audit.ActUpdateDevice, string(d.ID), d.ID), nil
		})
		return err
	}
	for _, err := range []error{
		tag(tenant, []device.ID{two, one}, "web", "100%", "Zürich"), tag(tenant, []device.ID{one}, "web-1", "w\U0010FFFFx"), tag(other, []device.ID{foreign}, "web"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		tag    string
		begins bool
		want   []device.ID
	}{
		{"web", false, []device.ID{two}},
		{"web", true, []device.ID{two, one}},
		{"Web", true, nil},
		{"w", false, nil},
		{"w", true, []device.ID{two, one}},
		{"w\U0010FFFF", true, []device.ID{one}},
		{"100%", false, []device.ID{two}},
		{"1", true, []device.ID{two}},
		{"%", true, nil},
		{"Zür", true, []device.ID{two}},
	} {
		list, err := s.DevicesTagged(t.Context(), tenant, device.Everywhere, test.tag, test.begins, 0)
		var got []device.ID
		for _, d := range list {
			got = append(got, d.ID)
		}
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("DevicesTagged(%q, %t): %v (-want +got):\n%s", test.tag, test.begins, err, diff)
		}
	}
	wantFault(t, "a device of another tenant", tag(tenant, []device.ID{one, foreign}, "mine"), fault.NotFound, "Machine "+string(foreign)+" was not found")
	if list, err := s.DevicesTagged(t.Context(), tenant, device.Everywhere, "mine", false, 0); err != nil || len(list) != 0 {
		t.Errorf("a change of several was done in part: %d devices, %v", len(list), err)
	}
	checkLog(t, s, tenant, 6) // its start, two devices, three changes
}

func whatPeopleSayIsKept(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	const aad = "5b7d9f11-2233-4455-8667-8899aabbccdd"
	want := w.device
	want.Tags, want.Value, want.Risk, want.Exposure, want.AADDevice = []string{"a", "b"}, "High", "Low", "Medium", aad
	got, err := s.ChangeDevices(t.Context(), w.tenant, []device.ID{w.device.ID}, func(d device.Device) (device.Device, audit.Entry, error) {
		changed := want
		changed.Facts.Name, changed.Revoked = "not a person's to say", true
		return changed, entry(audit.ActUpdateDevice, string(d.ID), d.ID), nil
	})
	if diff := cmp.Diff([]device.Device{want}, got); err != nil || diff != "" {
		t.Fatalf("ChangeDevices: %v (-want +got):\n%s", err, diff)
	}
	found, err := s.FindDevices(t.Context(), w.tenant, aad)
	if diff := cmp.Diff([]device.Device{want}, found); err != nil || diff != "" {
		t.Errorf("found by its Entra id: %v (-want +got):\n%s", err, diff)
	}
	head, err := s.Head(t.Context(), w.tenant)
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(device.Device) (device.Device, audit.Entry, error){
		"nothing": func(d device.Device) (device.Device, audit.Entry, error) { return d, audit.Entry{}, nil },
		"an error": func(d device.Device) (device.Device, audit.Entry, error) {
			d.Value = "Low"
			return d, entry(audit.ActUpdateDevice, string(d.ID), d.ID), fault.InvalidInput.Errorf(nil, "no")
		},
	} {
		_, err := s.ChangeDevices(t.Context(), w.tenant, []device.ID{w.device.ID}, change)
		now, errNow := s.Device(t.Context(), w.tenant, w.device.ID)
		grown, errHead := s.Head(t.Context(), w.tenant)
		if (err != nil) != (what == "an error") || errNow != nil || errHead != nil || grown != head || !cmp.Equal(want, now) {
			t.Errorf("a change of %s: %v, the log went from %d to %d entries", what, fmt.Sprint(err, errNow, errHead), head.Size, grown.Size)
		}
	}
}
