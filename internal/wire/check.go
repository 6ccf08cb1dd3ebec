package wire

import (
	"errors"
	"fmt"
)

// What each message must hold. A message that fails is never acted on.

const (
	maxAttempt = 1 << 20
	maxText    = 1024
)

func checkAttempt(a ActionID, n int) error {
	if n < 1 || n > maxAttempt {
		return fmt.Errorf("attempt is %d", n)
	}
	return a.check()
}

func checkText(s string) error {
	if len(s) > maxText {
		return fmt.Errorf("text has %d bytes, over %d", len(s), maxText)
	}
	return nil
}

func (w Welcome) check() error {
	if w.Version < MinVersion || w.Version > Version {
		return fmt.Errorf("%w: %d", ErrVersion, w.Version)
	}
	return nil
}

func (c Collect) check() error {
	return errors.Join(checkAttempt(c.Action, c.Attempt), c.Profile.check(), c.Plan.check(), c.Commitment.check(),
		c.Limits.check(), c.Proof.check())
}

func (c Cancel) check() error { return c.Action.check() }
func (c Closed) check() error { return c.Action.check() }
func (Rotate) check() error   { return nil }
func (r Rebase) check() error { return r.Statement.check() }
func (b Bye) check() error    { return b.Reason.check() }

func (h Hello) check() error {
	if h.Versions[0] < 1 || h.Versions[1] < h.Versions[0] {
		return fmt.Errorf("versions are %v", h.Versions)
	}
	if h.Head.Size < 0 {
		return fmt.Errorf("log size is %d", h.Head.Size)
	}
	if len(h.Running) > MaxRunning {
		return fmt.Errorf("%d attempts running, over %d", len(h.Running), MaxRunning)
	}
	for _, r := range h.Running {
		if err := checkAttempt(r.Action, r.Attempt); err != nil {
			return err
		}
	}
	return Digest(h.Catalog).check()
}

func (b Begun) check() error {
	if b.Head.Size < 1 {
		return fmt.Errorf("log size is %d", b.Head.Size)
	}
	return checkAttempt(b.Action, b.Attempt)
}

func (r Rebased) check() error {
	if r.Head.Size < 0 {
		return fmt.Errorf("log size is %d", r.Head.Size)
	}
	return checkText(r.Text)
}

func (r Refused) check() error {
	switch r.Code {
	case RefusedProof, RefusedProfile, RefusedPolicy, RefusedEnded, RefusedBusy:
		return errors.Join(checkAttempt(r.Action, r.Attempt), checkText(r.Text))
	}
	return fmt.Errorf("%.40q is not a refusal", string(r.Code))
}

func (p Progress) check() error {
	for _, n := range []int64{int64(p.Stage), int64(p.Items), int64(p.Of), p.Bytes, p.Sent, p.TakenMs, p.BegunMs} {
		if n < 0 {
			return errors.New("progress is negative")
		}
	}
	return checkAttempt(p.Action, p.Attempt)
}

func (e Ended) check() error {
	switch e.Code {
	case EndFailed, EndLost, EndCancelled:
		return errors.Join(checkAttempt(e.Action, e.Attempt), checkText(e.Text))
	}
	return fmt.Errorf("%.40q is not an end", string(e.Code))
}

func (Pong) check() error { return nil }
