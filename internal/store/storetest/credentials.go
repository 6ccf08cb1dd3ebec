package storetest

import (
	"crypto/sha256"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/auth"
	"swab/internal/fault"
	"swab/internal/store"
)

// newPerson makes person n of a tenant, who has no credential.
func newPerson(t testing.TB, s *store.Store, tenant string, n int) auth.Person {
	t.Helper()
	p := auth.Person{Tenant: tenant, ID: id(0xe, n), Principal: string(rune('a'+n)) + "@example.org", Name: "Änne", Groups: []string{}, Created: at(n)}
	if err := s.CreateUser(t.Context(), p, auth.Credential{}); err != nil {
		t.Fatal(err)
	}
	return p
}

func credentialsAreKept(t *testing.T, s *store.Store) {
	tenant, other := newTenant(t, s, 1), newTenant(t, s, 2)
	ann := newPerson(t, s, tenant, 1)
	if got, err := s.Person(t.Context(), tenant, ann.ID); err != nil || !cmp.Equal(ann, got) {
		t.Errorf("Person() = %+v, %v; want %+v", got, err, ann)
	}
	if got, err := s.Credential(t.Context(), tenant, ann.ID); err != nil || !cmp.Equal(auth.Credential{}, got) {
		t.Errorf("Credential() of nothing = %+v, %v", got, err)
	}
	whole := auth.Credential{
		Password: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$a2V5", Changed: at(5), MustChange: true,
		TOTP: []byte{0, 1, 255}, Step: 58_000_000, Recovery: [][32]byte{sha256.Sum256([]byte("a")), sha256.Sum256([]byte("b"))},
	}
	for _, want := range []auth.Credential{whole, {}, {Password: "x", Changed: at(6)}, whole} {
		if err := s.SetCredential(t.Context(), tenant, ann.ID, want); err != nil {
			t.Fatal(err)
		}
		got, err := s.Credential(t.Context(), tenant, ann.ID)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Credential(): %v (-want +got):\n%s", err, diff)
		}
	}
	if got, err := s.Credential(t.Context(), other, ann.ID); err != nil || got.Password != "" {
		t.Errorf("in another tenant: %+v, %v", got, err)
	}
	wantFault(t, "another tenant's person", s.SetCredential(t.Context(), other, ann.ID, whole), fault.NotFound, "User "+ann.ID+" was not found")
	again := ann
	again.ID = id(0xe, 99)
	wantFault(t, "the same name", s.CreateUser(t.Context(), again, whole), fault.InvalidInput, "User "+ann.Principal+" exists already")
	if got, err := s.Credential(t.Context(), tenant, again.ID); err != nil || got.Password != "" {
		t.Errorf("of a person who was refused: %+v, %v", got, err)
	}
}
