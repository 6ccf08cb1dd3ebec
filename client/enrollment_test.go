package client

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEnrollmentsAreReadAndRevoked(t *testing.T) {
	s, c := newServer(t)
	const counted = `{"id":"a b","remaining":0,"expires":"2027-01-02T03:04:05.0000000Z","revoked":%t,"tags":["web"]}`
	s.api("GET /api/admin/v1/enrollments", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"value":[`+counted+`,{"id":"free","remaining":null,"expires":null,"revoked":false,"tags":[]}]}`, false)
	})
	s.api("POST /api/admin/v1/enrollments/{id}/revoke", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") != "a b" {
			refuse(w, 404, CodeNotFound, "Enrolment token "+r.PathValue("id")+" was not found")
			return
		}
		fmt.Fprintf(w, counted, true)
	})
	none := 0
	want := Enrollment{ID: "a b", Remaining: &none, Expires: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), Tags: []string{"web"}}
	list, err := c.Enrollments(t.Context())
	if diff := cmp.Diff([]Enrollment{want, {ID: "free", Tags: []string{}}}, list); err != nil || diff != "" {
		t.Errorf("Enrollments() = %v (-want +got):\n%s", err, diff)
	}
	want.Revoked = true
	got, err := c.RevokeEnrollment(t.Context(), "a b")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("RevokeEnrollment() = %v (-want +got):\n%s", err, diff)
	}
	_, err = c.RevokeEnrollment(t.Context(), "nosuch")
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != CodeNotFound {
		t.Errorf("revoke of nothing: %v", err)
	}
	if _, err := c.RevokeEnrollment(t.Context(), ".."); err == nil {
		t.Error("a token called .. was asked for")
	}
}
