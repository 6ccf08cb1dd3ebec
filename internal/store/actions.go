package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/device"
)

var _ action.Records = (*Store)(nil)

// CreateAction keeps a new action with the entry that records it, as
// action.Records says.
func (s *Store) CreateAction(ctx context.Context, a action.Action, e audit.Entry) (action.Action, error) {
	return write(ctx, s, "create action "+a.ID, func(ctx context.Context, t *tx) (action.Action, error) {
		var err error
		a.Opening = e.Opening
		if a.Entry, a.Leaf, err = t.record(ctx, a.Tenant, e); err != nil {
			return a, err
		}
		a = asStored(a)
		n, err := t.exec(ctx, insertAction, append([]any{
			a.Tenant, a.ID, a.Device, a.DeviceName, a.Profile, a.Plan, a.Source, a.RequestorID, a.Requestor, a.Comment, a.ExternalID, ticks(a.Created), a.Entry,
		}, changing(a)...)...)
		if err == nil && n == 1 {
			err = t.groupAction(ctx, a)
		}
		if err != nil || n == 1 {
			return a, err
		}
		standing, err := one(ctx, t.conn, value[action.ID],
			"SELECT id FROM actions WHERE tenant = ? AND device = ? AND status IN ('Pending', 'InProgress')", a.Tenant, a.Device)
		if errors.Is(err, sql.ErrNoRows) {
			// It ended just now, where transactions run side by side.
			return a, errAgain
		}
		if err != nil {
			return a, err
		}
		return a, passed{&action.ActiveError{ID: standing}}
	})
}

// groupAction puts a new action into the group in which its device stands, and
// goes on standing until the transaction ends.
func (t *tx) groupAction(ctx context.Context, a action.Action) error {
	n, err := t.exec(ctx, `INSERT INTO grouped_actions (tenant, device_group, created, id)
		SELECT tenant, device_group, CAST(? AS BIGINT), CAST(? AS TEXT) FROM grouped_devices WHERE tenant = ? AND id = ?`+t.dialect.share("grouped_devices"),
		ticks(a.Created), a.ID, a.Tenant, a.Device)
	if err == nil && n == 0 {
		err = fmt.Errorf("device %s stands in no group", a.Device)
	}
	return err
}

// Action returns one action, or fault.NotFound.
func (s *Store) Action(ctx context.Context, tenant string, id action.ID) (action.Action, error) {
	return read(ctx, s, "action "+id, func(ctx context.Context, c *conn) (action.Action, error) {
		return actionOf(ctx, c, tenant, id, "")
	})
}

func actionOf(ctx context.Context, c *conn, tenant string, id action.ID, lock string) (action.Action, error) {
	a, err := one(ctx, c, scanAction, selectAction+fromActions+" WHERE a.tenant = ? AND a.id = ?"+lock, tenant, id)
	if errors.Is(err, sql.ErrNoRows) {
		return a, action.Absent(id, err)
	}
	return a, err
}

// ActiveAction returns the device's action that has not ended, if there is one.
func (s *Store) ActiveAction(ctx context.Context, tenant string, dev device.ID) (a action.Action, ok bool, err error) {
	list, err := read(ctx, s, "active action of device "+string(dev), func(ctx context.Context, c *conn) ([]action.Action, error) {
		return all(ctx, c, scanAction, selectAction+fromActions+" WHERE a.tenant = ? AND a.device = ? AND a.status IN ('Pending', 'InProgress')", tenant, dev)
	})
	if err != nil || len(list) == 0 {
		return action.Action{}, false, err
	}
	return list[0], true, nil
}

// ChangeAction changes an action as action.Records says. What was asked can't
// change: tenant, id, device, what was asked for, by whom, when, and the entry
// that records it.
func (s *Store) ChangeAction(ctx context.Context, tenant string, id action.ID, change func(action.Action) (action.Action, []audit.Entry, error)) (action.Action, error) {
	return write(ctx, s, "change action "+id, func(ctx context.Context, t *tx) (action.Action, error) {
		was, err := actionOf(ctx, t.conn, tenant, id, t.dialect.lock("a"))
		if err != nil {
			return was, err
		}
		a, entries, err := change(was)
		if err != nil {
			return was, passed{err}
		}
		a = asStored(a)
		if !sameRequest(a, was) {
			return was, fmt.Errorf("a change of what was asked: %s of %s by %s, was %s of %s by %s", a.ID, a.Device, a.Requestor, was.ID, was.Device, was.Requestor)
		}
		for _, e := range entries {
			if _, _, err := t.record(ctx, tenant, e); err != nil {
				return was, err
			}
		}
		_, err = t.exec(ctx, updateAction, append(changing(a), tenant, id)...)
		return a, err
	})
}

// DueActions returns actions of all tenants that have not ended and whose Due
// has come, the longest due first.
func (s *Store) DueActions(ctx context.Context, now time.Time, most int) ([]action.Ref, error) {
	return read(ctx, s, "due actions", func(ctx context.Context, c *conn) ([]action.Ref, error) {
		return all(ctx, c, func(r row) (ref action.Ref, err error) {
			err = r.Scan(&ref.Tenant, &ref.ID)
			return ref, err
		}, "SELECT tenant, id FROM actions WHERE status IN ('Pending', 'InProgress') AND due <= ? ORDER BY due, id LIMIT ?",
			ticks(now), limit(most, action.MaxTop))
	})
}

// Offered returns devices of all tenants that have an action whose attempt they
// have not acknowledged, those of the action that is due last first.
func (s *Store) Offered(ctx context.Context, most int) ([]device.ID, error) {
	return read(ctx, s, "offered actions", func(ctx context.Context, c *conn) ([]device.ID, error) {
		return all(ctx, c, func(r row) (id device.ID, err error) {
			err = r.Scan(&id)
			return id, err
		}, "SELECT device FROM actions WHERE status IN ('Pending', 'InProgress') AND acked < attempt ORDER BY due DESC LIMIT ?",
			limit(most, action.MaxTop))
	})
}
