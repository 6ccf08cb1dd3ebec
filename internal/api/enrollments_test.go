package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
)

func TestEnrollmentsAreListedAndRevoked(t *testing.T) {
	in := install(t)
	hash := sha256.Sum256([]byte("swab-enrol-lab"))
	err := in.store.CreateEnrollment(t.Context(), auth.Enrollment{
		Tenant: tenantID, ID: "00000000-0000-4000-8000-00000000000a", Hash: hash, Left: 3,
		Expires: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), Tags: []string{"Zürich"},
	})
	if err != nil {
		t.Fatal(err)
	}
	standing := sha256.Sum256(in.device.Key()) // by which the device of the tests joined
	const lab, end = `{"id":"00000000-0000-4000-8000-00000000000a","name":"","created":null,"remaining":3,"expires":"2027-01-02T03:04:05.0000000Z","revoked":`, `,"tags":["Zürich"]}`
	other := `{"id":"` + hex.EncodeToString(standing[:8]) + `","name":"","created":null,"remaining":null,"expires":null,"revoked":false,"tags":["Lab"]}`
	list := func(revoked string) {
		t.Helper()
		g := in.as(t, full, "GET", "/API/Admin/v1/Enrollments", "")
		if want := `{"value":[` + lab + revoked + end + `,` + other + `]}`; g.status != http.StatusOK || g.raw != want {
			t.Errorf("list: %d %s\nwant %s", g.status, g.raw, want)
		}
	}
	list("false")
	const path = "/api/admin/v1/enrollments/00000000-0000-4000-8000-00000000000A/revoke" // ids have no case
	if g := in.as(t, full, "POST", path+"?$top=1", ""); g.status != http.StatusBadRequest || g.code(t) != "ODataError" {
		t.Errorf("revoke with an option: %d %s", g.status, g.raw)
	}
	if g := in.as(t, full, "GET", "/api/admin/v1/enrollments?$top=1", ""); g.status != http.StatusBadRequest || g.code(t) != "ODataError" {
		t.Errorf("list with an option: %d %s", g.status, g.raw)
	}
	list("false")
	for range 2 { // the second time is no mistake
		if g := in.as(t, full, "POST", path, "{}"); g.status != http.StatusOK || g.raw != lab+"true"+end {
			t.Errorf("revoke: %d %s", g.status, g.raw)
		}
	}
	list("true")
	g := in.as(t, full, "POST", "/api/admin/v1/enrollments/NoSuch/revoke", "")
	if g.status != http.StatusNotFound || g.code(t) != "ResourceNotFound" || g.message() != "Enrolment token nosuch was not found" {
		t.Errorf("revoke of nothing: %d %s", g.status, g.raw)
	}
	if g := in.as(t, full, "POST", "/api/admin/v1/enrollments/"+strings.Repeat("x", 10<<10)+"/revoke", ""); g.status != http.StatusNotFound || len(g.raw) > 1000 {
		t.Errorf("revoke of a long name: %d %.1000s", g.status, g.raw)
	}
	if g := in.as(t, full, "DELETE", path, ""); g.status != http.StatusMethodNotAllowed || g.header.Get("Allow") != "POST" {
		t.Errorf("DELETE: %d, Allow %q", g.status, g.header.Get("Allow"))
	}
	done := 0
	for _, l := range in.leaves(t) {
		if l.Act == audit.ActRevokeEnrollment && l.Result == audit.Done {
			done++
		}
	}
	if done != 1 {
		t.Errorf("%d entries for one revocation", done)
	}
	if _, err := in.store.Enrol(t.Context(), hash, device.Device{ID: in.device.ID, Keys: in.device.Keys}, nil); err == nil {
		t.Error("the revoked token still admits")
	}
}
