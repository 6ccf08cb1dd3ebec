package store_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"swab/internal/store"
	"swab/internal/store/storetest"
)

// BenchmarkSQLite measures the store on files of the temporary folder's disk.
// Bare is what the writer can do at most: one small row a call, flushed.
func BenchmarkSQLite(b *testing.B) {
	fresh := func(b testing.TB) *store.Store { return open(b, filepath.Join(b.TempDir(), "swab.db")) }
	for _, n := range storetest.Callers {
		b.Run(fmt.Sprintf("Bare/callers=%d", n), func(b *testing.B) {
			s := fresh(b)
			if err := s.Exec(b.Context(), "CREATE TABLE bare (id INTEGER PRIMARY KEY, n INTEGER, t TEXT)"); err != nil {
				b.Fatal(err)
			}
			storetest.Spread(b, n, func(i int) error {
				return s.Exec(b.Context(), "INSERT INTO bare (n, t) VALUES (?, ?)", i, "alert 1234")
			})
		})
	}
	storetest.Bench(b, fresh)
}
