package server

import (
	"context"
	"slices"
	"strings"
	"testing"

	"swab/internal/store"
)

// Metric is a metric as it is declared.
type Metric struct {
	Name, Kind, Help string
	Labels           map[string][]string // values; nil: methods, routes and statuses
}

// Declared returns what is declared, by name.
func (s *Server) Declared() []Metric {
	var all []Metric
	for _, r := range s.metrics.rows {
		m := Metric{r.name, r.kind, r.help, map[string][]string{}}
		for _, l := range r.labels {
			m.Labels[l.name] = l.values
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b Metric) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Sample is one series of a scrape.
type Sample struct {
	Name, Kind, Help string
	Labels           []string // name=value
	Value            float64  // of a histogram: how many were observed
}

// Scrape reads all metrics.
func (s *Server) Scrape(t *testing.T) (all []Sample) {
	t.Helper()
	families, err := s.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			a := Sample{Name: f.GetName(), Kind: strings.ToLower(f.GetType().String()), Help: f.GetHelp()}
			for _, l := range m.GetLabel() {
				a.Labels = append(a.Labels, l.GetName()+"="+l.GetValue())
			}
			a.Value = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount()) // it is one of these
			all = append(all, a)
		}
	}
	return all
}

// Lookout is what reads the backlog for scrapes.
func Lookout(look func(context.Context) (store.Backlog, error)) func() (store.Backlog, bool) {
	return (&lookout{look: look}).backlog
}
