package action_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/catalog"
	"swab/internal/device"
	"swab/internal/evidence"
	"swab/internal/fault"
	"swab/internal/fleet"
	"swab/internal/store"
	"swab/internal/store/storetest"
	"swab/internal/wire"
)

const tenant = "d2a1f3c4-55b6-4e7d-8f90-a1b2c3d4e5f6"

// world is an engine over a real store, with one device that never connects by
// itself and a clock that moves when it is told to.
type world struct {
	*action.Engine
	t       testing.TB
	store   *store.Store
	log     ed25519.PublicKey
	receipt ed25519.PublicKey
	dev     device.Device
	mu      sync.Mutex
	now     time.Time
	woken   int
	ended   []action.Action
}

type keys struct{ log, receipt ed25519.PrivateKey }

func (k keys) LogKey() ed25519.PrivateKey     { return k.log }
func (k keys) ReceiptKey() ed25519.PrivateKey { return k.receipt }

func (w *world) Wake(device.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.woken++
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	ctx := t.Context()
	w := &world{t: t, now: time.Date(2026, 11, 24, 22, 0, 0, 0, time.UTC)}
	st, err := store.Open(ctx, store.Options{Database: storetest.Database(t), Log: slog.New(slog.DiscardHandler), Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	w.store = st
	logPub, logKey, _ := ed25519.GenerateKey(rand.Reader)
	receiptPub, receiptKey, _ := ed25519.GenerateKey(rand.Reader)
	w.log, w.receipt = logPub, receiptPub
	w.Engine = &action.Engine{
		Records: st, Devices: &fleet.Fleet{Records: st, Groups: auth.NewDirectory(st, w.clock), Now: w.clock, Logger: slog.New(slog.DiscardHandler)}, Log: st, Keys: keys{logKey, receiptKey}, Bus: w, Now: w.clock, Times: action.DefaultTimes(),
		Logger: slog.New(slog.DiscardHandler), OnEnd: func(a action.Action) { w.ended = append(w.ended, a) },
	}
	must(t, st.CreateTenant(ctx, auth.Tenant{ID: tenant, Name: "default", Created: w.now},
		audit.NewEntry(w.now, audit.Leaf{Act: audit.ActStart, Object: tenant, Result: audit.Done}, audit.Hidden{Who: "server"})))
	token := sha256.Sum256([]byte("token"))
	must(t, st.CreateEnrollment(ctx, auth.Enrollment{Tenant: tenant, ID: "e", Hash: token, Left: -1}))
	pub, _, _ := ed25519.GenerateKey(rand.Reader)
	w.dev, err = st.Enrol(ctx, token, device.Device{
		ID: device.IDOf(pub), Keys: []ed25519.PublicKey{pub}, FirstSeen: w.now, LastSeen: w.now,
		Facts:   device.Facts{Name: "web-1.corp.example", System: device.Linux, AgentVersion: "0.1.0"},
		Catalog: string(catalog.Current().Digest()),
	}, func(tenant string) audit.Entry {
		return audit.NewEntry(w.now, audit.Leaf{Act: audit.ActEnrol, Object: string(device.IDOf(pub)), Result: audit.Done}, audit.Hidden{})
	})
	must(t, err)
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func caller(roles ...string) auth.Caller {
	return auth.Caller{Kind: auth.Application, Tenant: tenant, ID: "app", Name: "SOAR", Roles: roles, From: "192.0.2.1", Source: "PublicApi"}
}

var all = caller(auth.CollectForensics, auth.ReadAll, auth.Administer)

func (w *world) collect() action.Action {
	w.t.Helper()
	a, err := w.Collect(w.t.Context(), all, w.dev, action.Request{Comment: "alert 1234"})
	must(w.t, err)
	_, err = w.store.Head(w.t.Context(), tenant) // by which the request is in the log
	must(w.t, err)
	return a
}

// deliver checks what the device would, and acknowledges it.
func (w *world) deliver(head audit.Head) (wire.Collect, audit.Head) {
	w.t.Helper()
	d, ok, err := w.Next(w.t.Context(), tenant, w.dev.ID, head)
	must(w.t, err)
	if !ok {
		w.t.Fatal("nothing to deliver")
	}
	c := d.Collect
	now, leaves, err := audit.Proof(c.Proof).Check(tenant, w.log, head)
	must(w.t, err)
	leaf := leaves[0]
	if leaf.Act != audit.ActCollect || leaf.Object != string(c.Action) || leaf.Device != string(w.dev.ID) || leaf.Profile != string(c.Plan) || leaf.Commitment != string(c.Commitment) {
		w.t.Fatalf("leaf %+v does not say what the message says: %+v", leaf, c)
	}
	must(w.t, w.Begun(w.t.Context(), tenant, w.dev.ID, wire.Begun{Action: c.Action, Attempt: c.Attempt, Head: now}))
	return c, now
}

func (w *world) seal(a action.Action, attempt int) (action.Action, error) {
	return w.Sealed(w.t.Context(), tenant, w.dev.ID, a.ID, attempt, action.SealedPackage{
		Upload: "u", SHA256: strings.Repeat("ab", 32), Size: 10, Signer: w.dev.Key(),
	})
}

func (w *world) status(a action.Action) action.Status {
	w.t.Helper()
	got, err := w.Get(w.t.Context(), all, a.ID)
	must(w.t, err)
	return got.Status
}

func TestPackageOfADeviceThatObeys(t *testing.T) {
	w := newWorld(t)
	a := w.collect()
	if a.Status != action.Pending || a.DeviceName != "web-1.corp.example" || a.Requestor != "SOAR" || w.woken == 0 {
		t.Errorf("Collect = %+v, woken %d times", a, w.woken)
	}
	c, head := w.deliver(audit.Head{})
	if _, again, err := w.Next(t.Context(), tenant, w.dev.ID, head); again || err != nil {
		t.Errorf("an acknowledged attempt is offered again: %v, %v", again, err)
	}
	must(t, w.Progress(t.Context(), tenant, w.dev.ID, wire.Progress{Action: c.Action, Attempt: 1, Stage: 1, Items: 11, Of: 11, TakenMs: 40, Sent: 5}))
	must(t, w.Uploading(t.Context(), tenant, w.dev.ID, a.ID, 1))
	done, err := w.seal(a, 1)
	must(t, err)
	if again, err := w.seal(a, 1); err != nil || again.Status != action.Succeeded {
		t.Errorf("sealed twice = %v, %v", again.Status, err)
	}
	if done.Status != action.Succeeded || done.Package == nil || done.TakenMs != 40 {
		t.Errorf("Sealed = %+v", done)
	}
	r, err := evidence.OpenReceipt(done.Package.Receipt, []ed25519.PublicKey{w.receipt})
	must(t, err)
	if r.Comment != "alert 1234" || r.Requestor != "SOAR" || r.Opening.Commitment() != string(c.Commitment) || r.Action != a.ID {
		t.Errorf("receipt = %+v", r)
	}
	if _, err := w.Link(t.Context(), all, a.ID, there); err != nil {
		t.Errorf("Link = %v", err)
	}
	if len(w.ended) != 1 {
		t.Errorf("told of %d ends, want 1", len(w.ended))
	}
}

func TestSecondCollectNamesTheFirst(t *testing.T) {
	w := newWorld(t)
	first := w.collect()
	_, err := w.Collect(t.Context(), all, w.dev, action.Request{Comment: "again"})
	var active *action.ActiveError
	if !errors.As(err, &active) || active.ID != first.ID || !errors.Is(err, fault.Active) {
		t.Fatalf("Collect = %v, want an ActiveError that names %s", err, first.ID)
	}
	if _, text := fault.Of(err); text != "Action is already in progress" {
		t.Errorf("text %q", text)
	}
}

// Threat P2: nothing is asked of a device whose package there is no room for.
func TestNothingIsAskedForWithoutRoom(t *testing.T) {
	w := newWorld(t)
	full := true
	w.Room = func(context.Context) error {
		if full {
			return fault.Unavailable.Errorf(nil, "full")
		}
		return nil
	}
	if _, err := w.Collect(t.Context(), all, w.dev, action.Request{Comment: "alert 1234"}); !errors.Is(err, fault.Unavailable) {
		t.Errorf("Collect() = %v, want ServiceUnavailable", err)
	}
	if _, ok, err := w.Next(t.Context(), tenant, w.dev.ID, audit.Head{}); ok || err != nil || w.woken != 0 {
		t.Errorf("Next() = %t, %v; woken %d times", ok, err, w.woken)
	}
	full = false
	w.collect()
}

func TestTwoSimultaneousCollectsMakeOneAction(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wg.Go(func() { _, errs[i] = w.Collect(t.Context(), all, w.dev, action.Request{Comment: "x"}) })
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
		} else if !errors.Is(err, fault.Active) {
			t.Errorf("Collect = %v, want Active", err)
		}
	}
	if made != 1 {
		t.Errorf("%d actions made, want 1", made)
	}
}

func TestOperationsAreRefusedAndRecorded(t *testing.T) {
	w := newWorld(t)
	a := w.collect()
	entries := func() []audit.Logged {
		list, err := w.store.AuditEntries(t.Context(), tenant, 0, 0)
		must(t, err)
		return list
	}
	ctx := t.Context()
	old, windows, odd := w.dev, w.dev, w.dev
	old.Catalog, windows.Facts.System, odd.Revoked = "sha256:0", "plan9", true
	for _, tt := range []struct {
		name string
		do   func() error
		want fault.Code
	}{
		{"collect without the permission", func() error {
			_, err := w.Collect(ctx, caller(auth.ReadAll), w.dev, action.Request{Comment: "x"})
			return err
		}, fault.Forbidden},
		{"target without the permission", func() error { _, err := w.Target(ctx, caller(), "web-1"); return err }, fault.Forbidden},
		{"target of no device", func() error { _, err := w.Target(ctx, all, "nosuch"); return err }, fault.NotFound},
		{"collect without a comment", func() error { _, err := w.Collect(ctx, all, w.dev, action.Request{Comment: " \t"}); return err }, fault.MissingParameter},
		{"collect with a long comment", func() error {
			_, err := w.Collect(ctx, all, w.dev, action.Request{Comment: strings.Repeat("ä", 4097)})
			return err
		}, fault.InvalidRequestBody},
		{"collect of an unknown profile", func() error {
			_, err := w.Collect(ctx, all, w.dev, action.Request{Comment: "x", Profile: "../x"})
			return err
		}, fault.InvalidInput},
		{"collect from an old agent", func() error { _, err := w.Collect(ctx, all, old, action.Request{Comment: "x"}); return err }, fault.ClientNotSupported},
		{"collect from an odd system", func() error { _, err := w.Collect(ctx, all, windows, action.Request{Comment: "x"}); return err }, fault.OsNotSupported},
		{"collect from a revoked device", func() error { _, err := w.Collect(ctx, all, odd, action.Request{Comment: "x"}); return err }, fault.DisallowedOperation},
		{"collect twice", func() error { _, err := w.Collect(ctx, all, w.dev, action.Request{Comment: "x"}); return err }, fault.Active},
		{"cancel without the permission", func() error { _, err := w.Cancel(ctx, caller(auth.ReadAll), a.ID, said("")); return err }, fault.Forbidden},
		{"cancel of nothing", func() error { _, err := w.Cancel(ctx, all, "nosuch", said("")); return err }, fault.NotFound},
		{"link without the permission", func() error { _, err := w.Link(ctx, caller(auth.CollectForensics), a.ID, there); return err }, fault.Forbidden},
		{"link to no package", func() error { _, err := w.Link(ctx, all, a.ID, there); return err }, fault.NotFound},
		{"read without the permission", func() error { _, err := w.Get(ctx, caller(), a.ID); return err }, fault.Forbidden},
		{"list without the permission", func() error { _, err := w.List(ctx, caller(), nil); return err }, fault.Forbidden},
		{"partial without the permission", func() error { _, err := w.Partial(ctx, caller(auth.ReadAll), a.ID, 1); return err }, fault.Forbidden},
		{"partial of no attempt", func() error { _, err := w.Partial(ctx, all, a.ID, 2); return err }, fault.NotFound},
		{"log without the permission", func() error { _, err := w.ReadLog(ctx, caller(auth.ReadAll), 0, 0); return err }, fault.Forbidden},
	} {
		before := len(entries())
		if err := tt.do(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
			continue
		}
		after := entries()
		if len(after) != before+1 {
			t.Errorf("%s: %d new entries in the log, want 1", tt.name, len(after)-before)
			continue
		}
		leaf, err := audit.ParseLeaf(after[len(after)-1].Leaf)
		must(t, err)
		if leaf.Result != audit.Refused || leaf.Detail != string(tt.want) || after[len(after)-1].Opening.Commitment() != leaf.Commitment {
			t.Errorf("%s: entry %+v", tt.name, leaf)
		}
	}
}

func TestAnotherTenantSeesNothing(t *testing.T) {
	w := newWorld(t)
	a := w.collect()
	other := all
	other.Tenant = "00000000-0000-4000-8000-000000000000"
	must(t, w.store.CreateTenant(t.Context(), auth.Tenant{ID: other.Tenant, Name: "other", Created: w.now},
		audit.NewEntry(w.now, audit.Leaf{Act: audit.ActStart, Object: other.Tenant, Result: audit.Done}, audit.Hidden{})))
	for name, err := range map[string]error{
		"get":    second(w.Get(t.Context(), other, a.ID)),
		"cancel": second(w.Cancel(t.Context(), other, a.ID, said(""))),
		"link":   second(w.Link(t.Context(), other, a.ID, there)),
		"target": second(w.Target(t.Context(), other, "web-1")),
		"begun":  w.Begun(t.Context(), other.Tenant, w.dev.ID, wire.Begun{Action: wire.ActionID(a.ID), Attempt: 1}),
	} {
		if !errors.Is(err, fault.NotFound) {
			t.Errorf("%s of another tenant's: %v, want NotFound", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func said(comment string) func() (string, error) {
	return func() (string, error) { return comment, nil }
}

func there(action.Action) error { return nil }

// TestNameReachesNoOtherDevice has a device within a person's reach tell the id of
// one beyond it as its own name.
func TestNameReachesNoOtherDevice(t *testing.T) {
	w := newWorld(t)
	a := w.collect()
	pub, _, _ := ed25519.GenerateKey(rand.Reader)
	near, err := w.store.Enrol(t.Context(), sha256.Sum256([]byte("token")), device.Device{
		ID: device.IDOf(pub), Keys: []ed25519.PublicKey{pub}, FirstSeen: w.now, LastSeen: w.now, Facts: device.Facts{Name: string(w.dev.ID), System: device.Linux},
	}, func(tenant string) audit.Entry {
		return audit.NewEntry(w.now, audit.Leaf{Act: audit.ActEnrol, Object: string(device.IDOf(pub)), Result: audit.Done}, audit.Hidden{})
	})
	must(t, err)
	policy := &auth.Policy{Groups: device.NewGroups([]device.Group{{ID: 1, Name: "near", Rank: 1,
		Rule: device.Rule{{Property: device.ByName, Operator: device.Equals, Values: []string{near.Facts.Name}}}}})}
	who := auth.Caller{Kind: auth.User, Tenant: tenant, ID: "ann", Scopes: auth.Scopes, Policy: policy,
		Person: auth.Rights{Permissions: auth.RolePermissions, Reach: device.Reach{Groups: []int64{1}}}}
	if !who.Sees(near) || who.Sees(w.dev) {
		t.Fatal("the person sees other devices than the test means")
	}
	if got, err := w.Get(t.Context(), who, a.ID); !errors.Is(err, fault.NotFound) {
		t.Errorf("Get() of an action beyond reach = %+v, %v, want NotFound", got, err)
	}
	if _, err := w.Cancel(t.Context(), who, a.ID, func() (string, error) { return "", nil }); !errors.Is(err, fault.NotFound) {
		t.Errorf("Cancel() of an action beyond reach: %v, want NotFound", err)
	}
	if got, err := w.Target(t.Context(), who, string(w.dev.ID)); !errors.Is(err, fault.NotFound) {
		t.Errorf("the id of a device beyond reach means %s, %v, want NotFound", got.ID, err)
	}
}

// Who asks for too much, or in the wrong form, learns first whether the thing is there.
func TestCommentIsAskedForLast(t *testing.T) {
	w := newWorld(t)
	a := w.collect()
	wrong := func() (string, error) { return "", fault.InvalidRequestBody.Errorf(nil, "not JSON") }
	if _, err := w.Cancel(t.Context(), all, "nosuch", wrong); !errors.Is(err, fault.NotFound) {
		t.Errorf("Cancel of nothing = %v, want NotFound", err)
	}
	if _, err := w.Cancel(t.Context(), all, a.ID, wrong); !errors.Is(err, fault.InvalidRequestBody) {
		t.Errorf("Cancel with a bad body = %v, want InvalidRequestBody", err)
	}
	if _, err := w.Cancel(t.Context(), all, a.ID, said(strings.Repeat("x", action.MaxComment+1))); !errors.Is(err, fault.InvalidRequestBody) {
		t.Errorf("Cancel with a long comment = %v, want InvalidRequestBody", err)
	}
	if s := w.status(a); s != action.Pending {
		t.Errorf("status %s, want Pending", s)
	}
}

// A comment out of bounds is not kept, in the log either, which is for ever.
func TestCommentOutOfBoundsIsNotRecorded(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("x", action.MaxComment+1)
	if _, err := w.Collect(t.Context(), all, w.dev, action.Request{Comment: long}); !errors.Is(err, fault.InvalidRequestBody) {
		t.Fatalf("Collect = %v, want InvalidRequestBody", err)
	}
	list, err := w.store.AuditEntries(t.Context(), tenant, 0, 0)
	must(t, err)
	if c := list[len(list)-1].Opening.Hidden.Comment; c != "" {
		t.Errorf("a comment of %d characters is kept", len(c))
	}
}

// A caller who hangs up takes neither the action nor the wake-up along.
func TestCallerWhoGoesAwayLeavesTheWakeUp(t *testing.T) {
	w := newWorld(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	before := w.woken
	if _, err := w.Collect(gone, all, w.dev, action.Request{Comment: "x"}); err != nil {
		t.Fatal(err)
	}
	if w.woken != before+1 {
		t.Errorf("%d devices were woken, want 1", w.woken-before)
	}
}

// A link is said to be given out only if there is something at its end.
func TestLinkToBytesThatAreGoneIsRefused(t *testing.T) {
	w := newWorld(t)
	a := w.collect()
	w.deliver(audit.Head{})
	must(t, second(w.seal(a, 1)))
	gone := fault.NotFound.Errorf(nil, "the package is gone")
	if _, err := w.Link(t.Context(), all, a.ID, func(action.Action) error { return gone }); !errors.Is(err, fault.NotFound) {
		t.Errorf("Link = %v, want NotFound", err)
	}
	list, err := w.store.AuditEntries(t.Context(), tenant, 0, 0)
	must(t, err)
	last, err := audit.ParseLeaf(list[len(list)-1].Leaf)
	must(t, err)
	if last.Act != audit.ActLink || last.Result != audit.Refused {
		t.Errorf("the last entry is %s, %s; want package.link, refused", last.Act, last.Result)
	}
}

// Each reading of the log is an entry, wherever it begins.
func TestEachReadingOfTheLogIsRecorded(t *testing.T) {
	w := newWorld(t)
	for _, from := range []int64{0, 1, 2} {
		before, err := w.store.Head(t.Context(), tenant)
		must(t, err)
		must(t, second(w.ReadLog(t.Context(), all, from, 1)))
		after, err := w.store.Head(t.Context(), tenant)
		must(t, err)
		if after.Size != before.Size+1 {
			t.Errorf("reading from %d adds %d entries, want 1", from, after.Size-before.Size)
		}
	}
}

func TestAnotherDeviceCanReportNothing(t *testing.T) {
	w := newWorld(t)
	a := w.collect()
	w.deliver(audit.Head{})
	other := device.ID(strings.Repeat("0", 40))
	id := wire.ActionID(a.ID)
	for name, err := range map[string]error{
		"begun":     w.Begun(t.Context(), tenant, other, wire.Begun{Action: id, Attempt: 1}),
		"progress":  w.Progress(t.Context(), tenant, other, wire.Progress{Action: id, Attempt: 1, Stage: 3}),
		"refused":   w.Refused(t.Context(), tenant, other, wire.Refused{Action: id, Attempt: 1, Code: wire.RefusedProof}),
		"ended":     w.Ended(t.Context(), tenant, other, wire.Ended{Action: id, Attempt: 1, Code: wire.EndFailed}),
		"uploading": w.Uploading(t.Context(), tenant, other, a.ID, 1),
		"spoiled":   w.Spoiled(t.Context(), tenant, other, a.ID, 1, "IntegrityError", "x"),
		"sealed":    second(w.Sealed(t.Context(), tenant, other, a.ID, 1, action.SealedPackage{})),
	} {
		if !errors.Is(err, fault.NotFound) {
			t.Errorf("%s by another device: %v, want NotFound", name, err)
		}
	}
	if s := w.status(a); s != action.InProgress {
		t.Errorf("status %s, want InProgress", s)
	}
}

func TestRestartedAgentGetsTheNextAttempt(t *testing.T) {
	w := newWorld(t)
	a := w.collect()
	_, head := w.deliver(audit.Head{})
	ended, err := w.Connected(t.Context(), tenant, w.dev.ID, []wire.Running{{Action: wire.ActionID(a.ID), Attempt: 1}})
	must(t, err)
	if len(ended) != 0 {
		t.Errorf("a running action is said to have ended: %v", ended)
	}
	if _, offered, _ := w.Next(t.Context(), tenant, w.dev.ID, head); offered {
		t.Error("an attempt that the agent has in memory is offered again")
	}
	_, err = w.Connected(t.Context(), tenant, w.dev.ID, nil)
	must(t, err)
	c, _ := w.deliver(head)
	if c.Attempt != 2 {
		t.Errorf("attempt %d offered after a restart, want 2", c.Attempt)
	}
	if _, err := w.seal(a, 1); !errors.Is(err, fault.BadRequest) {
		t.Errorf("the dead attempt is sealed: %v", err)
	}
	if _, err := w.seal(a, 2); err != nil {
		t.Errorf("the live attempt is not sealed: %v", err)
	}
}

// A wake-up may be lost: the sweep repeats it until the device has answered.
func TestSweepWakesADeviceThatHasNotAnswered(t *testing.T) {
	w := newWorld(t)
	w.collect()
	for range 2 {
		before := w.woken
		_, err := w.Sweep(t.Context())
		must(t, err)
		if w.woken != before+1 {
			t.Errorf("the sweep woke %d devices, want 1", w.woken-before)
		}
	}
	w.deliver(audit.Head{})
	before := w.woken
	_, err := w.Sweep(t.Context())
	must(t, err)
	if w.woken != before {
		t.Error("the sweep wakes a device that has answered")
	}
}

// TestAttemptThatWasLostBeforeItWasKnownIsFollowed: the device wrote the attempt to
// its state file and was killed before the server heard of it. Offered again, it
// can only say that what it had read is gone.
func TestAttemptThatWasLostBeforeItWasKnownIsFollowed(t *testing.T) {
	w := newWorld(t)
	a := w.collect()
	if c, ok, err := w.Next(t.Context(), tenant, w.dev.ID, audit.Head{}); err != nil || !ok || c.Collect.Attempt != 1 {
		t.Fatalf("Next() = %+v, %t, %v, want attempt 1", c.Collect, ok, err)
	}
	lost := wire.Ended{Action: wire.ActionID(a.ID), Attempt: 1, Code: wire.EndLost}
	must(t, w.Ended(t.Context(), tenant, w.dev.ID, lost))
	must(t, w.Ended(t.Context(), tenant, w.dev.ID, lost)) // told twice
	c, head := w.deliver(audit.Head{})
	if c.Attempt != 2 || head.Size == 0 {
		t.Errorf("attempt %d is delivered next, want 2", c.Attempt)
	}
	_, err := w.seal(a, 2)
	must(t, err)
	if s := w.status(a); s != action.Succeeded {
		t.Errorf("status %s, want Succeeded", s)
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	w := newWorld(t)
	a := w.collect()
	var head audit.Head
	for range action.MaxAttempts {
		_, head = w.deliver(head)
		must(t, w.Ended(t.Context(), tenant, w.dev.ID, wire.Ended{Action: wire.ActionID(a.ID), Attempt: attempt(t, w, a), Code: wire.EndLost}))
	}
	if s := w.status(a); s != action.Failed {
		t.Errorf("status %s after %d lost attempts, want Failed", s, action.MaxAttempts)
	}
}

func attempt(t *testing.T, w *world, a action.Action) int {
	got, err := w.Get(t.Context(), all, a.ID)
	must(t, err)
	return got.Attempt
}

func TestDeviceThatKnowsALongerLogFailsTheAction(t *testing.T) {
	w := newWorld(t)
	a := w.collect()
	_, ok, err := w.Next(t.Context(), tenant, w.dev.ID, audit.Head{Size: 1000})
	if ok || err != nil {
		t.Fatalf("Next = %v, %v", ok, err)
	}
	got, err := w.Get(t.Context(), all, a.ID)
	must(t, err)
	if got.Status != action.Failed || !strings.Contains(got.Trouble, "1000 entries") || got.ErrorHResult == 0 {
		t.Errorf("action = %s, %q, %d", got.Status, got.Trouble, got.ErrorHResult)
	}
}

func TestTimeOuts(t *testing.T) {
	for _, tt := range []struct {
		name string
		live func(w *world, a action.Action)
		last time.Duration // still alive
		end  time.Duration
	}{
		{"a device that never comes", func(*world, action.Action) {}, 3*24*time.Hour - time.Second, 2 * time.Second},
		{"a device that goes silent", func(w *world, _ action.Action) { w.deliver(audit.Head{}) }, 2*time.Hour - time.Second, 2 * time.Second},
		{"a device that is never done", func(w *world, a action.Action) {
			w.deliver(audit.Head{})
			for i := range 23 {
				w.pass(time.Hour)
				must(w.t, w.Progress(w.t.Context(), tenant, w.dev.ID, wire.Progress{Action: wire.ActionID(a.ID), Attempt: 1, Sent: int64(i + 1)}))
			}
		}, time.Hour - time.Second, 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			a := w.collect()
			tt.live(w, a)
			w.pass(tt.last)
			if n, err := w.Sweep(t.Context()); n != 0 || err != nil {
				t.Fatalf("Sweep before the time = %d, %v", n, err)
			}
			w.pass(tt.end)
			if n, err := w.Sweep(t.Context()); n != 1 || err != nil {
				t.Fatalf("Sweep after the time = %d, %v", n, err)
			}
			if s := w.status(a); s != action.TimeOut {
				t.Errorf("status %s, want TimeOut", s)
			}
			if n, err := w.Sweep(t.Context()); n != 0 || err != nil {
				t.Errorf("second Sweep = %d, %v", n, err)
			}
			if err := w.Begun(t.Context(), tenant, w.dev.ID, wire.Begun{Action: wire.ActionID(a.ID), Attempt: 1}); !errors.Is(err, fault.BadRequest) {
				t.Errorf("Begun of an action that has ended = %v, want BadRequest", err)
			}
		})
	}
}

// Any order of what may happen, from every side at once, ends in one final
// state that nothing leaves, with one entry in the log for it.
func TestAnyOrderOfEventsEndsOnce(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		ctx := context.Background()
		a := w.collect()
		id := wire.ActionID(a.ID)
		n := rapid.IntRange(1, 3)
		events := map[string]func(){
			"begun": func() { w.Begun(ctx, tenant, w.dev.ID, wire.Begun{Action: id, Attempt: n.Draw(rt, "attempt")}) },
			"progress": func() {
				w.Progress(ctx, tenant, w.dev.ID, wire.Progress{Action: id, Attempt: n.Draw(rt, "attempt"), Stage: 1})
			},
			"restart": func() { w.Connected(ctx, tenant, w.dev.ID, nil) },
			"lost": func() {
				w.Ended(ctx, tenant, w.dev.ID, wire.Ended{Action: id, Attempt: n.Draw(rt, "attempt"), Code: wire.EndLost})
			},
			"failed": func() {
				w.Ended(ctx, tenant, w.dev.ID, wire.Ended{Action: id, Attempt: n.Draw(rt, "attempt"), Code: wire.EndFailed})
			},
			"refused": func() {
				w.Refused(ctx, tenant, w.dev.ID, wire.Refused{Action: id, Attempt: n.Draw(rt, "attempt"), Code: wire.RefusedPolicy})
			},
			"sealed": func() { w.seal(a, n.Draw(rt, "attempt")) },
			"cancel": func() { w.Cancel(ctx, all, a.ID, said("")) },
			"hours":  func() { w.pass(5 * time.Hour); w.Sweep(ctx) },
		}
		names := make([]string, 0, len(events))
		for name := range events {
			names = append(names, name)
		}
		slices.Sort(names)
		var final action.Status
		for range rapid.IntRange(5, 25).Draw(rt, "events") {
			events[rapid.SampledFrom(names).Draw(rt, "event")]()
			s := w.status(a)
			if final != "" && s != final {
				rt.Fatalf("left the final state %s for %s", final, s)
			}
			if s.Ended() {
				final = s
			}
		}
		if final == "" {
			w.pass(4 * 24 * time.Hour)
			if _, err := w.Sweep(ctx); err != nil || w.status(a) != action.TimeOut {
				rt.Fatalf("after all time has passed: %s, %v", w.status(a), err)
			}
		}
		ends := 0
		head, err := w.store.Head(ctx, tenant)
		if err != nil {
			rt.Fatal(err)
		}
		for from := int64(1); from < head.Size; {
			page, err := w.ReadLog(ctx, all, from, 0)
			if err != nil {
				rt.Fatal(err)
			}
			for _, e := range page.Entries {
				leaf, err := audit.ParseLeaf(e.Leaf)
				if err != nil {
					rt.Fatal(err)
				}
				if leaf.Object == a.ID && leaf.Result == audit.Done && slices.Contains([]audit.Act{audit.ActCancel, audit.ActSeal, audit.ActFail, audit.ActTimeOut}, leaf.Act) {
					ends++
				}
				from = e.Index + 1
			}
		}
		if ends != 1 {
			rt.Fatalf("%d entries tell of an end, want 1", ends)
		}
	})
}

func TestCancelRacingCompletionEndsOnce(t *testing.T) {
	w := newWorld(t)
	var head audit.Head
	for range 50 {
		a := w.collect()
		_, head = w.deliver(head)
		var wg sync.WaitGroup
		var cancelled, sealed error
		wg.Go(func() { _, cancelled = w.Cancel(t.Context(), all, a.ID, said("")) })
		wg.Go(func() { _, sealed = w.seal(a, 1) })
		wg.Wait()
		s := w.status(a)
		if (cancelled == nil) == (sealed == nil) || (s == action.Cancelled) != (cancelled == nil) {
			t.Fatalf("status %s; cancel: %v; seal: %v", s, cancelled, sealed)
		}
	}
}

func TestLogReadsWholeUnderOneCheckpoint(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		_, err := w.Target(t.Context(), all, fmt.Sprint("nosuch-", i))
		if !errors.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
	}
	page, err := w.ReadLog(t.Context(), all, 0, 0)
	must(t, err)
	head, err := audit.OpenCheckpoint(page.Checkpoint, tenant, w.log)
	must(t, err)
	if head.Size != int64(len(page.Entries)) || page.Entries[0].Index != 0 {
		t.Errorf("checkpoint over %d leaves, page has %d from %d", head.Size, len(page.Entries), page.Entries[0].Index)
	}
	last, err := audit.ParseLeaf(page.Entries[len(page.Entries)-1].Leaf)
	must(t, err)
	if last.Act != audit.ActRead {
		t.Errorf("the last entry is %s: reading the log is not recorded", last.Act)
	}
}
