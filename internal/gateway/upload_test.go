package gateway

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/evidence"
	"swab/internal/vault"
	"swab/internal/wire"
)

// running is a device with an action whose attempt 1 it has begun.
func running(t testing.TB, h *house) (*agent, *channel, action.Action) {
	t.Helper()
	d := enrolled(t, h, tenantID)
	a := h.collect(t, d)
	c := d.begin(t, actionRef{a.ID, 1})
	eventually(t, "the attempt is begun", func() bool { return h.action(t, a.ID).Status == action.InProgress })
	return d, c, a
}

func (h *house) read(t testing.TB, upload string) []byte {
	t.Helper()
	c, err := h.vault.Open(t.Context(), upload)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (h *house) upload(t testing.TB, id string) vault.Upload {
	t.Helper()
	u, err := h.vault.Upload(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestPackageThatVerifiesEndsTheAction(t *testing.T) {
	h := newHouse(t)
	d, c, a := running(t, h)
	pkg := packageOf(t, d, a, 1, 200_000, nil)
	id := d.create(t, a.ID, 1)
	d.send(t, id, pkg, 50_000)
	got := h.action(t, a.ID) // the answer came after the verdict
	if got.Status != action.Succeeded || got.Package == nil {
		t.Fatalf("action = %s %q", got.Status, got.Trouble)
	}
	sum := sha256.Sum256(pkg)
	if got.Package.SHA256 != hex.EncodeToString(sum[:]) || got.Package.Upload != id || got.Package.Size != int64(len(pkg)) {
		t.Errorf("package = %+v", got.Package)
	}
	if !bytes.Equal(h.read(t, id), pkg) {
		t.Error("the vault gives other bytes than were sent")
	}
	r, err := evidence.OpenReceipt(got.Package.Receipt, []ed25519.PublicKey{h.keys.PublicReceiptKey()})
	if err != nil || r.SHA256 != got.Package.SHA256 || !bytes.Equal(r.Key, d.pub()) {
		t.Errorf("receipt = %+v, %v", r, err)
	}
	info, err := os.Stat(filepath.Join(h.dir, "data", "packages", tenantID, a.ID+".zip"))
	if err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("sealed file: %v, %v; want mode 0400", info, err)
	}
	if m, ok := c.hear().(wire.Closed); !ok || string(m.Action) != a.ID {
		t.Errorf("heard %+v, want closed", m)
	}
	if status, offset := d.head(t, id); status != http.StatusOK || offset != int64(len(pkg)) {
		t.Errorf("HEAD = %d at %d", status, offset)
	}
	if resp, _ := d.patch(t, id, int64(len(pkg)), int64(len(pkg)), nil); resp.StatusCode != http.StatusNoContent {
		t.Errorf("the last chunk again, empty: %s, want 204", resp.Status)
	}
	if acts := h.acts(t, tenantID); acts[len(acts)-1] != audit.ActSeal {
		t.Errorf("acts = %v, want the seal last", acts)
	}
}

func TestVerdictThatTakesLongIsToldOnTheChannel(t *testing.T) {
	h := newHouse(t, withTimes(func(w *Times) { w.Judge = time.Nanosecond }))
	d, c, a := running(t, h)
	pkg := packageOf(t, d, a, 1, 4<<20, nil)
	d.send(t, d.create(t, a.ID, 1), pkg, len(pkg))
	if m, ok := c.hear().(wire.Closed); !ok || string(m.Action) != a.ID {
		t.Errorf("heard %+v, want closed", m)
	}
	if got := h.action(t, a.ID); got.Status != action.Succeeded {
		t.Errorf("action = %s %q", got.Status, got.Trouble)
	}
}

// Threat D8: a package that says what is not so, or not for this action.
func TestPackageThatIsNotTheOneAskedForIsQuarantined(t *testing.T) {
	h := newHouse(t)
	for name, spoil := range map[string]func(t *testing.T, d *agent, a action.Action) []byte{
		"other action":  spoilManifest(func(m *evidence.Manifest) { m.ActionID = "12345678-1234-7234-8234-123456789abc" }),
		"other tenant":  spoilManifest(func(m *evidence.Manifest) { m.TenantID = otherID }),
		"other attempt": spoilManifest(func(m *evidence.Manifest) { m.Attempt = 2 }),
		"other request": spoilManifest(func(m *evidence.Manifest) { m.Commitment = "sha256:" + strings.Repeat("0", 64) }),
		"other device": func(t *testing.T, d *agent, a action.Action) []byte {
			return packageOf(t, newAgent(t, h), a, 1, 0, nil)
		},
		"other plan": func(t *testing.T, d *agent, a action.Action) []byte {
			b := a
			b.Plan = planOf(t, "volatile")
			return packageOf(t, d, b, 1, 0, nil)
		},
		"flipped bit": func(t *testing.T, d *agent, a action.Action) []byte {
			pkg := packageOf(t, d, a, 1, 1000, nil)
			pkg[len(pkg)/2] ^= 1
			return pkg
		},
		"cut off": func(t *testing.T, d *agent, a action.Action) []byte {
			pkg := packageOf(t, d, a, 1, 1000, nil)
			return pkg[:len(pkg)-100]
		},
		"trailing data":       func(t *testing.T, d *agent, a action.Action) []byte { return append(packageOf(t, d, a, 1, 0, nil), 0) },
		"missing ledger line": spoilManifest(func(m *evidence.Manifest) { m.Ledger = m.Ledger[1:] }),
		"no package at all":   func(*testing.T, *agent, action.Action) []byte { return []byte("hello") },
		"nothing":             func(*testing.T, *agent, action.Action) []byte { return nil },
		"prefix of other bytes": func(t *testing.T, d *agent, a action.Action) []byte {
			return append([]byte("MZ"), packageOf(t, d, a, 1, 0, nil)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, c, a := running(t, h)
			pkg := spoil(t, d, a)
			id := d.create(t, a.ID, 1)
			resp, body := d.patch(t, id, 0, int64(len(pkg)), bytes.NewReader(pkg))
			if resp.StatusCode != http.StatusNoContent {
				t.Fatalf("chunk: %s %s", resp.Status, body)
			}
			got := h.action(t, a.ID)
			if got.Status != action.Failed || !strings.HasPrefix(got.Trouble, codeIntegrity) {
				t.Errorf("action = %s %q, want Failed, IntegrityError", got.Status, got.Trouble)
			}
			u := h.upload(t, id)
			if u.State != vault.Quarantined || u.Reason == "" || !bytes.Equal(h.read(t, id), pkg) {
				t.Errorf("upload = %+v, want it quarantined as received", u)
			}
			if status, _ := d.head(t, id); status != http.StatusGone {
				t.Errorf("HEAD = %d, want 410", status)
			}
			if m, ok := c.hear().(wire.Closed); !ok || string(m.Action) != a.ID {
				t.Errorf("heard %+v, want closed", m)
			}
		})
	}
}

func spoilManifest(f func(*evidence.Manifest)) func(*testing.T, *agent, action.Action) []byte {
	return func(t *testing.T, d *agent, a action.Action) []byte { return packageOf(t, d, a, 1, 0, f) }
}

func TestUploadResumesAfterACut(t *testing.T) {
	h := newHouse(t)
	d, _, a := running(t, h)
	pkg := packageOf(t, d, a, 1, 300_000, nil)
	id := d.create(t, a.ID, 1)
	// The connection breaks within a chunk.
	_, _, err := d.tryPatch(t.Context(), id, 0, -1, io.MultiReader(bytes.NewReader(pkg[:100_000]), broken{}))
	if err == nil {
		t.Fatal("a broken body gave an answer")
	}
	var offset int64
	eventually(t, "what arrived is kept", func() bool {
		var status int
		status, offset = d.head(t, id)
		return status == http.StatusOK && offset > 0
	})
	if offset > 100_000 {
		t.Fatalf("offset = %d, sent were 100000", offset)
	}
	if resp, body := d.patch(t, id, offset+1, -1, bytes.NewReader(pkg[offset+1:])); resp.StatusCode != http.StatusConflict {
		t.Errorf("a chunk that leaves a gap: %s %s, want 409", resp.Status, body)
	}
	if resp, body := d.patch(t, id, 0, -1, bytes.NewReader(pkg)); resp.StatusCode != http.StatusConflict || resp.Header.Get("Upload-Offset") == "" {
		t.Errorf("a chunk from before: %s %s, want 409", resp.Status, body)
	}
	resp, body := d.patch(t, id, offset, int64(len(pkg)), bytes.NewReader(pkg[offset:]))
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("resume: %s %s", resp.Status, body)
	}
	if got := h.action(t, a.ID); got.Status != action.Succeeded {
		t.Errorf("action = %s %q", got.Status, got.Trouble)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func TestNewerRequestTakesTheUploadOver(t *testing.T) {
	h := newHouse(t)
	d, _, a := running(t, h)
	pkg := packageOf(t, d, a, 1, 300_000, nil)
	id := d.create(t, a.ID, 1)
	body, feed := io.Pipe() // a connection that hangs within a chunk
	first := make(chan error, 1)
	go func() {
		_, _, err := d.tryPatch(context.Background(), id, 0, -1, body)
		first <- err
	}()
	if _, err := feed.Write(pkg[:100_000]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first request writes", func() bool {
		info, err := os.Stat(filepath.Join(h.dir, "data", "uploads", id+".part"))
		return err == nil && info.Size() > 0
	})
	second := &agent{h: h, key: d.key, id: d.id, client: newAgent(t, h).client, token: d.token, nonce: h.g.nonces.make()}
	if resp, _ := second.patch(t, id, 0, -1, bytes.NewReader(nil)); resp.StatusCode != http.StatusConflict {
		t.Errorf("at the old offset: %s, want 409", resp.Status)
	}
	_, offset := second.head(t, id)
	if offset == 0 {
		t.Error("what the first request brought is not kept")
	}
	resp, b := second.patch(t, id, offset, int64(len(pkg)), bytes.NewReader(pkg[offset:]))
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("%s %s", resp.Status, b)
	}
	feed.CloseWithError(errBroken)
	<-first
	if got := h.action(t, a.ID); got.Status != action.Succeeded {
		t.Errorf("action = %s %q", got.Status, got.Trouble)
	}
}

// Threat D10, an upload that stalls.
func TestStalledChunkIsCutAndKept(t *testing.T) {
	h := newHouse(t, withTimes(func(w *Times) { w.Stall = 200 * time.Millisecond }))
	d, _, a := running(t, h)
	id := d.create(t, a.ID, 1)
	body, feed := io.Pipe()
	go func() {
		_, _ = feed.Write([]byte("PK\x03\x04 and then nothing"))
	}()
	resp, b, err := d.tryPatch(t.Context(), id, 0, -1, body)
	feed.Close()
	if err == nil && resp.StatusCode != http.StatusRequestTimeout {
		t.Errorf("%s %s, want 408 or a cut", resp.Status, b)
	}
	eventually(t, "the stall is counted", func() bool { return h.g.Stats().Stalled == 1 })
	if _, offset := d.head(t, id); offset != 21 {
		t.Errorf("offset = %d, want the 21 bytes that came", offset)
	}
}

// Threat D10, more than was declared or is allowed.
func TestUploadsHaveBounds(t *testing.T) {
	h := newHouse(t, func(_ *Options, v *vault.Options) { v.Limits = vault.Limits{Bytes: 100_000, PerDevice: 1, Open: 2} })
	d, c, a := running(t, h)
	id := d.create(t, a.ID, 1)
	if resp, _ := d.patch(t, id, 0, 50_000, bytes.NewReader(make([]byte, 60_000))); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("more than declared: %s, want 413", resp.Status)
	}
	eventually(t, "the action failed", func() bool { return h.action(t, a.ID).Status == action.Failed })
	if got := h.action(t, a.ID); !strings.HasPrefix(got.Trouble, "PackageTooLarge") {
		t.Errorf("trouble = %q", got.Trouble)
	}
	if m, ok := c.hear().(wire.Closed); !ok {
		t.Errorf("heard %+v, want closed", m)
	}
	eventually(t, "the part is kept as unverified", func() bool { return h.upload(t, id).State == vault.Partial })

	d2, _, a2 := running(t, h)
	id = d2.create(t, a2.ID, 1)
	if resp, _ := d2.patch(t, id, 0, 200_000, bytes.NewReader([]byte("x"))); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("declares more than allowed: %s, want 413", resp.Status)
	}
	d3, _, a3 := running(t, h)
	d3.create(t, a3.ID, 1)
	d4, _, a4 := running(t, h)
	eventually(t, "one ended", func() bool { return h.upload(t, id).State == vault.Partial })
	d4.create(t, a4.ID, 1)
	d5, _, a5 := running(t, h)
	if resp, _ := d5.createAnswer(t, a5.ID, 1); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("one upload too many: %s, want 429", resp.Status)
	}
	if resp, _ := d3.patch(t, strings.Repeat("0", 32), 0, -1, bytes.NewReader(make([]byte, MaxChunk+1))); resp.StatusCode != http.StatusNotFound {
		t.Errorf("no such upload: %s, want 404", resp.Status)
	}
}

