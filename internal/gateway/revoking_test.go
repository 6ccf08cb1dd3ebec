package gateway

import (
	"context"
	"sync/atomic"

	"swab/internal/device"
)

// revoking is a store whose devices an operator revokes: the store has no
// operation for it yet.
type revoking struct {
	Devices
	revoked atomic.Bool
}

func (r *revoking) DeviceByID(ctx context.Context, id device.ID) (device.Device, error) {
	d, err := r.Devices.DeviceByID(ctx, id)
	d.Revoked = d.Revoked || r.revoked.Load()
	return d, err
}
