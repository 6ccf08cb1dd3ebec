package auth

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"swab/internal/audit"
)

// maxApart bounds the addresses that are counted apart in one minute, and the
// callers. What comes from further ones is summed in one entry without a name,
// so that a flood costs neither memory nor log.
const maxApart = 256

// tallyStore keeps what Tally sums; *store.Store satisfies it.
type tallyStore interface {
	Recorder
	Tenants(ctx context.Context) ([]Tenant, error)
}

// maxOwn is how many refusals of one caller in a minute are entries of their own.
const maxOwn = 20

// Tally sums the requests that were answered 401, by tenant and address, those
// that were answered 429, refusals beyond the first of a minute, and the access
// tokens that applications got, by caller, and once a minute makes an audit entry
// of each sum. One entry a request would let anybody fill the log.
type Tally struct {
	store tallyStore
	now   func() time.Time
	log   *slog.Logger

	mu     sync.Mutex
	counts map[counted]int
	apart  map[audit.Act]int // how many of the counts are of one name
	own    map[string]int    // refusals of a caller since the last minute that are entries of their own
	total  TallyStats
}

// TallyStats is what was counted since the start.
type TallyStats struct {
	Denied  int64 // requests answered 401
	Limited int64 // requests answered 429
	Refused int64 // requests of known callers that were refused, whether summed or entries of their own
	Issued  int64 // access tokens that applications got by themselves
}

// Stats returns the present figures.
func (t *Tally) Stats() TallyStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total
}

// counted is what is summed together.
type counted struct {
	act    audit.Act
	tenant string // "" where none is known
	who    string // as in audit.Hidden; "" where nobody proved who they are
	name   string
	from   string // of a 401
}

// NewTally returns an empty sum. [Tally.Run] makes entries of it.
func NewTally(store tallyStore, now func() time.Time, log *slog.Logger) *Tally {
	return &Tally{store: store, now: now, log: log, counts: map[counted]int{}, apart: map[audit.Act]int{}, own: map[string]int{}}
}

// Denied counts one request that was answered 401. tenant is the one that the
// request's path named, or "" where it named none: nothing that a bad token says
// is believed. It never waits and never fails.
func (t *Tally) Denied(tenant, from string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total.Denied++
	t.add(counted{act: audit.ActDenied, tenant: tenant, from: from}, 1)
}

// Limited counts one request of a known caller that was answered 429. It never
// waits and never fails.
func (t *Tally) Limited(who Caller) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total.Limited++
	t.add(counted{act: audit.ActLimited, tenant: who.Tenant, who: who.Hidden("").Who, name: who.Name}, 1)
}

// Refused says whether the refusal of a known caller is to be an entry of its own,
// and counts it otherwise. It never waits and never fails.
func (t *Tally) Refused(who Caller) (own bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total.Refused++
	by := who.Hidden("").Who
	if key := who.Tenant + " " + by; t.own[key] < maxOwn && len(t.own) < maxRemembered {
		t.own[key]++
		return true
	}
	t.add(counted{act: audit.ActRefused, tenant: who.Tenant, who: by, name: who.Name}, 1)
	return false
}

// Issued counts an access token that an application got by itself. It never waits
// and never fails.
func (t *Tally) Issued(app App) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total.Issued++
	who := Caller{Kind: Application, ID: app.ID}
	t.add(counted{act: audit.ActToken, tenant: app.Tenant, who: who.Hidden("").Who, name: app.Name}, 1)
}

// add adds n to a sum. t.mu is held.
func (t *Tally) add(key counted, n int) {
	if _, ok := t.counts[key]; !ok && key.who+key.from != "" {
		if t.apart[key.act] < maxApart {
			t.apart[key.act]++
		} else if key.who == "" {
			key = counted{act: key.act}
		} else { // the tenant is proved
			key = counted{act: key.act, tenant: key.tenant}
		}
	}
	t.counts[key] += n
}

// Run makes the entries once a minute until ctx ends, and those of the last
// minute then. Whoever starts it waits for it.
func (t *Tally) Run(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			t.flush(ctx)
		case <-ctx.Done():
			// What was refused must be in the log although the server stops.
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			t.flush(last)
			return
		}
	}
}

// flush records what was counted. What can't be kept now is counted on.
func (t *Tally) flush(ctx context.Context) {
	t.mu.Lock()
	counts := t.counts
	t.counts, t.apart, t.own = map[counted]int{}, map[audit.Act]int{}, map[string]int{}
	t.mu.Unlock()
	if len(counts) == 0 {
		return
	}
	tenants, err := t.store.Tenants(ctx)
	if err == nil && len(tenants) > 0 {
		// A request that names no tenant is recorded in the installation's first one.
		first := slices.MinFunc(tenants, func(a, b Tenant) int { return a.Created.Compare(b.Created) })
		entries := map[string][]audit.Entry{}
		for k, n := range counts {
			tenant := k.tenant
			if tenant == "" {
				tenant = first.ID
			}
			result := audit.Refused
			if k.act == audit.ActToken {
				result = audit.Done
			}
			entries[tenant] = append(entries[tenant], audit.NewEntry(t.now(),
				audit.Leaf{Act: k.act, Object: tenant, Result: result, Detail: strconv.Itoa(n)},
				audit.Hidden{Who: cmp.Or(k.who, "unknown"), Name: k.name, From: k.from}))
		}
		for tenant, e := range entries {
			if err = t.store.Record(ctx, tenant, e...); err != nil {
				break
			}
			for k := range counts {
				if k.tenant == tenant || k.tenant == "" && tenant == first.ID {
					delete(counts, k)
				}
			}
		}
	}
	if err != nil {
		t.log.ErrorContext(ctx, "refused requests are not in the audit log yet", "err", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, n := range counts {
		t.add(k, n)
	}
}
