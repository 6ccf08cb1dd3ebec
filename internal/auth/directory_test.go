package auth

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/fault"
)

func TestAChangeHoldsAtTheNextRequest(t *testing.T) {
	f := newFixture(t)
	token := f.issue(t)
	device, err := f.tokens.IssueDevice(tenant, dev, "thumbprint")
	if err != nil {
		t.Fatal(err)
	}
	holds := func() { // so that what follows is remembered
		t.Helper()
		if _, err := f.tokens.Validate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if _, err := f.tokens.ValidateDevice(t.Context(), device); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(why string) {
		t.Helper()
		if _, err := f.tokens.Validate(t.Context(), token); !errors.Is(err, fault.Unauthorized) {
			t.Errorf("%s: %v, want Unauthorized", why, err)
		}
	}
	holds()
	app := f.app
	app.Roles = []string{ReadAll}
	f.store.change(func() { f.store.apps[tenant+"/"+app.ID] = app })
	if who, err := f.tokens.Validate(t.Context(), token); err != nil || !cmp.Equal(who.Roles, app.Roles) {
		t.Errorf("roles %v, %v", who.Roles, err)
	}
	app.Revoked = true
	f.store.change(func() { f.store.apps[tenant+"/"+app.ID] = app })
	refused("application revoked")
	f.store.change(func() { f.store.apps[tenant+"/"+app.ID] = f.app })
	holds()
	f.store.change(func() { f.store.tenants[0].Revoked = true })
	refused("tenant revoked")
	if _, err := f.tokens.ValidateDevice(t.Context(), device); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("a device of a revoked tenant: %v, want Unauthorized", err)
	}
	f.store.change(func() { f.store.tenants[0].Revoked = false })
	holds()
	f.store.change(func() { delete(f.store.apps, tenant+"/"+app.ID) })
	refused("application deleted")
	f.store.change(func() { f.store.down = errors.New("database is locked") })
	if _, err := f.tokens.Validate(t.Context(), token); err == nil || errors.Is(err, fault.Unauthorized) {
		t.Errorf("store down: %v, want an error that is not the caller's", err)
	}
}

func TestAChangeByAnotherNodeHoldsWithinASecond(t *testing.T) {
	f := newFixture(t)
	token := f.issue(t)
	for range 3 {
		if _, err := f.tokens.Validate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	if f.store.asked != 1 {
		t.Errorf("asked the store %d times for one application, want once", f.store.asked)
	}
	delete(f.store.apps, tenant+"/"+f.app.ID) // and no revision tells
	f.now = f.now.Add(DirectoryAge)
	if _, err := f.tokens.Validate(t.Context(), token); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("a second after another node deleted the application: %v, want Unauthorized", err)
	}
	f.store.apps[tenant+"/"+f.app.ID] = f.app
	f.now = f.now.Add(-time.Minute) // a clock that is set back makes nothing last longer
	if _, err := f.tokens.Validate(t.Context(), token); err != nil {
		t.Errorf("after the clock was set back: %v", err)
	}
}

func TestATenantIsFoundByIDBeforeName(t *testing.T) {
	f := newFixture(t)
	const second = "00000000-0000-4000-8000-000000000002"
	f.store.tenants = append(f.store.tenants, Tenant{ID: second, Name: tenant}, Tenant{ID: "3", Name: "gone.example", Revoked: true})
	for name, want := range map[string]string{
		tenant: tenant, strings.ToUpper(tenant): tenant, "Contoso.Example": tenant, second: second, "gone.example": "", "3": "", "": "",
	} {
		got, err := f.tokens.Directory.Tenant(t.Context(), name)
		if got.ID != want || (want == "") != errors.Is(err, fault.NotFound) {
			t.Errorf("%q is tenant %q, %v; want %q", name, got.ID, err, want)
		}
	}
}

func TestADirectoryRemembersWithinItsBound(t *testing.T) {
	f := newFixture(t)
	for i := range 2 * maxRemembered {
		if _, err := f.tokens.Directory.App(t.Context(), tenant, strconv.Itoa(i)); !errors.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
	}
	if n := len(f.tokens.Directory.apps); n > maxRemembered {
		t.Errorf("remembers %d applications, bound is %d", n, maxRemembered)
	}
}

// Whoever asks for a token sends what id he likes, as long as a form may be: none
// of them is kept.
func TestADirectoryRemembersNoLongID(t *testing.T) {
	f := newFixture(t)
	if _, err := f.tokens.Directory.App(t.Context(), tenant, strings.Repeat("a", maxID+1)); !errors.Is(err, fault.NotFound) {
		t.Errorf("a long id: %v", err)
	}
	if n := len(f.tokens.Directory.apps); n != 0 {
		t.Errorf("remembers %d applications, want none", n)
	}
}
