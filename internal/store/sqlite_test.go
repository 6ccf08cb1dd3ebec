package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"swab/internal/device"

	"golang.org/x/mod/sumdb/tlog"
	_ "modernc.org/sqlite" // to look into the file beside the store

	"swab/internal/access"
	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
	"swab/internal/limit"
	"swab/internal/odata"
	"swab/internal/retention"
	"swab/internal/store"
	"swab/internal/store/storetest"
	"swab/internal/vault"
)

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *store.Store { return open(t, filepath.Join(t.TempDir(), "swab.db")) })
}

// open opens a store that is closed when the test ends.
func open(t testing.TB, path string) *store.Store {
	t.Helper()
	return storetest.Open(t, store.Options{Database: "sqlite:" + path})
}

// beside opens the database's file as another program would.
func beside(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func link(n int) audit.Entry {
	return audit.NewEntry(start, audit.Leaf{Act: audit.ActLink, Object: fmt.Sprint(n), Result: audit.Done}, audit.Hidden{Who: "application/1"})
}

func TestAnyPathIsOpened(t *testing.T) {
	for _, name := range []string{"a b.db", "50%.db", "%41.db", "what?.db", "mode=ro&x.db", "#1.db", "ü.db", "file:x.db"} {
		if runtime.GOOS == "windows" && strings.ContainsAny(name, "?:") {
			continue
		}
		path := filepath.Join(t.TempDir(), name)
		s := open(t, path)
		newTenant(t, s)
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
		if files, err := filepath.Glob(filepath.Dir(path) + "/*"); err != nil || len(files) != 3 {
			t.Errorf("%q: files %q, %v", name, files, err)
		}
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "swab.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := beside(t, path).Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)"); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(t.Context(), store.Options{Database: "sqlite:" + path})
	if !errors.Is(err, store.ErrNewerSchema) || !strings.Contains(err.Error(), "9999") || !strings.Contains(err.Error(), path) {
		t.Errorf("Open() = %v, want it refused, with path and version", err)
	}
}

func TestOtherFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "swab.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("this is no database\n", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), store.Options{Database: "sqlite:" + path}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Open() = %v, want an error that names the file", err)
	}
}

func TestReadersCannotWrite(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "swab.db"))
	newTenant(t, s)
	for _, query := range []string{"DELETE FROM audit_entries", "UPDATE tenants SET name = 'x'", "CREATE TABLE x (y INTEGER)"} {
		if err := s.ReaderExec(t.Context(), query); err == nil || !strings.Contains(err.Error(), "readonly") {
			t.Errorf("%s: %v, want it refused", query, err)
		}
	}
}

// TestLogGrowsAcrossRestarts opens the store anew at many sizes of the tree, so
// that each edge is read from the file once.
func TestLogGrowsAcrossRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "swab.db")
	s := open(t, path)
	tenant := newTenant(t, s)
	size := int64(1)
	for n := range 24 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, path)
		for range n%5 + 1 {
			if err := s.Record(t.Context(), tenant, link(n)); err != nil {
				t.Fatal(err)
			}
			size++
		}
		want, _ := storetest.Recompute(t, s, tenant)
		if got, err := s.Head(t.Context(), tenant); err != nil || got != want || got.Size != size {
			t.Fatalf("after restart %d: Head() = %v, %v; want %d leaves, %v", n, got, err, size, want)
		}
	}
}

