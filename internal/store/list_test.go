package store_test

import (
	"testing"

	"swab/internal/store/storetest"
)

func TestListsSQLite(t *testing.T)     { storetest.RunLists(t, storetest.SQLite) }
func TestListsPostgreSQL(t *testing.T) { storetest.RunLists(t, storetest.Postgres) }
