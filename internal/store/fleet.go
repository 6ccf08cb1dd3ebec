package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"swab/internal/audit"
	"swab/internal/device"
	"swab/internal/fleet"
)

var _ fleet.Records = (*Store)(nil)

// DevicesAt returns a tenant's devices that told of an address between from and
// to, as fleet.Records says.
func (s *Store) DevicesAt(ctx context.Context, tenant string, reach device.Reach, address netip.Addr, from, to time.Time, top int) ([]device.Device, error) {
	q := new(query).add("SELECT device FROM device_addresses WHERE tenant = ? AND address = ? AND since <= ? AND until >= ?",
		tenant, address.String(), ticks(to), ticks(from))
	return s.devicesAmong(ctx, "devices at an address", tenant, reach, q, top)
}

// DevicesTagged returns a tenant's devices that have a tag, as fleet.Records says.
func (s *Store) DevicesTagged(ctx context.Context, tenant string, reach device.Reach, tag string, begins bool, top int) ([]device.Device, error) {
	q := new(query).add("SELECT device FROM device_tags WHERE tenant = ? AND ", tenant)
	if end := beginsAfter(tag); !begins {
		q.add("tag = ?", tag)
	} else if q.add("tag >= ?", tag); end != "" {
		q.add(" AND tag < ?", end)
	}
	return s.devicesAmong(ctx, "devices with a tag", tenant, reach, q, top)
}

// devicesAmong are the devices within reach among those whose ids a query has,
// the one enrolled last first, at most top (0: MaxDevices).
func (s *Store) devicesAmong(ctx context.Context, what, tenant string, reach device.Reach, among *query, top int) ([]device.Device, error) {
	return read(ctx, s, what, func(ctx context.Context, c *conn) ([]device.Device, error) {
		most := limit(top, MaxDevices)
		q := new(query).add("SELECT "+deviceColumns+" FROM devices WHERE tenant = ? AND id IN ("+among.String()+")", tenant)
		q.args = append(q.args, among.args...)
		const order = " ORDER BY first_seen DESC, id DESC LIMIT ?"
		if reach.All && reach.By == nil {
			q.add(order, most)
			return all(ctx, c, scanDevice, q.String(), q.args...)
		}
		return byGroups(ctx, s, c, tenant, func(now standing) ([]device.Device, error) {
			q, reach := new(query).add(q.String(), q.args...), reach.In(now.groups)
			if now.settled {
				q.add(" AND ")
				q.where(within(now.groups.All(), func(g device.Group) bool { return reach.Has(g.ID) }), "devices", tenant, asIs)
				rows, err := c.once(ctx, q.add(order, most).String(), q.args)
				if err != nil {
					return nil, err
				}
				return collect(rows, scanDevice)
			}
			kept := []device.Device{}
			for last := []any{int64(math.MaxInt64), ""}; ; {
				found, err := all(ctx, c, scanDevice, q.String()+" AND (first_seen, id) < (?, ?)"+order, slices.Concat(q.args, last, []any{most})...)
				if err != nil {
					return nil, err
				}
				for _, d := range found {
					if reach.Has(now.groups.Of(d).ID) && len(kept) < most {
						kept = append(kept, d)
					}
					last = []any{ticks(d.FirstSeen), d.ID}
				}
				if len(found) < most || len(kept) == most {
					return kept, nil
				}
			}
		})
	})
}

// ChangeDevices changes what people say of devices, as fleet.Records says. The
// devices are read in the order of their ids, so that two calls which change
// the same ones can't wait for each other.
func (s *Store) ChangeDevices(ctx context.Context, tenant string, ids []device.ID, change func(device.Device) (device.Device, audit.Entry, error)) ([]device.Device, error) {
	return write(ctx, s, "change devices", func(ctx context.Context, t *tx) ([]device.Device, error) {
		changed := make([]device.Device, len(ids))
		for _, id := range slices.Sorted(slices.Values(ids)) {
			d, err := t.changeDevice(ctx, tenant, id, change)
			if err != nil {
				return nil, err
			}
			changed[slices.Index(ids, id)] = d
		}
		return changed, nil
	})
}

