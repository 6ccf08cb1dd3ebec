package storetest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"swab/internal/store"
	"swab/test/postgres"
)

// Variable chooses the database of every test that does not choose one itself:
// "sqlite", which is also the default, or "postgres". The suites of the other
// rooms run once with each.
const Variable = "SWAB_TEST_STORE"

// Database is an empty database for a test, as [store.Options] name it.
func Database(t testing.TB) string {
	t.Helper()
	switch kind := os.Getenv(Variable); kind {
	case "postgres":
		return Postgres(t)
	case "", "sqlite":
		return SQLite(t)
	default:
		t.Fatalf("%s=%s: want sqlite or postgres", Variable, kind)
		return ""
	}
}

// SQLite is an empty database in a file.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "swab.db")
}

// template is a database of this process's schema, which others are copies of.
var template = sync.OnceValues(func() (string, error) {
	server, err := postgres.Shared()
	if err != nil {
		return "", err
	}
	name, database, err := postgres.Create(server, "")
	if err != nil {
		return "", err
	}
	s, err := store.Open(context.Background(), store.Options{Database: database})
	if err != nil {
		return "", err
	}
	return name, s.Close()
})

// Postgres is an empty database on a server.
func Postgres(t testing.TB) string {
	t.Helper()
	from, err := template()
	if err != nil {
		t.Fatal(err)
	}
	server, err := postgres.Shared()
	if err != nil {
		t.Fatal(err)
	}
	name, database, err := postgres.Create(server, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := postgres.Drop(server, name); err != nil {
			t.Error(err)
		}
	})
	return database
}

// Open opens a database, and closes it when the test ends.
func Open(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
