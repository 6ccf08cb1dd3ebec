package issuer

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A flood of guesses, from as many addresses and at as many accounts as no limit
// catches, takes a bounded part of memory and of the processor: applications get
// their tokens, and callers are let in, as if there were none.
func TestAFloodOfGuessesLeavesOthersAlone(t *testing.T) {
	in := install(t)
	in.people(t)
	in.config.Passwords = true
	s := New(*in.config)
	send := func(from, form string) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, in.URL+tokenPath, strings.NewReader(form))
		r.Header, r.RemoteAddr = formHeader.Clone(), from+":1"
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code
	}
	var stop atomic.Bool
	var guessed, refused atomic.Int64
	var flood sync.WaitGroup
	for n := range 64 {
		flood.Go(func() {
			for i := 0; !stop.Load(); i++ {
				user := ann
				if n%2 == 0 {
					user = fmt.Sprint("user", n, "-", i, "@example.org")
				}
				switch status := send(fmt.Sprintf("10.%d.%d.%d", n, i/250, i%250), formOf("grant_type", "password", "client_id", native, "username", user, "password", "guess", "scope", read)); status {
				case http.StatusBadRequest:
					guessed.Add(1)
				case http.StatusTooManyRequests, http.StatusServiceUnavailable:
					refused.Add(1)
				default:
					t.Errorf("a guess is answered %d", status)
				}
			}
		})
	}
	var took []time.Duration
	var most uint64
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		begun := time.Now()
		if status := send("192.0.2.1", good()); status != http.StatusOK {
			t.Errorf("an application is answered %d", status)
		}
		if err := in.store.Ready(t.Context()); err != nil { // as each call of the API reads the database
			t.Error(err)
		}
		took = append(took, time.Since(begun))
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapInuse)
	}
	stop.Store(true)
	flood.Wait()
	slices.Sort(took)
	p50, p99 := took[len(took)/2], took[len(took)*99/100]
	t.Logf("%d guesses looked at and %d refused in 3 s by 64 at once; %d tokens of applications meanwhile: p50 %s, p99 %s; heap at most %d MiB",
		guessed.Load(), refused.Load(), len(took), p50, p99, most>>20)
	if guessed.Load() == 0 || refused.Load() == 0 {
		t.Error("that was no flood")
	}
	// The median and not p99: the machine may do other things beside. Without a
	// bound 64 hashes at once take 1.2 GiB.
	if p50 > 250*time.Millisecond || most > 256<<20 {
		t.Error("others feel it")
	}
}