func TestChunkHasABound(t *testing.T) {
	h := newHouse(t)
	d, _, a := running(t, h)
	id := d.create(t, a.ID, 1)
	if resp, _ := d.patch(t, id, 0, -1, bytes.NewReader(make([]byte, MaxChunk+1))); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("declared: %s, want 413", resp.Status)
	}
	if _, offset := d.head(t, id); offset != 0 {
		t.Errorf("offset = %d, want 0", offset)
	}
	// Its length is not declared: what is within the bound is kept.
	resp, _, err := d.tryPatch(t.Context(), id, 0, -1, io.MultiReader(bytes.NewReader(make([]byte, MaxChunk)), bytes.NewReader(make([]byte, 1<<20))))
	if err == nil && resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("undeclared: %s, want 413", resp.Status)
	}
	eventually(t, "it is kept up to the bound", func() bool { _, offset := d.head(t, id); return offset == MaxChunk })
}

// Threat D1: an upload for another device's action.
func TestUploadForAnotherDevicesActionIsRefusedAndRecorded(t *testing.T) {
	h := newHouse(t)
	d, _, a := running(t, h)
	id := d.create(t, a.ID, 1)
	for _, tenant := range []string{tenantID, otherID} {
		evil := enrolled(t, h, tenant)
		if resp, _ := evil.createAnswer(t, a.ID, 1); resp.StatusCode != http.StatusNotFound {
			t.Errorf("create: %s, want 404", resp.Status)
		}
		if status, _ := evil.head(t, id); status != http.StatusNotFound {
			t.Errorf("head: %d, want 404", status)
		}
		resp, body := evil.patch(t, id, 0, -1, bytes.NewReader([]byte("evil")))
		_, none := evil.patch(t, strings.Repeat("0", 32), 0, -1, bytes.NewReader([]byte("evil")))
		if resp.StatusCode != http.StatusNotFound || !bytes.Equal(body, none) && !strings.Contains(string(none), "not found") {
			t.Errorf("patch: %s %s, want the 404 of no upload %s", resp.Status, body, none)
		}
		if !slices.Contains(h.acts(t, tenant), audit.ActForeign) {
			t.Errorf("no entry in the log of %s", tenant)
		}
	}
	if u := h.upload(t, id); u.Offset != 0 || u.State != vault.Receiving {
		t.Errorf("upload = %+v, want it untouched", u)
	}
}
