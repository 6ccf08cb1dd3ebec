package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"swab/internal/access"
	"swab/internal/action"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fleet"
	"swab/internal/keys"
	"swab/internal/odata"
)

// sites is how many device groups there are, one for each site; seen are those
// that somebody sees who sees a hundredth of the machines.
const sites = 1000

var seen = device.Reach{Groups: []int64{100, 200, 300, 400, 500, 600, 700, 800, 900, 1000}}

// siteRules are the groups of the sites, after others.
func siteRules(others ...device.Group) []device.Group {
	groups := slices.Clone(others)
	for n := range sites {
		groups = append(groups, device.Group{
			ID: int64(n + 1), Name: fmt.Sprint("site ", n), Rule: device.Rule{{Property: device.ByTag, Operator: device.Equals, Values: []string{fmt.Sprint("site-", n)}}},
		})
	}
	for i := range groups {
		groups[i].Rank = i + 1
	}
	return groups
}

// siteStatements have every machine of many, and its actions, stand in the group
// of its site, and be found by its tags.
var siteStatements = []string{
	"INSERT INTO grouped_devices (tenant, id, device_group, first_seen) SELECT tenant, id, 1 + (CAST(substr(id, 33) AS BIGINT) - 10000000) / 20 % 1000, first_seen FROM devices WHERE id LIKE '0000000000%'",
	"INSERT INTO grouped_actions (tenant, device_group, created, id) SELECT tenant, 1 + (CAST(substr(id, 29) AS BIGINT) - 10000000) / 20 % 1000 AS device_group, created, id FROM actions WHERE id LIKE '00000000-%' ORDER BY 2, 3",
	"INSERT INTO device_tags (tenant, tag, device) SELECT tenant, 'site-' || ((CAST(substr(id, 33) AS BIGINT) - 10000000) / 20 % 1000), id FROM devices WHERE id LIKE '0000000000%'",
	"INSERT INTO device_tags (tenant, tag, device) SELECT tenant, 'move', id FROM devices WHERE tags LIKE '%move%'",
}

// measureGroups measures what device groups cost.
func measureGroups(ctx context.Context, t *table, m many) error {
	if err := m.change(ctx, t, "a thousand new groups, all machines looked at", "", siteRules()); err != nil {
		return err
	}
	if err := m.measureReach(ctx, t); err != nil {
		return err
	}
	if err := m.measureAuthorisation(ctx, t); err != nil {
		return err
	}
	return m.measureSettling(ctx, t)
}

func (m many) regroup(ctx context.Context, groups []device.Group) error {
	return m.store.ChangeRoster(ctx, listTenant, func(ctx context.Context, r access.Roster) error { return r.SetDeviceGroups(ctx, groups) })
}

