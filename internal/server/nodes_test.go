package server_test

import (
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"swab/internal/command"
	"swab/internal/server"
	"swab/internal/store"
	"swab/internal/store/storetest"
)

// Two nodes that start for the first time at the same moment make one
// installation: one set of keys, one tenant, one bootstrap file.
func TestNodesThatStartAtOnceMakeOneInstallation(t *testing.T) {
	database := storetest.Postgres(t)
	master := make([]byte, 32)
	rand.Read(master)
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	var (
		all   sync.WaitGroup
		nodes = make([]*server.Server, len(dirs))
	)
	for i, dir := range dirs {
		c := settings(t, dir)
		c.Database, c.MasterKey = command.Secret(database), command.Secret(base64.StdEncoding.EncodeToString(master))
		all.Go(func() {
			var err error
			if nodes[i], err = server.New(t.Context(), c, slog.New(slog.DiscardHandler), time.Now); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	made := 0
	for i, s := range nodes {
		if s == nil {
			continue
		}
		run(t, s)
		if _, err := os.Stat(filepath.Join(dirs[i], "bootstrap.json")); err == nil {
			made++
		}
	}
	st := storetest.Open(t, store.Options{Database: database})
	tenants, err := st.Tenants(t.Context())
	if err != nil || len(tenants) != 1 || made != 1 {
		t.Errorf("%d tenants, %d bootstrap files, %v; want one of each", len(tenants), made, err)
	}
	keys, err := st.Keys(t.Context())
	seen := map[any]bool{}
	for _, k := range keys {
		if seen[k.Purpose] {
			t.Errorf("two %s keys were made", k.Purpose)
		}
		seen[k.Purpose] = true
	}
	if err != nil || len(keys) == 0 {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

// A second node needs the first one's master key, and says so.
func TestANodeWithoutTheMasterKeyDoesNotStart(t *testing.T) {
	c := settings(t, t.TempDir())
	c.Database = command.Secret(storetest.Postgres(t))
	s, err := server.New(t.Context(), c, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	other := settings(t, t.TempDir())
	other.Database = c.Database
	if _, err := server.New(t.Context(), other, slog.New(slog.DiscardHandler), time.Now); err == nil {
		t.Error("a node started without the key that opens the others'")
	}
}
