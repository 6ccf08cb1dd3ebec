package gateway

import (
	"bytes"
	"crypto/ed25519"
	"net/http"
	"slices"
	"testing"
	"time"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/device"
	"swab/internal/evidence"
	"swab/internal/wire"
)

// askKey asks d for another key, as an administrator does.
func (h *house) askKey(t testing.TB, d *agent) {
	t.Helper()
	_, err := h.store.AdministerDevice(t.Context(), tenantID, d.id, func(dev device.Device) (device.Device, audit.Entry, error) {
		dev.KeyAsked = h.now()
		return dev, audit.NewEntry(h.now(), audit.Leaf{Act: audit.ActAskDeviceKey, Object: string(d.id), Device: string(d.id), Result: audit.Done}, audit.Hidden{}), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h.g.Wake(d.id)
}

// next is the same device with the key that follows its present one.
func (d *agent) next(t testing.TB) *agent {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	st, err := device.Succeed(d.id, len(d.statements)+1, pub, d.key)
	if err != nil {
		t.Fatal(err)
	}
	return &agent{h: d.h, key: key, id: d.id, client: d.client, nonce: d.nonce, statements: append(slices.Clip(d.statements), st)}
}

// present tells of d's key.
func (d *agent) present(t testing.TB) (*http.Response, []byte) {
	t.Helper()
	return d.do(t, call{
		method: "POST", path: "/device/key", header: map[string]string{"Content-Type": "application/json"},
		body: bytes.NewReader(mustJSON(t, wire.KeyRequest{Device: d.id, Statements: d.statements})),
	})
}

func TestADeviceIsAskedForAnotherKeyAndHasIt(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	c := d.connect(t)
	h.askKey(t, d)
	if m, ok := c.hear().(wire.Rotate); !ok {
		t.Fatalf("heard %+v, want rotate", m)
	}
	h.g.Wake(d.id) // is not asked twice
	h.g.Wake(d.id)
	n := d.next(t)
	if resp, body := n.present(t); resp.StatusCode != http.StatusOK {
		t.Fatalf("present: %s %s", resp.Status, body)
	}
	// Whoever has the key before is out, whatever it holds.
	if got := c.hearBye(); got != wire.ByeExpired {
		t.Errorf("bye %s, want expired", got)
	}
	if _, resp, err := d.dial(t); err == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("its token opens a channel: %v", err)
	}
	if resp, body := d.login(t); oauthError(body) != wire.CodeInvalidClient {
		t.Errorf("it gets a token: %s", resp.Status)
	}
	if resp, body := d.next(t).present(t); resp.StatusCode != http.StatusForbidden {
		t.Errorf("it names another key to follow: %s %s", resp.Status, body)
	}
	// The answer was lost, twice.
	for range 2 {
		if resp, body := n.present(t); resp.StatusCode != http.StatusOK {
			t.Errorf("present again: %s %s", resp.Status, body)
		}
	}
	dev, err := h.store.DeviceByID(t.Context(), d.id)
	if err != nil || len(dev.Keys) != 2 || !dev.Key().Equal(n.pub()) || !dev.KeyAsked.IsZero() || dev.KeySince.IsZero() {
		t.Errorf("device = %+v, %v", dev, err)
	}
	if got := count(h.acts(t, tenantID), audit.ActDeviceKey); got != 1 {
		t.Errorf("%d entries of the new key, want 1", got)
	}
	// A package by the new key is the device's.
	n.login(t)
	a := h.collect(t, n)
	ch := n.begin(t, actionRef{a.ID, 1})
	defer ch.CloseNow()
	eventually(t, "begun", func() bool { return h.action(t, a.ID).Status == action.InProgress })
	up := n.create(t, a.ID, 1)
	n.send(t, up, packageOf(t, n, a, 1, 0, func(m *evidence.Manifest) {
		m.Device.Key, m.Device.Succession = d.pub(), n.statements
	}), 1<<20)
	eventually(t, "Succeeded", func() bool { return h.action(t, a.ID).Status == action.Succeeded })
}

func count(acts []audit.Act, act audit.Act) (n int) {
	for _, a := range acts {
		if a == act {
			n++
		}
	}
	return n
}

func TestAKeyThatMayNotFollowIsRefused(t *testing.T) {
	h := newHouse(t)
	d, other := enrolled(t, h, tenantID), enrolled(t, h, tenantID)
	n := d.next(t)
	forged := d.next(t)
	st, err := device.Succeed(d.id, 1, forged.pub(), other.key)
	if err != nil {
		t.Fatal(err)
	}
	forged.statements = [][]byte{st}
	notMine := d.next(t)
	notMine.key = other.key // which the statement does not name
	stranger := newAgent(t, h).next(t)
	if resp, body := n.present(t); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a key that nobody asked for: %s %s", resp.Status, body)
	}
	h.askKey(t, d)
	for what, c := range map[string]struct {
		by     *agent
		status int
	}{
		"a statement by another key":             {forged, http.StatusForbidden},
		"a proof by another key than it names":   {notMine, http.StatusBadRequest},
		"a device that is not enrolled":          {stranger, http.StatusUnauthorized},
		"another device's statements, as theirs": {&agent{h: h, key: n.key, id: other.id, client: n.client, statements: n.statements}, http.StatusForbidden},
	} {
		if resp, body := c.by.present(t); resp.StatusCode != c.status {
			t.Errorf("%s: %s %s, want %d", what, resp.Status, body, c.status)
		}
	}
	if dev, err := h.store.DeviceByID(t.Context(), d.id); err != nil || len(dev.Keys) != 1 {
		t.Errorf("device = %+v, %v; want its first key", dev, err)
	}
	if resp, body := n.present(t); resp.StatusCode != http.StatusOK {
		t.Errorf("the right one: %s %s", resp.Status, body)
	}
}

