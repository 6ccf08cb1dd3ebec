package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"slices"
	"time"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/device"
	"swab/internal/fault"
)

// DevicePage returns a tenant's devices within reach in the order of their ids,
// those after the one given, at most so many (0: MaxDevices); where a name is
// given, those that are called so, in full or by their first label.
func (s *Store) DevicePage(ctx context.Context, tenant string, reach device.Reach, name string, after device.ID, most int) ([]device.Device, error) {
	return read(ctx, s, "devices of "+tenant, func(ctx context.Context, c *conn) ([]device.Device, error) {
		most := limit(most, MaxDevices)
		q := new(query).add("SELECT "+deviceColumns+" FROM devices WHERE tenant = ?", tenant)
		if name != "" {
			q.add(` AND id IN (
				SELECT id FROM devices WHERE tenant = ? AND name = ?
				UNION ALL SELECT id FROM devices WHERE tenant = ? AND host_name = ?)`, tenant, name, tenant, name)
		}
		return reaching(ctx, s, c, tenant, reach, func(now standing, reach device.Reach) ([]device.Device, error) {
			q, after := new(query).add(q.String(), q.args...), after
			if !reach.All && now.settled {
				q.add(" AND ")
				q.where(within(now.groups.All(), func(g device.Group) bool { return reach.Has(g.ID) }), "devices", tenant, asIs)
				reach = device.Everywhere
			}
			part := most
			if !reach.All {
				part = max(most, judgedAtOnce)
			}
			kept := []device.Device{}
			for {
				q := new(query).add(q.String(), q.args...).add(" AND id > ? ORDER BY id LIMIT ?", after, part)
				rows, err := c.once(ctx, q.String(), q.args)
				if err != nil {
					return nil, err
				}
				found, err := collect(rows, scanDevice)
				if err != nil {
					return nil, err
				}
				for _, d := range found {
					if reach.All || reach.Has(now.groups.Of(d).ID) {
						kept = append(kept, d)
					}
					after = d.ID
				}
				if len(found) < part || len(kept) >= most {
					return kept[:min(len(kept), most)], nil
				}
			}
		})
	})
}

// reaching is byGroups for what a reach comes to by them. Of one that never changes
// nothing is looked up.
func reaching[T any](ctx context.Context, s *Store, c *conn, tenant string, reach device.Reach, list func(now standing, reach device.Reach) (T, error)) (T, error) {
	if reach.All && reach.By == nil {
		return list(standing{}, reach)
	}
	return byGroups(ctx, s, c, tenant, func(now standing) (T, error) { return list(now, reach.In(now.groups)) })
}

// maxNamesakes is how many devices of one name are looked at for twins.
const maxNamesakes = 100

// Twins returns for each of a tenant's devices the others within reach that have
// its name and are not revoked, the one enrolled last first, at most so many. Of a
// name that more than a hundred devices have, the newest hundred are looked at. A
// device that has none is not in the answer, nor is one without a name.
func (s *Store) Twins(ctx context.Context, tenant string, reach device.Reach, devices []device.Device, most int) (map[device.ID][]device.ID, error) {
	return read(ctx, s, "devices of one name", func(ctx context.Context, c *conn) (map[device.ID][]device.ID, error) {
		return reaching(ctx, s, c, tenant, reach, func(now standing, reach device.Reach) (map[device.ID][]device.ID, error) {
			named, twins := map[string][]device.Device{}, map[device.ID][]device.ID{}
			for _, d := range devices {
				if d.Facts.Name == "" {
					continue
				}
				all, known := named[d.Facts.Name]
				if !known {
					var err error
					if all, err = namesakes(ctx, c, tenant, d.Facts.Name); err != nil {
						return nil, err
					}
					named[d.Facts.Name] = all
				}
				for _, other := range all {
					if other.ID != d.ID && !other.Revoked && len(twins[d.ID]) < most && (reach.All || reach.Has(now.groups.Of(other).ID)) {
						twins[d.ID] = append(twins[d.ID], other.ID)
					}
				}
			}
			return twins, nil
		})
	})
}

// namesakes are the devices of one name, the one enrolled last first, at most
// maxNamesakes, with what the rules look at in them, and whether they are revoked.
func namesakes(ctx context.Context, c *conn, tenant, name string) ([]device.Device, error) {
	return all(ctx, c, func(r row) (device.Device, error) {
		var revoked bool
		d, err := scanTraits(r, &revoked)
		d.Revoked = revoked
		return d, err
	}, "SELECT "+traitColumns+", revoked FROM devices WHERE tenant = ? AND name = ? ORDER BY first_seen DESC, id DESC LIMIT ?", tenant, name, maxNamesakes)
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

// entraFree refuses the Entra id of another device that is not revoked, without
// saying of which: whoever asks may not see it. It is alone with that among the
// changes of the tenant's devices that ask it.
func (t *tx) entraFree(ctx context.Context, tenant string, id device.ID, entra string) error {
	if entra == "" {
		return nil
	}
	if _, err := tenantOf(ctx, t.conn, tenant, t.dialect.lock("tenants")); err != nil {
		return err
	}
	_, err := one(ctx, t.conn, value[device.ID], "SELECT id FROM devices WHERE tenant = ? AND aad_device = ? AND id <> ? AND NOT revoked LIMIT 1", tenant, entra, id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return passed{fault.InvalidInput.Errorf(nil, "The Entra device id %s is another machine's", entra)}
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
