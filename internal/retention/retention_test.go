package retention_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/evidence"
	"swab/internal/fault"
	"swab/internal/retention"
	"swab/internal/store"
	"swab/internal/store/storetest"
	"swab/internal/vault"
)

// depot is a keeper over a real store and vault, with a clock that is moved.
type depot struct {
	*retention.Keeper
	t      testing.TB
	store  *store.Store
	vault  *vault.Vault
	dir    string
	at     time.Time
	tenant string
	admin  auth.Caller
	kept   []vault.Upload // in the order in which they were made
}

func (d *depot) now() time.Time { return d.at }

func newDepot(t testing.TB) *depot {
	t.Helper()
	d := &depot{t: t, dir: t.TempDir(), at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	var err error
	d.store, err = store.Open(t.Context(), store.Options{Database: storetest.Database(t), Now: d.now})
	d.must(err)
	t.Cleanup(func() { d.store.Close() })
	d.vault = d.node(d.dir)
	d.Keeper = &retention.Keeper{Records: d.store, Bytes: d.vault, Devices: finder{Store: d.store}, Now: d.now, Logger: slog.New(slog.DiscardHandler)}
	d.found()
	return d
}

func (d *depot) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// node is a vault in a directory of its own.
func (d *depot) node(dir string) *vault.Vault {
	d.t.Helper()
	v, err := vault.New(d.t.Context(), vault.Options{Dir: dir, Records: d.store, Check: evidence.DefaultLimits(), Log: slog.New(slog.DiscardHandler), Now: d.now})
	d.must(err)
	d.t.Cleanup(v.Close)
	return v
}

// found makes a tenant, which the depot's are from then on.
func (d *depot) found() {
	d.t.Helper()
	ctx := context.Background()
	d.tenant, d.kept = uuid.NewString(), nil
	d.must(d.store.CreateTenant(ctx, auth.Tenant{ID: d.tenant, Name: d.tenant, Created: d.at}, d.entry(audit.ActStart)))
	d.must(d.store.CreateEnrollment(ctx, auth.Enrollment{Tenant: d.tenant, ID: "e", Hash: sha256.Sum256([]byte(d.tenant)), Left: -1}))
	d.admin = auth.Caller{Kind: auth.Application, Tenant: d.tenant, ID: "app", Name: "SOAR", Roles: []string{auth.Administer}}
}

func (d *depot) entry(act audit.Act) audit.Entry {
	return audit.NewEntry(d.at, audit.Leaf{Act: act, Object: "x", Result: audit.Done}, audit.Hidden{})
}

func (d *depot) enrol() device.ID {
	d.t.Helper()
	pub, _, err := ed25519.GenerateKey(nil)
	d.must(err)
	dev, err := d.store.Enrol(context.Background(), sha256.Sum256([]byte(d.tenant)),
		device.Device{ID: device.IDOf(pub), Keys: []ed25519.PublicKey{pub}, FirstSeen: d.at, LastSeen: d.at}, func(string) audit.Entry { return d.entry(audit.ActEnrol) })
	d.must(err)
	return dev.ID
}

// keep has a device deliver so many bytes to a node, which come to be in a state.
func (d *depot) keep(v *vault.Vault, dev device.ID, size int, state vault.State) vault.Upload {
	d.t.Helper()
	ctx := context.Background()
	id, err := uuid.NewV7()
	d.must(err)
	d.at = d.at.Add(time.Second)
	a, err := d.store.CreateAction(ctx, action.Action{
		Tenant: d.tenant, ID: id.String(), Device: dev, Status: action.Pending, Attempt: 1, Created: d.at, Updated: d.at, Touched: d.at, Due: d.at.Add(time.Hour),
	}, d.entry(audit.ActCollect))
	d.must(err)
	_, err = d.store.ChangeAction(ctx, d.tenant, a.ID, func(a action.Action) (action.Action, []audit.Entry, error) {
		a.Status, a.Due = action.Failed, time.Time{}
		return a, nil, nil
	})
	d.must(err)
	u, err := v.Create(ctx, vault.Request{Tenant: d.tenant, Device: dev, Action: a.ID, Attempt: 1, Length: int64(size)})
	d.must(err)
	w, err := v.Write(ctx, u.ID)
	d.must(err)
	_, err = w.Append(0, int64(size), bytes.NewReader(make([]byte, size)))
	w.Close()
	d.must(err)
	switch state {
	case vault.Sealed:
		_, err = v.Seal(ctx, u.ID, strings.Repeat("ab", 32))
		d.must(err)
		u, err = v.Confirm(ctx, u.ID)
	case vault.Quarantined:
		u, err = v.Quarantine(ctx, u.ID, "it is altered")
	default:
		u, err = v.Keep(ctx, u.ID, "the agent was restarted")
	}
	d.must(err)
	d.kept = append(d.kept, u)
	return u
}

func (d *depot) set(p retention.Policy) {
	d.t.Helper()
	_, err := d.Set(context.Background(), d.admin, func() (retention.Change, error) {
		return retention.Change{Days: &p.Days, Packages: &p.Packages, Bytes: &p.Bytes}, nil
	})
	d.must(err)
}

func (d *depot) hold(n retention.NewHold) retention.Hold {
	d.t.Helper()
	h, err := d.Hold(context.Background(), d.admin, func() (retention.NewHold, error) { return n, nil })
	d.must(err)
	return h
}

func (d *depot) expire() int {
	d.t.Helper()
	n, err := d.Expire(context.Background())
	d.must(err)
	return n
}

// there are the uploads whose bytes are kept, by what their records say, which is
// what the directories say.
func (d *depot) there(dirs ...string) (ids []string) {
	d.t.Helper()
	for _, was := range d.kept {
		u, err := d.store.Upload(context.Background(), was.ID)
		d.must(err)
		found := false
		for _, dir := range append(dirs, d.dir) {
			_, err := os.Stat(filepath.Join(dir, vault.Name(was)))
			found = found || err == nil
		}
		if gone := u.State == vault.Deleted; gone == found {
			d.t.Errorf("upload %s is %s, and its bytes are there: %v", u.ID, u.State, found)
		}
		if u.State != vault.Deleted {
			ids = append(ids, u.ID)
		}
	}
	return ids
}

// entries are those of an act in the tenant's log, without what differs in each run.
func (d *depot) entries(act audit.Act) (all []audit.Leaf) {
	d.t.Helper()
	for from := int64(0); ; from += 1000 {
		list, err := d.store.AuditEntries(context.Background(), d.tenant, from, 1000)
		d.must(err)
		for _, e := range list {
			leaf, err := audit.ParseLeaf(e.Leaf)
			d.must(err)
			if leaf.Act == act {
				leaf.Time, leaf.Commitment, leaf.V = "", "", 0
				all = append(all, leaf)
			}
		}
		if len(list) < 1000 {
			return all
		}
	}
}

func idsOf(uploads ...vault.Upload) (ids []string) {
	for _, u := range uploads {
		ids = append(ids, u.ID)
	}
	return ids
}

// finder finds devices by their ids; people reach one alone.
type finder struct {
	*store.Store
	near device.ID
}

func (f finder) Find(ctx context.Context, who auth.Caller, name string) (device.Device, error) {
	if who.Kind == auth.User && device.ID(name) != f.near {
		return device.Device{}, fault.NotFound.Errorf(nil, "Machine %s was not found", name)
	}
	return f.Device(ctx, who.Tenant, device.ID(name))
}

func TestHoldsOutOfReachAreNotListed(t *testing.T) {
	d := newDepot(t)
	near, far := d.enrol(), d.enrol()
	d.Devices = finder{d.store, near}
	u := d.keep(d.vault, near, 1, vault.Sealed)
	first, _ := d.hold(retention.NewHold{Device: string(near), Reason: "case 1"}), d.hold(retention.NewHold{Device: string(far), Reason: "case 2"})
	last := d.hold(retention.NewHold{Action: u.Action, Reason: "case 3"})
	who := d.admin
	who.Kind, who.Scopes, who.Person = auth.User, auth.Scopes, auth.Rights{Permissions: []auth.Permission{auth.ManagePortal}}
	list, err := d.Holds(t.Context(), who)
	d.must(err)
	slices.SortFunc(list, func(a, b retention.Hold) int { return strings.Compare(a.Reason, b.Reason) }) // two are of one moment
	if want := []retention.Hold{first, last}; !slices.Equal(list, want) {
		t.Errorf("Holds() = %+v, want %+v", list, want)
	}
}

func TestNothingExpiresByItself(t *testing.T) {
	d := newDepot(t)
	u := d.keep(d.vault, d.enrol(), 10, vault.Sealed)
	d.at = d.at.AddDate(50, 0, 0)
	if p, err := d.Show(t.Context(), d.admin); err != nil || !p.None() {
		t.Errorf("Show() = %+v, %v", p, err)
	}
	if n := d.expire(); n != 0 || !slices.Equal(d.there(), idsOf(u)) {
		t.Errorf("%d expired", n)
	}
}

func TestEachRuleTakesTheOldestAndTheEntrySaysWhich(t *testing.T) {
	d := newDepot(t)
	dev := d.enrol()
	bad, part := d.keep(d.vault, dev, 5, vault.Quarantined), d.keep(d.vault, dev, 5, vault.Partial)
	old := d.keep(d.vault, dev, 10, vault.Sealed)
	d.at = d.at.Add(31 * 24 * time.Hour)
	second, third, fourth, last := d.keep(d.vault, dev, 100, vault.Sealed), d.keep(d.vault, dev, 100, vault.Sealed), d.keep(d.vault, dev, 40, vault.Sealed), d.keep(d.vault, dev, 60, vault.Sealed)
	fresh := d.keep(d.vault, dev, 1_000_000, vault.Partial) // which counts for nothing
	d.set(retention.Policy{Days: 30, Packages: 3, Bytes: 100})
	if n := d.expire(); n != 5 {
		t.Errorf("%d expired, want 5", n)
	}
	if diff := cmp.Diff(idsOf(fourth, last, fresh), d.there()); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	want := []audit.Leaf{}
	for _, one := range []struct {
		u      vault.Upload
		detail string
	}{
		{bad, "days 30, attempt 1"}, {part, "days 30, attempt 1"}, {old, "days 30"}, {second, "packages 3"}, {third, "bytes 100"},
	} {
		want = append(want, audit.Leaf{Act: audit.ActExpire, Object: one.u.Action, Device: string(dev), Result: audit.Done, Detail: one.detail})
	}
	if diff := cmp.Diff(want, d.entries(audit.ActExpire)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	u, err := d.store.Upload(t.Context(), third.ID)
	if err != nil || u.Reason != "it expired: 100 bytes of the newest packages are kept" {
		t.Errorf("the record says %q, %v", u.Reason, err)
	}
	if n := d.expire(); n != 0 {
		t.Errorf("%d more expired", n)
	}
}

// Whatever comes in whatever order: what is held stays, of the rest the newest
// stay that the rules keep, no more and no less, and each deletion is one entry.
func TestAfterExpireTheRulesHoldForWhatIsNotHeld(t *testing.T) {
	d := newDepot(t)
	rapid.Check(t, func(r *rapid.T) {
		d.found()
		devices := []device.ID{d.enrol(), d.enrol(), d.enrol()}
		var (
			policy  retention.Policy
			holds   []retention.Hold
			expired int
		)
		alive := func() (list []vault.Upload) {
			for _, u := range d.kept {
				now, err := d.store.Upload(context.Background(), u.ID)
				d.must(err)
				if now.State != vault.Deleted {
					list = append(list, now)
				}
			}
			return list
		}
		held := func(u vault.Upload) bool {
			return slices.ContainsFunc(holds, func(h retention.Hold) bool { return h.Device == u.Device && (h.Action == "" || h.Action == u.Action) })
		}
		r.Repeat(map[string]func(*rapid.T){
			"keep": func(r *rapid.T) {
				d.keep(d.vault, rapid.SampledFrom(devices).Draw(r, "device"), rapid.IntRange(0, 50).Draw(r, "size"),
					rapid.SampledFrom([]vault.State{vault.Sealed, vault.Sealed, vault.Sealed, vault.Quarantined, vault.Partial}).Draw(r, "state"))
			},
			"wait": func(r *rapid.T) { d.at = d.at.Add(time.Duration(rapid.IntRange(1, 40).Draw(r, "hours")) * time.Hour) },
			"set": func(r *rapid.T) {
				policy = retention.Policy{
					Days: rapid.IntRange(0, 3).Draw(r, "days"), Packages: rapid.IntRange(0, 4).Draw(r, "packages"), Bytes: int64(rapid.IntRange(0, 100).Draw(r, "bytes")),
				}
				d.set(policy)
			},
			"hold": func(r *rapid.T) {
				n := retention.NewHold{Reason: "case 118", Device: string(rapid.SampledFrom(devices).Draw(r, "device"))}
				if len(d.kept) > 0 && rapid.Bool().Draw(r, "of an action") {
					n.Device, n.Action = "", rapid.SampledFrom(d.kept).Draw(r, "upload").Action
				}
				holds = append(holds, d.hold(n))
			},
			"release": func(r *rapid.T) {
				if len(holds) == 0 {
					r.Skip("there is none")
				}
				i := rapid.IntRange(0, len(holds)-1).Draw(r, "hold")
				if _, err := d.Release(context.Background(), d.admin, holds[i].ID); err != nil {
					r.Fatal(err)
				}
				holds = slices.Delete(holds, i, i+1)
			},
			"expire": func(r *rapid.T) {
				var want []string
				packages, size, full := 0, int64(0), false
				before := alive()
				for _, u := range slices.Backward(before) { // the newest first
					aged := policy.Days > 0 && d.at.Sub(u.Updated) >= time.Duration(policy.Days)*24*time.Hour
					stays := held(u) || !aged
					if u.State == vault.Sealed && !held(u) {
						packages++
						size += u.Offset
						// Whatever is older than one that goes, goes.
						full = full || aged || policy.Packages > 0 && packages > policy.Packages || policy.Bytes > 0 && size > policy.Bytes
						stays = !full
					}
					if stays {
						want = append(want, u.ID)
					}
				}
				slices.Reverse(want)
				expired += d.expire()
				if got := d.there(); !slices.Equal(got, want) {
					r.Fatalf("after Expire by %+v of %+v with holds %+v: kept %v, want %v", policy, before, holds, got, want)
				}
				if n := len(d.entries(audit.ActExpire)); n != expired {
					r.Fatalf("%d entries of %d deletions", n, expired)
				}
			},
		})
		d.set(retention.Policy{}) // this tenant's time is over
	})
}

// died is a store whose process is killed once it has marked an upload.
type died struct{ *store.Store }

var errKilled = errors.New("killed")

func (s died) ExpireUpload(ctx context.Context, revision int64, u vault.Upload, reason string, now time.Time, e audit.Entry) (int64, bool, error) {
	if _, _, err := s.Store.ExpireUpload(ctx, revision, u, reason, now, e); err != nil {
		return 0, false, err
	}
	return 0, false, errKilled
}

func TestACrashBetweenMarkAndRemovalIsFinishedByTheNextSweep(t *testing.T) {
	d := newDepot(t)
	dev := d.enrol()
	first, last := d.keep(d.vault, dev, 10, vault.Sealed), d.keep(d.vault, dev, 10, vault.Sealed)
	d.set(retention.Policy{Packages: 1})
	d.Records = died{d.store}
	if _, err := d.Expire(t.Context()); !errors.Is(err, errKilled) {
		t.Fatalf("Expire() = %v", err)
	}
	if _, err := os.Stat(filepath.Join(d.dir, vault.Name(first))); err != nil {
		t.Fatalf("the bytes are gone before the crash was: %v", err)
	}
	d.vault.Close()
	d.Records, d.Bytes = d.store, d.node(d.dir)
	if n := d.expire(); n != 0 {
		t.Errorf("%d expired by the sweep after the crash", n)
	}
	if got := d.there(); !slices.Equal(got, idsOf(last)) {
		t.Errorf("kept %v", got)
	}
	if n := len(d.entries(audit.ActExpire)); n != 1 {
		t.Errorf("%d entries of one deletion", n)
	}
}

// late is a store to which something happens once uploads were listed.
type late struct {
	*store.Store
	then func()
}

func (s *late) Expirable(ctx context.Context, tenant string, kind retention.Kind, after retention.Place, most int) ([]vault.Upload, error) {
	list, err := s.Store.Expirable(ctx, tenant, kind, after, most)
	if s.then != nil && kind == retention.Packages {
		s.then()
		s.then = nil
	}
	return list, err
}

func TestWhatIsHeldWhileASweepRunsStays(t *testing.T) {
	d := newDepot(t)
	one, two := d.enrol(), d.enrol()
	first, second, third := d.keep(d.vault, one, 10, vault.Sealed), d.keep(d.vault, two, 10, vault.Sealed), d.keep(d.vault, two, 10, vault.Sealed)
	d.set(retention.Policy{Packages: 2})
	d.Records = &late{d.store, func() { d.hold(retention.NewHold{Device: string(one), Reason: "case 118"}) }}
	for range 2 { // by what was counted before the hold, another would have to go
		if n := d.expire(); n != 0 {
			t.Errorf("%d expired", n)
		}
	}
	if got := d.there(); !slices.Equal(got, idsOf(first, second, third)) {
		t.Errorf("kept %v", got)
	}
}

// Two nodes share the records, and each has the bytes of what it took.
func TestEachNodeDeletesTheBytesThatItHas(t *testing.T) {
	d := newDepot(t)
	elsewhere := t.TempDir()
	second := d.node(elsewhere)
	dev := d.enrol()
	for n := range 6 {
		d.keep([]*vault.Vault{d.vault, second}[n%2], dev, 10, vault.Sealed)
	}
	d.set(retention.Policy{Packages: 2})
	other := *d.Keeper
	other.Bytes = second
	var n [2]int
	var err error
	n[0] = d.expire()
	n[1], err = other.Expire(t.Context())
	d.must(err)
	if n != [2]int{2, 2} || !slices.Equal(d.there(elsewhere), idsOf(d.kept[4:]...)) {
		t.Errorf("the nodes deleted %v", n)
	}
}

// A node's sweep counts, another node deletes, and then the first one goes on.
func TestNodesThatSweepAtOnceDeleteNoMoreThanOne(t *testing.T) {
	d := newDepot(t)
	elsewhere := t.TempDir()
	second := d.node(elsewhere)
	dev := d.enrol()
	for n := range 6 {
		d.keep([]*vault.Vault{d.vault, second}[n%2], dev, 10, vault.Sealed)
	}
	d.set(retention.Policy{Packages: 2})
	other := *d.Keeper
	other.Bytes = second
	d.Records = &late{d.store, func() {
		_, err := other.Expire(context.Background())
		d.must(err)
	}}
	for range 2 {
		d.expire()
	}
	if got := d.there(elsewhere); !slices.Equal(got, idsOf(d.kept[4:]...)) {
		t.Errorf("kept %v, want the newest two", got)
	}
}

func TestASweepIsBoundedAndTheNextGoesOn(t *testing.T) {
	d := newDepot(t)
	dev := d.enrol()
	for range retention.MostExpired + 20 {
		d.keep(d.vault, dev, 0, vault.Partial)
	}
	d.at = d.at.AddDate(0, 0, 2)
	d.set(retention.Policy{Days: 1})
	for _, want := range []int{retention.MostExpired, 20, 0} {
		if n := d.expire(); n != want {
			t.Fatalf("%d expired, want %d", n, want)
		}
	}
}

func TestRulesAndHoldsAreEntriesWithTheirDifferences(t *testing.T) {
	d := newDepot(t)
	dev := d.enrol()
	u := d.keep(d.vault, dev, 1, vault.Sealed)
	d.set(retention.Policy{Days: 30})
	d.set(retention.Policy{Days: 30}) // which changes nothing, and is no entry
	d.set(retention.Policy{Bytes: 1 << 40})
	h := d.hold(retention.NewHold{Action: u.Action, Reason: "case 118"})
	want := retention.Hold{Tenant: d.tenant, ID: h.ID, Device: dev, Action: u.Action, Reason: "case 118", Holder: "SOAR", Created: d.at}
	if list, err := d.Holds(t.Context(), d.admin); err != nil || !slices.Equal(list, []retention.Hold{want}) {
		t.Errorf("Holds() = %+v, %v; want %+v", list, err, want)
	}
	if got, err := d.Release(t.Context(), d.admin, h.ID); err != nil || got != want {
		t.Errorf("Release() = %+v, %v", got, err)
	}
	entries, err := d.store.AuditEntries(t.Context(), d.tenant, 0, 0)
	d.must(err)
	var got []string
	for _, e := range entries {
		leaf, err := audit.ParseLeaf(e.Leaf)
		d.must(err)
		if c, ok := audit.ParseChanges(e.Opening.Hidden.Comment); ok {
			line := fmt.Sprint(leaf.Act, " ", leaf.Object == d.tenant || leaf.Object == h.ID, " ", e.Opening.Hidden.Who)
			for _, f := range c.Fields {
				line += fmt.Sprintf(" %s%v%v", f.Field, f.From, f.To)
			}
			got = append(got, line)
		}
	}
	if diff := cmp.Diff([]string{
		"retention.change true application/app days[][30]",
		"retention.change true application/app days[30][] bytes[][1099511627776]",
		"hold.add true application/app device[][" + string(dev) + "] action[][" + u.Action + "] reason[][case 118]",
		"hold.remove true application/app device[" + string(dev) + "][] action[" + u.Action + "][] reason[case 118][]",
	}, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestWhatIsRefusedIsAnEntryAndChangesNothing(t *testing.T) {
	d := newDepot(t)
	dev := d.enrol()
	nobody, near := d.admin, d.admin
	nobody.Roles = nil
	near.Kind = auth.User
	near.Person = auth.Rights{Permissions: []auth.Permission{auth.ManagePortal}}
	near.Scopes = auth.Scopes
	unread := func() (retention.Change, error) { t.Error("the body was read"); return retention.Change{}, nil }
	policy := func(c retention.Change) func() (retention.Change, error) {
		return func() (retention.Change, error) { return c, nil }
	}
	for name, test := range map[string]struct {
		act  audit.Act
		want fault.Code
		do   func() error
	}{
		"show without the right": {audit.ActReadRetention, fault.Forbidden, func() error { _, err := d.Show(t.Context(), nobody); return err }},
		"set without the right":  {audit.ActChangeRetention, fault.Forbidden, func() error { _, err := d.Set(t.Context(), nobody, unread); return err }},
		"set by who does not reach all": {audit.ActChangeRetention, fault.DisallowedOperation, func() error {
			_, err := d.Set(t.Context(), near, unread)
			return err
		}},
		"list without the right": {audit.ActReadHold, fault.Forbidden, func() error { _, err := d.Holds(t.Context(), nobody); return err }},
		"hold by who does not reach all": {audit.ActAddHold, fault.DisallowedOperation, func() error {
			_, err := d.Hold(t.Context(), near, func() (retention.NewHold, error) { t.Error("the body was read"); return retention.NewHold{}, nil })
			return err
		}},
		"release by who does not reach all": {audit.ActRemoveHold, fault.DisallowedOperation, func() error {
			_, err := d.Release(t.Context(), near, "x")
			return err
		}},
		"days beyond": {audit.ActChangeRetention, fault.InvalidInput, func() error {
			_, err := d.Set(t.Context(), d.admin, policy(retention.Change{Days: new(retention.MaxDays + 1)}))
			return err
		}},
		"bytes below": {audit.ActChangeRetention, fault.InvalidInput, func() error {
			_, err := d.Set(t.Context(), d.admin, policy(retention.Change{Bytes: new(int64(-1))}))
			return err
		}},
		"packages beyond": {audit.ActChangeRetention, fault.InvalidInput, func() error {
			_, err := d.Set(t.Context(), d.admin, policy(retention.Change{Packages: new(retention.MaxPackages + 1)}))
			return err
		}},
		"remove what is not there": {audit.ActRemoveHold, fault.NotFound, func() error { _, err := d.Release(t.Context(), d.admin, "x\n"); return err }},
		"hold nothing":             {audit.ActAddHold, fault.InvalidInput, d.refusedHold(retention.NewHold{Reason: "x"})},
		"hold both":                {audit.ActAddHold, fault.InvalidInput, d.refusedHold(retention.NewHold{Action: "x", Device: string(dev), Reason: "x"})},
		"hold for no reason":       {audit.ActAddHold, fault.MissingParameter, d.refusedHold(retention.NewHold{Device: string(dev), Reason: " "})},
		"hold for too long a reason": {audit.ActAddHold, fault.InvalidInput, d.refusedHold(retention.NewHold{
			Device: string(dev), Reason: strings.Repeat("x", retention.MaxReason+1),
		})},
		"hold for an unseen reason":  {audit.ActAddHold, fault.InvalidInput, d.refusedHold(retention.NewHold{Device: string(dev), Reason: "a\u202eb"})},
		"hold a device that is none": {audit.ActAddHold, fault.NotFound, d.refusedHold(retention.NewHold{Device: "nosuch", Reason: "x"})},
		"hold an action that is none": {audit.ActAddHold, fault.NotFound, d.refusedHold(retention.NewHold{
			Action: "x\n", Reason: "x",
		})},
	} {
		before := len(d.entries(test.act))
		if code, _ := fault.Of(test.do()); code != test.want {
			t.Errorf("%s: %s, want %s", name, code, test.want)
		}
		entries := d.entries(test.act)
		if len(entries) != before+1 || entries[before].Result != audit.Refused || entries[before].Detail != string(test.want) {
			t.Errorf("%s: entries %+v, want one more, refused", name, entries)
		}
	}
	if p, err := d.Show(t.Context(), d.admin); err != nil || !p.None() {
		t.Errorf("the rules are %+v, %v", p, err)
	}
	if list, err := d.Holds(t.Context(), d.admin); err != nil || len(list) != 0 {
		t.Errorf("the holds are %+v, %v", list, err)
	}
}

func (d *depot) refusedHold(n retention.NewHold) func() error {
	return func() error {
		_, err := d.Hold(context.Background(), d.admin, func() (retention.NewHold, error) { return n, nil })
		return err
	}
}
