package keys

import (
	"context"
	"crypto/rsa"
	"fmt"
	"time"

	"swab/internal/audit"
)

// How the key of access tokens lives.
const (
	TokenKeyLife = 90 * 24 * time.Hour // how long one key signs, unless it is succeeded sooner
	TokenAhead   = 24 * time.Hour      // how long before it signs the next key is published, by schedule

	// TokenSoon is the same for a succession by hand: longer than a node, or
	// whoever obeys the key document's max-age, goes without looking.
	TokenSoon = 10 * time.Minute

	// TokenOverlap is how long after its end a key's tokens still hold: longer
	// than a token lives and clocks of nodes are apart.
	TokenOverlap = 2 * time.Hour

	// refreshEvery bounds how often tokens of unknown keys make the ring look
	// into the store, however many there are.
	refreshEvery = 5 * time.Second
)

// Succession is one key taking another's place.
type Succession struct {
	Old string // id of the newest key of the purpose, which must not have a successor yet
	New Record // Old signs until New.From

	// Withdraw ends Old and all keys of the purpose before it where they
	// began: nothing that they signed counts any more.
	Withdraw bool

	Tenant string // in whose log Entry is
	Entry  audit.Entry
}

// Successions keeps them; *store.Store satisfies it.
type Successions interface {
	// SucceedKey keeps the new key, ends those before it and records the entry,
	// in one transaction. It does nothing and returns false if Old has a
	// successor already: of two nodes one is first.
	SucceedKey(ctx context.Context, s Succession) (bool, error)
}

// TokenKey signs access tokens; id is the kid of its header.
func (r *Ring) TokenKey() (id string, signer *rsa.PrivateKey) {
	k := r.must(AccessToken)
	return k.ID, k.rsa
}

// TokenKeys are the keys by which access tokens are checked, by id: those in
// use, those that ended a short while ago, and those announced.
func (r *Ring) TokenKeys() map[string]*rsa.PublicKey {
	public := map[string]*rsa.PublicKey{}
	for _, k := range r.recent(AccessToken) {
		public[k.ID] = &k.rsa.PublicKey
	}
	return public
}

// PublicTokenKey is one of TokenKeys, or nil.
func (r *Ring) PublicTokenKey(id string) *rsa.PublicKey {
	now := r.now()
	for _, k := range *r.keys.Load() {
		if k.ID == id && k.Purpose == AccessToken && k.verifies(now) {
			return &k.rsa.PublicKey
		}
	}
	return nil
}

// TokenRecords are the records of all keys of access tokens as the store has
// them now, the newest first, without their private halves.
func (r *Ring) TokenRecords(ctx context.Context) ([]Record, error) {
	if err := r.Reload(ctx); err != nil {
		return nil, err
	}
	list := []Record{}
	for _, k := range *r.keys.Load() {
		if k.Purpose == AccessToken {
			list = append(list, public(k.Record))
		}
	}
	return list, nil
}

// Reload reads the store again, for what another node did. Where it can't, the
// ring stays as it is.
func (r *Ring) Reload(ctx context.Context) error {
	r.reading.Lock()
	defer r.reading.Unlock()
	return r.reload(ctx)
}

// Refresh is Reload for a token whose key is unknown. It looks at most once in
// 5 seconds, so that made-up key ids cost the store nothing.
func (r *Ring) Refresh(ctx context.Context) error {
	r.reading.Lock()
	defer r.reading.Unlock()
	now := r.now()
	if since := now.Sub(r.asked); since >= 0 && since < refreshEvery {
		return nil
	}
	// Whoever sent the token may go away: the look is for all who come after.
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), refreshFor)
	defer done()
	err := r.reload(ctx)
	if err == nil {
		r.asked = now
	}
	return err
}

// refreshFor bounds one look.
const refreshFor = 5 * time.Second

