package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // both fill a store beside its back
	_ "modernc.org/sqlite"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/fleet"
	"swab/internal/odata"
	"swab/internal/store"
	"swab/test/postgres"
)

// lists measures lists of 100 where there are many: a tenth of what is promised,
// or with FULL=1 a million machines and ten million actions. Rows are made by
// SQL from one that the store made.
func lists(ctx context.Context, t *table, dir string) error {
	if err := queries(t); err != nil {
		return err
	}
	return amid(ctx, dir, func(m many) error {
		if err := measureLists(ctx, t, m.store, m.name, m.machines); err != nil {
			return err
		}
		return measureGroups(ctx, t, m)
	})
}

// groups measures only what device groups cost, where there are as many.
func groups(ctx context.Context, t *table, dir string) error {
	return amid(ctx, dir, func(m many) error { return measureGroups(ctx, t, m) })
}

// many is a store with many machines and many actions of each.
type many struct {
	name     string
	store    *store.Store
	db       *sql.DB // the same, beside the store
	machines int
	each     int    // actions of each machine
	server   string // folder of its server's files; "": it has none

	series, collect, noBytes string // words of the database
}

// amid has measure look at each store, filled.
func amid(ctx context.Context, dir string, measure func(many) error) error {
	machines := 100_000
	if os.Getenv("FULL") == "1" {
		machines *= 10
	}
	server, err := postgres.Start(false)
	if err != nil {
		return err
	}
	defer server.Close()
	file := filepath.Join(dir, "lists.db")
	clear := func() error { return os.RemoveAll(file) } // the next one wants the room
	for _, one := range []struct {
		many
		database, driver, source string
	}{
		{many{
			name: "SQLite", machines: machines, collect: "ANALYZE", noBytes: "x''",
			series: "(WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d - 1) SELECT i FROM n)",
		}, "sqlite:" + file, "sqlite", file},
		{many{
			name: "PostgreSQL", machines: machines, collect: "VACUUM ANALYZE", noBytes: "''",
			series: "(SELECT generate_series AS i FROM generate_series(0::bigint, %d - 1))",
		}, server.URL, "pgx", server.URL},
	} {
		m := one.many
		if only := os.Getenv("STORE"); only != "" && !strings.EqualFold(only, m.name) {
			continue
		}
		m.each = number("ACTIONS", 10)
		fmt.Fprintf(os.Stderr, "lists of %d machines and %d actions, %s\n", machines, machines*m.each, m.name)
		if one.driver == "pgx" {
			at, err := url.Parse(server.URL)
			if err != nil {
				return err
			}
			m.server = at.Query().Get("host")
		}
		if m.store, err = store.Open(ctx, store.Options{Database: one.database}); err != nil {
			return err
		}
		if m.db, err = sql.Open(one.driver, one.source); err == nil {
			err = m.fill(ctx)
		}
		if err == nil {
			err = measure(m)
		}
		if err := errors.Join(err, m.db.Close(), m.store.Close(), clear()); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

const listTenant = "0000000a-0000-7000-8000-000000000001"

// fill makes a tenant with machines and their actions.
func (m many) fill(ctx context.Context) error {
	s, series, machines := m.store, m.series, m.machines
	nothing := func(what string) audit.Entry {
		return audit.NewEntry(time.Now(), audit.Leaf{Act: audit.ActStart, Object: what, Result: audit.Done}, audit.Hidden{Who: "application/1"})
	}
	if err := s.CreateTenant(ctx, auth.Tenant{ID: listTenant, Name: "bench", Created: time.Now()}, nothing("tenant")); err != nil {
		return err
	}
	hash := sha256.Sum256([]byte("token"))
	if err := s.CreateEnrollment(ctx, auth.Enrollment{Tenant: listTenant, ID: "token", Hash: hash, Left: -1}); err != nil {
		return err
	}
	key := ed25519.NewKeyFromSeed(hash[:]).Public().(ed25519.PublicKey)
	d, err := s.Enrol(ctx, hash, device.Device{
		ID: device.IDOf(key), Keys: []ed25519.PublicKey{key}, FirstSeen: time.Now(), LastSeen: time.Now(),
		Facts: device.Facts{Name: "first.example.org", System: device.Linux, Platform: "Debian", Version: "13.1", AgentVersion: "1.0.0"},
	}, func(string) audit.Entry { return nothing("device") })
	if err != nil {
		return err
	}
	a, err := s.CreateAction(ctx, action.Action{
		Tenant: listTenant, ID: "ffffffff-0000-7000-8000-000000000000", Device: d.ID, DeviceName: d.Facts.Name, Status: action.Succeeded, Profile: "triage",
		Plan: "sha256:1", Source: "PublicApi", Requestor: "first", Comment: "alert 1234", Created: time.Now(), Updated: time.Now(), Touched: time.Now(), Attempt: 1,
		Package: &action.Package{Upload: "u", SHA256: strings.Repeat("ab", 32), Size: 1 << 22, Receipt: make([]byte, 600), Sealed: time.Now()},
	}, nothing("action"))
	if err != nil {
		return err
	}
	now := time.Now().Unix() * 1e7
	const deviceID = "'00000000000000000000000000000000' || (10000000 + %s)"
	statements := []string{
		copyRows("devices", string(d.ID), fmt.Sprintf(series, machines), map[string]string{
			"id": fmt.Sprintf(deviceID, "i"), "name": "'host' || i || '.example.org'", "host_name": "'host' || i",
			"platform":   "CASE WHEN i % 10000 = 7 THEN 'SLES' WHEN i % 3 = 0 THEN 'Ubuntu' ELSE 'Debian' END",
			"first_seen": fmt.Sprintf("%d + i * 10000000", now-int64(machines)*1e7), "last_seen": fmt.Sprintf("%d - (i * 7919 %% 10000) * 864000000", now),
			"risk":         "CASE WHEN i % 1000 = 3 THEN 'High' WHEN i % 20 = 1 THEN 'Low' ELSE '' END",
			"tags":         "'[\"site-' || (i / 20 % 1000) || '\"' || CASE WHEN i % 100 = 7 THEN ',\"move\"' ELSE '' END || ']'",
			"last_address": "'10.' || (i % 250) || '.' || (i / 250 % 250) || '.' || (i / 62500)",
		}),
		"INSERT INTO device_tags (tenant, tag, device) SELECT tenant, 'Finance', id FROM devices WHERE first_seen % 100000000 < 10000000",
		fmt.Sprintf("INSERT INTO device_tags (tenant, tag, device) SELECT '%s', 'Rare', %s FROM %s x WHERE i %% 5000 = 1", listTenant, fmt.Sprintf(deviceID, "i"), fmt.Sprintf(series, machines)),
	}
	// In parts: what is checked at a statement's end is in memory until then.
	for part := range m.each {
		numbers := fmt.Sprintf("(SELECT i + %d AS i FROM "+series+" y)", part*machines, machines)
		statements = append(statements, copyRows("actions", a.ID, numbers, map[string]string{
			"id": "'00000000-0000-7000-8000-0000' || (10000000 + i)", "device": fmt.Sprintf(deviceID, fmt.Sprintf("i %% %d", machines)),
			"device_name": fmt.Sprintf("'host' || (i %% %d) || '.example.org'", machines),
			"status":      fmt.Sprintf("CASE WHEN i >= %d THEN 'Pending' WHEN i < 5000 THEN 'TimeOut' WHEN i %% 20 = 0 THEN 'Failed' ELSE 'Succeeded' END", machines*m.each-machines/100),
			"requestor":   "CASE WHEN i % 100000 = 7 THEN 'rare' ELSE 'app-' || (i % 20) END", "requestor_id": "'id-' || (i / 20 % 20)",
			"external_id": "CASE WHEN i % 10 = 0 THEN 'case-' || (i / 100) ELSE '' END",
			"created":     fmt.Sprintf("%d + i * 10000000", now-int64(machines*m.each)*1e7), "updated": fmt.Sprintf("%d + i * 10000000 + (i %% 600) * 10000000", now-int64(machines*m.each)*1e7),
		}))
	}
	for _, statement := range slices.Concat(statements, siteStatements, []string{m.collect}) {
		if _, err := m.db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%.200s: %w", statement, err)
		}
	}
	return nil
}

// copyRows copies the row of an id for each number of a series, with other
// values in some columns.
func copyRows(of, id, series string, other map[string]string) string {
	columns := map[string]string{
		"devices": `tenant, id, keys, statements, name, host_name, system, platform, version, build, arch, boot_id, agent_version, agent_sha256, addresses,
			last_address, external, catalog, tags, first_seen, last_seen, revoked, value, risk, exposure, aad_device`,
		"actions": `tenant, id, device, device_name, status, profile, plan, source, requestor, requestor_id, comment, external_id, created, updated, touched, due,
			attempt, acked, begun, stage, items, items_of, bytes, taken_ms, error_hresult, trouble, entry, package_upload, package_sha256, package_size, package_sealed, package_receipt`,
	}[of]
	var values []string
	for c := range strings.SplitSeq(columns, ",") {
		c = strings.TrimSpace(c)
		if v, ok := other[c]; ok {
			values = append(values, v)
		} else {
			values = append(values, "r."+c)
		}
	}
	return "INSERT INTO " + of + " (" + columns + ") SELECT " + strings.Join(values, ", ") + " FROM " + of + " r, " + series + " x WHERE r.id = '" + id + "'"
}

// measureLists asks for each list many times and adds the slowest of a hundred.
func measureLists(ctx context.Context, t *table, s *store.Store, name string, machines int) error {
	const rounds = 200
	day := func(ago time.Duration) string { return time.Now().Add(-ago).UTC().Format(time.RFC3339) }
	for _, list := range []struct {
		of     *odata.Entity
		filter func(round int) string
	}{
		{&action.Entity, func(int) string { return "" }},
		{&action.Entity, func(n int) string { return fmt.Sprintf("machineId eq '%032d%d'", 0, 10000000+n*37) }},
		{&action.Entity, func(n int) string {
			return fmt.Sprintf("machineId eq '%032d%d' and status eq 'Pending'", 0, 10000000+machines-1-n)
		}},
		{&action.Entity, func(int) string { return "status eq 'Succeeded'" }},
		{&action.Entity, func(int) string { return "status eq 'TimeOut'" }},
		{&action.Entity, func(int) string { return "status in ('Pending', 'InProgress')" }},
		{&action.Entity, func(int) string { return "status eq 'Failed' or status eq 'TimeOut'" }},
		{&action.Entity, func(n int) string { return fmt.Sprintf("requestor eq 'app-%d'", n%20) }},
		{&action.Entity, func(int) string { return "requestor eq 'rare'" }},
		{&action.Entity, func(n int) string { return fmt.Sprintf("requestor eq 'id-%d' and status eq 'Failed'", n%20) }},
		{&action.Entity, func(n int) string { return fmt.Sprintf("externalId eq 'case-%d'", n*31) }},
		{&action.Entity, func(n int) string { return "creationDateTimeUtc ge " + day(time.Duration(n)*time.Hour) }},
		{&action.Entity, func(n int) string { return "lastUpdateDateTimeUtc ge " + day(time.Duration(n)*time.Second*10) }},
		{&action.Entity, func(n int) string { return "lastUpdateDateTimeUtc ge " + day(time.Duration(n)*time.Hour) }},
		{&action.Entity, func(n int) string { return "type eq 'CollectInvestigationPackage' and status ne 'Succeeded'" }},
		{&fleet.Entity, func(n int) string { return fmt.Sprintf("computerDnsName eq 'host%d.example.org'", n*101) }},
		{&fleet.Entity, func(n int) string { return fmt.Sprintf("startswith(computerDnsName,'host%d')", n%9+1) }},
		{&fleet.Entity, func(n int) string { return fmt.Sprintf("startswith(computerDnsName,'host%d')", n+100) }},
		{&fleet.Entity, func(int) string { return "healthStatus eq 'Active'" }},
		{&fleet.Entity, func(int) string { return "healthStatus eq 'Inactive'" }},
		{&fleet.Entity, func(int) string { return "riskScore eq 'High'" }},
		{&fleet.Entity, func(int) string { return "osPlatform eq 'SLES'" }},
		{&fleet.Entity, func(int) string { return "osPlatform eq 'Debian' and riskScore eq 'High'" }},
		{&fleet.Entity, func(int) string { return "machineTags/any(t: t eq 'Finance')" }},
		{&fleet.Entity, func(int) string { return "machineTags/any(t: t eq 'Rare') and healthStatus eq 'Active'" }},
		{&fleet.Entity, func(n int) string { return fmt.Sprintf("lastIpAddress eq '10.%d.%d.0'", n, n) }},
		{&fleet.Entity, func(n int) string { return "lastSeen gt " + day(time.Duration(n)*time.Minute) }},
	} {
		took := make([]time.Duration, rounds)
		for n := range took {
			raw := "$top=100"
			if f := list.filter(n); f != "" {
				raw += "&$filter=" + url.QueryEscape(f)
			}
			begun := time.Now()
			q, err := odata.Parse(raw, list.of)
			if err == nil && list.of == &action.Entity {
				_, err = s.Actions(ctx, listTenant, device.Everywhere, q)
			} else if err == nil {
				_, err = s.Devices(ctx, listTenant, device.Everywhere, q)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", list.filter(n), err)
			}
			took[n] = time.Since(begun)
		}
		slices.Sort(took)
		t.add(name+": "+list.of.Name+", "+list.filter(3), ms(took[rounds*99/100]), "≤ 50 ms at p99", "median "+ms(took[rounds/2]))
	}
	return measureStop(ctx, t, s, name)
}

// measureStop asks for what no index serves, long enough to be stopped.
func measureStop(ctx context.Context, t *table, s *store.Store, name string) error {
	terms := make([]string, 99)
	for i := range terms {
		terms[i] = fmt.Sprintf("contains(requestor,'nobody %d')", i)
	}
	q, err := odata.Parse("$filter="+url.QueryEscape(strings.Join(terms, " or ")), &action.Entity)
	if err != nil {
		return err
	}
	begun := time.Now()
	_, err = s.Actions(ctx, listTenant, device.Everywhere, q)
	took := time.Since(begun)
	if !errors.Is(err, fault.Unavailable) {
		return fmt.Errorf("99 times contains(…) was not stopped: %w", err)
	}
	t.add(name+": machine actions, 99 × contains(…) joined by or, refused with 503", ms(took), "2 s", "")
	return nil
}
