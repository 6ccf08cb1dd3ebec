package credential

import (
	"context"
	"crypto/sha256"
	"errors"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"swab/internal/fault"
)

const right = "four unrelated words, say"

func mustHash(t testing.TB, h *Hasher, password string) string {
	t.Helper()
	phc, err := h.Hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	return phc
}

func TestAPasswordIsKnownAgain(t *testing.T) {
	h := NewHasher(0)
	phc := mustHash(t, h, right)
	if !strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(phc, right) {
		t.Errorf("kept: %s", phc)
	}
	if mustHash(t, h, right) == phc {
		t.Error("the same password has the same hash: no salt")
	}
	for password, want := range map[string]bool{
		right: true, right + " ": false, strings.ToUpper(right): false, "": false, strings.Repeat(right, 99): false,
	} {
		if ok, rehash, err := h.Verify(t.Context(), phc, password); ok != want || rehash || err != nil {
			t.Errorf("Verify(%.40q) = %v, %v, %v, want %v", password, ok, rehash, err, want)
		}
	}
	if _, err := h.Hash(t.Context(), strings.Repeat("x", maxPassword+1)); !errors.Is(err, fault.InvalidInput) {
		t.Errorf("a password over the bound: %v", err)
	}
}

// One keyboard sends an accent with its letter, another after it.
func TestAPasswordIsTheSameInEitherFormOfUnicode(t *testing.T) {
	h := NewHasher(0)
	phc := mustHash(t, h, "fünf größere Bäume")
	if ok, _, err := h.Verify(t.Context(), phc, "fünf größere Bäume"); !ok || err != nil {
		t.Errorf("decomposed: %v, %v", ok, err)
	}
}

// What the command line program of Argon2's reference implementation printed.
const reference = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$QKHrg5tayLGcN+Y0HVPNaBqykOVLUxlMkZycXE1uWRM"

func TestHashesAreArgon2sOwn(t *testing.T) {
	h := NewHasher(0)
	if ok, rehash, err := h.Verify(t.Context(), reference, "correct horse battery staple"); !ok || rehash || err != nil {
		t.Errorf("Verify = %v, %v, %v", ok, rehash, err)
	}
}

func TestAHashOfAnotherCostIsToBeMadeAgain(t *testing.T) {
	h := NewHasher(0)
	for _, c := range []cost{{8, 1}, {today.memory, today.passes - 1}, {today.memory + 4, today.passes}} {
		old := hash{cost: c}
		old.key = old.of(right)
		if ok, rehash, err := h.Verify(t.Context(), old.String(), right); !ok || !rehash || err != nil {
			t.Errorf("%v: Verify = %v, %v, %v, want true, true", c, ok, rehash, err)
		}
		if ok, rehash, err := h.Verify(t.Context(), old.String(), "wrong"); ok || rehash || err != nil {
			t.Errorf("%v: Verify(wrong) = %v, %v, %v", c, ok, rehash, err)
		}
	}
}

// A decoy is a hash of the cost of all others. How long each takes is said, and not
// judged: this machine may be busy.
func TestADecoyTakesAsLongAsAGuess(t *testing.T) {
	h := NewHasher(0)
	phc := mustHash(t, h, right)
	kept, err := parseHash(phc)
	if err != nil {
		t.Fatal(err)
	}
	if decoy, err := parseHash(h.decoy); err != nil || decoy.cost != kept.cost {
		t.Errorf("a decoy costs %+v, %v; a guess %+v", decoy.cost, err, kept.cost)
	}
	best := func(do func()) time.Duration {
		shortest := time.Hour
		for range 7 {
			start := time.Now()
			do()
			shortest = min(shortest, time.Since(start))
		}
		return shortest
	}
	guess := best(func() { _, _, _ = h.Verify(t.Context(), phc, "wrong") })
	decoy := best(func() { _ = h.Decoy(t.Context(), "wrong") })
	t.Logf("a guess takes %v, a decoy %v", guess, decoy)
}

func TestTheDecoyIsNobodysPassword(t *testing.T) {
	h := NewHasher(0)
	if ok, _, err := h.Verify(t.Context(), h.decoy, ""); ok || err != nil {
		t.Errorf("Verify = %v, %v", ok, err)
	}
}

func TestWhoComesWhenTooManyWaitIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const parallel = 2
		h := NewHasher(parallel)
		release := make(chan struct{})
		var done sync.WaitGroup
		var running, ran atomic.Int32
		for range parallel + maxWaiting {
			done.Go(func() {
				err := h.turn(t.Context(), func() { running.Add(1); <-release; running.Add(-1); ran.Add(1) })
				if err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := running.Load(); n != parallel {
			t.Errorf("%d run at once, want %d", n, parallel)
		}
		err := h.Decoy(t.Context(), "x")
		busy, ok := errors.AsType[*Busy](err)
		if !ok || busy.Retry != time.Second || !errors.Is(err, fault.Unavailable) || errors.Is(err, fault.TooMany) {
			t.Errorf("one more: %v", err)
		}
		if code, text := fault.Of(err); code != fault.Unavailable || text != busy.Error() {
			t.Errorf("the caller sees %s, %q", code, text)
		}
		close(release)
		done.Wait()
		if err := h.turn(t.Context(), func() {}); err != nil || ran.Load() != parallel+maxWaiting {
			t.Errorf("after them: %v, and %d ran", err, ran.Load())
		}
	})
}

func TestWhoHasNoTurnWithinASecondIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHasher(1)
		release := make(chan struct{})
		go func() { _ = h.turn(t.Context(), func() { <-release }) }()
		synctest.Wait()
		begun := time.Now()
		err := h.turn(t.Context(), func() { t.Error("it ran") })
		if _, busy := errors.AsType[*Busy](err); !busy || time.Since(begun) != time.Second {
			t.Errorf("after %v: %v, want to be refused after a second", time.Since(begun), err)
		}
		if n := len(h.within); n != 1 {
			t.Errorf("%d are within, want the one that runs", n)
		}
		close(release)
		synctest.Wait()
	})
}

func TestWhoGoesAwayLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHasher(1)
		release := make(chan struct{})
		go func() { _ = h.turn(t.Context(), func() { <-release }) }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { left <- h.turn(ctx, func() { t.Error("it ran") }) }()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, fault.Unavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("turn = %v", err)
		}
		if n := len(h.within); n != 1 {
			t.Errorf("%d are within, want the one that runs", n)
		}
		close(release)
		synctest.Wait()
		if len(h.within) != 0 || len(h.turns) != 0 {
			t.Errorf("%d within, %d turns, after all went", len(h.within), len(h.turns))
		}
	})
}

func TestParallelismFollowsTheCores(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for cores, want := range map[int]int{1: 1, 2: 1, 3: 2, 4: 2, 64: 2} {
		runtime.GOMAXPROCS(cores)
		if got := cap(NewHasher(0).turns); got != want {
			t.Errorf("with %d cores %d run at once, want %d", cores, got, want)
		}
	}
	if got := cap(NewHasher(5).turns); got != 5 {
		t.Errorf("NewHasher(5) runs %d", got)
	}
}

// heap is how many bytes objects take, dead ones that were not swept included.
func heap() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// flood has 64 guessers guess until done, and returns how many guesses were
// looked at and refused, and the largest heap beyond what it was before.
func flood(t testing.TB, h *Hasher, phc string, guesses int64) (looked, refused int64, peak uint64) {
	runtime.GC()
	before := heap()
	var left, no atomic.Int64
	left.Store(guesses)
	var guessers sync.WaitGroup
	for range 64 {
		guessers.Go(func() {
			for left.Load() > 0 {
				ok, _, err := h.Verify(t.Context(), phc, "guess after guess")
				switch {
				case errors.Is(err, fault.Unavailable):
					no.Add(1)
					time.Sleep(time.Millisecond) // a client's way there and back
				case err != nil || ok:
					t.Errorf("Verify = %v, %v", ok, err)
				default:
					left.Add(-1)
				}
			}
		})
	}
	over := make(chan struct{})
	go func() { guessers.Wait(); close(over) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			peak = max(peak, heap()-min(before, heap()))
		case <-over:
			return guesses - left.Load(), no.Load(), peak
		}
	}
}

