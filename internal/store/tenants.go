package store

import (
	"context"
	"database/sql"
	"errors"

	"swab/internal/access"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
)

var _ access.Records = (*Store)(nil)

// AddTenant makes a tenant as Found does, on behalf of somebody of the tenant
// by, whose log gets e: all of it or nothing.
func (s *Store) AddTenant(ctx context.Context, by string, e audit.Entry, tenant auth.Tenant, apps []auth.App, token auth.Enrollment, entries ...audit.Entry) error {
	_, err := write(ctx, s, "create tenant "+tenant.ID, func(ctx context.Context, t *tx) (struct{}, error) {
		if err := t.found(ctx, tenant, apps, token, entries...); err != nil {
			return struct{}{}, err
		}
		_, _, err := t.record(ctx, by, e)
		return struct{}{}, err
	})
	return err
}

const selectTenant = "SELECT id, name, created, revoked FROM tenants WHERE id = ?"

func scanTenant(r row) (t auth.Tenant, err error) {
	err = r.Scan(&t.ID, &t.Name, when{&t.Created}, &t.Revoked)
	return t, err
}

// Tenant returns one tenant, or fault.NotFound.
func (s *Store) Tenant(ctx context.Context, id string) (auth.Tenant, error) {
	return read(ctx, s, "tenant "+id, func(ctx context.Context, c *conn) (auth.Tenant, error) {
		return tenantOf(ctx, c, id, "")
	})
}

func tenantOf(ctx context.Context, c *conn, id, lock string) (auth.Tenant, error) {
	t, err := one(ctx, c, scanTenant, selectTenant+lock, id)
	if errors.Is(err, sql.ErrNoRows) {
		return t, noTenant(id, err)
	}
	return t, err
}

// RevokeTenant revokes a tenant for good, on behalf of somebody of the tenant
// by. e is recorded in both their logs. What is revoked already is returned as
// it is, and nothing is recorded.
func (s *Store) RevokeTenant(ctx context.Context, by, id string, e audit.Entry) (auth.Tenant, error) {
	return write(ctx, s, "revoke tenant "+id, func(ctx context.Context, t *tx) (auth.Tenant, error) {
		tenant, err := tenantOf(ctx, t.conn, id, t.dialect.lock("tenants"))
		if err != nil || tenant.Revoked {
			return tenant, err
		}
		if _, err := t.exec(ctx, "UPDATE tenants SET revoked = ? WHERE id = ?", true, id); err != nil {
			return tenant, err
		}
		tenant.Revoked = true
		for _, log := range []string{by, id} {
			if _, _, err := t.record(ctx, log, e); err != nil {
				return tenant, err
			}
		}
		return tenant, nil
	})
}

// DeviceIDs returns ids of a tenant's devices in their order, those after the
// one given, at most so many (0: MaxDevices).
func (s *Store) DeviceIDs(ctx context.Context, tenant string, after device.ID, most int) ([]device.ID, error) {
	return read(ctx, s, "ids of the devices of "+tenant, func(ctx context.Context, c *conn) ([]device.ID, error) {
		return all(ctx, c, func(r row) (id device.ID, err error) {
			err = r.Scan(&id)
			return id, err
		}, "SELECT id FROM devices WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?", tenant, after, limit(most, MaxDevices))
	})
}

// RevokeDevice revokes a device for good and records e. What is revoked already
// is returned as it is, and nothing is recorded.
func (s *Store) RevokeDevice(ctx context.Context, tenant string, id device.ID, e audit.Entry) (device.Device, error) {
	return write(ctx, s, "revoke device "+string(id), func(ctx context.Context, t *tx) (device.Device, error) {
		changed, err := t.exec(ctx, "UPDATE devices SET revoked = ? WHERE tenant = ? AND id = ? AND revoked = ?", true, tenant, id, false)
		if err != nil {
			return device.Device{}, err
		}
		d, err := one(ctx, t.conn, scanDevice, "SELECT "+deviceColumns+" FROM devices WHERE tenant = ? AND id = ?", tenant, id)
		if errors.Is(err, sql.ErrNoRows) {
			return d, noDevice(id, err)
		}
		if err != nil || changed == 0 {
			return d, err
		}
		_, _, err = t.record(ctx, tenant, e)
		return d, err
	})
}
