package access_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"swab/internal/access"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/odata"
	"swab/internal/store"
)

// operation is one operation on a thing of an id; create operations have none.
type operation struct {
	name string
	act  audit.Act
	kind string // what the text calls the thing; "" where none is named
	do   func(r *access.Register, who auth.Caller, id string) error
}

func operations(t *testing.T) []operation {
	ctx := t.Context()
	secret := as(access.NewSecret{})
	return []operation{
		{"list applications", audit.ActReadApp, "", func(r *access.Register, who auth.Caller, _ string) error {
			_, err := r.Apps(ctx, who)
			return err
		}},
		{"show an application", audit.ActReadApp, "Application", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.App(ctx, who, id)
			return err
		}},
		{"create an application", audit.ActApp, "", func(r *access.Register, who auth.Caller, _ string) error {
			_, _, err := r.CreateApp(ctx, who, func() (access.NewApp, error) { return access.NewApp{Name: "x"}, nil })
			return err
		}},
		{"revoke an application", audit.ActRevokeApp, "Application", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.RevokeApp(ctx, who, id)
			return err
		}},
		{"add a secret", audit.ActAddSecret, "Application", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.AddSecret(ctx, who, id, secret)
			return err
		}},
		{"remove a secret", audit.ActRemoveSecret, "Application", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.RemoveSecret(ctx, who, id, "first")
			return err
		}},
		{"add a certificate", audit.ActAddCertificate, "Application", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.AddCertificate(ctx, who, id, func() (access.NewCertificate, error) { return access.NewCertificate{}, nil })
			return err
		}},
		{"remove a certificate", audit.ActRemoveCertificate, "Application", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.RemoveCertificate(ctx, who, id, "none")
			return err
		}},
		{"list enrolment tokens", audit.ActReadEnrollment, "", func(r *access.Register, who auth.Caller, _ string) error {
			_, err := r.Enrollments(ctx, who)
			return err
		}},
		{"create an enrolment token", audit.ActCreateEnrollment, "", func(r *access.Register, who auth.Caller, _ string) error {
			_, _, err := r.CreateEnrollment(ctx, who, func() (access.NewEnrollment, error) { return access.NewEnrollment{}, nil })
			return err
		}},
		{"revoke an enrolment token", audit.ActRevokeEnrollment, "Enrolment token", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.RevokeEnrollment(ctx, who, id)
			return err
		}},
		{"list tenants", audit.ActReadTenant, "", func(r *access.Register, who auth.Caller, _ string) error {
			_, err := r.Tenants(ctx, who)
			return err
		}},
		{"create a tenant", audit.ActCreateTenant, "", func(r *access.Register, who auth.Caller, _ string) error {
			_, err := r.CreateTenant(ctx, who, func() (string, error) { return "x", nil })
			return err
		}},
		{"revoke a tenant", audit.ActRevokeTenant, "Tenant", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.RevokeTenant(ctx, who, id)
			return err
		}},
		{"list devices", audit.ActReadDevice, "", func(r *access.Register, who auth.Caller, _ string) error {
			_, err := r.Devices(ctx, who, func() (access.DeviceQuery, error) { return access.DeviceQuery{}, nil })
			return err
		}},
		{"show a device", audit.ActReadDevice, "Machine", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.Device(ctx, who, id)
			return err
		}},
		{"rename a device", audit.ActRenameDevice, "Machine", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.RenameDevice(ctx, who, id, func() (string, error) { return "x", nil })
			return err
		}},
		{"retire a device", audit.ActRetireDevice, "Machine", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.RetireDevice(ctx, who, id)
			return err
		}},
		{"restore a device", audit.ActRestoreDevice, "Machine", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.RestoreDevice(ctx, who, id)
			return err
		}},
		{"ask a device for another key", audit.ActAskDeviceKey, "Machine", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.RotateDeviceKey(ctx, who, id)
			return err
		}},
		{"revoke a device", audit.ActRevokeDevice, "Machine", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.RevokeDevice(ctx, who, id)
			return err
		}},
	}
}

func TestEveryOperationAsksForPermissionAndRecordsRefusals(t *testing.T) {
	r, st := newRegister(t)
	foreign := enrol(t, st, other, 1)
	if err := st.CreateApp(t.Context(), auth.App{Tenant: other, ID: other, Secrets: []auth.Secret{{ID: "first"}}}); err != nil {
		t.Fatal(err)
	}
	most := caller(tenant, auth.CollectForensics, auth.ReadAll, auth.ReadWriteAll)
	admin := caller(tenant, auth.Administer)
	odd := "\x00" + strings.Repeat("x", 1<<20)
	before := snapshot(t, st)
	for _, op := range operations(t) {
		refused := func(who auth.Caller, id string, code fault.Code, object string) string {
			t.Helper()
			_, n := last(t, st)
			err := op.do(r, who, id)
			if !errors.Is(err, code) || len(err.Error()) > 600 {
				t.Errorf("%s: %.600v, want %s", op.name, err, code)
			}
			leaf, now := last(t, st)
			if now != n+1 || leaf.Result != audit.Refused || leaf.Detail != string(code) || leaf.Act != op.act || leaf.Object != object {
				t.Errorf("%s: %d new entries, the last %+v", op.name, now-n, leaf)
			}
			_, text := fault.Of(err)
			return text
		}
		if op.kind == "" {
			refused(most, "", fault.Forbidden, tenant)
			continue
		}
		refused(most, "some", fault.Forbidden, "some")
		ids := map[string]string{"Application": other, "Enrolment token": other, "Machine": string(foreign.ID), "Tenant": other}
		if op.kind != "Tenant" { // the home tenant's administrators do see the others
			theirs, none := refused(admin, ids[op.kind], fault.NotFound, ids[op.kind]), refused(admin, "nosuch", fault.NotFound, "nosuch")
			if strings.ReplaceAll(theirs, ids[op.kind], "nosuch") != none || none != op.kind+" nosuch was not found" {
				t.Errorf("%s: another tenant's %q, nobody's %q", op.name, theirs, none)
			}
		}
		refused(admin, odd, fault.NotFound, audit.Clip(odd))
	}
	if after := snapshot(t, st); after != before {
		t.Errorf("what was refused changed things: before\n%s\nafter\n%s", before, after)
	}
}

// snapshot is all that administrators can change, as text.
func snapshot(t *testing.T, st *store.Store) string {
	t.Helper()
	var b strings.Builder
	tenants, err := st.Tenants(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	show := func(v any, err error) {
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(strings.ReplaceAll(sprint(v), "} {", "}\n{") + "\n")
	}
	show(tenants, nil)
	for _, of := range tenants {
		apps, err := st.Apps(t.Context(), of.ID)
		show(apps, err)
		tokens, err := st.Enrollments(t.Context(), of.ID)
		show(tokens, err)
		devices, err := st.Devices(t.Context(), of.ID, device.Everywhere, odata.All())
		show(devices, err)
	}
	return b.String()
}

// enrol adds a device with a key made from n by the tenant's own token.
func enrol(t *testing.T, st *store.Store, tenant string, n byte) device.Device {
	t.Helper()
	d, err := st.Enrol(t.Context(), sha256.Sum256([]byte(tenant)), enrolment(n), entryOf)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func enrolment(n byte) device.Device {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	return device.Device{ID: device.IDOf(key), Keys: []ed25519.PublicKey{key}}
}

func entryOf(tenant string) audit.Entry {
	return audit.NewEntry(noon, audit.Leaf{Act: audit.ActEnrol, Object: tenant, Result: audit.Done}, audit.Hidden{})
}
