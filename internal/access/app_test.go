package access_test

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"swab/internal/access"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
)

func sprint(v any) string { return fmt.Sprintf("%+v", v) }

func as[T any](v T) func() (T, error) { return func() (T, error) { return v, nil } }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestApplicationIsMadeWithASecretThatIsToldOnce(t *testing.T) {
	r, st := newRegister(t)
	admin := caller(tenant, auth.Administer)
	app, made, err := r.CreateApp(t.Context(), admin, as(access.NewApp{
		Name: "Cortex XSOAR", Roles: []string{auth.ReadAll, auth.CollectForensics, auth.ReadAll}, Secret: &access.NewSecret{Name: "prod"},
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := auth.App{
		Tenant: tenant, ID: app.ID, Name: "Cortex XSOAR", Roles: []string{auth.CollectForensics, auth.ReadAll}, Created: noon,
		Secrets: []auth.Secret{{ID: made.ID, Name: "prod", Hash: made.Clear.Hash(), Created: noon, Expires: noon.Add(access.SecretLife)}},
	}
	got, err := r.App(t.Context(), admin, app.ID)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Errorf("App(): %v (-want +got):\n%s", err, diff)
	}
	if list, err := r.Apps(t.Context(), admin); err != nil || len(list) != 1 || list[0].ID != app.ID {
		t.Errorf("Apps() = %+v, %v", list, err)
	}
	if !got.Holds(made.Clear.Reveal(), noon) || got.Holds("***", noon) {
		t.Error("the application does not hold the secret that was told, or holds what is printed of it")
	}
	leaf, _ := last(t, st)
	entry := audit.Leaf{V: 1, Time: "2026-03-01T12:00:00.0000000Z", Act: audit.ActApp, Object: app.ID, Result: audit.Done, Detail: "Machine.CollectForensics,Machine.Read.All"}
	if leaf != entry {
		t.Errorf("entry %+v, want %+v", leaf, entry)
	}
	encoded, err := json.Marshal(made)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "made", made, "clear", made.Clear)
	if all := fmt.Sprintf("%v %+v %#v %s %q", made, made, made, made.Clear, made.Clear) + string(encoded) + log.String(); err != nil || strings.Contains(all, made.Clear.Reveal()) {
		t.Errorf("a secret prints as it is: %v", err)
	}
}

func TestCredentialsAreAddedAndRemoved(t *testing.T) {
	r, st := newRegister(t)
	admin := caller(tenant, auth.Administer)
	app, _, err := r.CreateApp(t.Context(), admin, as(access.NewApp{Name: "x"}))
	if err != nil {
		t.Fatal(err)
	}
	var secrets []access.MadeSecret
	for range access.MaxCredentials {
		made, err := r.AddSecret(t.Context(), admin, app.ID, as(access.NewSecret{Expires: noon.Add(time.Hour)}))
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, made)
	}
	if _, err := r.AddSecret(t.Context(), admin, app.ID, as(access.NewSecret{})); !errors.Is(err, fault.InvalidInput) {
		t.Errorf("one secret too many: %v", err)
	}
	cert, err := r.AddCertificate(t.Context(), admin, app.ID, as(access.NewCertificate{Name: "hsm", Data: certificate(t, p256(t), noon.Add(48*time.Hour))}))
	if err != nil || !cert.Expires.Equal(noon.Add(48*time.Hour)) {
		t.Errorf("AddCertificate() = %+v, %v", cert, err)
	}
	got, err := r.RemoveSecret(t.Context(), admin, app.ID, secrets[0].ID)
	if err != nil || len(got.Secrets) != access.MaxCredentials-1 || got.Holds(secrets[0].Clear.Reveal(), noon) || !got.Holds(secrets[1].Clear.Reveal(), noon) || len(got.Certificates) != 1 {
		t.Errorf("RemoveSecret() = %+v, %v", got, err)
	}
	if leaf, _ := last(t, st); leaf.Act != audit.ActRemoveSecret || leaf.Object != app.ID || leaf.Detail != secrets[0].ID || leaf.Result != audit.Done {
		t.Errorf("entry %+v", leaf)
	}
	if _, err := r.RemoveSecret(t.Context(), admin, app.ID, secrets[0].ID); !errors.Is(err, fault.NotFound) {
		t.Errorf("a secret removed twice: %v", err)
	}
	if got, err := r.RemoveCertificate(t.Context(), admin, app.ID, cert.ID); err != nil || len(got.Certificates) != 0 {
		t.Errorf("RemoveCertificate() = %+v, %v", got, err)
	}
	for range 2 {
		if got, err := r.RevokeApp(t.Context(), admin, app.ID); err != nil || !got.Revoked {
			t.Errorf("RevokeApp() = %+v, %v", got, err)
		}
	}
	_, n := last(t, st)
	if _, err := r.AddSecret(t.Context(), admin, app.ID, as(access.NewSecret{})); !errors.Is(err, fault.BadRequest) {
		t.Errorf("a secret for a revoked application: %v", err)
	}
	if want := 2 + access.MaxCredentials + 6; n != want { // start, application, secrets; refusal, certificate, removed, refusal, removed, revoked once
		t.Errorf("%d entries, want %d", n, want)
	}
}

