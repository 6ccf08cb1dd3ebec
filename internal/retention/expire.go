package retention

import (
	"context"
	"errors"
	"fmt"
	"time"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/vault"
)

// Bounds of one sweep.
const (
	mostExpired = 500 // of one tenant; the next sweep goes on
	pageSize    = 100 // uploads that are read at once
)

// Expire deletes what the rules of all tenants no longer keep, the oldest first,
// as far as its bytes are here and in bounds, and returns how many. What a crash
// left undone it does first. A tenant whose expiry fails does not keep others
// from theirs.
func (k *Keeper) Expire(ctx context.Context) (expired int, err error) {
	if err := k.Bytes.FinishExpired(ctx); err != nil {
		return 0, err
	}
	all, err := k.Records.Retentions(ctx)
	if err != nil {
		return 0, err
	}
	for _, r := range all {
		s := sweep{Keeper: k, rules: r, left: mostExpired}
		if failed := s.run(ctx); failed != nil {
			err = errors.Join(err, fmt.Errorf("expire packages of tenant %s: %w", r.Tenant, failed))
		}
		expired += mostExpired - s.left
	}
	return expired, err
}

// sweep is one look at one tenant.
type sweep struct {
	*Keeper
	rules Rules // as of the last deletion
	left  int   // that may still be deleted
	stale bool  // somebody else changed something: what was counted is wrong now
}

func (s *sweep) run(ctx context.Context) error {
	p := s.rules.Policy
	aged := func(u vault.Upload) (rule, bool) {
		return p.byAge(), p.Days > 0 && !u.Updated.After(s.now().Add(-time.Duration(p.Days)*24*time.Hour))
	}
	if p.Days > 0 {
		if err := s.each(ctx, Unverified, aged); err != nil {
			return err
		}
	}
	var sum Sum
	if p.Packages > 0 || p.Bytes > 0 {
		var err error
		if sum, err = s.Records.Unheld(ctx, s.rules.Tenant); err != nil {
			return err
		}
	}
	return s.each(ctx, Packages, func(u vault.Upload) (why rule, ok bool) {
		switch why, ok = aged(u); {
		case ok:
		case p.Packages > 0 && sum.Packages > int64(p.Packages):
			why, ok = p.byNumber(), true
		case p.Bytes > 0 && sum.Bytes > p.Bytes:
			why, ok = p.bySize(), true
		}
		// Whoever has its bytes deletes it: it is one of those that go.
		sum.Packages--
		sum.Bytes -= u.Offset
		return why, ok
	})
}

// each deletes the uploads of a kind, the oldest first, up to one that is kept.
func (s *sweep) each(ctx context.Context, kind Kind, goes func(vault.Upload) (rule, bool)) error {
	for after := (Place{}); ; {
		list, err := s.Records.Expirable(ctx, s.rules.Tenant, kind, after, pageSize)
		if err != nil {
			return err
		}
		for _, u := range list {
			why, ok := goes(u)
			if !ok || s.left == 0 || s.stale {
				return nil
			}
			if err := s.expire(ctx, u, why); err != nil {
				return err
			}
			after = Place{u.Updated, u.ID}
		}
		if len(list) < pageSize {
			return nil
		}
	}
}

func (s *sweep) expire(ctx context.Context, u vault.Upload, why rule) error {
	if u.State != vault.Sealed {
		why.detail += fmt.Sprintf(", attempt %d", u.Attempt)
	}
	now := s.now()
	done, err := s.Bytes.Expire(ctx, u, func(ctx context.Context) (bool, error) {
		next, ok, err := s.Records.ExpireUpload(ctx, s.rules.Revision, u, why.reason, now, audit.NewEntry(now, audit.Leaf{
			Act: audit.ActExpire, Object: u.Action, Device: string(u.Device), Result: audit.Done, Detail: why.detail,
		}, auth.Caller{Kind: auth.Server, Tenant: u.Tenant, ID: "server", Name: "server"}.Hidden("")))
		if err == nil {
			s.rules.Revision, s.stale = next, !ok
		}
		return ok, err
	})
	if done {
		s.left--
	}
	return err
}
