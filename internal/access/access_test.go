package access_test

import (
	"crypto/sha256"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/access"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/credential"
	"swab/internal/device"
	"swab/internal/store"
	"swab/internal/store/storetest"
)

const tenant, other = "11111111-0000-4000-8000-000000000000", "22222222-0000-4000-8000-000000000000"

// newRegister is a register over a real store in which each tenant has a token
// called by its own name, and the first one more, called token.
func newRegister(t *testing.T) (*access.Register, *store.Store) {
	t.Helper()
	now := func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
	st, err := store.Open(t.Context(), store.Options{Database: storetest.Database(t), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	token := func(tenant, id string) {
		err := st.CreateEnrollment(t.Context(), auth.Enrollment{Tenant: tenant, ID: id, Hash: sha256.Sum256([]byte(id)), Left: -1, Tags: []string{}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{tenant, other} {
		err := st.CreateTenant(t.Context(), auth.Tenant{ID: id, Name: id, Created: now()},
			audit.NewEntry(now(), audit.Leaf{Act: audit.ActStart, Object: id, Result: audit.Done}, audit.Hidden{}))
		if err != nil {
			t.Fatal(err)
		}
		token(id, id)
	}
	token(tenant, "token")
	return &access.Register{Records: st, Bus: &woken{}, Hasher: credential.NewHasher(1), Home: tenant, Now: now, Logger: slog.New(slog.DiscardHandler)}, st
}

// woken keeps which devices were woken.
type woken []device.ID

func (w *woken) Wake(id device.ID) { *w = append(*w, id) }

func caller(tenant string, roles ...string) auth.Caller {
	return auth.Caller{Kind: auth.Application, Tenant: tenant, ID: "app", Name: "SOAR", Roles: roles}
}

// last is the newest entry of the first tenant's log, and how many there are.
func last(t *testing.T, st *store.Store) (audit.Leaf, int) {
	t.Helper()
	entries, err := st.AuditEntries(t.Context(), tenant, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := audit.ParseLeaf(entries[len(entries)-1].Leaf)
	if err != nil {
		t.Fatal(err)
	}
	leaf.Commitment = ""
	return leaf, len(entries)
}

func TestRevokedTokenIsListedAndRecordedOnce(t *testing.T) {
	r, st := newRegister(t)
	admin := caller(tenant, auth.Administer)
	want := auth.Enrollment{Tenant: tenant, ID: "token", Left: -1, Revoked: true, Tags: []string{}}
	for range 2 {
		got, err := r.RevokeEnrollment(t.Context(), admin, "token")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("RevokeEnrollment() = %v (-want +got):\n%s", err, diff)
		}
		leaf, n := last(t, st)
		entry := audit.Leaf{V: 1, Time: "2026-03-01T12:00:00.0000000Z", Act: audit.ActRevokeEnrollment, Object: "token", Result: audit.Done}
		if leaf != entry || n != 2 {
			t.Errorf("entry %d is %+v, want the second, %+v", n, leaf, entry)
		}
	}
	got, err := r.Enrollments(t.Context(), admin)
	list := []auth.Enrollment{{Tenant: tenant, ID: tenant, Left: -1, Tags: []string{}}, want}
	if diff := cmp.Diff(list, got); err != nil || diff != "" {
		t.Errorf("Enrollments() = %v (-want +got):\n%s", err, diff)
	}
}
