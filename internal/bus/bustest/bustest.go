// Package bustest states what a bus promises, as tests that every bus runs.
package bustest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"swab/internal/device"
)

// Bus is what is tested.
type Bus interface {
	Wake(device.ID)
	Close()
}

// Run tests the buses that open makes around a subscriber.
func Run(t *testing.T, open func(t *testing.T, subscriber func(device.ID)) Bus) {
	t.Run("AWakeReachesTheSubscriber", func(t *testing.T) {
		got := make(chan device.ID, 1)
		b := open(t, func(id device.ID) { got <- id })
		defer b.Close()
		b.Wake("a")
		if id := receive(t, got); id != "a" {
			t.Errorf("woke %q, want a", id)
		}
	})
	t.Run("NoDeviceIsForgottenUnderLoad", func(t *testing.T) {
		const n = 1000
		var mu sync.Mutex
		seen := map[device.ID]bool{}
		all := make(chan struct{})
		b := open(t, func(id device.ID) {
			mu.Lock()
			defer mu.Unlock()
			if seen[id] = true; len(seen) == n {
				select {
				case <-all:
				default:
					close(all)
				}
			}
		})
		defer b.Close()
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() { b.Wake(device.ID(fmt.Sprint(i))) })
		}
		wg.Wait()
		receive(t, all)
	})
	t.Run("ASlowSubscriberBlocksNoWaker", func(t *testing.T) {
		hold, entered := make(chan struct{}), make(chan struct{}, 100)
		b := open(t, func(device.ID) { entered <- struct{}{}; <-hold })
		b.Wake("a")
		receive(t, entered)
		for range 10_000 {
			b.Wake("b") // returns, or the test hangs
		}
		close(hold)
		receive(t, entered)
		b.Close()
	})
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("no wake-up within 10 s")
		panic("unreachable")
	}
}
