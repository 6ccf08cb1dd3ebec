package host_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"swab/internal/collect/host"
)

func TestBlockedWorkIsAbandonedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := host.NewPatience(2)
		block := make(chan struct{})
		stuck := func(*host.Beat) { <-block }
		for range 2 {
			if err := p.Do(t.Context(), time.Second, stuck); !errors.Is(err, host.ErrAbandoned) {
				t.Errorf("blocked work: %v", err)
			}
		}
		if err := p.Do(t.Context(), time.Second, stuck); !errors.Is(err, host.ErrTooMany) {
			t.Errorf("the third: %v", err)
		}
		close(block)
		synctest.Wait()
		if n := p.Blocked(); n != 0 {
			t.Errorf("%d are blocked after all came back", n)
		}
		if err := p.Do(t.Context(), time.Second, func(*host.Beat) {}); err != nil {
			t.Errorf("after they came back: %v", err)
		}
	})
}

func TestWorkThatBeatsIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := host.NewPatience(1)
		err := p.Do(t.Context(), time.Second, func(b *host.Beat) {
			for range 10 {
				time.Sleep(900 * time.Millisecond)
				b.Tick()
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestCancelledWorkGivesTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := host.NewPatience(1)
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		block := make(chan struct{})
		defer close(block)
		if err := p.Do(ctx, time.Second, func(*host.Beat) { <-block }); !errors.Is(err, why) {
			t.Errorf("Do = %v, want the cause", err)
		}
	})
}

func TestPanicOfWorkIsTheCallers(t *testing.T) {
	defer func() {
		if c := recover(); c != "x" {
			t.Errorf("recovered %v", c)
		}
	}()
	host.NewPatience(1).Do(t.Context(), time.Second, func(*host.Beat) { panic("x") })
}

func TestParallelCallsEachOnceAndCarriesAPanic(t *testing.T) {
	seen := make([]int, 1000)
	host.Parallel(t.Context(), len(seen), func() func(int) { return func(i int) { seen[i]++ } })
	for i, n := range seen {
		if n != 1 {
			t.Fatalf("%d was called %d times", i, n)
		}
	}
	host.Parallel(t.Context(), 0, func() func(int) { return func(int) { t.Error("called for nothing") } })
	defer func() {
		if recover() == nil {
			t.Error("a worker's panic is lost")
		}
	}()
	host.Parallel(t.Context(), 1, func() func(int) { return func(int) { panic("x") } })
}
