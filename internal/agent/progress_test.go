package agent

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"swab/internal/wire"
)

func TestProgressIsToldFourTimesASecondAtMostAndAtEachStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := newReporter(actionID(1), 1, time.Now)
		type told struct {
			at time.Duration
			p  wire.Progress
		}
		var all []told
		start, done := time.Now(), make(chan struct{})
		go func() {
			defer close(done)
			r.run(ctx, func(p wire.Progress) { all = append(all, told{time.Since(start), p}) })
		}()
		for n := range 1000 { // ten seconds, a hundred changes each
			r.update(func(p *wire.Progress) { p.Bytes = int64(n); p.Stage = n / 333 })
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		cancel()
		<-done
		if n := len(all); n < 30 || n > 41+4 {
			t.Errorf("told %d times in ten seconds", n)
		}
		if last := all[len(all)-1].p; last.Bytes != 999 || last.Stage != 3 {
			t.Errorf("the last says %+v", last)
		}
		for stage := range 4 {
			due := time.Duration(stage) * 3330 * time.Millisecond
			for _, m := range all {
				if m.p.Stage == stage {
					if m.at > due+20*time.Millisecond {
						t.Errorf("stage %d told at %v, was reached at %v", stage, m.at, due)
					}
					break
				}
			}
		}
	})
}

func TestNothingNewIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := newReporter(actionID(1), 1, time.Now)
		n, done := 0, make(chan struct{})
		go func() { defer close(done); r.run(ctx, func(wire.Progress) { n++ }) }()
		for range 100 {
			r.update(func(p *wire.Progress) { p.Of = 3 })
			time.Sleep(time.Second)
		}
		cancel()
		<-done
		if n != 1 {
			t.Errorf("told %d times", n)
		}
	})
}
