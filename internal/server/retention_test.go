package server_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/retention"
	"swab/internal/store"
	"swab/internal/vault"
)

// heard is a log that tells of one message.
type heard struct {
	slog.Handler
	message string
	once    chan struct{}
}

func (h heard) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == h.message {
		select {
		case h.once <- struct{}{}:
		default:
		}
	}
	return h.Handler.Handle(ctx, r)
}

func (h heard) Enabled(context.Context, slog.Level) bool { return true }

func TestTheServersSweepExpiresPackages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	_, stop := start(t, settings(t, dir))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	bytes := leaveUpload(t, dir)
	log := heard{slog.DiscardHandler, "packages expired", make(chan struct{}, 1)}
	begin(t, settings(t, dir), slog.New(log))
	select {
	case <-log.once:
	case <-time.After(time.Minute):
		t.Fatal("nothing expired within a minute")
	}
	if _, err := os.Stat(bytes); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the bytes are there: %v", err)
	}
}

// leaveUpload leaves what a dead attempt delivered long ago in a server's data
// directory, with a rule by which it goes, and returns the file.
func leaveUpload(t *testing.T, dir string) string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, now := t.Context(), time.Now().AddDate(0, 0, -10)
	st, err := store.Open(ctx, store.Options{Database: "sqlite:" + filepath.Join(dir, "swab.db")})
	must(err)
	defer st.Close()
	tenants, err := st.Tenants(ctx)
	must(err)
	tenant := tenants[0].ID
	entry := func(act audit.Act) audit.Entry {
		return audit.NewEntry(now, audit.Leaf{Act: act, Object: "x", Result: audit.Done}, audit.Hidden{})
	}
	must(st.CreateEnrollment(ctx, auth.Enrollment{Tenant: tenant, ID: "e", Hash: sha256.Sum256([]byte("e")), Left: -1}))
	pub, _, err := ed25519.GenerateKey(nil)
	must(err)
	d, err := st.Enrol(ctx, sha256.Sum256([]byte("e")), device.Device{ID: device.IDOf(pub), Keys: []ed25519.PublicKey{pub}}, func(string) audit.Entry { return entry(audit.ActEnrol) })
	must(err)
	a, err := st.CreateAction(ctx, action.Action{
		Tenant: tenant, ID: "01900000-0000-7000-8000-000000000001", Device: d.ID, Status: action.Pending, Attempt: 1, Created: now, Updated: now, Touched: now, Due: now.AddDate(1, 0, 0),
	}, entry(audit.ActCollect))
	must(err)
	u := vault.Upload{
		ID: strings.Repeat("ab", 16), Tenant: tenant, Device: d.ID, Action: a.ID, Attempt: 1, State: vault.Partial, Offset: 5, Length: -1, Limit: 10, Created: now, Updated: now,
	}
	must(st.CreateUpload(ctx, u))
	file := filepath.Join(dir, vault.Name(u))
	must(os.WriteFile(file, []byte("bytes"), 0o600))
	_, err = st.ChangeRetention(ctx, tenant, func(retention.Policy) (retention.Policy, audit.Entry, error) {
		return retention.Policy{Days: 1}, entry(audit.ActChangeRetention), nil
	})
	must(err)
	return file
}
