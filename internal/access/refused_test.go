package access_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
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
		{"list users", audit.ActReadUser, "", func(r *access.Register, who auth.Caller, _ string) error {
			_, err := r.Users(ctx, who, as(access.Paging{}))
			return err
		}},
		{"show a user", audit.ActReadUser, "User", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.User(ctx, who, id)
			return err
		}},
		{"create a user", audit.ActCreateUser, "", func(r *access.Register, who auth.Caller, _ string) error {
			_, _, err := r.CreateUser(ctx, who, as(access.NewUser{Principal: "x@y.example"}))
			return err
		}},
		{"change a user", audit.ActChangeUser, "User", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.ChangeUser(ctx, who, id, as(access.UserChange{Name: new("x")}))
			return err
		}},
		{"disable a user", audit.ActDisableUser, "User", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.DisableUser(ctx, who, id)
			return err
		}},
		{"enable a user", audit.ActEnableUser, "User", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.EnableUser(ctx, who, id)
			return err
		}},
		{"reset a password", audit.ActResetPassword, "User", func(r *access.Register, who auth.Caller, id string) error {
			_, _, err := r.ResetPassword(ctx, who, id, as(""))
			return err
		}},
		{"reset one-time codes", audit.ActResetTOTP, "User", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.ResetTOTP(ctx, who, id)
			return err
		}},
		{"list sessions", audit.ActReadUser, "User", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.Sessions(ctx, who, id)
			return err
		}},
		{"revoke sessions", audit.ActRevokeSessions, "User", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.RevokeSessions(ctx, who, id)
			return err
		}},
		{"list user groups", audit.ActReadUserGroup, "", func(r *access.Register, who auth.Caller, _ string) error {
			_, err := r.UserGroups(ctx, who)
			return err
		}},
		{"show a user group", audit.ActReadUserGroup, "User group", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.UserGroup(ctx, who, id)
			return err
		}},
		{"list members", audit.ActReadUserGroup, "User group", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.Members(ctx, who, id, as(access.Paging{}))
			return err
		}},
		{"create a user group", audit.ActCreateUserGroup, "", func(r *access.Register, who auth.Caller, _ string) error {
			_, err := r.CreateUserGroup(ctx, who, as(access.NewUserGroup{Name: "x"}))
			return err
		}},
		{"change a user group", audit.ActChangeUserGroup, "User group", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.ChangeUserGroup(ctx, who, id, as(access.Naming{Name: new("x")}))
			return err
		}},
		{"delete a user group", audit.ActDeleteUserGroup, "User group", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.DeleteUserGroup(ctx, who, id)
			return err
		}},
		{"add to a user group", audit.ActChangeUserGroup, "User group", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.AddMember(ctx, who, id, "nosuch")
			return err
		}},
		{"take out of a user group", audit.ActChangeUserGroup, "User group", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.RemoveMember(ctx, who, id, "nosuch")
			return err
		}},
		{"list roles", audit.ActReadRole, "", func(r *access.Register, who auth.Caller, _ string) error {
			_, err := r.Roles(ctx, who)
			return err
		}},
		{"show a role", audit.ActReadRole, "Role", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.Role(ctx, who, id)
			return err
		}},
		{"create a role", audit.ActCreateRole, "", func(r *access.Register, who auth.Caller, _ string) error {
			_, err := r.CreateRole(ctx, who, as(access.NewRole{Name: "x"}))
			return err
		}},
		{"change a role", audit.ActChangeRole, "Role", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.ChangeRole(ctx, who, id, as(access.RoleChange{Permissions: &[]auth.Permission{}}))
			return err
		}},
		{"delete a role", audit.ActDeleteRole, "Role", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.DeleteRole(ctx, who, id)
			return err
		}},
		{"list device groups", audit.ActReadDeviceGroup, "", func(r *access.Register, who auth.Caller, _ string) error {
			_, err := r.DeviceGroups(ctx, who)
			return err
		}},
		{"show a device group", audit.ActReadDeviceGroup, "Device group", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.DeviceGroup(ctx, who, id)
			return err
		}},
		{"create a device group", audit.ActCreateDeviceGroup, "", func(r *access.Register, who auth.Caller, _ string) error {
			_, err := r.CreateDeviceGroup(ctx, who, as(access.NewDeviceGroup{Name: "x", Rule: tagged("x")}))
			return err
		}},
		{"change a device group", audit.ActChangeDeviceGroup, "Device group", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.ChangeDeviceGroup(ctx, who, id, as(access.DeviceGroupChange{Rank: new(1)}))
			return err
		}},
		{"delete a device group", audit.ActDeleteDeviceGroup, "Device group", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.DeleteDeviceGroup(ctx, who, id)
			return err
		}},
		{"preview a rule", audit.ActReadDeviceGroup, "", func(r *access.Register, who auth.Caller, _ string) error {
			_, err := r.PreviewRule(ctx, who, as(tagged("x")))
			return err
		}},
		{"rank device groups", audit.ActOrderDeviceGroups, "", func(r *access.Register, who auth.Caller, _ string) error {
			_, err := r.OrderDeviceGroups(ctx, who, as([]int64{}))
			return err
		}},
		{"list issuers", audit.ActReadIssuer, "", func(r *access.Register, who auth.Caller, _ string) error {
			_, err := r.Issuers(ctx, who)
			return err
		}},
		{"show an issuer", audit.ActReadIssuer, "Issuer", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.Issuer(ctx, who, id)
			return err
		}},
		{"trust an issuer", audit.ActCreateIssuer, "", func(r *access.Register, who auth.Caller, _ string) error {
			_, err := r.CreateIssuer(ctx, who, as(auth.TrustedIssuer{Name: "x", URL: "https://x.example", Audiences: []string{"y"}}))
			return err
		}},
		{"change an issuer", audit.ActChangeIssuer, "Issuer", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.ChangeIssuer(ctx, who, id, as(access.IssuerChange{Name: new("x")}))
			return err
		}},
		{"revoke an issuer", audit.ActRevokeIssuer, "Issuer", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.RevokeIssuer(ctx, who, id)
			return err
		}},
		{"change an application", audit.ActChangeApp, "Application", func(r *access.Register, who auth.Caller, id string) error {
			_, err := r.ChangeApp(ctx, who, id, as(access.AppChange{Name: new("x")}))
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
	theirs := caller(other, auth.Administer)
	group, err := r.CreateUserGroup(t.Context(), theirs, as(access.NewUserGroup{Name: "group"}))
	must(t, err)
	user, _, err := r.CreateUser(t.Context(), theirs, as(access.NewUser{Principal: "x@y.example"}))
	must(t, err)
	role, err := r.CreateRole(t.Context(), theirs, as(access.NewRole{Name: "role"}))
	must(t, err)
	devices, err := r.CreateDeviceGroup(t.Context(), theirs, as(access.NewDeviceGroup{Name: "devices", Rule: tagged("x")}))
	must(t, err)
	issuer, err := r.CreateIssuer(t.Context(), theirs, as(auth.TrustedIssuer{Name: "x", URL: "https://x.example", Audiences: []string{"y"}}))
	must(t, err)
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
		ids := map[string]string{"Application": other, "Enrolment token": other, "Machine": string(foreign.ID), "Tenant": other,
			"User": user.ID, "User group": group.ID, "Role": role.ID, "Device group": fmt.Sprint(devices.ID), "Issuer": issuer.ID}
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
		people, err := st.People(t.Context(), of.ID, "", "", 1000)
		show(people, err)
		groups, err := st.UserGroups(t.Context(), of.ID)
		show(groups, err)
		policy, err := st.Policy(t.Context(), of.ID)
		show(policy.Roles, err)
		show(policy.Groups.All(), err)
		issuers, err := st.IssuersOf(t.Context(), of.ID)
		show(issuers, err)
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
