package credential

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/text/unicode/norm"

	"swab/internal/fault"
)

// Bounds of who waits for a hash. One takes some 20 ms, so some dozens have their
// turn in time. More may wait, in vain: who is refused at once comes again at once,
// and thousands of refusals a second cost more than the hashes do.
const (
	maxWaiting = 512
	patience   = time.Second
)

// Hasher makes and checks hashes of passwords, a bounded number at once. Who has
// no turn within a second, or comes when as many wait as may, is refused with a
// [*Busy]. So a flood of guesses takes a bounded part of memory and cores, and
// leaves the rest to who is signed in already.
type Hasher struct {
	within chan struct{} // full when as many hash and wait as may
	turns  chan struct{} // full when as many hash as may
	decoy  string        // the hash of no password
}

// NewHasher returns a Hasher that runs as many hashes at once as parallel says:
// 0 for one core less than the process may use, but at least 1 and at most 2.
func NewHasher(parallel int) *Hasher {
	if parallel < 1 {
		parallel = min(2, max(1, runtime.GOMAXPROCS(0)-1))
	}
	decoy := hash{cost: today} // its key is zeros: of no password that can be found
	rand.Read(decoy.salt[:])   // never fails (crypto/rand)
	return &Hasher{
		within: make(chan struct{}, parallel+maxWaiting),
		turns:  make(chan struct{}, parallel),
		decoy:  decoy.String(),
	}
}

// Busy is why a password was not looked at: others' are. Its code is
// fault.Unavailable and not TooMany, for it says nothing of who asked, who may
// have asked once. What slows down one guesser is counted elsewhere, and before.
type Busy struct {
	Retry time.Duration // until there is room, if nobody else comes: whole seconds, at least one
}

// Error says when to ask again.
func (b *Busy) Error() string {
	return fmt.Sprintf("Too many people are signing in at once; ask again in %.0f s", b.Retry.Seconds())
}

// Unwrap returns the fault that the caller sees.
func (b *Busy) Unwrap() error { return fault.Unavailable.Errorf(nil, "%s", b.Error()) }

// Hash returns what is to be kept of a password, in the PHC string format, of at
// most 128 bytes. Whether the password is good enough is for [CheckPassword] to say.
// The errors are those of Verify.
func (h *Hasher) Hash(ctx context.Context, password string) (phc string, err error) {
	if len(password) > maxPassword {
		return "", errLong
	}
	err = h.turn(ctx, func() {
		made := newHash(norm.NFC.String(password))
		phc = made.String()
	})
	return phc, err
}

// Verify says whether a password is the one that phc was made of and, if it is,
// whether it should be hashed again because new hashes cost more. It fails with
// a [*Busy] where it has no turn within a second, with fault.Unavailable where ctx ends
// before its turn, and with an error that is our own where phc is no hash of ours.
func (h *Hasher) Verify(ctx context.Context, phc, password string) (ok, rehash bool, err error) {
	kept, err := parseHash(phc)
	if err != nil {
		return false, false, err
	}
	if len(password) > maxPassword { // nobody's, as the guesser knows
		return false, false, nil
	}
	err = h.turn(ctx, func() { ok = kept.matches(norm.NFC.String(password)) })
	return ok, ok && kept.cost != today, err
}

// Decoy does for an account that doesn't exist, or has no password, what Verify
// does for one that has, at the same cost, so that neither time nor error tells
// which it was. The password is always wrong.
func (h *Hasher) Decoy(ctx context.Context, password string) error {
	_, _, err := h.Verify(ctx, h.decoy, password)
	return err
}

// turn calls do when it has a turn. Who has waited longest is next.
func (h *Hasher) turn(ctx context.Context, do func()) error {
	select {
	case h.within <- struct{}{}:
		defer func() { <-h.within }()
	default:
		return &Busy{Retry: time.Second}
	}
	enough := time.NewTimer(patience)
	defer enough.Stop()
	select {
	case h.turns <- struct{}{}:
		defer func() { <-h.turns }()
	case <-enough.C:
		return &Busy{Retry: time.Second}
	case <-ctx.Done():
		return fault.Unavailable.Errorf(ctx.Err(), "The password could not be checked in time; ask again later")
	}
	do()
	return nil
}
