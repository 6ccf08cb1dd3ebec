package access_test

import (
	"crypto/ed25519"
	"errors"
	"testing"

	"swab/internal/access"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
	"swab/internal/keys"
)

func withdrawing(w bool) func() (bool, error) { return func() (bool, error) { return w, nil } }

func TestOnlyAdministratorsOfTheHomeTenantRotateTheTokenKey(t *testing.T) {
	r, st := newRegister(t)
	ring, err := keys.Open(t.Context(), keys.Config{Store: st, Dir: t.TempDir(), Now: r.Now, Recovery: func(ed25519.PrivateKey) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	r.Ring = ring
	first, _ := ring.TokenKey()
	admin := caller(tenant, auth.Administer)
	misread := errors.New("no JSON")
	for name, c := range map[string]struct {
		who  auth.Caller
		read func() (bool, error)
		want error
	}{
		"without the permission": {caller(tenant, auth.ReadWriteAll), withdrawing(true), fault.Forbidden},
		"of another tenant":      {caller(other, auth.Administer), withdrawing(true), fault.DisallowedOperation},
		"a body that is wrong":   {admin, func() (bool, error) { return true, fault.InvalidRequestBody.Errorf(misread, "no") }, fault.InvalidRequestBody},
	} {
		if _, err := r.RotateTokenKey(t.Context(), c.who, c.read); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := r.Keys(t.Context(), caller(tenant, auth.ReadAll)); !errors.Is(err, fault.Forbidden) {
		t.Errorf("list without the permission: %v", err)
	}
	if list, err := r.Keys(t.Context(), caller(other, auth.Administer)); err != nil || len(list) != 1 || list[0].ID != first || list[0].Sealed != nil {
		t.Errorf("list: %+v, %v", list, err)
	}
	leaf, before := last(t, st)
	if leaf.Act != audit.ActReadKey && leaf.Act != audit.ActKey || leaf.Result != audit.Refused {
		t.Errorf("a refusal is not in the log: %+v", leaf)
	}
	next, err := r.RotateTokenKey(t.Context(), admin, withdrawing(false))
	if err != nil || next.State(r.Now()) != keys.Announced {
		t.Fatalf("%+v, %v", next, err)
	}
	if leaf, n := last(t, st); n != before+1 || leaf.Act != audit.ActKey || leaf.Object != next.ID || leaf.Result != audit.Done {
		t.Errorf("entry %+v, %d more", leaf, n-before)
	}
	if again, err := r.RotateTokenKey(t.Context(), admin, withdrawing(false)); err != nil || again.ID != next.ID {
		t.Errorf("asked again: %+v, %v", again, err)
	}
	if _, n := last(t, st); n != before+1 {
		t.Errorf("asked again: %d entries more, want one", n-before)
	}
	urgent, err := r.RotateTokenKey(t.Context(), admin, withdrawing(true))
	if err != nil || urgent.State(r.Now()) != keys.Signs || ring.PublicTokenKey(first) != nil {
		t.Errorf("withdrawn: %+v, %v", urgent, err)
	}
	if leaf, n := last(t, st); n != before+2 || leaf.Act != audit.ActWithdrawKey {
		t.Errorf("entry %+v", leaf)
	}
	var _ access.Ring = ring
}
