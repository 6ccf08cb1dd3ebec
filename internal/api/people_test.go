package api

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/signin"
)

// signedIn begins a sign-in of a person to an application ("": to the browser)
// and returns its id.
func (in *installation) signedIn(t testing.TB, tenant, person, app string) string {
	t.Helper()
	s := signin.Session{
		Tenant: tenant, ID: uuid.NewString(), Person: person, App: app, Methods: []string{"pwd"}, Proved: in.now(), Created: in.now(), Used: in.now(),
		Expires: in.now().Add(time.Hour), From: "203.0.113.9", Agent: "Mozilla/5.0",
	}
	entry := audit.NewEntry(in.now(), audit.Leaf{Act: audit.ActSignIn, Object: person, Result: audit.Done}, audit.Hidden{})
	if err := in.store.AddSession(t.Context(), s, nil, "", func(auth.Credential) error { return nil }, entry); err != nil {
		t.Fatal(err)
	}
	return s.ID
}
