package access_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/access"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
)

// tag has devices wear a tag.
func (o office) tag(tag string, ids ...device.ID) {
	o.t.Helper()
	_, err := o.st.ChangeDevices(o.t.Context(), tenant, ids, func(d device.Device) (device.Device, audit.Entry, error) {
		d.Tags = append(slices.Clone(d.Tags), tag)
		return d, audit.NewEntry(noon, audit.Leaf{Act: audit.ActUpdateDevice, Object: string(d.ID), Result: audit.Done}, audit.Hidden{}), nil
	})
	must(o.t, err)
}

// caller is a person as the caller, with what their rights follow from.
func (o office) caller(p auth.Person) auth.Caller {
	o.t.Helper()
	who := o.as(p)
	policy, err := o.st.Policy(o.t.Context(), tenant)
	must(o.t, err)
	who.Policy = policy
	return who
}

// Parts of the list of devices, where they end and their twins tell nothing of
// devices out of reach, whether or not all devices stand in their groups yet.
func TestListsOfDevicesTellNothingOfThoseOutOfReach(t *testing.T) {
	c := newCompany(t)
	o := c.office
	var all, out []device.ID
	for n := range byte(12) {
		d := enrol(t, o.st, tenant, n+1)
		_, err := o.RenameDevice(t.Context(), admin, string(d.ID), as("vm.corp.example"))
		must(t, err)
		all = append(all, d.ID)
	}
	slices.Sort(all)
	for _, i := range []int{0, 1, 4, 7, 8, 11} { // the first and the last, some in a row
		out = append(out, all[i])
	}
	o.tag("Vault", out...)
	seen := slices.DeleteFunc(slices.Clone(all), func(id device.ID) bool { return slices.Contains(out, id) })
	o.devices("Vault", c.analysts)
	look := func(state string, who auth.Caller, want []device.ID) {
		t.Helper()
		for _, name := range []string{"", "vm", "VM.corp.example"} {
			for top := 1; top <= len(want)+1; top++ {
				var got []device.ID
				for after := device.ID(""); ; {
					page, err := o.Devices(t.Context(), who, as(access.DeviceQuery{Name: name, After: after, Top: top}))
					if err != nil || len(page.Devices) == 0 {
						t.Fatalf("%s, %q by %d: a part of %d, %v", state, name, top, len(page.Devices), err)
					}
					for _, d := range page.Devices {
						got = append(got, d.ID)
						twins := slices.DeleteFunc(slices.Clone(want), func(id device.ID) bool { return id == d.ID })
						if len(twins) > access.MaxTwins {
							continue
						}
						if slices.Sort(d.Twins); !slices.Equal(d.Twins, twins) {
							t.Errorf("%s: twins %v, want %v", state, d.Twins, twins)
						}
					}
					last := page.Devices[len(page.Devices)-1].ID
					if page.Next == "" {
						break
					}
					if page.Next != last || len(page.Devices) != top {
						t.Errorf("%s, %q by %d: a part of %d that goes on after %s, and ends with %s", state, name, top, len(page.Devices), page.Next, last)
					}
					after = page.Next
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s, %q by %d (-want +got):\n%s", state, name, top, diff)
				}
			}
		}
		for _, id := range all {
			if d, err := o.Device(t.Context(), who, string(id)); (err == nil) != slices.Contains(want, id) || err == nil && len(d.Twins) != min(len(want)-1, access.MaxTwins) {
				t.Errorf("%s: device %s with twins %v: %v", state, id, d.Twins, err)
			}
		}
	}
	me := o.caller(c.manager)
	look("before it is settled", me, seen)
	_, err := o.st.Settle(t.Context())
	must(t, err)
	look("when it is settled", me, seen)
	look("an application", admin, all)

	lone := seen[0]
	for _, id := range seen[1:] {
		_, err := o.RenameDevice(t.Context(), admin, string(id), as(fmt.Sprintf("host-%.4s", id)))
		must(t, err)
	}
	if d, err := o.Device(t.Context(), me, string(lone)); err != nil || len(d.Twins) != 0 {
		t.Errorf("a device whose twins are out of reach: %v, %v", d.Twins, err)
	}
}

// Nobody loses a device by a name that they give it.
func TestADeviceIsNotRenamedOutOfReach(t *testing.T) {
	c := newCompany(t)
	o := c.office
	d := enrol(t, o.st, tenant, 1)
	_, err := o.RenameDevice(t.Context(), admin, string(d.ID), as("web-01"))
	must(t, err)
	rule := device.Rule{{Property: device.ByName, Operator: device.StartsWith, Values: []string{"vault-"}}}
	_, err = o.CreateDeviceGroup(t.Context(), admin, as(access.NewDeviceGroup{Name: "Vault", Rule: rule, Groups: []string{c.analysts}}))
	must(t, err)
	me := o.caller(c.manager)
	_, err = o.RenameDevice(t.Context(), me, string(d.ID), as("vault-01"))
	o.refused("rename it out of reach", audit.ActRenameDevice, err)
	if got, err := o.Device(t.Context(), me, string(d.ID)); err != nil || got.Facts.Name != "web-01" {
		t.Errorf("after that: %+v, %v", got.Facts, err)
	}
	if _, err := o.RenameDevice(t.Context(), me, string(d.ID), as("web-02")); err != nil {
		t.Errorf("rename it within reach: %v", err)
	}
	if _, err := o.RenameDevice(t.Context(), admin, string(d.ID), as("vault-01")); err != nil {
		t.Errorf("rename it, as an application: %v", err)
	}
	if _, err := o.RenameDevice(t.Context(), me, string(d.ID), as("web-01")); !errors.Is(err, fault.NotFound) {
		t.Errorf("rename it back, out of reach: %v", err)
	}
}
