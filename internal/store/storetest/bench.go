package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/device"
	"swab/internal/odata"
	"swab/internal/store"
)

// Callers are the numbers of callers at once that the benchmarks of writing have.
var Callers = []int{1, 64, 256}

// Bench runs the benchmarks that every database is measured by; open opens an
// empty store each time.
func Bench(b *testing.B, open func(testing.TB) *store.Store) {
	for _, n := range Callers {
		b.Run(fmt.Sprintf("CreateAction/callers=%d", n), func(b *testing.B) { benchCreate(b, open(b), n) })
	}
	for _, n := range Callers {
		b.Run(fmt.Sprintf("ChangeAction/callers=%d", n), func(b *testing.B) { benchChange(b, open(b), n) })
	}
	for _, n := range Callers {
		b.Run(fmt.Sprintf("Take/callers=%d", n), func(b *testing.B) { benchTake(b, open(b), n) })
	}
	b.Run("Lists", func(b *testing.B) { benchLists(b, open(b)) })
	b.Run("Prove", func(b *testing.B) { benchProve(b, open(b)) })
}

// Spread has n callers share the benchmark's calls, each of which gets its own
// number from 0 on, and reports calls a second.
func Spread(b *testing.B, n int, call func(i int) error) {
	var (
		next atomic.Int64
		all  sync.WaitGroup
	)
	b.ResetTimer()
	for range n {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				if err := call(int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(0, "ns/op")
}

// population enrols devices, many at once.
func population(b *testing.B, s *store.Store, count int) []device.Device {
	b.Helper()
	tenant := newTenant(b, s, 1)
	newToken(b, s, tenant, "token", nil)
	devices := make([]device.Device, count)
	errs := make([]error, count)
	var (
		all  sync.WaitGroup
		next atomic.Int64
	)
	for range 128 {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(count); i = next.Add(1) - 1 {
				d := newDevice(int(i))
				devices[i], errs[i] = s.Enrol(b.Context(), tokenOf("token"), d, func(tenant string) audit.Entry { return entry(audit.ActEnrol, tenant, d.ID) })
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
	return devices
}

func benchCreate(b *testing.B, s *store.Store, callers int) {
	devices := population(b, s, b.N)
	Spread(b, callers, func(i int) error {
		a := newAction(devices[i], i)
		_, err := s.CreateAction(b.Context(), a, entry(audit.ActCollect, a.ID, a.Device))
		return err
	})
}

func benchChange(b *testing.B, s *store.Store, callers int) {
	devices := population(b, s, callers)
	for i, d := range devices {
		a := newAction(d, i)
		if _, err := s.CreateAction(b.Context(), a, entry(audit.ActCollect, a.ID, a.Device)); err != nil {
			b.Fatal(err)
		}
	}
	Spread(b, callers, func(i int) error {
		_, err := s.ChangeAction(b.Context(), devices[0].Tenant, id(0xc, i%callers), func(a action.Action) (action.Action, []audit.Entry, error) {
			a.Bytes, a.Touched = a.Bytes+8<<20, at(i)
			return a, nil, nil
		})
		return err
	})
}

// benchLists lists a tenant's actions where it has 100,000.
func benchLists(b *testing.B, s *store.Store) {
	const actions, perDevice = 100_000, 100
	devices := population(b, s, actions/perDevice)
	var (
		all  sync.WaitGroup
		next atomic.Int64
	)
	for range 256 {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < actions; i = int(next.Add(1)) - 1 {
				a := newAction(devices[i%len(devices)], i)
				a.Status = action.Succeeded
				a.Package = &action.Package{Upload: "u", SHA256: fmt.Sprintf("%064x", i), Size: 1 << 20, Receipt: make([]byte, 1500), Sealed: at(i)}
				if _, err := s.CreateAction(b.Context(), a, entry(audit.ActCollect, a.ID, a.Device)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	tenant := devices[0].Tenant
	for name, q := range map[string]odata.Query{
		"newest100":      {Top: 100},
		"skip50000":      {Top: 100, Skip: 50_000},
		"device100":      {Top: 100, Filter: actionsOf(devices[7].ID).Filter},
		"newest10000all": {Top: odata.MaxTop},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				list, err := s.Actions(b.Context(), tenant, device.Everywhere, q)
				if err != nil || len(list.Rows) != q.Top {
					b.Fatal(len(list.Rows), err)
				}
			}
		})
	}
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Action(b.Context(), tenant, id(0xc, actions/2)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// benchProve proves one of 10,000 entries from half of the log on.
func benchProve(b *testing.B, s *store.Store) {
	tenant := newTenant(b, s, 1)
	for range 10 {
		entries := make([]audit.Entry, 1000)
		for i := range entries {
			entries[i] = entry(audit.ActLink, fmt.Sprint(i), "")
		}
		if err := s.Record(b.Context(), tenant, entries...); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, _, err := s.Prove(b.Context(), tenant, []int64{9000}, 5000); err != nil {
			b.Fatal(err)
		}
	}
}
