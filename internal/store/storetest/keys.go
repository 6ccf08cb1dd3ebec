package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/access"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
	"swab/internal/keys"
	"swab/internal/store"
)

func keysFollow(t *testing.T, s *store.Store) {
	tenant := newTenant(t, s, 1)
	key := func(p keys.Purpose, n int) keys.Record {
		return keys.Record{Purpose: p, ID: id(0xa, n), From: at(n), Public: []byte{byte(n)}, Sealed: []byte{byte(n)}}
	}
	for _, k := range []keys.Record{key(keys.AccessToken, 1), key(keys.AccessToken, 2), key(keys.Receipt, 3)} { // two first ones: of two nodes
		if err := s.AddKey(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	succeed := func(old, n int, withdraw bool) (bool, error) {
		return s.SucceedKey(t.Context(), keys.Succession{
			Old: id(0xa, old), New: key(keys.AccessToken, n), Withdraw: withdraw, Tenant: tenant, Entry: entry(audit.ActKey, id(0xa, n), ""),
		})
	}
	ends := func() map[string]time.Time {
		t.Helper()
		list, err := s.Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]time.Time{}
		for _, k := range list {
			got[k.ID] = k.To
		}
		return got
	}
	var firsts atomic.Int64
	var nodes sync.WaitGroup
	for i := range 4 {
		nodes.Go(func() {
			first, err := succeed(2, 10+i, false)
			if err != nil {
				t.Error(err)
			}
			if first {
				firsts.Add(int64(100 + i))
			}
		})
	}
	nodes.Wait()
	won := int(firsts.Load()) - 100
	if won < 0 || won > 3 {
		t.Fatalf("not one of four nodes was first: %d", firsts.Load())
	}
	next := 10 + won
	want := map[string]time.Time{id(0xa, 1): at(next), id(0xa, 2): at(next), id(0xa, 3): {}, id(0xa, next): {}}
	if diff := cmp.Diff(want, ends()); diff != "" {
		t.Errorf("ends (-want +got):\n%s", diff)
	}
	if first, err := succeed(next, 20, true); err != nil || !first {
		t.Fatalf("%t, %v", first, err)
	}
	want = map[string]time.Time{id(0xa, 1): at(1), id(0xa, 2): at(2), id(0xa, 3): {}, id(0xa, next): at(next), id(0xa, 20): {}}
	if diff := cmp.Diff(want, ends()); diff != "" {
		t.Errorf("ends after a withdrawal (-want +got):\n%s", diff)
	}
	if _, err := s.SucceedKey(t.Context(), keys.Succession{Old: id(0xa, 20), New: key(keys.AccessToken, 21), Tenant: id(9, 9), Entry: entry(audit.ActKey, id(0xa, 21), "")}); err == nil {
		t.Error("a key was made that no log has")
	}
	if diff := cmp.Diff(want, ends()); diff != "" {
		t.Errorf("what failed left something (-want +got):\n%s", diff)
	}
	checkLog(t, s, tenant, 3)
}

func revisionTells(t *testing.T, s *store.Store) {
	last := s.AccessRevision()
	changed := func(what string, want bool) {
		t.Helper()
		now := s.AccessRevision()
		if (now != last) != want {
			t.Errorf("%s: the revision went from %d to %d", what, last, now)
		}
		last = now
	}
	w := newWorld(t, s)
	changed("a tenant was made", true)
	app := auth.App{Tenant: w.tenant, ID: id(0xd, 1), Name: "siem", Roles: []string{}, Secrets: []auth.Secret{{ID: "s1", Hash: tokenOf("s1")}}}
	if err := s.CreateApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	changed("an application was made", true)
	if _, err := s.CreateAction(t.Context(), newAction(w.device, 1), entry(audit.ActCollect, id(0xc, 1), w.device.ID)); err != nil {
		t.Fatal(err)
	}
	changed("an action was made", false)
	change := func(what string, do func(*auth.App)) {
		t.Helper()
		_, err := s.ChangeApp(t.Context(), w.tenant, app.ID, func(a auth.App, _ access.Administrators) (auth.App, []audit.Entry, error) {
			do(&a)
			return a, nil, nil
		})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		changed(what, true)
	}
	change("a certificate was added", func(a *auth.App) {
		a.Certificates = append(a.Certificates, auth.Certificate{ID: "c1", DER: []byte{1}, Created: at(1), Expires: at(2)})
	})
	change("a certificate was removed", func(a *auth.App) { a.Certificates = nil })
	change("a secret was removed", func(a *auth.App) { a.Secrets = nil })
	change("an application was revoked", func(a *auth.App) { a.Revoked = true })
	_, err := s.ChangeApp(t.Context(), w.tenant, app.ID, func(a auth.App, _ access.Administrators) (auth.App, []audit.Entry, error) {
		return a, nil, fault.BadRequest.Errorf(nil, "no")
	})
	if !errors.Is(err, fault.BadRequest) {
		t.Fatal(err)
	}
	changed("a change was refused", false)
	if _, err := s.RevokeTenant(t.Context(), w.tenant, w.tenant, entry(audit.ActStart, w.tenant, "")); err != nil {
		t.Fatal(err)
	}
	changed("a tenant was revoked", true)
}
