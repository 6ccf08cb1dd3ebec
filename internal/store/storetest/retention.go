package storetest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/retention"
	"swab/internal/store"
	"swab/internal/vault"
)

// keepUpload keeps an upload of a new, ended action of a device, which was left
// in a state n seconds after the start.
func (w *world) keepUpload(t *testing.T, d device.Device, n int, state vault.State) vault.Upload {
	t.Helper()
	a := w.create(t, newAction(d, n))
	if _, err := w.ChangeAction(t.Context(), d.Tenant, a.ID, func(a action.Action) (action.Action, []audit.Entry, error) {
		a.Status = action.Failed
		return a, nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	u := newUpload(a, n, 1)
	if err := w.CreateUpload(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	u, err := w.ChangeUpload(t.Context(), u.ID, func(u vault.Upload) (vault.Upload, error) {
		u.State, u.Offset, u.Length, u.Updated = state, int64(n), int64(n), at(n)
		return u, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func setRules(p retention.Policy) func(retention.Policy) (retention.Policy, audit.Entry, error) {
	return func(retention.Policy) (retention.Policy, audit.Entry, error) {
		return p, entry(audit.ActChangeRetention, "x", ""), nil
	}
}

func newHold(d device.Device, n int, act string) retention.Hold {
	return retention.Hold{Tenant: d.Tenant, ID: id(0xf, n), Device: d.ID, Action: act, Reason: "für den Fall", Holder: "tester", Created: at(n)}
}

func retentionIsKept(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	ctx := t.Context()
	other := newTenant(t, s, 2)
	if r, err := s.Retention(ctx, w.tenant); err != nil || r != (retention.Rules{Tenant: w.tenant}) {
		t.Errorf("Retention() = %+v, %v; want none", r, err)
	}
	p := retention.Policy{Days: 30, Packages: 1000, Bytes: 1 << 40}
	if got, err := s.ChangeRetention(ctx, w.tenant, setRules(p)); err != nil || got != p {
		t.Errorf("ChangeRetention() = %+v, %v", got, err)
	}
	before, err := s.Retention(ctx, w.tenant)
	if err != nil || before.Policy != p || before.Revision == 0 {
		t.Errorf("Retention() = %+v, %v; want %+v", before, err, p)
	}
	if _, err := s.ChangeRetention(ctx, w.tenant, func(retention.Policy) (retention.Policy, audit.Entry, error) {
		return retention.Policy{}, audit.Entry{}, errEnded
	}); err != errEnded {
		t.Errorf("the error of a change is %v", err)
	}
	if _, err := s.ChangeRetention(ctx, other, setRules(retention.Policy{})); err != nil {
		t.Error(err)
	}
	_, err = s.ChangeRetention(ctx, "nosuch", setRules(p))
	wantFault(t, "no tenant", err, fault.NotFound, "Tenant nosuch was not found")
	if list, err := s.Retentions(ctx); err != nil || !slices.Equal(list, []retention.Rules{before}) {
		t.Errorf("Retentions() = %+v, %v; want those of one tenant, as they were: %+v", list, err, before)
	}
}

func holdsAreKept(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	ctx := t.Context()
	other := newTenant(t, s, 2)
	all, one := newHold(w.device, 2, ""), newHold(w.device, 1, id(0xc, 1))
	for _, h := range []retention.Hold{all, one} {
		if err := s.AddHold(ctx, h, entry(audit.ActAddHold, h.ID, h.Device)); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.Holds(ctx, w.tenant)
	if diff := cmp.Diff([]retention.Hold{one, all}, list); err != nil || diff != "" {
		t.Errorf("Holds(): %v (-want +got):\n%s", err, diff)
	}
	if list, err := s.Holds(ctx, other); err != nil || len(list) != 0 {
		t.Errorf("another tenant sees %+v, %v", list, err)
	}
	remove := func(tenant, id string) (retention.Hold, error) {
		return s.RemoveHold(ctx, tenant, id, func(h retention.Hold) audit.Entry { return entry(audit.ActRemoveHold, h.ID, h.Device) })
	}
	_, err = remove(other, one.ID)
	wantFault(t, "another tenant's hold", err, fault.NotFound, "Hold "+one.ID+" was not found")
	if h, err := remove(w.tenant, one.ID); err != nil || h != one {
		t.Errorf("RemoveHold() = %+v, %v", h, err)
	}
	_, err = remove(w.tenant, one.ID)
	wantFault(t, "a hold that is removed", err, fault.NotFound, "Hold "+one.ID+" was not found")
	for n := 3; ; n++ {
		h := newHold(w.device, n, "")
		if err := s.AddHold(ctx, h, entry(audit.ActAddHold, h.ID, h.Device)); err != nil {
			wantFault(t, "one hold too many", err, fault.DisallowedOperation, "The tenant has 1000 holds, as many as it may; a hold on a device is on all of its packages")
			if n != 3+retention.MaxHolds-1 {
				t.Errorf("%d holds were kept", n-2)
			}
			return
		}
	}
}

func whatIsHeldDoesNotExpire(t *testing.T, s *store.Store) {
	w := newWorld(t, s)
	ctx := t.Context()
	second := enrol(t, s, "token", 2)
	var all []vault.Upload
	for n, d := range []device.Device{w.device, w.device, second, w.device} {
		all = append(all, w.keepUpload(t, d, n+1, vault.Sealed))
	}
	bad := []vault.Upload{w.keepUpload(t, w.device, 5, vault.Quarantined), w.keepUpload(t, second, 6, vault.Partial)}
	w.keepUpload(t, w.device, 7, vault.Receiving)
	check := func(what string, kind retention.Kind, after retention.Place, want ...vault.Upload) {
		t.Helper()
		got, err := s.Expirable(ctx, w.tenant, kind, after, 0)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: Expirable() = %v (-want +got):\n%s", what, err, diff)
		}
	}
	sum := func(what string, n, bytes int64) {
		t.Helper()
		if got, err := s.Unheld(ctx, w.tenant); err != nil || got != (retention.Sum{Packages: n, Bytes: bytes}) {
			t.Errorf("%s: Unheld() = %+v, %v; want %d of %d bytes", what, got, err, n, bytes)
		}
	}
	check("nothing is held", retention.Packages, retention.Place{}, all...)
	check("after the second", retention.Packages, retention.Place{Updated: all[1].Updated, ID: all[1].ID}, all[2:]...)
	check("unverified", retention.Unverified, retention.Place{}, bad...)
	sum("nothing is held", 4, 10)
	hold := func(n int, d device.Device, act string) {
		t.Helper()
		if err := s.AddHold(ctx, newHold(d, n, act), entry(audit.ActAddHold, id(0xf, n), d.ID)); err != nil {
			t.Fatal(err)
		}
	}
	hold(1, w.device, all[1].Action)
	check("an action is held", retention.Packages, retention.Place{}, all[0], all[2], all[3])
	sum("an action is held", 3, 8)
	hold(2, second, "")
	hold(3, second, all[2].Action) // twice held, once counted
	check("a device is held, too", retention.Packages, retention.Place{}, all[0], all[3])
	check("and what is unverified of it", retention.Unverified, retention.Place{}, bad[0])
	sum("a device is held, too", 2, 5)

	if _, err := s.ChangeRetention(ctx, w.tenant, setRules(retention.Policy{Days: 1})); err != nil {
		t.Fatal(err)
	}
	rules, err := s.Retention(ctx, w.tenant)
	if err != nil {
		t.Fatal(err)
	}
	head, err := s.Head(ctx, w.tenant)
	if err != nil {
		t.Fatal(err)
	}
	expire := func(revision int64, u vault.Upload) (int64, bool) {
		t.Helper()
		next, ok, err := s.ExpireUpload(ctx, revision, u, "it expired", at(100), entry(audit.ActExpire, u.Action, u.Device))
		if err != nil {
			t.Fatal(err)
		}
		return next, ok
	}
	if _, ok := expire(rules.Revision-1, all[0]); ok {
		t.Error("expired by rules of before")
	}
	if _, ok := expire(rules.Revision, all[1]); ok {
		t.Error("what is held expired")
	}
	rules, err = s.Retention(ctx, w.tenant)
	if err != nil {
		t.Fatal(err)
	}
	next, ok := expire(rules.Revision, all[0])
	if !ok {
		t.Fatal("what is not held did not expire")
	}
	if _, ok := expire(rules.Revision, all[3]); ok {
		t.Error("expired by what was counted before another expired")
	}
	if _, ok := expire(next, all[0]); ok {
		t.Error("one upload expired twice")
	}
	u, err := s.Upload(ctx, all[0].ID)
	want := all[0]
	want.State, want.Reason, want.Updated = vault.Deleted, "it expired", at(100)
	if err != nil || u != want {
		t.Errorf("the expired upload is %+v, %v; want %+v", u, err, want)
	}
	after, err := s.Head(ctx, w.tenant)
	if err != nil || after.Size != head.Size+1 {
		t.Errorf("%d entries more, %v; want one, of what expired", after.Size-head.Size, err)
	}
	sum("one has expired", 1, 4)
}
