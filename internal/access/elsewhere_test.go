package access_test

import (
	"errors"
	"strings"
	"testing"

	"swab/internal/access"
	"swab/internal/auth"
	"swab/internal/fault"
)

// A token is a tenant's by its issuer and audience alone, so no tenant may
// configure those of another, before it or after it.
func TestATenantCannotTakeTheTokensOfAnother(t *testing.T) {
	r, _ := newRegister(t)
	mine, theirs := caller(tenant, auth.Administer), caller(other, auth.Administer)
	make := func(who auth.Caller, url string, audiences ...string) (auth.TrustedIssuer, error) {
		return r.CreateIssuer(t.Context(), who, as(auth.TrustedIssuer{Name: "x", URL: url, Audiences: audiences}))
	}
	refused := func(what string, err error) {
		t.Helper()
		if _, text := fault.Of(err); !errors.Is(err, fault.InvalidInput) || !strings.Contains(text, "Another tenant") || strings.Contains(text, tenant) {
			t.Errorf("%s: %v, want it refused without saying whose it is", what, err)
		}
	}
	taken, err := make(mine, "https://x.example", "api://one", "api://two")
	if err != nil {
		t.Fatal(err)
	}
	_, err = make(theirs, "https://x.example", "api://three", "api://two")
	refused("its url and one of its audiences", err)
	beside, err := make(theirs, "https://x.example", "api://three")
	if err != nil {
		t.Errorf("another audience of the same issuer: %v", err)
	}
	if _, err = make(theirs, "https://y.example", "api://two"); err != nil {
		t.Errorf("its audience at another issuer: %v", err)
	}
	audiences := []string{"api://one"}
	_, err = r.ChangeIssuer(t.Context(), theirs, beside.ID, as(access.IssuerChange{Audiences: &audiences}))
	refused("its audience by a change", err)
	if _, err = r.RevokeIssuer(t.Context(), mine, taken.ID); err != nil {
		t.Fatal(err)
	}
	if _, err = r.ChangeIssuer(t.Context(), theirs, beside.ID, as(access.IssuerChange{Audiences: &audiences})); err != nil {
		t.Errorf("what nobody trusts any more: %v", err)
	}
	_, err = make(mine, "https://x.example", "api://one")
	if _, text := fault.Of(err); !strings.Contains(text, "Another tenant") {
		t.Errorf("what another has taken since: %v", err)
	}
	if _, err = r.RevokeTenant(t.Context(), mine, other); err != nil {
		t.Fatal(err)
	}
	if _, err = make(mine, "https://x.example", "api://one"); err != nil {
		t.Errorf("what a revoked tenant trusted: %v", err)
	}
}
