package store_test

import (
	"testing"

	"swab/internal/store"
	"swab/internal/store/storetest"
)

var grouping = storetest.Grouping{Set: store.SetGroups, Bring: store.Bring}

func TestGroupsSQLite(t *testing.T)     { storetest.RunGroups(t, storetest.SQLite, grouping) }
func TestGroupsPostgreSQL(t *testing.T) { storetest.RunGroups(t, storetest.Postgres, grouping) }