func TestLastAdministratorStays(t *testing.T) {
	r, st := newRegister(t)
	admin := caller(tenant, auth.Administer)
	first, err := addApp(t, r, admin, auth.Administer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := addApp(t, r, admin, auth.ReadAll); err != nil { // which may not administer
		t.Fatal(err)
	}
	bare, _, err := r.CreateApp(t.Context(), admin, as(access.NewApp{Name: "no credential", Roles: []string{auth.Administer}}))
	if err != nil {
		t.Fatal(err)
	}
	stays := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, fault.DisallowedOperation) || !strings.Contains(err.Error(), "Swab.Administer") {
			t.Errorf("%s: %v", what, err)
		}
		if leaf, _ := last(t, st); leaf.Result != audit.Refused || leaf.Detail != string(fault.DisallowedOperation) {
			t.Errorf("%s: entry %+v", what, leaf)
		}
	}
	_, err = r.RevokeApp(t.Context(), admin, first.ID)
	stays("revoke the last", err)
	_, err = r.RemoveSecret(t.Context(), admin, first.ID, first.Secrets[0].ID)
	stays("remove its last secret", err)

	// One that is good from tomorrow lets nobody in today.
	future := certificate(t, p256(t), noon.Add(48*time.Hour), func(c *x509.Certificate) { c.NotBefore = noon.Add(24 * time.Hour) })
	soon, err := r.AddCertificate(t.Context(), admin, first.ID, as(access.NewCertificate{Data: future}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.RemoveSecret(t.Context(), admin, first.ID, first.Secrets[0].ID)
	stays("remove its last secret, with a certificate that is not valid yet", err)
	if _, err := r.RemoveCertificate(t.Context(), admin, first.ID, soon.ID); err != nil {
		t.Error(err)
	}

	// A second credential makes the first one free, and no more.
	second, err := r.AddSecret(t.Context(), admin, first.ID, as(access.NewSecret{Expires: noon.Add(time.Hour)}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.RemoveSecret(t.Context(), admin, first.ID, first.Secrets[0].ID); err != nil {
		t.Error(err)
	}
	_, err = r.RemoveSecret(t.Context(), admin, first.ID, second.ID)
	stays("remove its last secret", err)
	cert, err := r.AddCertificate(t.Context(), admin, bare.ID, as(access.NewCertificate{Data: certificate(t, p256(t), noon.Add(time.Hour))}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.RevokeApp(t.Context(), admin, first.ID); err != nil {
		t.Errorf("revoke one of two: %v", err)
	}
	_, err = r.RemoveCertificate(t.Context(), admin, bare.ID, cert.ID)
	stays("remove the last certificate", err)

	// What has expired lets nobody in, so it may go.
	late := *r
	late.Now = func() time.Time { return noon.Add(2 * time.Hour) }
	if _, err := late.RemoveCertificate(t.Context(), admin, bare.ID, cert.ID); err != nil {
		t.Errorf("remove what has expired: %v", err)
	}
	_, err = late.RevokeApp(t.Context(), admin, bare.ID)
	stays("revoke the last, although its credentials are gone", err)
}

func addApp(t *testing.T, r *access.Register, who auth.Caller, role string) (auth.App, error) {
	t.Helper()
	app, _, err := r.CreateApp(t.Context(), who, as(access.NewApp{Name: role, Roles: []string{role}, Secret: &access.NewSecret{}}))
	return app, err
}

func TestWhatIsAskedForIsBounded(t *testing.T) {
	r, _ := newRegister(t)
	admin := caller(tenant, auth.Administer)
	long, wide := strings.Repeat("ä", access.MaxName+1), strings.Repeat("ä", access.MaxName)
	app := func(n access.NewApp) error { _, _, err := r.CreateApp(t.Context(), admin, as(n)); return err }
	token := func(n access.NewEnrollment) error {
		_, _, err := r.CreateEnrollment(t.Context(), admin, as(n))
		return err
	}
	secret := func(n access.NewSecret) error { return app(access.NewApp{Name: "x", Secret: &n}) }
	tags := make([]string, access.MaxTags+1)
	for i := range tags {
		tags[i] = fmt.Sprint(i)
	}
	for name, tt := range map[string]struct {
		err  error
		want fault.Code // "": none
	}{
		"a long name":            {app(access.NewApp{Name: wide}), ""},
		"no name":                {app(access.NewApp{}), fault.MissingParameter},
		"a name too long":        {app(access.NewApp{Name: long}), fault.InvalidInput},
		"a name with a control":  {app(access.NewApp{Name: "a\x1bb"}), fault.InvalidInput},
		"a name that turns":      {app(access.NewApp{Name: "a\u202eb"}), fault.InvalidInput},
		"a name of blanks":       {app(access.NewApp{Name: "  "}), fault.MissingParameter},
		"a role of users":        {app(access.NewApp{Name: "x", Roles: []string{"Machine.Read"}}), fault.InvalidInput},
		"a role in another case": {app(access.NewApp{Name: "x", Roles: []string{"swab.administer"}}), fault.InvalidInput},
		"a secret of the past":   {secret(access.NewSecret{Expires: noon}), fault.InvalidInput},
		"a secret for ever":      {secret(access.NewSecret{Expires: noon.Add(access.MaxSecretLife + 1)}), fault.InvalidInput},
		"a secret for long":      {secret(access.NewSecret{Expires: noon.Add(access.MaxSecretLife)}), ""},
		"a secret's name":        {secret(access.NewSecret{Name: long}), fault.InvalidInput},
		"a token":                {token(access.NewEnrollment{Name: wide, Count: access.MaxCount, Expires: noon.Add(1), Tags: tags[1:]}), ""},
		"a count below none":     {token(access.NewEnrollment{Count: -1}), fault.InvalidInput},
		"a count too high":       {token(access.NewEnrollment{Count: access.MaxCount + 1}), fault.InvalidInput},
		"a token of the past":    {token(access.NewEnrollment{Expires: noon}), fault.InvalidInput},
		"too many tags":          {token(access.NewEnrollment{Tags: tags}), fault.InvalidInput},
		"a tag too long":         {token(access.NewEnrollment{Tags: []string{long}}), fault.InvalidInput},
		"an empty tag":           {token(access.NewEnrollment{Tags: []string{""}}), fault.MissingParameter},
		"a tag twice":            {token(access.NewEnrollment{Tags: []string{"a", "a"}}), fault.InvalidInput},
	} {
		if tt.want == "" && tt.err != nil || tt.want != "" && !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: %v, want %q", name, tt.err, tt.want)
		}
	}
}
