package vault

import (
	"context"
	"fmt"

	"swab/internal/fault"
)

// Free is how many bytes the disk that holds the packages has left for them.
func (v *Vault) Free() (int64, error) {
	free, err := freeIn(string(v.dir))
	if err != nil {
		return 0, fmt.Errorf("look for room in %s: %w", v.dir, err)
	}
	return free, nil
}

// Room is fault.Unavailable where the disk has less room left than is to stay
// free, so that no more packages are asked for: those that are on their way, and
// the database, need what is left.
func (v *Vault) Room(ctx context.Context) error {
	if v.limits.Reserve <= 0 {
		return nil
	}
	free, err := v.Free()
	if err != nil {
		return fault.Unavailable.Errorf(err, "The server can't tell whether it has room for a package; try again later")
	}
	if full := free < v.limits.Reserve; full != v.full.Swap(full) { // told when it begins and when it ends
		if full {
			v.log.ErrorContext(ctx, "the disk is nearly full: no more packages are asked for until there is room", "free", free, "reserve", v.limits.Reserve)
		} else {
			v.log.InfoContext(ctx, "the disk has room again", "free", free)
		}
	}
	if free < v.limits.Reserve {
		return fault.Unavailable.Errorf(nil, "The server's disk is nearly full, and it asks for no more packages until there is room; nothing was asked of the machine")
	}
	return nil
}
