package store

import (
	"context"
	"errors"
	"fmt"
	"os"

	"swab/internal/vault"
)

// CopySQLite writes a copy of the database in a file, as it is at one moment, into
// a new file for its owner alone, and has it on disk when it returns. Whoever uses
// the database goes on meanwhile; what they write is not in the copy, and the
// database's log grows until the copy is made.
func CopySQLite(ctx context.Context, path, to string) error {
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600) // SQLite fills an empty file
	if err != nil {
		return fmt.Errorf("copy database %s: %w", path, err)
	}
	defer f.Close()
	db, err := openPool(path, 1, false)
	if err == nil {
		_, err = db.ExecContext(ctx, "VACUUM INTO ?", to)
		err = errors.Join(err, db.Close(), f.Sync())
	}
	if err != nil {
		return fmt.Errorf("copy database %s: %w", path, err)
	}
	return nil
}

// FoldSQLite has all of a database in its one file, which then may be moved or
// copied. Nobody may have it open.
func FoldSQLite(ctx context.Context, path string) error {
	db, err := openPool(path, 1, false)
	if err == nil {
		_, err = db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
		err = errors.Join(err, db.Close()) // the last one to close it removes the log
	}
	if err != nil {
		return fmt.Errorf("fold the log of database %s into it: %w", path, err)
	}
	return nil
}

// KeptUploads returns uploads of all tenants whose bytes are kept, in the order of
// their ids, at most most (0: 1000) of those after one id.
func (s *Store) KeptUploads(ctx context.Context, after string, most int) ([]vault.Upload, error) {
	return read(ctx, s, "uploads that are kept", func(ctx context.Context, c *conn) ([]vault.Upload, error) {
		return all(ctx, c, scanUpload, "SELECT "+uploadColumns+" FROM uploads WHERE id > ? AND state <> ? ORDER BY id LIMIT ?",
			after, vault.Deleted, limit(most, maxUploads))
	})
}
