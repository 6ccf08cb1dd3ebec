package server

import (
	"context"
	"math"
	"sync"
	"time"

	"swab/internal/auth"
	"swab/internal/bus"
	"swab/internal/federation"
	"swab/internal/gateway"
	"swab/internal/keys"
	"swab/internal/limit"
	"swab/internal/signin"
	"swab/internal/store"
	"swab/internal/vault"
)

// What the rooms count, as metrics. Each room knows its own figures and nothing
// of Prometheus.

// figure is one of a room's figures, read at a scrape.
func figure[S any, N int | int64](stats func() S, of func(S) N) func() float64 {
	return func() float64 { return float64(of(stats())) }
}

// watchConnections adds what the public listener counts.
func (m *metrics) watchConnections(c *connections) {
	m.gauge("swab_connections", "Connections of the public listener, devices' channels too.", func() float64 { open, _ := c.count(); return float64(open) })
	m.gauge("swab_connections_limit", "Most connections at once; more are refused.", func() float64 { return float64(c.all) })
	refused := func() refusals { _, r := c.count(); return r }
	m.counters("swab_connections_refused_total", "Connections refused, by the bound that they met.", "bound", by{
		"address": figure(refused, func(r refusals) int { return r.address }),
		"all":     figure(refused, func(r refusals) int { return r.all }),
	})
}

// watchIssuers adds what is known of the keys of other issuers.
func (m *metrics) watchIssuers(k *federation.Keys) {
	m.counters("swab_issuer_key_fetches_total", "Times that the keys of another issuer were fetched, by what became of it.", "result", by{
		"ok":     figure(k.Stats, func(s federation.Stats) int64 { return s.Refreshed }),
		"failed": figure(k.Stats, func(s federation.Stats) int64 { return s.Failed }),
	})
	m.gauge("swab_issuers_without_keys", "Other issuers whose keys could not be fetched for a day, or never: their tokens are answered 503.",
		figure(k.Stats, func(s federation.Stats) int { return s.Without }))
}

// watchGateway adds what the gateway counts.
func (m *metrics) watchGateway(g *gateway.Gateway) {
	of := func(f func(gateway.Stats) int64) func() float64 { return figure(g.Stats, f) }
	m.gauge("swab_devices_connected", "Devices connected to this node.", of(func(s gateway.Stats) int64 { return s.Connections }))
	m.counter("swab_device_connections_total", "Channels opened.", of(func(s gateway.Stats) int64 { return s.Connected }))
	m.counter("swab_device_connections_replaced_total", "Channels that a newer one of the same device replaced.", of(func(s gateway.Stats) int64 { return s.Replaced }))
	m.counter("swab_device_keys_doubled_total", "Times that two live agents used one key: a cloned device.", of(func(s gateway.Stats) int64 { return s.Twice }))
	m.counter("swab_device_connections_expired_total", "Channels that ended because their token did.", of(func(s gateway.Stats) int64 { return s.Expired }))
	m.counter("swab_device_protocol_errors_total", "Channels that ended because the peer does not speak the protocol.", of(func(s gateway.Stats) int64 { return s.Protocol }))
	m.counter("swab_device_messages_received_total", "Messages from devices.", of(func(s gateway.Stats) int64 { return s.Received }))
	m.counter("swab_device_messages_sent_total", "Messages to devices.", of(func(s gateway.Stats) int64 { return s.Sent }))
	m.counter("swab_device_enrolments_total", "Devices enrolled.", of(func(s gateway.Stats) int64 { return s.Enrolled }))
	m.counter("swab_device_keys_succeeded_total", "Keys of devices that took the place of another.", of(func(s gateway.Stats) int64 { return s.Succeeded }))
	m.counter("swab_device_denied_total", "Requests of devices answered 401.", of(func(s gateway.Stats) int64 { return s.Denied }))
	m.counter("swab_device_proofs_replayed_total", "Proofs that had been used before.", of(func(s gateway.Stats) int64 { return s.Replayed }))
	m.counter("swab_device_foreign_total", "Messages and uploads for what is not the device's own.", of(func(s gateway.Stats) int64 { return s.Foreign }))
	m.counter("swab_uploads_total", "Uploads begun.", of(func(s gateway.Stats) int64 { return s.Uploads }))
	m.counter("swab_upload_bytes_total", "Bytes of packages acknowledged.", of(func(s gateway.Stats) int64 { return s.UploadBytes }))
	m.counter("swab_uploads_stalled_total", "Chunks that stopped arriving.", of(func(s gateway.Stats) int64 { return s.Stalled }))
	m.gauge("swab_uploads_judging", "Complete uploads whose verification runs, or waits for its turn.", of(func(s gateway.Stats) int64 { return s.Judging }))
	m.counter("swab_packages_sealed_total", "Packages that verified and were sealed.", of(func(s gateway.Stats) int64 { return s.Sealed }))
	m.counter("swab_packages_spoiled_total", "Uploads that did not verify and were quarantined.", of(func(s gateway.Stats) int64 { return s.Spoiled }))
	m.counters("swab_wakeups_delivered_total", "Wake-ups that came to this node's gateway, by whether their device is connected here; one that is absent is told when it connects.", "device", by{
		"connected": of(func(s gateway.Stats) int64 { return s.Woken }),
		"absent":    of(func(s gateway.Stats) int64 { return s.Absent }),
	})
}

