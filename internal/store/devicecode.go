package store

import (
	"context"
	"slices"
	"strings"

	"swab/internal/signin"
)

// atATime bounds the device codes that one statement deletes, and so its parameters.
const atATime = 256

// DropDeviceCodes deletes undecided device codes as signin.Records says. As a rule
// there are few, and all that is done is to count them.
func (s *Store) DropDeviceCodes(ctx context.Context, tenant string, least int, which func([]signin.DeviceCode) []signin.DeviceCode) error {
	const pending = " AND state = ? AND expires > ?"
	args := []any{tenant, string(signin.DevicePending), ticks(s.now())}
	n, err := read(ctx, s, "how many device codes are undecided", func(ctx context.Context, c *conn) (int, error) {
		return one(ctx, c, value[int], "SELECT COUNT(*) FROM device_codes WHERE tenant = ?"+pending, args...)
	})
	if err != nil || n < least {
		return err
	}
	_, err = write(ctx, s, "drop device codes", func(ctx context.Context, t *tx) (none struct{}, err error) {
		list, err := all(ctx, t.conn, scanDeviceCode, selectDevice+pending, args...)
		if err != nil || len(list) < least { // another node was first
			return none, err
		}
		for some := range slices.Chunk(which(list), atATime) {
			hashes := []any{tenant, string(signin.DevicePending)}
			for _, d := range some {
				hashes = append(hashes, d.Hash[:])
			}
			marks := strings.TrimSuffix(strings.Repeat("?, ", len(some)), ", ")
			if _, err := t.exec(ctx, "DELETE FROM device_codes WHERE tenant = ? AND state = ? AND hash IN ("+marks+")", hashes...); err != nil {
				return none, err
			}
		}
		return none, nil
	})
	return err
}
