package auth

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"swab/internal/audit"
)

// maxDenials bounds the addresses counted apart in one minute. What comes from
// further ones is summed in one entry without an address, so that a flood costs
// neither memory nor log.
const maxDenials = 256

// denialStore keeps what Denials sums; *store.Store satisfies it.
type denialStore interface {
	Recorder
	Tenants(ctx context.Context) ([]Tenant, error)
}

// Denials sums the requests that were answered 401, by tenant and address, and
// once a minute makes an audit entry of each sum. Nobody proved who they were,
// so one entry a request would let anybody fill the log.
type Denials struct {
	store denialStore
	now   func() time.Time
	log   *slog.Logger

	mu     sync.Mutex
	counts map[denial]int
}

type denial struct {
	tenant string // "" where none is known
	from   string
}

// NewDenials returns an empty sum. [Denials.Run] makes entries of it.
func NewDenials(store denialStore, now func() time.Time, log *slog.Logger) *Denials {
	return &Denials{store: store, now: now, log: log, counts: map[denial]int{}}
}

// Add counts one refusal. tenant is the one that the request's path named, or
// "" where it named none: nothing that a bad token says is believed. It never
// waits and never fails.
func (d *Denials) Add(tenant, from string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := denial{tenant, from}
	if _, ok := d.counts[key]; !ok && len(d.counts) >= maxDenials {
		key = denial{}
	}
	d.counts[key]++
}

// Run makes the entries once a minute until ctx ends, and those of the last
// minute then. Whoever starts it waits for it.
func (d *Denials) Run(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.flush(ctx)
		case <-ctx.Done():
			// What was refused must be in the log although the server stops.
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			d.flush(last)
			return
		}
	}
}

// flush records what was counted. What can't be kept now is counted on.
func (d *Denials) flush(ctx context.Context) {
	d.mu.Lock()
	counts := d.counts
	d.counts = map[denial]int{}
	d.mu.Unlock()
	if len(counts) == 0 {
		return
	}
	tenants, err := d.store.Tenants(ctx)
	if err == nil && len(tenants) > 0 {
		// A request that names no tenant is recorded in the installation's first one.
		first := slices.MinFunc(tenants, func(a, b Tenant) int { return a.Created.Compare(b.Created) })
		entries := map[string][]audit.Entry{}
		for k, n := range counts {
			tenant := k.tenant
			if tenant == "" {
				tenant = first.ID
			}
			entries[tenant] = append(entries[tenant], audit.NewEntry(d.now(),
				audit.Leaf{Act: audit.ActDenied, Object: tenant, Result: audit.Refused, Detail: strconv.Itoa(n)},
				audit.Hidden{Who: "unknown", From: k.from}))
		}
		for tenant, e := range entries {
			if err = d.store.Record(ctx, tenant, e...); err != nil {
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
		d.log.ErrorContext(ctx, "refused requests are not in the audit log yet", "err", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for k, n := range counts {
		if len(d.counts) >= maxDenials {
			k = denial{}
		}
		d.counts[k] += n
	}
}
