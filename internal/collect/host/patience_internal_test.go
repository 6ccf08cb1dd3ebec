package host

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// What one package left behind must not blind the next one.
func TestANewPackageHasPatienceAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPatience(MaxAbandoned)
		release := make(chan struct{})
		block := func() error {
			return p.Do(context.Background(), time.Second, func(*Beat) { <-release })
		}
		left := 0
		for range maxBlocked / MaxAbandoned {
			for range MaxAbandoned {
				if err := block(); !errors.Is(err, ErrAbandoned) {
					t.Fatalf("blocked read %d: %v, want ErrAbandoned", left, err)
				}
				left++
			}
			if err := block(); !errors.Is(err, ErrTooMany) {
				t.Fatalf("one more in the same package: %v, want ErrTooMany", err)
			}
			p.renew()
		}
		if err := block(); !errors.Is(err, ErrTooMany) {
			t.Errorf("with %d left behind in all: %v, want ErrTooMany", left, err)
		}
		close(release)
		synctest.Wait()
	})
}
