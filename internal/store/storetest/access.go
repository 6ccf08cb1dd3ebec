package storetest

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/keys"
	"swab/internal/odata"
	"swab/internal/store"
	"swab/internal/vault"
)

func tenantsAreApart(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	a := w.create(t, newAction(w.device, 1))
	app := auth.App{Tenant: w.tenant, ID: id(0xd, 1), Name: "app"}
	if err := s.CreateApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	newToken(t, s, w.tenant, app.ID, nil) // of the same id, so that one look-up serves for both
	other := newTenant(t, s, 2)
	ctx, dev, absent := t.Context(), w.device.ID, newDevice(77).ID
	touch := func(a action.Action) (action.Action, []audit.Entry, error) { return a, nil, nil }
	for what, call := range map[string]func(tenant, action string, dev device.ID, app string) error{
		"Machine action %[1]s was not found": func(tenant, action string, _ device.ID, _ string) error {
			_, err := s.Action(ctx, tenant, action)
			return err
		},
		"Machine action %[1]s was not found ": func(tenant, action string, _ device.ID, _ string) error {
			_, err := s.ChangeAction(ctx, tenant, action, touch)
			return err
		},
		"Machine %[2]s was not found": func(tenant, _ string, dev device.ID, _ string) error {
			_, err := s.Device(ctx, tenant, dev)
			return err
		},
		"Machine %[2]s was not found ": func(tenant, _ string, dev device.ID, _ string) error {
			return s.Seen(ctx, tenant, dev, w.device)
		},
		"Enrolment token %[3]s was not found": func(tenant, _ string, _ device.ID, app string) error {
			_, err := s.RevokeEnrollment(ctx, tenant, app, entry(audit.ActRevokeEnrollment, app, ""))
			return err
		},
		"Application %[3]s was not found": func(tenant, _ string, _ device.ID, app string) error {
			_, err := s.App(ctx, tenant, app)
			return err
		},
	} {
		say := func(format, action string, dev device.ID, app string) string {
			if format[len(format)-1] == ' ' {
				format = format[:len(format)-1]
			}
			return fmt.Sprintf(format+"%.0[1]s%.0[2]s%.0[3]s", action, dev, app)
		}
		if err := call(w.tenant, a.ID, dev, app.ID); err != nil {
			t.Errorf("%q: in its own tenant: %v", what, err)
		}
		wantFault(t, "another tenant's", call(other, a.ID, dev, app.ID), fault.NotFound, say(what, a.ID, dev, app.ID))
		wantFault(t, "nobody's", call(w.tenant, id(9, 9), absent, id(9, 8)), fault.NotFound, say(what, id(9, 9), absent, id(9, 8)))
	}
	_, err := s.DeviceByID(ctx, absent)
	wantFault(t, "nobody's", err, fault.NotFound, "Machine "+string(absent)+" was not found")
	_, err = s.Head(ctx, id(9, 9))
	wantFault(t, "no tenant's log", err, fault.NotFound, "")
	if list, err := s.Actions(ctx, other, device.Everywhere, odata.All()); err != nil || len(list.Rows) != 0 {
		t.Errorf("another tenant's list has %d actions, %v", len(list.Rows), err)
	}
	if list, err := s.Actions(ctx, other, device.Everywhere, actionsOf(dev)); err != nil || len(list.Rows) != 0 {
		t.Errorf("another tenant's list of the device has %d actions, %v", len(list.Rows), err)
	}
	if _, ok, err := s.ActiveAction(ctx, other, dev); err != nil || ok {
		t.Errorf("another tenant sees the active action: %v, %v", ok, err)
	}
	if list, err := s.Devices(ctx, other, device.Everywhere, odata.All()); err != nil || len(list.Rows) != 0 {
		t.Errorf("another tenant's list has %d devices, %v", len(list.Rows), err)
	}
	if list, err := s.Enrollments(ctx, other); err != nil || len(list) != 0 {
		t.Errorf("another tenant sees %d enrolment tokens, %v", len(list), err)
	}
	if list, err := s.UploadsOf(ctx, other, a.ID); err != nil || len(list) != 0 {
		t.Errorf("another tenant sees %d uploads, %v", len(list), err)
	}
	alien := newAction(w.device, 5)
	alien.Tenant = other
	if _, err := s.CreateAction(ctx, alien, entry(audit.ActCollect, alien.ID, alien.Device)); err == nil {
		t.Error("an action was created for a device of another tenant")
	}
	checkLog(t, s, other, 1)
}

