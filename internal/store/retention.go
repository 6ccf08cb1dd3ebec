package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"swab/internal/audit"
	"swab/internal/fault"
	"swab/internal/retention"
	"swab/internal/vault"
)

var _ retention.Records = (*Store)(nil)

const retentionColumns = "tenant, days, packages, bytes, revision"

func scanRules(r row) (rules retention.Rules, err error) {
	err = r.Scan(&rules.Tenant, &rules.Policy.Days, &rules.Policy.Packages, &rules.Policy.Bytes, &rules.Revision)
	return rules, err
}

// Retention returns a tenant's rules; none where none were set.
func (s *Store) Retention(ctx context.Context, tenant string) (retention.Rules, error) {
	return read(ctx, s, "retention of "+tenant, func(ctx context.Context, c *conn) (retention.Rules, error) {
		rules, err := one(ctx, c, scanRules, "SELECT "+retentionColumns+" FROM retentions WHERE tenant = ?", tenant)
		if errors.Is(err, sql.ErrNoRows) {
			return retention.Rules{Tenant: tenant}, nil
		}
		return rules, err
	})
}

// Retentions returns the rules of all tenants that have some.
func (s *Store) Retentions(ctx context.Context) ([]retention.Rules, error) {
	return read(ctx, s, "retention of all tenants", func(ctx context.Context, c *conn) ([]retention.Rules, error) {
		return all(ctx, c, scanRules, "SELECT "+retentionColumns+" FROM retentions WHERE days > 0 OR packages > 0 OR bytes > 0 ORDER BY tenant")
	})
}

// retention is the row of a tenant's rules, made where it is missing, with its
// revision moved on: whoever else changes rules or holds, or expires something,
// waits, and what they counted before is worth nothing then.
func (t *tx) retention(ctx context.Context, tenant string) (retention.Rules, error) {
	if _, err := tenantOf(ctx, t.conn, tenant, ""); err != nil {
		return retention.Rules{}, err
	}
	if _, err := t.exec(ctx, "INSERT INTO retentions (tenant, days, packages, bytes, revision) VALUES (?, 0, 0, 0, 0) ON CONFLICT DO NOTHING", tenant); err != nil {
		return retention.Rules{}, err
	}
	if _, err := t.exec(ctx, "UPDATE retentions SET revision = revision + 1 WHERE tenant = ?", tenant); err != nil {
		return retention.Rules{}, err
	}
	return one(ctx, t.conn, scanRules, "SELECT "+retentionColumns+" FROM retentions WHERE tenant = ?", tenant)
}

// ChangeRetention lets change make of a tenant's rules what they should become,
// and keeps that with the entry; whoever comes second sees what the first one
// made. An entry without an act is not recorded: nothing changed. change may run
// more than once; an error of it changes nothing and comes back as it is.
func (s *Store) ChangeRetention(ctx context.Context, tenant string, change func(retention.Policy) (retention.Policy, audit.Entry, error)) (retention.Policy, error) {
	return write(ctx, s, "change the retention of "+tenant, func(ctx context.Context, t *tx) (retention.Policy, error) {
		was, err := t.retention(ctx, tenant)
		if err != nil {
			return was.Policy, err
		}
		p, e, err := change(was.Policy)
		if err != nil {
			return was.Policy, passed{err}
		}
		if e.Leaf.Act == "" {
			return was.Policy, nil
		}
		if _, err := t.exec(ctx, "UPDATE retentions SET days = ?, packages = ?, bytes = ? WHERE tenant = ?", p.Days, p.Packages, p.Bytes, tenant); err != nil {
			return was.Policy, err
		}
		_, _, err = t.record(ctx, tenant, e)
		return p, err
	})
}

const holdColumns = "tenant, id, device, action, reason, holder, created"

func scanHold(r row) (h retention.Hold, err error) {
	err = r.Scan(&h.Tenant, &h.ID, &h.Device, &h.Action, &h.Reason, &h.Holder, when{&h.Created})
	return h, err
}

// Holds returns a tenant's holds, the oldest first.
func (s *Store) Holds(ctx context.Context, tenant string) ([]retention.Hold, error) {
	return read(ctx, s, "holds of "+tenant, func(ctx context.Context, c *conn) ([]retention.Hold, error) {
		return all(ctx, c, scanHold, "SELECT "+holdColumns+" FROM holds WHERE tenant = ? ORDER BY created, id LIMIT ?", tenant, retention.MaxHolds)
	})
}

// AddHold keeps a hold with its entry. Nothing that it is on expires from then
// on. Beyond [retention.MaxHolds] it is fault.DisallowedOperation.
func (s *Store) AddHold(ctx context.Context, h retention.Hold, e audit.Entry) error {
	_, err := write(ctx, s, "add hold "+h.ID, func(ctx context.Context, t *tx) (struct{}, error) {
		if _, err := t.retention(ctx, h.Tenant); err != nil {
			return struct{}{}, err
		}
		there, err := one(ctx, t.conn, value[int64], "SELECT count(*) FROM holds WHERE tenant = ?", h.Tenant)
		if err != nil {
			return struct{}{}, err
		}
		if there >= retention.MaxHolds {
			return struct{}{}, fault.DisallowedOperation.Errorf(nil, "The tenant has %d holds, as many as it may; a hold on a device is on all of its packages", there)
		}
		if _, err := t.exec(ctx, "INSERT INTO holds ("+holdColumns+") VALUES (?, ?, ?, ?, ?, ?, ?)",
			h.Tenant, h.ID, h.Device, h.Action, h.Reason, h.Holder, ticks(h.Created)); err != nil {
			return struct{}{}, err
		}
		_, _, err = t.record(ctx, h.Tenant, e)
		return struct{}{}, err
	})
	return err
}

