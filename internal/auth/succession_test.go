package auth

import (
	"errors"
	"testing"
	"time"

	"swab/internal/audit"
	"swab/internal/fault"
	"swab/internal/keys"
)

func TestOneSignatureServesASecond(t *testing.T) {
	f := newFixture(t)
	first := f.issue(t)
	if f.issue(t) != first {
		t.Error("the same was asked for twice in a second, and signed twice")
	}
	const resource = "https://api.securitycenter.microsoft.com"
	app, reader := f.app, f.app
	app.ID = "00000000-0000-4000-8000-000000000009"
	reader.Roles = []string{ReadAll}
	for name, issue := range map[string]func() (Issued, error){
		"another base URL":    func() (Issued, error) { return f.tokens.Grant(other, resource, f.app, BySecret) },
		"another resource":    func() (Issued, error) { return f.tokens.Grant(base, resource+"/", f.app, BySecret) },
		"another application": func() (Issued, error) { return f.tokens.Grant(base, resource, app, BySecret) },
		"other roles":         func() (Issued, error) { return f.tokens.Grant(base, resource, reader, BySecret) },
		"another proof":       func() (Issued, error) { return f.tokens.Grant(base, resource, f.app, ByCertificate) },
	} {
		if got, err := issue(); err != nil || got.Token == first {
			t.Errorf("%s: the same token, or none: %v", name, err)
		}
	}
	if _, err := f.ring.SucceedTokens(t.Context(), f.store, tenant, audit.Hidden{}, true); err != nil {
		t.Fatal(err)
	}
	if f.issue(t) == first {
		t.Error("a token of a key that was withdrawn in the same second")
	}
	second := f.issue(t)
	f.now = f.now.Add(time.Second)
	if f.issue(t) == second {
		t.Error("a token of the second before")
	}
}

func TestATokenOutlivesTheKeyThatSignedIt(t *testing.T) {
	if TokenLife+2*Skew > keys.TokenOverlap {
		t.Errorf("a token lives %v, its key is known for %v", TokenLife, keys.TokenOverlap)
	}
	f := newFixture(t)
	next, err := f.ring.SucceedTokens(t.Context(), f.store, tenant, audit.Hidden{}, false)
	if err != nil {
		t.Fatal(err)
	}
	f.now = next.From.Add(-time.Second)
	last := f.issue(t)
	f.now = next.From
	if kid, _ := f.ring.TokenKey(); kid != next.ID {
		t.Fatal("the next key does not sign")
	}
	f.now = f.now.Add(TokenLife)
	if _, err := f.tokens.Validate(t.Context(), last); err != nil {
		t.Errorf("the last token of the old key, at its end: %v", err)
	}
	young := f.issue(t)
	if _, err := f.tokens.Validate(t.Context(), young); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ring.SucceedTokens(t.Context(), f.store, tenant, audit.Hidden{}, true); err != nil {
		t.Fatal(err)
	}
	if _, err := f.tokens.Validate(t.Context(), young); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("a remembered token of a withdrawn key: %v, want Unauthorized", err)
	}
}

func TestAKeyOfAnotherNodeIsLookedForNowAndThen(t *testing.T) {
	f := newFixture(t)
	clock := func() time.Time { return f.now }
	elsewhere, err := keys.Open(t.Context(), keys.Config{Store: f.store, Dir: f.dir, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	node := NewTokens([]string{base}, elsewhere, f.store, clock)
	fresh := func() string {
		t.Helper()
		if _, err := elsewhere.SucceedTokens(t.Context(), f.store, tenant, audit.Hidden{}, true); err != nil {
			t.Fatal(err)
		}
		issued, err := node.Grant(base, base, f.app, BySecret)
		if err != nil {
			t.Fatal(err)
		}
		return issued.Token
	}
	if _, err := f.tokens.Validate(t.Context(), fresh()); err != nil {
		t.Errorf("a token of another node's new key: %v", err)
	}
	second := fresh()
	if _, err := f.tokens.Validate(t.Context(), second); !errors.Is(err, fault.Unauthorized) {
		t.Errorf("the store was asked twice within 5 seconds: %v", err)
	}
	f.now = f.now.Add(5 * time.Second)
	if _, err := f.tokens.Validate(t.Context(), second); err != nil {
		t.Errorf("5 seconds later: %v", err)
	}
}