// measureReach asks for lists of a hundred as somebody who sees a hundredth of the
// machines; beside it is the same list for those who see all.
func (m many) measureReach(ctx context.Context, t *table) error {
	const rounds = 200
	day := func(ago time.Duration) string { return time.Now().Add(-ago).UTC().Format(time.RFC3339) }
	filter := func(text string) string { return "$top=100&$filter=" + url.QueryEscape(text) }
	for _, list := range []struct {
		of    *odata.Entity
		query func(round int) string
	}{
		{&action.Entity, func(int) string { return "$top=100" }},
		{&action.Entity, func(n int) string { return fmt.Sprintf("$top=100&$skip=%d", 10*n) }},
		{&action.Entity, func(int) string { return "$top=100&$count=true" }},
		{&action.Entity, func(int) string { return filter("status eq 'Succeeded'") }},
		{&action.Entity, func(int) string { return filter("status eq 'Failed'") }},
		{&action.Entity, func(int) string { return filter("status in ('Pending', 'InProgress')") }},
		{&action.Entity, func(n int) string { return filter(fmt.Sprintf("requestor eq 'app-%d'", n%20)) }},
		{&action.Entity, func(int) string { return filter("requestor eq 'rare'") + "&$count=true" }},
		{&action.Entity, func(n int) string { return filter("creationDateTimeUtc ge " + day(time.Duration(n)*time.Hour)) }},
		{&action.Entity, func(n int) string { return filter("lastUpdateDateTimeUtc ge " + day(time.Duration(n)*time.Second*10)) }},
		{&fleet.Entity, func(int) string { return "$top=100" }},
		{&fleet.Entity, func(int) string { return "$top=100&$count=true" }},
		{&fleet.Entity, func(n int) string { return filter(fmt.Sprintf("rbacGroupId eq %d", 100*(n%10+1))) + "&$count=true" }},
		{&fleet.Entity, func(int) string { return filter("riskScore eq 'High'") + "&$count=true" }},
		{&fleet.Entity, func(int) string { return filter("riskScore eq 'Low'") }},
		{&fleet.Entity, func(int) string { return filter("osPlatform eq 'Debian'") }},
		{&fleet.Entity, func(int) string { return filter("healthStatus eq 'Active'") }},
		{&fleet.Entity, func(n int) string { return filter(fmt.Sprintf("startswith(computerDnsName,'host%d')", n+100)) }},
		{&fleet.Entity, func(int) string { return filter("machineTags/any(t: t eq 'Finance')") }},
	} {
		var took [2][]time.Duration
		for n := range rounds {
			for i, reach := range []device.Reach{seen, device.Everywhere} {
				begun := time.Now()
				q, err := odata.Parse(list.query(n), list.of)
				if err == nil && list.of == &action.Entity {
					_, err = m.store.Actions(ctx, listTenant, reach, q)
				} else if err == nil {
					_, err = m.store.Devices(ctx, listTenant, reach, q)
				}
				if err != nil && i == 0 {
					return fmt.Errorf("%s: %w", list.query(n), err)
				}
				took[i] = append(took[i], time.Since(begun))
			}
		}
		slices.Sort(took[0])
		slices.Sort(took[1])
		text, _ := url.QueryUnescape(list.query(3))
		t.add(m.name+": "+list.of.Name+" for who sees 1%, "+text, ms(took[0][rounds*99/100]), "≤ 50 ms at p99",
			"median "+ms(took[0][rounds/2])+"; for who sees all "+ms(took[1][rounds*99/100]))
	}
	return nil
}

// measureSettling changes rules that move a hundredth of the machines, and looks
// how long it takes until each stands in its group, and what it costs this process
// and the database's.
func (m many) measureSettling(ctx context.Context, t *table) error {
	mover := func(p device.Property, o device.Operator, v string) device.Group {
		return device.Group{ID: sites + 1, Name: "mover", Rule: device.Rule{{Property: p, Operator: o, Values: []string{v}}}}
	}
	q, err := odata.Parse("$top=100&$count=true", &fleet.Entity)
	if err != nil {
		return err
	}
	for _, rule := range []struct {
		p device.Property
		o device.Operator
		v string
	}{{device.ByTag, device.Equals, "move"}, {device.ByName, device.StartsWith, "host77"}, {device.ByName, device.Contains, "77."}} {
		what := fmt.Sprintf("%s %s %s", rule.p, rule.o, rule.v)
		if err := m.change(ctx, t, "a new first group, "+what, "≤ 2 s of one core", siteRules(mover(rule.p, rule.o, rule.v))); err != nil {
			return err
		}
		page, err := m.store.Devices(ctx, listTenant, device.Reach{Groups: []int64{sites + 1}}, q)
		if err != nil || page.Total == 0 {
			return fmt.Errorf("the group has %d machines: %w", page.Total, err)
		}
		if err := m.change(ctx, t, "the same group deleted", "≤ 2 s of one core", siteRules()); err != nil {
			return err
		}
	}
	if os.Getenv("WORST") == "1" {
		if err := m.change(ctx, t, "a new first group of all machines of one system", "", siteRules(mover(device.BySystem, device.Equals, "debian"))); err != nil {
			return err
		}
		return m.change(ctx, t, "the same group deleted", "", siteRules())
	}
	return nil
}

// change changes the groups, and has each machine brought into its own.
func (m many) change(ctx context.Context, t *table, what, goal string, groups []device.Group) error {
	if err := m.regroup(ctx, groups); err != nil {
		return err
	}
	begun, before := time.Now(), m.spent()
	moved, err := m.store.Settle(ctx)
	if err != nil {
		return err
	}
	t.add(fmt.Sprintf("%s: %s, %d machines moved, CPU", m.name, what, moved), ms(m.spent()-before), goal, "took "+ms(time.Since(begun)))
	return nil
}