// watchBus adds what the bus counts.
func (m *metrics) watchBus(b *bus.Local) {
	m.counter("swab_wakeups_total", "Wake-ups asked for.", figure(b.Stats, func(s bus.Stats) int64 { return s.Asked }))
	m.counter("swab_wakeups_merged_total", "Wake-ups for a device that one waited for already.", figure(b.Stats, func(s bus.Stats) int64 { return s.Merged }))
	m.gauge("swab_wakeups_waiting", "Devices whose wake-up waits.", figure(b.Stats, func(s bus.Stats) int { return s.Waiting }))
}

// watchVault adds what the vault counts, and the room that the disk has.
func (m *metrics) watchVault(v *vault.Vault, reserve int64) {
	m.gauge("swab_uploads_open", "Uploads that have begun and are not complete.", figure(v.Stats, func(s vault.Stats) int { return s.Open }))
	m.gauge("swab_uploads_limit", "Most uploads at once; more are refused.", figure(v.Stats, func(s vault.Stats) int { return s.Most }))
	m.counters("swab_uploads_refused_total", "Uploads refused, by the bound that they met; devices come again.", "bound", by{
		"device": figure(v.Stats, func(s vault.Stats) int64 { return s.PerDevice }),
		"all":    figure(v.Stats, func(s vault.Stats) int64 { return s.InAll }),
	})
	m.counter("swab_upload_write_errors_total", "Times that bytes of an upload could not be written.", figure(v.Stats, func(s vault.Stats) int64 { return s.Unable }))
	m.gauge("swab_disk_free_bytes", "Bytes that the disk of the packages has left; NaN where it can't be asked.", func() float64 {
		free, err := v.Free()
		if err != nil {
			return math.NaN()
		}
		return float64(free)
	})
	m.gauge("swab_disk_reserve_bytes", "Bytes that are to stay free (--disk-reserve): with less, collections are refused with 503.", func() float64 { return float64(reserve) })
}

// watchKeys adds when what expires does.
func (m *metrics) watchKeys(ring *keys.Ring, certs *certificates, own bool) {
	expiries := by{"server": func() float64 { return float64(certs.ends().Unix()) }}
	if own {
		expiries["authority"] = func() float64 { return float64(ring.AuthorityEnds().Unix()) }
	}
	m.gauges("swab_certificate_expiry_timestamp_seconds", "When the TLS certificate that is served expires, and the server's own authority where it serves one (Unix time).", "certificate", expiries)
	m.gauge("swab_token_key_expiry_timestamp_seconds", "When the newest key of access tokens has to be succeeded (Unix time); the server does so a day before.",
		func() float64 { return float64(ring.TokenKeyDue().Unix()) })
}

// watchCallers adds what was refused to callers and to people.
func (m *metrics) watchCallers(t *auth.Tally, l *limit.Limiter) {
	m.counter("swab_requests_denied_total", "Requests answered 401, devices' and sign-ins of nobody known among them.", figure(t.Stats, func(s auth.TallyStats) int64 { return s.Denied }))
	m.counter("swab_requests_limited_total", "Requests of known callers answered 429.", figure(t.Stats, func(s auth.TallyStats) int64 { return s.Limited }))
	m.counter("swab_requests_refused_total", "Requests of known callers that were refused for another reason, as the audit log has them.", figure(t.Stats, func(s auth.TallyStats) int64 { return s.Refused }))
	m.counter("swab_tokens_issued_total", "Access tokens that applications got by themselves.", figure(t.Stats, func(s auth.TallyStats) int64 { return s.Issued }))
	stats := func() (s limit.Stats) {
		if l != nil {
			s = l.Stats()
		}
		return s
	}
	m.counter("swab_limit_refusals_total", "Calls over a limit (docs/limits.md).", figure(stats, func(s limit.Stats) int64 { return s.Refused }))
	m.counter("swab_limit_failures_total", "Calls refused because their limit could not be looked up.", figure(stats, func(s limit.Stats) int64 { return s.Unknown }))
	m.gauge("swab_limit_callers", "Callers, by API, whose calls this node remembers.", figure(stats, func(s limit.Stats) int { return s.Keys }))
}