// TestTwoProcessesKeepOneLog has two stores write to one file, which nobody
// should do, and which must not harm the log.
func TestTwoProcessesKeepOneLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "swab.db")
	stores := []*store.Store{open(t, path), open(t, path)}
	tenant := newTenant(t, stores[0])
	var all sync.WaitGroup
	for _, s := range stores {
		all.Go(func() {
			for n := range 50 {
				if err := s.Record(t.Context(), tenant, link(n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	want, entries := storetest.Recompute(t, stores[0], tenant)
	if got, err := stores[1].Head(t.Context(), tenant); err != nil || got != want || len(entries) != 101 {
		t.Errorf("Head() = %v, %v; its %d leaves give %v", got, err, len(entries), want)
	}
}

// TestTamperingShows changes the log behind the store's back. The leaves no
// longer give the head that devices and packages hold, and the first bad leaf
// is the first whose hash differs from the one kept.
func TestTamperingShows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "swab.db")
	s := open(t, path)
	tenant := newTenant(t, s)
	for n := range 20 {
		if err := s.Record(t.Context(), tenant, link(n)); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := storetest.Recompute(t, s, tenant)
	forged := link(1000)
	if _, err := beside(t, path).Exec("UPDATE audit_entries SET bytes = ? WHERE leaf = 7", forged.Leaf.Bytes()); err != nil {
		t.Fatal(err)
	}
	after, _ := storetest.Recompute(t, s, tenant)
	if head, err := s.Head(t.Context(), tenant); err != nil || head != before || after == before {
		t.Errorf("head = %v, %v; was %v; the forged leaves give %v", head, err, before, after)
	}
	for i := range int64(20) {
		entries, err := s.AuditEntries(t.Context(), tenant, i, 1)
		if err != nil {
			t.Fatal(err)
		}
		// The tree's own hash tells which leaf it was, without a proof of each.
		if hash := tlog.RecordHash(entries[0].Leaf); bytes.Equal(entries[0].Hash, hash[:]) == (i == 7) {
			t.Errorf("leaf %d (%s) comes with hash %x", i, entries[0].Leaf, entries[0].Hash)
		}
		_, id := entryOf(t, path, i)
		proof, head, err := s.Prove(t.Context(), tenant, []int64{id}, 0)
		if err != nil {
			t.Fatal(err)
		}
		bad := checkLeaf(proof.Leaves[0], head) != nil
		if bad != (i == 7) {
			t.Errorf("leaf %d (%s): does not prove: %v", i, entries[0].Leaf, bad)
		}
	}
}

// TestNoQueryScansATable asks SQLite how it runs each query of the package.
func TestNoQueryScansATable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "swab.db")
	s := open(t, path)
	runAllQueries(t, s)
	db := beside(t, path)
	queries := s.Queries()
	slices.Sort(queries)
	for _, query := range queries {
		if strings.Contains(query, "FROM tenants ") || strings.Contains(query, "FROM server_keys") || strings.Contains(query, "FROM retentions WHERE days") {
			continue // a handful of rows, all of them wanted
		}
		rows, err := db.Query("EXPLAIN QUERY PLAN "+query, make([]any, strings.Count(query, "?"))...)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		for rows.Next() {
			var (
				id, parent, unused int
				step               string
			)
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				t.Fatal(err)
			}
			sorts := strings.Contains(step, "TEMP B-TREE FOR ORDER BY")
			whole := strings.HasSuffix(step, "(tenant=?)") && strings.HasPrefix(step, "SEARCH devices ")
			if whole && !strings.Contains(query, "ORDER BY first_seen DESC") {
				t.Errorf("%s\n\treads all devices of the tenant: %s", query, step)
			}
			everybody := strings.HasSuffix(step, "(tenant=?)") && slices.ContainsFunc([]string{"users", "u", "user_group_members", "m"}, func(table string) bool {
				return strings.HasPrefix(step, "SEARCH "+table+" ")
			})
			if everybody && !strings.Contains(query, "SELECT count(*) FROM users") && !strings.Contains(query, "WHERE tenant = ? ORDER BY member, user_group") {
				t.Errorf("%s\n\treads all people of the tenant: %s", query, step)
			}
			few := strings.Contains(query, "FROM trusted_issuers") || strings.Contains(query, "FROM holds WHERE") || strings.Contains(query, "u.principal <= ?") || strings.Contains(query, "AND host_name = ?") || strings.Contains(query, "FROM uploads") || strings.Contains(query, "SELECT tenant, id FROM actions")
			if strings.Contains(query, ") every") { // sums of three, and what holds name
				if step == "SCAN every" || step == "SCAN held" || step == "SCAN each_once" {
					continue
				}
				if strings.HasPrefix(step, "SEARCH uploads ") && !strings.Contains(step, "COVERING INDEX uploads_packages ") {
					t.Errorf("%s\n\treads packages to sum them up: %s", query, step)
				}
			}
			if (strings.HasPrefix(step, "SCAN") && step != "SCAN page") || (sorts && !few) {
				t.Errorf("%s\n\t%s", query, step)
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if len(queries) < 30 {
		t.Errorf("only %d queries were run", len(queries))
	}
}

func runAllQueries(t *testing.T, s *store.Store) {
	t.Helper()
	ctx := t.Context()
	tenant, d := newDevice(t, s)
	a, err := s.CreateAction(ctx, newAction(d, 1), link(1))
	if err != nil {
		t.Fatal(err)
	}
	u := vault.Upload{ID: "u", Tenant: tenant, Device: d.ID, Action: a.ID, State: vault.Receiving}
	second := newAction(d, 2)
	if err := s.ChangeRoster(ctx, tenant, func(ctx context.Context, r access.Roster) error { return everyStep(ctx, tenant, r) }); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"changed action": errOf(s.ChangeAction(ctx, tenant, a.ID, func(a action.Action) (action.Action, []audit.Entry, error) { return a, nil, nil })),
		"devices":        errors.Join(errOf(s.Devices(ctx, tenant, device.Everywhere, odata.All())), errOf(s.FindDevices(ctx, tenant, "x")), errOf(s.Device(ctx, tenant, d.ID))),
		"administered devices": errors.Join(errOf(s.DevicePage(ctx, tenant, device.Everywhere, "", "", 1)), errOf(s.DevicePage(ctx, tenant, device.Everywhere, "x", "", 1)), errOf(s.DevicePage(ctx, tenant, device.Reach{Groups: []int64{0}}, "", "", 1)),
			errOf(s.Twins(ctx, tenant, device.Everywhere, []device.Device{d}, 1)), s.Cloned(ctx, tenant, d.ID, start, link(3)),
			errOf(s.AdministerDevice(ctx, tenant, d.ID, func(d device.Device) (device.Device, audit.Entry, error) { d.KeyAsked = start; return d, link(4), nil })),
			errOf(s.SucceedDeviceKey(ctx, tenant, d.ID, append(d.Keys, d.Keys[0]), [][]byte{{1}}, start, link(5)))),
		"device by id": errors.Join(errOf(s.DeviceByID(ctx, d.ID)), s.Seen(ctx, tenant, d.ID, d)),
		"actions": errors.Join(errOf(s.Action(ctx, tenant, a.ID)), errOf(s.Actions(ctx, tenant, device.Everywhere, odata.All())),
			errOf(s.DueActions(ctx, start, 1))),
		"access": errors.Join(s.CreateApp(ctx, auth.App{Tenant: tenant, ID: "a", Secrets: []auth.Secret{{ID: "s"}}}), errOf(s.App(ctx, tenant, "a"))),
		"people": errors.Join(errOf(s.Person(ctx, tenant, "a")), errOf(s.PersonNamed(ctx, tenant, "a@x.example")), errOf(s.People(ctx, tenant, "", "", 1)), errOf(s.People(ctx, tenant, "g", "", 1)),
			errOf(s.SessionsOf(ctx, tenant, "a")), errOf(s.UserGroups(ctx, tenant)), errOf(s.UserGroup(ctx, tenant, "g")), errOf(s.Policy(ctx, tenant)), errOf(s.IssuersOf(ctx, tenant))),
		"uploads": errors.Join(s.CreateUpload(ctx, u), errOf(s.UploadsOf(ctx, tenant, a.ID)), errOf(s.UploadsIn(ctx, vault.Receiving, 1)), errOf(s.UnwantedUploads(ctx, 1)),
			errOf(s.ChangeUpload(ctx, "u", func(u vault.Upload) (vault.Upload, error) { return u, nil }))),
		"retention": errors.Join(errOf(s.Retention(ctx, tenant)), errOf(s.Retentions(ctx)), errOf(s.ChangeRetention(ctx, tenant, setRules(retention.Policy{Days: 1}))),
			s.AddHold(ctx, retention.Hold{Tenant: tenant, ID: "h", Device: d.ID, Created: start}, link(6)), errOf(s.Holds(ctx, tenant)), errOf(s.Unheld(ctx, tenant)),
			errOf(s.Expirable(ctx, tenant, retention.Packages, retention.Place{}, 1)), errOf(s.Expirable(ctx, tenant, retention.Unverified, retention.Place{}, 1)),
			errOf(s.RemoveHold(ctx, tenant, "h", func(retention.Hold) audit.Entry { return link(7) }))),
		"log":    errOf(s.AuditEntries(ctx, tenant, 0, 0)),
		"limits": errors.Join(limit.New(limit.Config{Ledgers: s}).Take(ctx, limit.Key{Tenant: tenant}, limit.Figures{Minute: 1, Hour: 1}), s.ForgetLedgers(ctx)),
	} {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	if _, err := s.CreateAction(ctx, second, link(2)); !errors.Is(err, fault.Active) {
		t.Fatal(err)
	}
	if rules, err := s.Retention(ctx, tenant); err != nil {
		t.Fatal(err)
	} else if _, _, err := s.ExpireUpload(ctx, rules.Revision, vault.Upload{ID: "u", Tenant: tenant, State: vault.Sealed}, "", start, link(8)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.ActiveAction(ctx, tenant, d.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Prove(ctx, tenant, []int64{a.Entry}, 2); err != nil {
		t.Fatal(err)
	}
}

func setRules(p retention.Policy) func(retention.Policy) (retention.Policy, audit.Entry, error) {
	return func(retention.Policy) (retention.Policy, audit.Entry, error) { return p, link(9), nil }
}

// everyStep makes a person and what there is of groups, and changes and deletes it
// again, but for the person and one user group.
func everyStep(ctx context.Context, tenant string, r access.Roster) error {
	builtin, role := auth.BuiltIn(), auth.Role{ID: "r", Name: "r", Permissions: []auth.Permission{}, Groups: []string{"h"}}
	builtin.Groups = []string{"g"}
	groups := []device.Group{{ID: 1, Name: "d", Rank: 1, Rule: device.Rule{}, UserGroups: []string{"h"}}, {Name: device.DefaultGroupName}}
	p := auth.Person{Tenant: tenant, ID: "a", Principal: "a@x.example", Groups: []string{"g", "h"}}
	issuer := auth.TrustedIssuer{ID: "i"}
	return errors.Join(errOf(r.Policy(ctx)),
		r.AddUserGroup(ctx, auth.UserGroup{ID: "g", Name: "g"}), r.AddUserGroup(ctx, auth.UserGroup{ID: "h", Name: "h"}), r.ChangeUserGroup(ctx, auth.UserGroup{ID: "g", Name: "G"}), errOf(r.UserGroups(ctx)),
		errOf(r.People(ctx)), r.AddPerson(ctx, p, auth.Credential{}), r.ChangePerson(ctx, p), errOf(r.Credential(ctx, "a")), errOf(r.EndSessions(ctx, "a")),
		r.ChangeRole(ctx, builtin), r.AddRole(ctx, role), r.ChangeRole(ctx, role), errOf(r.Administered(ctx)), errOf(r.Memberships(ctx, []string{"g"})), r.DeleteRole(ctx, "r"),
		errOf(r.NextDeviceGroup(ctx)), r.SetDeviceGroups(ctx, groups), r.SetDeviceGroups(ctx, groups[1:]), r.DeleteUserGroup(ctx, "h"),
		r.AddIssuer(ctx, issuer), errOf(r.Issuers(ctx)), r.ChangeIssuer(ctx, issuer))
}

// errOf is the error of a call that returns something else as well.
func errOf[T any](_ T, err error) error { return err }

func TestNumberedParameters(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT 1":                         "SELECT 1",
		"SELECT a FROM b WHERE c = ?":      "SELECT a FROM b WHERE c = $1",
		"UPDATE a SET b = ?, c = ? -- d ?": "UPDATE a SET b = $1, c = $2 -- d $3",
		"?":                                "$1",
	} {
		if got := store.Numbered(query); got != want {
			t.Errorf("%q in numbered parameters = %q, want %q", query, got, want)
		}
	}
}

// TestLeavingCallerStopsNothing has a caller hang up while its call runs.
func TestLeavingCallerStopsNothing(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "swab.db"))
	tenant, d := newDevice(t, s)
	ctx, hangUp := context.WithCancelCause(t.Context())
	gone := errors.New("hung up")
	begun, left := make(chan struct{}), make(chan struct{})
	a := newAction(d, 1)
	if _, err := s.CreateAction(t.Context(), a, link(1)); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		_, err := s.ChangeAction(ctx, tenant, a.ID, func(a action.Action) (action.Action, []audit.Entry, error) {
			close(begun)
			<-left
			a.Bytes = 7
			return a, nil, nil
		})
		if !errors.Is(err, gone) {
			t.Errorf("ChangeAction() = %v, want %v", err, gone)
		}
	})
	<-begun
	hangUp(gone)
	all.Wait()
	close(left) // only now the change goes on
	// The next write comes after it.
	if err := s.Record(t.Context(), tenant, link(2)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Action(t.Context(), tenant, a.ID); err != nil || got.Bytes != 7 {
		t.Errorf("bytes = %d, %v; want the change of the caller that left", got.Bytes, err)
	}
}
