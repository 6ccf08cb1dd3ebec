package access_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/access"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/odata"
)

// A person who administers reaches the devices of their groups, and no others are
// there for them.
func TestDevicesOutOfReachAreNotThere(t *testing.T) {
	r, st := newRegister(t)
	dev := enrol(t, st, tenant, 1)
	policy, err := st.Policy(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	person := func(reach device.Reach) auth.Caller {
		return auth.Caller{
			Kind: auth.User, Tenant: tenant, ID: "person", Name: "ana@contoso.example", Scopes: []string{auth.Administer},
			Person: auth.Rights{Permissions: []auth.Permission{auth.ManagePortal}, Reach: reach}, Policy: policy,
		}
	}
	id := string(dev.ID)
	deeds := map[string]func(who auth.Caller) error{
		"show":   func(who auth.Caller) error { _, err := r.Device(t.Context(), who, id); return err },
		"retire": func(who auth.Caller) error { _, err := r.RetireDevice(t.Context(), who, id); return err },
		"rename": func(who auth.Caller) error {
			_, err := r.RenameDevice(t.Context(), who, id, func() (string, error) { return "x", nil })
			return err
		},
		"rotate key": func(who auth.Caller) error { _, err := r.RotateDeviceKey(t.Context(), who, id); return err },
		"revoke":     func(who auth.Caller) error { _, err := r.RevokeDevice(t.Context(), who, id); return err },
	}
	list := func(who auth.Caller) int {
		page, err := r.Devices(t.Context(), who, func() (access.DeviceQuery, error) { return access.DeviceQuery{}, nil })
		if err != nil {
			t.Error(err)
		}
		return len(page.Devices)
	}
	elsewhere := person(device.Reach{Groups: []int64{7}})
	for what, do := range deeds {
		if err := do(elsewhere); !errors.Is(err, fault.NotFound) {
			t.Errorf("%s, out of reach: %v", what, err)
		}
	}
	if list(elsewhere) != 0 {
		t.Error("the list has a device out of reach")
	}
	here := person(device.Reach{Groups: []int64{device.DefaultGroup}})
	if list(here) != 1 {
		t.Error("the list lacks a device within reach")
	}
	for _, what := range []string{"show", "rename", "retire", "rotate key", "revoke"} {
		if err := deeds[what](here); err != nil {
			t.Errorf("%s, within reach: %v", what, err)
		}
	}
}

func TestARenameSaysWhatChangedAndIsReadLast(t *testing.T) {
	r, st := newRegister(t)
	dev := enrol(t, st, tenant, 1)
	admin := caller(tenant, auth.Administer)
	rename := func(name string) access.Device {
		t.Helper()
		d, err := r.RenameDevice(t.Context(), admin, string(dev.ID), func() (string, error) { return name, nil })
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if d := rename("WEB_1.corp.example"); d.Facts.Name != "web_1.corp.example" || d.OwnName() != dev.Facts.Name {
		t.Errorf("renamed: %+v", d.Device)
	}
	entries, err := st.AuditEntries(t.Context(), tenant, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	said, ok := audit.ParseChanges(entries[len(entries)-1].Opening.Hidden.Comment)
	want := []audit.Change{{Field: "name", From: []string{}, To: []string{"web_1.corp.example"}}}
	if diff := cmp.Diff(want, said.Fields); !ok || diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	_, before := last(t, st)
	rename("web_1.corp.example")
	if _, n := last(t, st); n != before {
		t.Error("a name that it has already is recorded")
	}
	if d := rename(""); d.Facts.Name != dev.Facts.Name || d.Reported != nil {
		t.Errorf("taken back: %+v", d.Device)
	}
	for _, who := range []auth.Caller{caller(tenant), caller(other, auth.Administer)} {
		if _, err := r.RenameDevice(t.Context(), who, string(dev.ID), func() (string, error) { t.Error("the body was read"); return "", nil }); err == nil {
			t.Error("renamed by somebody who may not")
		}
	}
}

// However long a device lives, its chain has an end, and the administrator is told.
func TestADeviceWithAsManyKeysAsThereMayBeIsNotAsked(t *testing.T) {
	r, st := newRegister(t)
	dev := enrol(t, st, tenant, 1)
	admin := caller(tenant, auth.Administer)
	if _, err := r.RotateDeviceKey(t.Context(), admin, string(dev.ID)); err != nil {
		t.Fatal(err)
	}
	keys, statements := dev.Keys, [][]byte{}
	for len(keys) < device.MaxKeys {
		keys, statements = append(keys, dev.Key()), append(statements, []byte("the gateway has checked it"))
	}
	at := r.Now().Add(-2 * access.KeyEvery)
	if _, err := st.SucceedDeviceKey(t.Context(), tenant, dev.ID, keys, statements, at,
		audit.NewEntry(at, audit.Leaf{Act: audit.ActDeviceKey, Object: string(dev.ID), Result: audit.Done}, audit.Hidden{})); err != nil {
		t.Fatal(err)
	}
	_, err := r.RotateDeviceKey(t.Context(), admin, string(dev.ID))
	if !errors.Is(err, fault.DisallowedOperation) {
		t.Errorf("one more: %v, want DisallowedOperation", err)
	}
	if diff := cmp.Diff(woken{dev.ID}, *r.Bus.(*woken)); diff != "" {
		t.Errorf("woken (-want +got):\n%s", diff)
	}
}

// The rules of device groups go by the name that people gave, and the device's own
// word of its name moves it nowhere.
func TestARenamedDeviceIsInTheGroupOfItsName(t *testing.T) {
	r, st := newRegister(t)
	dev := enrol(t, st, tenant, 1)
	admin := caller(tenant, auth.Administer)
	group, err := r.CreateDeviceGroup(t.Context(), admin, func() (access.NewDeviceGroup, error) {
		return access.NewDeviceGroup{Name: "web", Rule: device.Rule{{Property: device.ByName, Operator: device.StartsWith, Values: []string{"web-"}}}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	in := func() (ids []int64) {
		t.Helper()
		for _, id := range []int64{device.DefaultGroup, group.ID} {
			page, err := st.Devices(t.Context(), tenant, device.Reach{Groups: []int64{id}}, odata.All())
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Rows) > 0 {
				ids = append(ids, id)
			}
		}
		return ids
	}
	rename := func(name string) {
		t.Helper()
		if _, err := r.RenameDevice(t.Context(), admin, string(dev.ID), func() (string, error) { return name, nil }); err != nil {
			t.Fatal(err)
		}
	}
	says := func(name string) {
		t.Helper()
		said := dev
		said.Facts.Name, said.LastSeen = name, r.Now()
		if err := st.Seen(t.Context(), tenant, dev.ID, said); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		what string
		do   func()
		want int64
	}{
		{"as it enrolled", func() {}, device.DefaultGroup},
		{"renamed", func() { rename("web-01.corp.example") }, group.ID},
		{"renamed, and says another name", func() { says("db-01.corp.example") }, group.ID},
		{"its name taken back", func() { rename("") }, device.DefaultGroup},
		{"says a name of the group", func() { says("web-02.corp.example") }, group.ID},
		{"renamed out of it", func() { rename("db-01.corp.example") }, device.DefaultGroup},
	} {
		step.do()
		if diff := cmp.Diff([]int64{step.want}, in()); diff != "" {
			t.Errorf("%s: groups (-want +got):\n%s", step.what, diff)
		}
	}
}
