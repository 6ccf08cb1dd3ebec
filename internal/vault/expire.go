package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"swab/internal/fault"
)

// expiring is the folder of notes about bytes that expire: an empty file each,
// called by the upload's id and state. It is there before the record says that
// the upload is deleted, and until its bytes are, so that a start after a crash
// knows what to delete without a look at every package.
const expiring = "expiring"

func noteName(u Upload) string { return expiring + "/" + u.ID + "." + string(u.State) }

// Expire deletes the bytes of an upload that is sealed, quarantined or partial, if
// they are in this vault's directory, and returns whether it did. mark records the
// deletion before the bytes go, and may refuse: then they stay. Where mark fails,
// it may have come to pass all the same: FinishExpired finds out.
func (v *Vault) Expire(ctx context.Context, u Upload, mark func(context.Context) (bool, error)) (bool, error) {
	if u.State != Sealed && u.State != Quarantined && u.State != Partial {
		return false, fault.BadRequest.Errorf(nil, "The upload is %s and does not expire", u.State)
	}
	defer v.settling.take(u.ID)()
	here, err := v.dir.exists(Name(u))
	if err != nil || !here {
		return false, err
	}
	if err := v.dir.note(noteName(u)); err != nil {
		return false, fmt.Errorf("note that upload %s of action %s expires: %w", u.ID, u.Action, err)
	}
	switch marked, err := mark(ctx); {
	case err != nil:
		return false, err
	case !marked:
		return false, v.dir.remove(noteName(u))
	}
	return true, v.expired(u)
}

// expired deletes the bytes of an upload whose record says that they are deleted;
// u is as it was before.
func (v *Vault) expired(u Upload) error {
	if err := v.dir.remove(Name(u)); err != nil {
		return fmt.Errorf("delete the expired upload %s of action %s: %w", u.ID, u.Action, err)
	}
	return v.dir.remove(noteName(u))
}

// FinishExpired deletes the bytes of uploads that were marked as expired before
// a crash, or before their deletion failed, and forgets notes of those that were
// not marked.
func (v *Vault) FinishExpired(ctx context.Context) error {
	names, err := v.dir.notes()
	if err != nil {
		return fmt.Errorf("look for bytes that have expired: %w", err)
	}
	for _, name := range names {
		id, state, _ := strings.Cut(name, ".")
		err = errors.Join(err, v.finish(ctx, id, State(state)))
	}
	return err
}

func (v *Vault) finish(ctx context.Context, id string, was State) error {
	defer v.settling.take(id)()
	u, err := v.records.Upload(ctx, id)
	if errors.Is(err, fault.NotFound) { // of a database that was restored: the bytes may be evidence
		return v.dir.remove(noteName(Upload{ID: id, State: was}))
	}
	if err != nil {
		return err
	}
	deleted := u.State == Deleted
	u.State = was
	if !deleted {
		return v.dir.remove(noteName(u))
	}
	return v.expired(u)
}

// note makes an empty file, unless it is there.
func (d directory) note(name string) error {
	f, err := os.OpenFile(d.path(name), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), syncDir(d.path(expiring)))
}

// maxNotes is how many notes are read at once: those that are left are those that
// a crash left, and the next look finds the others.
const maxNotes = 1000

// notes are names of notes, at most maxNotes.
func (d directory) notes() ([]string, error) {
	dir, err := os.Open(d.path(expiring))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(maxNotes)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}
