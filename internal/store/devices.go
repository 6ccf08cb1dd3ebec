package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"swab/internal/device"
	"swab/internal/fault"
)

const (
	deviceColumns = deviceTraits + ", revoked"
	deviceTraits  = `tenant, id, keys, statements, name, system, platform, version, build, arch, boot_id,
	agent_version, agent_sha256, addresses, last_address, external, catalog, tags, value, risk, exposure, aad_device, first_seen, last_seen,
	reported_name, key_asked, key_since, cloned, retired`
)

func scanDevice(r row) (d device.Device, err error) {
	f := &d.Facts
	err = r.Scan(
		&d.Tenant, &d.ID, fromText{&d.Keys}, fromText{&d.Statements}, &f.Name, &f.System, &f.Platform, &f.Version, &f.Build, &f.Arch, &f.BootID,
		&f.AgentVersion, &f.AgentSHA256, fromText{&f.Addresses}, &f.LastAddress, &d.External, &d.Catalog, fromText{&d.Tags}, &d.Value, &d.Risk, &d.Exposure, &d.AADDevice,
		when{&d.FirstSeen}, when{&d.LastSeen}, &d.Reported, when{&d.KeyAsked}, when{&d.KeySince}, when{&d.Cloned}, &d.Retired, &d.Revoked,
	)
	return d, err
}

func insertDevice(ctx context.Context, t *tx, d device.Device) error {
	f := d.Facts
	_, err := t.exec(ctx, "INSERT INTO devices ("+deviceColumns+", host_name) VALUES (?"+strings.Repeat(", ?", 30)+")",
		d.Tenant, d.ID, text(d.Keys), text(d.Statements), f.Name, f.System, f.Platform, f.Version, f.Build, f.Arch, f.BootID,
		f.AgentVersion, f.AgentSHA256, text(f.Addresses), f.LastAddress, d.External, d.Catalog, text(d.Tags), d.Value, d.Risk, d.Exposure, d.AADDevice,
		ticks(d.FirstSeen), ticks(d.LastSeen), d.Reported, ticksOrNull(d.KeyAsked), ticksOrNull(d.KeySince), ticksOrNull(d.Cloned), d.Retired, d.Revoked, d.HostName())
	if err != nil {
		return err
	}
	if err := t.indexTags(ctx, d.Tenant, d.ID, d.Tags); err != nil {
		return err
	}
	s, err := t.standing(ctx, d.Tenant)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, "INSERT INTO grouped_devices (tenant, id, device_group, first_seen) VALUES (?, ?, ?, ?)", d.Tenant, d.ID, s.groups.Of(d).ID, ticks(d.FirstSeen))
	return err
}

// indexTags brings what a device's tags are found by up to date.
func (t *tx) indexTags(ctx context.Context, tenant string, id device.ID, tags []string) error {
	if _, err := t.exec(ctx, "DELETE FROM device_tags WHERE tenant = ? AND device = ?", tenant, id); err != nil {
		return err
	}
	for _, tag := range tags {
		if _, err := t.exec(ctx, "INSERT INTO device_tags (tenant, tag, device) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", tenant, tag, id); err != nil {
			return err
		}
	}
	return nil
}

func noDevice(id device.ID, cause error) error {
	return fault.NotFound.Errorf(cause, "Machine %s was not found", id)
}

// Device returns a device of a tenant, or fault.NotFound.
func (s *Store) Device(ctx context.Context, tenant string, id device.ID) (device.Device, error) {
	return read(ctx, s, "device "+string(id), func(ctx context.Context, c *conn) (device.Device, error) {
		d, err := one(ctx, c, scanDevice, "SELECT "+deviceColumns+" FROM devices WHERE tenant = ? AND id = ?", tenant, id)
		if errors.Is(err, sql.ErrNoRows) {
			return d, noDevice(id, err)
		}
		return d, err
	})
}

// DeviceByID returns a device of whichever tenant it is in, or fault.NotFound.
// It is for those to whom the device has proved its key, not for callers who
// belong to a tenant. A device of a revoked tenant is revoked.
func (s *Store) DeviceByID(ctx context.Context, id device.ID) (device.Device, error) {
	return read(ctx, s, "device "+string(id), func(ctx context.Context, c *conn) (device.Device, error) {
		d, err := deviceByID(ctx, c, id)
		if errors.Is(err, sql.ErrNoRows) {
			return d, noDevice(id, err)
		}
		return d, err
	})
}

