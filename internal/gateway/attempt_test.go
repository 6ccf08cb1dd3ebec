package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"swab/internal/action"
	"swab/internal/auth"
	"swab/internal/bus"
	"swab/internal/evidence"
	"swab/internal/fleet"
	"swab/internal/vault"
)

func TestDeadAttemptUploadsNothing(t *testing.T) {
	h := newHouse(t)
	d, c, a := running(t, h)
	id := d.create(t, a.ID, 1)
	d.patch(t, id, 0, -1, strings.NewReader("the first seconds of a host that died"))
	c.CloseNow()
	d.begin(t, actionRef{a.ID, 2})
	eventually(t, "the next attempt is begun", func() bool { return h.action(t, a.ID).Acked == 2 })
	if resp, body := d.patch(t, id, 37, -1, strings.NewReader("more")); resp.StatusCode != http.StatusGone {
		t.Errorf("%s %s, want 410", resp.Status, body)
	}
	if resp, _ := d.createAnswer(t, a.ID, 1); resp.StatusCode != http.StatusGone {
		t.Errorf("%s, want 410", resp.Status)
	}
	if err := h.g.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if u := h.upload(t, id); u.State != vault.Partial {
		t.Errorf("state = %s, want partial", u.State)
	}
	if got := string(h.read(t, id)); got != "the first seconds of a host that died" {
		t.Errorf("kept %q", got)
	}
	pkg := packageOf(t, d, a, 2, 0, nil)
	d.send(t, d.create(t, a.ID, 2), pkg, len(pkg))
	if got := h.action(t, a.ID); got.Status != action.Succeeded || got.Attempt != 2 {
		t.Errorf("action = %s in attempt %d %q", got.Status, got.Attempt, got.Trouble)
	}
}

func TestCancelledActionsBytesAreDeletedBySweep(t *testing.T) {
	h := newHouse(t)
	d, _, a := running(t, h)
	id := d.create(t, a.ID, 1)
	d.patch(t, id, 0, -1, strings.NewReader("some"))
	if _, err := h.engine.Cancel(t.Context(), analyst(tenantID), a.ID, func() (string, error) { return "enough", nil }); err != nil {
		t.Fatal(err)
	}
	if resp, _ := d.patch(t, id, 4, -1, strings.NewReader("more")); resp.StatusCode != http.StatusGone {
		t.Errorf("%s, want 410", resp.Status)
	}
	if err := h.g.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if u := h.upload(t, id); u.State != vault.Deleted {
		t.Errorf("state = %s, want deleted", u.State)
	}
	if _, err := os.Stat(filepath.Join(h.dir, "data", "uploads", id+".part")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the bytes are still there: %v", err)
	}
}

// reopen leaves everything as a server that was killed, and starts again.
func (h *house) reopen(t *testing.T) {
	t.Helper()
	h.g.end() // nothing of it does any more work
	h.g.Shutdown(t.Context())
	h.bus.Close()
	h.vault.Close()
	err := h.store.Close()
	if err == nil {
		h.store, err = h.openStore()
	}
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(h.log, nil))
	h.vault = must(vault.New(t.Context(), vault.Options{
		Dir: filepath.Join(h.dir, "data"), Records: h.store, Check: evidence.DefaultLimits(), Log: log, Now: h.now,
	}))
	h.bus = bus.NewLocal(func(id deviceID) { h.g.Wake(id) })
	h.waker.Store(h.bus)
	h.engine = &action.Engine{
		Records: h.store, Devices: &fleet.Fleet{Records: h.store, Groups: auth.NewDirectory(h.store, h.now), Now: h.now, Logger: log}, Log: h.store, Keys: h.keys, Bus: h.bus, Now: h.now, Times: action.DefaultTimes(), Logger: log,
	}
	h.g = must(New(Options{
		Bases: []string{h.URL}, Engine: h.engine, Devices: h.store, Tokens: auth.NewTokens([]string{h.URL}, h.keys, h.store, h.now),
		Keys: h.keys, Vault: h.vault, Log: log, Now: h.now,
	}))
}

