package limit

import (
	"context"
	"fmt"
	"time"

	"swab/internal/fault"
)

// Hold is how long a step of budget may be used after it was taken, and so how
// much longer than a window a dead node's step can be missed.
const Hold = time.Minute

// maxStep is the most calls of one step.
const maxStep = 10

// MaxFigure is the highest limit that can be set: what is remembered of a caller
// grows with it.
const MaxFigure = 100_000

// Key names what is counted by itself.
type Key struct {
	Tenant string // id
	Caller string // kind and id, as in "application/…"
	API    string // name of the API
}

// Figures are an API's two limits, in calls of one caller. The zero value is no
// limit.
type Figures struct{ Minute, Hour int }

// Off says whether there is no limit.
func (f Figures) Off() bool { return f == Figures{} }

// Check says what is wrong with the figures.
func (f Figures) Check() error {
	if !f.Off() && (min(f.Minute, f.Hour) < 1 || max(f.Minute, f.Hour) > MaxFigure) {
		return fmt.Errorf("%d a minute and %d an hour: both are numbers from 1 to %d", f.Minute, f.Hour, MaxFigure)
	}
	return nil
}

// step is how many calls are taken out of the ledger at once.
func (f Figures) step() int { return max(1, min(maxStep, min(f.Minute, f.Hour)/10)) }

// window is one of the two windows of a limit.
type window struct {
	length time.Duration
	name   string // after "calls"
}

var windows = [2]window{{time.Minute, "a minute"}, {time.Hour, "an hour"}}

// of is the limit of a window.
func (f Figures) of(w int) int { return [2]int{f.Minute, f.Hour}[w] }

// Held is a hold as a ledger has it: so many calls, of which none is made after
// Last.
type Held struct {
	Holder string
	Calls  int
	Last   time.Time
}

// Ledgers is where holds are kept, a list for each key, for all nodes;
// *store.Store satisfies it.
type Ledgers interface {
	// ChangeLedger replaces a key's holds by what change makes of them, in one
	// transaction; changes of one key follow one another. now is the time of the
	// one clock that all nodes share, read within the transaction. What change
	// returns is kept for an hour after its last moment; nil leaves all as it is.
	// If there is an error, change may be called and its result kept all the same.
	ChangeLedger(ctx context.Context, key Key, change func(now time.Time, held []Held) []Held) error

	// ForgetLedgers drops ledgers whose last moment is more than an hour ago.
	ForgetLedgers(ctx context.Context) error
}

// Exceeded is why a call is refused: the limit that was hit. Its code is
// fault.TooMany.
type Exceeded struct {
	Calls int    // the limit
	Per   string // its window, "a minute" or "an hour"
	API   string
	Retry time.Duration // until a call would be taken: whole seconds, at least one
}

// Error names the limit.
func (e *Exceeded) Error() string {
	return fmt.Sprintf("The limit of %s %s of %s is reached; ask again in %s",
		number(e.Calls, "call"), e.Per, e.API, number(int(e.Retry/time.Second), "second"))
}

func number(n int, of string) string {
	if n != 1 {
		of += "s"
	}
	return fmt.Sprintf("%d %s", n, of)
}

// Unwrap returns the fault that the caller sees.
func (e *Exceeded) Unwrap() error { return fault.TooMany.Errorf(nil, "%s", e.Error()) }

// seconds is d in whole seconds, rounded up, and never 0.
func seconds(d time.Duration) time.Duration {
	return max(1, (d+time.Second-1)/time.Second) * time.Second
}