func appsAndTenants(t *testing.T, s *store.Store) {
	if list, err := s.Tenants(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("Tenants() of an empty store = %v, %v", list, err)
	}
	second, first := newTenant(t, s, 2), newTenant(t, s, 1)
	list, err := s.Tenants(t.Context())
	want := []auth.Tenant{{ID: first, Name: "tenant 1", Created: at(1)}, {ID: second, Name: "tenant 2", Created: at(2)}}
	if diff := cmp.Diff(want, list); err != nil || diff != "" {
		t.Errorf("Tenants(): %v (-want +got):\n%s", err, diff)
	}
	app := auth.App{
		Tenant: first, ID: id(0xd, 1), Name: "siem", Roles: []string{auth.CollectForensics, auth.ReadAll}, Created: at(3),
		Scopes: []string{auth.Read}, Redirects: []string{"https://siem.example/"}, Public: true,
		Secrets:      []auth.Secret{{ID: "s1", Name: "for the siem", Hash: tokenOf("s1"), Created: at(3)}, {ID: "s2", Hash: tokenOf("s2"), Expires: at(4)}},
		Certificates: []auth.Certificate{{ID: "c1", Name: "of the siem", DER: []byte{1, 2, 3}, Created: at(3), Expires: at(5)}},
	}
	if err := s.CreateApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	got, err := s.App(t.Context(), first, app.ID)
	if diff := cmp.Diff(app, got); err != nil || diff != "" {
		t.Errorf("App(): %v (-want +got):\n%s", err, diff)
	}
	wantFault(t, "an application of that id", s.CreateApp(t.Context(), app), fault.InvalidInput, "Application "+app.ID+" exists already")
	twice := app
	twice.ID, twice.Secrets = id(0xd, 2), []auth.Secret{{ID: "s1", Hash: tokenOf("s1")}, {ID: "s1", Hash: tokenOf("s2")}}
	wantFault(t, "a secret twice", s.CreateApp(t.Context(), twice), fault.InvalidInput, "Secret s1 of application "+twice.ID+" exists already")
	_, err = s.App(t.Context(), first, twice.ID)
	wantFault(t, "an application with a secret twice", err, fault.NotFound, "")
	app.Tenant = second // the same client id in another tenant is another application
	app.Secrets = nil
	if err := s.CreateApp(t.Context(), app); err != nil {
		t.Error(err)
	}
	if err := s.CreateTenant(t.Context(), auth.Tenant{ID: first, Name: "again"}, entry(audit.ActStart, first, "")); err == nil {
		t.Error("a tenant was created twice")
	}
	checkLog(t, s, first, 1)
}

func keysAreKept(t *testing.T, s *store.Store) {
	if list, err := s.Keys(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("Keys() of an empty store = %v, %v", list, err)
	}
	public := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	want := []keys.Record{
		{Purpose: keys.AuditLog, ID: "b", From: at(1), To: at(5), Public: public, Sealed: []byte{1, 0, 2}},
		{Purpose: keys.AuditLog, ID: "a", From: at(2), Public: public, Sealed: []byte{3}, Succeed: []byte("statement")},
		{Purpose: keys.Link, ID: "c", From: at(1), Sealed: []byte{4}},
		{Purpose: keys.Recovery, ID: "d", From: at(1), Public: public},
	}
	for _, n := range shuffled(len(want)) {
		if err := s.AddKey(t.Context(), want[n]); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Keys(t.Context())
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Keys(): %v (-want +got):\n%s", err, diff)
	}
	if err := s.AddKey(t.Context(), want[0]); err == nil {
		t.Error("a key was added twice")
	}
}

func newUpload(a action.Action, n, attempt int) vault.Upload {
	return vault.Upload{
		ID: fmt.Sprintf("%032x", n), Tenant: a.Tenant, Device: a.Device, Action: a.ID, Attempt: attempt, State: vault.Receiving,
		Length: -1, Limit: 1 << 34, Created: at(n), Updated: at(n),
	}
}

