package store_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"swab/internal/store"
	"swab/internal/store/storetest"
	"swab/test/postgres"
)

// BenchmarkSQLite measures the store on files of the temporary folder's disk.
// Bare is what the writer can do at most: one small row a call, flushed.
func BenchmarkSQLite(b *testing.B) {
	fresh := func(b testing.TB) *store.Store { return open(b, filepath.Join(b.TempDir(), "swab.db")) }
	benchBare(b, fresh)
	storetest.Bench(b, fresh)
}

// BenchmarkPostgreSQL measures it on a server of its own, on the same disk and
// processors, that flushes each commit. Bare is what it can do at most.
func BenchmarkPostgreSQL(b *testing.B) {
	c, err := postgres.Start(false)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	fresh := func(b testing.TB) *store.Store {
		_, database, err := postgres.Create(c.URL, "")
		if err != nil {
			b.Fatal(err)
		}
		return storetest.Open(b, store.Options{Database: database})
	}
	benchBare(b, fresh)
	storetest.Bench(b, fresh)
}

func benchBare(b *testing.B, fresh func(testing.TB) *store.Store) {
	for _, n := range storetest.Callers {
		b.Run(fmt.Sprintf("Bare/callers=%d", n), func(b *testing.B) {
			s := fresh(b)
			if err := s.Exec(b.Context(), "CREATE TABLE bare (id INTEGER PRIMARY KEY, n INTEGER, t TEXT)"); err != nil {
				b.Fatal(err)
			}
			storetest.Spread(b, n, func(i int) error {
				return s.Exec(b.Context(), "INSERT INTO bare (id, n, t) VALUES (?, ?, ?)", i, i, "alert 1234")
			})
		})
	}
}