func (r *Ring) reload(ctx context.Context) error {
	records, err := r.store.Keys(ctx)
	if err != nil {
		return fmt.Errorf("read the server's keys again: %w", err)
	}
	before, opened := *r.keys.Load(), make([]key, 0, len(records))
	for _, record := range records {
		k, known := find(before, record)
		if known {
			k.To = record.To // all that ever changes
		} else if k, err = unseal(record, r.master); err != nil {
			return err
		}
		opened = append(opened, k)
	}
	if len(opened) < len(before) {
		return fmt.Errorf("the store has %d of the server's keys, and had %d: restore it, or start the server again", len(opened), len(before))
	}
	r.keep(opened)
	return nil
}

func find(all []key, r Record) (key, bool) {
	for _, k := range all {
		if k.Purpose == r.Purpose && k.ID == r.ID {
			return k, true
		}
	}
	return key{}, false
}

// Tend does what is due: it learns what other nodes did, and succeeds the key
// of access tokens in good time. Every node calls it, now and then; the entry is
// recorded in the log of tenant.
func (r *Ring) Tend(ctx context.Context, s Successions, tenant string) error {
	if err := r.Reload(ctx); err != nil {
		return err
	}
	if r.now().Before(r.newestToken().From.Add(TokenKeyLife - TokenAhead)) {
		return nil
	}
	_, err := r.succeed(ctx, s, tenant, audit.Hidden{Who: "server/server", Name: "server"}, TokenAhead, false)
	return err
}

// TokenKeyDue is when another key of access tokens has to sign, at the latest. The
// server sees to it a day before.
func (r *Ring) TokenKeyDue() time.Time { return r.newestToken().From.Add(TokenKeyLife) }

// SucceedTokens makes the next key of access tokens on behalf of who, whose
// entry is recorded in the log of tenant, and returns its public record. It
// signs in [TokenSoon], and the tokens of the key before it hold until they
// expire. Where the next key is announced already, that one is returned.
//
// With withdraw it signs at once, and no token of an earlier key holds any
// more: what to do when a key was stolen. Other nodes learn of it when they
// [Ring.Tend] or meet a token of the new key.
func (r *Ring) SucceedTokens(ctx context.Context, s Successions, tenant string, who audit.Hidden, withdraw bool) (Record, error) {
	if err := r.Reload(ctx); err != nil {
		return Record{}, err
	}
	if withdraw {
		return r.succeed(ctx, s, tenant, who, 0, true)
	}
	return r.succeed(ctx, s, tenant, who, TokenSoon, false)
}

func (r *Ring) succeed(ctx context.Context, s Successions, tenant string, who audit.Hidden, ahead time.Duration, withdraw bool) (Record, error) {
	now, last := r.now(), r.newestToken()
	if last.From.After(now) && !withdraw {
		return public(last.Record), nil
	}
	next, err := generate(AccessToken, now.Add(ahead), r.master)
	if err != nil {
		return Record{}, fmt.Errorf("make the next %s key: %w", AccessToken, err)
	}
	act := audit.ActKey
	if withdraw {
		act = audit.ActWithdrawKey
	}
	first, err := s.SucceedKey(ctx, Succession{
		Old: last.ID, New: next.Record, Withdraw: withdraw, Tenant: tenant,
		Entry: audit.NewEntry(now, audit.Leaf{Act: act, Object: next.ID, Result: audit.Done, Detail: string(AccessToken)}, who),
	})
	if err != nil {
		return Record{}, fmt.Errorf("keep the next %s key: %w", AccessToken, err)
	}
	if err := r.Reload(ctx); err != nil {
		return Record{}, err
	}
	if !first && withdraw { // the other's key is as fresh, but it may be one that waits
		return r.succeed(ctx, s, tenant, who, 0, true)
	}
	return public(r.newestToken().Record), nil
}

// newestToken is the key of access tokens that has no successor.
func (r *Ring) newestToken() key {
	for _, k := range *r.keys.Load() {
		if k.Purpose == AccessToken && k.To.IsZero() {
			return k
		}
	}
	return r.must(AccessToken)
}

// public is a record without its private half.
func public(r Record) Record {
	r.Sealed = nil
	return r
}
