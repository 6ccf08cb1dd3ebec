package access_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/access"
	"swab/internal/audit"
	"swab/internal/auth"
)

// An entry says what came and what went, but for secrets.
func TestEntriesSayWhatChanged(t *testing.T) {
	o := newOffice(t)
	wants := func(what string, act audit.Act, err error, want ...audit.Change) {
		t.Helper()
		must(t, err)
		leaf, got := o.changes()
		if diff := cmp.Diff(want, got); leaf.Act != act || diff != "" {
			t.Errorf("%s: entry %+v (-want +got):\n%s", what, leaf, diff)
		}
	}
	came := func(field string, to ...string) audit.Change {
		return audit.Change{Field: field, From: []string{}, To: to}
	}
	went := func(field string, from ...string) audit.Change {
		return audit.Change{Field: field, From: from, To: []string{}}
	}
	until := noon.AddDate(0, 1, 0)
	const expires = "2026-04-01T12:00:00.0000000Z"
	_, _, err := o.CreateEnrollment(t.Context(), admin, as(access.NewEnrollment{Name: "servers", Count: 7, Expires: until, Tags: []string{"b", "a"}}))
	wants("make an enrolment token", audit.ActCreateEnrollment, err, came("name", "servers"), came("count", "7"), came("expires", expires), came("tags", "b", "a"))

	app, err := addApp(t, o.Register, admin, auth.ReadAll)
	must(t, err)
	secret, err := o.AddSecret(t.Context(), admin, app.ID, as(access.NewSecret{Name: "prod", Expires: until}))
	wants("add a secret", audit.ActAddSecret, err, came("name", "prod"), came("expires", expires))
	_, err = o.RemoveSecret(t.Context(), admin, app.ID, secret.ID)
	wants("remove it", audit.ActRemoveSecret, err, went("name", "prod"), went("expires", expires))
	cert, err := o.AddCertificate(t.Context(), admin, app.ID, as(access.NewCertificate{Name: "hsm", Data: certificate(t, p256(t), noon.AddDate(1, 0, 0)), Expires: until}))
	wants("add a certificate", audit.ActAddCertificate, err, came("name", "hsm"), came("expires", expires))
	_, err = o.RemoveCertificate(t.Context(), admin, app.ID, cert.ID)
	wants("remove it", audit.ActRemoveCertificate, err, went("name", "hsm"), went("expires", expires))
	_, err = addApp(t, o.Register, admin, auth.Administer)
	must(t, err)
	_, err = o.RevokeApp(t.Context(), admin, app.ID)
	wants("revoke an application", audit.ActRevokeApp, err, audit.Change{Field: "revoked", From: []string{"false"}, To: []string{"true"}})

	ann := o.user("ann@contoso.example")
	_, err = o.DisableUser(t.Context(), admin, ann.ID)
	wants("disable a user", audit.ActDisableUser, err, audit.Change{Field: "disabled", From: []string{"false"}, To: []string{"true"}})
	_, err = o.EnableUser(t.Context(), admin, ann.ID)
	wants("enable them", audit.ActEnableUser, err, audit.Change{Field: "disabled", From: []string{"true"}, To: []string{"false"}})
}
