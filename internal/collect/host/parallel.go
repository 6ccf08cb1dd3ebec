package host

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// Parallel calls, for each i below n, a function that worker made, until ctx ends; each
// worker's function is called by one goroutine at a time, so that it may keep
// memory to itself. A panic of one ends the calling goroutine's, where the
// runner's fence is, and not the program.
func Parallel(ctx context.Context, n int, worker func() func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	crash := make(chan any, 1)
	for range min(runtime.GOMAXPROCS(0), 4, n) {
		wg.Go(func() {
			defer func() {
				if c := recover(); c != nil {
					select {
					case crash <- c:
					default:
					}
				}
			}()
			work := worker()
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				work(i)
			}
		})
	}
	wg.Wait()
	select {
	case c := <-crash:
		panic(c)
	default:
	}
}
