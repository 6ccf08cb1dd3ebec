// Package retention is how long packages are kept: the rules of a tenant, the
// legal holds that stand above them, and the sweep that deletes what the rules no
// longer keep.
//
// By itself nothing expires. A tenant's rules bound the age of packages, their
// number and their bytes; each one that is set holds for itself. The oldest go
// first. What did not verify, and what dead attempts left, expires by age alone
// and counts towards nothing. What is under a hold is never deleted here and
// counts towards nothing either: the rules are about the rest.
//
// Every deletion is an entry of the audit log, in the transaction that marks the
// upload as deleted and before its bytes go. A crash in between is finished by
// the next sweep (package vault).
//
// Where several nodes share a database, each has the bytes of the uploads that it
// took, and deletes those alone. A tenant's rules, its holds and each deletion
// are numbered together, so that a sweep that counted before another node deleted,
// or before somebody added a hold, deletes nothing by what it had counted.
package retention

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
	"swab/internal/vault"
)

// Bounds of the rules.
const (
	MaxDays     = 36_500
	MaxPackages = 1_000_000_000
	MaxBytes    = 1 << 53 // of all packages together; what JSON readers take for a whole number
)

// Policy is a tenant's rules. A rule of 0 is none.
type Policy struct {
	Days     int   // that a package is kept after it was sealed, or left unverified
	Packages int   // that are kept, the newest
	Bytes    int64 // that the packages which are kept may have together
}

// None says whether nothing expires.
func (p Policy) None() bool { return p == Policy{} }

// Rules are a tenant's policy with its revision.
type Rules struct {
	Tenant   string
	Policy   Policy
	Revision int64
}

// Sum is how many packages there are, and their bytes.
type Sum struct {
	Packages int64
	Bytes    int64
}

// Kind is what of a tenant's uploads may expire.
type Kind int

// The kinds.
const (
	Packages   Kind = iota // sealed
	Unverified             // quarantined and partial
)

// Place is where a list of uploads goes on: after this one.
type Place struct {
	Updated time.Time
	ID      string
}

// Records is where rules and holds are kept; *store.Store satisfies it. Whatever
// changes something records its entry in the same transaction.
type Records interface {
	auth.Recorder

	// Action returns one action, or fault.NotFound.
	Action(ctx context.Context, tenant string, id action.ID) (action.Action, error)

	// Retention returns a tenant's rules; none where none were set.
	Retention(ctx context.Context, tenant string) (Rules, error)

	// Retentions returns the rules of all tenants that have some.
	Retentions(ctx context.Context) ([]Rules, error)

	// ChangeRetention lets change make of a tenant's rules what they should become,
	// and keeps that. An entry without an act is not recorded: nothing changed. An
	// error of change leaves everything as it was, and comes back as it is.
	ChangeRetention(ctx context.Context, tenant string, change func(Policy) (Policy, audit.Entry, error)) (Policy, error)

	// Holds returns a tenant's holds, the oldest first.
	Holds(ctx context.Context, tenant string) ([]Hold, error)

	// AddHold keeps a hold; beyond MaxHolds of the tenant it is fault.DisallowedOperation.
	AddHold(ctx context.Context, h Hold, e audit.Entry) error

	// RemoveHold removes a hold and records the entry made of it, or is
	// fault.NotFound.
	RemoveHold(ctx context.Context, tenant, id string, e func(Hold) audit.Entry) (Hold, error)

	// Unheld sums up a tenant's packages that no hold is on.
	Unheld(ctx context.Context, tenant string) (Sum, error)

	// Expirable returns a tenant's uploads of a kind that no hold is on, the one
	// that has been longest without a change first, those after a place, at most
	// so many.
	Expirable(ctx context.Context, tenant string, kind Kind, after Place, most int) ([]vault.Upload, error)

	// ExpireUpload marks an upload as deleted for a reason and records e, unless
	// the tenant's rules have another revision by now, the upload another state, or
	// a hold is on it. It returns the revision that it made; ok is false where
	// nothing was done.
	ExpireUpload(ctx context.Context, revision int64, u vault.Upload, reason string, now time.Time, e audit.Entry) (next int64, ok bool, err error)
}

// Bytes is where the bytes lie; *vault.Vault satisfies it.
type Bytes interface {
	// Expire deletes an upload's bytes if they are here, once mark has recorded
	// that. mark may refuse: then nothing is done.
	Expire(ctx context.Context, u vault.Upload, mark func(context.Context) (bool, error)) (bool, error)

	// FinishExpired deletes the bytes that a crash kept from being deleted.
	FinishExpired(ctx context.Context) error
}

// Devices is where devices are found; *fleet.Fleet satisfies it.
type Devices interface {
	// Find returns the device within the caller's reach that a name means, or
	// fault.NotFound. It asks for no right.
	Find(ctx context.Context, who auth.Caller, name string) (device.Device, error)
}

// Keeper keeps packages as long as the rules say.
type Keeper struct {
	Records Records
	Bytes   Bytes
	Devices Devices
	Now     func() time.Time
	Logger  *slog.Logger
}

func (k *Keeper) guard() auth.Guard { return auth.Guard{Records: k.Records, Now: k.Now} }

