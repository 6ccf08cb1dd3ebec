package access_test

import (
	"crypto/sha256"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/access"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
	"swab/internal/store"
)

const tenant, other = "11111111-0000-4000-8000-000000000000", "22222222-0000-4000-8000-000000000000"

// newRegister is a register over a real store in which each tenant has a token
// called by its own name, and the first one more, called token.
func newRegister(t *testing.T) (*access.Register, *store.Store) {
	t.Helper()
	now := func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "swab.db"), Now: now})
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
	return &access.Register{Records: st, Now: now, Logger: slog.New(slog.DiscardHandler)}, st
}

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

func TestOperationsAreRefusedAndRecorded(t *testing.T) {
	r, st := newRegister(t)
	most, admin := caller(tenant, auth.CollectForensics, auth.ReadAll, auth.ReadWriteAll), caller(tenant, auth.Administer)
	revoke := func(who auth.Caller, id string) func() error {
		return func() error { _, err := r.RevokeEnrollment(t.Context(), who, id); return err }
	}
	for name, tt := range map[string]struct {
		do     func() error
		want   fault.Code
		act    audit.Act
		object string
	}{
		"list without the permission": {
			func() error { _, err := r.Enrollments(t.Context(), most); return err }, fault.Forbidden, audit.ActReadEnrollment, tenant,
		},
		"revoke without the permission": {revoke(most, "token"), fault.Forbidden, audit.ActRevokeEnrollment, "token"},
		"revoke of nothing":             {revoke(admin, "nosuch"), fault.NotFound, audit.ActRevokeEnrollment, "nosuch"},
		"revoke of another tenant's":    {revoke(admin, other), fault.NotFound, audit.ActRevokeEnrollment, other},
		"revoke of an odd name":         {revoke(admin, "\x00"+strings.Repeat("x", 1<<20)), fault.NotFound, audit.ActRevokeEnrollment, "?" + strings.Repeat("x", 127)},
	} {
		_, before := last(t, st)
		if err := tt.do(); !errors.Is(err, tt.want) || len(err.Error()) > 500 {
			t.Errorf("%s: %.500v, want %s", name, err, tt.want)
		}
		leaf, n := last(t, st)
		if n != before+1 || leaf.Result != audit.Refused || leaf.Detail != string(tt.want) || leaf.Act != tt.act || leaf.Object != tt.object {
			t.Errorf("%s: %d new entries, the last %+v", name, n-before, leaf)
		}
	}
	for _, tenant := range []string{tenant, other} {
		list, err := st.Enrollments(t.Context(), tenant)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if e.Revoked {
				t.Errorf("token %s was revoked", e.ID)
			}
		}
	}
}
