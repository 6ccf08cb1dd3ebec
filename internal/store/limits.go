package store

import (
	"context"
	"slices"
	"time"

	"swab/internal/canon"
	limits "swab/internal/limit" // limit is the bound of a list here
)

var _ limits.Ledgers = (*Store)(nil)

// forgetAfter is how long a hold is kept after its last moment: the longest
// window of a limit.
const forgetAfter = time.Hour

// held is a limit.Held in the column holds.
type held struct {
	Holder string `json:"h"`
	Calls  int    `json:"n"`
	Last   int64  `json:"t"` // milliseconds since 1970
}

// ChangeLedger changes the holds of one key as limit.Ledgers says. Moments are
// kept to the millisecond.
func (s *Store) ChangeLedger(ctx context.Context, key limits.Key, change func(time.Time, []limits.Held) []limits.Held) error {
	_, err := write(ctx, s, "change the holds of "+key.API, func(ctx context.Context, t *tx) (none struct{}, err error) {
		// The row is made if there is none, and locked either way: changes of
		// one key follow one another.
		var list []held
		_, err = one(ctx, t.conn, func(r row) (struct{}, error) { return none, r.Scan(fromText{&list}) },
			"INSERT INTO call_limits (tenant, caller, api, holds, last) VALUES (?, ?, ?, '[]', 0) "+
				"ON CONFLICT (tenant, caller, api) DO UPDATE SET last = call_limits.last RETURNING holds",
			key.Tenant, key.Caller, key.API)
		if err != nil {
			return none, err
		}
		now, err := s.sharedNow(ctx, t)
		if err != nil {
			return none, err
		}
		was := make([]limits.Held, 0, len(list))
		for _, h := range list {
			was = append(was, limits.Held{Holder: h.Holder, Calls: h.Calls, Last: time.UnixMilli(h.Last).UTC()})
		}
		is := change(now, was)
		if is == nil {
			return none, nil
		}
		last, list := time.Time{}, list[:0]
		for _, h := range is {
			list = append(list, held{h.Holder, h.Calls, h.Last.UnixMilli()})
			last = slices.MaxFunc([]time.Time{last, h.Last}, time.Time.Compare)
		}
		_, err = t.exec(ctx, "UPDATE call_limits SET holds = ?, last = ? WHERE tenant = ? AND caller = ? AND api = ?",
			text(list), ticks(last), key.Tenant, key.Caller, key.API)
		return none, err
	})
	return err
}

// ForgetLedgers drops the keys that no limit needs any more.
func (s *Store) ForgetLedgers(ctx context.Context) error {
	_, err := write(ctx, s, "forget old holds", func(ctx context.Context, t *tx) (int64, error) {
		now, err := s.sharedNow(ctx, t)
		if err != nil {
			return 0, err
		}
		return t.exec(ctx, "DELETE FROM call_limits WHERE last < ?", ticks(now.Add(-forgetAfter)))
	})
	return err
}

// sharedNow is the time by the one clock that all processes on the database
// share.
func (s *Store) sharedNow(ctx context.Context, t *tx) (time.Time, error) {
	if s.dialect.clock == "" {
		return s.now(), nil
	}
	n, err := one(ctx, t.conn, value[int64], s.dialect.clock)
	return canon.FromTicks(n), err
}
