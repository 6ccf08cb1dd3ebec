package vault

import (
	"context"
	"errors"
	"fmt"

	"swab/internal/fault"
)

// errSettled ends a writer whose upload has come to its end.
var errSettled = errors.New("the upload has ended")

// Seal puts a verified upload in the place of its action's package, read-only,
// and keeps its hash. The record stays Complete until Confirm: in between, the
// action's own record says that it succeeded, and a crash on either side of that
// is found, since Complete uploads are looked at again. Doing it twice does
// nothing twice.
func (v *Vault) Seal(ctx context.Context, id, sha256 string) (Upload, error) {
	defer v.settling.take(id)()
	u, err := v.change(ctx, id, func(u Upload) (Upload, error) {
		if u.State == Sealed && u.SHA256 == sha256 {
			return u, nil
		}
		if u.State != Complete {
			return u, fault.BadRequest.Errorf(nil, "The upload is %s, and only a complete one can be sealed", u.State)
		}
		u.SHA256 = sha256
		return u, nil
	})
	if err != nil {
		return u, err
	}
	if err := v.dir.move(partName(u), packageName(u), 0o400); err != nil {
		return u, fmt.Errorf("seal upload %s of action %s: %w", id, u.Action, err)
	}
	return u, nil
}

// Confirm records that the action's own record names the upload as its package.
func (v *Vault) Confirm(ctx context.Context, id string) (Upload, error) {
	defer v.settling.take(id)()
	return v.settle(ctx, id, Sealed, "", func(u Upload) error {
		if u.SHA256 == "" {
			return fault.BadRequest.Errorf(nil, "The upload was not sealed")
		}
		return nil
	})
}

// Quarantine puts an upload that did not verify aside, for people to look at.
func (v *Vault) Quarantine(ctx context.Context, id, reason string) (Upload, error) {
	defer v.settling.take(id)()
	u, err := v.records.Upload(ctx, id)
	if err != nil {
		return u, err
	}
	if u.State != Complete && u.State != Quarantined {
		return u, fault.BadRequest.Errorf(nil, "The upload is %s and can't be quarantined", u.State)
	}
	if err := v.dir.move(partName(u), quarantineName(u), 0o400); err != nil {
		return u, fmt.Errorf("quarantine upload %s of action %s: %w", id, u.Action, err)
	}
	return v.settle(ctx, id, Quarantined, reason, nil)
}

// Keep keeps what a dead attempt delivered as unverified bytes. A package that
// was put in its place, but came too late for its action, leaves that place.
func (v *Vault) Keep(ctx context.Context, id, reason string) (Upload, error) {
	defer v.settling.take(id)()
	u, err := v.records.Upload(ctx, id)
	if err != nil {
		return u, err
	}
	if u.State != Receiving && u.State != Complete && u.State != Partial {
		return u, fault.BadRequest.Errorf(nil, "The upload is %s", u.State)
	}
	sealed, err := v.inPlace(u)
	if err == nil && sealed {
		err = v.dir.move(packageName(u), partName(u), 0o600)
	}
	if err != nil {
		return u, fmt.Errorf("take the package of upload %s back: %w", id, err)
	}
	v.forget(id, errSettled)
	u, err = v.change(ctx, id, func(u Upload) (Upload, error) {
		u.State, u.Reason, u.SHA256 = Partial, reason, ""
		return u, nil
	})
	return u, err
}

// inPlace says whether the bytes of u stand in the place of its action's
// package, where its record may not say so yet.
func (v *Vault) inPlace(u Upload) (bool, error) {
	if u.State != Complete || u.SHA256 == "" {
		return u.State == Sealed, nil
	}
	part, err := v.dir.exists(partName(u))
	return !part, err
}

// Delete deletes an upload's bytes, whatever its state. The record says so once
// they are gone.
func (v *Vault) Delete(ctx context.Context, id, reason string) error {
	defer v.settling.take(id)()
	u, err := v.records.Upload(ctx, id)
	if err != nil {
		return err
	}
	return v.erase(ctx, u, reason)
}

// erase deletes the bytes of an upload whose turn the caller has. The place of
// the package is the action's: another attempt may have it.
func (v *Vault) erase(ctx context.Context, u Upload, reason string) error {
	v.forget(u.ID, errSettled)
	gone := []string{partName(u), quarantineName(u)}
	sealed, err := v.inPlace(u)
	if sealed {
		gone = append(gone, packageName(u))
	}
	if err = errors.Join(err, v.dir.remove(gone...)); err != nil {
		return fmt.Errorf("delete upload %s of action %s: %w", u.ID, u.Action, err)
	}
	_, err = v.settle(ctx, u.ID, Deleted, reason, nil)
	return err
}

// Discard deletes what the attempts of an action delivered, a sealed package
// aside: the action was called off and nobody wants it.
func (v *Vault) Discard(ctx context.Context, tenant, action string) error {
	all, err := v.records.UploadsOf(ctx, tenant, action)
	if err != nil {
		return fmt.Errorf("uploads of action %s: %w", action, err)
	}
	for _, u := range all {
		err = errors.Join(err, v.discard(ctx, u.ID))
	}
	return err
}

// DiscardUnwanted discards what a cancel left: the bytes of up to limit uploads
// whose action was called off.
func (v *Vault) DiscardUnwanted(ctx context.Context, limit int) error {
	unwanted, err := v.records.UnwantedUploads(ctx, limit)
	if err != nil {
		return fmt.Errorf("look for uploads of cancelled actions: %w", err)
	}
	for _, u := range unwanted {
		err = errors.Join(err, v.discard(ctx, u.ID))
	}
	return err
}

func (v *Vault) discard(ctx context.Context, id string) error {
	defer v.settling.take(id)()
	u, err := v.records.Upload(ctx, id)
	if err != nil || u.State == Sealed || u.State == Deleted {
		return err
	}
	return v.erase(ctx, u, "the action was called off")
}

// settle brings an upload to a state that it does not receive in.
func (v *Vault) settle(ctx context.Context, id string, to State, reason string, may func(Upload) error) (Upload, error) {
	u, err := v.change(ctx, id, func(u Upload) (Upload, error) {
		if may != nil {
			if err := may(u); err != nil {
				return u, err
			}
		}
		u.State, u.Reason = to, reason
		return u, nil
	})
	if err == nil {
		v.forget(id, errSettled)
	}
	return u, err
}

func (v *Vault) change(ctx context.Context, id string, f func(Upload) (Upload, error)) (Upload, error) {
	return v.records.ChangeUpload(ctx, id, func(u Upload) (Upload, error) {
		after, err := f(u)
		if err == nil && after != u {
			after.Updated = v.now()
		}
		return after, err
	})
}