// watchDesk adds what sign-in counts.
func (m *metrics) watchDesk(d *signin.Desk) {
	m.counters("swab_sign_ins_refused_total", "Sign-ins of people that were refused, by whether the account exists.", "account", by{
		"known":   figure(d.Stats, func(s signin.Stats) int64 { return s.Known }),
		"unknown": figure(d.Stats, func(s signin.Stats) int64 { return s.Unknown }),
	})
	m.gauge("swab_sign_ins_refused_waiting", "Entries of refused sign-ins that are not in the audit log yet.", figure(d.Stats, func(s signin.Stats) int { return s.Waiting }))
}

// watchStore adds what the store counts, and what waits in the database.
func (m *metrics) watchStore(s *store.Store) {
	m.gauge("swab_store_calls_waiting", "Calls that wait for the writer (SQLite) or for a connection (PostgreSQL).", figure(s.Stats, func(s store.Stats) int { return s.Waiting }))
	m.counter("swab_store_calls_lost_total", "Calls whose writes the database did not keep; their callers were answered 503.", figure(s.Stats, func(s store.Stats) int64 { return s.Lost }))
	m.counter("swab_store_calls_busy_total", "Calls that were refused because too many ran or waited (PostgreSQL); answered 503.", figure(s.Stats, func(s store.Stats) int64 { return s.Busy }))
	m.gauge("swab_store_connections_used", "Connections to the database in use (SQLite: by readers).", figure(s.Stats, func(s store.Stats) int { return s.Pool.Used }))
	m.gauge("swab_store_connections_open", "Connections to the database.", figure(s.Stats, func(s store.Stats) int { return s.Pool.Open }))
	m.gauge("swab_store_connections_limit", "Most connections to the database.", figure(s.Stats, func(s store.Stats) int { return s.Pool.Most }))
	m.counter("swab_store_connection_waits_total", "Calls that found all connections to the database in use.", figure(s.Stats, func(s store.Stats) int64 { return s.Pool.Waits }))
	m.counter("swab_store_connection_wait_seconds_total", "Time that those waited, together.", func() float64 { return s.Stats().Pool.Waited.Seconds() })
	m.counters("swab_audit_entries_total", "Entries that this node added to audit logs, by result.", "result", by{
		"done":    figure(s.Stats, func(s store.Stats) int64 { return s.Done }),
		"refused": figure(s.Stats, func(s store.Stats) int64 { return s.Refused }),
	})

	l := &lookout{look: s.Backlog}
	of := func(f func(store.Backlog) float64) func() float64 {
		return func() float64 {
			b, ok := l.backlog()
			if !ok {
				return math.NaN()
			}
			return f(b)
		}
	}
	m.gauge("swab_store_readable", "1 where the database answered when it was last looked at (every 5 seconds at most), 0 where not. The gauges of the whole installation are NaN then.", func() float64 {
		if _, ok := l.backlog(); !ok {
			return 0
		}
		return 1
	})
	m.gauges("swab_actions", "Actions of the whole installation that wait for their device (Pending) or run (InProgress), counted to 100000.", "status", by{
		"Pending":    of(func(b store.Backlog) float64 { return float64(b.Pending) }),
		"InProgress": of(func(b store.Backlog) float64 { return float64(b.Running) }),
	})
	m.gauge("swab_audit_unnumbered_entries", "Audit entries of the whole installation without a leaf yet, counted to 100000 (PostgreSQL; 0 in SQLite).", of(func(b store.Backlog) float64 { return float64(b.Unnumbered) }))
	m.gauge("swab_audit_unnumbered_age_seconds", "Age of the oldest of those; 0 where there is none.", of(func(b store.Backlog) float64 { return b.Oldest.Seconds() }))
	m.gauge("swab_settle_tenants", "Tenants of the whole installation whose devices are being put into other device groups.", of(func(b store.Backlog) float64 { return float64(b.Unsettled) }))
}

// Bounds of looking at what waits.
const (
	backlogEvery  = 5 * time.Second // at most, however many scrape
	backlogWithin = 2 * time.Second // so that a scrape does not hang on the database
)

// lookout remembers what waits in the database.
type lookout struct {
	look func(context.Context) (store.Backlog, error)

	mu     sync.Mutex
	looked time.Time // the process's clock
	last   store.Backlog
	ok     bool
}

// backlog is what waits, and whether that could be seen.
func (l *lookout) backlog() (store.Backlog, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.looked.IsZero() || time.Since(l.looked) >= backlogEvery {
		ctx, done := context.WithTimeout(context.Background(), backlogWithin) // a scrape's context does not come here
		defer done()
		var err error
		l.last, err = l.look(ctx)
		l.looked, l.ok = time.Now(), err == nil
	}
	return l.last, l.ok
}