func TestNothingOfACancelledActionOutlivesAKill(t *testing.T) {
	h := newHouse(t)
	d, c, a := running(t, h)
	id := d.create(t, a.ID, 1)
	d.patch(t, id, 0, -1, strings.NewReader("of an attempt that died"))
	c.CloseNow()
	c = d.begin(t, actionRef{a.ID, 2})
	eventually(t, "the next attempt is begun", func() bool { return h.action(t, a.ID).Acked == 2 })
	if err := h.g.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if u := h.upload(t, id); u.State != vault.Partial {
		t.Fatalf("the dead attempt's upload is %s, want partial", u.State)
	}
	if _, err := h.engine.Cancel(t.Context(), analyst(tenantID), a.ID, func() (string, error) { return "enough", nil }); err != nil {
		t.Fatal(err)
	}
	c.CloseNow()
	h.reopen(t)
	if err := h.g.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if u := h.upload(t, id); u.State != vault.Deleted {
		t.Errorf("state = %s, want deleted", u.State)
	}
	if left, err := filepath.Glob(filepath.Join(h.dir, "data", "*", "*.*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// together lets nobody know an action's uploads before n have asked.
type together struct {
	vault.Records
	n       atomic.Int32
	arrived chan struct{}
}

func (w *together) UploadsOf(ctx context.Context, tenant, action string) ([]vault.Upload, error) {
	list, err := w.Records.UploadsOf(ctx, tenant, action)
	if w.n.Add(-1) == 0 {
		close(w.arrived)
	}
	<-w.arrived
	return list, err
}

func TestCreationsAtOnceMakeOneUpload(t *testing.T) {
	h := newHouse(t, func(_ *Options, v *vault.Options) {
		w := &together{Records: v.Records, arrived: make(chan struct{})}
		w.n.Store(8)
		v.Records = w
	})
	d, _, a := running(t, h)
	metadata := "action " + base64.StdEncoding.EncodeToString([]byte(a.ID)) + ",attempt MQ=="
	calls := make([]call, 8)
	for i := range calls { // signed before the first is sent
		calls[i] = d.bound(call{method: "POST", path: "/device/uploads", header: map[string]string{
			"Tus-Resumable": "1.0.0", "Upload-Defer-Length": "1", "Upload-Metadata": metadata,
		}, proof: d.proof("POST", "/device/uploads", d.token)})
	}
	var all sync.WaitGroup
	for _, c := range calls {
		all.Go(func() {
			resp, _, err := d.once(t.Context(), c)
			if err != nil || resp.StatusCode != http.StatusCreated {
				t.Errorf("creation: %v, %v", resp, err)
			}
		})
	}
	all.Wait()
	if ups, err := h.store.UploadsOf(t.Context(), tenantID, a.ID); err != nil || len(ups) != 1 {
		t.Errorf("uploads = %+v, %v; want one", ups, err)
	}
	if left, err := filepath.Glob(filepath.Join(h.dir, "data", "uploads", "*")); err != nil || len(left) != 1 {
		t.Errorf("files: %q, %v; want one", left, err)
	}
}

func TestLostCreationAnswerIsGivenAgain(t *testing.T) {
	h := newHouse(t)
	d, _, a := running(t, h)
	first, again := d.create(t, a.ID, 1), d.create(t, a.ID, 1)
	if first != again {
		t.Errorf("uploads %s and %s, want one", first, again)
	}
	d.patch(t, first, 0, -1, strings.NewReader("x"))
	if resp, _ := d.createAnswer(t, a.ID, 1); resp.StatusCode != http.StatusGone {
		t.Errorf("a second upload of the attempt: %s, want 410", resp.Status)
	}
}

func TestVerdictThatACrashTookIsMadeBySweep(t *testing.T) {
	for _, step := range []string{"verified", "sealed", "succeeded"} {
		t.Run(step, func(t *testing.T) {
			h := newHouse(t)
			d, _, a := running(t, h)
			pkg := packageOf(t, d, a, 1, 1000, nil)
			id := d.create(t, a.ID, 1)
			d.patch(t, id, 0, -1, bytes.NewReader(pkg))
			// The last chunk comes as if the server died right after it.
			w, err := h.vault.Write(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			u, err := w.Append(int64(len(pkg)), int64(len(pkg)), bytes.NewReader(nil))
			w.Close()
			if err != nil || u.State != vault.Complete {
				t.Fatalf("upload = %+v, %v", u, err)
			}
			r, err := h.vault.Verify(t.Context(), id)
			if err == nil && step != "verified" {
				_, err = h.vault.Seal(t.Context(), id, r.SHA256)
			}
			if err == nil && step == "succeeded" {
				_, err = h.engine.Sealed(t.Context(), tenantID, d.id, a.ID, 1, action.SealedPackage{Upload: id, SHA256: r.SHA256, Size: r.Size, Signer: r.Signer})
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := h.g.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			eventually(t, "sealed", func() bool { return h.upload(t, id).State == vault.Sealed })
			if got := h.action(t, a.ID); got.Status != action.Succeeded || got.Package.Upload != id {
				t.Errorf("action = %s %q", got.Status, got.Trouble)
			}
			if !bytes.Equal(h.read(t, id), pkg) {
				t.Error("the package is not what was sent")
			}
		})
	}
}

func TestUploadRequestsAreStrict(t *testing.T) {
	h := newHouse(t)
	d, _, a := running(t, h)
	id := d.create(t, a.ID, 1)
	good := map[string]string{"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
	for name, c := range map[string]struct {
		method, path string
		header       map[string]string
		status       int
	}{
		"no version":      {"PATCH", "/device/uploads/" + id, map[string]string{"Tus-Resumable": ""}, 412},
		"other version":   {"HEAD", "/device/uploads/" + id, map[string]string{"Tus-Resumable": "0.2.2"}, 412},
		"no type":         {"PATCH", "/device/uploads/" + id, map[string]string{"Content-Type": ""}, 415},
		"no offset":       {"PATCH", "/device/uploads/" + id, map[string]string{"Upload-Offset": ""}, 400},
		"negative offset": {"PATCH", "/device/uploads/" + id, map[string]string{"Upload-Offset": "-1"}, 400},
		"signed offset":   {"PATCH", "/device/uploads/" + id, map[string]string{"Upload-Offset": "+0"}, 400},
		"padded offset":   {"PATCH", "/device/uploads/" + id, map[string]string{"Upload-Offset": "00"}, 400},
		"huge length":     {"PATCH", "/device/uploads/" + id, map[string]string{"Upload-Length": "99999999999999999999"}, 400},
		"id is a path":    {"HEAD", "/device/uploads/..%2f..%2fswab.db", nil, 404},
		"id is short":     {"HEAD", "/device/uploads/abc", nil, 404},
		"no metadata":     {"POST", "/device/uploads", map[string]string{"Upload-Defer-Length": "1"}, 400},
		"no length":       {"POST", "/device/uploads", map[string]string{"Upload-Metadata": "action YQ==,attempt MQ=="}, 400},
		"bad metadata":    {"POST", "/device/uploads", map[string]string{"Upload-Defer-Length": "1", "Upload-Metadata": "action YQ==,attempt MQ==,path Lw=="}, 400},
		"unknown action":  {"POST", "/device/uploads", map[string]string{"Upload-Defer-Length": "1", "Upload-Metadata": "action YQ==,attempt MQ=="}, 404},
		"other method":    {"DELETE", "/device/uploads/" + id, nil, 405},
	} {
		t.Run(name, func(t *testing.T) {
			hdr := map[string]string{}
			for k, v := range good {
				hdr[k] = v
			}
			for k, v := range c.header {
				hdr[k] = v
				if v == "" {
					delete(hdr, k)
				}
			}
			resp, body := d.do(t, d.bound(call{method: c.method, path: c.path, header: hdr}))
			if resp.StatusCode != c.status {
				t.Errorf("%s %s, want %d", resp.Status, body, c.status)
			}
		})
	}
	resp, err := h.Client().Do(must(http.NewRequestWithContext(t.Context(), "OPTIONS", h.URL+"/device/uploads", nil)))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent || resp.Header.Get("Tus-Extension") != "creation,creation-defer-length" {
		t.Errorf("OPTIONS: %s %v", resp.Status, resp.Header)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