func uploadsAreKept(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	a := w.create(t, newAction(w.device, 1))
	u1, u2 := newUpload(a, 1, 1), newUpload(a, 2, 2)
	for _, u := range []vault.Upload{u2, u1} {
		if err := s.CreateUpload(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.UploadsOf(t.Context(), w.tenant, a.ID)
	if diff := cmp.Diff([]vault.Upload{u1, u2}, list); err != nil || diff != "" {
		t.Errorf("UploadsOf(): %v (-want +got):\n%s", err, diff)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := s.ChangeUpload(t.Context(), u1.ID, func(u vault.Upload) (vault.Upload, error) {
				u.Offset += 8 << 20
				return u, nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	u1.Offset, u1.Length, u1.State, u1.SHA256, u1.Reason, u1.Updated = 160<<20, 160<<20, vault.Quarantined, "ff", "names escape", at(9).Add(time.Microsecond)
	got, err := s.ChangeUpload(t.Context(), u1.ID, func(u vault.Upload) (vault.Upload, error) {
		if u.Offset != u1.Offset {
			t.Errorf("offset = %d, want %d: each chunk counts", u.Offset, u1.Offset)
		}
		return u1, nil
	})
	read, readErr := s.Upload(t.Context(), u1.ID)
	if got != u1 || read != u1 || err != nil || readErr != nil {
		t.Errorf("ChangeUpload() = %+v, %v; Upload() = %+v, %v; want %+v", got, err, read, readErr, u1)
	}
	for what, change := range map[string]func(*vault.Upload){
		"device": func(u *vault.Upload) { u.Device = "x" }, "action": func(u *vault.Upload) { u.Action = "x" },
		"attempt": func(u *vault.Upload) { u.Attempt++ }, "limit": func(u *vault.Upload) { u.Limit++ },
	} {
		if _, err := s.ChangeUpload(t.Context(), u1.ID, func(u vault.Upload) (vault.Upload, error) { change(&u); return u, nil }); err == nil {
			t.Errorf("the upload's %s was changed", what)
		}
	}
	if _, err := s.ChangeUpload(t.Context(), u1.ID, func(u vault.Upload) (vault.Upload, error) { return u, errEnded }); err != errEnded {
		t.Errorf("the function's error came back as %v", err)
	}
	_, err = s.Upload(t.Context(), "nosuch")
	wantFault(t, "no upload", err, fault.NotFound, "Upload nosuch was not found")
	_, err = s.ChangeUpload(t.Context(), "nosuch", nil)
	wantFault(t, "no upload", err, fault.NotFound, "Upload nosuch was not found")
	in, err := s.UploadsIn(t.Context(), vault.Receiving, 0)
	if diff := cmp.Diff([]vault.Upload{u2}, in); err != nil || diff != "" {
		t.Errorf("UploadsIn(): %v (-want +got):\n%s", err, diff)
	}
}

func oneUploadIsSealed(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	a := w.create(t, newAction(w.device, 1))
	seal := func(u vault.Upload) (vault.Upload, error) { u.State = vault.Sealed; return u, nil }
	for n := range 2 {
		if err := s.CreateUpload(t.Context(), newUpload(a, n, n+1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.ChangeUpload(t.Context(), fmt.Sprintf("%032x", 0), seal); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ChangeUpload(t.Context(), fmt.Sprintf("%032x", 1), seal); err == nil {
		t.Error("two uploads of one action were sealed")
	}
	list, err := s.UploadsOf(t.Context(), w.tenant, a.ID)
	if err != nil || len(list) != 2 || list[0].State != vault.Sealed || list[1].State != vault.Receiving {
		t.Errorf("UploadsOf() = %+v, %v", list, err)
	}
}

func attemptHasOneUpload(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	a := w.create(t, newAction(w.device, 1))
	var made atomic.Int32
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			switch err := s.CreateUpload(t.Context(), newUpload(a, n, 1)); {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, vault.ErrExists) || !errors.Is(err, fault.BadRequest):
				t.Errorf("another upload of one attempt: %v", err)
			}
		})
	}
	all.Wait()
	if list, err := s.UploadsOf(t.Context(), w.tenant, a.ID); err != nil || len(list) != 1 || made.Load() != 1 {
		t.Errorf("%d were made; UploadsOf() = %+v, %v", made.Load(), list, err)
	}
}

func uploadsOfCancelledActionsAreFound(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	a := w.create(t, newAction(w.device, 1))
	states := []vault.State{vault.Receiving, vault.Complete, vault.Quarantined, vault.Partial, vault.Deleted}
	for n, state := range states {
		u := newUpload(a, n, n+1)
		u.State = state
		if err := s.CreateUpload(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := s.UnwantedUploads(t.Context(), 0); err != nil || len(list) != 0 {
		t.Errorf("of an action that goes on: UnwantedUploads() = %+v, %v", list, err)
	}
	if _, err := s.ChangeAction(t.Context(), w.tenant, a.ID, func(a action.Action) (action.Action, []audit.Entry, error) {
		a.Status = action.Cancelled
		return a, nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	list, err := s.UnwantedUploads(t.Context(), 0)
	var got []vault.State
	for _, u := range list {
		got = append(got, u.State)
	}
	slices.SortFunc(got, func(x, y vault.State) int { return slices.Index(states, x) - slices.Index(states, y) })
	if diff := cmp.Diff(states[:4], got); err != nil || diff != "" {
		t.Errorf("UnwantedUploads(): %v (-want +got):\n%s", err, diff)
	}
	if list, err := s.UnwantedUploads(t.Context(), 3); err != nil || len(list) != 3 {
		t.Errorf("UnwantedUploads(3) = %+v, %v", list, err)
	}
}