// A package is signed by the key under which it was begun, so a key waits.
func TestAKeyWaitsForTheCollectionThatRuns(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	a := h.collect(t, d)
	c := d.begin(t, actionRef{a.ID, 1})
	eventually(t, "begun", func() bool { return h.action(t, a.ID).Status == action.InProgress })
	h.askKey(t, d)
	n := d.next(t)
	if resp, body := n.present(t); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("present while it runs: %s %s", resp.Status, body)
	}
	up := d.create(t, a.ID, 1)
	d.send(t, up, packageOf(t, d, a, 1, 0, nil), 1<<20)
	// What comes first is that the action is over; only then is it asked.
	if m, ok := c.hear().(wire.Closed); !ok || string(m.Action) != a.ID {
		t.Fatalf("heard %+v, want closed", m)
	}
	if got := h.action(t, a.ID).Status; got != action.Succeeded {
		t.Errorf("status %s", got)
	}
	h.g.Wake(d.id)
	if m, ok := c.hear().(wire.Rotate); !ok {
		t.Fatalf("heard %+v, want rotate", m)
	}
	if resp, body := n.present(t); resp.StatusCode != http.StatusOK {
		t.Errorf("present: %s %s", resp.Status, body)
	}
}

// A server that stopped between the commit of an action and the note that its
// upload is done takes the package again, though the device has another key now.
func TestAPackageThatWasTakenIsTakenAgainAfterAnotherKey(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	a := h.collect(t, d)
	d.begin(t, actionRef{a.ID, 1}).CloseNow()
	eventually(t, "begun", func() bool { return h.action(t, a.ID).Status == action.InProgress })
	up := d.create(t, a.ID, 1)
	d.send(t, up, packageOf(t, d, a, 1, 0, nil), 1<<20)
	eventually(t, "Succeeded", func() bool { return h.action(t, a.ID).Status == action.Succeeded })
	done := h.action(t, a.ID)
	u, err := h.store.Upload(t.Context(), up)
	if err != nil {
		t.Fatal(err)
	}
	n := d.next(t)
	h.askKey(t, d)
	if resp, body := n.present(t); resp.StatusCode != http.StatusOK {
		t.Fatalf("present: %s %s", resp.Status, body)
	}
	dev, err := h.store.DeviceByID(t.Context(), d.id)
	if err != nil {
		t.Fatal(err)
	}
	pkg := packageOf(t, d, a, 1, 0, nil)
	check := evidence.NewChecker(evidence.DefaultLimits())
	if _, err := check.Write(pkg); err != nil {
		t.Fatal(err)
	}
	report := check.Close()
	u.Length = report.Size
	if v := judge(report, u, dev, done); v != (verdict{}) {
		t.Errorf("the package that was taken: %+v", v)
	}
	done.Package = nil
	if v := judge(report, u, dev, done); v.code != codeIntegrity {
		t.Error("another package by the key before is taken")
	}
}

// An agent of an older release does not know the message, and must not be cut off
// by it.
func TestAnOlderAgentIsNotAsked(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	h.askKey(t, d)
	c, _, err := d.dial(t)
	if err != nil {
		t.Fatal(err)
	}
	old := d.hello()
	old.Versions = [2]int{1, 1}
	c.say(old)
	if w, ok := c.hear().(wire.Welcome); !ok || w.Version != 1 {
		t.Fatalf("heard %+v, want welcome in version 1", w)
	}
	a := h.collect(t, d) // what comes next is this, so nothing else came
	c.beginNext(actionRef{a.ID, 1})
}

func TestAKeyAskedForWhileAwayIsAskedAtHello(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	h.askKey(t, d)
	if m, ok := d.connect(t).hear().(wire.Rotate); !ok {
		t.Errorf("heard %+v, want rotate", m)
	}
}

// The key of a running upload is superseded by nothing that anybody may ask for;
// where a store says so all the same, the upload gets no further.
func TestAnUploadByAKeyBeforeGetsNoFurther(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	a := h.collect(t, d)
	d.begin(t, actionRef{a.ID, 1})
	eventually(t, "begun", func() bool { return h.action(t, a.ID).Status == action.InProgress })
	up := d.create(t, a.ID, 1)
	if _, err := h.engine.Cancel(t.Context(), analyst(tenantID), a.ID, func() (string, error) { return "enough", nil }); err != nil {
		t.Fatal(err)
	}
	h.askKey(t, d)
	if resp, body := d.next(t).present(t); resp.StatusCode != http.StatusOK {
		t.Fatalf("present: %s %s", resp.Status, body)
	}
	if resp, body := d.patch(t, up, 0, -1, bytes.NewReader([]byte("late"))); resp.StatusCode != http.StatusUnauthorized || oauthError(body) != wire.CodeInvalidToken {
		t.Errorf("a chunk by the key before: %s %s", resp.Status, body)
	}
}

func TestAClonedKeyIsKept(t *testing.T) {
	h := newHouse(t)
	d := enrolled(t, h, tenantID)
	first := d.connect(t)
	d.connect(t)
	if got := first.hearBye(); got != wire.ByeReplaced {
		t.Fatalf("bye %s", got)
	}
	eventually(t, "it is kept", func() bool {
		dev, err := h.store.DeviceByID(t.Context(), d.id)
		return err == nil && dev.WasCloned(h.now())
	})
	if got := count(h.acts(t, tenantID), audit.ActTwice); got != 1 {
		t.Errorf("%d entries, want 1", got)
	}
	if dev, _ := h.store.DeviceByID(t.Context(), d.id); dev.WasCloned(h.now().Add(device.ClonedFor + time.Minute)) {
		t.Error("it counts for ever")
	}
}
