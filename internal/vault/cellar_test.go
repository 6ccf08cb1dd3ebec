package vault_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/evidence"
	"swab/internal/store"
	"swab/internal/store/storetest"
	"swab/internal/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const tenantID = "12345678-1234-4234-8234-123456789abc"

// cellar is a vault over the real store, with devices that have an action each.
type cellar struct {
	*vault.Vault
	t       testing.TB
	store   *store.Store
	records vault.Records // the store, unless a test looks in between
	dir     string
	lim     vault.Limits
}

func open(t testing.TB, lim vault.Limits) *cellar {
	t.Helper()
	c := &cellar{t: t, dir: t.TempDir(), lim: lim}
	var err error
	c.store, err = store.Open(context.Background(), store.Options{Database: storetest.Database(t)})
	c.must(err)
	c.records = c.store
	entry := audit.NewEntry(time.Now(), audit.Leaf{Act: audit.ActStart, Object: tenantID, Result: audit.Done}, audit.Hidden{})
	c.must(c.store.CreateTenant(t.Context(), auth.Tenant{ID: tenantID, Name: "t", Created: time.Now()}, entry))
	c.must(c.store.CreateEnrollment(t.Context(), auth.Enrollment{Tenant: tenantID, ID: "e", Left: -1}))
	c.start()
	t.Cleanup(func() {
		c.Close()
		c.store.Close()
	})
	return c
}

func (c *cellar) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// start opens the vault as a start of the server does.
func (c *cellar) start() {
	c.t.Helper()
	var err error
	c.Vault, err = vault.New(c.t.Context(), vault.Options{
		Dir: filepath.Join(c.dir, "data"), Records: c.records, Limits: c.lim, Check: evidence.DefaultLimits(),
		Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	c.must(err)
}

// restart leaves everything as a killed server does, and starts again.
func (c *cellar) restart() {
	c.t.Helper()
	c.Close()
	c.start()
}

// request is one for the first attempt of a new device's new action.
func (c *cellar) request() vault.Request {
	c.t.Helper()
	pub, _, err := ed25519.GenerateKey(nil)
	c.must(err)
	now := time.Now()
	entry := audit.NewEntry(now, audit.Leaf{Act: audit.ActEnrol, Object: "x", Result: audit.Done}, audit.Hidden{})
	dev, err := c.store.Enrol(c.t.Context(), [32]byte{}, device.Device{ID: device.IDOf(pub), Keys: []ed25519.PublicKey{pub}}, func(string) audit.Entry { return entry })
	c.must(err)
	id, err := uuid.NewV7()
	c.must(err)
	_, err = c.store.CreateAction(c.t.Context(), action.Action{
		Tenant: tenantID, ID: id.String(), Device: dev.ID, Status: action.Pending, Attempt: 1,
		Created: now, Updated: now, Touched: now, Due: now.Add(time.Hour), Opening: entry.Opening, Leaf: entry.Leaf.Bytes(),
	}, entry)
	c.must(err)
	return vault.Request{Tenant: tenantID, Device: dev.ID, Action: id.String(), Attempt: 1, Length: -1}
}

func (c *cellar) create() vault.Upload {
	c.t.Helper()
	u, err := c.Create(c.t.Context(), c.request())
	c.must(err)
	return u
}

func (c *cellar) append(id string, offset, length int64, r io.Reader) (vault.Upload, error) {
	c.t.Helper()
	w, err := c.Write(c.t.Context(), id)
	if err != nil {
		return vault.Upload{}, err
	}
	defer w.Close()
	return w.Append(offset, length, r)
}

func (c *cellar) whole(id string) []byte {
	c.t.Helper()
	r, err := c.Open(c.t.Context(), id)
	c.must(err)
	defer r.Close()
	b, err := io.ReadAll(r)
	c.must(err)
	return b
}

func (c *cellar) path(name string) string {
	return filepath.Join(c.dir, "data", filepath.FromSlash(name))
}

func randomly(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// complete is an upload that has all its bytes.
func (c *cellar) complete(b []byte) vault.Upload {
	c.t.Helper()
	u, err := c.append(c.create().ID, 0, int64(len(b)), bytes.NewReader(b))
	c.must(err)
	if u.State != vault.Complete {
		c.t.Fatalf("upload = %+v, want it complete", u)
	}
	return u
}
