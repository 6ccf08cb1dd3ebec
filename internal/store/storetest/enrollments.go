package storetest

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
	"swab/internal/store"
)

func enrollmentsAreKept(t *testing.T, s *store.Store) {
	tenant, other := newTenant(t, s, 1), newTenant(t, s, 2)
	if list, err := s.Enrollments(t.Context(), tenant); err != nil || list == nil || len(list) != 0 {
		t.Errorf("Enrollments() of a new tenant = %v, %v", list, err)
	}
	newToken(t, s, tenant, "b", func(e *auth.Enrollment) { e.Left, e.Expires, e.Tags = 2, at(1_000_000_000), []string{} })
	newToken(t, s, tenant, "a", nil)
	newToken(t, s, tenant, "c", func(e *auth.Enrollment) { e.Left, e.Revoked = 0, true })
	newToken(t, s, other, "elsewhere", nil)
	enrol(t, s, "b", 1)
	tags := []string{"web", "Zürich"}
	want := []auth.Enrollment{ // by id, and no hash in it
		{Tenant: tenant, ID: "a", Left: -1, Tags: tags},
		{Tenant: tenant, ID: "b", Left: 1, Expires: at(1_000_000_000), Tags: []string{}},
		{Tenant: tenant, ID: "c", Left: 0, Revoked: true, Tags: tags},
	}
	list, err := s.Enrollments(t.Context(), tenant)
	if diff := cmp.Diff(want, list); err != nil || diff != "" {
		t.Errorf("Enrollments(): %v (-want +got):\n%s", err, diff)
	}
	for what, e := range map[string]auth.Enrollment{
		"the same id":                     {Tenant: tenant, ID: "a", Hash: tokenOf("new")},
		"the same hash":                   {Tenant: tenant, ID: "new", Hash: tokenOf("a")},
		"the same hash in another tenant": {Tenant: other, ID: "new", Hash: tokenOf("a")},
	} {
		wantFault(t, what, s.CreateEnrollment(t.Context(), e), fault.InvalidInput, "Enrolment token "+e.ID+" exists already")
	}
	e := auth.Enrollment{Tenant: other, ID: "a", Hash: tokenOf("another tenant's a")}
	if err := s.CreateEnrollment(t.Context(), e); err != nil {
		t.Errorf("the same id in another tenant: %v", err)
	}
	if err := s.CreateEnrollment(t.Context(), auth.Enrollment{Tenant: id(9, 9), ID: "x", Hash: tokenOf("x")}); err == nil {
		t.Error("a token of no tenant was created")
	} else if code, _ := fault.Of(err); code == fault.InvalidInput {
		t.Errorf("a token of no tenant is said to be there already: %v", err)
	}
}

func revokedTokenAdmitsNobody(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	want := auth.Enrollment{Tenant: w.tenant, ID: "token", Left: -1, Revoked: true, Tags: []string{"web", "Zürich"}}
	unfit := entry(audit.ActRevokeEnrollment, strings.Repeat("x", audit.MaxLeaf), "")
	if _, err := s.RevokeEnrollment(t.Context(), w.tenant, "token", unfit); err == nil {
		t.Error("a token was revoked with an entry that can't be kept")
	}
	enrol(t, s, "token", 3) // so it is not revoked
	var all sync.WaitGroup
	for range 8 { // whoever asks, and however often: one entry
		all.Go(func() {
			got, err := s.RevokeEnrollment(t.Context(), w.tenant, "token", entry(audit.ActRevokeEnrollment, "token", ""))
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("RevokeEnrollment(): %v (-want +got):\n%s", err, diff)
			}
		})
	}
	all.Wait()
	checkLog(t, s, w.tenant, 4) // start, two enrolments, revocation
	list, err := s.Enrollments(t.Context(), w.tenant)
	if diff := cmp.Diff([]auth.Enrollment{want}, list); err != nil || diff != "" {
		t.Errorf("Enrollments(): %v (-want +got):\n%s", err, diff)
	}
	_, err = s.Enrol(t.Context(), tokenOf("token"), newDevice(2), nil)
	wantFault(t, "a device with the revoked token", err, fault.Unauthorized, "The enrolment token was revoked; ask for another")
	if d, err := s.Device(t.Context(), w.tenant, w.device.ID); err != nil || d.Revoked {
		t.Errorf("the device that joined by it: %+v, %v", d, err)
	}
	_, err = s.RevokeEnrollment(t.Context(), w.tenant, "nosuch", entry(audit.ActRevokeEnrollment, "nosuch", ""))
	wantFault(t, "no such token", err, fault.NotFound, "Enrolment token nosuch was not found")
	checkLog(t, s, w.tenant, 4)
}