// spent is the CPU that this process and those of the database's server have used.
func (m many) spent() time.Duration {
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		return 0
	}
	total := time.Duration(own.Utime.Nano() + own.Stime.Nano())
	if m.server == "" {
		return total
	}
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		if at, err := os.Readlink(folder + "/cwd"); err != nil || !strings.HasPrefix(at, m.server) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(folder)); err == nil {
			used, _ := cpu(pid) // of one that has ended meanwhile, none
			total += used
		}
	}
	return total
}

// measureAuthorisation asks whether a person may do something to a machine, as
// each call does: the token, the person's rights, the machine and its group.
func (m many) measureAuthorisation(ctx context.Context, t *table) error {
	s := m.store
	const group, person, session = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b", "00000000-0000-4000-8000-00000000000c"
	now := time.Now()
	app := auth.App{Tenant: listTenant, ID: "00000000-0000-4000-8000-00000000000d", Name: "bench", Scopes: []string{auth.CollectForensics}, Created: now}
	if err := s.CreateApp(ctx, app); err != nil {
		return err
	}
	ann := auth.Person{Tenant: listTenant, ID: person, Principal: "ann@example.org", Name: "Ann", Groups: []string{group}, Created: now}
	groups := siteRules()
	for i := range groups {
		if seen.Has(groups[i].ID) {
			groups[i].UserGroups = []string{group}
		}
	}
	err := s.ChangeRoster(ctx, listTenant, func(ctx context.Context, r access.Roster) error {
		return errors.Join(
			r.AddUserGroup(ctx, auth.UserGroup{Tenant: listTenant, ID: group, Name: "analysts", Created: now}),
			r.AddPerson(ctx, ann, auth.Credential{}),
			r.AddRole(ctx, auth.Role{ID: "00000000-0000-4000-8000-00000000000e", Name: "analyst", Permissions: auth.RolePermissions, Groups: []string{group}}),
			r.SetDeviceGroups(ctx, groups),
		)
	})
	if err != nil {
		return err
	}
	if _, err := m.db.ExecContext(ctx, fmt.Sprintf(`INSERT INTO sessions (tenant, id, hash, person, app, parent, methods, proved, created, used, expires, ended, address, agent)
		VALUES ('%s', '%s', %s, '%s', '', '', '[]', 0, 0, 0, %d, FALSE, '', '')`, listTenant, session, m.noBytes, person, now.AddDate(1, 0, 0).Unix()*1e7)); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "swab-bench-keys-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ring, err := keys.Open(ctx, keys.Config{Store: &household{app: app}, Dir: dir, Now: time.Now, Recovery: func(ed25519.PrivateKey) error { return nil }})
	if err != nil {
		return err
	}
	const base = "https://swab.example"
	tokens := auth.NewTokens([]string{base}, ring, s, time.Now)
	issued, err := tokens.Delegate(base, base, auth.Delegation{App: app, Person: ann, Scopes: app.Scopes, Session: session, At: now})
	if err != nil {
		return err
	}
	house := &fleet.Fleet{Records: s, Groups: tokens.Directory, Now: time.Now}
	const rounds = 2000
	took, bare := make([]time.Duration, rounds), make([]time.Duration, rounds)
	for n := range took {
		id := fmt.Sprintf("%032d%d", 0, 10000000+n*7919%(m.machines/20000)*20000+99*20+n%20) // of site 99, whose group is 100
		begun := time.Now()
		who, err := tokens.Validate(ctx, issued.Token)
		if err == nil {
			err = who.Need(auth.Collect)
		}
		if err == nil {
			_, err = house.Find(ctx, who, id)
		}
		if took[n] = time.Since(begun); err != nil {
			return err
		}
		begun = time.Now()
		if _, err := s.FindDevices(ctx, listTenant, id); err != nil {
			return err
		}
		bare[n] = time.Since(begun)
	}
	slices.Sort(took)
	slices.Sort(bare)
	t.add(m.name+": authorisation of a delegated call, 1,000 device groups", micros(took[rounds/2]), "≤ 200 µs",
		fmt.Sprintf("p99 %s; the look-up of the machine alone %s", micros(took[rounds*99/100]), micros(bare[rounds/2])))
	return nil
}