// RemoveHold removes a hold with the entry made of it, or is fault.NotFound.
func (s *Store) RemoveHold(ctx context.Context, tenant, id string, e func(retention.Hold) audit.Entry) (retention.Hold, error) {
	return write(ctx, s, "remove hold "+id, func(ctx context.Context, t *tx) (retention.Hold, error) {
		if _, err := t.retention(ctx, tenant); err != nil {
			return retention.Hold{}, err
		}
		h, err := one(ctx, t.conn, scanHold, "SELECT "+holdColumns+" FROM holds WHERE tenant = ? AND id = ?", tenant, id)
		if errors.Is(err, sql.ErrNoRows) {
			return h, retention.NoHold(id, err)
		}
		if err != nil {
			return h, err
		}
		if _, err := t.exec(ctx, "DELETE FROM holds WHERE tenant = ? AND id = ?", tenant, id); err != nil {
			return h, err
		}
		_, _, err = t.record(ctx, tenant, e(h))
		return h, err
	})
}

// Unheld sums up a tenant's packages that no hold is on. All of them are summed
// from an index that has their sizes, and SQLite takes that one because of its
// order; from that go those under a hold, which are found by the holds.
func (s *Store) Unheld(ctx context.Context, tenant string) (retention.Sum, error) {
	return read(ctx, s, "sum of the packages of "+tenant, func(ctx context.Context, c *conn) (retention.Sum, error) {
		return one(ctx, c, func(r row) (sum retention.Sum, err error) {
			err = r.Scan(&sum.Packages, &sum.Bytes)
			return sum, err
		}, `SELECT CAST(every.n - held.n AS BIGINT), CAST(every.b - held.b AS BIGINT) FROM
			(SELECT count(*) AS n, coalesce(sum(flushed), 0) AS b FROM uploads
				WHERE tenant = ? AND state = 'sealed' AND (updated, id) > (-1, '')) every
			CROSS JOIN (SELECT count(*) AS n, coalesce(sum(flushed), 0) AS b FROM (
				SELECT u.id, u.flushed FROM holds h CROSS JOIN uploads u
				WHERE h.tenant = ? AND h.action <> '' AND u.tenant = h.tenant AND u.action = h.action AND u.state = 'sealed'
				UNION
				SELECT u.id, u.flushed FROM holds h CROSS JOIN actions a CROSS JOIN uploads u
				WHERE h.tenant = ? AND h.action = '' AND a.tenant = h.tenant AND a.device = h.device
				AND u.tenant = a.tenant AND u.action = a.id AND u.state = 'sealed') each_once) held`, tenant, tenant, tenant)
	})
}

// kinds are the states of what may expire, as the indexes of it have them.
var kinds = map[retention.Kind]string{
	retention.Packages:   "state = 'sealed'",
	retention.Unverified: "state IN ('quarantined', 'partial')",
}

// unheld is that no hold is on an upload.
const unheld = `NOT EXISTS (SELECT 1 FROM holds h WHERE h.tenant = uploads.tenant AND h.device = uploads.device AND (h.action = '' OR h.action = uploads.action))`

// Expirable returns a tenant's uploads of a kind that no hold is on, the one that
// has been longest without a change first, those after a place, at most so many.
func (s *Store) Expirable(ctx context.Context, tenant string, kind retention.Kind, after retention.Place, most int) ([]vault.Upload, error) {
	return read(ctx, s, "what may expire of "+tenant, func(ctx context.Context, c *conn) ([]vault.Upload, error) {
		updated := int64(-1)
		if after.ID != "" {
			updated = ticks(after.Updated)
		}
		return all(ctx, c, scanUpload, "SELECT "+uploadColumns+" FROM uploads WHERE tenant = ? AND "+kinds[kind]+
			" AND (updated, id) > (?, ?) AND "+unheld+" ORDER BY updated, id LIMIT ?", tenant, updated, after.ID, limit(most, maxUploads))
	})
}

// ExpireUpload marks an upload as deleted for a reason and records e, unless the
// tenant's rules have another revision by now, the upload another state, or a
// hold is on it. It returns the revision that it made; ok is false where nothing
// was done.
func (s *Store) ExpireUpload(ctx context.Context, revision int64, u vault.Upload, reason string, now time.Time, e audit.Entry) (next int64, ok bool, err error) {
	ok, err = write(ctx, s, "expire upload "+u.ID, func(ctx context.Context, t *tx) (bool, error) {
		n, err := t.exec(ctx, "UPDATE retentions SET revision = ? WHERE tenant = ? AND revision = ?", revision+1, u.Tenant, revision)
		if err != nil || n == 0 {
			return false, err
		}
		n, err = t.exec(ctx, "UPDATE uploads SET state = ?, reason = ?, updated = ? WHERE id = ? AND tenant = ? AND state = ? AND "+unheld,
			vault.Deleted, reason, ticks(now), u.ID, u.Tenant, u.State)
		if err != nil || n == 0 {
			return false, err
		}
		_, _, err = t.record(ctx, u.Tenant, e)
		return true, err
	})
	return revision + 1, ok, err
}
