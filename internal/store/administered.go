package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/device"
	"swab/internal/fault"
)

// DevicePage returns a tenant's devices in the order of their ids, those after
// the one given, at most so many (0: MaxDevices); where a name is given, those
// that are called so, in full or by their first label.
func (s *Store) DevicePage(ctx context.Context, tenant, name string, after device.ID, most int) ([]device.Device, error) {
	return read(ctx, s, "devices of "+tenant, func(ctx context.Context, c *conn) ([]device.Device, error) {
		if name == "" {
			return all(ctx, c, scanDevice, "SELECT "+deviceColumns+" FROM devices WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?",
				tenant, after, limit(most, MaxDevices))
		}
		return all(ctx, c, scanDevice, "SELECT "+deviceColumns+` FROM devices WHERE tenant = ? AND id > ? AND id IN (
				SELECT id FROM devices WHERE tenant = ? AND name = ?
				UNION ALL SELECT id FROM devices WHERE tenant = ? AND host_name = ?)
			ORDER BY id LIMIT ?`,
			tenant, after, tenant, name, tenant, name, limit(most, MaxDevices))
	})
}

// maxNamesakes is how many devices of one name are looked at for twins.
const maxNamesakes = 100

// hasTwin says of a row of devices whether another one that is not revoked has
// its name.
var hasTwin = fmt.Sprintf(`(name <> '' AND EXISTS (SELECT 1 FROM
	(SELECT n.id, n.revoked FROM devices n WHERE n.tenant = devices.tenant AND n.name = devices.name ORDER BY n.first_seen DESC, n.id DESC LIMIT %d) page
	WHERE NOT page.revoked AND page.id <> devices.id))`, maxNamesakes)

// Twins returns for each of a tenant's devices the others that have its name and
// are not revoked, the one enrolled last first, at most so many. Of a name that
// more than a hundred devices have, the newest hundred are looked at. A device
// that has none is not in the answer, nor is one without a name.
func (s *Store) Twins(ctx context.Context, tenant string, devices []device.Device, most int) (map[device.ID][]device.ID, error) {
	return read(ctx, s, "devices of one name", func(ctx context.Context, c *conn) (map[device.ID][]device.ID, error) {
		twins := map[device.ID][]device.ID{}
		for _, d := range devices {
			if d.Facts.Name == "" {
				continue
			}
			ids, err := all(ctx, c, value[device.ID], `SELECT id FROM
				(SELECT id, first_seen, revoked FROM devices WHERE tenant = ? AND name = ? ORDER BY first_seen DESC, id DESC LIMIT ?) page
				WHERE NOT revoked AND id <> ? ORDER BY first_seen DESC, id DESC LIMIT ?`, tenant, d.Facts.Name, maxNamesakes, d.ID, most)
			if err != nil {
				return nil, err
			}
			if len(ids) > 0 {
				twins[d.ID] = ids
			}
		}
		return twins, nil
	})
}

// AdministerDevice reads a device, has change make of it what it should become
// and keeps that with the entry, in one transaction; whoever comes second sees
// what the first one made. What administrators make of a device can change: its
// name, with the one that it tells itself beside it, whether it is retired, and
// since when it is to have another key. An entry without an act is not recorded:
// nothing changed. An error of change changes nothing and comes back as it is.
func (s *Store) AdministerDevice(ctx context.Context, tenant string, id device.ID, change func(device.Device) (device.Device, audit.Entry, error)) (device.Device, error) {
	return write(ctx, s, "administer device "+string(id), func(ctx context.Context, t *tx) (device.Device, error) {
		was, err := t.lockedDevice(ctx, tenant, id)
		if err != nil {
			return was, err
		}
		d, entry, err := change(was)
		if err != nil {
			return was, passed{err}
		}
		if entry.Leaf.Act == "" {
			return was, nil
		}
		if _, err := t.exec(ctx, "UPDATE devices SET name = ?, host_name = ?, reported_name = ?, retired = ?, key_asked = ? WHERE tenant = ? AND id = ?",
			d.Facts.Name, d.HostName(), d.Reported, d.Retired, ticksOrNull(d.KeyAsked), tenant, id); err != nil {
			return was, err
		}
		if was.Facts.Name != d.Facts.Name {
			now := was
			now.Facts.Name = d.Facts.Name
			if err := t.regroup(ctx, now); err != nil {
				return was, err
			}
		}
		was.Facts.Name, was.Reported, was.Retired, was.KeyAsked = d.Facts.Name, d.Reported, d.Retired, d.KeyAsked
		_, _, err = t.record(ctx, tenant, entry)
		return was, err
	})
}