func (t *tx) changeDevice(ctx context.Context, tenant string, id device.ID, change func(device.Device) (device.Device, audit.Entry, error)) (device.Device, error) {
	was, err := one(ctx, t.conn, scanDevice, "SELECT "+deviceColumns+" FROM devices WHERE tenant = ? AND id = ?"+t.dialect.lock("devices"), tenant, id)
	if errors.Is(err, sql.ErrNoRows) {
		return was, noDevice(id, err)
	}
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
	if d.AADDevice != was.AADDevice {
		if err := t.entraFree(ctx, tenant, id, d.AADDevice); err != nil {
			return was, err
		}
	}
	_, err = t.exec(ctx, "UPDATE devices SET tags = ?, value = ?, risk = ?, exposure = ?, aad_device = ? WHERE tenant = ? AND id = ?",
		text(d.Tags), d.Value, d.Risk, d.Exposure, d.AADDevice, tenant, id)
	if err != nil {
		return was, err
	}
	if err := t.indexTags(ctx, tenant, id, d.Tags); err != nil {
		return was, err
	}
	if !slices.Equal(was.Tags, d.Tags) {
		now := was
		now.Tags = d.Tags
		if err := t.regroup(ctx, now); err != nil {
			return was, err
		}
	}
	was.Tags, was.Value, was.Risk, was.Exposure, was.AADDevice = d.Tags, d.Value, d.Risk, d.Exposure, d.AADDevice
	_, _, err = t.record(ctx, tenant, entry)
	return was, err
}

// unbroken is how long after a device's last sign of life the next one still
// means that it had its addresses all the time.
const unbroken = fleet.Around

// Alive keeps that devices gave a sign of life, and had the addresses that they
// told of last until then. A device that is not there, or was heard of later, is
// passed over.
func (s *Store) Alive(ctx context.Context, beats []device.Beat) error {
	_, err := write(ctx, s, "keep that devices are alive", func(ctx context.Context, t *tx) (struct{}, error) {
		for _, b := range sorted(beats) {
			if err := t.alive(ctx, b); err != nil {
				return struct{}{}, fmt.Errorf("device %s: %w", b.Device, err)
			}
		}
		return struct{}{}, nil
	})
	return err
}

func sorted(beats []device.Beat) []device.Beat {
	return slices.SortedFunc(slices.Values(beats), func(a, b device.Beat) int {
		return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(string(a.Device), string(b.Device)))
	})
}

// alive moves the end of the addresses that end with the device's last sign of
// life, and then that sign.
func (t *tx) alive(ctx context.Context, b device.Beat) error {
	_, err := t.exec(ctx, `UPDATE device_addresses SET until = ? WHERE tenant = ? AND device = ? AND until < ? AND until =
		(SELECT last_seen FROM devices WHERE tenant = ? AND id = ?)`,
		ticks(b.At), b.Tenant, b.Device, ticks(b.At), b.Tenant, b.Device)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, "UPDATE devices SET last_seen = ? WHERE tenant = ? AND id = ? AND last_seen < ?", ticks(b.At), b.Tenant, b.Device, ticks(b.At))
	return err
}

// tell keeps the addresses that a device tells of now: one that it had at its
// last sign of life, a short while ago, goes on; any other begins.
func (t *tx) tell(ctx context.Context, tenant string, id device.ID, addresses []device.Address, now time.Time) error {
	last, err := one(ctx, t.conn, value[int64], "SELECT last_seen FROM devices WHERE tenant = ? AND id = ?"+t.dialect.lock("devices"), tenant, id)
	if errors.Is(err, sql.ErrNoRows) {
		return noDevice(id, err)
	}
	if err != nil {
		return err
	}
	for _, a := range addresses {
		at, err := netip.ParseAddr(a.IP)
		if err != nil {
			continue // device.Facts.Clean lets none through
		}
		address, goesOn := at.Unmap().WithZone("").String(), int64(0)
		if ticks(now)-last <= int64(unbroken/100) {
			goesOn, err = t.exec(ctx, "UPDATE device_addresses SET until = ? WHERE tenant = ? AND address = ? AND device = ? AND until = ? AND until <= ?",
				ticks(now), tenant, address, id, last, ticks(now))
			if err != nil {
				return err
			}
		}
		if goesOn > 0 {
			continue
		}
		_, err = t.exec(ctx, "INSERT INTO device_addresses (tenant, address, device, since, until) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			tenant, address, id, ticks(now), ticks(now))
		if err != nil {
			return err
		}
	}
	return nil
}

// maxForgotten bounds the rows that one ForgetAddresses deletes.
const maxForgotten = 10_000

// ForgetAddresses deletes what is known of addresses that no device had since
// before, of all tenants. more says that there may be more of it: the calls in
// between let others write.
func (s *Store) ForgetAddresses(ctx context.Context, before time.Time) (more bool, err error) {
	return write(ctx, s, "forget old addresses", func(ctx context.Context, t *tx) (bool, error) {
		n, err := t.exec(ctx, `DELETE FROM device_addresses WHERE (tenant, address, device, since) IN
			(SELECT tenant, address, device, since FROM device_addresses WHERE until < ? ORDER BY until LIMIT ?)`, ticks(before), maxForgotten)
		return n == maxForgotten, err
	})
}
