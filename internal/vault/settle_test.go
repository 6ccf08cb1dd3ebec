package vault_test

import (
	"context"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"swab/internal/store"
	"swab/internal/vault"
)

// between is a store that lets something happen right after a record was read.
type between struct {
	*store.Store
	then func()
}

func (b *between) Upload(ctx context.Context, id string) (vault.Upload, error) {
	u, err := b.Store.Upload(ctx, id)
	if f := b.then; f != nil {
		b.then = nil
		f()
	}
	return u, err
}

// files are the files of the vault.
func (c *cellar) files() (names []string) {
	c.t.Helper()
	c.must(filepath.WalkDir(c.path("."), func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			p, err = filepath.Rel(c.path("."), p)
			names = append(names, filepath.ToSlash(p))
		}
		return err
	}))
	return names
}

// A verdict and a cancel come to an upload at the same time, from two sides.
func TestBytesAreWhereTheRecordSaysWhoeverSettlesAtOnce(t *testing.T) {
	b := []byte("a package")
	seal := func(c *cellar, u vault.Upload) error {
		_, err := c.Seal(context.Background(), u.ID, sum(b))
		return err
	}
	quarantine := func(c *cellar, u vault.Upload) error {
		_, err := c.Quarantine(context.Background(), u.ID, "bad")
		return err
	}
	keep := func(c *cellar, u vault.Upload) error {
		_, err := c.Keep(context.Background(), u.ID, "late")
		return err
	}
	discard := func(c *cellar, u vault.Upload) error {
		return c.Discard(context.Background(), u.Tenant, u.Action)
	}
	remove := func(c *cellar, u vault.Upload) error {
		return c.Delete(context.Background(), u.ID, "expired")
	}
	for name, do := range map[string][2]func(*cellar, vault.Upload) error{
		"sealed while it is deleted":        {remove, seal},
		"sealed while it is discarded":      {discard, seal},
		"sealed while it is kept":           {keep, seal},
		"sealed while it is quarantined":    {quarantine, seal},
		"quarantined while it is discarded": {discard, quarantine},
		"discarded while it is quarantined": {quarantine, discard},
		"discarded while it is kept":        {keep, discard},
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t, vault.Limits{})
			records := &between{Store: c.store}
			c.records = records
			c.restart()
			u := c.complete(b)
			second := make(chan error, 1)
			records.then = func() {
				go func() { second <- do[1](c, u) }()
				select {
				case err := <-second:
					second <- err
				case <-time.After(50 * time.Millisecond): // it waits for its turn, or else would be done by now
				}
			}
			c.must(do[0](c, u))
			<-second // whether it came too late is its own matter
			u, err := c.Upload(t.Context(), u.ID)
			c.must(err)
			want := map[vault.State][]string{
				vault.Partial: {"uploads/" + u.ID + ".part"}, vault.Quarantined: {"quarantine/" + u.ID + ".zip"},
			}[u.State]
			if diff := cmp.Diff(want, c.files()); u.State == vault.Complete || diff != "" {
				t.Errorf("the upload is %s; its files (-want +got):\n%s", u.State, diff)
			}
		})
	}
}
