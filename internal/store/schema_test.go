package store_test

import (
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib" // to look into the database beside the store

	"swab/internal/action"
	"swab/internal/auth"
	"swab/internal/store"
	"swab/internal/store/storetest"
	"swab/test/postgres"
)

// schemas are databases as releases have left them: a folder for each schema
// that was released, with the statements that make one that has a little of
// everything. They are never edited.
//
//go:embed testdata/schema*
var schemas embed.FS

// TestEveryReleasedSchemaIsBroughtUpToDate opens each of them. What was in it is
// there afterwards as it was, and the store works on it.
func TestEveryReleasedSchemaIsBroughtUpToDate(t *testing.T) {
	dirs, err := fs.ReadDir(schemas, "testdata")
	if err != nil || len(dirs) == 0 {
		t.Fatal(dirs, err)
	}
	for _, d := range dirs {
		for kind, empty := range map[string]func(*testing.T) (driver, source, database string){"sqlite": emptySQLite, "postgres": emptyPostgres} {
			t.Run(d.Name()+"/"+kind, func(t *testing.T) {
				statements, err := schemas.ReadFile(path.Join("testdata", d.Name(), kind+".sql"))
				if err != nil {
					t.Fatal(err)
				}
				driver, source, database := empty(t)
				db, err := sql.Open(driver, source)
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				if _, err := db.ExecContext(t.Context(), string(statements)); err != nil {
					t.Fatal(err)
				}
				tables := tablesOf(string(statements))
				before := rowsOf(t, db, tables)
				s := storetest.Open(t, store.Options{Database: database})
				for name, columns := range tables {
					if len(before[name]) == 0 {
						t.Errorf("%s has no rows: nothing of it was tested", name)
					}
					after := slices.DeleteFunc(rowsOf(t, db, map[string]string{name: columns})[name], func(row string) bool {
						return name == "apps" && strings.Contains(row, auth.CommandLine) // each tenant gets it
					})
					if diff := cmp.Diff(before[name], after); diff != "" {
						t.Errorf("%s (-before +after):\n%s", name, diff)
					}
				}
				works(t, s)
			})
		}
	}
}

func emptySQLite(t *testing.T) (driver, source, database string) {
	database = storetest.SQLite(t)
	return "sqlite", strings.TrimPrefix(database, "sqlite:"), database
}

func emptyPostgres(t *testing.T) (driver, source, database string) {
	server, err := postgres.Shared()
	if err != nil {
		t.Fatal(err)
	}
	name, database, err := postgres.Create(server, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := postgres.Drop(server, name); err != nil {
			t.Error(err)
		}
	})
	return "pgx", database, database
}

// tablesOf are the tables that statements fill, each with its columns.
func tablesOf(statements string) map[string]string {
	tables := map[string]string{}
	for line := range strings.Lines(statements) {
		if rest, ok := strings.CutPrefix(line, "INSERT INTO "); ok && !strings.HasPrefix(rest, "goose") {
			name, columns, _ := strings.Cut(rest, " (")
			tables[name], _, _ = strings.Cut(columns, ")")
		}
	}
	return tables
}

// rowsOf are the rows of tables, sorted, as text.
func rowsOf(t *testing.T, db *sql.DB, tables map[string]string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for name, columns := range tables {
		rows, err := db.QueryContext(t.Context(), "SELECT "+columns+" FROM "+name+" ORDER BY "+columns)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			values := make([]any, strings.Count(columns, ",")+1)
			places := make([]any, len(values))
			for i := range values {
				places[i] = &values[i]
			}
			if err := rows.Scan(places...); err != nil {
				t.Fatal(err)
			}
			all[name] = append(all[name], fmt.Sprintf("%q", values))
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// works fails the test unless the log proves itself, what was there is found,
// and more can be added.
func works(t *testing.T, s *store.Store) {
	t.Helper()
	head, entries := storetest.Recompute(t, s, tenantID)
	if got, err := s.Head(t.Context(), tenantID); err != nil || got != head || len(entries) != 6 {
		t.Errorf("Head() = %v, %v; its %d leaves give %v", got, err, len(entries), head)
	}
	a, err := s.Action(t.Context(), tenantID, "0000000c-0000-7000-8000-000000000001")
	if err != nil || a.Status != action.Succeeded || a.Comment != "naïve \"quotes\"; '--' 😀\nline two" || a.Package == nil || a.Opening.Commitment() == "" {
		t.Errorf("Action() = %+v, %v", a, err)
	}
	d, err := s.Device(t.Context(), tenantID, a.Device)
	if err != nil || d.Facts.Name != "host1.example.org" {
		t.Errorf("Device() = %+v, %v", d, err)
	}
	if _, err := s.CreateAction(t.Context(), newAction(d, 3), link(3)); err != nil {
		t.Error(err)
	}
	wantLog(t, s, tenantID, len(entries)+1)
}
