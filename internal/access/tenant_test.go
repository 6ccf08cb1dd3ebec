package access_test

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/access"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
)

func TestTenantIsMadeWhole(t *testing.T) {
	r, st := newRegister(t)
	admin := caller(tenant, auth.Administer)
	made, err := r.CreateTenant(t.Context(), admin, as("contoso.example"))
	if err != nil {
		t.Fatal(err)
	}
	app, err := st.App(t.Context(), made.ID, made.App.ID)
	if err != nil || !app.Holds(made.Secret.Reveal(), noon.AddDate(100, 0, 0)) || !slices.Equal(app.Roles, auth.Permissions) {
		t.Errorf("its application is %+v, %v", app, err)
	}
	dev, err := st.Enrol(t.Context(), made.EnrollmentToken.Hash(), enrolment(3), entryOf)
	if err != nil || dev.Tenant != made.ID {
		t.Errorf("its token admits to %q, %v", dev.Tenant, err)
	}
	entries, err := st.AuditEntries(t.Context(), made.ID, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	var acts []audit.Act
	for _, e := range entries {
		leaf, err := audit.ParseLeaf(e.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		acts = append(acts, leaf.Act)
	}
	if diff := cmp.Diff([]audit.Act{audit.ActStart, audit.ActApp, audit.ActApp, audit.ActCreateEnrollment, audit.ActEnrol}, acts); diff != "" {
		t.Errorf("its log (-want +got):\n%s", diff)
	}
	if leaf, n := last(t, st); leaf.Act != audit.ActCreateTenant || leaf.Object != made.ID || n != 2 {
		t.Errorf("entry %d of the home tenant is %+v", n, leaf)
	}
	if _, err := r.CreateTenant(t.Context(), admin, as("contoso.example")); !errors.Is(err, fault.InvalidInput) {
		t.Errorf("a second tenant of one name: %v", err)
	}
	if list, err := r.Tenants(t.Context(), admin); err != nil || len(list) != 3 {
		t.Errorf("the home tenant sees %+v, %v", list, err)
	}
	theirs, err := r.Tenants(t.Context(), caller(made.ID, auth.Administer))
	if diff := cmp.Diff([]auth.Tenant{made.Tenant}, theirs); err != nil || diff != "" {
		t.Errorf("another tenant sees: %v (-want +got):\n%s", err, diff)
	}
}

func TestOnlyTheHomeTenantMakesAndRevokesTenants(t *testing.T) {
	r, st := newRegister(t)
	theirs := caller(other, auth.Administer)
	for what, do := range map[string]func() error{
		"create":         func() error { _, err := r.CreateTenant(t.Context(), theirs, as("x")); return err },
		"revoke another": func() error { _, err := r.RevokeTenant(t.Context(), theirs, tenant); return err },
		"revoke its own": func() error { _, err := r.RevokeTenant(t.Context(), theirs, other); return err },
		"revoke nothing": func() error { _, err := r.RevokeTenant(t.Context(), theirs, "nosuch"); return err },
		"revoke home": func() error {
			_, err := r.RevokeTenant(t.Context(), caller(tenant, auth.Administer), tenant)
			return err
		},
	} {
		if err := do(); !errors.Is(err, fault.DisallowedOperation) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if list, err := st.Tenants(t.Context()); err != nil || len(list) != 2 || list[0].Revoked || list[1].Revoked {
		t.Errorf("tenants are %+v, %v", list, err)
	}
}

func TestNobodyOfARevokedTenantIsLetIn(t *testing.T) {
	r, st := newRegister(t)
	admin := caller(tenant, auth.Administer)
	dev := enrol(t, st, other, 1)
	own := enrol(t, st, tenant, 2)
	app, err := addApp(t, r, caller(other, auth.Administer), auth.Administer)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := r.RevokeTenant(t.Context(), admin, other); err != nil || !got.Revoked {
			t.Errorf("RevokeTenant() = %+v, %v", got, err)
		}
	}
	if got, err := st.App(t.Context(), other, app.ID); err != nil || !got.Revoked {
		t.Errorf("its application: %+v, %v", got, err)
	}
	if got, err := st.DeviceByID(t.Context(), dev.ID); err != nil || !got.Revoked {
		t.Errorf("its device: %+v, %v", got, err)
	}
	if got, err := st.DeviceByID(t.Context(), own.ID); err != nil || got.Revoked {
		t.Errorf("another tenant's device: %+v, %v", got, err)
	}
	if diff := cmp.Diff(woken{dev.ID, dev.ID}, *r.Bus.(*woken)); diff != "" {
		t.Errorf("woken (-want +got):\n%s", diff)
	}
	_, err = st.Enrol(t.Context(), sha256.Sum256([]byte(other)), enrolment(3), entryOf)
	if _, text := fault.Of(err); !errors.Is(err, fault.Unauthorized) || text != "The enrolment token was revoked; ask for another" {
		t.Errorf("its token: %v", err)
	}
	for _, log := range []string{tenant, other} {
		entries, err := st.AuditEntries(t.Context(), log, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, e := range entries {
			if strings.Contains(string(e.Leaf), `"act":"tenant.revoke"`) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d entries in the log of %s", n, log)
		}
	}
}

func TestRevokedDeviceIsWokenAndRecordedOnce(t *testing.T) {
	r, st := newRegister(t)
	dev := enrol(t, st, tenant, 1)
	for range 2 {
		got, err := r.RevokeDevice(t.Context(), caller(tenant, auth.Administer), string(dev.ID))
		if err != nil || !got.Revoked || got.ID != dev.ID {
			t.Errorf("RevokeDevice() = %+v, %v", got, err)
		}
	}
	leaf, n := last(t, st)
	if leaf.Act != audit.ActRevokeDevice || leaf.Object != string(dev.ID) || leaf.Device != string(dev.ID) || n != 3 {
		t.Errorf("entry %d is %+v", n, leaf)
	}
	if diff := cmp.Diff(woken{dev.ID, dev.ID}, *r.Bus.(*woken)); diff != "" {
		t.Errorf("woken (-want +got):\n%s", diff)
	}
}

func TestTenantNames(t *testing.T) {
	for _, name := range []string{"a", "contoso", "contoso.example", "xn--mnchen-3ya.example", "0", "token", strings.Repeat("a", 63) + ".b"} {
		if err := access.CheckTenantName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{
		"", "A", "a b", "-a", "a-", "a..b", ".a", "a.", "ä", "a/b", "a_b", "a\n", "../api", strings.Repeat("a", 64), strings.Repeat("a.", 127) + "b",
		"12345678-1234-4234-8234-123456789abc", "12345678123442348234123456789abc", "api", "common",
	} {
		if err := access.CheckTenantName(name); !errors.Is(err, fault.InvalidInput) && !errors.Is(err, fault.MissingParameter) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if access.OddTenantName("mytokens.example") == "" || access.OddTenantName("contoso") != "" {
		t.Error("the word token is not warned of, or another is")
	}
}

func FuzzTenantName(f *testing.F) {
	f.Add("contoso.example")
	f.Add("a-.b")
	f.Fuzz(func(t *testing.T, name string) {
		if access.CheckTenantName(name) == nil && (len(name) > 253 || strings.ContainsAny(name, "/\\%?# \n") || strings.ToLower(name) != name) {
			t.Errorf("%q is taken", name)
		}
	})
}
