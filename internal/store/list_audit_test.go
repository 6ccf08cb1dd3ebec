package store_test

import (
	"database/sql"
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"swab/internal/audit"
	"swab/internal/canon"
	"swab/internal/store"
	"swab/internal/store/storetest"
)

func TestSearchSQLite(t *testing.T)     { storetest.RunSearch(t, storetest.SQLite) }
func TestSearchPostgreSQL(t *testing.T) { storetest.RunSearch(t, storetest.Postgres) }

// TestOldEntriesAreSearchedAsNewOnes has entries made by the first release, with
// odd texts in them, and the same made now: they are searched by the same.
func TestOldEntriesAreSearchedAsNewOnes(t *testing.T) {
	odd := []string{
		"plain", "", "Ann@Contoso.COM", "nul\x00nul\x00\x00", `\u0000`, `\\u0000\`, "\\\x00", "\U0010FFFF mark \U0010FFFF\U0010FFFF",
		`"},"comment":"`, "Zürich ÄÖ\u2028 <&>", "\x01\x1f\x7f", "😀",
	}
	entries := make([]audit.Entry, len(odd))
	for i, text := range odd {
		entries[i] = audit.NewEntry(start, audit.Leaf{
			Act: audit.ActApp, Object: text, Device: text, Result: audit.Done, Detail: text,
		}, audit.Hidden{Who: "user/" + text, Name: text, From: text, Correlation: text, Comment: text})
	}
	for kind, empty := range map[string]func(*testing.T) (driver, source, database string){"sqlite": emptySQLite, "postgres": emptyPostgres} {
		t.Run(kind, func(t *testing.T) {
			statements, err := schemas.ReadFile(path.Join("testdata", "schema1", kind+".sql"))
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
			for _, e := range entries {
				opening, err := canon.Marshal(e.Opening)
				if err != nil {
					t.Fatal(err)
				}
				said := string(opening)
				if kind == "postgres" {
					said = store.Marked(said)
				}
				insert := "INSERT INTO audit_entries (tenant, leaf, bytes, opening) VALUES ($1, $2, $3, $4)"
				if _, err := db.ExecContext(t.Context(), insert, tenantID, nil, e.Leaf.Bytes(), said); err != nil {
					t.Fatal(err)
				}
			}
			s := storetest.Open(t, store.Options{Database: database})
			if err := s.Record(t.Context(), tenantID, entries...); err != nil {
				t.Fatal(err)
			}
			var rows []string
			r, err := db.QueryContext(t.Context(), "SELECT time, act, object, device, result, who, name, correlation FROM audit_entries ORDER BY id")
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			for r.Next() {
				var (
					time int64
					text [7]string
				)
				if err := r.Scan(&time, &text[0], &text[1], &text[2], &text[3], &text[4], &text[5], &text[6]); err != nil {
					t.Fatal(err)
				}
				rows = append(rows, fmt.Sprintf("%d %q", time, text))
			}
			if err := r.Err(); err != nil || len(rows) < 2*len(odd) {
				t.Fatal(len(rows), err)
			}
			released, rows := rows[:len(rows)-2*len(odd)], rows[len(rows)-2*len(odd):]
			if diff := cmp.Diff(rows[len(odd):], rows[:len(odd)]); diff != "" {
				t.Errorf("old entries (-made now +migrated):\n%s", diff)
			}
			for _, row := range released {
				if !strings.HasPrefix(row, fmt.Sprint(canon.Ticks(start))+` ["package.link"`) {
					t.Errorf("an entry of the release is searched by %s", row)
				}
			}
		})
	}
}
