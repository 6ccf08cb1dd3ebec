package access

import (
	"context"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
)

// RevokeDevice shuts a device out for good and at once; its key never enrols
// again. Packages that it delivered stay what they were. An action that still
// runs ends by its time, or by being called off.
func (r *Register) RevokeDevice(ctx context.Context, who auth.Caller, id string) (device.Device, error) {
	if err := r.permit(ctx, who, audit.ActRevokeDevice, id, auth.AdministerAccess); err != nil {
		return device.Device{}, err
	}
	err := named("Machine", id)
	var d device.Device
	if err == nil {
		firm, done := firm(ctx)
		defer done()
		d, err = r.Records.RevokeDevice(firm, who.Tenant, device.ID(id), audit.NewEntry(r.Now(), audit.Leaf{
			Act: audit.ActRevokeDevice, Object: id, Device: id, Result: audit.Done,
		}, who.Hidden("")))
	}
	if err != nil {
		return device.Device{}, r.refuse(ctx, who, audit.ActRevokeDevice, id, err)
	}
	r.Bus.Wake(d.ID)
	r.Logger.InfoContext(ctx, "device revoked", "device", d.ID, "caller", who.ID, "correlation", who.Correlation)
	return d, nil
}
