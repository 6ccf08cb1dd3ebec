package store_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/store"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const tenantID = "0000000a-0000-7000-8000-000000000001"

func newTenant(t testing.TB, s *store.Store) string {
	t.Helper()
	if err := s.CreateTenant(t.Context(), auth.Tenant{ID: tenantID, Name: "one", Created: start}, link(0)); err != nil {
		t.Fatal(err)
	}
	return tenantID
}

// newDevice makes a tenant, a token named "token", and a device.
func newDevice(t testing.TB, s *store.Store) (string, device.Device) {
	t.Helper()
	tenant := newTenant(t, s)
	if err := s.CreateEnrollment(t.Context(), auth.Enrollment{Tenant: tenant, ID: "token", Hash: sha256.Sum256([]byte("token")), Left: -1}); err != nil {
		t.Fatal(err)
	}
	d, err := enrol(t, s, 1)
	if err != nil {
		t.Fatal(err)
	}
	return tenant, d
}

func enrol(t testing.TB, s *store.Store, n int) (device.Device, error) {
	seed := sha256.Sum256([]byte(fmt.Sprint(n)))
	key := ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
	d := device.Device{ID: device.IDOf(key), Keys: []ed25519.PublicKey{key}, Facts: device.Facts{Name: fmt.Sprintf("host%d.example.org", n)}, FirstSeen: start, LastSeen: start}
	return s.Enrol(t.Context(), sha256.Sum256([]byte("token")), d, func(string) audit.Entry { return link(n) })
}

func newAction(d device.Device, n int) action.Action {
	created := start.Add(time.Duration(n) * time.Millisecond)
	return action.Action{
		Tenant: d.Tenant, ID: fmt.Sprintf("0000000c-0000-7000-8000-%012x", n), Device: d.ID, DeviceName: d.Facts.Name, Status: action.Pending,
		Profile: "triage", Plan: "sha256:1", Source: "PublicApi", Requestor: "tester", Comment: "alert 1234",
		Created: created, Updated: created, Touched: created, Due: created.Add(72 * time.Hour), Attempt: 1,
	}
}

// checkLeaf checks a leaf's inclusion proof.
func checkLeaf(l audit.Proved, head audit.Head) error {
	return tlog.CheckRecord(l.Inclusion, head.Size, head.Hash, l.Index, tlog.RecordHash(l.Leaf))
}

// entryOf is the entry of a leaf's number: its bytes and its id.
func entryOf(t testing.TB, path string, number int64) (leaf []byte, id int64) {
	t.Helper()
	if err := beside(t, path).QueryRow("SELECT bytes, id FROM audit_entries WHERE leaf = ?", number).Scan(&leaf, &id); err != nil {
		t.Fatal(err)
	}
	return leaf, id
}

// end is a change that ends an action.
func end(a action.Action) (action.Action, []audit.Entry, error) {
	a.Status, a.Due = action.Failed, time.Time{}
	return a, []audit.Entry{link(0)}, nil
}

// devicesOf are the first devices that enrol enrolled, who get the same answer again.
func devicesOf(t testing.TB, s *store.Store, count int) []device.Device {
	t.Helper()
	list := make([]device.Device, count)
	for n := range list {
		var err error
		if list[n], err = enrol(t, s, n+1); err != nil {
			t.Fatal(err)
		}
	}
	return list
}
