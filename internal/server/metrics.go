package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"swab/internal/action"
)

// metrics is what the server tells Prometheus of itself, on an address of its
// own: never on the public one. Where something happens it is counted by an
// atomic add or an observation; what is read for a scrape is read at the scrape.
//
// No label takes a value from outside: those that are not written out here are
// methods and routes of the tables of routes, and statuses.
type metrics struct {
	registry *prometheus.Registry
	rows     []metric // of what is registered, but for Go and the process

	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	ended    *prometheus.CounterVec
	begins   prometheus.Histogram
	verdicts prometheus.Histogram
	calls    prometheus.Histogram // of one commit
	commits  prometheus.Histogram
	settled  prometheus.Counter
}

// metric is a row of the table in docs/operate.md.
type metric struct {
	name, kind, help string
	labels           []label
}

// label is one of a metric's, with its values; none: those of the tables.
type label struct {
	name   string
	values []string
}

// Buckets of times, in seconds.
var (
	requestTimes = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	commitTimes  = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5}
	beginTimes   = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 5, 30, 300, 3600, 6 * 3600, 24 * 3600} // devices may be away
	verdictTimes = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800}
	callNumbers  = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512}
)

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	operation := []label{{name: "method"}, {name: "route"}}
	m.requests = m.counterVec("swab_http_requests_total", "Requests answered by the API, the token endpoints and the pages, by method, route and status. Devices' own are not among them.",
		append(slices.Clone(operation), label{name: "status"})...)
	m.took = m.histogramVec("swab_http_request_seconds", "Time from a request's head to its answer, by method and route.", requestTimes, operation...)
	m.ended = m.counterVec("swab_actions_ended_total", "Actions that ended on this node, by how.",
		label{"status", []string{string(action.Succeeded), string(action.Failed), string(action.TimeOut), string(action.Cancelled)}})
	m.begins = m.histogram("swab_action_begin_seconds", "Time from a collection's request to its device having begun it. Devices that were away are among them.", beginTimes)
	m.verdicts = m.histogram("swab_upload_verdict_seconds", "Time from an upload's last byte to its package sealed or refused, its turn included.", verdictTimes)
	m.calls = m.histogram("swab_store_commit_calls", "Calls that one transaction of the database kept (SQLite; one each in PostgreSQL).", callNumbers)
	m.commits = m.histogram("swab_store_commit_seconds", "Time that the database took to make a transaction durable.", commitTimes)
	m.settled = prometheus.NewCounter(m.row("counter", "swab_settle_devices_total", "Devices put into another device group in the background, on this node."))
	m.registry.MustRegister(m.settled)
	return m
}

// row notes a metric for the table, and is the name and the help of it.
func (m *metrics) row(kind, name, help string, labels ...label) prometheus.CounterOpts {
	m.rows = append(m.rows, metric{name, kind, help, labels})
	return prometheus.CounterOpts{Name: name, Help: help}
}

func names(labels []label) (names []string) {
	for _, l := range labels {
		names = append(names, l.name)
	}
	return names
}

func (m *metrics) counterVec(name, help string, labels ...label) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(m.row("counter", name, help, labels...), names(labels))
	m.registry.MustRegister(v)
	if len(labels) == 1 {
		for _, value := range labels[0].values { // there at 0, so that a first one is an increase
			v.WithLabelValues(value)
		}
	}
	return v
}

func (m *metrics) histogramVec(name, help string, buckets []float64, labels ...label) *prometheus.HistogramVec {
	m.row("histogram", name, help, labels...)
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, names(labels))
	m.registry.MustRegister(v)
	return v
}

func (m *metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	m.row("histogram", name, help)
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	m.registry.MustRegister(h)
	return h
}

// gauge is a figure that is read at each scrape; of must not wait.
func (m *metrics) gauge(name, help string, of func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts(m.row("gauge", name, help)), of))
}

// counter is a sum that somebody else keeps.
func (m *metrics) counter(name, help string, of func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(m.row("counter", name, help), of))
}

// by are the figures of one metric, by the value of its label.
type by map[string]func() float64

func (b by) of(name string) label { return label{name, slices.Sorted(maps.Keys(b))} }

func (m *metrics) gauges(name, help, label string, figures by) {
	opts := m.row("gauge", name, help, figures.of(label))
	for value, of := range figures {
		opts.ConstLabels = prometheus.Labels{label: value}
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts(opts), of))
	}
}

func (m *metrics) counters(name, help, label string, figures by) {
	opts := m.row("counter", name, help, figures.of(label))
	for value, of := range figures {
		opts.ConstLabels = prometheus.Labels{label: value}
		m.registry.MustRegister(prometheus.NewCounterFunc(opts, of))
	}
}

// observe is told of each answer of a door.
func (m *metrics) observe(method, route string, status int, took time.Duration) {
	method, route = cmp.Or(method, "none"), cmp.Or(route, "none")
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	m.took.WithLabelValues(method, route).Observe(took.Seconds())
}

// commit is told of each transaction that the store kept.
func (m *metrics) commit(calls int, took time.Duration) {
	m.calls.Observe(float64(calls))
	m.commits.Observe(took.Seconds())
}

// begun is told of each action that its device has begun. The clocks of two nodes
// may be apart.
func (m *metrics) begun(a action.Action) { m.begins.Observe(max(a.Begun.Sub(a.Created), 0).Seconds()) }

func (m *metrics) verdict(took time.Duration) { m.verdicts.Observe(took.Seconds()) }

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
