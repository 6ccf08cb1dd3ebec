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
		return struct{}{}, t.addKey(ctx, k)
	})
	return err
}

// SucceedKey keeps a key that takes another's place and ends those of its
// purpose before it, as keys.Successions says.
func (s *Store) SucceedKey(ctx context.Context, k keys.Succession) (bool, error) {
	return write(ctx, s, "succeed "+string(k.New.Purpose)+" key "+k.Old, func(ctx context.Context, t *tx) (bool, error) {
		first, err := t.exec(ctx, "UPDATE server_keys SET valid_to = ? WHERE purpose = ? AND id = ? AND valid_to IS NULL",
			ticks(k.New.From), k.New.Purpose, k.Old)
		if err != nil || first == 0 {
			return false, err
		}
		// Two nodes that started for the first time at once have made two.
		if _, err := t.exec(ctx, "UPDATE server_keys SET valid_to = ? WHERE purpose = ? AND valid_to IS NULL",
			ticks(k.New.From), k.New.Purpose); err != nil {
			return false, err
		}
		if k.Withdraw {
			if _, err := t.exec(ctx, "UPDATE server_keys SET valid_to = valid_from WHERE purpose = ?", k.New.Purpose); err != nil {
				return false, err
			}
		}
		if err := t.addKey(ctx, k.New); err != nil {
			return false, err
		}
		_, _, err = t.record(ctx, k.Tenant, k.Entry)
		return err == nil, err
	})
}

func (t *tx) addKey(ctx context.Context, k keys.Record) error {
	_, err := t.exec(ctx, "INSERT INTO server_keys (purpose, id, valid_from, valid_to, public, sealed, succession) VALUES (?, ?, ?, ?, ?, ?, ?)",
		k.Purpose, k.ID, ticks(k.From), ticksOrNull(k.To), blob(k.Public), blob(k.Sealed), blob(k.Succeed))
	return err
}
