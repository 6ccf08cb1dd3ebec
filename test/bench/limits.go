package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/limit"
	"swab/internal/store"
	"swab/test/postgres"
)

// limits measures what the limit of calls costs a call: the median, and the mean
// with the one call in ten that has to wait until the next ten are written down.
func limits(ctx context.Context, t *table, dir string) error {
	server, err := postgres.Start(false)
	if err != nil {
		return err
	}
	defer server.Close()
	for _, one := range []struct{ name, database string }{
		{"SQLite", "sqlite:" + filepath.Join(dir, "limits.db")}, {"PostgreSQL", server.URL},
	} {
		fmt.Fprintf(os.Stderr, "limits of calls, %s\n", one.name)
		s, err := store.Open(ctx, store.Options{Database: one.database})
		if err != nil {
			return err
		}
		err = measureLimits(ctx, t, s, one.name)
		if err := errors.Join(err, s.Close()); err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
	}
	return nil
}

func measureLimits(ctx context.Context, t *table, s *store.Store, name string) error {
	tenant := auth.Tenant{ID: "0000000b-0000-7000-8000-000000000001", Name: "limits", Created: time.Now()}
	err := s.CreateTenant(ctx, tenant, audit.NewEntry(time.Now(), audit.Leaf{Act: audit.ActStart, Object: tenant.ID, Result: audit.Done}, audit.Hidden{}))
	if err != nil {
		return err
	}
	const callers, each = 100, 200
	l, f := limit.New(limit.Config{Ledgers: s}), limit.Figures{Minute: each, Hour: each}
	ask := func(want bool) (median, mean time.Duration, err error) {
		took := make([]time.Duration, 0, callers*each)
		begun := time.Now()
		for range each {
			for c := range callers {
				at := time.Now()
				err := l.Take(ctx, limit.Key{Tenant: tenant.ID, Caller: fmt.Sprint("application/", c), API: "x"}, f)
				took = append(took, time.Since(at))
				if (err == nil) != want {
					return 0, 0, fmt.Errorf("a call was taken: %t, want %t: %w", err == nil, want, err)
				}
			}
		}
		mean = time.Since(begun) / time.Duration(len(took))
		slices.Sort(took)
		return took[len(took)/2], mean, nil
	}
	for _, c := range []struct {
		what  string
		taken bool
	}{{"taken", true}, {"refused", false}} {
		median, mean, err := ask(c.taken)
		if err != nil {
			return err
		}
		t.add("check of a limit, call "+c.what+", "+name, fmt.Sprintf("%.1f µs, mean %.1f µs", µs(median), µs(mean)), "≤ 50 µs", "")
	}
	return nil
}

func µs(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
