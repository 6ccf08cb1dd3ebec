package storetest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/fleet"
	"swab/internal/odata"
	"swab/internal/store"
)

// administer changes the world's device and records it.
func (w world) administer(t *testing.T, change func(*device.Device)) device.Device {
	t.Helper()
	d, err := w.AdministerDevice(t.Context(), w.tenant, w.device.ID, func(d device.Device) (device.Device, audit.Entry, error) {
		change(&d)
		return d, entry(audit.ActRenameDevice, string(d.ID), d.ID), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func administeredDevicesAreKept(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	own := w.device.Facts.Name
	want := w.device
	want.Facts.Name, want.Reported, want.Retired, want.KeyAsked = "web.corp.example", &own, true, at(7)
	got := w.administer(t, func(d *device.Device) {
		d.Facts.Name, d.Reported, d.Retired, d.KeyAsked = "web.corp.example", &own, true, at(7)
		d.Tags, d.Revoked = nil, true // not what is changed here
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("AdministerDevice (-want +got):\n%s", diff)
	}
	checkLog(t, s, w.tenant, 3)
	// What the device says of its name from now on stands beside it.
	said, other := w.device, "host1.example.net"
	said.Facts.Name, said.LastSeen = other, at(500)
	if err := s.Seen(t.Context(), w.tenant, w.device.ID, said); err != nil {
		t.Fatal(err)
	}
	want.Reported, want.LastSeen = &other, at(500)
	if got, err := s.Device(t.Context(), w.tenant, w.device.ID); err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("after it was seen: %v (-want +got):\n%s", err, cmp.Diff(want, got))
	}
	for name, n := range map[string]int{"web.corp.example": 1, "web": 1, "host1": 0, "host1.example.net": 0} {
		if list, err := s.FindDevices(t.Context(), w.tenant, name); err != nil || len(list) != n {
			t.Errorf("FindDevices(%q) finds %d, %v; want %d", name, len(list), err, n)
		}
	}
	// It is inactive, wherever that is asked.
	if want.Health(at(501)) != device.Inactive {
		t.Error("a retired device is not inactive")
	}
	filtered := func(health string) int {
		t.Helper()
		q, err := odata.Parse("$filter=healthStatus+eq+'"+health+"'", &fleet.Entity)
		if err != nil {
			t.Fatal(err)
		}
		page, err := s.Devices(t.Context(), w.tenant, device.Everywhere, q)
		if err != nil {
			t.Fatal(err)
		}
		return len(page.Rows)
	}
	inactive := filtered(device.Inactive)
	w.administer(t, func(d *device.Device) {
		d.Facts.Name, d.Reported, d.Retired, d.KeyAsked = *d.Reported, nil, false, time.Time{}
	})
	restored, err := s.Device(t.Context(), w.tenant, w.device.ID)
	want.Facts.Name, want.Reported, want.Retired, want.KeyAsked = other, nil, false, time.Time{}
	if diff := cmp.Diff(want, restored); err != nil || diff != "" {
		t.Errorf("restored: %v (-want +got):\n%s", err, diff)
	}
	if inactive != 1 {
		t.Errorf("%d devices are listed as inactive, want the retired one", inactive)
	}

	// A change that is refused, or is none, leaves nothing.
	errNo := errors.New("no")
	if _, err := s.AdministerDevice(t.Context(), w.tenant, w.device.ID, func(d device.Device) (device.Device, audit.Entry, error) {
		d.Retired = true
		return d, entry(audit.ActRetireDevice, "", ""), errNo
	}); !errors.Is(err, errNo) {
		t.Errorf("a change that is refused: %v", err)
	}
	if _, err := s.AdministerDevice(t.Context(), w.tenant, w.device.ID, func(d device.Device) (device.Device, audit.Entry, error) {
		d.Retired = true
		return d, audit.Entry{}, nil
	}); err != nil {
		t.Error(err)
	}
	_, err = s.AdministerDevice(t.Context(), newTenant(t, s, 2), w.device.ID, nil)
	wantFault(t, "another tenant's device", err, fault.NotFound, "")
	if got, err := s.Device(t.Context(), w.tenant, w.device.ID); err != nil || cmp.Diff(restored, got) != "" {
		t.Errorf("after changes that were none: %v\n%s", err, cmp.Diff(restored, got))
	}
	checkLog(t, s, w.tenant, 4)
}

// entraIDIsOneDevices: of devices that are given one Entra id at the same time one
// has it.
func entraIDIsOneDevices(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	ids := []device.ID{w.device.ID}
	for n := range 3 {
		ids = append(ids, enrol(t, s, "token", n+2).ID)
	}
	for round := range 5 {
		entra := fmt.Sprintf("5b7d9f11-2233-4455-8667-8899aabbcc%02d", round)
		errs := make([]error, len(ids))
		var all sync.WaitGroup
		for i, id := range ids {
			all.Go(func() {
				_, errs[i] = s.ChangeDevices(t.Context(), w.tenant, []device.ID{id}, func(d device.Device) (device.Device, audit.Entry, error) {
					d.AADDevice = entra
					return d, entry(audit.ActUpdateDevice, string(d.ID), d.ID), nil
				})
			})
		}
		all.Wait()
		taken := 0
		for _, err := range errs {
			if err == nil {
				taken++
				continue
			}
			wantFault(t, "an Entra id that another has", err, fault.InvalidInput, "")
		}
		if found, err := s.FindDevices(t.Context(), w.tenant, entra); err != nil || len(found) != 1 || taken != 1 {
			t.Errorf("%d devices were given one Entra id, %d have it, %v", taken, len(found), err)
		}
	}
}

func twinsAreFound(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	other := newTenant(t, s, 2)
	newToken(t, s, other, "other", nil)
	admit := func(token string, n int, name string) device.Device {
		t.Helper()
		d := newDevice(n)
		d.Facts.Name = name
		got, err := s.Enrol(t.Context(), tokenOf(token), d, func(string) audit.Entry { return entry(audit.ActEnrol, "", d.ID) })
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first, second, third := admit("token", 2, "web.example.org"), admit("token", 3, "web.example.org"), admit("token", 4, "web.example.org")
	nameless := []device.Device{admit("token", 5, ""), admit("token", 6, "")}
	admit("other", 7, "web.example.org")
	if _, err := s.RevokeDevice(t.Context(), w.tenant, second.ID, entry(audit.ActRevokeDevice, "", second.ID)); err != nil {
		t.Fatal(err)
	}
	all := []device.Device{w.device, first, second, third, nameless[0], nameless[1]}
	want := map[device.ID][]device.ID{first.ID: {third.ID}, second.ID: {third.ID, first.ID}, third.ID: {first.ID}}
	got, err := s.Twins(t.Context(), w.tenant, device.Everywhere, all, 10)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Twins: %v (-want +got):\n%s", err, diff)
	}
	if got, err := s.Twins(t.Context(), w.tenant, device.Everywhere, []device.Device{second}, 1); err != nil || len(got[second.ID]) != 1 {
		t.Errorf("Twins, one at most: %v, %v", got, err)
	}
	// All of them, a part at a time, in the order of their ids.
	ids := []device.ID{}
	for after := device.ID(""); ; {
		page, err := s.DevicePage(t.Context(), w.tenant, device.Everywhere, "", after, 4)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page {
			ids = append(ids, d.ID)
		}
		if len(page) < 4 {
			break
		}
		after = page[3].ID
	}
	if len(ids) != len(all) || !slices.IsSorted(ids) {
		t.Errorf("DevicePage: %v", ids)
	}
	for name, n := range map[string]int{"web": 3, "web.example.org": 3, "host1": 1, "nosuch": 0} {
		if page, err := s.DevicePage(t.Context(), w.tenant, device.Everywhere, name, "", 0); err != nil || len(page) != n {
			t.Errorf("DevicePage(%q) has %d, %v; want %d", name, len(page), err, n)
		}
	}
}

// keysOf are the keys of device n after so many successions, with the statements
// of them, and one that forks from the first key.
func keysOf(t *testing.T, n, successions int) (keys []ed25519.PublicKey, statements [][]byte, fork []byte) {
	t.Helper()
	key := func(of string) (ed25519.PublicKey, ed25519.PrivateKey) {
		seed := sha256.Sum256([]byte(of))
		k := ed25519.NewKeyFromSeed(seed[:])
		return k.Public().(ed25519.PublicKey), k
	}
	first, present := key(fmt.Sprint("device ", n))
	succeed := func(number int, next ed25519.PublicKey) []byte {
		statement, err := device.Succeed(device.IDOf(first), number, next, present)
		if err != nil {
			t.Fatal(err)
		}
		return statement
	}
	stranger, _ := key("stranger")
	keys, fork = []ed25519.PublicKey{first}, succeed(1, stranger)
	for i := range successions {
		next, private := key(fmt.Sprint("next ", i))
		statements = append(statements, succeed(i+1, next))
		keys, present = append(keys, next), private
	}
	return keys, statements, fork
}

func deviceKeysFollow(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	keys, statements, fork := keysOf(t, 1, 2)
	succeed := func(n int, statements [][]byte) (device.Device, error) {
		return s.SucceedDeviceKey(t.Context(), w.tenant, w.device.ID, keys[:n+1], statements, at(60*n), entry(audit.ActDeviceKey, string(w.device.ID), w.device.ID))
	}
	_, err := succeed(1, statements[:1])
	wantFault(t, "a key that nobody asked for", err, fault.Forbidden, "Nobody asked the device for another key")
	ask := func() { w.administer(t, func(d *device.Device) { d.KeyAsked = at(50) }) }
	ask()
	want := w.device
	want.Keys, want.Statements, want.KeySince = keys[:2], statements[:1], at(60)
	for range 2 { // the second time its answer was lost
		got, err := succeed(1, statements[:1])
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("SucceedDeviceKey: %v (-want +got):\n%s", err, diff)
		}
	}
	checkLog(t, s, w.tenant, 4)
	if got, err := s.DeviceByID(t.Context(), w.device.ID); err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("kept: %v (-want +got):\n%s", err, cmp.Diff(want, got))
	}
	ask()
	_, err = succeed(1, [][]byte{fork})
	wantFault(t, "a fork", err, fault.Forbidden, "")
	_, err = succeed(0, nil)
	wantFault(t, "a chain that ends before", err, fault.Forbidden, "")
	_, err = s.SucceedDeviceKey(t.Context(), newTenant(t, s, 2), w.device.ID, keys, statements, at(1), audit.Entry{})
	wantFault(t, "another tenant's device", err, fault.NotFound, "")

	// Not while a package is on its way.
	a := w.create(t, newAction(w.device, 1))
	if _, err := w.to(t.Context(), a.ID, action.InProgress); err != nil {
		t.Fatal(err)
	}
	_, err = succeed(2, statements)
	wantFault(t, "while an action runs", err, fault.Unavailable, "")
	if _, err := w.to(t.Context(), a.ID, action.Failed); err != nil {
		t.Fatal(err)
	}
	// Of several that come at once each gets the same answer, and one is recorded.
	before := len(checkLog(t, s, w.tenant, -1))
	var wg sync.WaitGroup
	var good atomic.Int64
	for range 8 {
		wg.Go(func() {
			if got, err := succeed(2, statements); err == nil && got.Key().Equal(keys[2]) {
				good.Add(1)
			} else {
				t.Errorf("one of several: %v", err)
			}
		})
	}
	wg.Wait()
	if n := len(checkLog(t, s, w.tenant, -1)) - before; n != 1 {
		t.Errorf("%d entries were recorded, want 1", n)
	}
	if err := s.Cloned(t.Context(), w.tenant, w.device.ID, at(700), entry(audit.ActTwice, string(w.device.ID), w.device.ID)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Device(t.Context(), w.tenant, w.device.ID); err != nil || !got.Cloned.Equal(at(700)) || len(got.Keys) != 3 {
		t.Errorf("device = %+v, %v", got, err)
	}
	w.administer(t, func(d *device.Device) { d.KeyAsked = at(800) })
	if _, err := s.RevokeDevice(t.Context(), w.tenant, w.device.ID, entry(audit.ActRevokeDevice, "", w.device.ID)); err != nil {
		t.Fatal(err)
	}
	_, err = succeed(2, statements)
	wantFault(t, "a device that was revoked", err, fault.Forbidden, "")
}
