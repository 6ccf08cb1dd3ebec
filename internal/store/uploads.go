package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"swab/internal/fault"
	"swab/internal/vault"
)

const uploadColumns = "id, tenant, device, action, attempt, state, flushed, length, most, sha256, reason, created, updated"

func scanUpload(r row) (u vault.Upload, err error) {
	var length sql.NullInt64
	err = r.Scan(&u.ID, &u.Tenant, &u.Device, &u.Action, &u.Attempt, &u.State, &u.Offset, &length, &u.Limit, &u.SHA256, &u.Reason,
		when{&u.Created}, when{&u.Updated})
	u.Length = -1
	if length.Valid {
		u.Length = length.Int64
	}
	return u, err
}

func noUpload(id string, cause error) error {
	return fault.NotFound.Errorf(cause, "Upload %s was not found", id)
}

// CreateUpload keeps a new upload, unless its attempt has one: then the error
// is fault.BadRequest with the cause [vault.ErrExists].
func (s *Store) CreateUpload(ctx context.Context, u vault.Upload) error {
	_, err := write(ctx, s, "create upload "+u.ID, func(ctx context.Context, t *tx) (struct{}, error) {
		_, err := t.exec(ctx, "INSERT INTO uploads ("+uploadColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			u.ID, u.Tenant, u.Device, u.Action, u.Attempt, u.State, u.Offset, countOrNull(u.Length), u.Limit, u.SHA256, u.Reason,
			ticks(u.Created), ticks(u.Updated))
		if t.dialect.duplicate(err) {
			err = fault.BadRequest.Errorf(errors.Join(vault.ErrExists, err), "Attempt %d has an upload already", u.Attempt)
		}
		return struct{}{}, err
	})
	return err
}

// Upload returns an upload of any tenant, or fault.NotFound. Its id is random
// and known to its device alone; whether it is that device is for the caller
// to check.
func (s *Store) Upload(ctx context.Context, id string) (vault.Upload, error) {
	return read(ctx, s, "upload "+id, func(ctx context.Context, c *conn) (vault.Upload, error) {
		return upload(ctx, c, id, "")
	})
}

func upload(ctx context.Context, c *conn, id, lock string) (vault.Upload, error) {
	u, err := one(ctx, c, scanUpload, "SELECT "+uploadColumns+" FROM uploads WHERE id = ?"+lock, id)
	if errors.Is(err, sql.ErrNoRows) {
		return u, noUpload(id, err)
	}
	return u, err
}

// ChangeUpload reads an upload, lets change make of it what it should become,
// and keeps that. Whoever comes second sees what the first one made. What an
// upload is of can't change: only its state, offset, length, hash, reason and
// Updated. change has no effect of its own; an error of it changes nothing and
// is returned.
func (s *Store) ChangeUpload(ctx context.Context, id string, change func(vault.Upload) (vault.Upload, error)) (vault.Upload, error) {
	return write(ctx, s, "change upload "+id, func(ctx context.Context, t *tx) (vault.Upload, error) {
		was, err := upload(ctx, t.conn, id, t.dialect.lock("uploads"))
		if err != nil {
			return was, err
		}
		u, err := change(was)
		if err != nil {
			return was, passed{err}
		}
		u.Created, u.Updated = stored(u.Created), stored(u.Updated)
		fixed := was
		fixed.State, fixed.Offset, fixed.Length, fixed.SHA256, fixed.Reason, fixed.Updated = u.State, u.Offset, u.Length, u.SHA256, u.Reason, u.Updated
		if u != fixed {
			return was, fmt.Errorf("a change of what it is of: %+v, was %+v", u, was)
		}
		_, err = t.exec(ctx, "UPDATE uploads SET state = ?, flushed = ?, length = ?, sha256 = ?, reason = ?, updated = ? WHERE id = ?",
			u.State, u.Offset, countOrNull(u.Length), u.SHA256, u.Reason, ticks(u.Updated), id)
		return u, err
	})
}

// maxUploads is the most uploads that one list holds.
const maxUploads = 1000

// UploadsOf returns the uploads of an action, by attempt.
func (s *Store) UploadsOf(ctx context.Context, tenant, action string) ([]vault.Upload, error) {
	return read(ctx, s, "uploads of action "+action, func(ctx context.Context, c *conn) ([]vault.Upload, error) {
		return all(ctx, c, scanUpload, "SELECT "+uploadColumns+" FROM uploads WHERE tenant = ? AND action = ? ORDER BY attempt, created, id LIMIT ?",
			tenant, action, maxUploads)
	})
}

// UploadsIn returns uploads of all tenants that are in a state, the one that
// has been longest without a change first, at most limit (0: 1000).
func (s *Store) UploadsIn(ctx context.Context, state vault.State, most int) ([]vault.Upload, error) {
	return read(ctx, s, "uploads in state "+string(state), func(ctx context.Context, c *conn) ([]vault.Upload, error) {
		return all(ctx, c, scanUpload, "SELECT "+uploadColumns+" FROM uploads WHERE state = ? ORDER BY updated, id LIMIT ?", state, limit(most, maxUploads))
	})
}

// UnwantedUploads returns uploads of all tenants whose action was cancelled and
// whose bytes are still kept, at most limit (0: 1000). No package is among them:
// an action with one has succeeded. It looks at each upload whose bytes are kept
// and unverified, of which there are as many as the disk holds.
func (s *Store) UnwantedUploads(ctx context.Context, most int) ([]vault.Upload, error) {
	return read(ctx, s, "uploads that nobody wants", func(ctx context.Context, c *conn) ([]vault.Upload, error) {
		return all(ctx, c, scanUpload, "SELECT "+uploadColumns+` FROM uploads
			WHERE state IN ('receiving', 'complete', 'quarantined', 'partial')
			AND EXISTS (SELECT 1 FROM actions a WHERE a.tenant = uploads.tenant AND a.id = uploads.action AND a.status = 'Cancelled')
			LIMIT ?`, limit(most, maxUploads))
	})
}
