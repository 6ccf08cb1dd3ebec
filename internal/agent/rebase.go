package agent

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"swab/internal/audit"
	"swab/internal/wire"
)

// rebase goes on with an audit log that was restored from a backup, where the
// recovery key says so, and tells the server from which head on to prove either
// way. What was proved under the log before and did not begin yet never begins.
// It says whether the request was reasonable.
func (a *Agent) rebase(ctx context.Context, m wire.Rebase) bool {
	a.mu.Lock()
	known := a.state.Progress()
	r, err := a.examineRebase(m)
	if err == nil {
		err = a.state.Rebase(r.Head, r.Number)
	}
	if err == nil {
		a.waiting = nil
	}
	answer := wire.Rebased{Head: a.state.Progress().Head}
	a.mu.Unlock()
	if err != nil {
		answer.Text = text(err.Error())
		a.log.WarnContext(ctx, "refused to go on with a restored audit log", "entries", known.Head.Size, "reason", answer.Text)
	} else {
		a.log.WarnContext(ctx, "the audit log was restored from a backup, as the recovery key says", "known", known.Head.Size, "restored", r.Head.Size)
	}
	a.tell(ctx, answer)
	return err == nil
}

// examineRebase decides whether a statement holds for this device. The caller
// holds a.mu.
func (a *Agent) examineRebase(m wire.Rebase) (audit.Rebase, error) {
	pins := a.state.Identity().Pins
	r, err := audit.OpenRebase(m.Statement, ed25519.PublicKey(pins.RecoveryKey))
	if err != nil {
		return r, err
	}
	last := a.state.Progress().Rebase
	switch {
	case r.Tenant != pins.Tenant:
		return r, errors.New("the rebase is of another tenant's log")
	case !bytes.Equal(r.LogKey, pins.LogKey):
		return r, errors.New("the rebase is of a log that another key signs")
	case r.Number <= last:
		return r, fmt.Errorf("the rebase has number %d, and the device took number %d", r.Number, last)
	}
	return r, nil
}
