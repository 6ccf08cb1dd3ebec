package store_test

import (
	"testing"

	"swab/internal/store"
	"swab/internal/store/storetest"
)

func TestPostgreSQL(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *store.Store {
		return storetest.Open(t, store.Options{Database: storetest.Postgres(t)})
	})
}