// Live are one block for each turn. The rest is what the collector has not taken
// yet: its own pace, three blocks a turn where nothing else lives. Without the
// gate there would be 64.
func TestAFloodOfGuessesTakesBoundedMemory(t *testing.T) {
	const block = 19 << 20
	for _, parallel := range []int{1, 2} {
		h := NewHasher(parallel)
		looked, refused, peak := flood(t, h, mustHash(t, h, right), 10)
		t.Logf("%d at once: %d guesses looked at, %d refused, heap at most %.1f MiB more", parallel, looked, refused, float64(peak)/(1<<20))
		if peak > uint64(5*parallel*block) {
			t.Errorf("%d at once: the heap grew by %d MiB", parallel, peak>>20)
		}
		if peak < block {
			t.Errorf("%d at once: the heap grew by %d MiB, less than one hash takes: it was not measured", parallel, peak>>20)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	h := NewHasher(1)
	phc := mustHash(b, h, right)
	b.ReportAllocs()
	for b.Loop() {
		if ok, _, err := h.Verify(b.Context(), phc, right); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkDecoy(b *testing.B) {
	h := NewHasher(1)
	for b.Loop() {
		if err := h.Decoy(b.Context(), right); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFlood is how long a small request takes while 64 guess, at the default of how many hash at once.
func BenchmarkFlood(b *testing.B) {
	h := NewHasher(0)
	phc := mustHash(b, h, right)
	for b.Loop() {
		quiet := latencies(func() { time.Sleep(time.Second) })
		var looked, refused int64
		var peak uint64
		start := time.Now()
		flooded := latencies(func() { looked, refused, peak = flood(b, h, phc, 150) })
		b.ReportMetric(float64(quiet.Microseconds())/1000, "p99-quiet-ms")
		b.ReportMetric(float64(flooded.Microseconds())/1000, "p99-flooded-ms")
		b.ReportMetric(float64(looked)/time.Since(start).Seconds(), "guesses/s")
		b.ReportMetric(float64(refused)/time.Since(start).Seconds(), "refused/s")
		b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
	}
}

// latencies is the time within which 99 of 100 small requests are answered while
// during runs. Each keeps a core busy for some tenths of a millisecond.
func latencies(during func()) time.Duration {
	over := make(chan struct{})
	go func() { during(); close(over) }()
	var all []time.Duration
	for {
		select {
		case <-over:
			slices.Sort(all)
			return all[len(all)*99/100]
		case <-time.After(5 * time.Millisecond):
			start := time.Now()
			answered := make(chan [sha256.Size]byte)
			go func() { answered <- sha256.Sum256(make([]byte, 1<<18)) }()
			<-answered
			all = append(all, time.Since(start))
		}
	}
}

func FuzzHash(f *testing.F) {
	f.Add(reference)
	f.Add("$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$QKHrg5tayLGcN+Y0HVPNaBqykOVLUxlMkZycXE1uWRM")
	f.Add("$argon2i$v=19$m=8,t=1,p=1$$")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHash(text)
		if err != nil {
			return
		}
		if h.String() != text {
			t.Errorf("%q is read as %q", text, h.String())
		}
		if h.memory > most.memory || h.passes > most.passes || h.memory < 8 || h.passes < 1 {
			t.Errorf("%q costs %v", text, h.cost)
		}
	})
}

func TestWhatIsNoHashOfOursIsRefused(t *testing.T) {
	with := func(old, with string) string { return strings.Replace(reference, old, with, 1) }
	h := NewHasher(1)
	for _, phc := range []string{
		"", "$", "$$$$$", reference[1:], reference + "$", reference + "\n", reference[:len(reference)-1], strings.Repeat(reference, 2),
		with("argon2id", "argon2i"), with("argon2id", "argon2d"), with("v=19", "v=16"),
		with("m=19456", "m=4194304"), with("m=19456", "m=65537"), with("m=19456", "m=4294967296"), with("m=19456", "m=7"), with("m=19456", "m=0"),
		with("m=19456", "m=+19456"), with("m=19456", "m=019456"), with("m=19456", "m="), with("m=19456", "19456"),
		with("t=2", "t=0"), with("t=2", "t=9"), with("t=2", "t=4294967295"), with("t=2", "t=-1"),
		with("p=1", "p=0"), with("p=1", "p=2"), with("p=1", "p=255"), with("p=1", "p=1,keyid=x"), with("m=19456,t=2", "t=2,m=19456"),
		with("c2FsdHNhbHRzYWx0c2FsdA", "c2FsdHNhbHRzYWx0c2FsdA=="), with("c2FsdHNhbHRzYWx0c2FsdA", "c2FsdHNhbHRzYWx0c2FsdB"),
		with("c2FsdHNhbHRzYWx0c2FsdA", "c2FsdHNhbHQ"), with("QKHr", "QK\nHr"), with("QKHr", "Q-Hr"),
	} {
		for _, password := range []string{right, ""} {
			ok, rehash, err := h.Verify(t.Context(), phc, password)
			if ok || rehash || !errors.Is(err, errHash) {
				t.Errorf("Verify(%q) = %v, %v, %v", phc, ok, rehash, err)
			}
			if code, _ := fault.Of(err); code != fault.Internal {
				t.Errorf("Verify(%q) is the caller's fault: %s", phc, code)
			}
		}
	}
	dearest := hash{cost: most}
	if h, err := parseHash(dearest.String()); err != nil || h != dearest {
		t.Errorf("the dearest hash: %v", err)
	}
}
