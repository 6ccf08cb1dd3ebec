package collect

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"unicode/utf8"

	"swab/internal/collect/host"
	"swab/internal/evidence"
)

// The errors by which a collector says what came of its item, beside those of
// the system: one that is fs.ErrNotExist makes the item absent, one that is
// fs.ErrPermission makes it denied, host.ErrTruncated makes it truncated. Any
// other error is a failure, and the item skipped.
var (
	// ErrChanged says that something changed while it was read.
	ErrChanged = errors.New("it changed while it was read")
	// ErrExcluded says that policy forbids reading it.
	ErrExcluded = errors.New("policy forbids it")
	// ErrFull is what a Sink returns once a bound of the item or the package
	// takes no more. The sink has recorded it: a collector may stop, or go on.
	ErrFull = errors.New("a bound of the package takes no more")
)

// The causes by which the runner ends a collector.
var (
	errDeadline = errors.New("its time ran out")
	errOverall  = errors.New("the package's time ran out")
	errEnded    = errors.New("the item has ended: what comes later is dropped")
)

// outcomeOf is the outcome that an error stands for, and the system's code in it.
func outcomeOf(err error) (evidence.Outcome, int) {
	code := 0
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		code = int(errno)
	}
	switch {
	case err == nil:
		return evidence.Collected, 0
	case errors.Is(err, ErrExcluded):
		return evidence.Excluded, code
	case errors.Is(err, errDeadline), errors.Is(err, errOverall), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, host.ErrAbandoned), errors.Is(err, host.ErrTooMany):
		return evidence.TimedOut, code
	case errors.Is(err, ErrFull), errors.Is(err, host.ErrTruncated):
		return evidence.Truncated, code
	case errors.Is(err, ErrChanged):
		return evidence.Changed, code
	case errors.Is(err, fs.ErrPermission):
		return evidence.Denied, code
	case host.Gone(err):
		return evidence.Absent, code
	}
	return evidence.Skipped, code
}

// text is s as a ledger takes it: valid UTF-8, at most 500 bytes.
func text(s string) string {
	if len(s) > 500 {
		s = s[:500] + "…"
	}
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
