package store

import (
	"context"

	"swab/internal/keys"
)

// Keys returns the server's keys of all purposes, each purpose's oldest first.
func (s *Store) Keys(ctx context.Context) ([]keys.Record, error) {
	return read(ctx, s, "server keys", func(ctx context.Context, c *conn) ([]keys.Record, error) {
		return all(ctx, c, func(r row) (k keys.Record, err error) {
			err = r.Scan(&k.Purpose, &k.ID, when{&k.From}, when{&k.To}, &k.Public, &k.Sealed, &k.Succeed)
			return k, err
		}, "SELECT purpose, id, valid_from, valid_to, public, sealed, succession FROM server_keys ORDER BY purpose, valid_from, id")
	})
}

// AddKey keeps a new key.
func (s *Store) AddKey(ctx context.Context, k keys.Record) error {
	_, err := write(ctx, s, "add "+string(k.Purpose)+" key "+k.ID, func(ctx context.Context, t *tx) (struct{}, error) {
		_, err := t.exec(ctx, "INSERT INTO server_keys (purpose, id, valid_from, valid_to, public, sealed, succession) VALUES (?, ?, ?, ?, ?, ?, ?)",
			k.Purpose, k.ID, ticks(k.From), ticksOrNull(k.To), blob(k.Public), blob(k.Sealed), blob(k.Succeed))
		return struct{}{}, err
	})
	return err
}
