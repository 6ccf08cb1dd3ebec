package signin

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/fault"
)

// Bounds of what is remembered of refusals.
const (
	oneByOne   = 10   // of one account in a minute: each is an entry of its own
	maxWaiting = 2048 // entries that wait to be written; what comes beyond is summed
	maxSums    = 256  // accounts that are summed apart in one minute, in all tenants
)

// refusals are the sign-ins that failed, on their way into the audit log. They
// are written outside the request, so that it takes no longer for somebody who
// exists. Those of nobody known are counted by auth.Tally.
type refusals struct {
	records auth.Recorder
	now     func() time.Time
	log     *slog.Logger
	wake    chan struct{} // of 1

	mu      sync.Mutex
	waiting map[string][]audit.Entry // by tenant
	count   int                      // of waiting
	total   Stats                    // Waiting aside
	failed  map[account]*refused
}

// account is whose sign-ins are summed together.
type account struct{ tenant, person string }

type refused struct {
	hidden audit.Hidden
	times  int // in this minute
	summed int // of those: not entries of their own
}

func newRefusals(c Config) *refusals {
	return &refusals{
		records: c.Records, now: c.Now, log: c.Logger, wake: make(chan struct{}, 1),
		waiting: map[string][]audit.Entry{}, failed: map[account]*refused{},
	}
}

// refused counts a sign-in that failed because of cause, and returns cause. p is
// who it would have been, a zero one where that is nobody known.
func (d *Desk) refused(ctx context.Context, v Visitor, p auth.Person, cause error) error {
	code, _ := fault.Of(cause)
	d.Logger.DebugContext(ctx, "sign-in refused", "code", string(code), "from", v.From, "correlation", v.Correlation)
	if p.ID == "" {
		d.refusals.nobody()
		d.Tally.Denied(v.Tenant.ID, v.From)
		return cause
	}
	d.refusals.add(v, p, code)
	return cause
}

// Stats is what has been refused since the start.
type Stats struct {
	Known   int64 // sign-ins of somebody who exists
	Unknown int64 // sign-ins of nobody who is known
	Waiting int   // entries of the audit log that are not written yet
}

// Stats returns the present figures.
func (d *Desk) Stats() Stats {
	r := d.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.total
	s.Waiting = r.count
	return s
}

func (r *refusals) nobody() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total.Unknown++
}

func (r *refusals) add(v Visitor, p auth.Person, code fault.Code) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total.Known++
	key := account{p.Tenant, p.ID}
	f, ok := r.failed[key]
	if !ok {
		if len(r.failed) >= maxSums { // of the rest it is only known how many
			key = account{tenant: p.Tenant}
			f, ok = r.failed[key]
		}
		if !ok {
			f = &refused{hidden: v.hidden(p)}
			if key.person == "" {
				f.hidden, f.times = audit.Hidden{Who: "unknown"}, oneByOne
			}
			r.failed[key] = f
		}
	}
	f.times++
	if f.times > oneByOne || r.count >= maxWaiting {
		f.summed++
		return
	}
	r.wait(p.Tenant, audit.NewEntry(r.now(), audit.Leaf{Act: audit.ActRefuseSignIn, Object: p.ID, Result: audit.Refused, Detail: string(code)}, v.hidden(p)))
	select {
	case r.wake <- struct{}{}:
	default: // it is awake
	}
}

// wait puts an entry among those that are to be written. r.mu is held.
func (r *refusals) wait(tenant string, e audit.Entry) {
	r.waiting[tenant] = append(r.waiting[tenant], e)
	r.count++
}

// Run makes entries of what is refused until ctx ends, and of the last ones then.
// Whoever starts it waits for it.
func (d *Desk) Run(ctx context.Context) {
	r := d.refusals
	second, minute := time.NewTicker(time.Second), time.NewTicker(time.Minute)
	defer second.Stop()
	defer minute.Stop()
	for {
		select {
		case <-minute.C:
			r.sum()
			r.flush(ctx)
		case <-second.C: // the entries of a second are written at once
			select {
			case <-r.wake:
				r.flush(ctx)
			default:
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			r.sum()
			r.flush(last)
			return
		}
	}
}

// sum makes entries of what was summed in the minute that ends.
func (r *refusals) sum() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, f := range r.failed {
		if f.summed == 0 {
			continue
		}
		object := key.person
		if object == "" {
			object = key.tenant
		}
		hidden := f.hidden
		hidden.From, hidden.Correlation = "", "" // they were many
		r.wait(key.tenant, audit.NewEntry(r.now(), audit.Leaf{Act: audit.ActRefuseSignIn, Object: object, Result: audit.Refused, Detail: strconv.Itoa(f.summed)}, hidden))
	}
	clear(r.failed)
}

// flush records what waits. What can't be kept now waits on.
func (r *refusals) flush(ctx context.Context) {
	r.mu.Lock()
	all := r.waiting
	r.waiting, r.count = map[string][]audit.Entry{}, 0
	r.mu.Unlock()
	for tenant, entries := range all {
		err := r.records.Record(ctx, tenant, entries...)
		if err == nil {
			continue
		}
		r.log.ErrorContext(ctx, "sign-ins that failed are not in the audit log yet", "err", err)
		r.mu.Lock()
		r.waiting[tenant] = append(entries, r.waiting[tenant]...)
		r.count += len(entries)
		r.mu.Unlock()
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}
