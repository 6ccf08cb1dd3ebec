package gateway

import (
	"context"
	"crypto/ed25519"
	"time"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/keys"
	"swab/internal/wire"
)

// Engine is the life of actions as devices take part in it; *action.Engine
// satisfies it. Tenant and device are what the device's key proved.
type Engine interface {
	// Get returns one action.
	Get(ctx context.Context, who auth.Caller, id action.ID) (action.Action, error)

	// Next returns what the device has to be told, with its proof from head on.
	Next(ctx context.Context, tenant string, dev device.ID, head audit.Head) (action.Delivery, bool, error)

	// Rebase returns the statement that a device has to be told before it can go on
	// with the log that it knows by that head; nil where it can.
	Rebase(ctx context.Context, tenant string, head audit.Head) ([]byte, error)

	// Connected settles what the server believed to run against what the agent
	// has in memory, and returns those of running that have ended.
	Connected(ctx context.Context, tenant string, dev device.ID, running []wire.Running) ([]action.ID, error)

	// Begun, Progress, Refused and Ended take what a device says of an attempt.
	// An action that is not the device's is fault.NotFound, one that has ended
	// fault.BadRequest.
	Begun(ctx context.Context, tenant string, dev device.ID, m wire.Begun) error
	Progress(ctx context.Context, tenant string, dev device.ID, m wire.Progress) error
	Refused(ctx context.Context, tenant string, dev device.ID, m wire.Refused) error
	Ended(ctx context.Context, tenant string, dev device.ID, m wire.Ended) error

	// Uploading says whether the attempt may deliver bytes now, in the same
	// faults.
	Uploading(ctx context.Context, tenant string, dev device.ID, id action.ID, attempt int) error

	// Sealed ends the action as succeeded, Spoiled as failed, in the same faults.
	Sealed(ctx context.Context, tenant string, dev device.ID, id action.ID, attempt int, p action.SealedPackage) (action.Action, error)
	Spoiled(ctx context.Context, tenant string, dev device.ID, id action.ID, attempt int, code, reason string) error
}

// Devices is what is kept of devices; *store.Store satisfies it.
type Devices interface {
	// Enrol takes a device into the tenant of an enrolment token, or returns it
	// as it is where its key is enrolled there. A token that does not hold is
	// fault.Unauthorized; a key that may not use it is fault.Forbidden, with the
	// token's tenant in the device.
	Enrol(ctx context.Context, tokenHash [32]byte, d device.Device, entry func(tenant string) audit.Entry) (device.Device, error)

	// DeviceByID returns a device of any tenant, or fault.NotFound.
	DeviceByID(ctx context.Context, id device.ID) (device.Device, error)

	// Seen keeps facts, catalogue, external address and time of the last sign
	// of life.
	Seen(ctx context.Context, tenant string, id device.ID, s device.Device) error

	// Alive keeps that devices gave a sign of life.
	Alive(ctx context.Context, beats []device.Beat) error

	// SucceedDeviceKey keeps a device's chain of keys, which begins with the one
	// that it has, with the entry. The same chain again is no mistake, and no
	// entry. One that may not be is fault.Forbidden, one that has to wait for a
	// collection to end fault.Unavailable.
	SucceedDeviceKey(ctx context.Context, tenant string, id device.ID, keys []ed25519.PublicKey, statements [][]byte, at time.Time, e audit.Entry) (device.Device, error)

	// Cloned keeps when two live agents held a device's key, with the entry.
	Cloned(ctx context.Context, tenant string, id device.ID, at time.Time, e audit.Entry) error

	// FindDevices returns the tenant's devices of that name.
	FindDevices(ctx context.Context, tenant, name string) ([]device.Device, error)

	// Record keeps entries of the tenant's audit log.
	Record(ctx context.Context, tenant string, e ...audit.Entry) error
}

// Tokens issues and reads access tokens of devices; *auth.Tokens satisfies it.
type Tokens interface {
	IssueDevice(tenant string, id device.ID, jkt string) (string, error)
	ValidateDevice(ctx context.Context, token string) (auth.DeviceToken, error)
}

// Keys are the server's keys as far as devices see them; *keys.Ring satisfies it.
type Keys interface {
	MAC(p keys.Purpose, data []byte) []byte
	CheckMAC(p keys.Purpose, data, mac []byte) bool
	PublicLogKey() ed25519.PublicKey
	PublicReceiptKey() ed25519.PublicKey
	PublicRecoveryKey() ed25519.PublicKey
}