func deviceByID(ctx context.Context, c *conn, id device.ID) (device.Device, error) {
	return one(ctx, c, scanDevice, "SELECT "+deviceTraits+`, revoked OR (SELECT t.revoked FROM tenants t WHERE t.id = devices.tenant)
		FROM devices WHERE id = ?`, id)
}

// maxFound is the most devices that FindDevices returns.
const maxFound = 100

// FindDevices returns the devices of a tenant whose id, Entra id, full name or
// host name is name, in any case: at most 100, in this order, and within it the one seen
// last first. device.Resolve says which of them is meant.
func (s *Store) FindDevices(ctx context.Context, tenant, name string) ([]device.Device, error) {
	lower := strings.ToLower(name)
	return read(ctx, s, "find devices", func(ctx context.Context, c *conn) ([]device.Device, error) {
		// Each name by its own index: with OR, SQLite reads all devices of the tenant.
		return all(ctx, c, scanDevice, "SELECT "+deviceColumns+` FROM devices WHERE tenant = ? AND id IN (
				SELECT id FROM devices WHERE tenant = ? AND id = ?
				UNION ALL SELECT id FROM devices WHERE tenant = ? AND aad_device = ? AND aad_device <> ''
				UNION ALL SELECT id FROM devices WHERE tenant = ? AND name = ?
				UNION ALL SELECT id FROM devices WHERE tenant = ? AND host_name = ?)
			ORDER BY CASE WHEN id = ? THEN 0 WHEN aad_device = ? THEN 1 WHEN name = ? THEN 2 ELSE 3 END, last_seen DESC, id LIMIT ?`,
			tenant, tenant, lower, tenant, lower, tenant, lower, tenant, lower, lower, lower, lower, maxFound)
	})
}

// Seen keeps what a device says of itself, and when and from where it was last
// seen: the facts, catalogue, external address and LastSeen of d. Its addresses
// are kept as those that it had then, too. Where people gave it another name, it
// keeps that one, and what it says stands beside it.
func (s *Store) Seen(ctx context.Context, tenant string, id device.ID, d device.Device) error {
	_, err := write(ctx, s, "keep that device "+string(id)+" was seen", func(ctx context.Context, t *tx) (struct{}, error) {
		f := d.Facts
		if err := t.tell(ctx, tenant, id, f.Addresses, d.LastSeen); err != nil {
			return struct{}{}, err
		}
		was, renamed, err := t.traits(ctx, tenant, id)
		if err != nil {
			return struct{}{}, err
		}
		_, err = t.exec(ctx, `UPDATE devices SET name = CASE WHEN reported_name IS NULL THEN ? ELSE name END,
			host_name = CASE WHEN reported_name IS NULL THEN ? ELSE host_name END, reported_name = CASE WHEN reported_name IS NULL THEN NULL ELSE ? END, system = ?, platform = ?, version = ?, build = ?, arch = ?, boot_id = ?,
			agent_version = ?, agent_sha256 = ?, addresses = ?, last_address = ?, external = ?, catalog = ?, last_seen = ? WHERE tenant = ? AND id = ?`,
			f.Name, d.HostName(), f.Name, f.System, f.Platform, f.Version, f.Build, f.Arch, f.BootID,
			f.AgentVersion, f.AgentSHA256, text(f.Addresses), f.LastAddress, d.External, d.Catalog, ticks(d.LastSeen), tenant, id)
		now := was
		now.Facts.System, now.Facts.Platform = f.System, f.Platform
		if !renamed {
			now.Facts.Name = f.Name
		}
		if err == nil && (now.Facts.Name != was.Facts.Name || now.Facts.System != was.Facts.System || now.Facts.Platform != was.Facts.Platform) {
			err = t.regroup(ctx, now)
		}
		return struct{}{}, err
	})
	return err
}

// traitColumns are what the rules of device groups look at.
const traitColumns = "tenant, id, name, system, platform, tags"

// scanTraits scans a device of which no more is known than traitColumns, and what
// stands behind them.
func scanTraits(r row, more ...any) (d device.Device, err error) {
	err = r.Scan(append([]any{&d.Tenant, &d.ID, &d.Facts.Name, &d.Facts.System, &d.Facts.Platform, fromText{&d.Tags}}, more...)...)
	return d, err
}

// traits are what the rules look at in a device, and whether people gave it its
// name.
func (t *tx) traits(ctx context.Context, tenant string, id device.ID) (d device.Device, renamed bool, err error) {
	d, err = one(ctx, t.conn, func(r row) (device.Device, error) {
		return scanTraits(r, &renamed)
	}, "SELECT "+traitColumns+", reported_name IS NOT NULL FROM devices WHERE tenant = ? AND id = ?", tenant, id)
	return d, renamed, err
}
