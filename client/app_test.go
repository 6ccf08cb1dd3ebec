package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"path"
	"testing"
	"time"
)

// Each call of administration as it goes out, and what comes back of it.
func TestAdministrationIsAskedForAsTheServerTakesIt(t *testing.T) {
	s, c := newServer(t)
	var sent, query string
	const reply = `{"id":"i","name":"n","clientSecret":"cs","token":"tok","tenantId":"ti","revoked":true,"created":null,"expires":"2027-01-02T03:04:05.0000000Z",
		"roles":["r"],"secrets":[{"id":"s","expires":null}],"certificates":[]}`
	s.api("/api/admin/v1/", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		sent = r.Method + " " + r.URL.EscapedPath()[len("/api/admin/v1/"):] + " " + string(body)
		query = r.URL.RawQuery
		if r.Method == http.MethodGet && path.Base(r.URL.Path) != "i" {
			io.WriteString(w, `{"value":[`+reply+`]}`)
			return
		}
		io.WriteString(w, reply)
	})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{Raw: selfSigned(t, key).Certificate[0]}
	quoted, err := json.Marshal(cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	ctx, until := t.Context(), time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	for want, call := range map[string]func() (bool, error){
		"GET apps ":   func() (bool, error) { l, err := c.Apps(ctx); return len(l) == 1 && l[0].Roles[0] == "r", err },
		"GET apps/i ": func() (bool, error) { a, err := c.App(ctx, "i"); return a.ID == "i" && a.Secrets[0].ID == "s", err },
		`POST apps {"name":"n","roles":["r"],"secret":{"expires":"2027-01-02T03:04:05Z"}}`: func() (bool, error) {
			a, err := c.CreateApp(ctx, AppRequest{Name: "n", Roles: []string{"r"}, Secret: &SecretRequest{Expires: until}})
			return a.ID == "i" && a.ClientSecret == "cs", err
		},
		"POST apps/a%2Fb/revoke ": func() (bool, error) { a, err := c.RevokeApp(ctx, "a/b"); return a.Revoked, err },
		`POST apps/i/secrets {"name":"n"}`: func() (bool, error) {
			k, err := c.AddSecret(ctx, "i", SecretRequest{Name: "n"})
			return k.ClientSecret == "cs" && k.Expires.Equal(until), err
		},
		"DELETE apps/i/secrets/s%3F ": func() (bool, error) { a, err := c.RemoveSecret(ctx, "i", "s?"); return a.ID == "i", err },
		`POST apps/i/certificates {"certificate":` + string(quoted) + `}`: func() (bool, error) {
			k, err := c.AddCertificate(ctx, "i", "", cert, time.Time{})
			return k.ID == "i", err
		},
		"DELETE apps/i/certificates/s ": func() (bool, error) { a, err := c.RemoveCertificate(ctx, "i", "s"); return a.ID == "i", err },
		`POST enrollments {"count":2,"tags":["t"]}`: func() (bool, error) {
			e, err := c.CreateEnrollment(ctx, EnrollmentRequest{Count: 2, Tags: []string{"t"}})
			return e.Token == "tok" && e.ID == "i", err
		},
		"GET tenants ": func() (bool, error) { l, err := c.Tenants(ctx); return len(l) == 1 && l[0].Revoked, err },
		`POST tenants {"name":"x.y"}`: func() (bool, error) {
			n, err := c.CreateTenant(ctx, "x.y")
			return n.TenantID == "ti" && n.ClientSecret == "cs", err
		},
		"POST tenants/i/revoke ": func() (bool, error) { n, err := c.RevokeTenant(ctx, "i"); return n.Revoked, err },
		"GET devices ": func() (bool, error) {
			p, err := c.Devices(ctx, DeviceQuery{Name: "n", After: "a", Top: 3})
			return len(p.Devices) == 1 && p.Devices[0].ID == "i" && query == "after=a&name=n&top=3", err
		},
		"GET devices/i ":              func() (bool, error) { d, err := c.Device(ctx, "i"); return d.Name == "n" && d.Cloned.IsZero(), err },
		`PATCH devices/i {"name":""}`: func() (bool, error) { d, err := c.RenameDevice(ctx, "i", ""); return d.ID == "i", err },
		"POST devices/i/retire ":      func() (bool, error) { d, err := c.RetireDevice(ctx, "i"); return d.ID == "i", err },
		"POST devices/i/restore ":     func() (bool, error) { d, err := c.RestoreDevice(ctx, "i"); return d.ID == "i", err },
		"POST devices/i/rotateKey ":   func() (bool, error) { d, err := c.RotateDeviceKey(ctx, "i"); return d.ID == "i", err },
		"POST devices/i/revoke ":      func() (bool, error) { d, err := c.RevokeDevice(ctx, "i"); return d.Revoked, err },
	} {
		ok, err := call()
		if !ok || err != nil || sent != want {
			t.Errorf("sent %s\nwant %s\nread back: %v, %v", sent, want, ok, err)
		}
	}
	for _, call := range []func() error{
		func() error { _, err := c.App(ctx, ""); return err },
		func() error { _, err := c.RemoveSecret(ctx, "i", ".."); return err },
		func() error { _, err := c.RevokeTenant(ctx, "."); return err },
		func() error { _, err := c.RevokeDevice(ctx, ""); return err },
		func() error { _, err := c.RenameDevice(ctx, "..", "x"); return err },
	} {
		if call() == nil {
			t.Error("an id that is none was asked for")
		}
	}
}