func (k *Keeper) now() time.Time { return k.Now().UTC().Truncate(100 * time.Nanosecond) }

// everywhere refuses a caller who does not reach all devices: the rules are about
// all packages of the tenant, and a hold changes which others go.
func everywhere(who auth.Caller) error {
	if !who.Reach().All {
		return fault.DisallowedOperation.Errorf(nil, "Retention and holds are changed by those who reach all devices")
	}
	return nil
}

// permit is nil if who may administer. A refusal is recorded.
func (k *Keeper) permit(ctx context.Context, who auth.Caller, act audit.Act, object string) error {
	return k.guard().Permit(ctx, who, act, audit.Clip(object), auth.AdministerAccess)
}

// permitChange is permit for those who reach all devices.
func (k *Keeper) permitChange(ctx context.Context, who auth.Caller, act audit.Act, object string) error {
	if err := k.permit(ctx, who, act, object); err != nil {
		return err
	}
	if err := everywhere(who); err != nil {
		return k.refuse(ctx, who, act, object, err)
	}
	return nil
}

func (k *Keeper) refuse(ctx context.Context, who auth.Caller, act audit.Act, object string, cause error) error {
	return k.guard().Refuse(ctx, who, audit.Leaf{Act: act, Object: audit.Clip(object)}, "", cause)
}

// Show returns the tenant's rules.
func (k *Keeper) Show(ctx context.Context, who auth.Caller) (Policy, error) {
	if err := k.permit(ctx, who, audit.ActReadRetention, who.Tenant); err != nil {
		return Policy{}, err
	}
	r, err := k.Records.Retention(ctx, who.Tenant)
	return r.Policy, err
}

// Change is what is to become of the rules; nil: as it was, 0: no such rule.
type Change struct {
	Days     *int
	Packages *int
	Bytes    *int64
}

func (c Change) check() error {
	switch {
	case c.Days != nil && (*c.Days < 0 || *c.Days > MaxDays):
		return fault.InvalidInput.Errorf(nil, "days is not from 1 to %d; null: packages do not expire by age", MaxDays)
	case c.Packages != nil && (*c.Packages < 0 || *c.Packages > MaxPackages):
		return fault.InvalidInput.Errorf(nil, "packages is not from 1 to %d; null: packages do not expire by their number", MaxPackages)
	case c.Bytes != nil && (*c.Bytes < 0 || *c.Bytes > MaxBytes):
		return fault.InvalidInput.Errorf(nil, "bytes is not from 1 to %d; null: packages do not expire by their size", int64(MaxBytes))
	}
	return nil
}

// Set changes the tenant's rules. What they no longer keep goes with the next
// sweeps.
func (k *Keeper) Set(ctx context.Context, who auth.Caller, read func() (Change, error)) (Policy, error) {
	if err := k.permitChange(ctx, who, audit.ActChangeRetention, who.Tenant); err != nil {
		return Policy{}, err
	}
	c, err := read()
	if err == nil {
		err = c.check()
	}
	var is Policy
	if err == nil {
		is, err = k.Records.ChangeRetention(ctx, who.Tenant, func(was Policy) (Policy, audit.Entry, error) {
			p := c.of(was)
			changes := policyChanges(was, p)
			if changes.Empty() {
				return p, audit.Entry{}, nil
			}
			return p, audit.NewEntry(k.now(), audit.Leaf{Act: audit.ActChangeRetention, Object: who.Tenant, Result: audit.Done}, who.Hidden(changes.String())), nil
		})
	}
	if err != nil {
		return Policy{}, k.refuse(ctx, who, audit.ActChangeRetention, who.Tenant, err)
	}
	k.Logger.InfoContext(ctx, "retention set", "days", is.Days, "packages", is.Packages, "bytes", is.Bytes, "caller", who.ID, "correlation", who.Correlation)
	return is, nil
}

// of is what becomes of rules.
func (c Change) of(p Policy) Policy {
	if c.Days != nil {
		p.Days = *c.Days
	}
	if c.Packages != nil {
		p.Packages = *c.Packages
	}
	if c.Bytes != nil {
		p.Bytes = *c.Bytes
	}
	return p
}

func policyChanges(was, is Policy) (c audit.Changes) {
	c.Add("days", figure(int64(was.Days)), figure(int64(is.Days)))
	c.Add("packages", figure(int64(was.Packages)), figure(int64(is.Packages)))
	c.Add("bytes", figure(was.Bytes), figure(is.Bytes))
	return c
}

// figure is a rule's figure as entries have it, "" for none.
func figure(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// rule says why a package expires.
type rule struct {
	detail string // of the entry
	reason string // of the record, and what those are told who ask for the package
}

func (p Policy) byAge() rule {
	return rule{fmt.Sprintf("days %d", p.Days), fmt.Sprintf("it expired: packages are kept for %d days", p.Days)}
}

func (p Policy) byNumber() rule {
	return rule{fmt.Sprintf("packages %d", p.Packages), fmt.Sprintf("it expired: the newest %d packages are kept", p.Packages)}
}

func (p Policy) bySize() rule {
	return rule{fmt.Sprintf("bytes %d", p.Bytes), fmt.Sprintf("it expired: %d bytes of the newest packages are kept", p.Bytes)}
}