// lockedDevice reads a device that the transaction is about to change.
func (t *tx) lockedDevice(ctx context.Context, tenant string, id device.ID) (device.Device, error) {
	d, err := one(ctx, t.conn, scanDevice, "SELECT "+deviceColumns+" FROM devices WHERE tenant = ? AND id = ?"+t.dialect.lock("devices"), tenant, id)
	if errors.Is(err, sql.ErrNoRows) {
		return d, noDevice(id, err)
	}
	return d, err
}

// SucceedDeviceKey keeps the keys by which a device succeeds its present one, with all
// its statements, which the caller has checked, and records e. They begin with
// those that it has; they are the same where its answer was lost, and then
// nothing is recorded. Statements that fork from those that it has, those of a
// revoked device, and those that nobody asked for are fault.Forbidden. While an
// action of the device runs, its package is to be signed by the present key:
// then it is fault.Unavailable, and may be asked again.
func (s *Store) SucceedDeviceKey(ctx context.Context, tenant string, id device.ID, keys []ed25519.PublicKey, statements [][]byte, at time.Time, e audit.Entry) (device.Device, error) {
	return write(ctx, s, "succeed the key of device "+string(id), func(ctx context.Context, t *tx) (device.Device, error) {
		d, err := t.lockedDevice(ctx, tenant, id)
		if err != nil {
			return d, err
		}
		switch had := d.Statements; {
		case d.Revoked:
			return d, fault.Forbidden.Errorf(nil, "The device was revoked; enrol it with a new key")
		case len(statements) < len(had) || !slices.EqualFunc(statements[:len(had)], had, bytes.Equal):
			return d, fault.Forbidden.Errorf(nil, "The device's key was succeeded by another one than these statements say")
		case len(statements) == len(had):
			return d, nil
		case d.KeyAsked.IsZero():
			return d, fault.Forbidden.Errorf(nil, "Nobody asked the device for another key")
		}
		active, err := all(ctx, t.conn, value[action.Status], "SELECT status FROM actions WHERE tenant = ? AND device = ? AND status IN ('Pending', 'InProgress')", tenant, id)
		if err != nil {
			return d, err
		}
		if slices.Contains(active, action.InProgress) {
			return d, fault.Unavailable.Errorf(nil, "A collection of the device runs; its key is succeeded after that")
		}
		if _, err := t.exec(ctx, "UPDATE devices SET keys = ?, statements = ?, key_asked = NULL, key_since = ? WHERE tenant = ? AND id = ?",
			text(keys), text(statements), ticks(at), tenant, id); err != nil {
			return d, err
		}
		d.Keys, d.Statements, d.KeyAsked, d.KeySince = keys, statements, time.Time{}, stored(at)
		_, _, err = t.record(ctx, tenant, e)
		return d, err
	})
}

// Cloned keeps that two live agents held a device's key at a moment, and records
// e.
func (s *Store) Cloned(ctx context.Context, tenant string, id device.ID, at time.Time, e audit.Entry) error {
	_, err := write(ctx, s, "keep that device "+string(id)+" was cloned", func(ctx context.Context, t *tx) (struct{}, error) {
		if _, err := t.exec(ctx, "UPDATE devices SET cloned = ? WHERE tenant = ? AND id = ?", ticks(at), tenant, id); err != nil {
			return struct{}{}, err
		}
		_, _, err := t.record(ctx, tenant, e)
		return struct{}{}, err
	})
	return err
}
