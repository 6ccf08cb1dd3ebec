package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"swab/internal/federation"
	"swab/internal/gateway"
)

// metrics is what the server tells Prometheus of itself, on an address of its
// own: never on the public one.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	ended    *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "swab_http_requests_total", Help: "Requests answered, by method, route and status.",
		}, []string{"method", "route", "status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "swab_http_request_seconds", Help: "Time from a request's head to its answer, by route, in seconds.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "swab_actions_ended_total", Help: "Actions that ended on this node, by how.",
		}, []string{"status"}),
	}
	m.registry.MustRegister(m.requests, m.took, m.ended, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) observe(method, route string, status int, took time.Duration) {
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	m.took.WithLabelValues(route).Observe(took.Seconds())
}

// watchConnections adds what the public listener counts.
func (m *metrics) watchConnections(c *connections) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "swab_connections", Help: "Connections of the public listener, devices' channels too.",
	}, func() float64 { open, _ := c.count(); return float64(open) }))
	for bound, of := range map[string]func(refusals) int{
		"address": func(r refusals) int { return r.address },
		"all":     func(r refusals) int { return r.all },
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "swab_connections_refused_total", Help: "Connections refused, by the bound that they met.",
			ConstLabels: prometheus.Labels{"bound": bound},
		}, func() float64 { _, r := c.count(); return float64(of(r)) }))
	}
}

// watchIssuers adds what is known of the keys of other issuers.
func (m *metrics) watchIssuers(k *federation.Keys) {
	for result, of := range map[string]func(federation.Stats) int64{
		"ok":     func(s federation.Stats) int64 { return s.Refreshed },
		"failed": func(s federation.Stats) int64 { return s.Failed },
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "swab_issuer_key_fetches_total", Help: "Times that the keys of another issuer were fetched, by what became of it.",
			ConstLabels: prometheus.Labels{"result": result},
		}, func() float64 { return float64(of(k.Stats())) }))
	}
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "swab_issuers_without_keys", Help: "Other issuers whose keys could not be fetched for a day, or never: their tokens are answered 503.",
	}, func() float64 { return float64(k.Stats().Without) }))
}

// watch adds what the gateway counts.
func (m *metrics) watch(g *gateway.Gateway) {
	gauge := func(name, help string, of func(gateway.Stats) int64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return float64(of(g.Stats())) }))
	}
	counter := func(name, help string, of func(gateway.Stats) int64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
			func() float64 { return float64(of(g.Stats())) }))
	}
	gauge("swab_devices_connected", "Devices connected to this node.", func(s gateway.Stats) int64 { return s.Connections })
	counter("swab_device_connections_total", "Channels opened.", func(s gateway.Stats) int64 { return s.Connected })
	counter("swab_device_connections_replaced_total", "Channels that a newer one of the same device replaced.", func(s gateway.Stats) int64 { return s.Replaced })
	counter("swab_device_keys_doubled_total", "Times that two live agents used one key: a cloned device.", func(s gateway.Stats) int64 { return s.Twice })
	counter("swab_device_connections_expired_total", "Channels that ended because their token did.", func(s gateway.Stats) int64 { return s.Expired })
	counter("swab_device_protocol_errors_total", "Channels that ended because the peer does not speak the protocol.", func(s gateway.Stats) int64 { return s.Protocol })
	counter("swab_device_messages_received_total", "Messages from devices.", func(s gateway.Stats) int64 { return s.Received })
	counter("swab_device_messages_sent_total", "Messages to devices.", func(s gateway.Stats) int64 { return s.Sent })
	counter("swab_device_enrolments_total", "Devices enrolled.", func(s gateway.Stats) int64 { return s.Enrolled })
	counter("swab_device_keys_succeeded_total", "Keys of devices that took the place of another.", func(s gateway.Stats) int64 { return s.Succeeded })
	counter("swab_device_denied_total", "Requests of devices answered 401.", func(s gateway.Stats) int64 { return s.Denied })
	counter("swab_device_proofs_replayed_total", "Proofs that had been used before.", func(s gateway.Stats) int64 { return s.Replayed })
	counter("swab_device_foreign_total", "Messages and uploads for what is not the device's own.", func(s gateway.Stats) int64 { return s.Foreign })
	counter("swab_uploads_total", "Uploads begun.", func(s gateway.Stats) int64 { return s.Uploads })
	counter("swab_upload_bytes_total", "Bytes of packages acknowledged.", func(s gateway.Stats) int64 { return s.UploadBytes })
	counter("swab_uploads_stalled_total", "Chunks that stopped arriving.", func(s gateway.Stats) int64 { return s.Stalled })
	counter("swab_packages_sealed_total", "Packages that verified and were sealed.", func(s gateway.Stats) int64 { return s.Sealed })
	counter("swab_packages_spoiled_total", "Uploads that did not verify and were quarantined.", func(s gateway.Stats) int64 { return s.Spoiled })
}

// serveMetrics serves the metrics if the settings name an address.
func (s *Server) serveMetrics(ctx context.Context, work *sync.WaitGroup, failed chan<- error) (stop func(context.Context), err error) {
	if s.config.MetricsListen == "" {
		return func(context.Context) {}, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.config.MetricsListen)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics at %s: %w", s.config.MetricsListen, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	work.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	})
	return func(ctx context.Context) { _ = server.Shutdown(ctx) }, nil
}
